package httpserve

import (
	"net"
	"net/netip"
	"sync"
)

// ipv6Site is how many bits of an IPv6 address name one customer: whoever has one address has all of its /64 (RFC 4291, 2.5.4).
const ipv6Site = 64

// AddressKey returns what limits for each address are counted by: an IPv4 address itself, also where it is written as an IPv6 one, and of
// an IPv6 address its /64.
func AddressKey(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = ipv6Site
	}
	p, _ := a.Prefix(bits) // fails only for the zero Addr, whose key is the zero Prefix
	return p
}

// PeerAddress returns the address at the other end of a connection; the zero Addr where that is no IP connection.
func PeerAddress(remote net.Addr) netip.Addr {
	if tcp, ok := remote.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// fairListener lets no address have all the connections.
type fairListener struct {
	net.Listener
	most      int
	unlimited func(netip.Addr) bool

	mu   sync.Mutex
	open map[netip.Prefix]int // only those that have one: bounded by the number of connections
}

func newFairListener(ln net.Listener, most int, unlimited func(netip.Addr) bool) *fairListener {
	return &fairListener{Listener: ln, most: most, unlimited: unlimited, open: make(map[netip.Prefix]int)}
}

func (l *fairListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := PeerAddress(conn.RemoteAddr())
		if l.unlimited != nil && l.unlimited(peer) {
			return conn, nil
		}
		key := AddressKey(peer)
		if l.enter(key) {
			return &fairConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(key) })}, nil
		}
		conn.Close()
	}
}

func (l *fairListener) enter(key netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[key] >= l.most {
		return false
	}
	l.open[key]++
	return true
}

func (l *fairListener) leave(key netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[key]--; l.open[key] == 0 {
		delete(l.open, key)
	}
}

type fairConn struct {
	net.Conn
	leave func()
}

func (c *fairConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
