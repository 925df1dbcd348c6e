package spv

import (
	"time"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/wire/v2"
)

const (
	// staleTip is the age of the newest block from which the operator is warned on a public
	// network. Blocks come every ten minutes on average there: 90 minutes pass without one about
	// once in two months.
	staleTip = 90 * time.Minute

	// maxAhead is how far the network's rules let the time of a block lie ahead of the true time.
	maxAhead = 2 * time.Hour

	// enoughPeers is how many peers there should be on a public network: of three, one that lies
	// about heights, filters or fees is outvoted. fewWarning is how long there may be fewer before
	// the operator is warned.
	enoughPeers = 3
	fewWarning  = 10 * time.Minute

	// fetchesFailing is how long all fetches of blocks and filters may fail before the operator is
	// warned. lastFailure is how long the warning stays when nothing is fetched any more.
	fetchesFailing = 2 * time.Minute
	lastFailure    = 30 * time.Minute

	// stuck is how long the headers, or the filter headers behind them, may stay at one height
	// before the operator is warned.
	stuck = 10 * time.Minute
)

// enoughPeers is how many peers there should be. It is fewer than usual when the configuration
// allows only a few.
func (c *Client) enoughPeers() int {
	if len(c.cfg.Connect) > 0 {
		return min(enoughPeers, len(c.peers.configured))
	}
	return enoughPeers
}

// warnings returns what is wrong while the client is at position p.
func (c *Client) warnings(p position) []warning.Warning {
	if c.running.Load() == nil {
		return nil
	}
	l := c.look(p)
	l.prunedPeers()
	l.peerCount()
	l.configuredPeers()
	l.fetches()
	l.newestBlock()
	l.headersStuck()
	l.clock()
	l.filters()
	return l.found
}

// look is what the client sees at one moment, and the warnings that this gives.
type look struct {
	c         *Client
	p         position
	now       time.Time
	connected map[string]bool // addresses of the connected peers, as neutrino knows them
	age       time.Duration   // of the newest header
	reached   bool            // the headers are where the peers are

	lastEnough                 time.Time // when there were last enough peers
	headersMoved, filtersMoved time.Time
	failing                    failures

	found []warning.Warning
}

func (c *Client) look(p position) *look {
	l := &look{c: c, p: p, now: c.now(), connected: make(map[string]bool), reached: p.target <= p.headers}
	l.age = l.now.Sub(p.headerTime)
	for _, sp := range c.connected() {
		l.connected[sp.Addr()] = true
	}
	m := &c.state
	m.mu.Lock()
	defer m.mu.Unlock()
	l.lastEnough, l.headersMoved, l.filtersMoved, l.failing = m.lastEnough, m.headersMoved, m.filtersMoved, m.failing
	if l.lastEnough.IsZero() {
		l.lastEnough = m.opened
	}
	return l
}

func (l *look) warn(kind *warning.Kind, format string, args ...any) {
	l.found = append(l.found, warning.New(kind, format, args...))
}

// prunedPeers warns of configured peers that are pruned. neutrino keeps the connection to such a
// peer, and syncs from others only.
func (l *look) prunedPeers() {
	for _, sp := range l.c.connected() {
		if cp := l.c.peers.byAddr[sp.Addr()]; cp != nil && sp.Services()&wire.SFNodeNetwork == 0 {
			l.warn(warning.Peer, "peer %s is pruned, so ancred takes no headers and no old blocks from it: run it without prune, or name another node", cp.addr)
		}
	}
}

func (l *look) peerCount() {
	c, peers := l.c, len(l.connected)
	few, none := l.now.Sub(l.lastEnough), c.state.sinceLastPeer(l.now)
	switch {
	case len(c.peers.configured) == 0 && !c.public:
		l.warn(warning.NoneNamed, "no peers are configured, and on %s none can be discovered: set spv.connect to the HOST:PORT of a node", c.params.Name)
	case peers == 0 && none >= c.aloneWarning():
		a := alone{since: l.now.Add(-none), port: c.params.DefaultPort, proxy: c.peers.proxy, connect: len(c.cfg.Connect) > 0, attemptCounts: c.peers.attempts.counts()}
		l.warn(warning.NoPeers, "%s", a.text())
	case c.public && peers > 0 && peers < c.enoughPeers() && few >= fewWarning:
		l.warn(warning.FewPeers, "fewer than %d peers have been connected for %d minutes, now %d. A peer that lies is hard to find out then: allow outgoing connections to port %s, or name more nodes in spv.add_peers",
			c.enoughPeers(), int(few.Minutes()), peers, c.params.DefaultPort)
	}
}

func (l *look) configuredPeers() {
	for _, cp := range l.c.peers.configured {
		if text := cp.warning(l.now, l.connected[cp.known], l.c.params.Name); text != "" {
			l.warn(warning.Peer, "%s", text)
		}
	}
}

func (l *look) fetches() {
	f := l.failing
	if len(l.connected) > 0 && f.last.Sub(f.first) >= fetchesFailing && l.now.Sub(f.last) < lastFailure {
		l.warn(warning.FetchesFail, "no connected peer sends what ancred asks for (%s): if this continues, name other nodes in spv.add_peers", f.what)
	}
}

// stale reports whether the newest block is old although the headers are where the peers are, or
// no longer move.
func (l *look) stale() bool {
	return l.c.public && len(l.connected) > 0 && l.age > staleTip && (l.reached || l.now.Sub(l.headersMoved) >= stuck)
}

func (l *look) newestBlock() {
	switch {
	case l.stale():
		l.warn(warning.StaleTip, "the newest block is %d minutes old: the peers may be cut off from the network, or the clock of this machine is wrong. "+
			"If this continues, name other nodes in spv.add_peers", int(l.age.Minutes()))
	case l.age < -maxAhead:
		l.warn(warning.ClockBehind, "the time of the newest block is %d minutes ahead of the clock of this machine, so the clock must be wrong: set it", int(-l.age.Minutes()))
	}
}

func (l *look) headersStuck() {
	if len(l.connected) > 0 && !l.reached && l.now.Sub(l.headersMoved) >= stuck && !l.stale() {
		l.warn(warning.HeadersStuck, "the headers have stopped at height %d, and the peers announce block %d: they send no headers that fit. If this continues, name other nodes in spv.add_peers",
			l.p.headers, l.p.target)
	}
}

func (l *look) clock() {
	off, wrong := l.c.clockOff()
	if !wrong {
		return
	}
	where := "behind"
	if off > 0 {
		where = "ahead of"
	}
	l.warn(warning.ClockOff, "the clock of this machine is %d minutes %s the clocks of the peers: set it (timedatectl), or batches are sealed and paid for at the wrong time",
		int(off.Abs().Minutes()), where)
}

func (l *look) filters() {
	p, peers := l.p, len(l.connected)
	switch {
	case p.filters >= p.headers:
	case !l.c.public && peers > 0 && l.age > 24*time.Hour:
		// neutrino fetches the filters of the last thousand blocks only when the newest block is
		// younger than a day.
		l.warn(warning.FiltersBlock, "the newest block is more than a day old, and its filters are fetched only once there is a newer block: mine one")
	case (l.reached || peers == 0) && l.now.Sub(l.filtersMoved) >= stuck:
		// Of two peers, neutrino cannot always tell which one lies. It also has no way back from
		// false filter headers that it took from its only peer: it bans all peers that send the
		// true ones.
		l.warn(warning.FiltersStuck, "the filter headers have stopped at height %d of %d: the peers disagree, or their filter headers do not fit those stored here. Name other nodes in spv.add_peers. "+
			"If this continues, the newest stored ones are false: restart ancred, which then downloads all headers again", p.filters, p.headers)
	}
}
