package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"ancre/internal/humanize"
)

const (
	// maxAnswer bounds what a client reads of an answer: more than the largest a server gives (see
	// maxAnswerBytes).
	maxAnswer = 64 << 20

	// dialTimeout bounds the TCP connect. Answers have no limit of their own, only the caller's
	// context: a submit may rightly wait for a slow disk.
	dialTimeout = 10 * time.Second
)

// ErrUnreachable is wrapped when no answer came because nothing listens at the address, or the
// connection broke.
var ErrUnreachable = errors.New("no answer")

// Client calls the JSON-RPC of ancred, or of bitcoind. It may be used by any number of goroutines.
type Client struct {
	// Hint ends the error for a server that cannot be reached: what a person should do about it.
	// NewClient sets one for ancred.
	Hint string

	url    string // without credentials: it is shown in errors
	http   *http.Client
	cookie string // path of the cookie file; empty when user and password are fixed
	nextID atomic.Uint64

	mu         sync.Mutex // guards the two below
	user, pass string
}

// NewClient returns a client for the server at addr, "host:port" or a URL. Credentials in the URL
// are taken when user is empty. Nothing is sent yet.
func NewClient(addr, user, pass string) (*Client, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil {
		// The error of url.Parse holds the whole URL, and that may hold a password.
		return nil, errors.New("the address of the RPC server is not a URL: write http://HOST:PORT")
	}
	if u.User != nil && user == "" {
		user = u.User.Username()
		pass, _ = u.User.Password()
	}
	u.User = nil
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("the address of the RPC server is %s: write http://HOST:PORT", u)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return &Client{
		Hint: "is ancred running? Start it with `ancred`, or name another address with --rpc",
		url:  u.String(),
		user: user,
		pass: pass,
		http: &http.Client{
			Transport: &http.Transport{
				// No proxy from the environment: the credentials are for this server and nobody in
				// between.
				DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
				MaxIdleConnsPerHost: 16,
				IdleConnTimeout:     30 * time.Second,
			},
			// A redirect would hand the call, and perhaps the credentials, to a place that nobody
			// named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// NewCookieClient returns a client that takes its credentials from the cookie file of a server on
// the same machine. The file is read at the first call, and again when the server refuses it: it
// changes whenever the server starts.
func NewCookieClient(addr, cookiePath string) (*Client, error) {
	c, err := NewClient(addr, "", "")
	if err != nil {
		return nil, err
	}
	c.user, c.pass = "", "" // those of a URL would hide the cookie
	c.cookie = cookiePath
	return c, nil
}

// URL returns the server's address, without credentials.
func (c *Client) URL() string { return c.url }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Named are parameters by name. Given as the only parameter of a call, they are sent as an object.
type Named map[string]any

// checkText refuses strings that JSON cannot carry: encoding/json would put U+FFFD in the place of
// what is not UTF-8, without a word.
func checkText(params any) error {
	const what = "is not UTF-8, and JSON carries nothing else"
	switch p := params.(type) {
	case []any:
		for i, v := range p {
			if s, ok := v.(string); ok && !utf8.ValidString(s) {
				return fmt.Errorf("parameter %d %s", i+1, what)
			}
		}
	case Named:
		for name, v := range p {
			if s, ok := v.(string); ok && !utf8.ValidString(s) {
				return fmt.Errorf("the parameter %s %s", name, what)
			}
		}
	}
	return nil
}

// Call calls a method and decodes its result into result, which may be nil. A refusal by the server
// is returned as an [*Error].
func (c *Client) Call(ctx context.Context, method string, result any, params ...any) error {
	var send any = params
	if len(params) == 0 {
		send = []any{}
	} else if named, ok := params[0].(Named); ok && len(params) == 1 {
		send = named
	}
	if err := checkText(send); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	id := c.nextID.Add(1)
	body, err := json.Marshal(struct {
		JSONRPC string `json:"jsonrpc"`
		ID      uint64 `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{"2.0", id, method, send})
	if err != nil {
		return fmt.Errorf("%s: the parameters cannot be written as JSON: %w", method, err)
	}

	status, answer, err := c.post(ctx, body, false)
	if err == nil && status == http.StatusUnauthorized && c.cookie != "" {
		// The server was started anew since the cookie was read.
		status, answer, err = c.post(ctx, body, true)
	}
	if err != nil {
		return err
	}
	if status == http.StatusUnauthorized {
		return fmt.Errorf("%s refuses the credentials (401): check the user and the password, or the cookie file%s", c.url, c.cookieNote())
	}
	// 1.x servers leave out "jsonrpc" and send "error": null, with HTTP statuses of all kinds: the
	// body alone decides.
	var a struct {
		Result json.RawMessage `json:"result"`
		Error  *Error          `json:"error"`
		ID     json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || (a.Error == nil && a.Result == nil) {
		return fmt.Errorf("%s answered %s with HTTP status %d and no JSON-RPC: is it the address of another service? It says %q",
			c.url, method, status, humanize.Clip(string(answer)))
	}
	if a.Error != nil {
		return a.Error
	}
	if got := string(a.ID); got != fmt.Sprint(id) {
		return fmt.Errorf("%s answered call %d with the answer to %q", c.url, id, humanize.ClipTo(got, 40))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("%s answered %s with a result of another kind than expected: %w", c.url, method, err)
	}
	return nil
}

// post sends one body. Refresh reads the cookie file anew.
func (c *Client) post(ctx context.Context, body []byte, refresh bool) (status int, answer []byte, err error) {
	user, pass, err := c.credentials(refresh)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.SetBasicAuth(user, pass)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, c.unreachable(ctx, err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, fmt.Errorf("%s answers with more than %d bytes: ask for less at once", c.url, maxAnswer)
	}
	return resp.StatusCode, answer, nil
}

func (c *Client) credentials(refresh bool) (user, pass string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cookie != "" && (refresh || c.user == "") {
		if c.user, c.pass, err = ReadCookie(c.cookie); err != nil {
			return "", "", err
		}
	}
	return c.user, c.pass, nil
}

func (c *Client) cookieNote() string {
	if c.cookie == "" {
		return ""
	}
	return " " + c.cookie
}

// unreachable says that no answer came. The caller's own cancellation stays what it is.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the rest of it repeats method and URL
	}
	if c.Hint == "" {
		return fmt.Errorf("%w from %s: %w", ErrUnreachable, c.url, err)
	}
	return fmt.Errorf("%w from %s: %w; %s", ErrUnreachable, c.url, err, c.Hint)
}
