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

// limits are the limits of the calendar's connections. Requests are small, so clients get less time
// than those of the RPC.
var limits = httpserve.Limits{
	Connections: 1_024,
	Reserve:     64,               // kept for programs on this machine, and proxies
	HeaderBytes: 8 << 10,          // what browsers and proxies add; net/http allows 4 KiB more
	ReadHeader:  10 * time.Second, // a body of 64 bytes needs no extra time, and equal deadlines are set only once
	Read:        10 * time.Second,
	Write:       30 * time.Second, // a digest waits for the disk
	Stall:       10 * time.Second, // answers are small
	Idle:        75 * time.Second, // longer than proxies keep connections to us (nginx: 60 s): they must not find them closed
	Grace:       10 * time.Second,
}

// perAddress is how many connections one address may have if requests are limited. Browsers open 6.
const perAddress = 64

// Config configures a [Server].
type Config struct {
	URI string       // the public address of the calendar, which pending proofs name
	Log *slog.Logger // nil: nothing is logged

	// RateLimit is how many requests a second one address may send, on average over 10 seconds. An
	// IPv6 /64 counts as one address. 0: requests and connections of an address are not limited.
	RateLimit int

	// Digests is how many digests all addresses together may submit in each Interval. 0: no limit.
	// Anyone may submit digests here, and each full batch causes a payment before its time.
	Digests  int
	Interval time.Duration

	// Strangers is the reason why digests of strangers are refused: those from other machines, and
	// from web pages of other machines. nil: they are accepted.
	Strangers error

	// Proxies are the proxies whose X-Forwarded-For is believed.
	Proxies []netip.Prefix

	// Latency returns the histogram for a route, one of Routes. If nil, latency is not recorded.
	Latency func(route string) meter.Observer
}

// Services are the parts of the daemon that the calendar serves.
type Services struct {
	Batcher       Batcher
	Chain         Chain
	Node          Node  // for the status page
	Confirmations int32 // at which an anchor is final
}

// Batcher is what the calendar needs of the batcher. Its errors decide the answer:
// [batcher.ErrBusy], [batcher.ErrUnknown], [batcher.ErrReadOnly].
type Batcher interface {
	// SubmitMessage accepts a message of up to [calendar.MaxMessage] bytes, and appends to dst the
	// timestamp to answer with. When it returns nil the message is durable.
	SubmitMessage(ctx context.Context, dst, message []byte) ([]byte, error)

	// Timestamp returns where a leaf is. Once its anchor is final, Timestamp appends the serialized
	// timestamp from the leaf to the block to dst, and ok is true.
	Timestamp(ctx context.Context, dst []byte, leaf [32]byte) (ts []byte, st batcher.LeafStatus, ok bool, err error)

	// Batches and Anchors return up to limit of them, newest first, with numbers below before (0:
	// from the newest).
	Batches(ctx context.Context, before uint64, limit int) ([]batcher.BatchStatus, error)
	Anchors(ctx context.Context, before uint64, limit int) ([]batcher.AnchorStatus, error)
}

// Node is what the status page needs of the daemon as a whole.
type Node interface {
	Info(ctx context.Context) (rpc.Info, error)
}

// Chain is what the calendar needs of the light client.
type Chain interface {
	Best() (height int32, hash chainhash.Hash, err error)

	// HashAt returns the hash of the block at a height of the active chain, up to that of Best.
	HashAt(height int32) (chainhash.Hash, error)

	// Header returns a block's header and height. An error that wraps [headers.ErrNotFound] says
	// that there is no such block.
	Header(hash chainhash.Hash) (wire.BlockHeader, int32, error)

	// Synced reports whether all blocks that exist are known.
	Synced() bool
}

// Server is the calendar. It is an [http.Handler]. [Server.Serve] adds limits for connections and a
// graceful end.
type Server struct {
	uri       string
	log       *slog.Logger
	limiter   *limiter
	proxies   *limiter     // knows our proxies, even if requests are not limited
	intake    *quota.Quota // of digests; nil: no limit
	strangers error        // Config.Strangers
	forwards  forwards     // requests that came through proxies
	page      page

	services atomic.Pointer[Services] // nil while the daemon starts
	phase    atomic.Pointer[string]   // what the daemon does while it starts
	failures rate.Sometimes           // logs at most one failure a second
	crowded  rate.Sometimes           // logs at most once a minute that digests are refused
	meters   meters
}

// New returns a server. Until [Server.Provide] is called it answers that the calendar is starting.
func New(c Config) *Server {
	s := &Server{uri: c.URI, log: c.Log, limiter: newLimiter(c.RateLimit, c.Proxies), failures: rate.Sometimes{Interval: time.Second}, crowded: rate.Sometimes{Interval: time.Minute}}
	s.meters.begin(c.Latency)
	s.intake = quota.New(quota.Limits{All: c.Digests, AllKey: "calendar.max_digests", Interval: c.Interval})
	s.strangers, s.proxies = c.Strangers, &limiter{proxies: c.Proxies}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetPhase("starting")
	return s
}

// SetPhase says what the daemon does before Provide is called: "opening the store".
func (s *Server) SetPhase(phase string) { s.phase.Store(&phase) }

// Provide gives the server what it serves. Until then every answer has status 503.
func (s *Server) Provide(services Services) { s.services.Store(&services) }

// Serve answers requests on ln until ctx is done. Then it accepts no more connections, waits for
// the running requests to end, and returns nil. Any other return means that the listener failed.
// Serve closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	l := limits
	if s.limiter != nil {
		l.PerAddress, l.Unlimited = perAddress, s.limiter.isProxy
	}
	return httpserve.Serve(ctx, ln, s, l, s.log)
}

// Warning says that digests were refused in the last minutes. It is empty if none were.
func (s *Server) Warning() string { return s.intake.Warning() }

// How long clients and caches may keep answers. The figures are otsd's.
const (
	keepNever   = "no-store"
	keepBriefly = "public, max-age=60"       // for a pending commitment: the answer changes as blocks come
	keepHour    = "public, max-age=3600"     // for a route that does not exist
	keepForever = "public, max-age=31536000" // for what never changes
)

// Values of headers. All answers share them, and they are never changed.
var (
	octets    = []string{"application/octet-stream"}
	plainType = []string{"text/plain"}
	jsonType  = []string{"application/json"}
	anyOrigin = []string{"*"}
)

// request is a request that is being answered.
type request struct {
	w http.ResponseWriter
	*http.Request
	*Services
	server *Server
	to     *route // nil: the path is unknown
	began  time.Time

	message [calendar.MaxMessage + 1]byte // one byte more than is allowed
	reply   [128]byte                     // to the message; with a long URI it needs more
}

// route is what serves a path.
type route struct {
	kind  routeKind
	post  bool // with POST; otherwise with GET and HEAD
	serve func(q *request, rest string)
}

var (
	digestRoute = route{kind: toDigest, post: true, serve: (*request).digest}
	pageRoute   = route{kind: toPage, serve: (*request).status}
	tipRoute    = route{kind: toTip, serve: (*request).tip}

	// prefixRoutes serve all paths that begin with prefix. serve gets the rest of the path.
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
	s.noteForwarded(r, q.began)
	h := w.Header()
	// otsd leaves this header to a proxy in front. Nothing here is secret, so any web page may ask.
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
			// The value is not logged: it may hold what a client sent.
			s.log.Error("the calendar panicked; this is a defect of ancred", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			q.text(http.StatusInternalServerError, keepNever, "internal error")
		}
	}()

	if to == nil {
		text := "Not found"
		if r.Method == http.MethodPost {
			text = "not found" // as otsd does
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

// text answers a line of text.
func (q *request) text(status int, keep, text string) {
	q.answer(status, plainType, keep, []byte(text))
}

// later answers that the request cannot be served now.
func (q *request) later(seconds int, text string) {
	q.w.Header().Set("Retry-After", strconv.Itoa(seconds))
	q.text(http.StatusServiceUnavailable, keepNever, text)
}

// answer sends the whole answer. If keep is empty, it says nothing about caching.
func (q *request) answer(status int, contentType []string, keep string, body []byte) {
	const small = 1 << 10 // net/http itself adds the length of such bodies, at less cost, but not the length 0 to the answer of a HEAD
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
	q.w.Write(body) // net/http drops it for HEAD; an error means that the client has gone
}

// fail answers an error of a service in words that reveal nothing internal.
func (q *request) fail(doing string, err error) {
	switch {
	case errors.Is(err, batcher.ErrBusy):
		q.later(1, "too many digests are waiting to be written: try again in a second")
	case errors.Is(err, batcher.ErrReadOnly):
		q.later(60, "this calendar cannot take digests now: try again later, or use another calendar") // a warning tells its operator why
	case q.Context().Err() != nil:
		q.later(1, "the request was cancelled, or the calendar is stopping") // most likely the client has gone
	default:
		q.server.failures.Do(func() { q.server.log.Error("the calendar could not answer", "doing", doing, "err", err) })
		q.text(http.StatusInternalServerError, keepNever, "internal error: the operator of this calendar finds the details in the log")
	}
}
