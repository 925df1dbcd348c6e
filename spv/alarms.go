package spv

import (
	"fmt"
	"time"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/lightninglabs/neutrino"
)

const (
	// staleTip is the age of the newest block from which a person should look: on a public network,
	// with blocks ten minutes apart on average, 90 minutes pass without one about once in two
	// months.
	staleTip = 90 * time.Minute

	// maxAhead is how far a block's time may lie ahead of the true time, by the rules of the
	// network.
	maxAhead = 2 * time.Hour

	// aloneWarning is how long a client may be without peers before a person is told.
	aloneWarning = 2 * time.Minute

	// enoughPeers is how many peers there should be on a public network: of three, one that lies
	// about heights, filters or fees is outvoted. fewWarning is how long there may be fewer before
	// a person is told.
	enoughPeers = 3
	fewWarning  = 10 * time.Minute

	// stalled is how long headers may stand still, while a peer tells of newer blocks, before that
	// peer is dropped. A peer that does not answer at all is dropped by neutrino after some 90
	// seconds.
	stalled = 2 * time.Minute

	// disbelief is how long a peer's word on newer blocks counts for nothing after that.
	disbelief = time.Hour

	// failing is how long no fetch of a block or a filter may succeed, among several that fail,
	// before a person is told; lastFailure is for how long one that nobody repeats is told of.
	failing     = 2 * time.Minute
	lastFailure = 30 * time.Minute

	// stuck is how long headers, or filter headers behind them, may stand still before a person is
	// told.
	stuck = 10 * time.Minute
)

// enoughPeers is how many peers there should be: fewer than usual when the configuration allows no
// more.
func (c *Client) enoughPeers() int {
	if len(c.cfg.Connect) > 0 {
		return min(enoughPeers, len(c.peers.configured))
	}
	return enoughPeers
}

// alarms tells what is wrong at position p.
func (c *Client) alarms(p position) []warning.Warning {
	if c.running.Load() == nil {
		return nil
	}
	var w []warning.Warning
	raise := func(kind *warning.Kind, format string, args ...any) {
		w = append(w, warning.New(kind, format, args...))
	}
	now := c.now()
	configured := c.peers.configured
	connected := make(map[string]bool)
	for _, sp := range c.connected() {
		connected[sp.Addr()] = true
		if cp := c.peers.byAddr[sp.Addr()]; cp != nil && sp.Services()&wire.SFNodeNetwork == 0 {
			// neutrino keeps such a peer, and syncs from others only.
			raise(warning.Peer, "peer %s is pruned, so headers and old blocks are not taken from it: run it without prune, or name another node", cp.addr)
		}
	}
	peers := len(connected)
	lonely := c.state.lonely(now)
	c.state.mu.Lock()
	lastEnough, headersMoved, filtersMoved := c.state.lastEnough, c.state.headersMoved, c.state.filtersMoved
	failed := c.state.failing
	c.state.mu.Unlock()
	if lastEnough.IsZero() {
		lastEnough = c.state.opened
	}

	switch few := now.Sub(lastEnough); {
	case len(configured) == 0 && !c.public:
		raise(warning.NoneNamed, "no peers are configured, and on %s none can be discovered: set spv.connect to a node's HOST:PORT", c.params.Name)
	case peers == 0 && lonely >= aloneWarning:
		raise(warning.NoPeers, "no peer has been connected for %d minutes: check the network connection, spv.connect and spv.proxy", int(lonely.Minutes()))
	case c.public && peers > 0 && peers < c.enoughPeers() && few >= fewWarning:
		raise(warning.FewPeers, "fewer than %d peers have been connected for %d minutes, now %d: one that lies is hard to tell; see that connections to port %s get out, or name more nodes in spv.add_peers",
			c.enoughPeers(), int(few.Minutes()), peers, c.params.DefaultPort)
	}
	for _, cp := range configured {
		if t := cp.warning(now, connected[cp.known], c.params.Name); t != "" {
			raise(warning.Peer, "%s", t)
		}
	}

	if peers > 0 && failed.last.Sub(failed.first) >= failing && now.Sub(failed.last) < lastFailure {
		raise(warning.FetchesFail, "no connected peer gives what is asked for (%s): if this stays, name other nodes in spv.add_peers", failed.what)
	}

	age := now.Sub(p.headerTime)
	reached := p.target <= p.headers
	switch {
	case c.public && peers > 0 && age > staleTip && (reached || now.Sub(headersMoved) >= stuck):
		raise(warning.StaleTip, "the newest block is %d minutes old: the peers may be cut off from the network, or the clock of this machine is wrong; if this stays, name other nodes in spv.add_peers", int(age.Minutes()))
	case age < -maxAhead:
		raise(warning.ClockBehind, "the newest block's time is %d minutes ahead of the clock of this machine, which must be wrong: set it", int(-age.Minutes()))
	}
	if peers > 0 && !reached && now.Sub(headersMoved) >= stuck && !warning.Has(w, warning.StaleTip) {
		raise(warning.HeadersStuck, "the headers stand still at height %d, and the peers tell of block %d: they send nothing that fits; if this stays, name other nodes in spv.add_peers", p.headers, p.target)
	}
	if off, ok := c.clockOff(); ok {
		raise(warning.ClockOff, "the clock of this machine is %d minutes %s those of the peers: set it (timedatectl), or batches are sealed and paid at the wrong time",
			int(off.Abs().Minutes()), map[bool]string{true: "ahead of", false: "behind"}[off > 0])
	}
	switch {
	case p.filters >= p.headers:
	case !c.public && peers > 0 && age > 24*time.Hour:
		// neutrino fetches the filters of the last thousand blocks only when the newest is younger
		// than a day.
		raise(warning.FiltersBlock, "the newest block is more than a day old, and its filters are fetched only once there is a newer one: mine a block")
	case (reached || peers == 0) && now.Sub(filtersMoved) >= stuck:
		// Of two peers, neutrino cannot always tell who lies. And it has no way back from filter
		// headers that were false when it took them, from a peer that was its only one: it bans all
		// who tell the truth.
		raise(warning.FiltersStuck, "the filter headers stand still at height %d, of %d: the peers disagree, or serve none that fit those stored here; name other nodes in spv.add_peers; "+
			"if it stays, the newest stored are false: restart the daemon, and all headers are downloaded again", p.filters, p.headers)
	}
	return w
}

// dropStaller hangs up on the peer that tells of the newest blocks when nothing has come for a
// while. neutrino syncs from the peer that tells of most, for as long as it is connected, and
// listens to no other until it is where that peer claims to be: one that lies about its height
// would stop it for ever.
func (c *Client) dropStaller(p position, peers []*neutrino.ServerPeer, now time.Time) {
	var highest *neutrino.ServerPeer
	for _, sp := range peers {
		if highest == nil || sp.LastBlock() > highest.LastBlock() {
			highest = sp
		}
	}
	m := &c.state
	m.mu.Lock()
	waiting := now.Sub(m.headersMoved) >= stalled && now.Sub(m.lastStall) >= stalled
	m.mu.Unlock()
	if highest == nil || highest.LastBlock() <= p.headers || !waiting || c.service().IsCurrent() {
		return
	}
	m.stallers.Add(1)
	m.mu.Lock()
	m.lastStall = now
	for addr, since := range m.disbelieved {
		if now.Sub(since) >= disbelief {
			delete(m.disbelieved, addr)
		}
	}
	m.disbelieved[highest.Addr()] = now
	m.mu.Unlock()
	c.log.Warn("a peer tells of newer blocks and sends none; dropping it", "peer", c.peers.display(highest.Addr()), "its_height", highest.LastBlock(), "headers", p.headers)
	if cp := c.peers.byAddr[highest.Addr()]; cp != nil {
		cp.dropped(now, fmt.Sprintf("told of block %d and sent nothing beyond %d", highest.LastBlock(), p.headers))
	}
	highest.Disconnect()
}

// suspect notes for the next start whether the filter headers are suspected to be false, when that
// has changed. It returns what is noted.
func (c *Client) suspect(noted bool, now []warning.Warning) bool {
	if stuck := warning.Has(now, warning.FiltersStuck); stuck != noted {
		if err := suspectHeaders(c.cfg.Dir, stuck); err != nil {
			c.log.Error("noting that the filter headers are suspect", "error", err)
			return noted
		}
		return stuck
	}
	return noted
}
