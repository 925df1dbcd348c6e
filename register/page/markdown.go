package page

import (
	"html/template"
	"regexp"
	"strings"
)

// FormatText makes HTML of a text of the authority. It knows a small part of Markdown: headings
// ("## …", "### …"), paragraphs, lists ("- …", "1. …"), code ("    …"), and in a line **bold**,
// `code` and [links](https://…). Everything else is shown as it stands, HTML too: a text can break
// neither the page nor its rules of security.
func FormatText(text string) template.HTML {
	var f formatter
	for _, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		f.line(strings.TrimRight(line, " \t"))
	}
	f.open("")
	return template.HTML(f.out.String())
}

// formatter writes blocks. One of them is open at a time.
type formatter struct {
	out   strings.Builder
	block string // the element that is open: "p", "ul", "ol", "pre"; "": none
	item  bool   // an <li> is open
	gap   bool   // the line before was empty
}

var numbered = regexp.MustCompile(`^[0-9]{1,3}\. +`)

// line takes the next line.
func (f *formatter) line(line string) {
	trimmed := strings.TrimLeft(line, " \t")
	gap := f.gap
	f.gap = trimmed == ""
	indented := line != trimmed && (strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t"))
	switch {
	case trimmed == "":
		if f.block != "pre" && f.block != "ol" && f.block != "ul" {
			f.open("")
		}
	case indented && f.item && !gap:
		f.out.WriteString(" " + inline(trimmed))
	case indented:
		f.open("pre")
		f.out.WriteString(template.HTMLEscapeString(trimmed) + "\n")
	case strings.HasPrefix(line, "### "):
		f.heading("h3", line[4:])
	case strings.HasPrefix(line, "## "):
		f.heading("h2", line[3:])
	case strings.HasPrefix(line, "# "): // the page has its own first heading
		f.heading("h2", line[2:])
	case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
		f.open("ul")
		f.listItem(line[2:])
	case numbered.MatchString(line):
		mark := numbered.FindString(line)
		f.openNumbered(mark[:strings.IndexByte(mark, '.')])
		f.listItem(line[len(mark):])
	default:
		if f.block == "p" {
			f.out.WriteString("\n")
		}
		f.open("p")
		f.out.WriteString(inline(trimmed))
	}
}

// open closes what is open, unless it is that element, and opens that element.
func (f *formatter) open(block string) {
	if f.block == block {
		return
	}
	if f.item {
		f.out.WriteString("</li>\n")
		f.item = false
	}
	switch f.block {
	case "":
	case "pre":
		f.out.WriteString("</code></pre>\n")
	default:
		f.out.WriteString("</" + f.block + ">\n")
	}
	switch f.block = block; block {
	case "":
	case "pre":
		f.out.WriteString(`<pre tabindex="0"><code>`)
	default:
		f.out.WriteString("<" + block + ">")
	}
}

// openNumbered opens a numbered list that begins with a number, unless one is open.
func (f *formatter) openNumbered(first string) {
	if f.block == "ol" {
		return
	}
	f.open("")
	f.block = "ol"
	f.out.WriteString(`<ol start="` + first + `">`)
}

func (f *formatter) heading(element, text string) {
	f.open("")
	f.out.WriteString("<" + element + ">" + inline(strings.TrimSpace(text)) + "</" + element + ">\n")
}

func (f *formatter) listItem(text string) {
	if f.item {
		f.out.WriteString("</li>\n")
	}
	f.item = true
	f.out.WriteString("<li>" + inline(strings.TrimSpace(text)))
}

// marks finds code, links and bold text in a line.
var marks = regexp.MustCompile("`([^`]+)`|\\[([^\\]]+)\\]\\(([^()\\s]+)\\)|\\*\\*([^*]+)\\*\\*")

// inline formats a line.
func inline(text string) string {
	var b strings.Builder
	for {
		m := marks.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		b.WriteString(template.HTMLEscapeString(text[:m[0]]))
		part := func(i int) string { return template.HTMLEscapeString(text[m[2*i]:m[2*i+1]]) }
		switch {
		case m[2] >= 0:
			b.WriteString("<code>" + part(1) + "</code>")
		case m[4] >= 0 && checkLink(text[m[6]:m[7]]) == nil:
			b.WriteString(`<a href="` + part(3) + `">` + part(2) + "</a>")
		case m[4] >= 0: // where it leads is not safe
			b.WriteString(template.HTMLEscapeString(text[m[0]:m[1]]))
		default:
			b.WriteString("<strong>" + part(4) + "</strong>")
		}
		text = text[m[1]:]
	}
	b.WriteString(template.HTMLEscapeString(text))
	return b.String()
}
