// Package server is the daemon's side of the RPC: JSON-RPC over HTTP. Its contract is the package
// ancre/rpc.
//
// It answers requests of JSON-RPC 1.0, 1.1 and 2.0, and arrays of them, as bitcoind 29 does: with
// bitcoind's HTTP statuses, and its error codes where one fits. It is stricter than bitcoind in
// some points. The names of members are exact and come once, digests are written in lower case, and
// integers without fraction. Every request needs credentials, and each user has a role.
//
// Everything that comes in is bounded: connections, headers, bodies, nesting, arrays, digests,
// time. A request that exceeds a limit is refused with an error that names the limit. The answers
// that wait in memory to be written are bounded too, all together. No parameter, answer or
// credential reaches a log.
package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ancre/internal/budget"
	"ancre/internal/httpserve"
	"ancre/internal/humanize"
	"ancre/internal/meter"
	"ancre/internal/quota"
	"ancre/rpc"

	"golang.org/x/time/rate"
)

// Limits of what a request may cost.
const (
	// maxBody is the longest request: six times what a full submitbatch needs.
	maxBody = 4 << 20

	// maxCalls is how many calls one array may have. For more work in one request there is
	// submitbatch.
	maxCalls = 1_000

	// maxAnswerBytes bounds the answers of an array together: the remaining calls are refused. The
	// answer of one call is bounded by its parameters.
	maxAnswerBytes = 32 << 20

	// maxArrays is how many arrays are answered at the same time: a few bytes of an array can cause
	// much work.
	maxArrays = 16

	// keepBuffer and keepDigests are the largest buffers that are kept for the next request: those
	// of a submitbatch of 1,000.
	keepBuffer  = 1 << 20
	keepDigests = 1 << 10
)

// Config configures a [Server].
type Config struct {
	Users   []rpc.User   // those of the configuration, and the one of rpc.WriteCookie
	Log     *slog.Logger // nil: nothing is logged
	Stop    func()       // what the method stop calls; it must not wait until the server has ended
	Started time.Time    // what uptime counts from; zero: now
	Hosts   []string     // names of this server besides loopback: a request to any other host is refused

	// Quota limits the new digests of users with the role submit. nil: there is no limit.
	Quota *quota.Quota

	// Latency returns the histogram for a method (or UnknownMethod). If nil, latency is not
	// recorded.
	Latency func(method string) meter.Observer
}

// Server answers JSON-RPC. It is an [http.Handler]. [Server.Serve] adds limits for connections and
// a graceful end.
type Server struct {
	table     []method
	methods   map[string]*method   // into table
	streams   map[string]*download // by path
	users     users
	authCache *authCache
	hosts     []string
	quota     *quota.Quota
	log       *slog.Logger
	stop      func()
	started   time.Time

	services atomic.Pointer[Services] // nil while the daemon starts
	phase    atomic.Pointer[string]   // what the daemon does while it starts

	bodies   *budget.Budget // bytes of large bodies in memory
	answers  *budget.Budget // bytes of large answers in memory, until they are written
	arrays   *budget.Budget // arrays being answered, until their answers are written
	delayed  chan struct{}  // one for each refused login whose answer is held back
	refusals rate.Sometimes // logs at most one refused login a second

	roleRefusals rate.Sometimes // logs at most one call a second that no role of its user allows
	buffers      sync.Pool      // of *buffers

	waits    context.Context // ends when the server stops: nobody waits for changes any more
	endWaits context.CancelFunc

	unknownMeter  *methodMeter // of calls that name no method of ours
	refusedLogins atomic.Uint64

	backupStall time.Duration // tests shorten it
}

// buffers are what one request reads into and writes from.
type buffers struct {
	body, answer []byte
	digests      [][32]byte // of submit and submitbatch
	out          output
}

// New returns a server. Until [Server.Provide] is called it answers that the daemon is starting.
func New(c Config) *Server {
	s := &Server{
		table:     methods(),
		methods:   map[string]*method{},
		streams:   downloads(),
		users:     c.Users,
		authCache: newAuthCache(),
		hosts:     c.Hosts,
		quota:     c.Quota,
		log:       c.Log,
		stop:      c.Stop,
		started:   c.Started,
		bodies:    budget.New(maxBodiesBytes, maxWait),
		answers:   budget.New(maxAnswersBytes, maxWait),
		arrays:    budget.New(maxArrays, maxWait),
		delayed:   make(chan struct{}, maxDelayed),
		refusals:  rate.Sometimes{Interval: time.Second},

		roleRefusals: rate.Sometimes{Interval: time.Second},

		backupStall: backupStall,
	}
	s.waits, s.endWaits = context.WithCancel(context.Background())
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.started.IsZero() {
		s.started = time.Now()
	}
	for i := range s.table {
		s.methods[s.table[i].Name] = &s.table[i]
		s.table[i].meter = newMethodMeter(s.table[i].Name, c.Latency)
	}
	s.unknownMeter = newMethodMeter(UnknownMethod, c.Latency)
	s.buffers.New = func() any { return new(buffers) }
	s.SetPhase("starting")
	return s
}

// SetPhase says what the daemon does before Provide is called: "opening the store".
func (s *Server) SetPhase(phase string) { s.phase.Store(&phase) }

// Provide gives the server what its methods serve. Until then only help, stop and uptime work. The
// other methods answer with [rpc.CodeStarting].
func (s *Server) Provide(services Services) { s.services.Store(&services) }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d := s.streams[r.URL.Path]; d != nil {
		s.serveDownload(w, r, d)
		return
	}
	if r.URL.Path != "/" {
		w.Header().Set("Connection", "close") // a client without credentials keeps no connection
		http.Error(w, "JSON-RPC is at /", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.Header().Set("Connection", "close")
		http.Error(w, "JSONRPC server handles only POST requests", http.StatusMethodNotAllowed)
		return
	}
	user, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	httpserve.Trust(r)

	buf := s.buffers.Get().(*buffers)
	defer func() {
		if cap(buf.body) <= keepBuffer && cap(buf.answer) <= keepBuffer && cap(buf.digests) <= keepDigests {
			s.buffers.Put(buf)
		}
	}()
	body, refused := s.readBody(w, r, user, buf)
	defer body.Release()
	out := &buf.out
	out.begin(s, w, r, user, buf.answer[:0])
	defer out.end()
	if refused != nil {
		out.buf = appendError(out.buf, &request{id: null}, &refused.Error)
		out.finish(refused.status)
		return
	}
	if req, ok := scan(buf.body, buf.digests); ok {
		buf.digests = req.digests
		out.finish(s.single(user, &req, nil, out))
	} else {
		out.finish(s.general(user, buf.body, out))
	}
	buf.answer = out.buf // for the next request
}

// general answers a request that scan did not take.
func (s *Server) general(user *rpc.User, body []byte, out *output) (status int) {
	calls, array, refused := split(body)
	if refused != nil {
		out.buf = appendError(out.buf, &request{id: null}, refused)
		if refused.Code == rpc.CodeInvalidRequest {
			return http.StatusBadRequest
		}
		return http.StatusInternalServerError
	}
	if array && len(calls) == 0 { // an error in JSON-RPC 2.0; bitcoind answers []
		out.buf = appendError(out.buf, &request{v2: true, id: null}, errorf(rpc.CodeInvalidRequest, "Invalid Request: the array holds no call"))
		return http.StatusBadRequest
	}
	if array {
		return s.array(user, calls, out)
	}
	req, refused := decode(calls[0])
	return s.single(user, &req, refused, out)
}

// array answers calls one after the other. It sends the answers early, so that few are in memory.
func (s *Server) array(user *rpc.User, calls []json.RawMessage, out *output) (status int) {
	if err := out.enterArrays(); err != nil {
		out.buf = appendError(out.buf, &request{id: null}, asError(err))
		return http.StatusServiceUnavailable
	}
	out.buf = append(out.buf, '[')
	silent := true // all calls so far were notifications
	for _, raw := range calls {
		req, refused := decode(raw)
		if refused == nil && out.size() > maxAnswerBytes {
			refused = errorf(rpc.CodeInvalidRequest, "the answers to this array are longer than %d bytes in total: this call was not run; ask for less at once", maxAnswerBytes)
		}
		mark, first := len(out.buf), out.size() == 1
		if !first {
			out.buf = append(out.buf, ',')
		}
		if s.answer(user, &req, refused, out); req.notification() && refused == nil {
			out.buf = out.buf[:mark]
		} else {
			silent = false
		}
		out.flush()
	}
	if silent {
		out.buf = out.buf[:0]
		return http.StatusNoContent
	}
	out.buf = append(out.buf, ']')
	return http.StatusOK
}

// single answers a request that is one call, with the HTTP status that bitcoind would give.
func (s *Server) single(user *rpc.User, req *request, refused *rpc.Error, out *output) int {
	code := s.answer(user, req, refused, out)
	switch {
	case refused != nil:
		return http.StatusBadRequest
	case req.notification():
		out.buf = out.buf[:0]
		return http.StatusNoContent
	case code == 0:
		return http.StatusOK
	case code == rpc.CodeBusy, code == rpc.CodeQuota:
		return http.StatusServiceUnavailable
	case code == rpc.CodeForbidden:
		return http.StatusForbidden
	case req.v2:
		return http.StatusOK // 2.0 tells errors in the body alone
	case code == rpc.CodeUnknownMethod:
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// answer runs a call, unless it is refused already, and appends the answer. It returns the code of
// the error, or 0.
func (s *Server) answer(user *rpc.User, req *request, refused *rpc.Error, out *output) (code int) {
	began, ctx := time.Now(), out.ctx
	var err error
	if refused != nil {
		err = refused
	} else {
		out.buf, err = s.run(ctx, user, req, out)
	}
	if err != nil {
		e := asError(err)
		code = e.Code
		out.buf = appendError(out.buf, req, e)
	}
	took := time.Since(began)
	s.meterOf(req.method).Done(code, took)
	if s.log.Enabled(ctx, slog.LevelDebug) {
		s.log.Debug("answered a call", "method", humanize.ClipTo(req.method, 40), "user", user.Name, "code", code, "took", took)
	}
	return code
}

// run finds the method, checks the role, reads the parameters, and appends the answer.
func (s *Server) run(ctx context.Context, user *rpc.User, req *request, to *output) (out []byte, err error) {
	dst := to.buf
	m := s.methods[req.method]
	if m == nil {
		return dst, errorf(rpc.CodeUnknownMethod, "Method not found: %q%s", humanize.ClipTo(req.method, 40), s.suggest(req.method))
	}
	if !m.Roles.Allow(user.Roles) {
		s.roleRefusals.Do(func() {
			s.log.Warn("refused a call that none of the user's roles allows", "user", user.Name, "method", m.Name)
		})
		return dst, errorf(rpc.CodeForbidden, "%s is for the role %s; the user %s has the role %s", m.Name, m.Roles.AnyOf(), user.Name, user.Roles)
	}
	c := call{ctx: ctx, server: s, user: user.Name, roles: user.Roles, output: to, Services: s.services.Load(), method: m}
	if !user.Roles.Admin() {
		c.quota = s.quota // administrators have none
	}
	if c.Services == nil && !m.early {
		return dst, errorf(rpc.CodeStarting, "ancred is starting: %s", *s.phase.Load())
	}
	if req.digests != nil {
		c.args = scanned(m, req.digests)
	} else {
		var refused *rpc.Error
		if c.args, refused = parseParams(m, req.params); refused != nil {
			return dst, refused
		}
	}

	if m.cost != nil {
		// Reserve before anything is done: a refused call must have no effect.
		if err := to.reserve(m.cost(c.args)); err != nil {
			return dst, err
		}
	}
	defer func() {
		if p := recover(); p != nil {
			// The value may hold a parameter, so it is logged only if the method has no secret
			// ones.
			what := fmt.Sprint(p)
			for i := range m.Params {
				if m.Params[i].Secret {
					what = fmt.Sprintf("a value of type %T", p)
				}
			}
			s.log.Error("a method panicked; this is a defect of ancred", "method", m.Name, "panic", what, "stack", string(debug.Stack()))
			out, err = dst, errorf(rpc.CodeInternal, "internal error in %s: the log of ancred has the details", m.Name)
		}
	}()
	result, err := m.run(&c)
	if err != nil {
		return dst, err
	}
	return appendResult(dst, req, func(dst []byte) ([]byte, error) {
		if write, ok := result.(resultWriter); ok {
			return write(dst)
		}
		return appendJSON(dst, result), nil
	})
}
