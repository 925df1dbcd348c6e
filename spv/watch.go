package spv

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightninglabs/neutrino"
)

const (
	// pollInterval is how often the connected peers and the speed are looked at.
	pollInterval = time.Second

	// speedWindow is the time that a speed is measured over: neutrino syncs in bursts of some seconds.
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

	mu       sync.Mutex
	peers    []*neutrino.ServerPeer
	lastPeer time.Time // when a peer was last connected; zero: never
	samples  []sample  // oldest first, of the last speedWindow
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

// speed returns how many blocks per second come, a block being its header and its filter header, and how long it will take at that.
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

// connected returns the peers that are connected, as seen at most pollInterval ago. neutrino itself is asked
// by the watching goroutine only: its answer may never come once it is being stopped.
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

// watch looks at peers and progress until the client is closed, and logs what an operator wants to see.
func (c *Client) watch() {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	start := time.Now()
	var lastLog time.Time
	var told struct{ synced, alone bool }
	for {
		now := time.Now()
		peers := c.service().Peers()
		c.state.mu.Lock()
		c.state.peers = peers
		if len(peers) > 0 {
			c.state.lastPeer = now
		}
		c.state.mu.Unlock()

		if p, err := c.position(); err == nil {
			c.state.mu.Lock()
			c.state.samples = append(c.state.samples, sample{now, p.done()})
			for len(c.state.samples) > 2 && now.Sub(c.state.samples[0].at) > speedWindow {
				c.state.samples = c.state.samples[1:]
			}
			c.state.mu.Unlock()

			interval := lateLog
			if now.Sub(start) < earlyLogEnds {
				interval = earlyLog
			}
			switch {
			case p.synced && !told.synced:
				c.log.Info("light client synced", "height", p.height, "block", p.hash, "peers", len(peers))
			case !p.synced && len(peers) > 0 && now.Sub(lastLog) >= interval:
				lastLog = now
				c.logProgress(p)
			}
			told.synced = p.synced
		}
		if lonely := c.state.lonely(now) >= aloneWarning; lonely != told.alone {
			told.alone = lonely
			if lonely {
				c.log.Warn("no peer has been connected for some minutes")
			} else {
				c.log.Info("connected to peers again", "peers", len(peers))
			}
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
