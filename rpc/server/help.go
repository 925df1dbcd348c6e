package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ancre/internal/humanize"
	"ancre/rpc"
)

// helpList lists all methods, by heading, as bitcoind does.
func (s *Server) helpList() string {
	var b strings.Builder
	heading := ""
	for i := range s.table {
		m := &s.table[i]
		if m.Group != heading {
			if heading != "" {
				b.WriteString("\n")
			}
			heading = m.Group
			fmt.Fprintf(&b, "== %s ==\n", heading)
		}
		b.WriteString(m.usage() + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// helpOn returns the help for one method.
func (s *Server) helpOn(name string) (string, error) {
	m := s.methods[name]
	if m == nil {
		return "", errorf(rpc.CodeInvalidParameter, "help: unknown command: %s%s", humanize.ClipTo(name, 40), s.suggest(name))
	}
	return m.help(), nil
}

// suggest names a method whose name resembles one that does not exist.
func (s *Server) suggest(name string) string {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(humanize.ClipTo(name, 40)))
	i := slices.IndexFunc(s.table, func(m method) bool {
		return plain != "" && (m.Name == plain || strings.HasPrefix(m.Name, plain) || strings.HasSuffix(m.Name, plain))
	})
	if i < 0 {
		return "; help lists the methods"
	}
	return "; did you mean " + s.table[i].Name + "?"
}

// usage is the method with its parameters on one line. Strings are in quotes, optional parameters
// in parentheses.
func (m *method) usage() string {
	b := m.Name
	for _, p := range m.Params {
		word := p.Name
		switch p.Kind {
		case rpc.KindInteger, rpc.KindBoolean:
		case rpc.KindDigests:
			word = `["digest",...]`
		default:
			word = `"` + word + `"`
		}
		if p.Optional {
			word = "( " + word + " )"
		}
		b += " " + word
	}
	return b
}

// help is the text of `help METHOD`.
func (m *method) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", m.usage(), m.About)
	for i, p := range m.Params {
		if i == 0 {
			b.WriteString("\nArguments:\n")
		}
		need := "required"
		if p.Optional {
			need = "optional"
		}
		if p.Default != "" {
			need += ", default=" + p.Default
		}
		fmt.Fprintf(&b, "%d. %s    (%s, %s) %s\n", i+1, p.Name, p.Kind, need, p.About)
	}
	fmt.Fprintf(&b, "\nResult:\n%s\n\nRole:\n%s\n\nExamples:\n", m.Result, m.Roles.AnyOf())
	b.WriteString("> ancre rpc " + m.Name + shellWords(m.Example) + "\n")
	fmt.Fprintf(&b, `> curl --user myusername --data-binary '{"jsonrpc": "2.0", "id": "curltest", "method": "%s", "params": %s}' http://127.0.0.1:14780/`+"\n",
		m.Name, m.Example)
	return b.String()
}

// shellWords writes the parameters of an example as they are typed in a shell: strings without
// quotes, or quoted for the shell if they need it.
func shellWords(example string) string {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(example), &list); err != nil {
		return " " + example // a test holds that it is JSON
	}
	out := ""
	for _, v := range list {
		word := string(v)
		var text string
		if json.Unmarshal(v, &text) == nil {
			word = text
		}
		if strings.ContainsAny(word, ` "[]{}`) {
			word = "'" + word + "'"
		}
		out += " " + word
	}
	return out
}
