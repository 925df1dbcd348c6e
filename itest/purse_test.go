package itest

import (
	"context"
	"strings"
	"testing"

	"ancre/itest/harness"
)

// The wallet is empty, then has one small coin, then several. Each time the daemon says how much is
// missing and where to send it. It goes on by itself after each deposit. In the end the small coins
// pay together.
func TestP2SmallDepositsPayTogether(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		// One small coin pays less than 5 sat/vB. The last deposit leaves change: Bitcoin Knots
		// refuses a transaction whose only output is an OP_RETURN.
		const floor, small, large = 6, 600, 5000
		w := newWorldFor(t, kind, patience, minRelay(kind, floor))
		w.daemon.Set("anchor", "target", `"10m"`)
		w.startQuick(0)
		digest := w.sealed()
		address := w.wantShort()
		w.awaitState(digest, "sealed")

		w.deposit(address, small)
		w.awaitState(digest, "broadcast")
		w.must(harness.Await(w.ctx, "the warning to end", func(context.Context) (bool, string, error) { return !w.isShort(), "", nil }))
		for !w.isShort() {
			before := len(w.versions(1))
			w.sealed()
			w.blockWithoutUs("a version that pays more, or a warning", func() bool { return len(w.versions(1)) > before || w.isShort() })
		}
		address = w.wantShort()
		for _, sats := range []int64{small, small, large} {
			w.deposit(address, sats)
		}
		taken, _ := w.raiseUntilTaken(1)
		w.wantRising(w.versions(1), 100, 3*small+large)
		if n := len(w.coinsOf(1, taken.TxID)); n < 2 {
			t.Errorf("the version that the node took spends %d coins, want some together", n)
		}
		w.must(w.node.MineOnly(w.ctx, taken.TxID))
		w.must(w.node.MineEmpty(w.ctx, 5))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.awaitState(digest, "final")
		w.wantProven(digest)
		w.wantPaidOnce()
	})
}

// deposit sends a coin, and mines a block with that payment alone.
func (w *world) deposit(address string, sats int64) {
	w.Helper()
	txid, err := w.node.SendTo(w.ctx, address, sats)
	w.must(err)
	w.must(w.node.MineOnly(w.ctx, txid))
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
}

// wantShort waits for the warning that the wallet cannot pay, and returns the address that it
// names.
func (w *world) wantShort() (address string) {
	w.Helper()
	warning := w.awaitWarning("the wallet lacks", " sat ", "bcrt1q")
	w.Logf("warned: %s", warning)
	_, address, _ = strings.Cut(warning, "bcrt1q")
	end := strings.IndexFunc(address, func(r rune) bool { return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z') })
	if end >= 0 {
		address = address[:end]
	}
	return "bcrt1q" + address
}

func (w *world) isShort() bool {
	w.Helper()
	return strings.Contains(strings.Join(w.warnings(), "\n"), "the wallet lacks")
}
