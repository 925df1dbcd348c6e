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
	// maxAnswer is the longest answer that a client reads. Servers answer with less.
	maxAnswer = 64 << 20

	// dialTimeout bounds the TCP connect. Only the caller's context bounds the answer: a submit may
	// have to wait for a slow disk.
	dialTimeout = 10 * time.Second
)

// ErrUnreachable is wrapped when no answer came: nothing listens at the address, or the connection
// broke.
var ErrUnreachable = errors.New("no answer")

// Client calls the JSON-RPC of ancred, or of bitcoind. It may be used by any number of goroutines.
type Client struct {
	// Hint ends the error for a server that cannot be reached. It says what a person should do.
	// NewClient sets a hint for ancred.
	Hint string

	url    string // without credentials: errors show it
	http   *http.Client
	find   func() (user, pass string, err error) // finds the credentials; nil when they are fixed
	source string                                // where find looks, for errors
	nextID atomic.Uint64

	mu         sync.Mutex // guards the two below
	user, pass string
}

// NewClient returns a client for the server at addr, "host:port" or a URL. If user is empty, the
// credentials in the URL are used. Nothing is sent yet.
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
				// No proxy from the environment: the credentials are for this server alone.
				DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
				MaxIdleConnsPerHost: 16,
				IdleConnTimeout:     30 * time.Second,
			},
			// A redirect would send the call, and perhaps the credentials, to an address that the
			// caller did not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// NewCookieClient returns a client that takes its credentials from the cookie file of a server on
// the same machine.
func NewCookieClient(addr, cookiePath string) (*Client, error) {
	c, err := NewClientFrom(addr, func() (string, string, error) { return ReadCookie(cookiePath) })
	if err != nil {
		return nil, err
	}
	c.source = " " + cookiePath
	return c, nil
}

// NewClientFrom returns a client that gets its credentials from a function. It calls the function
// before the first call, and again when the server refuses the credentials: those in a cookie file
// change whenever the server starts.
func NewClientFrom(addr string, credentials func() (user, pass string, err error)) (*Client, error) {
	c, err := NewClient(addr, "", "")
	if err != nil {
		return nil, err
	}
	c.user, c.pass = "", "" // credentials in the URL would take the place of the cookie
	c.find = credentials
	return c, nil
}

// URL returns the server's address, without credentials.
func (c *Client) URL() string { return c.url }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Named holds parameters by name. As the only parameter of [Client.Call] it is sent as an object.
type Named map[string]any

// checkText refuses strings that JSON cannot carry. encoding/json would silently replace bytes that
// are not UTF-8 by U+FFFD.
func checkText(params any) error {
	const what = "is not UTF-8, which JSON cannot carry"
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

// Call calls a method and decodes its result into result, which may be nil. If the server refuses
// the call, the error is an [*Error].
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
		return fmt.Errorf("%s: write the parameters as JSON: %w", method, err)
	}

	reply, err := c.post(ctx, body, false)
	if err == nil && reply.status == http.StatusUnauthorized && c.find != nil {
		// The server has restarted since the cookie was read.
		reply, err = c.post(ctx, body, true)
	}
	if err != nil {
		return err
	}
	if reply.status == http.StatusUnauthorized {
		return fmt.Errorf("%s refuses the credentials (401): check the user and the password, or the cookie file%s", c.url, c.source)
	}
	// Servers of 1.x leave out "jsonrpc" and send "error": null, with any HTTP status. So only the
	// body counts.
	var a struct {
		Result json.RawMessage `json:"result"`
		Error  *Error          `json:"error"`
		ID     json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(reply.body, &a); err != nil || (a.Error == nil && a.Result == nil) {
		if isUnavailable(reply.status) {
			return &unavailableError{c.url, reply.status, max(reply.retryAfter, time.Second)}
		}
		return fmt.Errorf("%s answered %s with HTTP status %d and no JSON-RPC: is it the address of another service? It says %q",
			c.url, method, reply.status, humanize.Clip(string(reply.body)))
	}
	if a.Error != nil {
		a.Error.retryAfter = reply.retryAfter
		return a.Error
	}
	if got := string(a.ID); got != fmt.Sprint(id) {
		return fmt.Errorf("%s answered call %d with the answer to %q", c.url, id, humanize.ClipTo(got, 40))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("%s answered %s with a result of another type than expected: %w", c.url, method, err)
	}
	return nil
}

// reply is what came back over HTTP.
type reply struct {
	status     int
	retryAfter time.Duration // 0: the server does not say
	body       []byte
}

// post sends one body. If refresh is true, it first looks for the credentials again.
func (c *Client) post(ctx context.Context, body []byte, refresh bool) (reply, error) {
	user, pass, err := c.credentials(refresh)
	if err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.SetBasicAuth(user, pass)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return reply{}, c.unreachable(ctx, err)
	}
	if len(answer) > maxAnswer {
		return reply{}, fmt.Errorf("%s answers with more than %d bytes: ask for less at once", c.url, maxAnswer)
	}
	return reply{resp.StatusCode, parseRetryAfter(resp.Header.Get("Retry-After")), answer}, nil
}

func (c *Client) credentials(refresh bool) (user, pass string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.find != nil && (refresh || c.user == "") {
		if c.user, c.pass, err = c.find(); err != nil {
			return "", "", err
		}
	}
	return c.user, c.pass, nil
}

// unreachable is the error when no answer came. If the caller cancelled the call, it says only
// that.
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
