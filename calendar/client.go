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
	// The bounds of one exchange. The whole of it is bounded too: a body that comes a byte at a
	// time would never end.
	connectTimeout  = 10 * time.Second
	exchangeTimeout = 30 * time.Second
	proxiedTimeout  = 90 * time.Second // a new circuit through Tor may take a minute

	// atOnce is how many exchanges a client has under way, whatever the proofs name.
	atOnce = 8

	// A calendar that could not be reached so many times in a row is not asked again for restTime:
	// a thousand proofs need not wait for a thousand time-outs.
	failuresToRest = 3
	restTime       = time.Minute

	// defaultRetry is how long to leave a calendar alone that is busy and does not say for how
	// long; maxRetry is the most that is believed.
	defaultRetry = time.Minute
	maxRetry     = 24 * time.Hour
)

// PendingError says that the calendar has nothing yet for the commitment (404).
type PendingError struct {
	Text string // the calendar's own words in one line that is safe to show; empty when it said nothing
}

func (e *PendingError) Error() string { return cmp.Or(e.Text, "it does not know of the commitment") }

// BusyError says that the calendar wants to be left alone (429, 503).
type BusyError struct {
	Status     int
	RetryAfter time.Duration // at least a second
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("it is busy (HTTP status %d) and asks to come back in %s", e.Status, e.RetryAfter.Round(time.Second))
}

// ErrNoAnswer is wrapped when a calendar could not be reached, or its answer did not come to an end
// in time.
var ErrNoAnswer = errors.New("no answer")

// ClientConfig says how calendars are reached.
type ClientConfig struct {
	// Proxy is a SOCKS5 proxy, HOST:PORT, that all connections go through and that looks up all
	// names: nothing goes around it, but to this machine itself. When it is empty, the proxy that
	// the environment names is used (HTTPS_PROXY, NO_PROXY), if any.
	Proxy string

	// UserAgent is what calendars see of the program.
	UserAgent string

	// Timeout bounds one exchange; 0 means half a minute, and three times as long through Proxy.
	Timeout time.Duration
}

// Client asks calendars, which it does not trust: answers are bounded in size and time, never
// compressed, never redirected, and parsed strictly. What an answer attests is not verified here: a
// timestamp may lead to a block that does not hold it.
//
// It asks wherever it is told to, over https, or http on this machine: a [Whitelist] comes before
// it. It may be used by any number of goroutines. Errors do not repeat the calendar's address.
type Client struct {
	http    *http.Client
	agent   string
	timeout time.Duration
	slots   chan struct{}    // one for each exchange under way
	now     func() time.Time // a clock, for tests

	mu   sync.Mutex // guards what follows
	ills map[string]ill
}

// ill is what is held against a host that could not be reached.
type ill struct {
	failures int       // in a row
	last     error     // wraps ErrNoAnswer
	at       time.Time // of the last
}

// NewClient returns a client. Nothing is sent yet.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{
		agent: cmp.Or(cfg.UserAgent, "ancre"), timeout: cfg.Timeout,
		slots: make(chan struct{}, atOnce), now: time.Now, ills: make(map[string]ill),
	}
	proxy := http.ProxyFromEnvironment // passes this machine's own addresses by
	if cfg.Proxy != "" {
		// The h says that the proxy resolves names, see curl(1); net/http resolves none for either
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
			DialContext:            dialHonestly,
			TLSHandshakeTimeout:    c.timeout,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // a small answer may unfold to any size
			MaxIdleConnsPerHost:    atOnce,
			IdleConnTimeout:        10 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		// The interface knows no redirects, and one would lead to where no list allows.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// proxyUnlessOnion refuses names of onion services where no proxy is: only Tor knows them, and a
// resolver that is asked learns that somebody wants to go there (RFC 7686).
func proxyUnlessOnion(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if u == nil && err == nil && strings.HasSuffix(r.URL.Hostname(), ".onion") {
			err = errors.New("an onion service is reached through Tor only: set spv.proxy in the configuration")
		}
		return u, err
	}
}

// dialHonestly connects, and makes sure that localhost is this machine, whatever a resolver says:
// it is asked in the clear.
func dialHonestly(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if host, _, _ := net.SplitHostPort(addr); host == "localhost" {
		if to, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !to.IP.IsLoopback() {
			conn.Close()
			return nil, fmt.Errorf("localhost leads to %s here, which is not this machine", conn.RemoteAddr())
		}
	}
	return conn, nil
}

// Timestamp asks the calendar at uri for the timestamp of a commitment: the message that its
// pending attestation hangs on. The result is about that message, whatever the calendar sent; each
// of its branches ends in an attestation. Errors that a caller decides by are [*PendingError],
// [*BusyError] and [ErrNoAnswer].
func (c *Client) Timestamp(ctx context.Context, uri string, commitment []byte) (*proof.Timestamp, error) {
	return c.exchange(ctx, uri, http.MethodGet, PathTimestamp+hex.EncodeToString(commitment), nil, commitment)
}

// Submit hands a message of up to 64 bytes in at the calendar at uri, and returns its pending
// timestamp.
func (c *Client) Submit(ctx context.Context, uri string, message []byte) (*proof.Timestamp, error) {
	if n := len(message); n > MaxMessage {
		return nil, fmt.Errorf("a message of %d bytes, calendars take at most %d", n, MaxMessage)
	}
	return c.exchange(ctx, uri, http.MethodPost, PathDigest, message, message)
}

// exchange asks once, and reads the answer as a timestamp of about.
func (c *Client) exchange(ctx context.Context, uri, method, route string, body, about []byte) (*proof.Timestamp, error) {
	a, err := parseAddress(uri)
	if err != nil {
		return nil, err
	}
	if err := c.rests(a.hostPort()); err != nil {
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
		return nil, ctx.Err() // the caller's own doing
	}
	if err != nil && bounded.Err() != nil {
		err = fmt.Errorf("it took longer than %s", c.timeout)
	}
	if err != nil {
		// Such errors quote certificates and headers, which a stranger wrote.
		err = fmt.Errorf("%w: %s", ErrNoAnswer, plainText(err.Error()))
	}
	if c.note(a.hostPort(), err); err != nil {
		return nil, err
	}
	return c.read(status, header, answer, about)
}

// send returns the status, the headers, and of the body no more than one byte above what is
// allowed.
func (c *Client) send(ctx context.Context, method, to string, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Accept", "application/vnd.opentimestamps.v1") // what the reference sends
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

// read makes a timestamp or an error of an answer.
func (c *Client) read(status int, header http.Header, answer, about []byte) (*proof.Timestamp, error) {
	text := sayText(header, answer)
	switch {
	case status == http.StatusOK:
	case status == http.StatusNotFound:
		return nil, &PendingError{Text: text}
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return nil, &BusyError{Status: status, RetryAfter: c.retryAfter(header.Get("Retry-After"))}
	case status >= 300 && status < 400:
		return nil, fmt.Errorf("it sends us on to %q (HTTP status %d), and calendars are not followed to other places", plainText(header.Get("Location")), status)
	default:
		return nil, fmt.Errorf("it answers with HTTP status %d%s", status, quoteText(text))
	}
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("its answer is compressed (%q), which was not asked for", plainText(coding))
	}
	if len(answer) > MaxAnswer {
		return nil, fmt.Errorf("its answer is longer than %d bytes, no calendar needs more", MaxAnswer)
	}
	if kind := header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
		return nil, errors.New("it answers with a web page: either this is no calendar, or something on the way there wants a login first")
	}
	t, err := proof.ParseTimestamp(answer, about)
	if err != nil {
		return nil, fmt.Errorf("its answer is no timestamp of what was asked for: %w", err)
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

// rests returns why a host is not asked at the moment, if it is not.
func (c *Client) rests(host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.ills[host]
	if i.failures < failuresToRest || c.now().Sub(i.at) >= restTime {
		return nil
	}
	return fmt.Errorf("%w, %d times in a row: it is left alone for a minute", i.last, i.failures)
}

// note keeps whether a host could be reached.
func (c *Client) note(host string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.ills, host)
		return
	}
	c.ills[host] = ill{failures: c.ills[host].failures + 1, last: err, at: c.now()}
}

// sayText is what a calendar says in words: nothing when it sends a page.
func sayText(header http.Header, answer []byte) string {
	if strings.HasPrefix(header.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(answer), []byte("<")) {
		return ""
	}
	return plainText(string(answer))
}

// quoteText puts what a calendar said behind an error.
func quoteText(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", text)
}

// plainText makes one short line of what a stranger wrote. Nothing in it moves a cursor, changes a
// colour, turns the direction of writing, or looks like a line of ours.
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

// maxTextRunes is two lines on a terminal: enough for "Timestamped by transaction TXID; waiting for
// 6 confirmations".
const maxTextRunes = 160
