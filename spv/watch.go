package spv

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightninglabs/neutrino"
)

const (
	// pollInterval is how often the watching goroutine looks at the connected peers and the speed.
	pollInterval = time.Second

	// speedWindow is the time over which the speed is measured: neutrino syncs in bursts of some
	// seconds.
	speedWindow = 20 * time.Second

	// withoutPeer is how long there may be no peer until headers and filters count as unable to
	// change. A peer that leaves and returns within it may not hide that it sends none.
	withoutPeer = 2 * time.Minute

	// Progress is logged often during the first minute, in which somebody may be watching, and
	// then now and then.
	earlyLog     = 5 * time.Second
	lateLog      = 30 * time.Second
	earlyLogEnds = time.Minute
)

// monitor is what the watching goroutine sees, for Status and for the warnings.
type monitor struct {
	opened    time.Time // set by Open, never changed
	wasSynced atomic.Bool

	connections atomic.Uint64 // connections that became peers since Open
	stallers    atomic.Uint64 // peers that were dropped since Open for stalling, see dropStaller

	mu         sync.Mutex // guards all below
	peers      []*neutrino.ServerPeer
	lastPeer   time.Time // when a peer was last connected; zero: never
	lastEnough time.Time // when there were last as many peers as there should be; zero: never
	samples    []sample  // of the last speedWindow, the oldest first

	headers, filters int32     // heights at the last look
	headersMoved     time.Time // when headers last changed, or could not change for lack of peers
	filtersMoved     time.Time // the same for filters, which cannot pass the headers either
	lastStall        time.Time // when a peer was last dropped for stalling

	// distrusted has the peers that announced blocks and did not send them, by the address that
	// neutrino knows, and the time of that. For distrustFor, the heights that they claim count for
	// nothing.
	distrusted map[string]time.Time

	failing failures // of fetches
	clocks  clocks
}

// failures is a run of fetches of which none succeeded.
type failures struct {
	first, last time.Time // zero: none failed
	what        string    // what was fetched last, and why that failed
}

// forgetFailures is the time without any fetch after which a new run of failures begins.
const forgetFailures = time.Hour

// fetched notes how a fetch ended.
func (m *monitor) fetched(what string, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.failing = failures{}
		return
	}
	if m.failing.first.IsZero() || now.Sub(m.failing.last) > forgetFailures {
		m.failing.first = now
	}
	m.failing.last, m.failing.what = now, fmt.Sprintf("%s: %v", what, err)
}

// sample is how much was synced at one time.
type sample struct {
	at   time.Time
	done int64
}

// sinceLastPeer returns how long no peer has been connected.
func (m *monitor) sinceLastPeer(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := m.lastPeer
	if since.IsZero() {
		since = m.opened
	}
	return now.Sub(since)
}

// speed returns how many blocks come per second, a block being its header and its filter header,
// and how long the rest takes at that speed.
func (m *monitor) speed(p position) (blocksPerSecond float64, remaining time.Duration) {
	if p.synced {
		return 0, 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.samples) < 2 {
		return 0, -1
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	perSecond := float64(last.done-first.done) / last.at.Sub(first.at).Seconds()
	if perSecond <= 0 {
		return 0, -1
	}
	left := float64(p.todo() - p.done())
	return perSecond / 2, time.Duration(left / perSecond * float64(time.Second)).Round(time.Second)
}

// connected returns the connected peers, as seen at most pollInterval ago. Only the watching
// goroutine asks neutrino itself: once neutrino is being stopped, its answer may never come.
func (c *Client) connected() []*neutrino.ServerPeer {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	var out []*neutrino.ServerPeer
	for _, p := range c.state.peers {
		if p.Connected() {
			out = append(out, p)
		}
	}
	return out
}

// Peers counts the connections to peers since Open, lost ones included. It grows when a peer
// connects that has not been offered any transaction yet. [Client.Changes] tells of it.
func (c *Client) Peers() uint64 { return c.state.connections.Load() }

// Counts is what happened to the connections since Open.
type Counts struct {
	Connections uint64 // connections that became peers
	Stallers    uint64 // connections ended because the peer announced newer blocks and sent none
	Bans        uint64 // bans of configured peers; they are lifted after a while
	Abusers     uint64 // connections ended because the peer did not read, or sent too large a message unasked
}

// Counts returns the present counts.
func (c *Client) Counts() Counts {
	return Counts{Connections: c.Peers(), Stallers: c.state.stallers.Load(), Bans: c.peers.lifted.Load(), Abusers: c.peers.abusers.Load()}
}

// notePeers notes which peers are connected now.
func (c *Client) notePeers(peers []*neutrino.ServerPeer, now time.Time) {
	m := &c.state
	m.mu.Lock()
	fresh := 0
	for _, sp := range peers {
		if !slices.Contains(m.peers, sp) {
			fresh++
		}
		if p := c.peers.byAddr[sp.Addr()]; p != nil && sp.Connected() {
			p.becamePeer()
		}
	}
	m.peers = peers
	m.clocks.notePeers(peers)
	if len(peers) > 0 {
		m.lastPeer = now
		c.peers.attempts.connected()
	}
	if len(peers) >= c.enoughPeers() {
		m.lastEnough = now
	}
	m.mu.Unlock()
	if fresh > 0 {
		m.connections.Add(uint64(fresh))
		c.notifyChange()
	}
}

// noteProgress notes how far the chain has come.
func (m *monitor) noteProgress(p position, now time.Time) {
	noPeer := m.sinceLastPeer(now) >= withoutPeer
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, sample{now, p.done()})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > speedWindow {
		m.samples = m.samples[1:]
	}
	if p.headers != m.headers || noPeer || m.headersMoved.IsZero() {
		m.headersMoved = now
	}
	if p.filters != m.filters || p.filters >= p.headers || noPeer || m.filtersMoved.IsZero() {
		m.filtersMoved = now
	}
	m.headers, m.filters = p.headers, p.filters
}

// watch looks at peers and progress until the client is closed, and logs what an operator wants to
// see.
func (c *Client) watch() {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	start := c.now()
	var lastLog time.Time
	loggedSynced := false
	suspected := false // Open has removed what was suspected before
	for {
		now := c.now()
		peers := c.service().Peers()
		c.notePeers(peers, now)

		if p, err := c.position(); err == nil {
			c.state.noteProgress(p, now)
			c.dropStaller(p, peers, now)

			interval := lateLog
			if now.Sub(start) < earlyLogEnds {
				interval = earlyLog
			}
			switch {
			case p.synced && !loggedSynced:
				c.log.Info("light client synced", "height", p.height, "block", p.hash, "peers", len(peers))
			case !p.synced && len(peers) > 0 && now.Sub(lastLog) >= interval:
				lastLog = now
				c.logProgress(p)
			}
			loggedSynced = p.synced
			suspected = c.noteSuspicion(suspected, c.warnings(p))
		}

		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Client) logProgress(p position) {
	speed, remaining := c.state.speed(p)
	args := []any{"headers", p.headers, "filters", p.filters, "target", p.target, "percent", float64(int(p.progress()*1000)) / 10}
	if speed > 0 {
		args = append(args, "blocks_per_second", int(speed), "time_left", remaining)
	}
	c.log.Info("light client syncing", args...)
}
