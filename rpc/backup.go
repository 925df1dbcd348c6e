package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// A backup is no call: it may be larger than memory and last longer than a call may take. It has a path of its own beside JSON-RPC's,
// with the same users, and is streamed.
const (
	backupPath = "/backup"

	// backupStall is how long a client may take nothing before it is cut off: it would keep what it reads from being cleaned up.
	backupStall = time.Minute

	// errorTrailer says after the body why it ends too early. The body itself ends without its last record then, or the connection
	// breaks: nobody has to look at trailers to see that a backup is not whole.
	errorTrailer = "Ancre-Error"
)

// serveBackup streams a backup to an administrator, one at a time.
func (s *Server) serveBackup(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a backup is fetched with GET", http.StatusMethodNotAllowed)
		return
	}
	user, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	refuse := func(status int, err error) {
		s.write(w, status, appendError(nil, &request{id: null}, asError(err)))
	}
	services := s.services.Load()
	switch {
	case user.Role != RoleAdmin:
		refuse(http.StatusForbidden, errorf(CodeForbidden, "a backup is for the role %s; the user %s has the role %s", RoleAdmin, user.Name, user.Role))
		return
	case services == nil:
		refuse(http.StatusInternalServerError, errorf(CodeStarting, "ancred is starting: %s", *s.phase.Load()))
		return
	case services.Backup == nil:
		refuse(http.StatusInternalServerError, errorf(CodeMisc, "this server has no store to back up"))
		return
	}
	select {
	case s.backup <- struct{}{}:
		defer func() { <-s.backup }()
	default:
		refuse(http.StatusServiceUnavailable, errorf(CodeBusy, "another backup is running: wait for its end"))
		return
	}

	began := time.Now()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Trailer", errorTrailer)
	control := http.NewResponseController(w)
	// The deadlines of a call are not for this: the reading one would end the request as if its client had gone.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		refuse(http.StatusInternalServerError, err)
		return
	}
	out := &streamWriter{w: w, control: control, stall: s.backupStall}
	err := services.Backup(r.Context(), out)
	log := s.log.With("user", user.Name, "remote", r.RemoteAddr, "bytes", out.n, "took", time.Since(began))
	switch {
	case err == nil:
		log.Info("backup sent")
	case r.Context().Err() != nil || out.failed:
		log.Log(r.Context(), slog.LevelWarn, "a backup was broken off: its client went away, or the daemon stops", "err", err)
		panic(http.ErrAbortHandler) // so that the body does not end as if it were whole
	default:
		log.Error("a backup failed", "err", err)
		if out.n == 0 {
			h.Del("Trailer")
			refuse(http.StatusInternalServerError, err)
			return
		}
		h.Set(errorTrailer, strings.Join(strings.Fields(asError(err).Message), " "))
	}
}

// streamWriter gives each write its own time.
type streamWriter struct {
	w       io.Writer
	control *http.ResponseController
	stall   time.Duration
	n       int64
	failed  bool // the client takes no more
}

func (s *streamWriter) Write(p []byte) (int, error) {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.stall)); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	s.n += int64(n)
	s.failed = err != nil
	return n, err
}

// Backup asks the server for a backup of its store, in the format of the package ancre/batcher/store/backup. The caller closes
// what it returns; reading it fails with the server's reason when that could not go on. Whether it is whole only its own end tells.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.getBackup(ctx, false)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && c.cookie != "" {
		// The server was started anew since the cookie was read.
		resp.Body.Close()
		resp, err = c.getBackup(ctx, true)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "application/octet-stream" {
		return &backupBody{ReadCloser: resp.Body, ctx: ctx, client: c, resp: resp}, nil
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
	return nil, fmt.Errorf("%s answers with HTTP status %d and no backup: is it the address of another service, or an ancred that is older than this? It says %q",
		c.backupURL(), resp.StatusCode, clip(string(text), 80))
}

func (c *Client) backupURL() string { return strings.TrimSuffix(c.url, "/") + backupPath }

func (c *Client) getBackup(ctx context.Context, refresh bool) (*http.Response, error) {
	user, pass, err := c.credentials(refresh)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.backupURL(), nil)
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

// backupBody says why a body ends.
type backupBody struct {
	io.ReadCloser
	ctx    context.Context
	client *Client
	resp   *http.Response
}

func (b *backupBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case b.ctx.Err() != nil:
		err = b.ctx.Err()
	case errors.Is(err, io.EOF):
		if reason := b.resp.Trailer.Get(errorTrailer); reason != "" {
			err = fmt.Errorf("%s could not go on with the backup: %s", b.client.url, reason)
		}
	default:
		err = fmt.Errorf("the connection to %s broke in the middle of the backup: %w; %s", b.client.url, err, b.client.Hint)
	}
	return n, err
}
