package page

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func TestDatesAreWrittenAsPeopleWriteThem(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at     time.Time
		fr, en string
	}{
		{time.Date(2026, 12, 15, 18, 30, 0, 0, paris), "mardi 15 décembre 2026 à 18 h 30", "Tuesday 15 December 2026, 18:30"},
		{time.Date(2027, 1, 1, 9, 0, 0, 0, paris), "vendredi 1er janvier 2027 à 9 h", "Friday 1 January 2027, 09:00"},
		{time.Date(2026, 8, 2, 0, 5, 0, 0, paris), "dimanche 2 août 2026 à 0 h 05", "Sunday 2 August 2026, 00:05"},
	} {
		for lang, want := range map[Lang]string{French: tt.fr, English: tt.en} {
			if got := strings.ReplaceAll(momentText(lang, tt.at, dayText), nbsp, " "); got != want {
				t.Errorf("%s: %q, want %q", lang, got, want)
			}
		}
	}
}

func TestNumbersAndSizes(t *testing.T) {
	fr, en := &view{Address: Address{Lang: French}}, &view{Address: Address{Lang: English}}
	for _, tt := range []struct {
		n      int64
		fr, en string
	}{
		{0, "0 octet", "0 byte"}, {1, "1 octet", "1 byte"}, {999, "999 octets", "999 bytes"}, {1000, "1,0 ko", "1.0 kB"}, {9949, "9,9 ko", "9.9 kB"},
		{9960, "10 ko", "10 kB"}, {999_499, "999 ko", "999 kB"}, {999_500, "1,0 Mo", "1.0 MB"}, {12_345_678, "12 Mo", "12 MB"}, {1 << 40, "1,1 To", "1.1 TB"},
	} {
		if got := strings.ReplaceAll(fr.Size(tt.n), nbsp, " "); got != tt.fr {
			t.Errorf("%d: %q, want %q", tt.n, got, tt.fr)
		}
		if got := strings.ReplaceAll(en.Size(tt.n), nbsp, " "); got != tt.en {
			t.Errorf("%d: %q, want %q", tt.n, got, tt.en)
		}
	}
	if got := fr.Number(int32(930_000)); got != "930\u202f000" {
		t.Errorf("%q", got)
	}
	if got := en.Number(1_234_567); got != "1,234,567" {
		t.Errorf("%q", got)
	}
}

// Each address has one path, and the path leads back to it.
func TestPathsAndAddressesBelongTogether(t *testing.T) {
	ids := map[string]string{
		yearID.String(): "2026", monthID.String(): "2026-07", meetingID.String(): "2026-12-15-bureau-2", digestID.String(): strings.Repeat("ab", 32),
		byteID.String(): "f0", periodID.String(): "461",
	}
	files := map[string]Address{}
	for k := None + 1; k < last; k++ {
		if k == NoPage {
			continue
		}
		r := routeOf[k]
		if r.kind != k || k.String() == "" {
			t.Errorf("kind %d has no route or no name", k)
		}
		for _, l := range Langs {
			a := Address{Kind: k}.In(l)
			if r.id != nil {
				a.ID = ids[r.id.String()]
			}
			if got, ok := ParsePath(a.Path()); !ok || got != a {
				t.Errorf("%s is read as %+v, want %+v", a.Path(), got, a)
			}
			if other, twice := files[a.FileName()]; twice && other != a {
				t.Errorf("%+v and %+v are both in the file %s", a, other, a.FileName())
			}
			files[a.FileName()] = a
		}
	}
}

func TestRelativeLinks(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"index.html", "fr/index.html", "fr/index.html"},
		{"fr/index.html", "index.html", "../index.html"},
		{"fr/seances/2026.html", "fr/seances.html", "../seances.html"},
		{"fr/seances.html", "fr/seances/2026.html", "seances/2026.html"},
		{"fr/documents/ab/attestation.html", "page.css", "../../../page.css"},
		{"fr/a.html", "fr/a.html", "a.html"},
		{"fr/index.html", "", "../"},
	} {
		if got := relative(tt.from, tt.to); got != tt.want {
			t.Errorf("from %s to %s: %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

// Whatever visitors ask for, the cache stays within its bound, and keeps what is asked for often.
func TestTheCacheIsBounded(t *testing.T) {
	const most = 1 << 20
	c := newCache(most)
	now := time.Now()
	entry := func(size int) *kept {
		return &kept{answer: Answer{Body: make([]byte, size)}, made: now, keep: time.Hour}
	}
	c.put("often", entry(1000))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		c.put(fmt.Sprint(i%3000), entry(r.IntN(4000)))
		if c.get("often", 0, now) == nil {
			t.Fatalf("what is asked for often was given up after %d others", i)
		}
		if c.bytes > most {
			t.Fatalf("the cache holds %d bytes, at most %d are allowed", c.bytes, most)
		}
	}
	sum := 0
	for _, k := range c.of {
		sum += k.size()
	}
	if sum != c.bytes {
		t.Errorf("the cache counts %d bytes, and holds %d", c.bytes, sum)
	}
	if c.put("huge", entry(most)); c.get("huge", 0, now) != nil {
		t.Error("the cache keeps what is as large as itself")
	}
}

func TestWhatIsKeptIsRightForSomeTime(t *testing.T) {
	now := time.Now()
	k := &kept{made: now, keep: time.Minute, stale: 10 * time.Second, revision: 7}
	for _, tt := range []struct {
		revision uint64
		after    time.Duration
		want     bool
	}{{7, 0, true}, {7, 59 * time.Second, true}, {7, time.Minute, false}, {8, 9 * time.Second, true}, {8, 11 * time.Second, false}} {
		if got := k.fresh(tt.revision, now.Add(tt.after)); got != tt.want {
			t.Errorf("revision %d after %s: %t", tt.revision, tt.after, got)
		}
	}
}

// Whatever colour an authority has, its texts and links can be read.
func TestEveryColourCanBeRead(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 3000 {
		c := colour{r.Float64(), r.Float64(), r.Float64()}
		if i < 8 {
			c = colour{float64(i & 1), float64(i >> 1 & 1), float64(i >> 2 & 1)}
		}
		css := colourCSS(parseColour(c.String()))
		light, rest, _ := strings.Cut(css, "@media")
		dark, _, _ := strings.Cut(rest, "@media")
		for _, theme := range []struct {
			css     string
			grounds []colour
		}{{light, lightGrounds}, {dark, darkGrounds}} {
			if bar := contrast(valueOf(t, theme.css, "--accent"), valueOf(t, theme.css, "--on-accent")); bar < 4.5 {
				t.Errorf("%s: the bar has a contrast of %.2f", c, bar)
			}
			for _, ground := range theme.grounds {
				if link := contrast(valueOf(t, theme.css, "--link"), ground); link < 4.5 {
					t.Errorf("%s: a link on %s has a contrast of %.2f", c, ground, link)
				}
			}
		}
	}
}

// valueOf returns the value of a variable in a style sheet.
func valueOf(t *testing.T, css, name string) colour {
	t.Helper()
	_, value, ok := strings.Cut(css, name+": #")
	if !ok || len(value) < 6 {
		t.Fatalf("there is no %s in %s", name, css)
	}
	return parseColour("#" + value[:6])
}

// The colours of our own style sheet can be read, too.
func TestOurOwnColoursCanBeRead(t *testing.T) {
	light, rest, _ := strings.Cut(string(pageCSS), "@media (prefers-color-scheme: dark)")
	dark, _, _ := strings.Cut(rest, "/* Ground */")
	for name, css := range map[string]string{"light": light, "dark": dark} {
		for _, pair := range [][2]string{
			{"ink", "ground"}, {"ink", "sheet"}, {"ink", "mark"}, {"ink", "good-ground"}, {"ink", "wait-ground"}, {"ink", "bad-ground"},
			{"soft", "ground"}, {"soft", "sheet"}, {"soft", "good-ground"}, {"soft", "wait-ground"}, {"link", "ground"}, {"link", "sheet"}, {"link", "mark"},
			{"link", "good-ground"}, {"link", "wait-ground"}, {"good", "ground"}, {"good", "sheet"}, {"good", "good-ground"}, {"wait", "ground"}, {"wait", "sheet"},
			{"wait", "wait-ground"}, {"bad", "ground"}, {"bad", "sheet"}, {"bad", "bad-ground"}, {"on-accent", "accent"},
		} {
			if got := contrast(valueOf(t, css, "--"+pair[0]), valueOf(t, css, "--"+pair[1])); got < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", name, pair[0], pair[1], got)
			}
		}
	}
}

func TestTextsAreFormatted(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"## A *b*\n\nfirst\nsecond", "<h2>A *b*</h2>\n<p>first\nsecond</p>\n"},
		{"- a\n- **b**\n\nend", "<ul><li>a</li>\n<li><strong>b</strong></li>\n</ul>\n<p>end</p>\n"},
		{"1. a\n\n    code <b>\n\n2. c", "<ol start=\"1\"><li>a</li>\n</ol>\n<pre tabindex=\"0\"><code>code &lt;b&gt;\n</code></pre>\n<ol start=\"2\"><li>c</li>\n</ol>\n"},
		{"[x](https://a.example/?b&c) [y](javascript:alert(1)) `<i>`", "<p><a href=\"https://a.example/?b&amp;c\">x</a> [y](javascript:alert(1)) <code>&lt;i&gt;</code></p>\n"},
		{"<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"},
	} {
		if got := string(FormatText(tt.text)); got != tt.want {
			t.Errorf("%q:\n%q, want\n%q", tt.text, got, tt.want)
		}
	}
}

// FuzzFormatText makes sure that no text breaks out of its page.
func FuzzFormatText(f *testing.F) {
	for _, name := range textKinds {
		for _, l := range Langs {
			raw, err := builtinTexts.ReadFile("texts/" + name + "." + string(l) + ".md")
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(raw))
		}
	}
	f.Add("[a](https://x\"onclick=b) <p> **`x`** ` [](x)\n1. a\n    b\n- c\n\td")
	f.Fuzz(func(t *testing.T, text string) {
		out := string(FormatText(text))
		var open []string
		z := html.NewTokenizer(strings.NewReader(out))
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			token := z.Token()
			switch kind {
			case html.StartTagToken:
				open = append(open, token.Data)
				switch token.Data {
				case "p", "ul", "ol", "li", "pre", "code", "h2", "h3", "strong", "a":
				default:
					t.Fatalf("%q makes <%s>", text, token.Data)
				}
				for _, attr := range token.Attr {
					if attr.Key != "href" && attr.Key != "start" && attr.Key != "tabindex" || attr.Key == "href" && checkLink(attr.Val) != nil {
						t.Fatalf("%q makes %s=%q", text, attr.Key, attr.Val)
					}
				}
			case html.EndTagToken:
				if len(open) == 0 || open[len(open)-1] != token.Data {
					t.Fatalf("%q: </%s> ends %q", text, token.Data, open)
				}
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Fatalf("%q leaves %q open", text, open)
		}
	})
}

// FuzzParsePath makes sure that what is read as an address stays in its folder, and is written as
// it was read.
func FuzzParsePath(f *testing.F) {
	for _, path := range []string{"/fr/seances/2026-12-15", "/en/", "/documents/../x", "/entetes/1.headers", "/fr/documents/" + strings.Repeat("a", 64) + "/attestation"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		a, ok := ParsePath(path)
		if !ok {
			return
		}
		if a.Path() != path {
			t.Fatalf("%q is written as %q", path, a.Path())
		}
		if name := a.FileName(); strings.Contains(name, "..") || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\\\x00") {
			t.Fatalf("%q is in the file %q", path, name)
		}
	})
}
