package attestation

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/register/store"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

// facts are those of a file that was anchored in Bitcoin in 2015.
func facts(t *testing.T) Facts {
	ots, err := os.ReadFile("../../../proof/testdata/valid/hello-world.ots")
	if err != nil {
		t.Fatal(err)
	}
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return Facts{
		Authority: "Ville de L’Haÿ-les-Roses", Network: "mainnet", Zone: paris,
		Title: "Délibération nº 12 « cœur de ville » : 1 000 €", Kind: "délibération", Number: "2026-12", Meeting: "Conseil municipal du 15 décembre 2026",
		FileName: "hello world.txt", Size: 13, Digest: sha256.Sum256([]byte("Hello World!\n")),
		OnlineSince: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC),
		Proof: store.Proof{
			State: store.Complete, Height: 358391, BlockHash: strings.Repeat("0", 24) + strings.Repeat("7e", 20),
			AddedAt: time.Date(2015, 5, 28, 12, 0, 0, 0, time.UTC), BlockTime: time.Date(2015, 5, 28, 15, 41, 18, 0, time.UTC),
		},
		OTS: ots, Permalink: "https://preuves.example.fr/documents/" + strings.Repeat("ab", 32), Verifier: "https://preuves.example.fr/verifier.html",
	}
}

func write(t *testing.T, f Facts, lang string) *Text {
	t.Helper()
	a, err := New(f, lang)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// all returns every word of an attestation.
func all(a *Text) string {
	words := []string{a.Title, a.Subject, a.Verdict, a.QRLabel}
	for _, s := range a.Sections {
		words = append(append(append(words, s.Heading), s.Paragraphs...), s.Points...)
		for _, r := range s.Rows {
			words = append(words, r.Name, r.Value)
		}
	}
	return strings.Join(words, "\n")
}

func TestItNamesTheBlockFirst(t *testing.T) {
	for lang, want := range map[string][]string{
		"fr": {"avant le bloc 358\u00a0391 de la chaîne Bitcoin", "28/05/2015 17:41:18 (Europe/Paris)", "2015-05-28 15:41:18 UTC", "qualifié", "article 42"},
		"en": {"before block 358,391 of the Bitcoin chain", "28 May 2015 17:41:18 (Europe/Paris)", "2015-05-28 15:41:18 UTC", "qualified", "article 42"},
	} {
		text := all(write(t, facts(t), lang))
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing in:\n%s", lang, w, text)
			}
		}
	}
}

// An attestation says nothing of a block before the proof leads to it, and on a test network says
// that it proves nothing.
func TestItSaysNoMoreThanTheProof(t *testing.T) {
	pending := facts(t)
	pending.Proof.State = store.Pending
	mined := facts(t)
	mined.Proof.State = store.Mined
	trial := facts(t)
	trial.Network = "regtest"
	for _, c := range []struct {
		name           string
		facts          Facts
		french, lacked string
	}{
		{"pending", pending, "Preuve en attente", "existait, à l’octet près"},
		{"mined", mined, "n’est pas encore définitif", "existait, à l’octet près"},
		{"trial", trial, "sans valeur de preuve", "existait, à l’octet près"},
	} {
		a := write(t, c.facts, "fr")
		if !strings.Contains(a.Verdict, c.french) || strings.Contains(a.Verdict, c.lacked) {
			t.Errorf("%s: the verdict is %q", c.name, a.Verdict)
		}
	}
	if text := all(write(t, pending, "en")); strings.Contains(text, "358,391") {
		t.Errorf("a pending attestation names a block:\n%s", text)
	}
}

func TestFactsThatContradictTheProof(t *testing.T) {
	other := facts(t)
	other.Digest[0]++
	height := facts(t)
	height.Proof.Height++
	none := facts(t)
	none.OTS = nil
	damaged := facts(t)
	damaged.OTS = damaged.OTS[:len(damaged.OTS)-1]
	for name, c := range map[string]struct {
		facts Facts
		want  string
	}{
		"another document's proof": {other, "and not of"},
		"another block":            {height, "does not lead to block 358392"},
		"no proof":                 {none, "needs its proof"},
		"a damaged proof":          {damaged, "the proof of"},
	} {
		if _, err := New(c.facts, "fr"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(facts(t), "de"); err == nil {
		t.Error("an attestation in a language that it does not have")
	}
}

func TestBothLanguagesSayTheSame(t *testing.T) {
	fr, en := write(t, facts(t), "fr"), write(t, facts(t), "en")
	for i, s := range fr.Sections {
		e := en.Sections[i]
		if len(s.Paragraphs) != len(e.Paragraphs) || len(s.Points) != len(e.Points) || len(s.Rows) != len(e.Rows) || s.Numbered != e.Numbered {
			t.Errorf("section %d differs: %d paragraphs, %d rows, %d points in French, %d, %d, %d in English", i,
				len(s.Paragraphs), len(s.Rows), len(s.Points), len(e.Paragraphs), len(e.Rows), len(e.Points))
		}
	}
}

func TestThePDFIsTheSameEachTime(t *testing.T) {
	first, err := write(t, facts(t), "fr").PDF()
	if err != nil {
		t.Fatal(err)
	}
	again, err := write(t, facts(t), "fr").PDF()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, again) {
		t.Error("two PDFs of one attestation differ")
	}
	other := facts(t)
	other.Title += "!"
	if b, err := write(t, other, "fr").PDF(); err != nil || bytes.Equal(first, b) {
		t.Errorf("the PDF of another attestation is the same: %v", err)
	}
}

// Other people's programs read the PDF: its text, its fonts, and the proof inside.
func TestOtherProgramsReadThePDF(t *testing.T) {
	for _, tool := range []string{"pdftotext", "pdffonts", "pdfdetach", "qpdf"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not on PATH (Debian: poppler-utils, qpdf)", tool)
		}
	}
	dir := t.TempDir()
	f := facts(t)
	b, err := write(t, f, "fr").PDF()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "attestation.pdf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	run("qpdf", "--check", path)
	text := strings.ReplaceAll(run("pdftotext", "-layout", path, "-"), nbsp, " ")
	for _, want := range []string{"L’Haÿ-les-Roses", "cœur de ville", "1 000 €", "358 391", f.Digest.String()} {
		if !strings.Contains(text, want) {
			t.Errorf("the text of the PDF lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(run("pdffonts", path)) {
		if strings.Contains(line, "TrueType") && !strings.Contains(line, "yes") {
			t.Errorf("a font is not embedded: %s", line)
		}
	}
	run("pdfdetach", "-saveall", "-o", dir, path)
	if ots, err := os.ReadFile(filepath.Join(dir, f.Digest.String()+".ots")); err != nil || !bytes.Equal(ots, f.OTS) {
		t.Errorf("the attached proof: %v, %d bytes", err, len(ots))
	}
}

// Names come from outside. None breaks the sheet, and none leaves its place on it.
func TestHostileNamesMakeAPDF(t *testing.T) {
	for _, name := range []string{
		"", " ", "<img src=x onerror=alert(1)>.pdf", "\u202egnp.exe", strings.Repeat("W", 255), strings.Repeat("a b ", 63),
		"日本語.pdf", "🏛.pdf", "\x00\x1b[31m", "a\nb\tc", "-rf", "it's", string([]byte{0xff, 0xfe}), "e\u0301", ") Tj (", "\\(",
	} {
		f := facts(t)
		f.Title, f.FileName, f.Authority, f.Meeting, f.Number = name, name, name, name, name
		for _, lang := range []string{"fr", "en"} {
			if b, err := write(t, f, lang).PDF(); err != nil || !bytes.HasPrefix(b, []byte("%PDF-")) {
				t.Errorf("%q in %s: %v", name, lang, err)
			}
		}
	}
	if got := drawable("a\u202eb🏛\x1b"); got != "a?b??" {
		t.Errorf("drawn as %q", got)
	}
}

func TestCommandsAreOneWordForTheShell(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf":  "report.pdf",
		"hello world": "'hello world'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "-rf": "./'-rf'", "": "''",
	} {
		if got := shellName(name); got != want {
			t.Errorf("%q is written %s, not %s", name, got, want)
		}
	}
}

// What is drawn is looked up in one font for all.
func TestTheFontsHaveTheSameCharacters(t *testing.T) {
	var fonts []*sfnt.Font
	for _, ttf := range [][]byte{goregular.TTF, gobold.TTF, gomono.TTF} {
		f, err := sfnt.Parse(ttf)
		if err != nil {
			t.Fatal(err)
		}
		fonts = append(fonts, f)
	}
	var b sfnt.Buffer
	known := 0
	for r := rune(' '); r < 0x3000; r++ {
		have := hasGlyph(r)
		if have {
			known++
		}
		for i, f := range fonts {
			if g, err := f.GlyphIndex(&b, r); (err == nil && g != 0) != have {
				t.Errorf("font %d differs in %U", i, r)
			}
		}
	}
	if known < 600 {
		t.Errorf("only %d characters can be drawn", known)
	}
}
