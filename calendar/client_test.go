package calendar

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/proof"
)

// commitment is the commitment that the tests ask for.
var commitment = bytes.Repeat([]byte{0xc0}, 32)

// attested is a small answer about any commitment: it leads to a block.
func attested(t *testing.T, about []byte, height uint64) []byte {
	t.Helper()
	ts := &proof.Timestamp{Msg: about}
	next, err := ts.Then(proof.Op{Tag: proof.Append, Arg: []byte("sibling")})
	if err != nil {
		t.Fatal(err)
	}
	if next, err = next.Then(proof.Op{Tag: proof.SHA256}); err != nil {
		t.Fatal(err)
	}
	next.Attest(proof.BitcoinAt(height))
	b, err := ts.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve starts a calendar that answers as do says.
func serve(t *testing.T, do http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(do)
	t.Cleanup(s.Close)
	return s
}

// newTestClient returns a client that closes its connections when the test ends.
func newTestClient(t *testing.T, cfg ClientConfig) *Client {
	t.Helper()
	c := NewClient(cfg)
	t.Cleanup(c.Close)
	return c
}

func TestClientAsksAsTheReferenceDoes(t *testing.T) {
	var got []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		if r.Header.Get("Accept") != "application/vnd.opentimestamps.v1" || r.Header.Get("User-Agent") != "ancre/1" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("headers %v", r.Header)
		}
		about := commitment
		if r.Method == http.MethodPost {
			about = body
		}
		w.Write(attested(t, about, 7))
	})
	c := newTestClient(t, ClientConfig{UserAgent: "ancre/1"})
	for _, uri := range []string{s.URL, s.URL + "/", s.URL + "/below"} {
		ts, err := c.Timestamp(t.Context(), uri, commitment)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ts.Msg, commitment) || len(ts.All()) != 1 {
			t.Errorf("a timestamp of %x with %d attestations", ts.Msg, len(ts.All()))
		}
	}
	if ts, err := c.Submit(t.Context(), s.URL, []byte("message")); err != nil || string(ts.Msg) != "message" {
		t.Errorf("submitted: %v, %v", ts, err)
	}
	route := "/timestamp/" + strings.Repeat("c0", 32) + " "
	if want := []string{"GET " + route, "GET " + route, "GET /below" + route, "POST /digest message"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked\n%q, want\n%q", got, want)
	}
	if _, err := c.Submit(t.Context(), s.URL, make([]byte, 65)); err == nil || len(got) != 4 {
		t.Errorf("a message of 65 bytes: %v, after %d requests", err, len(got))
	}
}

// Each wrong answer becomes an error, and no text of the answer reaches a terminal unescaped.
func TestClientRefusesWhatIsNoTimestamp(t *testing.T) {
	good := attested(t, commitment, 7)
	answer := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		do   http.HandlerFunc
		want string
	}{
		"nothing":           {answer(200, ""), "not a timestamp of the message: malformed proof at byte 0"},
		"trailing bytes":    {answer(200, string(good)+"\x00"), "1 bytes follow after the timestamp"},
		"cut short":         {answer(200, string(good[:len(good)-1])), "malformed proof"},
		"a whole proof":     {answer(200, "\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08"+string(good)), "malformed proof"},
		"unknown operation": {answer(200, "\x42"), "unknown operation 0x42"},
		"too deep":          {answer(200, strings.Repeat("\x08", 300)), "more than 255 operations"},
		"work without end":  {answer(200, strings.Repeat("\xff\x02\x00", 3000)), "malformed proof"},
		"a page":            {answer(200, "<html>log in</html>", "Content-Type", "text/html; charset=utf-8"), "answers with a web page"},
		"too long":          {answer(200, strings.Repeat("\x00", MaxAnswer+1)), "longer than 10000 bytes"},
		"an error":          {answer(500, "out of \x1b[31mdisk\x1b[0m\n\nancre: valid"), `HTTP status 500: "out of ?[31mdisk?[0m ancre: valid"`},
		"an error page":     {answer(502, "<html>", "Content-Type", "text/html"), "HTTP status 502"},
		"no content":        {answer(204, ""), "HTTP status 204"},
		"compressed":        {answer(200, "\x1f\x8b", "Content-Encoding", "gzip"), `compressed ("gzip")`},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "longer than 10000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.do)
			ts, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), s.URL, commitment)
			if err == nil {
				t.Fatalf("accepted %v", ts)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, want something of %q", err, c.want)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n\r") || strings.Contains(err.Error(), s.URL) {
				t.Errorf("%q is not safe to show, or repeats the address", err)
			}
		})
	}
}

func TestClientTakesTheLargestAnswer(t *testing.T) {
	// An unknown attestation of just that size: 00, 8 bytes of a tag, 2 of a length.
	long := append([]byte("\xff\x00tagtagta"), 0x80, 0x40)
	long = append(long, make([]byte, 0x40<<7)...)
	short := append([]byte("\x00tagtagtb"), 0, 0)
	left := MaxAnswer - len(long) - 11
	short[9], short[10] = byte(left&0x7f)|0x80, byte(left>>7)
	body := append(append(long, short...), make([]byte, left)...)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
	if _, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), s.URL, commitment); err != nil || len(body) != MaxAnswer {
		t.Errorf("an answer of %d bytes: %v", len(body), err)
	}
}

// A compressed answer of a few bytes can expand to gigabytes. The client does not expand it.
func TestClientUnpacksNoBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 1<<20))
	z.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	})
	_, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), s.URL, commitment)
	if err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("%v, want it refused for being compressed", err)
	}
}

func TestClientPassesPendingOn(t *testing.T) {
	const promised = "Timestamped by transaction 5bd1b8c2e4a9a1d3c5f8de2f8d6a4e3c1b0a9f8e7d6c5b4a39281706f5e4d3c2; waiting for 6 confirmations"
	for _, c := range []struct{ kind, body, want string }{
		{"text/plain", "Pending confirmation in Bitcoin blockchain", "Pending confirmation in Bitcoin blockchain"},
		{"text/plain", promised, promised},
		{"text/plain", "", ""},
		{"text/html", "<h1>nginx</h1>", ""},
		{"", " <!doctype html>", ""},
		{"text/plain", "evil\x1b]0;title\x07\r\nfile.ots: valid\u202e", "evil?]0;title? file.ots: valid?"},
		{"text/plain", "caf\xe9", "caf?"},
		{"text/plain", "a\u0301\u0302\u0303", "a???"},
		{"text/plain", strings.Repeat("x", 5000), strings.Repeat("x", 160) + "…"},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, c.body)
		})
		_, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), s.URL, commitment)
		var not *PendingError
		if !errors.As(err, &not) || not.Text != c.want || err.Error() == "" {
			t.Errorf("%q: %v, want %q", c.body, err, c.want)
		}
	}
}

func TestClientPassesBusyOn(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		after  string
		want   time.Duration
	}{
		{503, "7", 7 * time.Second},
		{429, "0", time.Second},
		{429, "", defaultRetry},
		{503, "soon", defaultRetry},
		{503, "-5", defaultRetry},
		{503, "99999999999", defaultRetry},
		{503, "2000000000", maxRetry},
		{503, now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{503, now.Add(-time.Hour).Format(http.TimeFormat), time.Second},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.status)
		})
		client := newTestClient(t, ClientConfig{})
		client.now = func() time.Time { return now }
		_, err := client.Timestamp(t.Context(), s.URL, commitment)
		var busy *BusyError
		if !errors.As(err, &busy) || busy.Status != c.status || busy.RetryAfter != c.want {
			t.Errorf("%d, %q: %v", c.status, c.after, err)
		}
	}
}

// The client follows no redirect, not even on the same host.
func TestClientFollowsNoRedirect(t *testing.T) {
	var others atomic.Int32
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		others.Add(1)
		w.Write(attested(t, commitment, 7))
	})
	for _, to := range []string{other.URL, "http://169.254.169.254/latest/meta-data/", "https://127.0.0.1:1/", "/timestamp/there", "", "//x\x1b[2J"} {
		var asked atomic.Int32
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) > 1 {
				w.Write(attested(t, commitment, 7))
				return
			}
			w.Header()["Location"] = []string{to}
			w.WriteHeader([]int{301, 302, 303, 307, 308}[len(to)%5])
		})
		ts, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), s.URL, commitment)
		if err == nil || asked.Load() != 1 || others.Load() != 0 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("to %q: %v, %v, asked %d times, the other one %d times", to, ts, err, asked.Load(), others.Load())
		}
		if strings.HasPrefix(to, "http") && !strings.Contains(err.Error(), to) {
			t.Errorf("%q does not say where it was to go: %s", err, to)
		}
	}
}

// Neither silence nor a slow answer lasts longer than the time-out.
func TestClientGivesUpInTime(t *testing.T) {
	trickle := func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := w.Write([]byte{0xff, 0x00}); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}
	silence := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, do := range map[string]http.HandlerFunc{"a trickle": trickle, "silence": silence} {
		s := serve(t, do)
		_, err := newTestClient(t, ClientConfig{Timeout: 50 * time.Millisecond}).Timestamp(t.Context(), s.URL, commitment)
		if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "took longer than 50ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing in TLS either
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	_, err = newTestClient(t, ClientConfig{Timeout: 50 * time.Millisecond}).Timestamp(t.Context(), "https://"+mute.Addr().String(), commitment)
	if !errors.Is(err, ErrNoAnswer) {
		t.Errorf("no handshake: %v", err)
	}
}

func TestClientEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	c := newTestClient(t, ClientConfig{})
	if _, err := c.Timestamp(ctx, s.URL, commitment); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v", err)
	}
	if len(c.unreachable) != 0 {
		t.Error("the calendar is blamed")
	}
}

func TestClientTrustsNoUnknownCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(attested(t, commitment, 7)) }))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	c := newTestClient(t, ClientConfig{})
	if _, err := c.Timestamp(t.Context(), s.URL, commitment); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	c = newTestClient(t, ClientConfig{})
	transport := c.http.Transport.(*http.Transport)
	transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(s.Certificate())
	if _, err := c.Timestamp(t.Context(), s.URL, commitment); err != nil {
		t.Errorf("with its authority known: %v", err)
	}
	// The certificate is for 127.0.0.1 and example.com.
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	if _, err := c.Timestamp(t.Context(), "https://localhost:"+port, commitment); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "not localhost") {
		t.Errorf("another name: %v", err)
	}
}

func TestClientAsksNobodyInTheClear(t *testing.T) {
	for _, uri := range []string{"http://calendar.example", "http://169.254.169.254", "ftp://127.0.0.1", "http://192.0.2.1:14788", ""} {
		_, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), uri, commitment)
		if err == nil || errors.Is(err, ErrNoAnswer) {
			t.Errorf("%q: %v, want it refused before anything is sent", uri, err)
		}
	}
}

// A thousand proofs do not wait for a thousand time-outs. A calendar that is back is asked again.
func TestClientLeavesTheUnreachableAlone(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var asked atomic.Int32
	var up atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if up.Load() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	})
	c := newTestClient(t, ClientConfig{})
	c.now = func() time.Time { return now }
	ask := func() error {
		_, err := c.Timestamp(t.Context(), s.URL, commitment)
		return err
	}
	for range maxFailures {
		if err := ask(); !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
	}
	before := asked.Load()
	if err := ask(); !errors.Is(err, ErrNoAnswer) || asked.Load() != before || !strings.Contains(err.Error(), "3 times in a row") {
		t.Errorf("%v, asked %d times more", err, asked.Load()-before)
	}
	now = now.Add(pauseTime)
	up.Store(true)
	var not *PendingError
	if err := ask(); !errors.As(err, &not) || asked.Load() != before+1 {
		t.Errorf("after a minute: %v", err)
	}
	if len(c.unreachable) != 0 {
		t.Error("it is still blamed")
	}
}

// A client that runs as many exchanges as it may lets the next one wait.
func TestClientAsksFewAtOnce(t *testing.T) {
	var asked atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Write(attested(t, commitment, 7))
	})
	c := newTestClient(t, ClientConfig{})
	for range atOnce {
		c.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Timestamp(ctx, s.URL, commitment); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoAnswer) || asked.Load() != 0 {
		t.Errorf("%v, the calendar was asked %d times", err, asked.Load())
	}
	<-c.slots
	for range 2 { // each gives its place back
		if _, err := c.Timestamp(t.Context(), s.URL, commitment); err != nil {
			t.Error(err)
		}
	}
}

// proxyServer is a SOCKS5 proxy (RFC 1928) that records the addresses it is asked for, and connects
// all clients to one address.
func proxyServer(t *testing.T, to string) (addr string, asked func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var names []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				var head [4]byte
				io.ReadFull(conn, head[:2])
				io.ReadFull(conn, make([]byte, head[1]))
				conn.Write([]byte{5, 0})
				io.ReadFull(conn, head[:])
				n := [1]byte{net.IPv4len}
				if head[3] == 3 {
					io.ReadFull(conn, n[:])
				}
				host := make([]byte, n[0]+2)
				io.ReadFull(conn, host)
				mu.Lock()
				names = append(names, fmt.Sprintf("%d %s:%d", head[3], host[:n[0]], binary.BigEndian.Uint16(host[n[0]:])))
				mu.Unlock()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				done := make(chan struct{})
				go func() { io.Copy(out, conn); out.(*net.TCPConn).CloseWrite(); close(done) }()
				io.Copy(conn, out)
				conn.Close()
				<-done
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String(), func() []string { mu.Lock(); defer mu.Unlock(); return names }
}

// With Tor configured, no name is looked up and no connection is made around it.
func TestClientGoesAroundNoProxy(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(attested(t, commitment, 7)) }))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	proxy, asked := proxyServer(t, s.Listener.Addr().String())
	c := newTestClient(t, ClientConfig{Proxy: proxy})
	defer c.Close() // before the proxy waits for its connections
	c.http.Transport.(*http.Transport).TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := c.Timestamp(t.Context(), "https://example.com", commitment); err != nil {
		t.Error(err)
	}
	// Type 3 is a name, which the proxy looks up.
	if got := asked(); len(got) != 1 || got[0] != "3 example.com:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
	c.Timestamp(t.Context(), "https://expyuzz4wqqyqhjn.onion", commitment)
	if got := asked(); len(got) != 2 || got[1] != "3 expyuzz4wqqyqhjn.onion:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
	here := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(attested(t, commitment, 7)) })
	if _, err := c.Timestamp(t.Context(), here.URL, commitment); err != nil || len(asked()) != 2 {
		t.Errorf("this machine: %v, the proxy was asked for %q", err, asked())
	}
	if _, err := newTestClient(t, ClientConfig{}).Timestamp(t.Context(), "https://expyuzz4wqqyqhjn.onion", commitment); err == nil || !strings.Contains(err.Error(), "spv.proxy") {
		t.Errorf("an onion service without a proxy: %v", err)
	}
	if _, err := newTestClient(t, ClientConfig{Proxy: "127.0.0.1:1"}).Timestamp(t.Context(), "https://example.com", commitment); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("a proxy that is not there: %v", err)
	}
}
