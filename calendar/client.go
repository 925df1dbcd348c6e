package calendar

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"ancre/internal/humanize"
	"ancre/proof"
)

const (
	// The limits of one exchange. The whole exchange has a limit too, because a body could come a
	// byte at a time and never end.
	connectTimeout  = 10 * time.Second
	exchangeTimeout = 30 * time.Second
	proxiedTimeout  = 90 * time.Second // a new circuit through Tor may take a minute

	// atOnce is how many exchanges a client runs at once, however many calendars the proofs name.
	atOnce = 8

	// A calendar that could not be reached maxFailures times in a row is not asked for pauseTime,
	// so that a thousand proofs do not wait for a thousand time-outs.
	maxFailures = 3
	pauseTime   = time.Minute

	// defaultRetry is when to ask a busy calendar again that does not say when; maxRetry is the
	// longest time that is believed.
	defaultRetry = time.Minute
	maxRetry     = 24 * time.Hour
)

// PendingError says that the calendar has no complete timestamp for the commitment yet (404).
type PendingError struct {
	Text string // what the calendar says, on one line that is safe to show; may be empty
}

func (e *PendingError) Error() string { return cmp.Or(e.Text, "it does not know the commitment") }

// BusyError says that the calendar takes no request now (429, 503).
type BusyError struct {
	Status     int
	RetryAfter time.Duration // at least a second
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("it is busy (HTTP status %d): ask again in %s", e.Status, e.RetryAfter.Round(time.Second))
}

// ErrNoAnswer is wrapped when a calendar could not be reached, or its answer did not end in time.
var ErrNoAnswer = errors.New("no answer")

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Proxy is the address of a SOCKS5 proxy, HOST:PORT. All connections go through it, except to
	// this machine, and it looks up all names. If it is empty, the proxy of the environment is used
	// (HTTPS_PROXY, NO_PROXY), if any.
	Proxy string

	// UserAgent is the name and version of the program, as calendars see it.
	UserAgent string

	// Timeout is the limit of one exchange. 0 means 30 seconds, or 90 through Proxy.
	Timeout time.Duration
}

// Client asks calendars. It does not trust them: answers are bounded in size and time, never
// compressed, never redirected, and parsed strictly. It does not verify attestations: a timestamp
// may lead to a block that does not contain it.
//
// It asks any address that it is given, over https, or over http on this machine. Check the address
// with a [Whitelist] before. A Client may be used by any number of goroutines. Its errors do not
// repeat the calendar's address.
type Client struct {
	http    *http.Client
	agent   string
	timeout time.Duration
	slots   chan struct{}    // one for each running exchange
	now     func() time.Time // a clock, for tests

	mu          sync.Mutex // guards what follows
	unreachable map[string]failures
}

// failures are the failures of a host that could not be reached.
type failures struct {
	count int       // in a row
	last  error     // wraps ErrNoAnswer
	at    time.Time // of the last
}

// NewClient returns a client. Nothing is sent yet.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{
		agent: cmp.Or(cfg.UserAgent, "ancre"), timeout: cfg.Timeout,
		slots: make(chan struct{}, atOnce), now: time.Now, unreachable: make(map[string]failures),
	}
	proxy := http.ProxyFromEnvironment // it uses no proxy for this machine's own addresses
	if cfg.Proxy != "" {
		// The h says that the proxy resolves names, as in curl(1). net/http resolves none in either
		// spelling.
		through := &url.URL{Scheme: "socks5h", Host: cfg.Proxy}
		proxy = func(r *http.Request) (*url.URL, error) {
			if a := (address{host: r.URL.Hostname()}); a.isLoopback() {
				return nil, nil
			}
			return through, nil
		}
	}
	if c.timeout == 0 {
		if c.timeout = exchangeTimeout; cfg.Proxy != "" {
			c.timeout = proxiedTimeout
		}
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  proxyUnlessOnion(proxy),
			DialContext:            dialChecked,
			TLSHandshakeTimeout:    c.timeout,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // a small answer could expand to any size
			MaxIdleConnsPerHost:    atOnce,
			IdleConnTimeout:        10 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		// The interface has no redirects, and one could lead to an address that no list allows.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// proxyUnlessOnion refuses names of onion services without a proxy: only Tor knows them, and a
// resolver would learn that somebody wants to go there (RFC 7686).
func proxyUnlessOnion(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if u == nil && err == nil && strings.HasSuffix(r.URL.Hostname(), ".onion") {
			err = errors.New("an onion service can be reached only through Tor: set spv.proxy in the configuration")
		}
		return u, err
	}
}

// dialChecked connects, and makes sure that localhost is this machine, whatever the resolver says:
// what is sent to localhost is not encrypted.
func dialChecked(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if host, _, _ := net.SplitHostPort(addr); host == "localhost" {
		if to, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !to.IP.IsLoopback() {
			conn.Close()
			return nil, fmt.Errorf("localhost leads to %s, which is not this machine", conn.RemoteAddr())
		}
	}
	return conn, nil
}

// Timestamp asks the calendar at uri for the timestamp of a commitment: the message of a pending
// attestation. The result is about that message, whatever the calendar sent, and each of its
// branches ends in an attestation. Callers decide by the errors [*PendingError], [*BusyError] and
// [ErrNoAnswer].
func (c *Client) Timestamp(ctx context.Context, uri string, commitment []byte) (*proof.Timestamp, error) {
	return c.exchange(ctx, uri, http.MethodGet, PathTimestamp+hex.EncodeToString(commitment), nil, commitment)
}

// Submit submits a message of up to [MaxMessage] bytes to the calendar at uri, and returns its
// pending timestamp.
func (c *Client) Submit(ctx context.Context, uri string, message []byte) (*proof.Timestamp, error) {
	if n := len(message); n > MaxMessage {
		return nil, fmt.Errorf("the message has %d bytes; calendars take at most %d", n, MaxMessage)
	}
	return c.exchange(ctx, uri, http.MethodPost, PathDigest, message, message)
}

// exchange asks once, and reads the answer as a timestamp of the message about.
func (c *Client) exchange(ctx context.Context, uri, method, route string, body, about []byte) (*proof.Timestamp, error) {
	a, err := parseAddress(uri)
	if err != nil {
		return nil, err
	}
	if err := c.paused(a.hostPort()); err != nil {
		return nil, err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status, header, answer, err := c.send(bounded, method, a.url(route), body)
	if ctx.Err() != nil {
		return nil, ctx.Err() // the caller cancelled it
	}
	if err != nil && bounded.Err() != nil {
		err = fmt.Errorf("it took longer than %s", c.timeout)
	}
	if err != nil {
		// Such errors quote certificates and headers, which strangers wrote.
		err = fmt.Errorf("%w: %s", ErrNoAnswer, plainText(err.Error()))
	}
	if c.note(a.hostPort(), err); err != nil {
		return nil, err
	}
	return c.read(status, header, answer, about)
}

// send returns the status, the headers, and the body up to one byte more than is allowed.
func (c *Client) send(ctx context.Context, method, to string, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Accept", "application/vnd.opentimestamps.v1") // as the reference sends it
	req.Header.Set("User-Agent", c.agent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the rest of it repeats method and URL
		}
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	return resp.StatusCode, resp.Header, answer, err
}

// read turns an answer into a timestamp or an error.
func (c *Client) read(status int, header http.Header, answer, about []byte) (*proof.Timestamp, error) {
	text := sayText(header, answer)
	switch {
	case status == http.StatusOK:
	case status == http.StatusNotFound:
		return nil, &PendingError{Text: text}
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return nil, &BusyError{Status: status, RetryAfter: c.retryAfter(header.Get("Retry-After"))}
	case status >= 300 && status < 400:
		return nil, fmt.Errorf("it redirects to %q (HTTP status %d); redirects of calendars are not followed", plainText(header.Get("Location")), status)
	default:
		return nil, fmt.Errorf("it answers with HTTP status %d%s", status, quoteText(text))
	}
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("its answer is compressed (%q), though that was not requested", plainText(coding))
	}
	if len(answer) > MaxAnswer {
		return nil, fmt.Errorf("its answer is longer than %d bytes; no calendar needs more", MaxAnswer)
	}
	if kind := header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
		return nil, errors.New("it answers with a web page: either it is not a calendar, or a network on the way wants a login first")
	}
	t, err := proof.ParseTimestamp(answer, about)
	if err != nil {
		return nil, fmt.Errorf("its answer is not a timestamp of the message: %w", err)
	}
	return t, nil
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func (c *Client) retryAfter(s string) time.Duration {
	d := defaultRetry
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(c.now())
	}
	return min(max(d, time.Second), maxRetry)
}

// paused returns why a host is not asked now, or nil.
func (c *Client) paused(host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.unreachable[host]
	if f.count < maxFailures || c.now().Sub(f.at) >= pauseTime {
		return nil
	}
	return fmt.Errorf("%w, %d times in a row: it is not asked for a minute", f.last, f.count)
}

// note remembers whether a host could be reached.
func (c *Client) note(host string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.unreachable, host)
		return
	}
	c.unreachable[host] = failures{count: c.unreachable[host].count + 1, last: err, at: c.now()}
}

// sayText is the text of an answer; empty if it is a web page.
func sayText(header http.Header, answer []byte) string {
	if strings.HasPrefix(header.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(answer), []byte("<")) {
		return ""
	}
	return plainText(string(answer))
}

// quoteText is a calendar's text as the end of an error.
func quoteText(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", text)
}

// plainText makes one short line of a stranger's text. The line cannot move the cursor, change
// colours or the direction of writing, or look like a line of ours.
func plainText(s string) string {
	var b strings.Builder
	for _, r := range humanize.ClipTo(strings.ToValidUTF8(s, "?"), 4*maxTextRunes) {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.IsPrint(r) && !unicode.Is(unicode.Mn, r): // marks pile up on one letter
			b.WriteRune(r)
		default:
			b.WriteByte('?')
		}
	}
	words := strings.Join(strings.Fields(b.String()), " ")
	if utf8.RuneCountInString(words) > maxTextRunes {
		words = string([]rune(words)[:maxTextRunes]) + "…"
	}
	return words
}

// maxTextRunes is two lines of a terminal: enough for "Timestamped by transaction TXID; waiting for
// 6 confirmations".
const maxTextRunes = 160
