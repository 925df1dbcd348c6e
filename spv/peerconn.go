package spv

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// neutrino and btcd's peer package let a peer use memory without a bound. They queue each answer to
// a peer, such as the pong to each ping. They give each message to each subscriber in a goroutine
// of its own. Their writes have no deadline. A peer that sent pings and read nothing took 1.5 GB in
// 75 seconds. So every connection passes through peerConn, which bounds both directions:
//
//   - What is written goes to an outbox of a limited size. neutrino's write returns at once, so its
//     own queues stay empty. A peer that lets the outbox fill, or takes nothing for a minute, is
//     dropped.
//   - What the peer sends without being asked uses up an allowance (see inboundLimit). While that
//     is used up, nothing is read, and the peer has to wait.

// peerLimits are the constants of outbox.go and inbound.go. Tests make them small.
type peerLimits struct {
	writeTimeout time.Duration
	maxUnsent    int
	allowance    allowance
}

func defaultPeerLimits() peerLimits {
	return peerLimits{writeTimeout: writeTimeout, maxUnsent: maxUnsent, allowance: defaultAllowance}
}

// peerConn is the connection to a peer. It bounds the memory that the peer can use here, and notes
// the peer's fee filter.
type peerConn struct {
	net.Conn              // where writes go: an outbox, and before it a noFilters if only headers are wanted
	raw      net.Conn     // the connection itself
	addr     string       // of the peer, as neutrino knows it
	dialer   *dialer      // knows the connection until it is closed
	frames   frameScanner // scans what comes; belongs to the one goroutine that reads
	inbound  *inboundLimit

	// ctx ends when the connection is closed.
	ctx    context.Context
	cancel context.CancelFunc

	satPerKvB atomic.Int64 // the newest fee filter, or noFeeFilter
}

// wrap makes a peerConn of a connection to addr.
func (d *dialer) wrap(conn net.Conn, addr string) net.Conn {
	if d.headersOnly {
		conn = &anyServices{Conn: conn, magic: d.magic}
	}
	h := &peerConn{raw: conn, addr: addr, dialer: d, inbound: newInboundLimit(d.limits.allowance), frames: frameScanner{magic: d.magic}}
	h.ctx, h.cancel = context.WithCancel(d.ctx)
	h.satPerKvB.Store(noFeeFilter)
	out := newOutbox(h, d.limits)
	h.Conn = out
	if d.headersOnly {
		h.Conn = &noFilters{Conn: out}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		h.shut()
		return h
	}
	d.open[h] = struct{}{}
	d.writing.Add(1)
	go func() { defer d.writing.Done(); out.send() }() // until shut; closeAll waits for it
	return h
}

// closeAll closes all connections, and waits for the goroutines that write to them. It also closes
// those that have not shaken hands yet: neutrino leaves these open for half a minute when it stops.
func (d *dialer) closeAll() {
	d.mu.Lock()
	d.closed = true
	for h := range d.open {
		h.shut()
	}
	clear(d.open)
	d.mu.Unlock()
	d.writing.Wait()
}

// Read reads from the connection. It returns the header of a message only once the peer's allowance
// suffices for that message. It notes the fee filters that come along.
func (h *peerConn) Read(b []byte) (int, error) {
	n, err := h.raw.Read(b)
	var wait time.Duration
	var excess error
	charge := func(command string, length uint32) {
		delay, err := h.inbound.admit(h.dialer.now(), command, length)
		wait, excess = max(wait, delay), errors.Join(excess, err)
	}
	h.frames.message = charge
	h.frames.scan(b[:n], h.satPerKvB.Store)
	if h.frames.lost && n > 0 {
		charge("", uint32(n)) // messages can no longer be told apart
	}
	if excess != nil {
		h.drop(excess.Error())
		return 0, excess
	}
	if wait > 0 && !sleep(h.ctx, wait) {
		return 0, net.ErrClosed
	}
	return n, err
}

// drop ends the connection because of what the peer did.
func (h *peerConn) drop(did string) {
	if h.ctx.Err() != nil {
		return // closed already, because of what the peer did before
	}
	d := h.dialer
	d.abusers.Add(1)
	d.log.Warn("dropping a peer", "peer", d.display(h.addr), "because_it", did)
	if p := d.byAddr[h.addr]; p != nil {
		p.dropped(d.now(), did)
	}
	h.Close()
}

// shut closes the connection, and leaves it in the dialer's list.
func (h *peerConn) shut() error {
	h.cancel()
	return h.raw.Close()
}

// Close closes the connection, and forgets its fee filter.
func (h *peerConn) Close() error {
	h.dialer.mu.Lock()
	delete(h.dialer.open, h)
	h.dialer.mu.Unlock()
	return h.shut()
}
