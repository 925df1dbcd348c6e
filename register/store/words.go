package store

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Words splits a text into the words that are searched: runs of letters and digits, in lower case,
// without accents, with ligatures spelled out. An engine stores the words of a text, and looks for
// the words of a query. So "Séance nᵒ 2026-112" has the words seance, no, 2026 and 112.
// Words are stored: a change here needs a migration in each engine, and so does NumberKey.
func Words(text string) []string {
	return strings.FieldsFunc(fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// spelled are letters that Unicode does not decompose, and that people type as these.
var spelled = map[rune]string{
	'œ': "oe", 'æ': "ae", 'ß': "ss", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i", 'ħ': "h", 'ŧ': "t",
}

func fold(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range norm.NFKD.String(text) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		r = unicode.ToLower(r)
		if s, ok := spelled[r]; ok {
			b.WriteString(s)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// NumberKey returns a text by which numbers of documents sort as people count: "2026-9" stands
// before "2026-10".
func NumberKey(number string) string {
	const isDigit = "0123456789"
	var b strings.Builder
	for number = fold(number); number != ""; {
		n := len(number) - len(strings.TrimLeft(number, isDigit))
		if n == 0 {
			b.WriteByte(number[0])
			number = number[1:]
			continue
		}
		digits := strings.TrimLeft(number[:n], "0")
		// Their count stands before them. Of 100 digits, ten tens are ":", which is behind "9".
		b.WriteByte(byte('0' + len(digits)/10))
		b.WriteByte(byte('0' + len(digits)%10))
		b.WriteString(digits)
		number = number[n:]
	}
	return b.String()
}
