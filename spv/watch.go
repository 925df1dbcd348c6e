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
	// pollInterval is how often the connected peers and the speed are looked at.
	pollInterval = time.Second

	// speedWindow is the time that a speed is measured over: neutrino syncs in bursts of some
	// seconds.
	speedWindow = 20 * time.Second

	// Progress is logged often while someone may be watching, then now and then.
	earlyLog     = 5 * time.Second
	lateLog      = 30 * time.Second
	earlyLogEnds = time.Minute
)

// monitor is what the watching goroutine sees, for Status.
type monitor struct {
	opened    time.Time // set by Open, never changed
	wasSynced atomic.Bool

	connections atomic.Uint64 // that became peers since Open
	stallers    atomic.Uint64 // peers that were hung up on since, see dropStaller

	mu         sync.Mutex
	peers      []*neutrino.ServerPeer
	lastPeer   time.Time // when a peer was last connected; zero: never
	lastEnough time.Time // when there were last as many peers as there should be; zero: never
	samples    []sample  // oldest first, of the last speedWindow

	headers, filters int32     // heights at the last look
	headersMoved     time.Time // when headers last changed, or could not for lack of peers
	filtersMoved     time.Time // the same for filters, which cannot pass headers either
	lastStall        time.Time // when a peer was last dropped for stalling

	// disbelieved has the peers that told of blocks and did not send them, by the address that
	// neutrino knows, and when that was. What they tell of newer blocks counts for nothing for as
	// long as disbelief lasts.
	disbelieved map[string]time.Time

	failing failures // of fetches
	clocks  clocks
}

// failures is a run of fetches none of which succeeded.
type failures struct {
	first, last time.Time // zero: there are none
	what        string    // of the last: what was fetched, and why that failed
}

// fetched notes how a fetch ended.
func (m *monitor) fetched(what string, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.failing = failures{}
		return
	}
	if m.failing.first.IsZero() || now.Sub(m.failing.last) > disbelief {
		m.failing.first = now
	}
	m.failing.last, m.failing.what = now, fmt.Sprintf("%s: %v", what, err)
}

// disbelieves reports whether what a peer tells of newer blocks counts for nothing.
func (m *monitor) disbelieves(addr string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, ok := m.disbelieved[addr]
	return ok && now.Sub(since) < disbelief
}

// sample is how much was synced when.
type sample struct {
	at   time.Time
	done int64
}

// lonely returns since when no peer was connected.
func (m *monitor) lonely(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := m.lastPeer
	if since.IsZero() {
		since = m.opened
	}
	return now.Sub(since)
}

// speed returns how many blocks per second come, a block being its header and its filter header,
// and how long it will take at that.
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

// connected returns the peers that are connected, as seen at most pollInterval ago. neutrino itself
// is asked by the watching goroutine only: its answer may never come once it is being stopped.
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

// Peers counts the connections to peers that were made since Open, those that are lost since
// included: it grows when a peer came that has not been offered anything yet. [Client.Changes]
// tells of it.
func (c *Client) Peers() uint64 { return c.state.connections.Load() }

// Counts is what happened to the connections since Open.
type Counts struct {
	Connections uint64 // that became peers
	Stallers    uint64 // that were ended because the peer told of newer blocks and sent none
	Bans        uint64 // of configured peers, which are lifted after a while
	Abusers     uint64 // that were ended because the peer did not read, or sent too large a message unasked
}

// Counts returns the counters as they are now.
func (c *Client) Counts() Counts {
	return Counts{Connections: c.Peers(), Stallers: c.state.stallers.Load(), Bans: c.peers.lifted.Load(), Abusers: c.peers.abusers.Load()}
}

// meet notes which peers are connected now.
func (c *Client) meet(peers []*neutrino.ServerPeer, now time.Time) {
	m := &c.state
	m.mu.Lock()
	fresh := 0
	for _, sp := range peers {
		if !slices.Contains(m.peers, sp) {
			fresh++
		}
		if p := c.peers.byAddr[sp.Addr()]; p != nil && sp.Connected() {
			p.met()
		}
	}
	m.peers = peers
	m.clocks.meet(peers)
	if len(peers) > 0 {
		m.lastPeer = now
	}
	if len(peers) >= c.enoughPeers() {
		m.lastEnough = now
	}
	m.mu.Unlock()
	if fresh > 0 {
		m.connections.Add(uint64(fresh))
		c.tellChange()
	}
}

// move notes how far the chain has come.
func (m *monitor) move(p position, now time.Time) {
	lonely := m.lonely(now) >= aloneWarning
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, sample{now, p.done()})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > speedWindow {
		m.samples = m.samples[1:]
	}
	if p.headers != m.headers || lonely || m.headersMoved.IsZero() {
		m.headersMoved = now
	}
	if p.filters != m.filters || p.filters >= p.headers || lonely || m.filtersMoved.IsZero() {
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
	var toldSynced bool
	suspected := false // Open has seen to it
	for {
		now := c.now()
		peers := c.service().Peers()
		c.meet(peers, now)

		if p, err := c.position(); err == nil {
			c.state.move(p, now)
			c.dropStaller(p, peers, now)

			interval := lateLog
			if now.Sub(start) < earlyLogEnds {
				interval = earlyLog
			}
			switch {
			case p.synced && !toldSynced:
				c.log.Info("light client synced", "height", p.height, "block", p.hash, "peers", len(peers))
			case !p.synced && len(peers) > 0 && now.Sub(lastLog) >= interval:
				lastLog = now
				c.logProgress(p)
			}
			toldSynced = p.synced
			suspected = c.suspect(suspected, c.alarms(p))
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
