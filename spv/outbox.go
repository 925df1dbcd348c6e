package spv

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// writeTimeout is how long a peer may take none of what is sent to it. Tor may stall for some
	// seconds.
	writeTimeout = time.Minute

	// maxUnsent is how many bytes may wait to be sent to a peer. The largest message is a
	// transaction, of 400 kB at most by Bitcoin Core's policy. Questions have 36 bytes to some
	// kilobytes.
	maxUnsent = 1 << 20

	// writePiece is how many bytes the peer must take within writeTimeout.
	writePiece = 16 << 10
)

var errPeerDoesNotRead = errors.New("does not read what it is sent")

// outbox queues what waits to be sent to a peer.
type outbox struct {
	net.Conn
	of     *peerConn
	limits peerLimits
	frames frameScanner // scans what is sent; belongs to the one goroutine that writes

	more   chan struct{} // has a value when the queue has become longer
	mu     sync.Mutex    // guards queue and unsent
	queue  []byte
	unsent int // bytes that are queued or being written
}

func newOutbox(h *peerConn, limits peerLimits) *outbox {
	o := &outbox{Conn: h.raw, of: h, limits: limits, more: make(chan struct{}, 1)}
	o.frames = frameScanner{magic: h.frames.magic, message: h.inbound.asked}
	return o
}

// Write queues b. It fails, and drops the peer, when too much waits to be sent.
func (o *outbox) Write(b []byte) (int, error) {
	if o.of.ctx.Err() != nil {
		return 0, net.ErrClosed
	}
	o.frames.scan(b, func(int64) {})
	o.mu.Lock()
	full := o.unsent+len(b) > o.limits.maxUnsent
	if !full {
		o.queue, o.unsent = append(o.queue, b...), o.unsent+len(b)
	}
	o.mu.Unlock()
	if full {
		o.of.drop(errPeerDoesNotRead.Error())
		return 0, errPeerDoesNotRead
	}
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// send writes what is queued, until the connection is closed.
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
			if !o.sendPiece(piece) {
				return
			}
			rest = rest[len(piece):]
			o.mu.Lock()
			o.unsent -= len(piece)
			o.mu.Unlock()
		}
	}
}

// sendPiece reports whether the peer took a piece. If it did not, the connection is closed.
func (o *outbox) sendPiece(piece []byte) bool {
	err := o.Conn.SetWriteDeadline(time.Now().Add(o.limits.writeTimeout))
	if err == nil {
		_, err = o.Conn.Write(piece)
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		o.of.drop(errPeerDoesNotRead.Error())
		return false
	}
	if err != nil {
		o.of.Close() // the goroutine that reads notices too
		return false
	}
	return true
}
