package httpserve

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ipv6Site is how many bits of an IPv6 address identify a customer: one who has an address has all
// of its /64 (RFC 4291, 2.5.4).
const ipv6Site = 64

// AddressKey returns the key by which limits for each address count. It is an IPv4 address itself,
// also if it is written as an IPv6 address, and the /64 of an IPv6 address.
func AddressKey(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = ipv6Site
	}
	p, _ := a.Prefix(bits) // it fails only for the zero Addr, whose key is the zero Prefix
	return p
}

// PeerAddress returns the IP address of the peer of a connection, or the zero Addr if it has none.
func PeerAddress(remote net.Addr) netip.Addr {
	if tcp, ok := remote.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

const (
	// stuckAfter is how long a request or an answer may stand still before its connection counts as
	// idle, once all connections are taken.
	stuckAfter = 2 * time.Second

	// freshFor is how long a connection may wait before its first or its next request without being
	// idle: a connection that sends its request at once is never displaced.
	freshFor = 500 * time.Millisecond

	// lookAgain is how often a connection that waits for a place looks for one that is stuck.
	lookAgain = 250 * time.Millisecond

	// crowdNotice is how often the log says that all connections are taken.
	crowdNotice = time.Minute
)

// gate is a listener that admits connections. It lets no address have all of them.
//
// When all places are taken, the gate closes the connection that has been idle longest to admit the
// next one. While none is idle, further connections wait, as many as there are places; the gate
// closes the others. Some places are kept for loopback, so that strangers cannot lock the operator
// out.
type gate struct {
	net.Listener
	limits Limits
	log    *slog.Logger
	notice rate.Sometimes

	mu        sync.Mutex
	admitted  map[*conn]struct{}
	strangers int                  // admitted connections that are not from home
	waiting   []*conn              // in the order in which they came
	open      map[netip.Prefix]int // connections by address, waiting ones included, if they share
}

func newGate(ln net.Listener, limits Limits, log *slog.Logger) *gate {
	return &gate{
		Listener: ln,
		limits:   limits,
		log:      log,
		notice:   rate.Sometimes{Interval: crowdNotice},
		admitted: make(map[*conn]struct{}),
		open:     make(map[netip.Prefix]int),
	}
}

// Accept implements [net.Listener]. Reading from the connection waits until it is admitted.
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := PeerAddress(raw.RemoteAddr())
		trusted := g.limits.Unlimited != nil && g.limits.Unlimited(peer)
		c := &conn{
			Conn: raw, gate: g, key: AddressKey(peer),
			home:     trusted || peer.IsLoopback(),
			shares:   g.limits.PerAddress > 0 && !trusted,
			state:    http.StateNew,
			since:    time.Now(),
			admitted: make(chan struct{}),
			gone:     make(chan struct{}),
		}
		if g.enter(c) {
			return c, nil
		}
		raw.Close()
	}
}

// enter admits a connection or lets it wait. It returns false if there is no room.
func (g *gate) enter(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.shares && g.open[c.key] >= g.limits.PerAddress {
		return false
	}
	if !g.admit(c) {
		g.notice.Do(func() {
			g.log.Warn("all connections are in use and none is idle: new connections wait", "listen", g.Addr().String(), "connections", len(g.admitted))
		})
		if len(g.waiting) >= g.limits.Connections && !g.displaceWaiting(c) {
			return false
		}
		g.waiting = append(g.waiting, c)
	}
	if c.shares {
		g.open[c.key]++
	}
	return true
}

// displaceWaiting closes the stranger that came last, so that a connection from loopback can wait.
func (g *gate) displaceWaiting(c *conn) bool {
	if !c.home {
		return false
	}
	for _, other := range slices.Backward(g.waiting) {
		if !other.home {
			g.remove(other)
			other.Conn.Close()
			return true
		}
	}
	return false
}

// admit gives a connection a free place, or that of an idle connection.
func (g *gate) admit(c *conn) bool {
	if !g.room(c) {
		victim := g.victim(c)
		if victim == nil {
			return false
		}
		g.remove(victim)
		victim.Conn.Close() // the server notices that and forgets it
	}
	g.admitted[c] = struct{}{}
	c.since = time.Now() // until now it could not be read
	if !c.home {
		g.strangers++
	}
	close(c.admitted)
	return true
}

func (g *gate) room(c *conn) bool {
	if len(g.admitted) >= g.limits.Connections {
		return false
	}
	return c.home || g.strangers < g.limits.Connections-g.limits.Reserve
}

// victim returns the connection that has been idle longest, among those with the least claim. No
// stranger displaces a connection from loopback.
func (g *gate) victim(c *conn) (oldest *conn) {
	now := time.Now()
	for other := range g.admitted {
		since, idle := other.idleSince(now)
		switch {
		case !idle, other.home && !c.home:
		case oldest == nil, other.claim() < oldest.claim(), other.claim() == oldest.claim() && since.Before(oldest.idleFrom):
			oldest, other.idleFrom = other, since
		}
	}
	return oldest
}

// remove forgets a connection. A second call does nothing.
func (g *gate) remove(c *conn) {
	if c.removed {
		return
	}
	c.removed = true
	close(c.gone)
	if c.shares {
		if g.open[c.key]--; g.open[c.key] == 0 {
			delete(g.open, c.key)
		}
	}
	if _, ok := g.admitted[c]; ok {
		delete(g.admitted, c)
		if !c.home {
			g.strangers--
		}
		return
	}
	for i := range g.waiting {
		if g.waiting[i] == c {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return
		}
	}
}

// promote admits waiting connections as far as there are places.
func (g *gate) promote() {
	for i := 0; i < len(g.waiting); {
		c := g.waiting[i]
		if !g.admit(c) {
			i++ // there may be room for a connection from loopback behind it
			continue
		}
		g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
	}
}

// leave is called when a connection is closed.
func (g *gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c)
	g.promote()
}

// changed is called by http.Server when the state of a connection changes.
func (g *gate) changed(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c.state, c.since = state, time.Now()
	if state == http.StateIdle && len(g.waiting) > 0 {
		g.promote()
	}
}
