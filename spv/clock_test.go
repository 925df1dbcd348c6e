package spv

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightninglabs/neutrino"
)

func TestAClockThatDisagreesWithThePeersIsToldOf(t *testing.T) {
	t.Parallel()
	a, b, c := new(neutrino.ServerPeer), new(neutrino.ServerPeer), new(neutrino.ServerPeer)
	offsets := make(map[*neutrino.ServerPeer]time.Duration)
	offset := func(sp *neutrino.ServerPeer) time.Duration { return offsets[sp] }
	var set time.Duration
	k := newClocks()
	k.set = func() time.Duration { return set }
	want := func(ahead time.Duration, wrong bool) {
		t.Helper()
		if got, is := k.off(1, offset); got != ahead || is != wrong {
			t.Errorf("ahead by %v, wrong %v; want %v, %v", got, is, ahead, wrong)
		}
	}
	want(0, false)
	k.notePeers([]*neutrino.ServerPeer{a, b, c})
	want(0, false)
	offsets[a] = 5 * time.Hour // one that lies, or is wrong itself
	want(0, false)
	offsets[b], offsets[c] = 9*time.Minute, 9*time.Minute
	want(-9*time.Minute, false)
	offsets[b] = 11 * time.Minute
	want(-11*time.Minute, true)
	offsets[b] = 6 * time.Minute
	offsets[c] = 6 * time.Minute
	want(-6*time.Minute, true) // it does not come and go
	offsets[b], offsets[c] = 0, 0
	want(0, false)

	// Somebody sets the clock while the peers stay connected.
	set = -time.Hour
	want(-time.Hour, true)
	set = 0
	want(0, false)
	d := new(neutrino.ServerPeer)
	set = time.Hour
	offsets[d] = -time.Hour // it connects after the clock was set wrong
	k.notePeers([]*neutrino.ServerPeer{a, c, d})
	want(time.Hour, true)
	set = 0
	want(0, false)
	k.notePeers(nil)
	want(0, false)
	if _, wrong := k.off(3, offset); wrong {
		t.Error("wrong by no peer's word")
	}
	k.notePeers([]*neutrino.ServerPeer{d})
	offsets[d] = time.Hour
	if _, wrong := k.off(3, offset); wrong {
		t.Error("one peer is believed where there should be three")
	}
}

// clock is the true clock, and can be set forward.
type clock struct{ ahead atomic.Int64 }

// setClock gives a client that is not started yet a clock that can be set forward.
func setClock(c *Client) *clock {
	k := new(clock)
	c.now = func() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }
	return k
}

func (k *clock) forward(d time.Duration) { k.ahead.Add(int64(d)) }

// strangers makes a client that is not started yet take regtest for a public network.
func strangers(c *Client) *clock {
	c.public = true
	return setClock(c)
}
