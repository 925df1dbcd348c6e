package itest

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"ancre/rpc"

	"github.com/btcsuite/btcd/wire/v2"
)

// Batches are sealed while the wallet is empty, and the daemon says so. Once there is money, all of
// them become final.
func TestP2EverySealedBatchBecomesFinalOnceTheWalletIsFunded(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.start()
		var digests []string
		seal := func() {
			digests = append(digests, randomDigest())
			w.submit(digests[len(digests)-1])
			w.call(nil, "closebatch")
			w.awaitState(digests[len(digests)-1], "sealed")
		}
		wantWarned := func(when, says string, ready bool) {
			w.Helper()
			_, err := w.daemon.AwaitInfo(w.ctx, "a warning "+when, func(i rpc.Info) bool {
				return i.Ready == ready && strings.Contains(strings.Join(i.Warnings, "\n"), says)
			})
			w.must(err)
		}
		seal()
		wantWarned("that there is no wallet", "there is no wallet yet", false)
		w.createWallet()
		seal()
		wantWarned("that the wallet is empty", "the wallet lacks", true)
		seal()

		w.fund()
		w.mineUntilFinal()
		for _, digest := range digests {
			if e := w.status(digest); e.State != "final" {
				t.Errorf("in the end: %+v, want it final", e)
			}
		}
		w.wantPaidOnce()
	})
}

// The test does everything that could make a daemon pay twice. The daemon dies before and after the
// payment reaches the network, the node forgets the payment, the chain reorganises. The node's
// blocks show what was really paid.
func TestP3NothingIsPaidTwiceOverCrashesForgettingAndReorganisation(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		pay := func() rpc.Entry {
			digest := randomDigest()
			w.submit(digest)
			w.call(nil, "closebatch")
			return w.awaitState(digest, "broadcast")
		}

		first := pay()
		w.crash()
		w.awaitInMempool(first.TxID)
		w.must(w.node.MineEmpty(w.ctx, 1)) // a block, and not in it
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))

		// The node is killed and forgets its mempool (btcd always does): the payment has to be
		// offered again.
		w.must(w.node.Kill9())
		w.must(w.node.Restart(w.ctx))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.awaitInMempool(w.status(first.Digest).TxID)
		w.mine(1)
		w.awaitState(first.Digest, "mined")

		second := pay() // from the change of the first
		w.awaitInMempool(second.TxID)
		w.mine(2)
		w.must(w.daemon.Kill9())
		w.must(w.node.Reorg(w.ctx, 3)) // both are dropped while the daemon is down
		w.start()
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.mineUntilFinal()

		for _, digest := range []string{first.Digest, second.Digest} {
			if e := w.status(digest); e.State != "final" {
				t.Errorf("in the end: %+v, want it final", e)
			}
		}
		w.wantPaidOnce()
		w.wantVersionsShareACoin()
	})
}

// wantVersionsShareACoin wants one coin that all versions spend: with it nothing is paid twice,
// whatever the network does.
func (w *world) wantVersionsShareACoin() {
	w.Helper()
	var anchors []rpc.Anchor
	w.call(&anchors, "listanchors")
	if len(anchors) == 0 {
		w.Error("there are no anchors")
	}
	for _, a := range anchors {
		common := make(map[string]int)
		for _, v := range a.Versions {
			for _, coin := range w.coinsOf(a.ID, v.TxID) {
				common[coin]++
			}
		}
		shared := false
		for _, n := range common {
			shared = shared || n == len(a.Versions)
		}
		if !shared {
			w.Errorf("anchor %d: its %d versions spend no common coin: %v", a.ID, len(a.Versions), common)
		}
	}
}

// coinsOf returns what a version of an anchor spends.
func (w *world) coinsOf(anchor uint64, txid string) (coins []string) {
	w.Helper()
	var a rpc.Anchor
	w.call(&a, "getanchor", anchor)
	for _, v := range a.Versions {
		if v.TxID != txid {
			continue
		}
		raw, err := hex.DecodeString(v.Hex)
		w.must(err)
		tx := new(wire.MsgTx)
		w.must(tx.Deserialize(bytes.NewReader(raw)))
		if tx.TxHash().String() != txid {
			w.Errorf("getanchor's hex of %s is transaction %s", txid, tx.TxHash())
		}
		for _, in := range tx.TxIn {
			coins = append(coins, in.PreviousOutPoint.String())
		}
	}
	return coins
}
