package printable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile are characters that no terminal may see raw.
var hostile = []rune{0, 7, 8, 0x1b, '\r', 0x7f, 0x80, 0x9b, 0x9d, 0xad, 0x61c, 0x200b, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029,
	0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff, 0xfff9, 0xe0001, 0xe007f}

func TestHostileCharactersAreEscaped(t *testing.T) {
	for _, r := range hostile {
		for name, got := range map[string]string{"line": Line("a" + string(r) + "b"), "text": Text("a" + string(r) + "b")} {
			if strings.ContainsRune(got, r) || !strings.HasPrefix(got, `a\`) || !strings.HasSuffix(got, "b") {
				t.Errorf("%s: U+%04X becomes %q", name, r, got)
			}
		}
	}
	for in, want := range map[string]string{
		"\x1b[31m": `\x1b[31m`, "\u009b": `\u009b`, "\u202e": `\u202e`, "\xff\xc3": `\xff\xc3`, "a\nb\tc": `a\nb\tc`, "\U000e0001": `\U000e0001`,
		"é 日本 \u00a0\u202f😀 …": "é 日本 \u00a0\u202f😀 …", `\`: `\`, "\ufffd": "\ufffd",
	} {
		if got := Line(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := Text("a\n\tb\r"); got != "a\n\tb\\r" {
		t.Errorf("%q", got)
	}
}

func TestJSONMeansTheSame(t *testing.T) {
	in := map[string]string{"é": "a\nb\u2028"}
	for _, r := range hostile {
		in["é"] += string(r)
	}
	data, err := json.MarshalIndent(in, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got := JSON(string(data))
	var back map[string]string
	if err := json.Unmarshal([]byte(got), &back); err != nil || back["é"] != in["é"] {
		t.Errorf("%q: %v", got, err)
	}
	for _, r := range hostile {
		if strings.ContainsRune(got, r) {
			t.Errorf("U+%04X is raw", r)
		}
	}
	if got := JSON("\"\xff\""); got != `"\ufffd"` {
		t.Errorf("%q", got)
	}
}

func TestNamesStayDistinguishable(t *testing.T) {
	if a, b := Name("a\xff"), Name("a\xfe"); a == b || !utf8.ValidString(a) || a != `a\xff` {
		t.Errorf("%q, %q", a, b)
	}
}

func TestArgsOfAFormatMakeNoLines(t *testing.T) {
	err := errors.Join(errors.New("one"), fmt.Errorf("two\x1b"))
	if got := fmt.Sprintf("%s %v %d %s", Args([]any{"a\nb", err, 7, &bytes.Buffer{}})...); got != `a\nb one; two\x1b 7 ` {
		t.Errorf("%q", got)
	}
}

func TestAWriterCountsWhatItWasGiven(t *testing.T) {
	var out bytes.Buffer
	if n, err := NewWriter(&out, Text).Write([]byte("a\x1bb\n")); n != 4 || err != nil || out.String() != "a\\x1bb\n" {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
}

func FuzzNothingUnsafeIsLeft(f *testing.F) {
	f.Add("a\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Line(s) {
			if isUnsafe(r) {
				t.Errorf("U+%04X of %q", r, s)
			}
		}
		if !utf8.ValidString(Line(s)) || Line(Line(s)) != Line(s) {
			t.Errorf("%q", s)
		}
	})
}
