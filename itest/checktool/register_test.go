package checktool

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"ancre/itest/harness/browser"
	"ancre/register/page/verifier"
)

// policy is the content security policy of the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// entry is one digest of a list.
type entry map[string]any

// behaviour is how a register answers. The zero value is honest.
type behaviour struct {
	// list changes a list before it is sent, window a window, and answer answers by itself what
	// it likes. Each may be nil.
	list   func(first string, l map[string]any)
	window func(data []byte) []byte
	answer func(rw http.ResponseWriter, r *http.Request) bool

	attributes string // of the element
}

// server is a register's page.
type server struct {
	*httptest.Server
	t testing.TB
	w *world

	mu    sync.Mutex
	does  behaviour
	asked []string // paths
}

// behave changes how the server answers from now on.
func (s *server) behave(b behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.does = b
}

// serve starts a register.
func serve(t testing.TB, w *world) *server {
	t.Helper()
	s := &server{t: t, w: w}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if r.URL.Path != "/favicon.ico" { // Chromium asks for it, whenever it likes
		s.asked = append(s.asked, r.URL.Path)
	}
	does := s.does
	s.mu.Unlock()
	rw.Header().Set("Access-Control-Allow-Origin", "*")
	var first string
	var period int
	switch path := r.URL.Path; {
	case does.answer != nil && does.answer(rw, r):
	case path == "/fr/" || path == "/en/":
		rw.Header().Set("Content-Security-Policy", policy)
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		must(s.t, pageTemplate.Execute(rw, map[string]any{"Lang": strings.Trim(path, "/"), "Attributes": template.HTMLAttr(does.attributes)}))
	case path == "/"+verifier.Tool:
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = rw.Write(verifier.Script(verifier.Tool))
	case scan(path, "/empreintes/%2s.json", &first):
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(s.listOf(first, does.list))
	case scan(path, "/entetes/%d.headers", &period):
		win := s.w.period(period)
		if win == nil {
			http.NotFound(rw, r)
			return
		}
		data := win.Encode()
		if does.window != nil {
			data = does.window(data)
		}
		rw.Header().Set("Content-Type", "application/octet-stream")
		_, _ = rw.Write(data)
	case path == "/favicon.ico":
		rw.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(rw, r)
	}
}

func scan(path, format string, into any) bool {
	_, err := fmt.Sscanf(path, format, into)
	return err == nil && fmt.Sprintf(strings.Replace(format, "%2s", "%s", 1), deref(into)) == path
}

func deref(p any) any {
	switch p := p.(type) {
	case *string:
		return *p
	case *int:
		return *p
	}
	return nil
}

// listOf is the list of the digests with that first byte.
func (s *server) listOf(first string, change func(string, map[string]any)) []byte {
	digests := make(map[string]any)
	for _, d := range s.w.documents() {
		if !strings.HasPrefix(d.hex(), first) {
			continue
		}
		e := entry{
			"kind": "minutes", "title": "Title of " + d.name, "file_name": d.name, "meeting": "2026-12-15", "state": d.state,
			"online_since": "2026-12-16T08:00:00Z", "page": "/fr/documents/" + d.hex(),
		}
		if d.proof != nil {
			e["ots"] = base64.StdEncoding.EncodeToString(d.proof)
		}
		if d.height > 0 {
			e["height"] = d.height
		}
		digests[d.hex()] = e
	}
	l := map[string]any{"first": first, "network": "regtest", "digests": digests}
	if change != nil {
		change(first, l)
	}
	data, err := json.Marshal(l)
	must(s.t, err)
	return data
}

// entryOf is a document's entry in a list, nil if it is not there.
func entryOf(l map[string]any, d *document) entry {
	e, _ := l["digests"].(map[string]any)[d.hex()].(entry)
	return e
}

// pageTemplate is a page with the tool, and what stands there without scripts.
var pageTemplate = template.Must(template.New("").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Check</title><script src="/ancre-verify.js" defer></script></head>
<body><main><h1>Check a file</h1>
<ancre-verify {{.Attributes}}><p>Without scripts: <code>sha256sum FILE</code></p></ancre-verify>
</main></body></html>
`))

// finding is what the tool says of a file.
type finding struct {
	Result, Because, Confirmed, Heading, Text string
}

// reports is an expression for the reports on the page.
const reports = `[...document.querySelector('ancre-verify').shadowRoot.querySelectorAll('article')]`

// results waits until the tool has finished, and returns what it says.
func results(tab *browser.Tab) []finding {
	tab.Helper()
	tab.AwaitTrue("the end of the check", `(() => {
		const r = document.querySelector('ancre-verify').shadowRoot;
		return r.querySelector('.work').hidden && r.querySelector('[role=status]').textContent !== '';
	})()`)
	return browser.Eval[[]finding](tab, reports+`.map((a) => ({Result: a.dataset.result, Because: a.dataset.because, Confirmed: a.dataset.confirmed,
		Heading: a.querySelector('h2,h3,h4').textContent, Text: a.innerText}))`)
}

// one is results for a single report.
func one(tab *browser.Tab) finding {
	tab.Helper()
	all := results(tab)
	if len(all) != 1 {
		tab.Fatalf("%d reports, want one: %+v; the status says %q", len(all), all, tab.Text("[role=status]"))
	}
	return all[0]
}

// want compares a report with what is expected, "" for what does not matter.
func (f finding) want(t testing.TB, result, because, heading string) {
	t.Helper()
	if f.Result != result || f.Because != because || !strings.Contains(f.Heading, heading) {
		t.Errorf("the tool says %s, because %s, under %q; want %s, because %s, under %q\n%s", f.Result, f.Because, f.Heading, result, because, heading, f.Text)
	}
}

func serialized(t testing.TB, tx *wire.MsgTx) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, tx.SerializeNoWitness(&b))
	return b.Bytes()
}

// take returns the paths that were asked for, and forgets them.
func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}
