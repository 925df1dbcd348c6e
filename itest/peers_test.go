package itest

import (
	"strings"
	"testing"

	"ancre/rpc"
)

// The only peer goes away. The daemon goes on accepting and sealing, and when the peer is back it
// catches up and pays.
func TestPeerGoneAndBack(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		w.must(w.node.Stop())
		_, err := w.daemon.AwaitInfo(w.ctx, "the peer to be gone", func(i rpc.Info) bool { return len(i.Chain.Peers) == 0 })
		w.must(err)

		digest := randomDigest()
		w.submit(digest)
		w.call(nil, "closebatch")
		var b rpc.Batch
		w.call(&b, "getbatch", 1)
		if b.Digests != 1 || b.State == "open" {
			t.Errorf("without a peer: %+v, want the batch sealed all the same", b)
		}

		w.must(w.node.Restart(w.ctx))
		w.must(w.node.Mine(w.ctx, 1, ""))
		_, err = w.daemon.AwaitInfo(w.ctx, "the peer to be back", func(i rpc.Info) bool { return len(i.Chain.Peers) == 1 })
		w.must(err)
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		e := w.awaitState(digest, "broadcast")
		w.awaitInMempool(e.TxID)
		w.mine(6)
		w.awaitState(digest, "final")
		w.wantPaidOnce()
	})
}

// Two daemons in one directory would lose data. The second one refuses to start, and the first does
// not notice.
func TestSecondDaemonOnTheSameDirectoryIsRefused(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		digest := randomDigest()
		w.submit(digest)

		second := w.newDaemon(w.node)
		second.DataDir = w.daemon.DataDir
		res, err := second.RunToEnd(w.ctx)
		w.must(err)
		if res.Code != 1 || !strings.Contains(res.Stderr, w.daemon.NetDir()) || !strings.Contains(res.Stderr, "in use by another ancred") {
			t.Errorf("the second daemon: status %d, %q; want 1, and that %s is in use", res.Code, res.Stderr, w.daemon.NetDir())
		}

		w.call(nil, "closebatch")
		w.awaitState(digest, "broadcast")
		w.mineUntilFinal()
		w.awaitState(digest, "final")
	})
}
