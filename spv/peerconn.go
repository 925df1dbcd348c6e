package spv

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
)

// neutrino and btcd's peer package trust a peer with memory. They queue each answer to a peer
// without a bound, such as the pong to each ping. They give each message to each subscriber in a
// goroutine of its own. Their writes have no deadline. A peer that sent pings and read nothing took
// 1.5 GB in 75 seconds. So every connection passes through peerConn, which bounds both directions:
//
//   - What is written goes to an outbox of a limited size. neutrino's write returns at once, so its
//     own queues stay empty. A peer that lets the outbox fill, or takes nothing for a minute, is
//     hung up on.
//   - What the peer sends without being asked is paid for from an allowance (see gate). While that
//     is used up, nothing is read, and the peer has to wait.

const (
	// writeTimeout is how long a peer may take none of what is sent to it. Tor may stall for some
	// seconds.
	writeTimeout = time.Minute

	// maxUnsent is how much may wait to be sent to a peer. The largest message is a transaction, of
	// 400 kB at most by Bitcoin Core's policy. Questions have 36 bytes to some kilobytes.
	maxUnsent = 1 << 20

	// writePiece is how much must be taken within writeTimeout.
	writePiece = 16 << 10
)

// peerLimits are the constants above and those of gate. Tests make them small.
type peerLimits struct {
	writeTimeout time.Duration
	maxUnsent    int
	allowance    allowance
}

func defaultPeerLimits() peerLimits {
	return peerLimits{writeTimeout: writeTimeout, maxUnsent: maxUnsent, allowance: defaultAllowance}
}

// peerConn is the connection to a peer. It bounds what the peer can have the process keep, and
// notes the peer's fee filter.
type peerConn struct {
	net.Conn            // where writes go: an outbox, maybe behind a filterless
	raw      net.Conn   // the connection itself
	addr     string     // of the peer, as neutrino knows it
	dialer   *dialer    // which knows the connection until it is closed
	frames   feeFilters // of what comes; belongs to the one goroutine that reads
	gate     *gate

	// ctx ends when the connection is closed.
	ctx    context.Context
	cancel context.CancelFunc

	satPerKvB atomic.Int64 // the newest fee filter, or noFeeFilter
}

// hear wraps a connection that was made to addr.
func (d *dialer) hear(conn net.Conn, addr string) net.Conn {
	if d.headersOnly {
		conn = &anyServices{Conn: conn, magic: d.magic}
	}
	h := &peerConn{raw: conn, addr: addr, dialer: d, gate: newGate(d.limits.allowance), frames: feeFilters{magic: d.magic}}
	h.ctx, h.cancel = context.WithCancel(d.ctx)
	h.satPerKvB.Store(noFeeFilter)
	out := newOutbox(h, d.limits)
	h.Conn = out
	if d.headersOnly {
		h.Conn = &filterless{Conn: out}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hungUp {
		h.shut()
		return h
	}
	d.heard[h] = struct{}{}
	d.writing.Add(1)
	go func() { defer d.writing.Done(); out.send() }() // until shut; hangUp waits for it
	return h
}

// hangUp ends all connections, and waits for the goroutines that write to them. It also ends those
// that have not shaken hands yet: neutrino leaves these open for half a minute when it stops.
func (d *dialer) hangUp() {
	d.mu.Lock()
	d.hungUp = true
	for h := range d.heard {
		h.shut()
	}
	clear(d.heard)
	d.mu.Unlock()
	d.writing.Wait()
}

// Read reads from the connection. It returns the header of a message only once the peer's allowance
// has that message. It notes the fee filters that come along.
func (h *peerConn) Read(b []byte) (int, error) {
	n, err := h.raw.Read(b)
	var wait time.Duration
	var excess error
	charge := func(command string, length uint32) {
		delay, err := h.gate.admit(h.dialer.now(), command, length)
		wait, excess = max(wait, delay), errors.Join(excess, err)
	}
	h.frames.message = charge
	h.frames.read(b[:n], h.satPerKvB.Store)
	if h.frames.lost && n > 0 {
		charge("", uint32(n)) // no messages can be told apart any more
	}
	if excess != nil {
		h.drop(excess.Error())
		return 0, excess
	}
	if wait > 0 && !h.pause(wait) {
		return 0, net.ErrClosed
	}
	return n, err
}

// pause waits, and reports whether the connection is still open.
func (h *peerConn) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}

// drop hangs up on a peer because of what it did.
func (h *peerConn) drop(did string) {
	if h.ctx.Err() != nil {
		return // closed already, by whatever it did first
	}
	d := h.dialer
	d.abusers.Add(1)
	d.log.Warn("dropping a peer", "peer", d.display(h.addr), "because_it", did)
	if p := d.byAddr[h.addr]; p != nil {
		p.dropped(d.now(), did)
	}
	h.Close()
}

// shut closes the connection.
func (h *peerConn) shut() error {
	h.cancel()
	return h.raw.Close()
}

// Close closes the connection, and forgets what the peer said.
func (h *peerConn) Close() error {
	h.dialer.mu.Lock()
	delete(h.dialer.heard, h)
	h.dialer.mu.Unlock()
	return h.shut()
}

// outbox is what waits to be sent to a peer.
type outbox struct {
	net.Conn
	of     *peerConn
	limits peerLimits
	frames feeFilters // of what is sent; belongs to the one goroutine that writes

	more   chan struct{} // has a value when waiting has become longer
	mu     sync.Mutex    // guards the next ones
	queue  []byte        // what waits
	unsent int           // its length, and that of what is being written
}

func newOutbox(h *peerConn, limits peerLimits) *outbox {
	o := &outbox{Conn: h.raw, of: h, limits: limits, more: make(chan struct{}, 1)}
	o.frames = feeFilters{magic: h.frames.magic, message: h.gate.asked}
	return o
}

// Write queues b, or fails when the peer lets too much wait.
func (o *outbox) Write(b []byte) (int, error) {
	if o.of.ctx.Err() != nil {
		return 0, net.ErrClosed
	}
	o.frames.read(b, func(int64) {})
	o.mu.Lock()
	full := o.unsent+len(b) > o.limits.maxUnsent
	if !full {
		o.queue, o.unsent = append(o.queue, b...), o.unsent+len(b)
	}
	o.mu.Unlock()
	if full {
		o.of.drop("does not read what it is sent")
		return 0, errors.New("the peer does not read what it is sent")
	}
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// send writes what is queued until the connection is closed.
func (o *outbox) send() {
	for {
		select {
		case <-o.more:
		case <-o.of.ctx.Done():
			return
		}
		o.mu.Lock()
		rest := o.queue
		o.queue = nil
		o.mu.Unlock()
		for len(rest) > 0 {
			piece := rest[:min(writePiece, len(rest))]
			err := o.Conn.SetWriteDeadline(time.Now().Add(o.limits.writeTimeout))
			if err == nil {
				_, err = o.Conn.Write(piece)
			}
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				o.of.drop("does not read what it is sent")
				return
			}
			if err != nil {
				o.of.Close() // the reader notices too
				return
			}
			rest = rest[len(piece):]
			o.mu.Lock()
			o.unsent -= len(piece)
			o.mu.Unlock()
		}
	}
}

// question says which answer a message asks for.
type question struct {
	answer string
	most   int // answers that may be owed at a time
	count  func(length uint32) int
}

func one(uint32) int { return 1 }

// inventorySize is the length of one entry of a getdata message: a type and a hash.
const inventorySize = 36

// questions are the messages that neutrino sends to be answered at length. The rest fits the
// allowance.
var questions = map[string]question{
	wire.CmdGetHeaders:   {wire.CmdHeaders, 16, one},
	wire.CmdGetCFHeaders: {wire.CmdCFHeaders, 64, one},
	wire.CmdGetCFCheckpt: {wire.CmdCFCheckpt, 64, one},
	wire.CmdGetCFilters:  {wire.CmdCFilter, 4 * wire.MaxGetCFiltersReqRange, func(uint32) int { return wire.MaxGetCFiltersReqRange }},
	wire.CmdGetData:      {wire.CmdBlock, 256, func(length uint32) int { return int(length / inventorySize) }},
}
