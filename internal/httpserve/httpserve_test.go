package httpserve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// generous are limits that no test reaches.
func generous() Limits {
	return Limits{
		Connections: 100, HeaderBytes: 16 << 10, ReadHeader: time.Minute, Read: time.Minute, Write: time.Minute, Idle: time.Minute, Grace: time.Minute,
	}
}

// serves runs a server until the test ends, and returns its address.
func serves(t *testing.T, limits Limits, handler http.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, handler, limits, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// patience is when a test gives up.
const patience = 30 * time.Second

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// wantCut reads until the server closes the connection. It fails if the server does not.
func wantCut(t *testing.T, conn net.Conn) (read int64) {
	t.Helper()
	n, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server keeps the connection")
	}
	return n
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

func TestHeadersThatNeverEndAreCut(t *testing.T) {
	limits := generous()
	limits.ReadHeader = 50 * time.Millisecond
	conn := dial(t, serves(t, limits, hello))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
	wantCut(t, conn)
}

func TestBodyThatNeverEndsIsCut(t *testing.T) {
	limits := generous()
	limits.Read = 50 * time.Millisecond
	broke := make(chan error, 1)
	conn := dial(t, serves(t, limits, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		broke <- err
	}))
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nslow")
	select {
	case err := <-broke:
		if err == nil {
			t.Error("half a body was taken for a whole one")
		}
	case <-time.After(patience):
		t.Error("the handler still waits for the body")
	}
	wantCut(t, conn)
}

// What a refused caller still sends is read up to a limit of time and of bytes.
func TestTheRestOfARefusedBodyIsBounded(t *testing.T) {
	refuses := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "no", http.StatusForbidden)
	}
	for _, tt := range []struct {
		name, head string
		sends      int64
		most       time.Duration
	}{
		{"that does not come", "Content-Length: 9000000", 0, 2 * lingerTime},
		{"that does not come, in pieces", "Transfer-Encoding: chunked", 0, 2 * lingerTime},
		{"that waits for leave", "Content-Length: 9000000\r\nExpect: 100-continue", 0, lingerTime - time.Second},
		{"without end", "Content-Length: 9000000000", 1 << 40, patience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, serves(t, generous(), refuses))
			began := time.Now()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", tt.head)
			reader := bufio.NewReader(conn)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil || answer.StatusCode != http.StatusForbidden {
				t.Fatalf("%v, %v", answer, err)
			}
			if sent, err := io.CopyN(conn, zeros{}, tt.sends); tt.sends > 0 && (err == nil || sent < lingerBytes) {
				t.Errorf("%d bytes were taken, %v", sent, err)
			}
			io.Copy(io.Discard, reader) // until the server closes, one way or the other
			if took := time.Since(began); took > tt.most {
				t.Errorf("the connection was there for %s, want %s at most", took, tt.most)
			}
		})
	}
}

// A refused caller makes room when all connections are taken, even while it still sends.
func TestARefusedCallerWhoGoesOnSendingLocksNobodyOut(t *testing.T) {
	limits := generous()
	limits.Connections = 1
	addr := serves(t, limits, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusForbidden)
		}
	})
	refused := dial(t, addr)
	fmt.Fprint(refused, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(refused), nil); err != nil || answer.StatusCode != http.StatusForbidden {
		t.Fatalf("%v, %v", answer, err)
	}
	began := time.Now()
	go func() {
		for { // until it is cut
			if _, err := refused.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	answered(t, dial(t, addr))
	if took := time.Since(began); took > lingerTime-time.Second {
		t.Errorf("another caller was served after %s", took)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestIdleConnectionIsCut(t *testing.T) {
	limits := generous()
	limits.Idle = 50 * time.Millisecond
	conn := dial(t, serves(t, limits, hello))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	wantCut(t, conn)
}

// A client that sends requests and never reads must not occupy a handler forever.
func TestReaderThatNeverReadsIsCut(t *testing.T) {
	limits := generous()
	limits.Write = 100 * time.Millisecond
	broke := make(chan error, 1)
	conn := dial(t, serves(t, limits, func(w http.ResponseWriter, _ *http.Request) {
		large := make([]byte, 1<<20)
		for range 100 { // more than any socket buffers
			if _, err := w.Write(large); err != nil {
				broke <- err
				return
			}
		}
		broke <- nil
	}))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	select {
	case err := <-broke:
		if err == nil {
			t.Error("100 MiB went to nobody")
		}
	case <-time.After(patience):
		t.Error("the handler still waits for the reader")
	}
}

func TestHeadersThatAreTooLongAreRefused(t *testing.T) {
	limits := generous()
	limits.HeaderBytes = 1 << 10
	conn := dial(t, serves(t, limits, hello))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 16<<10))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%+v, %v", resp, err)
	}
}

// enters returns a handler that reports when it was entered. It returns when the test releases it
// or its client is gone.
func enters() (handler http.HandlerFunc, entered chan struct{}, leave func()) {
	entered, gone := make(chan struct{}, 100), make(chan struct{})
	handler = func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-gone:
		case <-r.Context().Done():
		}
	}
	return handler, entered, func() { close(gone) }
}

func TestConnectionsAboveTheCapWait(t *testing.T) {
	limits := generous()
	limits.Connections = 2
	handler, entered, leave := enters()
	addr := serves(t, limits, handler)
	for range 3 {
		fmt.Fprint(dial(t, addr), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	<-entered
	<-entered
	select {
	case <-entered:
		leave()
		t.Fatal("a third connection was accepted")
	case <-time.After(100 * time.Millisecond): // long enough for one that need not wait
	}
	leave()
	<-entered
}

func TestConnectionsOfOneAddressAboveItsShareAreClosed(t *testing.T) {
	limits := generous()
	limits.PerAddress = 2
	handler, entered, leave := enters()
	defer leave()
	addr := serves(t, limits, handler)
	first := dial(t, addr)
	for _, conn := range []net.Conn{first, dial(t, addr)} {
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-entered
	}
	if n := wantCut(t, dial(t, addr)); n != 0 {
		t.Errorf("the third connection was answered with %d bytes", n)
	}
	// The place is free again when a connection is gone.
	first.Close()
	for deadline := time.After(patience); ; {
		fmt.Fprint(dial(t, addr), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		select {
		case <-entered:
			return
		case <-deadline:
			t.Fatal("no new connection after another was closed")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestShareOfAnAddressIsNotForProxies(t *testing.T) {
	limits := generous()
	limits.PerAddress = 1
	limits.Unlimited = func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }
	handler, entered, leave := enters()
	defer leave()
	addr := serves(t, limits, handler)
	for range 3 {
		fmt.Fprint(dial(t, addr), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-entered
	}
}

func TestAddressesAreCountedByWhoHasThem(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		a, b := AddressKey(netip.MustParseAddr(c.a)), AddressKey(netip.MustParseAddr(c.b))
		if !a.IsValid() || (a == b) != c.same {
			t.Errorf("%s is counted as %s, %s as %s: want them the same: %t", c.a, a, c.b, b, c.same)
		}
	}
	if key := AddressKey(netip.Addr{}); key.IsValid() {
		t.Errorf("no address is counted as %s", key)
	}
}

func TestServeCutsRequestsOffAndStillWaitsForTheirEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		<-leave
		ended.Store(true)
	})
	limits := generous()
	limits.Grace = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, handler, limits, slog.New(slog.DiscardHandler)) }()
	refused := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String())
		if err == nil {
			resp.Body.Close()
		}
		refused <- err
	}()
	<-entered
	cancel()
	if err := <-refused; err == nil {
		t.Error("the request was answered")
	}
	select {
	case err := <-served:
		t.Fatalf("Serve returned before the request ended: %v", err)
	case <-time.After(100 * time.Millisecond): // long enough for a return that waits for nothing
	}
	close(leave)
	if err := <-served; err != nil || !ended.Load() {
		t.Errorf("Serve: %v, and the request had ended: %v", err, ended.Load())
	}
}

func TestAFailedListenerIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := Serve(t.Context(), ln, http.HandlerFunc(hello), generous(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error of a closed listener")
	}
}
