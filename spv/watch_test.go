package spv

import "testing"

// A caller with a transaction to offer is notified of each new connection, and the new peer is then
// among those that are offered it.
func TestNewPeersAreCountedAndToldOf(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(110)
	r := newRelay(t, n.p2p)
	c := openClient(t, newDir(t), r.addr)
	if c.Peers() != 0 {
		t.Errorf("%d peers before the start", c.Peers())
	}
	changed, stop := c.Changes()
	defer stop()
	startClient(t, c)
	waitAt(t, c, n)
	for want := uint64(1); want <= 3; want++ {
		waitFor(t, "a new peer, told of", func() bool {
			await(t, changed, "a new peer")
			return c.Peers() == want
		})
		if len(c.connected()) != 1 {
			t.Errorf("connection %d is counted, and the peer is not there", want)
		}
		r.cut()
		waitFor(t, "the peer gone", func() bool { return len(c.connected()) == 0 })
		drain(changed)
		if c.Peers() != want {
			t.Errorf("%d connections after one was lost, %d before", c.Peers(), want)
		}
		r.mend()
	}
}
