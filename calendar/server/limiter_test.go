package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ancre/internal/httpserve"
)

// at is a limiter with the test's clock.
func at(perSecond int, clock *time.Time, proxies ...string) *limiter {
	var prefixes []netip.Prefix
	for _, p := range proxies {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	l := newLimiter(perSecond, prefixes)
	l.now = func() time.Time { return *clock }
	return l
}

// asks makes n requests from an address and returns how many are allowed.
func asks(l *limiter, n int, from string, forwarded ...string) (allowed int) {
	for range n {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if l.allow(r) {
			allowed++
		}
	}
	return allowed
}

func TestAddressThatAsksTooMuchIsRefusedAndOthersAreNot(t *testing.T) {
	clock := time.Unix(1e9, 0)
	l := at(5, &clock)
	if n := asks(l, 100, "192.0.2.1:1000"); n != 50 {
		t.Errorf("%d of 100 at once were allowed, want 10 seconds' worth", n)
	}
	if n := asks(l, 1, "192.0.2.1:1001"); n != 0 {
		t.Error("another port was taken for another address")
	}
	if n := asks(l, 10, "192.0.2.2:1000"); n != 10 {
		t.Errorf("%d of 10 of another address were allowed", n)
	}
	clock = clock.Add(2 * time.Second)
	if n := asks(l, 100, "192.0.2.1:1000"); n != 10 {
		t.Errorf("%d were allowed after 2 seconds, want 5 a second", n)
	}
}

func TestIPv6AddressesOfOneCustomerAreOne(t *testing.T) {
	clock := time.Unix(1e9, 0)
	l := at(1, &clock)
	allowed := 0
	for i := range 100 {
		allowed += asks(l, 1, fmt.Sprintf("[2001:db8::%x]:1000", i))
	}
	if allowed != 10 {
		t.Errorf("%d of 100 addresses of a /64 were allowed, want 10 seconds' worth", allowed)
	}
	if n := asks(l, 1, "[2001:db8:0:1::1]:1000"); n != 1 {
		t.Error("the next /64 was refused")
	}
}

func TestForwardedAddressIsBelievedOfOurProxiesAlone(t *testing.T) {
	clock := time.Unix(1e9, 0)
	l := at(1, &clock, "127.0.0.1/32", "10.0.0.0/8", "::1/128")
	for _, c := range []struct {
		name, from string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1"},
		{"no proxy, and a claim", "192.0.2.1:1", []string{"198.51.100.7"}, "192.0.2.1"},
		{"a proxy", "127.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"a proxy by IPv6", "[::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"a proxy that says nothing", "127.0.0.1:1", nil, "127.0.0.1"},
		{"a client that claims to be somebody else", "127.0.0.1:1", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"two lines, as proxies may write", "127.0.0.1:1", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		{"two proxies", "127.0.0.1:1", []string{"203.0.113.9, 198.51.100.7, 10.1.2.3"}, "198.51.100.7"},
		{"a client that claims to be a proxy", "127.0.0.1:1", []string{"10.9.9.9, 198.51.100.7"}, "198.51.100.7"},
		{"proxies alone", "127.0.0.1:1", []string{"10.1.2.3, 10.1.2.4"}, "10.1.2.3"},
		{"with a port", "127.0.0.1:1", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"nonsense", "127.0.0.1:1", []string{"198.51.100.7, unknown"}, "127.0.0.1"},
		{"nonsense behind a proxy", "127.0.0.1:1", []string{"x, 10.1.2.3"}, "10.1.2.3"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		for _, f := range c.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if got := l.client(r); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A client can have many addresses. Remembering them must not take much memory.
func TestTableOfAddressesIsBounded(t *testing.T) {
	clock := time.Unix(1e9, 0)
	l := at(1, &clock)
	l.most = 100
	from := func(i int) string { return fmt.Sprintf("10.0.%d.%d:1", i/256, i%256) }
	for i := range 100 {
		asks(l, 10, from(i)) // all that it may
	}
	// Further addresses share the requests of the crowd. They do not make the limiter forget an
	// address that has used up its own.
	allowed := 0
	for i := 100; i < 3000; i++ {
		allowed += asks(l, 1, from(i))
	}
	if allowed != crowd*burst {
		t.Errorf("%d of the crowd were allowed, want %d", allowed, crowd*burst)
	}
	if len(l.table) > 100 {
		t.Errorf("the table has %d addresses, 100 are allowed", len(l.table))
	}
	if n := asks(l, 1, from(7)); n != 0 {
		t.Error("the crowd made an address be forgotten that had used its share up")
	}
	// An address that was quiet for long enough is forgotten, and makes room.
	clock = clock.Add(time.Minute)
	if n := asks(l, 100, from(5000)); n != 10 {
		t.Errorf("%d of a new address were allowed, want its own share, 10", n)
	}
	if len(l.table) != 1 {
		t.Errorf("the table has %d addresses after a minute in which one asked", len(l.table))
	}
}

func TestRefusalForAskingTooMuchSaysWhenToComeBack(t *testing.T) {
	r := newRig(t, Config{RateLimit: 1})
	for range burst {
		if resp := r.ask("GET", "/tip", "", "from", "192.0.2.1:5"); resp.StatusCode != 404 {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	before := len(r.batcher.messages)
	resp := r.ask("POST", "/digest", "m", "from", "192.0.2.1:5")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Access-Control-Allow-Origin") != "*" || len(r.batcher.messages) != before {
		t.Errorf("%d, %v", resp.StatusCode, resp.Header)
	}
	if resp := r.ask("POST", "/digest", "m", "from", "192.0.2.9:5"); resp.StatusCode != 200 {
		t.Errorf("another address: %d", resp.StatusCode)
	}
}

// However many addresses submit digests, all of them together fill about one batch in each
// interval: the operator pays for it.
func TestCrowdHandsInNoMoreThanIsPaidFor(t *testing.T) {
	const digests = 5
	r := newRig(t, Config{RateLimit: 100, Digests: digests, Interval: 6 * time.Hour})
	for i := range digests + 2 {
		resp := r.ask("POST", "/digest", fmt.Sprint("message ", i), "from", fmt.Sprintf("192.0.2.%d:1", i))
		got := text(t, resp)
		if i < digests {
			if resp.StatusCode != http.StatusOK {
				t.Errorf("digest %d of %d: %d %q", i+1, digests, resp.StatusCode, got)
			}
			continue
		}
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "60" || !strings.Contains(got, "try again in a minute") {
			t.Errorf("one digest too many: %d %v %q", resp.StatusCode, resp.Header, got)
		}
	}
	if n := len(r.batcher.messages); n != digests {
		t.Errorf("%d digests were handed in, allowed are %d", n, digests)
	}
	if n := strings.Count(r.log.String(), "calendar.max_digests"); n != 1 {
		t.Errorf("the operator was told %d times, want once a minute:\n%s", n, r.log)
	}
	if resp := r.ask("GET", "/", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("other requests are refused as well: %d", resp.StatusCode)
	}
}

func TestNoLimitMeansNone(t *testing.T) {
	r := newRig(t, Config{})
	for range 1000 {
		if resp := r.ask("GET", "/tip", ""); resp.StatusCode != 404 {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
}

// One address cannot take all connections, unless it is a proxy or there is no limit.
func TestShareOfConnections(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		closed bool
	}{
		{"of anybody", Config{RateLimit: 1000}, true},
		{"of a proxy", Config{RateLimit: 1000, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, false},
		{"without limits", Config{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := newRig(t, c.config).listen()
			var last net.Conn
			for range perAddress + 1 {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				last = conn
			}
			last.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprint(last, "GET /tip HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			got, _ := io.ReadAll(last)
			if (len(got) == 0) != c.closed {
				t.Errorf("connection %d was answered with %q, want it closed: %t", perAddress+1, got, c.closed)
			}
		})
	}
}

func TestProxyIsNoPeerOfNobody(t *testing.T) {
	l := newLimiter(1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if l.isProxy(netip.Addr{}) || l.isProxy(httpserve.PeerAddress(nil)) {
		t.Error("an unknown address was taken for a proxy's")
	}
}
