package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// parse returns the defaults, overridden by data.
func parse(name string, data []byte) (Config, error) {
	c := Default()
	return c, c.parse(name, data)
}

// parse sets the values in data. name is the name of the file, for errors and for relative paths.
func (c *Config) parse(name string, data []byte) error {
	read, err := readFile(name, data, c.settings(filepath.Dir(name)))
	if err != nil {
		return err
	}
	set := func(key string) bool { return read[key] != "" }
	if key, err := c.conflict(set); err != nil {
		return fmt.Errorf("%s %w", read[key], err)
	}
	c.complete(set)
	return nil
}

// readFile gives each value in data to its setting. It returns FILE:LINE: KEY = VALUE: of each key.
//
// The TOML library would ignore the case of keys, and its type errors do not show the value. So it
// only parses. Every value goes through the table of settings, and a key outside the table is an
// error.
func readFile(name string, data []byte, settings []setting, families ...family) (map[string]string, error) {
	var top map[string]toml.Primitive
	meta, err := toml.Decode(string(data), &top)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	p := parser{name: name, meta: &meta, settings: settings, families: families, read: make(map[string]string)}
	for _, key := range sortedKeys(top) {
		if err := p.key(key, top[key]); err != nil {
			return nil, err
		}
	}
	return p.read, nil
}

type parser struct {
	name     string
	meta     *toml.MetaData
	settings []setting
	families []family
	read     map[string]string // by key: FILE:LINE: KEY = VALUE: of what was read
}

// family is a group of sections whose names the file chooses: [body.conseil], [body.bureau].
type family struct {
	name string // "body"
	// add makes the section with that name, and returns its settings. It is called in the order of
	// the file.
	add func(id string) ([]setting, error)
}

// key reads a key at the top level of the file: a value, a section, or a family of sections.
func (p *parser) key(key string, prim toml.Primitive) error {
	if i := slices.IndexFunc(p.families, func(f family) bool { return f.name == key }); i >= 0 {
		return p.family(p.families[i], prim)
	}
	if len(p.sectionKeys(key)) == 0 {
		return p.value(key, prim)
	}
	return p.section(key, prim)
}

// family reads a family of sections, in the order in which they are in the file.
func (p *parser) family(f family, prim toml.Primitive) error {
	var sections map[string]toml.Primitive
	if err := p.meta.PrimitiveDecode(prim, &sections); err != nil || sections == nil {
		return fmt.Errorf("%s: %s: must be a section with a name of its own, [%s.NAME]", p.at(prim), f.name, f.name)
	}
	for _, key := range p.meta.Keys() {
		if len(key) < 2 || key[0] != f.name {
			continue
		}
		section, ok := sections[key[1]]
		if !ok {
			continue // it was read already
		}
		delete(sections, key[1])
		settings, err := f.add(key[1])
		if err != nil {
			return fmt.Errorf("%s: [%s.%s]: %w", p.at(section), f.name, key[1], err)
		}
		p.settings = append(p.settings, settings...)
		if err := p.section(f.name+"."+key[1], section); err != nil {
			return err
		}
	}
	return nil
}

// section reads the keys of a section.
func (p *parser) section(key string, prim toml.Primitive) error {
	var section map[string]toml.Primitive
	// If the value is not a table, the library returns no map, and sometimes no error.
	if err := p.meta.PrimitiveDecode(prim, &section); err != nil || section == nil {
		return fmt.Errorf("%s: %s: must be a section, [%s], with the keys %s", p.at(prim), key, key, strings.Join(p.sectionKeys(key), ", "))
	}
	for _, k := range sortedKeys(section) {
		if err := p.value(key+"."+k, section[k]); err != nil {
			return err
		}
	}
	return nil
}

// value reads one value into its field.
func (p *parser) value(key string, prim toml.Primitive) error {
	i := slices.IndexFunc(p.settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return p.unknown(key, prim)
	}
	s := p.settings[i]
	var v any
	if err := p.meta.PrimitiveDecode(prim, &v); err != nil {
		return fmt.Errorf("%s: %s: %w", p.at(prim), key, err)
	}
	if err := s.set(v); err != nil {
		return fmt.Errorf("%s: %s = %s: %w", p.at(prim), key, s.show(v), err)
	}
	p.read[key] = fmt.Sprintf("%s: %s = %s:", p.at(prim), key, s.show(v))
	return nil
}

// unknown returns an error that lists the known keys in the place of the unknown one.
func (p *parser) unknown(key string, prim toml.Primitive) error {
	dot := strings.LastIndex(key, ".")
	section := key[:max(dot, 0)]
	names := p.sectionKeys(section)
	if dot > 0 && len(names) > 0 {
		return fmt.Errorf("%s: unknown key %q: section [%s] has the keys %s", p.at(prim), key, section, strings.Join(names, ", "))
	}
	names = nil
	for _, s := range p.settings {
		name, _, nested := strings.Cut(s.key, ".")
		if nested {
			name = "[" + name + "]"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, f := range p.families {
		names = append(names, "["+f.name+".NAME]")
	}
	return fmt.Errorf("%s: unknown key %q: the file has the keys and sections %s", p.at(prim), key, strings.Join(names, ", "))
}

// sectionKeys returns the keys of a section, without its name.
func (p *parser) sectionKeys(section string) []string {
	var names []string
	for _, s := range p.settings {
		if name, ok := strings.CutPrefix(s.key, section+"."); ok {
			names = append(names, name)
		}
	}
	return names
}

// at returns FILE:LINE of a value.
func (p *parser) at(prim toml.Primitive) string {
	if line := p.line(prim); line > 0 {
		return p.name + ":" + strconv.Itoa(line)
	}
	return p.name
}

// line returns the line of a value, 0 if it is unknown. The library reports a position only with an
// error, so this provokes one. A table that is only implied (a in [a.b]) has no position: then the
// first value in it counts.
func (p *parser) line(prim toml.Primitive) int {
	var parseErr toml.ParseError
	if err := p.meta.PrimitiveDecode(prim, refuser{}); errors.As(err, &parseErr) && parseErr.Position.Line > 0 {
		return parseErr.Position.Line
	}
	var table map[string]toml.Primitive
	if err := p.meta.PrimitiveDecode(prim, &table); err != nil {
		return 0
	}
	first := 0
	for _, inner := range table {
		if line := p.line(inner); line > 0 && (first == 0 || line < first) {
			first = line
		}
	}
	return first
}

// refuser refuses every value, so that the library reports where the value is.
type refuser struct{}

func (refuser) UnmarshalTOML(any) error { return errors.New("refused") }

// syntaxError puts the position first, as all other errors do.
func syntaxError(name string, err error) error {
	var parseErr toml.ParseError
	if errors.As(err, &parseErr) {
		at := name + ":" + strconv.Itoa(parseErr.Position.Line)
		if parseErr.LastKey != "" {
			return fmt.Errorf("%s: %s (at or after key %q)", at, parseErr.Message, parseErr.LastKey)
		}
		return fmt.Errorf("%s: %s", at, parseErr.Message)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// sortedKeys returns the keys in a fixed order, so that the same file always gives the same error.
func sortedKeys(m map[string]toml.Primitive) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
