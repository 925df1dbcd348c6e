package server

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"ancre/rpc"
)

// backupStall is how long a client may read nothing before its download is aborted: the store
// cannot clean up what a backup still needs.
const backupStall = time.Minute

// active holds the downloads of one kind that are being sent.
type active struct {
	mu      sync.Mutex
	writers map[*streamWriter]struct{}
}

func (a *active) add(w *streamWriter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writers == nil {
		a.writers = make(map[*streamWriter]struct{})
	}
	a.writers[w] = struct{}{}
}

func (a *active) remove(w *streamWriter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.writers, w)
}

// displace aborts the downloads whose clients have read nothing for a while: another client needs
// their place.
func (a *active) displace() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w := range a.writers {
		w.cutIfStuck()
	}
}

// stream sends a download, however long it takes.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, user rpc.User, d *download) {
	began, what := time.Now(), d.what
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Trailer", rpc.ErrorTrailer)
	control := http.NewResponseController(w)
	// The deadlines of calls do not apply: the one for reading would end the request as if the
	// client had gone.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		s.refuse(w, http.StatusInternalServerError, err)
		return
	}
	out := &streamWriter{w: w, control: control, stall: s.backupStall}
	d.active.add(out)
	defer d.active.remove(out)
	err := d.of(s.services.Load())(r.Context(), out)
	log := s.log.With("user", user.Name, "remote", r.RemoteAddr, "bytes", out.n, "took", time.Since(began))
	switch {
	case err == nil:
		log.Info(what + " sent")
	case r.Context().Err() != nil || out.failed:
		log.Log(r.Context(), slog.LevelWarn, what+" aborted: the client has gone, or the daemon is stopping", "err", err)
		panic(http.ErrAbortHandler) // so that the body does not look complete
	default:
		log.Error(what+" failed", "err", err)
		if out.n == 0 {
			h.Del("Trailer")
			s.refuse(w, http.StatusInternalServerError, err)
			return
		}
		h.Set(rpc.ErrorTrailer, strings.Join(strings.Fields(asError(err).Message), " "))
	}
}

// stuckAfter is how long a client may read nothing before another client may take its place.
const stuckAfter = 5 * time.Second

// streamWriter gives each write a deadline of its own.
type streamWriter struct {
	w       io.Writer
	control *http.ResponseController
	stall   time.Duration
	n       int64
	failed  bool // the client reads no more

	mu    sync.Mutex // guards the two below, and setting deadlines
	since time.Time  // when the current write began; zero: there is none
	cut   bool
}

func (s *streamWriter) Write(p []byte) (int, error) {
	if err := s.beginWrite(); err != nil {
		s.failed = true
		return 0, err
	}
	n, err := s.w.Write(p)
	s.mu.Lock()
	s.since = time.Time{}
	s.mu.Unlock()
	s.n += int64(n)
	s.failed = err != nil
	return n, err
}

func (s *streamWriter) beginWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return os.ErrDeadlineExceeded
	}
	s.since = time.Now()
	return s.control.SetWriteDeadline(s.since.Add(s.stall))
}

func (s *streamWriter) cutIfStuck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.IsZero() && time.Since(s.since) >= stuckAfter {
		s.cut = true
		s.control.SetWriteDeadline(time.Unix(1, 0)) // the current write fails
	}
}
