// Package metrics tells an operator's monitoring how the daemon stands: /metrics in the text format
// of Prometheus, and on demand the profiles of /debug/pprof/.
//
// It is the only room that knows of Prometheus. The others count for themselves, in plain numbers;
// at each scrape a function of the daemon's reads them and emits them as what the table of this
// package says. Only distributions are measured here as they happen, by histograms that rooms know
// as something with a method Observe.
//
// The promise: names and labels stay. A scrape reads little, however much is stored, and a bounded
// number of them runs at once. No label holds anything that a stranger sent, and no metric a
// digest, a key or an address of anybody.
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

// limits are those of the listener's connections. One or two Prometheus ask here, and now and then
// a person.
var limits = httpserve.Limits{
	Connections: 64,
	Reserve:     16, // for the person who logs in to find out why
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
	// scrapeTimeout is how long reading may take: Prometheus itself gives up after ten seconds
	// unless told otherwise.
	scrapeTimeout = 8 * time.Second

	// maxScrapes is how many may run at once; more are answered with status 503.
	maxScrapes = 4

	// maxProfiles is how many profiles may be taken at once.
	maxProfiles = 4

	// maxProfile is how many seconds a profile may take. They slow the daemon down, and keep one of
	// the few connections.
	maxProfile = 60
)

// Emit tells one value. Labels are the values of the metric's labels, in their order.
type Emit func(m *Metric, value float64, labels ...string)

// Source reads what there is to tell at this moment. What it cannot read it leaves out.
type Source func(ctx context.Context, emit Emit)

// Config is what a server needs from the start.
type Config struct {
	Version string // of ancred
	Network string
	Profile bool     // serve /debug/pprof/
	Hosts   []string // names of this server beside loopback: a request that names another host is refused
	Log     *slog.Logger
}

// Server answers at /metrics, and if it is to, below /debug/pprof/. It is an [http.Handler];
// [Server.Serve] adds the listener's limits.
type Server struct {
	cfg        Config
	mux        *http.ServeMux
	registry   *prometheus.Registry
	histograms map[*Metric]*prometheus.HistogramVec
	source     atomic.Pointer[Source] // nil while the daemon starts
}

// NewServer returns a server that tells of the process alone until Provide is called.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), registry: prometheus.NewRegistry(), histograms: make(map[*Metric]*prometheus.HistogramVec)}
	for _, m := range table {
		if m.Kind == Histogram {
			s.histograms[m] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.buckets}, m.Labels)
			s.registry.MustRegister(s.histograms[m])
		}
	}
	s.registry.MustRegister(collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.mux.Handle("GET /metrics", buffered(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(cfg.Log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError, // what can be told is told
		MaxRequestsInFlight: maxScrapes,
	})))
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ancred's metrics are at /metrics, for Prometheus; docs/metrics.md explains them.")
	})
	if !cfg.Profile {
		s.mux.HandleFunc("/debug/pprof/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "profiles are off: set metrics.pprof = true in ancre.conf, and restart ancred", http.StatusNotFound)
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

// buffered writes an answer once it is whole: a caller who does not read it keeps no place among
// the scrapes that run.
func buffered(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		whole := wholeAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(&whole, r)
		w.WriteHeader(whole.status)
		w.Write(whole.body.Bytes()) // whoever went away does not get it
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

// atMost lets so many requests run at once, and answers more with status 503.
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
		r.Body = http.NoBody // net/http/pprof would take seconds from a form in it, too
		profile(w, r)
	}
}

// Provide gives the server what it tells from.
func (s *Server) Provide(source Source) { s.source.Store(&source) }

// Observer returns the histogram m for these values of its labels. The caller keeps it: finding it
// costs more than measuring.
func (s *Server) Observer(m *Metric, labels ...string) prometheus.Observer {
	return s.histograms[m].WithLabelValues(labels...)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Serve answers on ln, but no request of a web page, until ctx is done, and returns nil then. It
// closes ln. Another error means that the listener failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	guard := httpserve.Guard{Names: s.cfg.Hosts, Refuse: func(w http.ResponseWriter, status int, why string) { http.Error(w, why, status) }}
	return httpserve.Serve(ctx, ln, guard.Wrap(s), limits, s.cfg.Log)
}

// collector reads the source at each scrape.
type collector struct{ *Server }

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range table {
		if m.Kind != Histogram {
			ch <- m.desc
		}
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(ch chan<- prometheus.Metric) {
	// It is called from a goroutine of the registry's, where a panic would end the daemon.
	defer func() {
		if p := recover(); p != nil {
			c.cfg.Log.Error("reading the metrics panicked; this is a defect of ancred", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	emit := func(m *Metric, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if m.Kind == Counter {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(m.desc, kind, value, labels...)
	}
	emit(BuildInfo, 1, c.cfg.Version, c.cfg.Network, runtime.Version())
	source := c.source.Load()
	if source == nil {
		emit(Started, 0)
		return
	}
	emit(Started, 1)
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
