package itest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ancre/itest/harness/browser"
)

// tool is the check tool on the page.
const tool = "ancre-verify"

// results are the four results, in the words of each language.
var results = map[string]map[string]string{
	"en": {"anchored": "Authentic and anchored", "pending": "Authentic, proof pending", "unknown": "Not in this register", "invalid": "Changed or invalid"},
	"fr": {"anchored": "Authentique et ancré", "pending": "Authentique, preuve en attente", "unknown": "Absent de ce registre", "invalid": "Modifié ou invalide"},
}

// toolPages are where the tool is, in each language.
var toolPages = map[string]string{"en": "/en/check", "fr": "/fr/verifier"}

// checks are files that a citizen may have, and what the tool must say of them.
func (p publicPage) checks() []check {
	right, next := p.named("2026-041-tarifs-cantine.pdf"), p.named("convocation-prochaine.pdf")
	dir := p.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		p.must(os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	proof, found, err := p.lookUp(p.ctx, right.digest)
	if err != nil || !found {
		p.Fatalf("no proof of %s: %v", right.name, err)
	}
	raw, err := base64.StdEncoding.DecodeString(proof.OTS)
	p.must(err)
	forged := slices.Clone(raw)
	forged[len(forged)/2] ^= 1
	return []check{
		{"anchored", "a published document", []string{right.path}, []string{right.digest, fmt.Sprint(proof.Height)}},
		{"anchored", "a document with its proof", []string{right.path, file("right.ots", string(raw))}, nil},
		{"anchored", "a document that was replaced", []string{file("old.pdf", p.changed[0].content)}, []string{p.changed[1].digest}},
		{"pending", "a document of the next meeting", []string{next.path}, nil},
		{"pending", "a document in a young block", []string{p.changed[1].path}, nil},
		{"unknown", "a changed document", []string{file("changed.pdf", right.content+".")}, nil},
		{"unknown", "a document that is not published", []string{p.named("rapport-agent-confidentiel.pdf").path}, nil},
		{"unknown", "an empty file", []string{file("empty", "")}, nil},
		{"invalid", "a changed document with the proof of the right one", []string{file("changed too.pdf", right.content+"!"), file("of the right one.ots", string(raw))}, []string{right.digest}},
		{"invalid", "a document with a proof that was changed", []string{right.path, file("forged.ots", string(forged))}, nil},
	}
}

// check is what the tool must say of files.
type check struct {
	result, name string
	files        []string
	says         []string // these words too
}

func (p publicPage) fourResults() {
	chromium := browser.Start(p)
	for lang, path := range toolPages {
		tab := chromium.Open(p, browser.Wide)
		for _, c := range p.checks() {
			tab.Go(p.site.base + path)
			tab.Upload("input[type=file]", c.files...)
			said := tab.AwaitText(tool, results[lang][c.result])
			for other, words := range results[lang] {
				if other != c.result && strings.Contains(said, words) {
					p.Errorf("%s, in %s: %q too:\n%s", c.name, lang, words, said)
				}
			}
			for _, words := range c.says {
				if !strings.Contains(squeezed(said), squeezed(words)) {
					p.Errorf("%s, in %s: no word of %s:\n%s", c.name, lang, words, said)
				}
			}
		}
		p.wantWithdrawn(tab, lang)
		tab.WantAccessible()
		tab.Resize(browser.Narrow)
		if wide := tab.TooWide(); len(wide) > 0 {
			p.Errorf("the result is too wide: %q", wide)
		}
		tab.WantNoErrors()
	}
}

// withdrawnWords are what the tool says of a document that was taken off line. The register offers
// its proof no longer.
var withdrawnWords = map[string]string{"en": "The authority withdrew this document", "fr": "a retiré ce document"}

func (p publicPage) wantWithdrawn(tab *browser.Tab, lang string) {
	p.Helper()
	tab.Go(p.site.base + toolPages[lang])
	tab.Upload("input[type=file]", p.withdrawn.path)
	said := tab.AwaitText(tool, withdrawnWords[lang])
	if strings.Contains(said, results[lang]["anchored"]) {
		p.Errorf("a withdrawn document, without its proof, is called\n%s", said)
	}
}

// toolWorksFromTheKeyboard checks a file, and a digest, with no mouse.
func (p publicPage) toolWorksFromTheKeyboard() {
	right := p.named("2026-042-rue-eglise.pdf")
	tab := browser.Start(p).Open(p, browser.Wide)
	tab.Go(p.site.base + toolPages["en"])
	tab.TabTo("button", "Choose the file to check")
	tab.Choose(func() { tab.Press("Enter") }, right.path)
	tab.AwaitText(tool, results["en"]["anchored"])
	if said := tab.AwaitText(`[role=status]`, right.name); !strings.Contains(said, strings.ToLower(results["en"]["anchored"])) {
		p.Errorf("a screen reader hears %q", said)
	}
	tab.TabTo("button", "Start again")
	tab.Press("Enter")
	if f := tab.Focused(); f.Role != "button" || !strings.Contains(f.Name, "Choose") {
		p.Errorf("after starting again the focus is on %s", f)
	}
	// The field for a digest is folded.
	tab.TabTo("DisclosureTriangle", "fingerprint")
	tab.Press("Enter", "Tab")
	tab.Type(strings.ToUpper(right.digest))
	tab.Press("Enter")
	tab.AwaitText(tool, results["en"]["anchored"])
	tab.Drop(".drop", p.named("convocation-prochaine.pdf").path)
	tab.AwaitText(tool, results["en"]["pending"])
	tab.WantNoErrors()
}

// toolTellsOneByte checks three files of which the digests begin with the same byte: one that is
// listed, one that is not published, and one that does not exist. The server must not see which of
// them it was.
func (p publicPage) toolTellsOneByte() {
	right := p.named("2026-043-subventions.pdf") // the tool needs headers for it
	other := filepath.Join(p.TempDir(), "other.pdf")
	for i := 0; ; i++ {
		content := fmt.Append(nil, "file ", i)
		if fmt.Sprintf("%x", sha256.Sum256(content))[:2] == right.digest[:2] {
			p.must(os.WriteFile(other, content, 0o600))
			break
		}
	}
	asked := func(file, result string) (all []string) {
		tab := browser.Start(p).Open(p, browser.Wide)
		tab.Go(p.site.base + toolPages["en"])
		tab.Upload("input[type=file]", file)
		tab.AwaitText(tool, results["en"][result])
		for _, r := range tab.Requests() {
			if strings.Contains(r.URL, "/empreintes/") || r.Kind == "Fetch" || r.Kind == "XHR" {
				all = append(all, r.Method+" "+strings.TrimPrefix(r.URL, p.site.base))
			}
			if r.Method != "GET" {
				p.Errorf("the tool sent %s %s", r.Method, r.URL)
			}
		}
		slices.Sort(all)
		return all
	}
	one, two := asked(right.path, "anchored"), asked(other, "unknown")
	if !slices.Equal(one, two) || !slices.Contains(one, "GET /empreintes/"+right.digest[:2]+".json") {
		p.Errorf("for a listed file the tool asks %q\nfor another one that begins with the same byte %q", one, two)
	}
}
