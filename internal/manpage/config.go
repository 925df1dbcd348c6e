package manpage

import (
	"regexp"
	"strings"
)

var (
	table = regexp.MustCompile(`^\[([a-z.]+)\]$`)
	key   = regexp.MustCompile(`^#([a-z_]+) = .*$`)
)

// Configuration returns the page of a configuration file, ancre.conf.5, from its sample. There,
// each key is commented out with its default, below the comment that explains it, and a blank line
// ends each.
func Configuration(name, brief, sample string, e Edition) Page {
	p := newPage(name, 5, brief, e)
	p.heading("DESCRIPTION")
	first := true
	for _, block := range strings.Split(sample, "\n\n") {
		var text []string
		for line := range strings.Lines(block) {
			switch line = strings.TrimSuffix(line, "\n"); {
			case table.MatchString(line):
				p.heading(line)
			case key.MatchString(line):
				if first {
					p.heading("KEYS OUTSIDE OF A TABLE")
				}
				p.item(strings.TrimPrefix(line, "#"), strings.Join(text, "\n"))
				text, first = nil, false
			case strings.HasPrefix(line, "#"):
				text = append(text, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
			}
		}
		if len(text) > 0 {
			p.line(".PP")
			p.prose(strings.Join(text, "\n"))
		}
	}
	p.heading("SEE ALSO")
	if name == "register.conf" {
		p.prose("ancre-register(1), ancred(8)")
	} else {
		p.prose("ancred(8), ancre(1)")
	}
	return p.done()
}
