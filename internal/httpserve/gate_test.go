package httpserve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// farListener pretends that its connections come from other addresses.
type farListener struct {
	net.Listener
	mu   sync.Mutex
	from []string // of the next connections, in turn; empty: as it is
}

type farConn struct {
	net.Conn
	from net.Addr
}

func (c *farConn) RemoteAddr() net.Addr { return c.from }

func (l *farListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.from[0]
	l.from = l.from[1:]
	if from == "" {
		return c, nil
	}
	return &farConn{c, &net.TCPAddr{IP: net.ParseIP(from), Port: 1}}, nil
}

// far is a server whose callers come from the addresses that dial names.
type far struct {
	t    *testing.T
	ln   *farListener
	addr string
}

func servesFar(t *testing.T, limits Limits, handler http.HandlerFunc) *far {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{t: t, ln: &farListener{Listener: raw}, addr: raw.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, f.ln, handler, limits, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return f
}

// dial connects from an address; "" is loopback.
func (f *far) dial(from string) net.Conn {
	f.t.Helper()
	f.ln.mu.Lock()
	f.ln.from = append(f.ln.from, from)
	f.ln.mu.Unlock()
	return dial(f.t, f.addr)
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// answered sends a request and reads the answer.
func answered(t *testing.T, conn net.Conn) {
	t.Helper()
	fmt.Fprint(conn, get)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("a new connection is not served: %v", err)
	}
	io.Copy(io.Discard, resp.Body)
}

// Whatever a connection waits for, it makes room when all connections are taken.
func TestConnectionsThatKeepTheServerWaitingLockNobodyOut(t *testing.T) {
	limits := generous()
	limits.Connections = 4
	large := strings.Repeat("x", 16<<20) // more than sockets buffer
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			io.Copy(io.Discard, r.Body)
		case "/large":
			io.WriteString(w, large)
		default:
			hello(w, r)
		}
	}
	for name, send := range map[string]string{
		"nothing":           "",
		"half a header":     "GET / HTTP/1.1\r\nHo",
		"half a body":       "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
		"no chunk":          "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"one whole request": get,
		"one unread answer": "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serves(t, limits, handler)
			for range 3 * limits.Connections { // more than there are, and as many as may wait
				fmt.Fprint(dial(t, addr), send)
			}
			for began := time.Now(); time.Since(began) < 2*patience; {
				conn := dial(t, addr)
				fmt.Fprint(conn, get)
				if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
					resp.Body.Close()
					return
				}
				// As many as may wait were waiting. They have their turn before the next one.
				time.Sleep(lookAgain)
			}
			t.Error("a connection is not served although the others only keep the server waiting")
		})
	}
}

// Requests that run are not displaced: the next one waits for its turn.
func TestARequestThatRunsIsNotDisplaced(t *testing.T) {
	limits := generous()
	limits.Connections = 1
	entered, leave := make(chan struct{}), make(chan struct{})
	addr := serves(t, limits, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		hello(w, r)
	})
	slow := dial(t, addr)
	fmt.Fprint(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-entered
	next := dial(t, addr)
	fmt.Fprint(next, get)
	time.Sleep(stuckAfter + 2*lookAgain) // long enough for a displacement that must not be
	close(leave)
	for _, conn := range []net.Conn{slow, next} {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

func TestStrangersLeaveRoomForLoopback(t *testing.T) {
	limits := generous()
	limits.Connections, limits.Reserve, limits.PerAddress = 8, 2, 3
	handler, entered, leave := enters()
	f := servesFar(t, limits, handler)
	for i := range 6 {
		fmt.Fprint(f.dial(fmt.Sprintf("2001:db8:0:%d::1", i)), get)
		<-entered
	}
	stranger := f.dial("192.0.2.1")
	fmt.Fprint(stranger, get)
	fmt.Fprint(f.dial(""), get)
	<-entered // the one from loopback: the stranger came before, and waits
	leave()
	resp, err := http.ReadResponse(bufio.NewReader(stranger), nil)
	if err != nil {
		t.Fatalf("the stranger that waited is not served: %v", err)
	}
	resp.Body.Close()
}

// Even if strangers fill all places to wait in, a connection from loopback finds room there.
func TestStrangersLeaveLoopbackRoomToWait(t *testing.T) {
	limits := generous()
	limits.Connections = 2
	handler, entered, leave := enters()
	f := servesFar(t, limits, handler)
	var last net.Conn
	for range 2 * limits.Connections {
		last = f.dial("192.0.2.1")
		fmt.Fprint(last, get)
	}
	<-entered
	<-entered
	if n := wantCut(t, f.dial("192.0.2.2")); n != 0 {
		t.Errorf("a stranger too many was answered with %d bytes", n)
	}
	local := f.dial("")
	fmt.Fprint(local, get)
	wantCut(t, last)
	leave()
	resp, err := http.ReadResponse(bufio.NewReader(local), nil)
	if err != nil {
		t.Fatalf("the one from loopback is not served: %v", err)
	}
	resp.Body.Close()
}

// The limit of an address counts waiting connections too, and a /64 is one address.
func TestTheShareOfAnAddressHoldsForItsWholeNetwork(t *testing.T) {
	limits := generous()
	limits.Connections, limits.PerAddress = 2, 3
	handler, entered, leave := enters()
	defer leave()
	f := servesFar(t, limits, handler)
	for i := range 3 {
		fmt.Fprint(f.dial(fmt.Sprintf("2001:db8::%d", i)), get)
	}
	<-entered
	<-entered
	if n := wantCut(t, f.dial("2001:db8::9")); n != 0 {
		t.Errorf("a fourth connection was answered with %d bytes", n)
	}
}

// An idle stranger makes room before an idle program of this machine does.
func TestStrangersAreDisplacedFirst(t *testing.T) {
	limits := generous()
	limits.Connections = 2
	f := servesFar(t, limits, hello)
	local := f.dial("")
	answered(t, local)
	stranger := f.dial("192.0.2.1")
	answered(t, stranger)
	answered(t, f.dial("")) // waits until one counts as idle
	wantCut(t, stranger)
	answered(t, local)
}

// A client that has shown credentials keeps its connection as long as there are others without.
func TestUnknownCallersAreDisplacedFirst(t *testing.T) {
	limits := generous()
	limits.Connections = 2
	f := servesFar(t, limits, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			Trust(r)
		}
		hello(w, r)
	})
	known := f.dial("")
	fmt.Fprint(known, "GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(known), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	unknown := f.dial("")
	answered(t, unknown)
	answered(t, f.dial("")) // waits until both count as idle
	wantCut(t, unknown)
	answered(t, known)
}

func TestAPeerThatTakesNothingIsCut(t *testing.T) {
	limits := generous()
	limits.Stall = 100 * time.Millisecond
	failed := make(chan error, 1)
	conn := dial(t, serves(t, limits, func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 16<<20))
		failed <- err
	}))
	fmt.Fprint(conn, get)
	select {
	case err := <-failed:
		if err == nil {
			t.Error("16 MiB went to nobody")
		}
	case <-time.After(patience):
		t.Error("the handler still waits for the reader")
	}
}

// A client that reads slowly, but reads, gets the whole answer, however long it takes.
func TestASlowReaderGetsAll(t *testing.T) {
	limits := generous()
	limits.Stall = 20 * time.Second
	const size = 4 << 20
	conn := dial(t, serves(t, limits, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.Write(make([]byte, size))
	}))
	fmt.Fprint(conn, get)
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d of %d bytes, %v", n, size, err)
	}
}
