package itest

import (
	"fmt"
	"slices"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"
)

// newLine puts a proxy between the daemon and its node, and starts the daemon, which can pay.
func newLine(w *world) *harness.Proxy {
	w.Helper()
	line, err := harness.NewProxy(w.node.P2P())
	w.must(err)
	w.Cleanup(func() {
		if err := line.Close(); err != nil {
			w.Error(err)
		}
	})
	w.daemon.Set("spv", "connect", fmt.Sprintf("[%q]", line.Addr()))
	w.startQuick(fundSats)
	return line
}

// awaitPeers waits until the daemon has a number of peers.
func (w *world) awaitPeers(n int) {
	w.Helper()
	_, err := w.daemon.AwaitInfo(w.ctx, fmt.Sprintf("%d peers", n), func(i rpc.Info) bool { return len(i.Chain.Peers) == n })
	w.must(err)
}

// The connection to the only peer is cut at each step of an anchor.
func TestLineThatIsCutAgainAndAgain(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		line := newLine(w)
		line.Cut()
		digest := w.sealed()
		line.Cut()
		e := w.awaitState(digest, "broadcast")
		line.Cut()
		w.awaitInMempool(e.TxID)
		for range 7 {
			line.Cut()
			w.must(w.node.Mine(w.ctx, 1, ""))
			line.Cut()
			w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		}
		w.awaitState(digest, "final")
		w.wantProven(digest)
		w.wantPaidOnce()
	})
}

// The connection takes bytes and passes none on. The daemon goes on accepting and sealing, and pays
// by itself once the bytes flow again.
func TestLineThatStalls(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		line := newLine(w)
		first := w.sealed()
		w.awaitInMempool(w.awaitState(first, "broadcast").TxID)
		line.Stall(true)
		w.must(w.node.Mine(w.ctx, 3, ""))
		second := w.sealed()
		if e := w.awaitState(second, "sealed"); e.Batch != 2 {
			t.Errorf("while the line stalls: %+v, want the second batch sealed", e)
		}
		if e := w.status(first); e.State != "broadcast" {
			t.Errorf("while the line stalls: %+v, want what is known", e)
		}
		line.Stall(false)
		w.must(w.node.Mine(w.ctx, 1, ""))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.mineUntilFinal()
		w.wantProven(first, second)
		w.wantPaidOnce()
	})
}

// Requests are lost: the daemon hears of blocks and cannot get any. It says so, and goes on once
// blocks come again.
func TestLineThatSwallowsRequests(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		line := newLine(w)
		first := w.sealed()
		w.awaitInMempool(w.awaitState(first, "broadcast").TxID)
		line.Swallow("getdata")
		w.must(w.node.Mine(w.ctx, 2, ""))
		second := w.sealed()
		w.awaitState(second, "sealed")
		info, err := w.daemon.AwaitInfo(w.ctx, "a warning", func(i rpc.Info) bool {
			return line.Swallowed() > 0 && slices.ContainsFunc(i.Warnings, func(s string) bool { return s != "" })
		})
		w.must(err)
		t.Logf("%d requests swallowed; the daemon warns: %q", line.Swallowed(), info.Warnings)
		line.Swallow()
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.mineUntilFinal()
		w.wantProven(first, second)
		w.wantPaidOnce()
	})
}
