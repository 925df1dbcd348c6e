package browser

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// Request is one request of a page, as it was sent.
type Request struct {
	Method, URL string
	Kind        string // as DevTools names it: Document, Script, Stylesheet, Fetch, …
	Status      int    // of the answer; 0: none came
}

// watch notes what a tab asks for, and what goes wrong in it.
type watch struct {
	proxy net.Listener // gets what the tab sends to other machines

	mu       sync.Mutex
	origins  []string // that the tab may ask
	requests []Request
	byID     map[network.RequestID]int // index in requests
	errors   []string
	foreign  []string
	proxied  sync.WaitGroup
}

func newWatch() (*watch, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &watch{proxy: l, byID: make(map[network.RequestID]int)}
	w.proxied.Go(w.refuse)
	return w, nil
}

// refuse is the proxy: Chromium asks loopback itself, and everything else through here.
func (w *watch) refuse() {
	for {
		conn, err := w.proxy.Accept()
		if err != nil {
			return // closed
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		w.mu.Lock()
		w.foreign = append(w.foreign, strings.TrimSpace(line))
		w.mu.Unlock()
		fmt.Fprint(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		conn.Close()
	}
}

// close returns the requests for other hosts.
func (w *watch) close() []string {
	w.proxy.Close()
	w.proxied.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.foreign
}

// begin allows the origin of the tab's first page.
func (w *watch) begin(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.origins) == 0 {
		w.origins = append(w.origins, originOf(address))
	}
}

func (w *watch) allow(origin string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.origins = append(w.origins, origin)
}

// see takes each event of the tab. It must not wait for the tab.
func (w *watch) see(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		w.byID[e.RequestID] = len(w.requests)
		w.requests = append(w.requests, Request{Method: e.Request.Method, URL: e.Request.URL, Kind: string(e.Type)})
		// What goes to another machine comes to the proxy; another port of this one does not.
		if origin := originOf(e.Request.URL); strings.HasPrefix(origin, "http") && !slices.Contains(w.origins, origin) {
			w.foreign = append(w.foreign, e.Request.Method+" "+e.Request.URL)
		}
	case *network.EventResponseReceived:
		if i, ok := w.byID[e.RequestID]; ok {
			w.requests[i].Status = int(e.Response.Status)
		}
	case *runtime.EventExceptionThrown:
		w.errors = append(w.errors, thrown(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var text []string
			for _, arg := range e.Args {
				text = append(text, strings.Trim(string(arg.Value), `"`)+arg.Description)
			}
			w.errors = append(w.errors, strings.Join(text, " "))
		}
	case *log.EventEntryAdded: // what the browser itself says: a refused script, an answer 404
		if e.Entry.Level == log.EntryLevelError {
			w.errors = append(w.errors, strings.TrimSpace(e.Entry.Text+" "+e.Entry.URL))
		}
	}
}

func thrown(d *runtime.ExceptionDetails) string {
	if d.Exception != nil && d.Exception.Description != "" {
		return d.Exception.Description
	}
	return d.Text
}

// said returns the errors so far, to be added to a message.
func (w *watch) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errors) == 0 {
		return ""
	}
	return "\nthe console says:\n" + strings.Join(w.errors, "\n")
}

// Requests returns what the tab asked for so far, oldest first. Those of a worker are not among
// them, but a worker cannot ask another host without failing the test.
func (t *Tab) Requests() []Request {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	return slices.Clone(t.watch.requests)
}

// Errors returns what the console shows as errors so far: exceptions, failed requests, violations
// of the content security policy.
func (t *Tab) Errors() []string {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	return slices.Clone(t.watch.errors)
}

// WantNoErrors wants a console without errors.
func (t *Tab) WantNoErrors() {
	t.Helper()
	for _, e := range t.Errors() {
		t.Errorf("the console says: %s", e)
	}
}

// Forget forgets requests, errors and hosts asked so far, for a test that wanted them. It returns
// the requests for other hosts.
func (t *Tab) Forget() (foreign []string) {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	foreign = t.watch.foreign
	t.watch.requests, t.watch.errors, t.watch.foreign = nil, nil, nil
	clear(t.watch.byID)
	return foreign
}
