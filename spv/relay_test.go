package spv

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay passes connections on to a node, and can be cut: btcd cannot be stopped and started for that, since it
// begins a new chain at each start on regtest.
type relay struct {
	t    *testing.T
	addr string
	to   string

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
	both(conn, out)
}

// both copies in both directions, until either side ends.
func both(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
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
