// Package server is our OpenTimestamps calendar, the public HTTP interface of the daemon.
//
// It answers as otsd, the reference implementation, does: the same routes, statuses, texts and
// cache headers, so that every client made for otsd works. It differs in one point, where otsd
// makes clients wait: a digest is answered as soon as it is on disk, not at the next tick. It also
// has the routes of Esplora, a block explorer, by which clients in browsers look up block headers,
// and the route of Chainpoint's gateways that answers a block's Merkle root.
//
// Anyone may ask, so there is nothing secret behind it. Everything that comes in is bounded:
// connections in total and of one address, headers, bodies, time, and requests of one address. No
// message reaches a log. A commitment does only if the store turns out to be damaged, because the
// operator has to find it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ancre/batcher"
	"ancre/calendar"
	"ancre/internal/httpserve"
	"ancre/internal/meter"
	"ancre/internal/quota"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/time/rate"
)

// limits are those of the calendar's connections. All that clients send is small, so they get less
// time than those of JSON-RPC.
var limits = httpserve.Limits{
	Connections: 1_024,
	Reserve:     64,               // of programs on this machine, and proxies
	HeaderBytes: 8 << 10,          // what browsers and proxies add; net/http allows 4 KiB more
	ReadHeader:  10 * time.Second, // a body of 64 bytes needs no time of its own; and the same time for both is set once
	Read:        10 * time.Second,
	Write:       30 * time.Second, // a digest waits for the disk
	Stall:       10 * time.Second, // answers are small
	Idle:        75 * time.Second, // longer than proxies keep connections to us (nginx: 60 s), which must not find them closed
	Grace:       10 * time.Second,
}

// perAddress is how many connections one address may have where requests are limited. Browsers open 6.
const perAddress = 64

// Config is what a server needs from the start.
type Config struct {
	URI string       // what pending proofs point to: the address for people to use
	Log *slog.Logger // nil: nothing is logged

	// RateLimit is how many requests a second one address may make, over 10 seconds (of IPv6: one
	// /64). 0: as many as it likes, and as many connections.
	RateLimit int

	// Digests is how many digests all addresses together may hand in during each Interval. 0: no
	// limit. Anybody may fill batches here, and each that is full has a payment made before its
	// time.
	Digests  int
	Interval time.Duration

	// Strangers is what is done with digests that do not come from this machine, or come from a web
	// page of elsewhere. nil: they are taken. Else each is refused with this reason.
	Strangers error

	// Proxies are believed when they say in X-Forwarded-For whom they ask for.
	Proxies []netip.Prefix

	// Latency returns the histogram for a route, one of Routes. If nil, latency is not recorded.
	Latency func(route string) meter.Observer
}

// Services are the parts that the server speaks for.
type Services struct {
	Batcher       Batcher
	Chain         Chain
	Node          Node  // for the status page
	Confirmations int32 // from which an anchor is final
}

// Batcher is what the server needs of the batcher. Its own errors decide the answer:
// [batcher.ErrBusy], [batcher.ErrUnknown], [batcher.ErrReadOnly].
type Batcher interface {
	// SubmitMessage accepts a message of up to [calendar.MaxMessage] bytes, and appends to dst the
	// timestamp to answer with. When it returns nil the message is durable.
	SubmitMessage(ctx context.Context, dst, message []byte) ([]byte, error)

	// Timestamp says how far a leaf came. Once it is final, it appends to dst the serialized
	// timestamp that leads to a block, and ok is true.
	Timestamp(ctx context.Context, dst []byte, leaf [32]byte) (ts []byte, st batcher.LeafStatus, ok bool, err error)

	// Batches and Anchors return up to limit of them, newest first, of numbers below before (0:
	// from the newest).
	Batches(ctx context.Context, before uint64, limit int) ([]batcher.BatchStatus, error)
	Anchors(ctx context.Context, before uint64, limit int) ([]batcher.AnchorStatus, error)
}

// Node is what the status page needs of the daemon as a whole.
type Node interface {
	Info(ctx context.Context) (rpc.Info, error)
}

// Chain is what the server needs of the light client.
type Chain interface {
	Best() (height int32, hash chainhash.Hash, err error)

	// HashAt returns the hash of the active chain's block at height. The server asks up to the
	// height of Best.
	HashAt(height int32) (chainhash.Hash, error)

	// Header returns a block's header and height. An error that wraps [headers.ErrNotFound] says
	// that there is no such block.
	Header(hash chainhash.Hash) (wire.BlockHeader, int32, error)

	// Synced says whether blocks that are not known here do not exist.
	Synced() bool
}

// Server is the calendar. It is an [http.Handler]; [Server.Serve] adds the listener's limits and a
// graceful end.
type Server struct {
	uri     string
	log     *slog.Logger
	limiter *limiter
	proxies *limiter     // knows our proxies, also where nothing limits requests
	intake  *quota.Quota // of digests; nil: no limit
	strange error        // why those of strangers are not taken; nil: they are
	page    page

	services atomic.Pointer[Services] // nil while the daemon starts
	phase    atomic.Pointer[string]   // what it is doing meanwhile
	failures rate.Sometimes           // logs one failure a second, however many there are
	crowded  rate.Sometimes           // says once a minute that the intake is closed
	meters   meters
}

// New returns a server that says that it is starting until Provide is called.
func New(c Config) *Server {
	s := &Server{uri: c.URI, log: c.Log, limiter: newLimiter(c.RateLimit, c.Proxies), failures: rate.Sometimes{Interval: time.Second}, crowded: rate.Sometimes{Interval: time.Minute}}
	s.meters.begin(c.Latency)
	s.intake = quota.New(quota.Limits{All: c.Digests, AllKey: "calendar.max_digests", Interval: c.Interval})
	s.strange, s.proxies = c.Strangers, &limiter{proxies: c.Proxies}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetPhase("starting")
	return s
}

// SetPhase says what the daemon is doing before Provide is called: "opening the store".
func (s *Server) SetPhase(phase string) { s.phase.Store(&phase) }

// Provide gives the server what it speaks for. Until then every answer is status 503.
func (s *Server) Provide(services Services) { s.services.Store(&services) }

// Serve answers on ln until ctx is done, then takes no more connections, lets the requests that run
// come to their end, and returns nil. It closes ln. Another error means that the listener failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	l := limits
	if s.limiter != nil {
		l.PerAddress, l.Unlimited = perAddress, s.limiter.isProxy
	}
	return httpserve.Serve(ctx, ln, s, l, s.log)
}

// Warning tells the operator that digests were turned away in the last minutes; empty: none were.
func (s *Server) Warning() string { return s.intake.Warning() }

// How long answers may be kept, by whoever asked and by caches between. The figures are otsd's.
const (
	keepNever   = "no-store"
	keepBriefly = "public, max-age=60"       // of a commitment on its way: it changes as blocks come
	keepHour    = "public, max-age=3600"     // of a route that does not exist
	keepForever = "public, max-age=31536000" // of what will never change
)

// Content types, as http.Header holds them. They are shared by all answers, and never changed.
var (
	octets    = []string{"application/octet-stream"}
	plainType = []string{"text/plain"}
	jsonType  = []string{"application/json"}
	anyOrigin = []string{"*"}
)

// request is one request on its way through the server.
type request struct {
	w http.ResponseWriter
	*http.Request
	*Services
	server *Server
	to     *route // nil: nowhere
	began  time.Time

	message [calendar.MaxMessage + 1]byte // one more than is allowed
	reply   [128]byte                     // to it; with a long URI it takes more
}

// route is what a path leads to.
type route struct {
	kind  routeKind
	post  bool // with POST; else with GET and HEAD
	serve func(q *request, rest string)
}

var (
	digestRoute = route{kind: toDigest, post: true, serve: (*request).digest}
	pageRoute   = route{kind: toPage, serve: (*request).status}
	tipRoute    = route{kind: toTip, serve: (*request).tip}

	// prefixRoutes end in something, which serve is called with.
	prefixRoutes = []struct {
		prefix string
		route
	}{
		{"/timestamp/", route{kind: toTimestamp, serve: (*request).timestamp}},
		{"/block-height/", route{kind: toBlockHeight, serve: (*request).blockHeight}},
		{"/block/", route{kind: toBlock, serve: (*request).block}},
		{"/blocks/tip/", route{kind: toBlocksTip, serve: (*request).newestBlock}},
		{"/calendar/", route{kind: toMerkleRoot, serve: (*request).merkleRoot}},
	}
)

func find(path string) (to *route, rest string) {
	switch path {
	case "/digest":
		return &digestRoute, ""
	case "/":
		return &pageRoute, ""
	case "/tip":
		return &tipRoute, ""
	}
	for i := range prefixRoutes {
		if rest, ok := strings.CutPrefix(path, prefixRoutes[i].prefix); ok {
			return &prefixRoutes[i].route, rest
		}
	}
	return nil, ""
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, rest := find(r.URL.Path)
	q := &request{w: w, Request: r, server: s, to: to, began: time.Now()}
	h := w.Header()
	// otsd leaves these to a proxy in front. Nothing here is secret, so any web page may ask.
	h["Access-Control-Allow-Origin"] = anyOrigin
	if !s.limiter.allow(r) {
		h.Set("Retry-After", "1")
		q.text(http.StatusTooManyRequests, keepNever, fmt.Sprintf(
			"too many requests from your address: this calendar answers %d a second; try again in a second", s.limiter.perSecond))
		return
	}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			// Its value is not told: it may hold what was sent.
			s.log.Error("the calendar panicked; this is a defect of ancred", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			q.text(http.StatusInternalServerError, keepNever, "internal error")
		}
	}()

	if to == nil {
		text := "Not found"
		if r.Method == http.MethodPost {
			text = "not found" // so does otsd
		}
		q.text(http.StatusNotFound, keepHour, text)
		return
	}
	allowed := "GET, HEAD, OPTIONS"
	if to.post {
		allowed = "POST, OPTIONS"
	}
	switch {
	case r.Method == http.MethodOptions:
		h.Set("Allow", allowed)
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Max-Age", "86400") // seconds: a day
		w.WriteHeader(http.StatusNoContent)
		s.meters.done(q, http.StatusNoContent)
		return
	case to.post != (r.Method == http.MethodPost) || !to.post && r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", allowed)
		q.text(http.StatusMethodNotAllowed, keepHour, "use "+allowed)
		return
	}
	if q.Services = s.services.Load(); q.Services == nil {
		q.later(1, "the calendar is starting: "+*s.phase.Load()+"; try again in a few seconds")
		return
	}
	to.serve(q, rest)
}

// text answers with a line of text.
func (q *request) text(status int, keep, text string) {
	q.answer(status, plainType, keep, []byte(text))
}

// later answers that it cannot be done now.
func (q *request) later(seconds int, text string) {
	q.w.Header().Set("Retry-After", strconv.Itoa(seconds))
	q.text(http.StatusServiceUnavailable, keepNever, text)
}

// answer sends everything at once. An empty keep says nothing of caches.
func (q *request) answer(status int, contentType []string, keep string, body []byte) {
	const small = 1 << 10 // net/http tells the length of such bodies by itself, at less cost; of none it does not where HEAD asks
	h := q.w.Header()
	h["Content-Type"] = contentType
	if len(body) > small || len(body) == 0 {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if keep != "" {
		h["Cache-Control"] = []string{keep}
	}
	q.server.meters.done(q, status)
	q.w.WriteHeader(status)
	q.w.Write(body) // net/http leaves it out for HEAD; whoever went away does not get it
}

// fail answers what went wrong behind the server, in words that tell nothing of its inside.
func (q *request) fail(doing string, err error) {
	switch {
	case errors.Is(err, batcher.ErrBusy):
		q.later(1, "too many digests are waiting to be written: try again in a second")
	case errors.Is(err, batcher.ErrReadOnly):
		q.later(60, "this calendar cannot take digests now: try again later, or another calendar") // its operator was told why
	case q.Context().Err() != nil:
		q.later(1, "the request was given up, or the calendar stops") // whoever asked went away, most likely
	default:
		q.server.failures.Do(func() { q.server.log.Error("the calendar could not answer", "doing", doing, "err", err) })
		q.text(http.StatusInternalServerError, keepNever, "internal error: the operator of this calendar finds it in the log")
	}
}
