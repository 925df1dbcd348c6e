package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"ancre/register/store"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// Bounds of the work that visitors can cause.
const (
	renderTime  = 20 * time.Second // an answer may take
	waitTime    = 5 * time.Second  // a request waits until its answer is begun
	maxWaiting  = 256              // requests that wait
	searchSlots = 2
	dataSlots   = 2
	keepStream  = 10 * time.Minute
	staleStream = 30 * time.Second // the whole register is not written again at each change
)

// server is the part of a Page that answers requests.
type server struct {
	cache    *cache
	flight   singleflight.Group
	renders  slots
	searches slots
	data     slots
	failures rate.Sometimes // logs at most one failure a second
}

func newServer() *server {
	return &server{
		cache: newCache(cacheBytes), renders: newSlots(2 * runtime.GOMAXPROCS(0)), searches: newSlots(searchSlots), data: newSlots(dataSlots),
		failures: rate.Sometimes{Interval: time.Second},
	}
}

// slots bound how much happens at once, and how much waits for it.
type slots struct {
	running, waiting chan struct{}
}

func newSlots(n int) slots {
	return slots{running: make(chan struct{}, n), waiting: make(chan struct{}, n+maxWaiting)}
}

// do calls f when there is a place for it. ErrBusy says that there is none, and f was not called.
func (s slots) do(ctx context.Context, f func() error) error {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return ErrBusy
	}
	timer := time.NewTimer(waitTime)
	defer timer.Stop()
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
		return f()
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// request is a request that is being answered.
type request struct {
	w     http.ResponseWriter
	r     *http.Request
	began time.Time
}

// ServeHTTP implements [http.Handler]. It uses neither the host that a request names nor anything
// else of it but method, path, the query of a search, and the headers of languages and caches.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{w: w, r: r, began: time.Now()}
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			// The value is not logged: it may hold what a visitor sent.
			p.log.Error("the page panicked; this is a defect of ancre-register", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			p.plain(q, http.StatusInternalServerError, "internal error")
		}
	}()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.otherMethod(q)
		return
	}
	path := r.URL.Path
	if k := p.server.cache.get(path, p.source.Revision(), q.began); k != nil && (k.kind != Search || r.URL.RawQuery == "") {
		p.send(q, k)
		return
	}
	a, ok := ParsePath(path)
	if !ok {
		p.elsewhere(q)
		return
	}
	switch a.Kind {
	case Root:
		p.redirect(q, Address{Kind: Home, Lang: p.preferred(r)}.Path(), http.StatusFound)
		return
	case Permalink:
		p.redirect(q, Address{Kind: Document, Lang: p.preferred(r), ID: a.ID}.Path(), http.StatusFound)
		return
	case Health:
		p.plain(q, http.StatusOK, "ok")
		return
	case Embed:
		// The snippet of the authority's site names the language; a visitor who comes alone is
		// asked.
		switch a.Lang = Lang(r.URL.Query().Get("lang")); a.Lang {
		case French, English:
		default:
			a.Lang = p.preferred(r)
		}
	case Search:
		if a.Query = r.URL.RawQuery; a.Query != "" {
			p.searchNow(q, a)
			return
		}
	}
	p.render(q, a)
}

// render makes an answer, keeps it, and sends it. Requests for the same address share the work.
func (p *Page) render(q *request, a Address) {
	path := a.path()
	if a.Kind == NoPage || a.Kind == Embed { // their paths do not tell all of them apart
		path = "\x00" + a.Kind.String() + string(a.Lang)
		if k := p.server.cache.get(path, p.source.Revision(), q.began); k != nil {
			p.send(q, k)
			return
		}
	}
	v, err, _ := p.server.flight.Do(path, func() (any, error) {
		// The work goes on if the visitor who caused it leaves: others may wait for it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(q.r.Context()), renderTime)
		defer cancel()
		var k *kept
		err := p.server.renders.do(ctx, func() (err error) {
			k, err = p.make(ctx, a)
			return err
		})
		if err == nil && k.answer.Content == nil && k.answer.Stream == nil {
			p.server.cache.put(path, k)
		}
		return k, err
	})
	if err != nil {
		p.fail(q, a, err)
		return
	}
	k := v.(*kept)
	switch {
	case k.answer.Content != nil:
		// The file that was opened belongs to one request. The others open it again.
		p.sendFile(q, a)
	case k.answer.Stream != nil:
		p.sendStream(q, a)
	default:
		p.send(q, k)
	}
}

// make renders an address for sending.
func (p *Page) make(ctx context.Context, a Address) (*kept, error) {
	revision, made := p.source.Revision(), time.Now() // before it is read: a change meanwhile makes the answer old
	answer, err := p.Render(ctx, a, p.ServerLinks())
	if err != nil {
		return nil, err
	}
	if answer.Content != nil {
		answer.Content.Close()
	}
	k := &kept{answer: answer, kind: a.Kind, revision: revision, made: made, keep: keepPage}
	switch a.Kind {
	case Home, Headers: // they show the newest block, which is not part of the revision
		k.keep = 5 * time.Second
	}
	if answer.Forever {
		k.keep = time.Hour
	}
	k.finish(p)
	return k, nil
}

// searchNow answers a search. What a visitor searches for is not kept.
func (p *Page) searchNow(q *request, a Address) {
	ctx, cancel := context.WithTimeout(q.r.Context(), renderTime)
	defer cancel()
	var k *kept
	err := p.server.searches.do(ctx, func() (err error) {
		k, err = p.make(ctx, a)
		return err
	})
	if err != nil {
		p.fail(q, a, err)
		return
	}
	p.send(q, k)
}

// sendStream sends an answer that holds the whole register. It is kept compressed, so a slow
// visitor occupies no reader of the database.
func (p *Page) sendStream(q *request, a Address) {
	key := "\x00" + a.path()
	k := p.server.cache.get(key, p.source.Revision(), q.began)
	if k == nil {
		v, err, _ := p.server.flight.Do(key, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(q.r.Context()), keepStream)
			defer cancel()
			var k *kept
			err := p.server.data.do(ctx, func() (err error) {
				k, err = p.makeStream(ctx, a)
				return err
			})
			if err == nil {
				p.server.cache.put(key, k)
			}
			return k, err
		})
		if err != nil {
			p.fail(q, a, err)
			return
		}
		k = v.(*kept)
	}
	p.send(q, k)
}

// maxStream is how much the whole register may take, compressed. One of 100,000 documents takes
// some 8 MB.
const maxStream = 64 << 20

// makeStream writes the whole register, compressed.
func (p *Page) makeStream(ctx context.Context, a Address) (*kept, error) {
	revision, made := p.source.Revision(), time.Now()
	answer, err := p.Render(ctx, a, p.ServerLinks())
	if err != nil {
		return nil, err
	}
	var b limitedBuffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := answer.Stream(z); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	answer.Stream = nil
	answer.ETag = etagOf(b.Bytes())
	k := &kept{answer: answer, kind: a.Kind, revision: revision, made: made, keep: keepStream, stale: staleStream, zipped: b.Bytes()}
	k.finish(p)
	return k, nil
}

// limitedBuffer is a buffer that does not take more than maxStream.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(piece []byte) (int, error) {
	if b.Len()+len(piece) > maxStream {
		return 0, errors.New("the register is too large to be sent as one file: make an export")
	}
	return b.Buffer.Write(piece)
}

// sendFile sends a document.
func (p *Page) sendFile(q *request, a Address) {
	answer, err := p.Render(q.r.Context(), a, p.ServerLinks())
	if err != nil {
		p.fail(q, a, err)
		return
	}
	defer answer.Content.Close()
	k := &kept{answer: answer, kind: a.Kind}
	for name, values := range k.headers(p, false) {
		q.w.Header()[name] = values
	}
	q.w.Header().Del("Content-Length")
	http.ServeContent(q.w, q.r, "", time.Time{}, answer.Content)
}

// send sends an answer that is kept: as a whole, or that the visitor has it already.
func (p *Page) send(q *request, k *kept) {
	zipped := k.zipped != nil && acceptsGzip(q.r.Header.Get("Accept-Encoding"))
	h := q.w.Header()
	which := 0
	if zipped {
		which = 1
	}
	for _, f := range k.head[which] {
		h[f.name] = f.values
	}
	status := k.answer.Status
	if status == http.StatusOK && k.answer.ETag != "" && matches(q.r.Header.Get("If-None-Match"), k.answer.ETag) {
		delete(h, "Content-Length")
		delete(h, "Content-Encoding")
		status = http.StatusNotModified
	}
	q.w.WriteHeader(status)
	if status == http.StatusNotModified || q.r.Method == http.MethodHead {
		return
	}
	switch { // an error means that the visitor has gone
	case zipped:
		q.w.Write(k.zipped)
	case k.answer.Body == nil && k.zipped != nil:
		if z, err := gzip.NewReader(bytes.NewReader(k.zipped)); err == nil {
			io.Copy(q.w, z)
		}
	default:
		q.w.Write(k.answer.Body)
	}
}

// otherMethod answers requests that are neither GET nor HEAD.
func (p *Page) otherMethod(q *request) {
	const allowed = "GET, HEAD, OPTIONS"
	h := q.w.Header()
	h.Set("Allow", allowed)
	if q.r.Method != http.MethodOptions {
		p.plain(q, http.StatusMethodNotAllowed, "use "+allowed)
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", allowed)
	h.Set("Access-Control-Max-Age", "86400") // seconds: a day
	p.secure(h)
	q.w.WriteHeader(http.StatusNoContent)
}

// elsewhere answers paths that are no address: those that lack their language or have a slash too
// many or too few lead to the right one.
func (p *Page) elsewhere(q *request) {
	path := q.r.URL.Path
	if path == "/fr" || path == "/en" {
		p.redirect(q, path+"/", http.StatusPermanentRedirect)
		return
	}
	if path == "/favicon.ico" { // browsers ask for it by themselves, beside pages that name no icon
		p.redirect(q, Address{Kind: Icon}.Path(), http.StatusPermanentRedirect)
		return
	}
	path = strings.TrimSuffix(path, "/")
	if a, ok := ParsePath(path); ok && a.Kind != Root {
		p.redirect(q, a.Path(), http.StatusPermanentRedirect)
		return
	}
	if a, ok := parseBare(path); ok && a.Kind != Home {
		a.Lang = p.preferred(q.r)
		p.redirect(q, a.Path(), http.StatusFound)
		return
	}
	p.missing(q)
}

// redirect leads to another path of this page. A search keeps its query.
func (p *Page) redirect(q *request, path string, status int) {
	if a, ok := ParsePath(path); ok && a.Kind == Search && q.r.URL.RawQuery != "" && len(q.r.URL.RawQuery) <= maxQuery {
		path += "?" + q.r.URL.RawQuery
	}
	h := q.w.Header()
	p.secure(h)
	h.Set("Location", path)
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Vary", "Accept-Language")
	h.Set("Content-Length", "0")
	q.w.WriteHeader(status)
}

// missing answers that there is nothing at this address, in the language of the path.
func (p *Page) missing(q *request) {
	a := Address{Kind: NoPage, Lang: p.lang}
	for _, l := range Langs {
		if strings.HasPrefix(q.r.URL.Path, "/"+string(l)+"/") {
			a.Lang = l
		}
	}
	p.render(q, a)
}

// fail answers an error in words that reveal nothing internal.
func (p *Page) fail(q *request, a Address, err error) {
	h := q.w.Header()
	switch {
	case a.Kind == NoPage: // the page that says so cannot be made
		p.plain(q, http.StatusNotFound, "not found")
	case errors.Is(err, store.ErrNotFound) && a.Kind.spoken() && a.Kind != AttestationFile:
		p.missing(q)
	case errors.Is(err, store.ErrNotFound):
		p.plain(q, http.StatusNotFound, "not found")
	case errors.Is(err, ErrBusy):
		h.Set("Retry-After", "2")
		p.plain(q, http.StatusServiceUnavailable, say(p.lang, "error.busy"))
	case q.r.Context().Err() != nil:
		h.Set("Retry-After", "2")
		p.plain(q, http.StatusServiceUnavailable, "cancelled")
	default:
		text := digits.ReplaceAllString(err.Error(), "…")
		if a.Kind == Search {
			text = fmt.Sprintf("%T", err) // its text may hold what the visitor searched for
		}
		p.server.failures.Do(func() { p.log.Error("the page could not answer", "kind", a.Kind.String(), "err", text) })
		h.Set("Retry-After", "60")
		p.plain(q, http.StatusInternalServerError, say(p.lang, "error.internal"))
	}
}

// digits are digests, which visitors ask for and logs do not hold.
var digits = regexp.MustCompile(`[0-9a-f]{64}`)

// plain answers a line of text that is not kept.
func (p *Page) plain(q *request, status int, text string) {
	h := q.w.Header()
	p.secure(h)
	h.Set("Content-Type", typeText)
	h.Set("Cache-Control", "no-store")
	q.w.WriteHeader(status)
	io.WriteString(q.w, text+"\n")
}
