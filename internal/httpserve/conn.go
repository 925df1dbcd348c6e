package httpserve

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// piece is how much of a large answer is written under one deadline.
const piece = 64 << 10

// conn is a connection of a gate. It knows since when it has been waiting for its peer.
type conn struct {
	net.Conn
	gate     *gate
	key      netip.Prefix
	home     bool          // from loopback, or from an address of Limits.Unlimited
	shares   bool          // it counts against PerAddress
	admitted chan struct{} // closed when the connection has a place
	gone     chan struct{} // closed when the gate has removed it

	// The gate's lock guards these.
	state    http.ConnState
	since    time.Time // of the state
	idleFrom time.Time // for victim to compare
	removed  bool

	// When it began to wait for its peer, in nanoseconds since 1970; 0: it is not waiting.
	reading atomic.Int64 // for a part of a request's body
	writing atomic.Int64 // until the peer reads a part of the answer
	lingers atomic.Int64 // after the answer, for the rest of a body that is dropped

	trusted atomic.Bool // see Trust

	mu            sync.Mutex // guards the two below, and setting deadlines of Conn
	readDeadline  time.Time  // as the server set it
	writeDeadline time.Time
}

// idleSince returns since when the server has been waiting for the peer: for a request, for the
// rest of one, or until it reads an answer. The caller holds the gate's lock.
func (c *conn) idleSince(now time.Time) (time.Time, bool) {
	switch c.state {
	case http.StateNew, http.StateIdle:
		return c.since, now.Sub(c.since) >= freshFor
	}
	if nanos := c.lingers.Load(); nanos != 0 { // it has its answer, whatever it still sends
		since := time.Unix(0, nanos)
		return since, now.Sub(since) >= freshFor
	}
	for _, waits := range []*atomic.Int64{&c.reading, &c.writing} {
		if nanos := waits.Load(); nanos != 0 {
			if since := time.Unix(0, nanos); now.Sub(since) >= stuckAfter {
				return since, true
			}
		}
	}
	return time.Time{}, false
}

// Read waits until the connection is admitted.
func (c *conn) Read(p []byte) (int, error) {
	select {
	case <-c.admitted:
	default:
		if err := c.await(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// await returns when the connection has a place, is closed, or its deadline is over.
func (c *conn) await() error {
	c.mu.Lock()
	deadline := c.readDeadline
	c.mu.Unlock()
	var over <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		over = timer.C
	}
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		select {
		case <-c.admitted:
			return nil
		case <-c.gone:
			return net.ErrClosed
		case <-over:
			return os.ErrDeadlineExceeded
		case <-ticker.C:
			c.gate.mu.Lock()
			c.gate.promote()
			c.gate.mu.Unlock()
		}
	}
}

// Write fails if the peer reads nothing for as long as Limits.Stall.
func (c *conn) Write(p []byte) (n int, err error) {
	defer c.writing.Store(0)
	stall := c.gate.limits.Stall
	if len(p) <= piece && stall == 0 {
		c.writing.Store(time.Now().UnixNano())
		return c.Conn.Write(p)
	}
	for {
		part := p[n:min(n+piece, len(p))]
		now := time.Now()
		c.writing.Store(now.UnixNano())
		if stall != 0 {
			c.bound(now.Add(stall))
		}
		written, err := c.Conn.Write(part)
		if n += written; err != nil || n == len(p) {
			return n, err
		}
	}
}

// bound sets the deadline of the next write to stalled, or to the server's if that is earlier.
func (c *conn) bound(stalled time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writeDeadline.IsZero() && c.writeDeadline.Before(stalled) {
		stalled = c.writeDeadline
	}
	c.Conn.SetWriteDeadline(stalled) // it fails only if the connection is closed, and then Write fails too
}

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline, c.writeDeadline = t, t
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDeadline = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) Close() error {
	c.gate.leave(c)
	return c.Conn.Close()
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

// Trust says that the client of a request has shown credentials. Its connection makes room only
// after connections without.
func Trust(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok && !c.trusted.Load() {
		c.trusted.Store(true)
	}
}

// claim ranks a connection. Connections with a lower claim make room first.
func (c *conn) claim() (rank int) {
	if c.home {
		rank += 2
	}
	if c.trusted.Load() {
		rank++
	}
	return rank
}

const (
	// lingerBytes and lingerTime limit how much of a body is read and dropped after an answer that
	// did not wait for it, usually a refusal. Many clients send everything before they read. If the
	// connection were closed earlier, they would see that it broke, but not why.
	lingerBytes = 64 << 20
	lingerTime  = 5 * time.Second

	// shortRest is what net/http itself reads and drops.
	shortRest = 256 << 10
)

// watchBody lets the connection know when a handler waits for the body of a request. It returns nil
// if there is no body.
func watchBody(r *http.Request) *watchedBody {
	if r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return nil
	}
	b := &watchedBody{ReadCloser: r.Body, conn: c, left: r.ContentLength}
	r.Body = b
	return b
}

type watchedBody struct {
	io.ReadCloser
	conn  *conn
	left  int64 // announced bytes that are not read yet; negative: unknown
	ended bool  // the body has ended, or is broken
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.conn.reading.Store(time.Now().UnixNano())
	defer b.conn.reading.Store(0)
	n, err := b.ReadCloser.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	b.ended = b.ended || err != nil
	return n, err
}

// linger sends the answer. Then it reads and drops what the handler has left of the body.
func (b *watchedBody) linger(w http.ResponseWriter, r *http.Request) {
	if b == nil || b.ended || b.left >= 0 && b.left <= shortRest {
		return
	}
	if r.Header.Get("Expect") != "" { // a client that waits for permission to send has the answer instead
		return
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return // the connection is broken
	}
	b.conn.lingers.Store(time.Now().UnixNano())
	defer b.conn.lingers.Store(0)
	_, _ = io.CopyN(io.Discard, b, lingerBytes) // an error ends the body too
}
