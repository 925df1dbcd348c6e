package manpage

import (
	"regexp"
	"strings"
)

var usageLines = regexp.MustCompile(`(?m)^Usage: .*\n(?: {2,}\S.*\n)*`)

// Daemon returns the page of a daemon, ancred.8. help gives what the program prints for --help, and
// for a verb and --help: a sentence, the lines of "Usage:", and the flags. What has no help of its
// own, such as "version", is explained in the first.
func Daemon(name, brief string, help func(args ...string) string, e Edition) Page {
	p := newPage(name, 8, brief, e)
	text := help("--help")
	usage, rest := splitUsage(text)
	p.heading("SYNOPSIS")
	p.usage(usage)
	p.heading("DESCRIPTION")
	p.body(rest)

	for _, m := range regexp.MustCompile(name+` ([a-z]+)\b`).FindAllStringSubmatch(usage, -1) {
		text := help(m[1], "--help")
		if text == "" {
			continue
		}
		usage, rest := splitUsage(text)
		p.heading("THE VERB " + strings.ToUpper(m[1]))
		p.usage(usage)
		p.body(rest)
	}
	p.heading("SEE ALSO")
	p.prose("ancre(1), ancre.conf(5)")
	return p.done()
}

// splitUsage takes the lines of "Usage:" out of a help.
func splitUsage(text string) (usage, rest string) {
	usage = usageLines.FindString(text)
	return usage, strings.Replace(text, usage, "", 1)
}

// usage writes each line that begins with the program's name as a paragraph, which man fills.
func (p *page) usage(text string) {
	text = strings.TrimPrefix(text, "Usage: ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, p.Name) {
			p.line(".PP\n\\fB%s\\fR%s", p.Name, escape(strings.TrimPrefix(line, p.Name)))
		} else if line != "" {
			p.prose(line)
		}
	}
}
