package spv

import (
	"slices"
	"time"

	"github.com/lightninglabs/neutrino"
)

const (
	// clockWrong is how far this machine's clock may differ from those of the peers before the
	// operator is warned. The warning ends below clockRight. Bitcoin Core warns at 10 minutes too.
	clockWrong = 10 * time.Minute
	clockRight = 5 * time.Minute
)

// clocks compares this machine's clock with those of the peers.
//
// A peer tells its time once, when it connects, and stays connected for days. This machine's clock
// may be set meanwhile. So each peer is noted with how far the clock had been set until then, which
// the monotonic clock shows.
type clocks struct {
	set   func() time.Duration // how far the clock was set since the start
	at    map[*neutrino.ServerPeer]time.Duration
	wrong bool // at the last look
}

func newClocks() clocks {
	start := time.Now()
	return clocks{at: make(map[*neutrino.ServerPeer]time.Duration), set: func() time.Duration {
		now := time.Now()
		return now.Round(0).Sub(start.Round(0)) - now.Sub(start)
	}}
}

// notePeers remembers the connected peers, and forgets all others.
func (k *clocks) notePeers(peers []*neutrino.ServerPeer) {
	noted := make(map[*neutrino.ServerPeer]time.Duration, len(peers))
	set := k.set()
	for _, sp := range peers {
		noted[sp] = set
		if at, ok := k.at[sp]; ok {
			noted[sp] = at
		}
	}
	k.at = noted
}

// off returns how far this machine's clock is ahead of the clocks of the peers, and whether that is
// too much. offset returns how far a peer's clock was ahead of this one when the peer connected.
func (k *clocks) off(enough int, offset func(*neutrino.ServerPeer) time.Duration) (ahead time.Duration, wrong bool) {
	var all []time.Duration
	set := k.set()
	for sp, at := range k.at {
		all = append(all, set-at-offset(sp))
	}
	if len(all) == 0 || len(all) < enough {
		return 0, false
	}
	slices.Sort(all)
	ahead = all[(len(all)-1)/2]
	if len(all)%2 == 0 && all[len(all)/2].Abs() < ahead.Abs() {
		ahead = all[len(all)/2] // of two, the smaller difference
	}
	k.wrong = ahead.Abs() >= clockWrong || k.wrong && ahead.Abs() >= clockRight
	return ahead, k.wrong
}

// clockOff returns how far this machine's clock is ahead of the clocks of the peers, and whether
// that is too much.
func (c *Client) clockOff() (ahead time.Duration, wrong bool) {
	m := &c.state
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clocks.off(c.enoughPeers(), func(sp *neutrino.ServerPeer) time.Duration { return time.Duration(sp.TimeOffset()) * time.Second })
}
