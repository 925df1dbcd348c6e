package checktool

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/headers"
	"ancre/itest/harness/browser"
	"ancre/register/page/verifier"
)

// saved writes verifier.html, as a visitor saves it, and returns its address.
func saved(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "verifier.html")
	must(t, os.WriteFile(path, verifier.Offline(), 0o644))
	return "file://" + path
}

// The saved verifier needs nothing but what is picked by hand: all at once or one after the other.
func TestTheSavedVerifierWorksFromADisk(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	minutesProof := w.file(t, "proof.ots", w.minutes.proof)
	minutesReceipt := w.file(t, "minutes.receipt.json", w.minutes.receipt(t))
	newsProof := w.file(t, "news.pdf.ots", w.news.proof)
	window := w.file(t, "0.headers", w.window(0, tip).Encode())
	false1 := w.window(0, tip)
	false1.Raw[anchoredAt*headers.Size+40] ^= 1
	lie := w.file(t, "false.headers", false1.Encode())
	list := w.file(t, "list.json", s.listOf(w.minutes.hex()[:2], nil))
	tab := b.Open(t, browser.Wide)
	tab.Offline(true)
	page := saved(t)
	const begin = "By the proof that you gave: authentic and anchored"

	for _, c := range []struct {
		name            string
		files           []string
		result, because string
		heading         string
	}{
		{"all at once", []string{w.minutes.path, minutesProof, window}, "anchored", "given-anchored", begin},
		{"with a receipt", []string{w.minutes.path, minutesReceipt, window}, "anchored", "given-anchored", begin},
		{"without headers", []string{w.minutes.path, minutesProof}, "invalid", "unchecked", "cannot be checked"},
		{"without a proof", []string{w.minutes.path, window}, "unknown", "no-proof", "cannot be checked"},
		{"the proof of another file", []string{w.budget.path, minutesProof, window}, "invalid", "other-file", "Changed or invalid"},
		{"in a new block", []string{w.news.path, newsProof, window}, "pending", "few-blocks", "By the proof that you gave: authentic, proof pending"},
		{"false headers", []string{w.minutes.path, minutesProof, lie}, "invalid", "unchecked", "cannot be checked"},
		{"with the register's list", []string{w.minutes.path, window, list}, "anchored", "listed-anchored", "Authentic and anchored"},
	} {
		tab.Go(page + "?" + url.QueryEscape(c.name) + "#en")
		english(tab)
		tab.Upload(input, c.files...)
		f := one(tab)
		f.want(t, c.result, c.because, c.heading)
	}

	tab.Go(page + "?steps#en")
	english(tab)
	for i, step := range []struct{ file, because string }{{w.minutes.path, "no-proof"}, {minutesProof, "unchecked"}, {window, "given-anchored"}} {
		tab.Upload(input, step.file)
		tab.AwaitTrue(fmt.Sprint("step ", i), reports+`[0]?.dataset.because === '`+step.because+`'`)
	}
	tab.WantAccessible()
	for _, want := range []string{"Checked on", "without a server"} {
		tab.AwaitText("article", want)
	}
	tab.WantNoErrors()
}

// english removes the French half of the page, so that its selectors are clear.
func english(tab *browser.Tab) {
	tab.Helper()
	if !tab.Has("#en") || tab.Has("#fr") {
		tab.Error("the address #en does not show the English half alone")
	}
	browser.Eval[any](tab, `(document.getElementById('fr').remove(), 0)`)
}

// Files that do not fit into memory are hashed in pieces, by a worker where one may start: in the
// saved verifier too, whose script stands in the page.
func TestFilesAreHashedInPieces(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	content := bytes.Repeat([]byte("pieces"), 2<<20) // three pieces, of which the last one is not whole
	large := w.file(t, "large.bin", content)
	want := fmt.Sprintf("%x", sha256.Sum256(content))
	for _, address := range []string{saved(t), s.URL + "/fr/"} {
		tab := b.Open(t, browser.Wide)
		tab.Go(address)
		tab.WantAccessible()
		inPieces(tab)
		tab.Upload(input, large)
		if f := one(tab); f.Result != "unknown" || !strings.Contains(f.Text, want) {
			t.Errorf("%s: the tool says %s, without the digest %s:\n%s", address, f.Result, want, f.Text)
		}
		if n := browser.Eval[int](tab, "workers"); n != 1 {
			t.Errorf("%s: %d workers started, want 1", address, n)
		}
		tab.WantNoErrors()
	}
}

// inPieces has the tool hash files of any size in pieces, and counts the workers that start.
func inPieces(tab *browser.Tab) {
	tab.Helper()
	browser.Eval[any](tab, `(() => {
		globalThis.workers = 0;
		const Real = Worker;
		globalThis.Worker = class { constructor(address) { const w = new Real(address); workers++; return w; } };
		document.querySelector('ancre-verify').setAttribute('memory', '0');
	})()`)
}

// A page of a static export, opened from a disk, looks digests up in scripts beside it.
func TestAnExportFromADiskUsesTwins(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	dir := t.TempDir()
	write := func(name string, content []byte) {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, content, 0o644))
	}
	write(verifier.Tool, verifier.Script(verifier.Tool))
	for i := range 256 {
		first := fmt.Sprintf("%02x", i)
		write("empreintes/"+first+".js", fmt.Appendf(nil, "ancreTwin(%q,%s)\n", "empreintes/"+first, s.listOf(first, nil)))
	}
	window, err := json.Marshal(w.window(0, tip).Encode())
	must(t, err)
	write("entetes/0.js", fmt.Appendf(nil, "ancreTwin(%q,%s)\n", "entetes/0", window))
	write("fr/verifier.html", []byte(`<!doctype html><html lang="fr"><head><meta charset="utf-8"><title>Export</title>
<meta http-equiv="Content-Security-Policy" content="`+strings.TrimSuffix(policy, "; frame-ancestors 'none'")+`">
<script src="../ancre-verify.js" defer></script></head><body><main><h1>Export</h1><ancre-verify base="../"></ancre-verify></main></body></html>`))
	tab := b.Open(t, browser.Wide)
	tab.Go("file://" + dir + "/fr/verifier.html")
	tab.Upload(input, w.minutes.path, w.news.path, w.file(t, "x", []byte("x")))
	all := results(tab)
	if len(all) != 3 || all[0].Result != "anchored" || all[1].Because != "few-blocks" || all[2].Because != "not-listed" {
		t.Errorf("the tool says %+v", all)
	}
	tab.WantNoErrors()
	must(t, os.Remove(filepath.Join(dir, "entetes/0.js")))
	tab.Go("file://" + dir + "/fr/verifier.html")
	tab.Upload(input, w.minutes.path)
	one(tab).want(t, "invalid", "unchecked", "impossible")
}

// On the authority's own site the element works across origins, with a policy that names the
// register, and only as the script that the snippet names.
func TestTheElementWorksOnAnotherSite(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	snippet := verifier.Snippet(parsed(t, s.URL), "fr", "regtest")
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Security-Policy", "default-src 'none'; script-src "+s.URL+"; connect-src "+s.URL)
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(rw, "<!doctype html><html lang=fr><title>Mairie</title><main><h1>Mairie</h1>"+snippet+"</main>")
	}))
	t.Cleanup(site.Close)
	tab := b.Open(t, browser.Wide)
	tab.Allow(site.URL)
	tab.Allow(s.URL)
	tab.Go(site.URL + "/")
	tab.Upload(input, w.minutes.path)
	one(tab).want(t, "anchored", "listed-anchored", "Authentique et ancré")
	inPieces(tab)
	tab.Upload(input, w.budget.path)
	one(tab).want(t, "anchored", "listed-anchored", "Authentique et ancré")
	if n := browser.Eval[int](tab, "workers"); n != 0 {
		t.Errorf("%d workers started on another site", n)
	}

	s.behave(behaviour{answer: func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/"+verifier.Tool {
			return false
		}
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = rw.Write(append([]byte("/* changed */"), verifier.Script(verifier.Tool)...))
		return true
	}})
	other := b.Open(t, browser.Wide)
	other.Allow(site.URL)
	other.Allow(s.URL)
	other.Go(site.URL + "/?changed")
	if browser.Eval[bool](other, `!!customElements.get('ancre-verify')`) {
		t.Error("a changed script runs")
	}
}

func parsed(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u
}
