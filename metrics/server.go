// Package metrics serves the daemon's metrics at /metrics, in the text format of Prometheus, and on
// request the profiles of /debug/pprof/.
//
// It is the only package that knows Prometheus. The other packages count in plain numbers. At each
// scrape a [Source] of the daemon reads those numbers and emits them as metrics of the [Table].
// Only distributions are measured as they happen, by histograms that the other packages know as
// something with a method Observe.
//
// The promise: names and labels do not change. A scrape reads little, however much is stored, and
// few scrapes run at once. No label contains anything that a stranger sent. No metric contains a
// digest, a key or an address.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"ancre/internal/httpserve"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// limits are the limits of the listener. One or two Prometheus servers connect, and sometimes a
// person.
var limits = httpserve.Limits{
	Connections: 64,
	Reserve:     16, // for the person who logs in on this machine to find out why
	PerAddress:  16,
	Unlimited:   netip.Addr.IsLoopback,
	HeaderBytes: 8 << 10,
	ReadHeader:  10 * time.Second,
	Read:        10 * time.Second,
	Stall:       10 * time.Second,
	Write:       30 * time.Second, // net/http/pprof adds the time of a profile
	Idle:        3 * time.Minute,  // longer than the time between two scrapes
	Grace:       time.Second,
}

const (
	// scrapeTimeout is how long reading the metrics may take. Prometheus gives up after ten
	// seconds by default.
	scrapeTimeout = 8 * time.Second

	// maxScrapes is how many scrapes may run at once. More are refused with status 503.
	maxScrapes = 4

	// maxProfiles is how many profiles may be taken at once.
	maxProfiles = 4

	// maxProfile is how many seconds a profile may take. A profile slows the daemon down, and
	// occupies one of the few connections.
	maxProfile = 60
)

// Emit reports one value. The labels are the values of the metric's labels, in their order.
type Emit func(m *Metric, value float64, labels ...string)

// Source reads the present values and emits them. It leaves out what it cannot read.
type Source func(ctx context.Context, emit Emit)

// Config configures a [Server].
type Config struct {
	Register bool   // it is ancre-register: the metrics of RegisterTable, not of Table
	Version  string // of the program
	Network  string
	Profile  bool     // serve /debug/pprof/
	Hosts    []string // names of this server beside loopback: a request that names another host is refused
	Log      *slog.Logger
}

// program is the name of the program whose metrics these are.
func (c Config) program() string {
	if c.Register {
		return "ancre-register"
	}
	return "ancred"
}

// Server answers at /metrics and, if configured, below /debug/pprof/. It is an [http.Handler].
// [Server.Serve] adds the limits of a listener.
type Server struct {
	cfg        Config
	mux        *http.ServeMux
	registry   *prometheus.Registry
	histograms map[*Metric]*prometheus.HistogramVec
	table      []*Metric
	source     atomic.Pointer[Source] // nil while the daemon starts
}

// NewServer returns a server. Until Provide is called, it reports on the process only.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), registry: prometheus.NewRegistry(), histograms: make(map[*Metric]*prometheus.HistogramVec)}
	s.table = table
	if cfg.Register {
		s.table = registerTable
	}
	for _, m := range s.table {
		if m.Kind == Histogram {
			s.histograms[m] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.buckets}, m.Labels)
			s.registry.MustRegister(s.histograms[m])
		}
	}
	s.registry.MustRegister(collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.mux.Handle("GET /metrics", buffered(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(cfg.Log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError, // report what could be read
		MaxRequestsInFlight: maxScrapes,
	})))
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, cfg.program()+"'s metrics are at /metrics, for Prometheus; docs/metrics.md explains them.")
	})
	if !cfg.Profile {
		s.mux.HandleFunc("/debug/pprof/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "profiles are off: set metrics.pprof = true in the configuration, and restart "+cfg.program(), http.StatusNotFound)
		})
		return s
	}
	few := atMost(maxProfiles)
	s.mux.HandleFunc("GET /debug/pprof/", few(brief(pprof.Index))) // and all profiles that the runtime has, by name
	s.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	s.mux.HandleFunc("GET /debug/pprof/profile", few(brief(pprof.Profile)))
	s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("GET /debug/pprof/trace", few(brief(pprof.Trace)))
	return s
}

// buffered writes an answer only when it is complete. So a caller who does not read the answer does
// not occupy a place among the running scrapes.
func buffered(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		whole := wholeAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(&whole, r)
		w.WriteHeader(whole.status)
		w.Write(whole.body.Bytes()) // the caller may be gone
	}
}

// wholeAnswer collects an answer.
type wholeAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *wholeAnswer) Header() http.Header         { return a.header }
func (a *wholeAnswer) WriteHeader(status int)      { a.status = status }
func (a *wholeAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// atMost lets n requests run at once. It refuses more with status 503.
func atMost(n int) func(http.HandlerFunc) http.HandlerFunc {
	places := make(chan struct{}, n)
	return func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				next(w, r)
			default:
				w.Header().Set("Retry-After", "10")
				http.Error(w, fmt.Sprintf("%d profiles are being taken: try again when they are done", n), http.StatusServiceUnavailable)
			}
		}
	}
}

// brief refuses profiles that would take too long.
func brief(profile http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if asked := r.URL.Query().Get("seconds"); asked != "" {
			if n, err := strconv.ParseFloat(asked, 64); err != nil || !(n > 0 && n <= maxProfile) {
				http.Error(w, fmt.Sprintf("seconds=%.20s: must be a number from 1 to %d", asked, maxProfile), http.StatusBadRequest)
				return
			}
		}
		r.Body = http.NoBody // net/http/pprof would also read seconds from a form in the body
		profile(w, r)
	}
}

// Provide gives the server its source.
func (s *Server) Provide(source Source) { s.source.Store(&source) }

// Observer returns the histogram m for these values of its labels. The caller should keep it,
// because finding it costs more than observing.
func (s *Server) Observer(m *Metric, labels ...string) prometheus.Observer {
	return s.histograms[m].WithLabelValues(labels...)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Serve answers on ln until ctx is done, then returns nil. It refuses requests of web pages. It
// closes ln. Any other error means that the listener failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	guard := httpserve.Guard{Names: s.cfg.Hosts, Refuse: func(w http.ResponseWriter, status int, why string) { http.Error(w, why, status) }}
	return httpserve.Serve(ctx, ln, guard.Wrap(s), limits, s.cfg.Log)
}

// collector reads the source at each scrape.
type collector struct{ *Server }

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.table {
		if m.Kind != Histogram {
			ch <- m.desc
		}
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(ch chan<- prometheus.Metric) {
	// The registry calls it from its own goroutine, where a panic would end the daemon.
	defer func() {
		if p := recover(); p != nil {
			c.cfg.Log.Error("reading the metrics panicked: this is a bug, please report it", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	emit := func(m *Metric, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if m.Kind == Counter {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(m.desc, kind, value, labels...)
	}
	build, started := BuildInfo, Started
	if c.cfg.Register {
		build, started = RegisterBuildInfo, RegisterStarted
	}
	emit(build, 1, c.cfg.Version, c.cfg.Network, runtime.Version())
	source := c.source.Load()
	if source == nil {
		emit(started, 0)
		return
	}
	emit(started, 1)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	(*source)(ctx, emit)
}

// Truth is 1 for true and 0 for false.
func Truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
