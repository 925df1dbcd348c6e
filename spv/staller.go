package spv

import (
	"fmt"
	"time"

	"github.com/lightninglabs/neutrino"
)

const (
	// stalled is how long the headers may stay at one height while a peer announces newer blocks.
	// Then that peer is dropped. neutrino itself drops a peer that does not answer at all, after
	// some 90 seconds.
	stalled = 2 * time.Minute

	// distrustFor is how long the height that a dropped peer claims counts for nothing.
	distrustFor = time.Hour
)

// dropStaller disconnects the peer that announces the newest blocks when no header has come for a
// while. neutrino syncs from the peer that announces the most blocks, and listens to no other until
// it is where that peer claims to be. A peer that lies about its height would stop it as long as it
// stays connected.
func (c *Client) dropStaller(p position, peers []*neutrino.ServerPeer, now time.Time) {
	var highest *neutrino.ServerPeer
	for _, sp := range peers {
		if highest == nil || sp.LastBlock() > highest.LastBlock() {
			highest = sp
		}
	}
	if highest == nil || highest.LastBlock() <= p.headers || !c.state.headersStalled(now) || c.service().IsCurrent() {
		return
	}
	c.state.distrust(highest.Addr(), now)
	c.log.Warn("a peer announces newer blocks and does not send them; dropping it", "peer", c.peers.display(highest.Addr()), "its_height", highest.LastBlock(), "headers", p.headers)
	if cp := c.peers.byAddr[highest.Addr()]; cp != nil {
		cp.dropped(now, fmt.Sprintf("announced block %d and sent nothing above block %d", highest.LastBlock(), p.headers))
	}
	highest.Disconnect()
}

// headersStalled reports whether the headers have not moved for long, and no peer was dropped for
// it lately.
func (m *monitor) headersStalled(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Sub(m.headersMoved) >= stalled && now.Sub(m.lastStall) >= stalled
}

// distrust notes that a peer announced blocks and did not send them.
func (m *monitor) distrust(addr string, now time.Time) {
	m.stallers.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastStall = now
	for other, since := range m.distrusted {
		if now.Sub(since) >= distrustFor {
			delete(m.distrusted, other)
		}
	}
	m.distrusted[addr] = now
}

// distrusts reports whether the height that a peer claims counts for nothing.
func (m *monitor) distrusts(addr string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, ok := m.distrusted[addr]
	return ok && now.Sub(since) < distrustFor
}
