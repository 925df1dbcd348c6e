package config

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Merged is a configuration that took over the settings of another one.
type Merged struct {
	Text  []byte
	Taken []string // keys, in the order of the table
	Left  []Left
}

// Left is a setting that was not taken over.
type Left struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

// Merge adds to a configuration the settings of an old one. What the first one sets stays as it is,
// every character of it. It does not take over paths: they are another user's. network is the one
// that the daemon of the old configuration had. The names are those of the files, for errors.
func Merge(name string, text []byte, oldName string, old []byte, network string) (Merged, error) {
	m := Merged{Text: text}
	now, err := values(name, text)
	if err != nil {
		return m, err
	}
	was, err := values(oldName, old)
	if err != nil {
		return m, err
	}
	was["network"] = network
	if is := now["network"]; is != nil && is != network {
		return m, fmt.Errorf("%s sets network = %q, and the data are of %s: change or remove that line", name, is, network)
	} else if is == nil && network == Default().Network {
		delete(was, "network")
	}
	c := Default()
	for _, s := range c.settings("/") {
		value, set := was[s.key]
		switch is, own := now[s.key]; {
		case !set, s.key == "datadir", own && reflect.DeepEqual(is, value):
		case own:
			m.Left = append(m.Left, Left{s.key, "the service's configuration has another value"})
		case s.key == "wallet.passphrase_file":
			m.Left = append(m.Left, Left{s.key, "write the passphrase into /etc/credstore/ancre.passphrase, mode 0600, owner root"})
		case s.key == "spv.headers_import":
			m.Left = append(m.Left, Left{s.key, "the headers were imported already"})
		default:
			line, err := line(s.key, value)
			if err != nil {
				return m, err
			}
			m.Text = insert(m.Text, s.key, line)
			m.Taken = append(m.Taken, s.key)
			now[s.key] = value
		}
	}
	if all, err := values(name, m.Text); err != nil || !reflect.DeepEqual(all, now) {
		return m, fmt.Errorf("%s cannot be extended by a program: set there what %s sets (%s), and try again", name, oldName, strings.Join(m.Taken, ", "))
	}
	return m, nil
}

// values returns the values of a configuration that is right, by key.
func values(name string, text []byte) (map[string]any, error) {
	if _, err := parse(name, text); err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	all := make(map[string]any)
	for key, value := range tree {
		section, ok := value.(map[string]any)
		if !ok {
			all[key] = value
			continue
		}
		for k, v := range section {
			all[key+"."+k] = v
		}
	}
	return all, nil
}

// line returns the line of a file that sets a key.
func line(key string, value any) (string, error) {
	var text bytes.Buffer
	err := toml.NewEncoder(&text).Encode(map[string]any{key[strings.Index(key, ".")+1:]: value})
	return text.String(), err
}

// insert adds a line to its section: a key without one before the first section, a key of a section
// that is not there yet at the end.
func insert(text []byte, key, line string) []byte {
	lines := slices.Collect(strings.Lines(string(text)))
	section, _, inSection := strings.Cut(key, ".")
	at := slices.IndexFunc(lines, func(l string) bool {
		l, _, _ = strings.Cut(strings.TrimSpace(l), "#")
		l = strings.TrimSpace(l)
		return !inSection && strings.HasPrefix(l, "[") || inSection && strings.HasPrefix(l, "[") && strings.Trim(l, "[] \t\"'") == section
	})
	switch {
	case at >= 0 && inSection:
		at++
	case at < 0:
		at = len(lines)
		if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
			lines[at-1] += "\n"
		}
		if inSection {
			line = "\n[" + section + "]\n" + line
		}
	}
	return []byte(strings.Join(slices.Insert(lines, at, line), ""))
}
