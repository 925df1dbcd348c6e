// Package manpage writes manual pages from what the programs say themselves: the help of their
// commands, and the sample configuration.
//
// cobra has a generator of its own. It takes the help for Markdown, which it is not, and brings a
// Markdown parser along. The help texts know three forms: paragraphs, lists of terms (two spaces,
// the term, at least two spaces, its explanation), and lines that are indented otherwise, which
// stay as they are.
package manpage

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A Page is a manual page. Its file has the name NAME.SECTION.
type Page struct {
	Name    string // "ancre-stamp"
	Section int    // 1 for commands, 5 for files, 8 for daemons
	Text    []byte // for man: roff with the macros of man(7)
}

// File returns the name of the page's file: "ancre-stamp.1".
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Edition is what the foot of each page says.
type Edition struct {
	Version string    // "ancre 0.2.0"
	Date    time.Time // of the sources, so that each build gives the same page
}

// page writes one page, from its head to its end.
type page struct {
	Page
	text strings.Builder
}

// newPage begins a page with its head and the section NAME.
func newPage(name string, section int, brief string, e Edition) *page {
	p := &page{Page: Page{Name: name, Section: section}}
	p.line(".TH \"%s\" \"%d\" \"%s\" \"%s\" \"Ancre\"\n.nh\n.ad l", strings.ToUpper(name), section, e.Date.UTC().Format(time.DateOnly), escape(e.Version))
	p.line(`.SH NAME`)
	p.line(`%s \- %s`, escape(name), escape(brief))
	return p
}

func (p *page) done() Page {
	p.Text = []byte(p.text.String())
	return p.Page
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// heading begins a section.
func (p *page) heading(title string) { p.line(`.SH "%s"`, escape(title)) }

// item writes a term with its explanation.
func (p *page) item(term, text string) {
	p.line(".TP\n\\fB%s\\fR", escape(term))
	p.prose(text)
}

// verbatim writes lines that stay as they are.
func (p *page) verbatim(text string) { p.line(".PP\n.RS 4\n.nf\n%s\n.fi\n.RE", lines(text)) }

// prose writes lines that man fills.
func (p *page) prose(text string) { p.line("%s", lines(text)) }

// An entry of a list: the term and the beginning of its explanation.
var entry = regexp.MustCompile(`^  (\S.*?) {2,}(\S.*)$`)

// body writes a help text: paragraphs, lists of terms, and lines that stay as they are.
func (p *page) body(text string) {
	for _, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		var kept []string // lines that stay as they are
		begun := false    // .PP was written
		inItem := false
		keep := func() {
			if len(kept) > 0 {
				p.verbatim(strings.Join(kept, "\n"))
				kept, begun = nil, false
			}
		}
		for _, line := range strings.Split(strings.Trim(paragraph, "\n"), "\n") {
			m := entry.FindStringSubmatch(line)
			switch {
			case m != nil:
				keep()
				p.item(m[1], m[2])
				inItem = true
			case inItem && strings.HasPrefix(line, "   "):
				p.prose(strings.TrimSpace(line))
			case strings.HasPrefix(line, "  "):
				kept, inItem = append(kept, line), false
			default:
				keep()
				if !begun || inItem {
					p.line(".PP")
				}
				begun, inItem = true, false
				p.prose(line)
			}
		}
		keep()
	}
}

// lines escapes each line of a text.
func lines(text string) string {
	all := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range all {
		if all[i] = escape(line); strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			all[i] = `\&` + all[i]
		}
	}
	return strings.Join(all, "\n")
}

// escape gives characters to which roff gives a meaning their own. A "-" becomes a minus, which can
// be copied into a shell.
var escape = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`).Replace
