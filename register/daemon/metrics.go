package daemon

import (
	"context"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"ancre/internal/warning"
	"ancre/metrics"
	"ancre/register/files"
	"ancre/register/store"
)

// openMetrics opens the address of the metrics.
func (d *daemon) openMetrics() (err error) {
	if d.cfg.Metrics.Listen == "" {
		return nil
	}
	d.metricsListener, err = d.listenOn("metrics.listen", d.cfg.Metrics.Listen, "if another program uses the port, give metrics.listen another one, or set it to \"off\"")
	if err != nil {
		return err
	}
	network, err := d.register.Store().Network(context.Background())
	if err != nil {
		return err
	}
	d.metrics = metrics.NewServer(metrics.Config{Register: true, Version: d.version, Network: network, Profile: d.cfg.Metrics.Pprof, Log: d.log})
	d.metrics.Provide(d.scrape)
	return nil
}

func (d *daemon) serveMetrics(ctx context.Context) error {
	if d.metrics == nil {
		return nil
	}
	return d.metrics.Serve(ctx, d.metricsListener)
}

// scrape emits the present values.
func (d *daemon) scrape(ctx context.Context, emit metrics.Emit) {
	l, err := d.look(ctx)
	emit(metrics.RegisterScrapeOK, metrics.Truth(err == nil), "register")
	if err != nil {
		d.log.Warn("the metrics of this scrape are missing", "err", err)
		return
	}
	raised := make(map[*warning.Kind]int)
	d.mu.Lock()
	for _, n := range d.warnings(l) {
		raised[n.Kind]++
	}
	d.mu.Unlock()
	for _, kind := range warning.RegisterTable() {
		emit(metrics.RegisterWarnings, float64(raised[kind]), kind.Name())
	}
	c, n := l.status.Counts, l.status.Node
	emit(metrics.RegisterMeetings, float64(c.Meetings))
	emit(metrics.RegisterEntries, float64(c.Entries))
	emit(metrics.RegisterPublished, float64(c.Published))
	for _, state := range store.ProofStates {
		emit(metrics.RegisterProofs, float64(c.Proofs[state]), string(state))
	}
	emit(metrics.RegisterWaitingAge, age(l.now, c.OldestWaiting))
	emit(metrics.RegisterNodeReachable, metrics.Truth(n.Reachable))
	emit(metrics.RegisterNodeHeight, float64(n.Height))
	emit(metrics.RegisterNodeWarnings, float64(len(n.Warnings)))
	d.requests.each(func(class, status string, count uint64) {
		emit(metrics.RegisterRequests, float64(count), class, status)
	})
	if l.freeOK {
		emit(metrics.RegisterDiskFree, float64(l.free))
	}
	emit(metrics.RegisterReserve, files.DefaultReserve)
	unsaved, taken := c.Entries, time.Time{}
	if l.backup != nil {
		unsaved, taken = max(0, c.Entries-l.backup.Documents), l.backup.Taken
	}
	emit(metrics.RegisterBackupAge, age(l.now, taken))
	emit(metrics.RegisterUnsaved, float64(unsaved))
}

// age returns how many seconds ago something was; 0 if it never was.
func age(now, then time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then).Seconds())
}

// Classes of requests to the page, and of answers.
var (
	requestClasses = []string{"page", "data", "proof", "file", "asset", "other"}
	statusClasses  = []string{"2xx", "3xx", "4xx", "5xx"}
)

// requestCounts counts requests by class and status.
type requestCounts [6][4]atomic.Uint64

func (c *requestCounts) each(tell func(class, status string, n uint64)) {
	for i, class := range requestClasses {
		for j, status := range statusClasses {
			tell(class, status, c[i][j].Load())
		}
	}
}

// classOf returns the class of a request, from its path alone. Digests are in no class.
func classOf(path string) int {
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case strings.HasSuffix(path, "/fichier"):
		return 3
	case strings.HasSuffix(last, ".ots"), strings.HasSuffix(last, ".receipt.json"), strings.Contains(last, "attestation"):
		return 2
	case strings.HasPrefix(path, "/empreintes/"), strings.HasPrefix(path, "/entetes/"), strings.HasPrefix(last, "registre."), strings.HasSuffix(last, ".atom"),
		strings.HasSuffix(last, ".xml"), strings.HasSuffix(last, ".txt"):
		return 1
	case strings.HasSuffix(last, ".js"), strings.HasSuffix(last, ".css"), strings.HasSuffix(last, ".svg"), strings.HasSuffix(last, ".ico"), strings.HasSuffix(last, ".html"), last == "logo":
		return 4
	case path == "/", strings.HasPrefix(path, "/fr/"), strings.HasPrefix(path, "/en/"), strings.HasPrefix(path, "/documents/"):
		return 0
	}
	return 5
}

// counted counts what a handler answers, and how long that takes.
func (d *daemon) counted(next http.Handler) http.Handler {
	var observe [6]interface{ Observe(float64) }
	if d.metrics != nil {
		for i, class := range requestClasses {
			observe[i] = d.metrics.Observer(metrics.RegisterSeconds, class)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		class := classOf(r.URL.Path)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				// The address is not logged: it may name what a visitor looks for.
				d.log.Error("answering a visitor panicked: this is a bug, please report it", "class", requestClasses[class], "panic", p, "stack", string(debug.Stack()))
				answer.status = http.StatusInternalServerError
				defer panic(http.ErrAbortHandler)
			} else if p != nil {
				defer panic(p)
			}
			d.requests[class][min(max(answer.status/100, 2), 5)-2].Add(1)
			if observe[class] != nil {
				observe[class].Observe(time.Since(begun).Seconds())
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
