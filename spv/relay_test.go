package spv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// relay passes connections on to a node, and can be cut. btcd itself cannot be stopped and started
// for that, since on regtest it begins a new chain at each start.
type relay struct {
	t    *testing.T
	addr string
	to   string

	// If set, these get the messages of the node and of the client, one at a time, and return what
	// is passed on instead. They are set before the first connection.
	fromNode, fromClient func(frame) []frame

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	accepted int
	wg       sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	r := &relay{t: t, addr: freePort(t), to: to, conns: make(map[net.Conn]struct{})}
	r.mend()
	t.Cleanup(r.cut)
	return r
}

// newLiar returns a relay that changes messages by the two functions; nil leaves them unchanged. It
// listens at an address of its own, since bans are by address without port.
func newLiar(t *testing.T, to string, fromNode, fromClient func(frame) []frame) *relay {
	t.Helper()
	as := func(f frame) []frame { return []frame{f} }
	if fromNode == nil {
		fromNode = as
	}
	if fromClient == nil {
		fromClient = as
	}
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	host := fmt.Sprintf("127.0.0.%d", 2+liars.Add(1)%250)
	r := &relay{t: t, addr: net.JoinHostPort(host, port), to: to, conns: make(map[net.Conn]struct{}), fromNode: fromNode, fromClient: fromClient}
	if l, err := net.Listen("tcp", r.addr); err != nil {
		t.Skipf("this machine has one loopback address only: %v", err)
	} else {
		l.Close()
	}
	r.mend()
	t.Cleanup(r.cut)
	return r
}

var liars atomic.Int32

// frame is a message on the wire.
type frame struct {
	command string
	payload []byte
}

func frameOf(msg wire.Message) frame {
	var b bytes.Buffer
	if err := msg.BtcEncode(&b, wire.AddrV2Version, wire.WitnessEncoding); err != nil {
		panic(err)
	}
	return frame{msg.Command(), b.Bytes()}
}

// decode fills a message of the frame's type.
func (f frame) decode(msg wire.Message) {
	if err := msg.BtcDecode(bytes.NewBuffer(f.payload), wire.AddrV2Version, wire.WitnessEncoding); err != nil {
		panic(err)
	}
}

func (f frame) bytes() []byte {
	var command [12]byte
	copy(command[:], f.command)
	out := binary.LittleEndian.AppendUint32(nil, uint32(wire.TestNet)) // of regtest
	out = append(out, command[:]...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(f.payload)))
	out = append(out, chainhash.DoubleHashB(f.payload)[:4]...)
	return append(out, f.payload...)
}

// pump passes messages on, and changes them.
func pump(to io.Writer, from io.Reader, change func(frame) []frame) error {
	for {
		var head [24]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return err
		}
		payload := make([]byte, binary.LittleEndian.Uint32(head[16:]))
		if _, err := io.ReadFull(from, payload); err != nil {
			return err
		}
		for _, f := range change(frame{string(bytes.TrimRight(head[4:16], "\x00")), payload}) {
			if _, err := to.Write(f.bytes()); err != nil {
				return err
			}
		}
	}
}

// mend lets connections through, from now on.
func (r *relay) mend() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.listener = l
	r.mu.Unlock()
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.accepted++
			r.mu.Unlock()
			r.wg.Add(1)
			go func() {
				defer r.wg.Done()
				r.pass(conn)
			}()
		}
	}()
}

func (r *relay) pass(conn net.Conn) {
	defer conn.Close()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	r.mu.Lock()
	r.conns[conn] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.conns, conn)
		r.mu.Unlock()
	}()
	if r.fromNode == nil {
		both(conn, out)
		return
	}
	untilEither(conn, out, func() { _ = pump(conn, out, r.fromNode) }, func() { _ = pump(out, conn, r.fromClient) })
}

// both copies in both directions, until either side ends.
func both(a, b net.Conn) {
	untilEither(a, b, func() { _, _ = io.Copy(a, b) }, func() { _, _ = io.Copy(b, a) })
}

// untilEither runs both, and closes both connections when one has ended.
func untilEither(a, b net.Conn, one, other func()) {
	done := make(chan struct{}, 2)
	for _, f := range []func(){one, other} {
		go func() {
			f()
			done <- struct{}{}
		}()
	}
	<-done
	a.Close()
	b.Close()
	<-done
}

// cut ends all connections, and refuses new ones.
func (r *relay) cut() {
	r.mu.Lock()
	r.listener.Close()
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *relay) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}
