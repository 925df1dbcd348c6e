package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// What may be larger than memory, and last longer than a call may take, is no call: it has a path
// of its own beside JSON-RPC's, with the same users, and is streamed.
const (
	// backupStall is how long a client may take nothing before it is cut off: it would keep what it
	// reads from being cleaned up.
	backupStall = time.Minute

	// errorTrailer says after the body why it ends too early. The body itself ends without its last
	// record then, or the connection breaks: nobody has to look at trailers to see that a backup is
	// not whole.
	errorTrailer = "Ancre-Error"
)

// download is something that is streamed.
type download struct {
	what   string        // in the log
	are    string        // the same, as errors begin: "a backup is"
	roles  roles         // who may fetch it
	places chan struct{} // one for each that is sent at once
	active active        // those that are sent
	busy   string        // said when no place is left
	absent string        // said when the daemon has none
	of     func(*Services) func(context.Context, io.Writer) error
}

// serveDownload sends it to who may have it.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request, d *download) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		w.Header().Set("Connection", "close")
		http.Error(w, d.are+" fetched with GET", http.StatusMethodNotAllowed)
		return
	}
	user, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	services := s.services.Load()
	switch {
	case !d.roles.allow(user.Role):
		s.refuse(w, http.StatusForbidden, errorf(CodeForbidden, "%s for the role %s; the user %s has the role %s", d.are, d.roles, user.Name, user.Role))
		return
	case services == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(CodeStarting, "ancred is starting: %s", *s.phase.Load()))
		return
	case d.of(services) == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(CodeMisc, "%s", d.absent))
		return
	}
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	default:
		d.active.displace() // for the next try
		s.refuse(w, http.StatusServiceUnavailable, errorf(CodeBusy, "%s", d.busy))
		return
	}
	s.stream(w, r, *user, d)
}

// active are the streams of one kind that are being sent.
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

// displace cuts those off whose clients have taken nothing for a while: another client needs their
// place.
func (a *active) displace() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w := range a.writers {
		w.cutIfStuck()
	}
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, status int, err error) {
	s.write(w, status, appendError(nil, &request{id: null}, asError(err)))
}

// stream sends a download in its own time.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, user User, d *download) {
	began, what := time.Now(), d.what
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Trailer", errorTrailer)
	control := http.NewResponseController(w)
	// The deadlines of a call are not for this: the reading one would end the request as if its
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
		log.Log(r.Context(), slog.LevelWarn, what+" broken off: its client went away, or the daemon stops", "err", err)
		panic(http.ErrAbortHandler) // so that the body does not end as if it were whole
	default:
		log.Error(what+" failed", "err", err)
		if out.n == 0 {
			h.Del("Trailer")
			s.refuse(w, http.StatusInternalServerError, err)
			return
		}
		h.Set(errorTrailer, strings.Join(strings.Fields(asError(err).Message), " "))
	}
}

// stuckAfter is how long a client may take nothing before another one may have its place.
const stuckAfter = 5 * time.Second

// streamWriter gives each write its own time.
type streamWriter struct {
	w       io.Writer
	control *http.ResponseController
	stall   time.Duration
	n       int64
	failed  bool // the client takes no more

	mu    sync.Mutex // guards the two below, and setting deadlines
	since time.Time  // when the write began that is under way; zero: none is
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
		s.control.SetWriteDeadline(time.Unix(1, 0)) // the write that is under way fails
	}
}

// fetch asks the server for a stream. what names it in errors.
func (c *Client) fetch(ctx context.Context, path, what string) (io.ReadCloser, error) {
	resp, err := c.get(ctx, path, false)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && c.cookie != "" {
		// The server was started anew since the cookie was read.
		resp.Body.Close()
		resp, err = c.get(ctx, path, true)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "application/octet-stream" {
		return &streamBody{ReadCloser: resp.Body, ctx: ctx, client: c, resp: resp, what: what}, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, fmt.Errorf("%s refuses the credentials (401): check the user and the password, or the cookie file%s", c.url, c.cookieNote())
	}
	const enough = 64 << 10
	text, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	var a struct {
		Error *Error `json:"error"`
	}
	if json.Unmarshal(text, &a) == nil && a.Error != nil {
		return nil, a.Error
	}
	return nil, fmt.Errorf("%s answers with HTTP status %d and no %s: is it the address of another service, or an ancred that is older than this? It says %q",
		c.pathURL(path), resp.StatusCode, what, clip(string(text), 80))
}

func (c *Client) pathURL(path string) string { return strings.TrimSuffix(c.url, "/") + path }

func (c *Client) get(ctx context.Context, path string, refresh bool) (*http.Response, error) {
	user, pass, err := c.credentials(refresh)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.pathURL(path), nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(user, pass)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return resp, nil
}

// streamBody says why a body ends.
type streamBody struct {
	io.ReadCloser
	ctx    context.Context
	client *Client
	resp   *http.Response
	what   string
}

func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case b.ctx.Err() != nil:
		err = b.ctx.Err()
	case errors.Is(err, io.EOF):
		if reason := b.resp.Trailer.Get(errorTrailer); reason != "" {
			err = fmt.Errorf("%s could not go on with the %s: %s", b.client.url, b.what, reason)
		}
	default:
		err = fmt.Errorf("the connection to %s broke in the middle of the %s: %w; %s", b.client.url, b.what, err, b.client.Hint)
	}
	return n, err
}
