// Package printable makes text harmless that somebody else wrote, before a person's terminal sees
// it.
//
// Control characters move the cursor, change colours and titles, or delete what stands there. Other
// characters turn the order of a line around or show nothing at all. All of them are written as
// escapes that stay distinguishable: \x1b, \u202e, \xff. Everything else stays as it is, in all
// languages.
package printable

import (
	"encoding/base64"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// isUnsafe reports whether a character does something to a terminal instead of standing there: a
// control character (C0, DEL, C1), a format character (bidirectional, zero width, byte order mark),
// or a separator of lines.
func isUnsafe(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Line returns a text that stands on one line, whatever is in it.
func Line(s string) string { return escape(s, "", inText) }

// Text returns a text whose lines and tabs stay as they are.
func Text(s string) string { return escape(s, "\n\t", inText) }

// JSON returns a JSON document that means the same, with the characters escaped in its strings.
func JSON(s string) string { return escape(s, "\n\t\r", inJSON) }

// Name returns the text of bytes that need not be UTF-8, such as the name of a file: other bytes
// are written as \xff.
func Name(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// FileName returns what JSON holds of a file's name: its text, as [Name] returns it, and if the
// name is not UTF-8 its exact bytes in base64. JSON has no other way to keep two such names apart.
func FileName(name string) (text, exact string) {
	if utf8.ValidString(name) {
		return name, ""
	}
	return Name(name), base64.StdEncoding.EncodeToString([]byte(name))
}

// escape escapes all unsafe characters that are not in keep.
func escape(s, keep string, as func(b *strings.Builder, r rune, raw string)) string {
	if clean(s, keep) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		invalid := r == utf8.RuneError && size == 1
		if invalid || isUnsafe(r) && !strings.ContainsRune(keep, r) {
			as(&b, r, s[:size])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// clean reports whether there is nothing to escape.
func clean(s, keep string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		const ascii = 0x7f
		if r >= ' ' && r < ascii {
			return false
		}
		return isUnsafe(r) && !strings.ContainsRune(keep, r)
	}) < 0
}

// inText writes an unsafe character, or a byte that is no UTF-8, as Go does.
func inText(b *strings.Builder, r rune, raw string) {
	switch {
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '\r':
		b.WriteString(`\r`)
	case len(raw) == 1:
		fmt.Fprintf(b, `\x%02x`, raw[0])
	case r > 0xffff:
		fmt.Fprintf(b, `\U%08x`, r)
	default:
		fmt.Fprintf(b, `\u%04x`, r)
	}
}

// inJSON writes an unsafe character as JSON does. Bytes that are no UTF-8 mean U+FFFD there.
func inJSON(b *strings.Builder, r rune, _ string) {
	for _, unit := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(b, `\u%04x`, unit)
	}
}

// Args returns the arguments of a format, with every text in them on one line. An error of several
// lines becomes one line as well.
func Args(args []any) []any {
	list := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			list[i] = Line(v)
		case error:
			list[i] = Line(strings.ReplaceAll(v.Error(), "\n", "; "))
		case fmt.Stringer:
			list[i] = Line(v.String())
		default:
			if list[i] = arg; reflect.ValueOf(arg).Kind() == reflect.String {
				list[i] = Line(reflect.ValueOf(arg).String())
			}
		}
	}
	return list
}

// writer cleans what goes through it.
type writer struct {
	w     io.Writer
	clean func(string) string
}

// NewWriter returns a writer that cleans with one of [Text] and [JSON]. Each write must hold whole
// characters.
func NewWriter(w io.Writer, clean func(string) string) io.Writer { return &writer{w, clean} }

// Raw returns the writer behind a cleaning one, for the program's own control sequences and for
// what is no text. It returns any other writer as it is.
func Raw(w io.Writer) io.Writer {
	if c, ok := w.(*writer); ok {
		return c.w
	}
	return w
}

func (w *writer) Write(p []byte) (int, error) {
	s := w.clean(string(p))
	n, err := io.WriteString(w.w, s)
	if len(s) != len(p) { // n counts something else
		if n = 0; err == nil {
			n = len(p)
		}
	}
	return n, err
}
