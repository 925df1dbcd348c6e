package spv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
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
	// dialTimeout is for one attempt. Onion services take up to half a minute.
	dialTimeout      = 15 * time.Second
	dialTimeoutProxy = 45 * time.Second

	// A configured peer is dialed until it answers, with pauses that grow from the first of these
	// to the second.
	minRedial = time.Second
	maxRedial = 8 * time.Second

	// banPause is how long a configured peer stays banned: neutrino bans for mere timeouts too, and
	// for a day. A peer that serves no filters does not begin to within seconds.
	banPause          = 5 * time.Second
	banPauseNoFilters = time.Minute

	// handshakeWarning is how long a configured peer may take connections without becoming a peer
	// before a person is told.
	handshakeWarning = 15 * time.Second

	// A configured peer that was dropped dropsWarning times, with no more than dropMemory between
	// them, is told of also while it is connected.
	dropsWarning = 3
	dropMemory   = time.Hour

	resolveTimeout = 20 * time.Second
)

// placeholders is the network of addresses that stand for the names of configured peers: unique
// local addresses (RFC 4193), which are never routed and which neutrino's address manager never
// passes on.
var placeholders = netip.MustParsePrefix("fd61:6e63:7265::/48")

// peerAddresses checks configured peers, adds the port where it is missing, and drops repetitions.
func peerAddresses(peers []string, defaultPort string) ([]string, error) {
	seen := make(map[string]bool)
	var out []string
	for _, p := range peers {
		host, port, err := splitHostPort(p, defaultPort)
		if err != nil {
			return nil, fmt.Errorf("peer %q: %w", p, err)
		}
		addr := net.JoinHostPort(host, port)
		if !seen[addr] {
			seen[addr] = true
			out = append(out, addr)
		}
	}
	return out, nil
}

// checkProxy checks the address of a SOCKS5 proxy.
func checkProxy(addr string) error {
	if _, _, err := splitHostPort(addr, ""); err != nil {
		return fmt.Errorf("proxy %q: %w", addr, err)
	}
	return nil
}

// splitHostPort splits HOST, HOST:PORT, IPv6 or [IPv6]:PORT. An empty defaultPort says that the
// port must be given.
func splitHostPort(s, defaultPort string) (host, port string, err error) {
	want := "it must be HOST:PORT"
	if defaultPort != "" {
		want = "it must be HOST or HOST:PORT"
	}
	host, port = s, defaultPort
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		host = ip.String() // an IPv6 address has colons, and no port
	} else if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	} else if strings.Contains(s, ":") {
		return "", "", errors.New(want)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q: %s, with a port from 1 to 65535", port, want)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() {
			return "", "", fmt.Errorf("nobody can be reached at %s", ip)
		}
		return host, port, nil
	}
	if host == "" || len(host) > 253 || strings.IndexFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}) >= 0 {
		return "", "", fmt.Errorf("host %q: %s, and the host a name or an IP address", host, want)
	}
	return strings.ToLower(host), port, nil
}

// dialer makes all outgoing connections and looks up all names.
//
// neutrino resolves a configured name once and keeps the address; behind a proxy, names must not be
// resolved here at all. So neutrino is given a placeholder address for each configured name, and
// the name is looked up, by the system or by the proxy, each time a connection is made.
//
// neutrino's own pauses between attempts grow to five minutes. For a configured peer dial returns
// only once it is connected, and keeps the pauses short itself.
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
	lifted     atomic.Uint64 // bans
	abusers    atomic.Uint64 // peers that were hung up on by peerConn
	limits     peerLimits    // set by newDialer; tests change them before the first connection

	mu      sync.Mutex             // guards the next ones
	heard   map[*peerConn]struct{} // the connections that are open
	hungUp  bool                   // no more of them
	writing sync.WaitGroup         // the goroutines that write to them

	headersOnly bool // no peer is asked for filters; set by Open, never changed
}

// configuredPeer is one that the configuration names.
type configuredPeer struct {
	addr  string // as configured, with a port
	host  string
	known string // the IP:port that neutrino knows it by
	alias string // its placeholder address, when host is a name

	mu      sync.Mutex
	trouble string    // why it is not connected, for a person; empty while it is, or before the first attempt failed
	banned  bool      // whether trouble is a ban, which stays until the peer is met again
	silent  time.Time // since when it takes connections without becoming a peer; zero: it does not

	drops    int // of the present run of drops, at most dropMemory apart
	lastDrop time.Time
	why      string // of the last drop: what the peer did
}

func (p *configuredPeer) setTrouble(s string, banned bool) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = p.trouble != s
	p.trouble, p.banned = s, banned
	if !banned {
		p.silent = time.Time{}
	}
	return changed
}

// connected notes that the peer took a connection, and met that it became a peer.
func (p *configuredPeer) connected(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.banned {
		p.trouble = ""
	}
	if p.silent.IsZero() {
		p.silent = now
	}
}

func (p *configuredPeer) met() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.banned, p.silent = "", false, time.Time{}
}

// dropped notes that the peer was hung up on, and what it did.
func (p *configuredPeer) dropped(now time.Time, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.lastDrop) > dropMemory {
		p.drops = 0
	}
	p.drops, p.lastDrop, p.why = p.drops+1, now, why
}

// warning returns what a person should know of the peer, or nothing.
func (p *configuredPeer) warning(now time.Time, isPeer bool, network string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.drops >= dropsWarning && now.Sub(p.lastDrop) <= dropMemory:
		return fmt.Sprintf("peer %s was dropped %d times, the last time because it %s: if other peers work, take it out of spv.connect or spv.add_peers", p.addr, p.drops, p.why)
	case isPeer:
		return ""
	case p.trouble != "":
		return p.trouble
	case !p.silent.IsZero() && now.Sub(p.silent) >= handshakeWarning:
		return fmt.Sprintf("peer %s takes connections, but does not answer as a Bitcoin node of %s: check its host and port, and its network", p.addr, network)
	}
	return ""
}

func newDialer(ctx context.Context, db walletdb.DB, log *slog.Logger, magic wire.BitcoinNet, peers []string, proxyAddr string) (*dialer, error) {
	bans, err := banman.NewStore(db)
	if err != nil {
		return nil, fmt.Errorf("list of banned peers: %w", err)
	}
	direct := &net.Dialer{Timeout: dialTimeout}
	d := &dialer{ctx: ctx, log: log, proxy: proxyAddr, connect: direct.DialContext, bans: bans, magic: magic, now: time.Now,
		byAddr: make(map[string]*configuredPeer), heard: make(map[*peerConn]struct{}), limits: defaultPeerLimits()}
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
				return nil, fmt.Errorf("peer %q: an onion service can be reached through Tor only; set the proxy to Tor's SOCKS port (127.0.0.1:9050)", addr)
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

// names returns the configured peers as neutrino is to be told of them. They are addresses already,
// so it asks resolve for none.
func (d *dialer) names() []string {
	var out []string
	for _, p := range d.configured {
		out = append(out, p.known)
	}
	return out
}

// display returns a peer's address as a person knows it.
func (d *dialer) display(addr string) string {
	if p := d.byAddr[addr]; p != nil {
		return p.addr
	}
	return addr
}

// dial connects to a peer, for neutrino. To a configured one it tries until that succeeds or the
// client is closed.
func (d *dialer) dial(to net.Addr) (net.Conn, error) {
	p := d.byAddr[to.String()]
	if p == nil {
		conn, err := d.dialOnce(to.String())
		if err != nil {
			return nil, err
		}
		return d.hear(conn, to.String()), nil
	}
	for pause := minRedial; ; pause = min(2*pause, maxRedial) {
		if err := d.liftBan(p); err != nil {
			return nil, err
		}
		conn, err := d.dialOnce(p.addr)
		if err == nil {
			p.connected(d.now())
			return d.hear(conn, p.known), nil
		}
		if d.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if p.setTrouble(fmt.Sprintf("peer %s cannot be reached: %v", p.addr, err), false) {
			d.log.Warn("configured peer cannot be reached; trying again", "peer", p.addr, "error", err)
		}
		if !d.pause(pause) {
			return nil, ErrClosed
		}
	}
}

func (d *dialer) dialOnce(addr string) (net.Conn, error) {
	timeout := dialTimeout
	if d.proxy != "" {
		timeout = dialTimeoutProxy
	} else if host, _, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".onion") {
		return nil, errors.New("an onion service, and no proxy") // one that other peers told of
	}
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	return d.connect(ctx, "tcp", addr)
}

// liftBan waits a little when a configured peer is banned, and lifts the ban: whoever configures a
// peer has chosen it, and neutrino bans for mere timeouts. A ban is by address without port, so it
// may have been earned by another one.
func (d *dialer) liftBan(p *configuredPeer) error {
	ipNet, err := banman.ParseIPNet(p.known, nil)
	if err != nil {
		return err
	}
	status, err := d.bans.Status(ipNet)
	if err != nil || !status.Banned {
		return nil // a ban list that cannot be read is no reason to stay alone
	}
	did := strings.TrimPrefix(status.Reason.String(), "peer ")
	pause, why := banPause, fmt.Sprintf("peer %s was dropped because it %s", p.addr, did)
	if status.Reason == banman.NoCompactFilters {
		pause = banPauseNoFilters
		why = fmt.Sprintf("peer %s serves no compact filters; bitcoind does with blockfilterindex=1 and peerblockfilters=1", p.addr)
	} else {
		p.dropped(d.now(), did)
	}
	if p.setTrouble(why, true) {
		d.log.Warn("configured peer was banned; trying again", "peer", p.addr, "reason", status.Reason, "pause", pause)
	}
	if !d.pause(pause) {
		return ErrClosed
	}
	if err := d.bans.UnbanIPNet(ipNet); err != nil {
		return fmt.Errorf("lifting the ban of %s: %w", p.addr, err)
	}
	d.lifted.Add(1)
	return nil
}

// pause waits, and reports whether the client is still open.
func (d *dialer) pause(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// resolve looks up a name, for neutrino: in practice those of the seeds. Behind a proxy only the
// proxy is asked.
func (d *dialer) resolve(host string) ([]net.IP, error) {
	if ip := net.ParseIP(host); ip != nil {
		return []net.IP{ip}, nil
	}
	if strings.HasSuffix(host, ".onion") {
		return nil, fmt.Errorf("%s has no IP address", host)
	}
	ctx, cancel := context.WithTimeout(d.ctx, resolveTimeout)
	defer cancel()
	if d.proxy != "" {
		ip, err := resolveThrough(ctx, d.proxy, host)
		if err != nil {
			return nil, fmt.Errorf("looking up %s through the proxy: %w", host, err)
		}
		return []net.IP{ip}, nil
	}
	return net.DefaultResolver.LookupIP(ctx, "ip", host)
}
