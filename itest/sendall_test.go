package itest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"
)

// foreignAddress belongs to nobody in these tests.
const foreignAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

// Whoever empties the wallet does not take the coin of an anchor in flight (P3): the anchor is
// mined, and what it leaves can be sent after that. Then the daemon says how much to send to it,
// and something that lasts.
func TestP3SendAllLeavesTheCoinOfAnAnchor(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		const small, large = 30_000, 80_000
		w := newWorldFor(t, kind, patience)
		w.daemon.Set("wallet", "price", `"60000 EUR"`)
		w.startQuick(small)
		w.deposit(w.address, large)
		w.awaitBalance(small + large)
		digest := w.sealed()
		w.awaitState(digest, "broadcast")
		anchor := w.versions(1)[0]

		quoted, paid := w.sendAll("--feerate", "2")
		if quoted.TxID != "" || quoted.AmountSats != paid.AmountSats || quoted.FeeSats != paid.FeeSats || quoted.RestSats != paid.RestSats {
			t.Errorf("quoted %+v, paid %+v", quoted, paid)
		}
		if sum := paid.AmountSats + paid.FeeSats + paid.RestSats; sum != small+large || paid.HeldSats != paid.RestSats || paid.HeldSats != small && paid.HeldSats != large {
			t.Errorf("%+v: want one coin of %d and %d sent, and the anchor's held", paid, small, large)
		}
		tx, err := w.node.MempoolTx(w.ctx, w.awaitMempool(paid.TxID))
		w.must(err)
		for _, in := range tx.TxIn {
			if slices.Contains(w.coinsOf(1, anchor.TxID), in.PreviousOutPoint.String()) {
				t.Errorf("the payment spends %s, which the anchor spends", in.PreviousOutPoint)
			}
		}
		out := w.ancre(1, "wallet", "send", foreignAddress, "all", "--yes").Stderr
		if !strings.Contains(out, "there is nothing to send") || !strings.Contains(out, "sat (≈ ") {
			t.Errorf("sending all again: %s", out)
		}

		w.must(w.node.MineEmpty(w.ctx, 1))
		w.awaitState(digest, "broadcast")
		w.must(w.node.Mine(w.ctx, 6, ""))
		w.awaitState(digest, "final")
		w.wantProven(digest)
		w.wantPaidOnce()

		_, paid = w.sendAll()
		if paid.RestSats != 0 || paid.AnchorsLeft != 0 {
			t.Errorf("%+v: want nothing left", paid)
		}
		w.awaitMempool(paid.TxID)
		w.must(w.node.Mine(w.ctx, 1, ""))
		w.awaitWarning("the wallet has 0 sat (≈ 0.00 EUR): enough for 0 more anchors", "Send it ", " sat (", " BTC, ≈ ", " at today's price")
	})
}

// sendAll sends everything, by the command line, after it asked what that would do.
func (w *world) sendAll(flags ...string) (quoted, paid rpc.Payment) {
	w.Helper()
	var rate any // estimated
	if len(flags) > 0 {
		rate = 2
	}
	w.call(&quoted, "sendtoaddress", foreignAddress, "all", rate, false, true)
	out := w.ancre(0, append([]string{"--json", "wallet", "send", foreignAddress, "all", "--yes"}, flags...)...).Stdout
	w.must(json.Unmarshal([]byte(out), &paid))
	return quoted, paid
}

// awaitMempool waits until the node has a transaction.
func (w *world) awaitMempool(txid string) string {
	w.Helper()
	w.must(harness.Await(w.ctx, "the node to take "+txid, func(context.Context) (bool, string, error) { return w.inMempool(txid), "", nil }))
	return txid
}
