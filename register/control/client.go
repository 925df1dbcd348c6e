package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"ancre/internal/atomicfile"
)

// Errors of a client.
var (
	// ErrNotRunning is wrapped when nothing listens at the socket.
	ErrNotRunning = errors.New("no register runs")
	// ErrNoAnswer is wrapped when the register was called and did not answer.
	ErrNoAnswer = errors.New("no answer from the register")
)

// Client calls a running register.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the register at a socket. Nothing is sent yet.
func NewClient(path string) *Client {
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if err := checkSocket(path); err != nil {
				return nil, err
			}
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", path)
		},
		IdleConnTimeout: 30 * time.Second,
	}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// checkSocket refuses a socket that another user may have planted: documents would go to him. It
// must belong to whoever made its directory, and others must not write there. root's directories
// are for the administrator to judge.
func checkSocket(path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is not a socket", path)
	}
	maker, known := atomicfile.OwnerOf(dir)
	owner, _ := atomicfile.OwnerOf(info)
	const othersWrite = 0o002
	mine := owner == os.Geteuid() || owner == 0
	switch {
	case !known || mine:
		return nil
	case dir.Mode().Perm()&othersWrite != 0:
		return fmt.Errorf("%s belongs to %s, and every user may write to its directory: it may be a trap", path, atomicfile.UserName(owner))
	case maker != 0 && owner != maker:
		return fmt.Errorf("%s belongs to %s, and its directory to %s: no register made it", path, atomicfile.UserName(owner), atomicfile.UserName(maker))
	}
	return nil
}

// Status returns how the register is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// AddMeeting adds a meeting.
func (c *Client) AddMeeting(ctx context.Context, n NewMeeting) (m AddedMeeting, err error) {
	return m, c.call(ctx, http.MethodPost, "/v1/meetings", n, &m)
}

// ChangeMeeting changes a meeting.
func (c *Client) ChangeMeeting(ctx context.Context, id string, u MeetingUpdate) (m Meeting, err error) {
	return m, c.call(ctx, http.MethodPatch, "/v1/meetings/"+url.PathEscape(id), u, &m)
}

// Meeting returns a meeting, its documents, and how complete it is.
func (c *Client) Meeting(ctx context.Context, id string) (m MeetingStatus, err error) {
	return m, c.call(ctx, http.MethodGet, "/v1/meetings/"+url.PathEscape(id), nil, &m)
}

// MeetingQuery chooses meetings. What is zero chooses nothing.
type MeetingQuery struct {
	Body, From, To string // From and To are days, both included
	OldestFirst    bool
	Limit          int // 0: as many as the register answers at once
}

// Meetings lists meetings.
func (c *Client) Meetings(ctx context.Context, q MeetingQuery) (all Meetings, err error) {
	v := query("body", q.Body, "from", q.From, "to", q.To, "oldest_first", flag(q.OldestFirst), "limit", number(q.Limit))
	return all, c.call(ctx, http.MethodGet, "/v1/meetings?"+v, nil, &all)
}

// Documents lists documents.
func (c *Client) Documents(ctx context.Context, q DocumentQuery) (all Documents, err error) {
	v := query("meeting", q.Meeting, "kind", q.Kind, "digest", q.Digest, "text", q.Text, "published", flag(q.Published), "incomplete", flag(q.Waiting),
		"after", number(q.After), "limit", number(q.Limit))
	return all, c.call(ctx, http.MethodGet, "/v1/documents?"+v, nil, &all)
}

// Add streams a file into the register. size is -1 if it is not known.
func (c *Client) Add(ctx context.Context, n NewDocument, content io.Reader, size int64) (added AddedDocument, err error) {
	v := query("name", n.FileName, "meeting", n.Meeting, "kind", n.Kind, "title", n.Title, "number", n.Number, "replaces", n.Replaces, "digest", n.Digest,
		"publish", flag(n.Publish), "list_only", flag(n.ListOnly))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://register/v1/documents?"+v, io.NopCloser(content))
	if err != nil {
		return added, err
	}
	if size > 0 {
		req.ContentLength = size
	}
	// A register that refuses at once, such as for a meeting that does not exist, needs no bytes.
	req.Header.Set("Expect", "100-continue")
	return added, c.do(req, &added)
}

// Publish puts documents on line.
func (c *Client) Publish(ctx context.Context, s Selection) (done Selected, err error) {
	return done, c.call(ctx, http.MethodPost, "/v1/publish", s, &done)
}

// Withdraw takes documents off line.
func (c *Client) Withdraw(ctx context.Context, s Selection) (done Selected, err error) {
	return done, c.call(ctx, http.MethodPost, "/v1/withdraw", s, &done)
}

// Proof returns the proof of a document, or its receipt.
func (c *Client) Proof(ctx context.Context, digest string, receipt bool) ([]byte, error) {
	what := "ots"
	if receipt {
		what = "receipt"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://register/v1/documents/"+digest+"/"+what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	const most = 16 << 20
	return io.ReadAll(io.LimitReader(resp.Body, most))
}

// Export writes the public page to w, as a tar archive.
func (c *Client) Export(ctx context.Context, w io.Writer) error {
	return c.stream(ctx, "/v1/export", w)
}

// Backup writes a backup of everything to w.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.stream(ctx, "/v1/backup", w)
}

// ReportBackup says that a backup was written and checked.
func (c *Client) ReportBackup(ctx context.Context, r BackupReport) error {
	return c.call(ctx, http.MethodPost, "/v1/backup", r, nil)
}

// stream copies a streamed answer, and fails if it is not whole.
func (c *Client) stream(ctx context.Context, path string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://register"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var out failing = failing{w: w}
	_, err = io.Copy(&out, resp.Body)
	switch {
	case out.err != nil:
		return out.err
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || resp.Trailer.Get(doneTrailer) == "":
		return errors.New("the register broke off: its log says why, and \"ancre-register status\" how it is")
	}
	return nil
}

// failing tells an error of the writer from one of the reader.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.err = err
	return n, err
}

// call sends a JSON request.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://register"+path, content)
	if err != nil {
		return err
	}
	return c.do(req, into)
}

// maxAnswer is far more than an answer of JSON has.
const maxAnswer = 64 << 20

// do sends a request, and decodes the answer.
func (c *Client) do(req *http.Request, into any) error {
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(req.Context(), err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the register at %s answers something else than this program expects: use the same version of both: %w", c.path, err)
	}
	return nil
}

// send sends a request. A refusal is an [*Error].
func (c *Client) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(req.Context(), err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRequest))
	var refused Error
	if json.Unmarshal(text, &refused) != nil || refused.Message == "" {
		return nil, fmt.Errorf("the register at %s answers with HTTP status %d: use the same version of both programs", c.path, resp.StatusCode)
	}
	return nil, &refused
}

// unreachable is the error when no answer came. errors.Is finds ErrNotRunning if nothing listens
// there, and fs.ErrPermission if this user may not call.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the rest of it repeats the address
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: %s: %w", ErrNotRunning, c.path, reason(err))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w", c.path, reason(err))
	}
	return fmt.Errorf("%w at %s: %w", ErrNoAnswer, c.path, err)
}

// query writes the pairs whose value is not empty.
func query(pairs ...string) string {
	v := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v.Encode()
}

func flag(on bool) string {
	if on {
		return "true"
	}
	return ""
}

func number[N int | int64](n N) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}
