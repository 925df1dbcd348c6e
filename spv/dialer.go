package spv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/lightninglabs/neutrino/banman"
	"golang.org/x/net/proxy"
)

const (
	// dialTimeout is for one attempt to connect. Onion services take up to half a minute.
	dialTimeout      = 15 * time.Second
	dialTimeoutProxy = 45 * time.Second

	// A configured peer is dialed until it answers. The pauses grow from minRedial to maxRedial.
	minRedial = time.Second
	maxRedial = 8 * time.Second

	resolveTimeout = 20 * time.Second
)

// placeholders is the network of the addresses that stand for the names of configured peers. They
// are unique local addresses (RFC 4193): they are never routed, and neutrino's address manager
// never tells peers of them.
var placeholders = netip.MustParsePrefix("fd61:6e63:7265::/48")

// dialer makes all outgoing connections and looks up all names.
//
// neutrino resolves a configured name once and keeps the address. Behind a proxy, this machine must
// not resolve names at all. So neutrino gets a placeholder address for each configured name. The
// system or the proxy looks the name up each time a connection is made.
//
// neutrino's own pauses between attempts grow to five minutes. So for a configured peer, dial
// returns only once it is connected, and makes short pauses itself.
type dialer struct {
	ctx        context.Context
	log        *slog.Logger
	proxy      string
	connect    func(ctx context.Context, network, addr string) (net.Conn, error)
	bans       banman.Store
	configured []*configuredPeer
	byAddr     map[string]*configuredPeer // by the address that neutrino knows: IP:port, or placeholder:port
	magic      wire.BitcoinNet
	now        func() time.Time
	lifted     atomic.Uint64 // bans that were lifted
	abusers    atomic.Uint64 // connections that peerConn ended
	attempts   attempts      // since a peer was last connected
	limits     peerLimits    // set by newDialer; tests change them before the first connection

	headersOnly bool // no peer is asked for filters; set by Open, never changed

	mu      sync.Mutex             // guards open and closed
	open    map[*peerConn]struct{} // the open connections
	closed  bool                   // no more connections are opened
	writing sync.WaitGroup         // the goroutines that write to the connections
}

func newDialer(ctx context.Context, db walletdb.DB, log *slog.Logger, magic wire.BitcoinNet, peers []string, proxyAddr string) (*dialer, error) {
	bans, err := banman.NewStore(db)
	if err != nil {
		return nil, fmt.Errorf("list of banned peers: %w", err)
	}
	direct := &net.Dialer{Timeout: dialTimeout}
	d := &dialer{ctx: ctx, log: log, proxy: proxyAddr, connect: direct.DialContext, bans: bans, magic: magic, now: time.Now,
		byAddr: make(map[string]*configuredPeer), open: make(map[*peerConn]struct{}), limits: defaultPeerLimits()}
	if proxyAddr != "" {
		socks, err := proxy.SOCKS5("tcp", proxyAddr, nil, direct)
		if err != nil {
			return nil, fmt.Errorf("proxy %q: %w", proxyAddr, err)
		}
		d.connect = socks.(proxy.ContextDialer).DialContext
	}
	alias := placeholders.Addr()
	for _, addr := range peers {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		p := &configuredPeer{addr: addr, host: host, known: addr}
		if ip, err := netip.ParseAddr(host); err == nil {
			p.known = net.JoinHostPort(ip.Unmap().String(), port)
		} else {
			if strings.HasSuffix(host, ".onion") && proxyAddr == "" {
				return nil, fmt.Errorf("peer %q: an onion service can only be reached through Tor: set the proxy to Tor's SOCKS port (127.0.0.1:9050)", addr)
			}
			alias = alias.Next()
			p.alias = alias.String()
			p.known = net.JoinHostPort(p.alias, port)
		}
		d.configured = append(d.configured, p)
		d.byAddr[p.known] = p
	}
	return d, nil
}

// names returns the configured peers by the addresses that neutrino gets. It need not resolve any
// of them.
func (d *dialer) names() []string {
	var out []string
	for _, p := range d.configured {
		out = append(out, p.known)
	}
	return out
}

// display returns the address of a peer as the configuration has it.
func (d *dialer) display(addr string) string {
	if p := d.byAddr[addr]; p != nil {
		return p.addr
	}
	return addr
}

// dial connects to a peer, for neutrino. It tries a configured peer until it is connected or the
// client is closed.
func (d *dialer) dial(to net.Addr) (net.Conn, error) {
	p := d.byAddr[to.String()]
	if p == nil {
		conn, err := d.dialOnce(to.String())
		if err != nil {
			return nil, err
		}
		return d.wrap(conn, to.String()), nil
	}
	for pause := minRedial; ; pause = min(2*pause, maxRedial) {
		if err := d.liftBan(p); err != nil {
			return nil, err
		}
		conn, err := d.dialOnce(p.addr)
		if err == nil {
			p.accepted(d.now())
			return d.wrap(conn, p.known), nil
		}
		if d.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if p.setFailure(fmt.Sprintf("peer %s cannot be reached: %v", p.addr, err), false) {
			d.log.Warn("cannot reach a configured peer; trying again", "peer", p.addr, "err", err)
		}
		if !sleep(d.ctx, pause) {
			return nil, ErrClosed
		}
	}
}

func (d *dialer) dialOnce(addr string) (net.Conn, error) {
	timeout := dialTimeout
	if d.proxy != "" {
		timeout = dialTimeoutProxy
	} else if host, _, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".onion") {
		return nil, errors.New("an onion service cannot be reached without a proxy") // another peer announced it
	}
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	conn, err := d.connect(ctx, "tcp", addr)
	d.attempts.dial(err, d.proxy != "")
	return conn, err
}

// resolve looks up a name, for neutrino: in practice only the names of the DNS seeds. Behind a
// proxy, the proxy looks it up.
func (d *dialer) resolve(host string) ([]net.IP, error) {
	if ip := net.ParseIP(host); ip != nil {
		return []net.IP{ip}, nil
	}
	if strings.HasSuffix(host, ".onion") {
		return nil, fmt.Errorf("%s has no IP address", host)
	}
	ctx, cancel := context.WithTimeout(d.ctx, resolveTimeout)
	defer cancel()
	ips, err := d.lookUp(ctx, host)
	d.attempts.lookup(err)
	return ips, err
}

func (d *dialer) lookUp(ctx context.Context, host string) ([]net.IP, error) {
	if d.proxy != "" {
		ip, err := resolveThrough(ctx, d.proxy, host)
		if err != nil {
			return nil, fmt.Errorf("cannot look up %s through the proxy: %w", host, err)
		}
		return []net.IP{ip}, nil
	}
	return net.DefaultResolver.LookupIP(ctx, "ip", host)
}
