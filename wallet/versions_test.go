package wallet_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/wallet"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// eachNode runs a test against btcd, and against bitcoind where there is one.
func eachNode(t *testing.T, test func(t *testing.T, node *harness.Node)) {
	for name, run := range map[string]func(*testing.T) *harness.Node{"btcd": startBtcd, "bitcoind": startBitcoind} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, run(t))
		})
	}
}

// build builds a version and compares it with its order.
func (r *rig) build(o wallet.AnchorOrder) (tx *wire.MsgTx, prevouts []*wire.TxOut) {
	r.t.Helper()
	tx, prevouts, err := r.BuildAnchor(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, c := range o.Coins {
		if i >= len(tx.TxIn) || tx.TxIn[i].PreviousOutPoint != c || prevouts[i] != o.Prevouts[i] {
			r.t.Fatalf("spends %v, want first %v", spent(tx), o.Coins)
		}
	}
	for _, in := range tx.TxIn {
		if in.Sequence != 0xfffffffd {
			r.t.Errorf("sequence %x", in.Sequence)
		}
	}
	if o.Change != nil && len(tx.TxOut) == 2 && string(tx.TxOut[1].PkScript) != string(o.Change) {
		r.t.Errorf("change goes to %x, want %x", tx.TxOut[1].PkScript, o.Change)
	}
	return tx, prevouts
}

// change returns the change of a version, as what an order gives.
func change(tx *wire.MsgTx) ([]wire.OutPoint, []*wire.TxOut) {
	return []wire.OutPoint{{Hash: tx.TxHash(), Index: 1}}, []*wire.TxOut{tx.TxOut[1]}
}

// wantGone waits, because the light client itself steps back block by block.
func (r *rig) wantGone(coins []wire.OutPoint, want ...wire.OutPoint) {
	r.t.Helper()
	r.await(fmt.Sprintf("gone are %v", want), func() string {
		gone, err := r.Gone(r.t.Context(), coins)
		if err != nil || !slices.Equal(gone, want) {
			return fmt.Sprint(gone, err)
		}
		return ""
	})
}

func (r *rig) reorg(depth int) {
	r.t.Helper()
	if err := r.node.Reorg(r.t.Context(), depth); err != nil {
		r.t.Fatal(err)
	}
}

func TestAReorganisationLetsAnotherVersionThrough(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, node *harness.Node) {
		chain, dir := startClient(t, node.P2P()), t.TempDir()
		r := start(t, node, chain, dir, nil)
		r.createFunded(deposit)
		v1, prevouts := r.build(wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 2})
		coin := spent(v1)
		if err := r.Lease(t.Context(), coin); err != nil {
			t.Fatal(err)
		}
		r.broadcast(v1)
		r.mine(1)
		child, lostCoin := r.buildOnChange(v1)
		end := child.TxOut[1].Value
		r.awaitBalance(wallet.Balance{Confirmed: end, Spendable: end})
		r.wantGone(append(coin, lostCoin...)) // spent, but there

		// Both leave the chain. A version takes their place that pays more than the two.
		r.reorg(2)
		r.awaitBalance(wallet.Balance{Pending: end})
		r.wantGone(append(coin, lostCoin...), lostCoin...)
		v2, _ := r.build(wallet.AnchorOrder{
			Root: [32]byte{3}, SatPerVByte: 20, Coins: coin, Prevouts: prevouts, Change: v1.TxOut[1].PkScript,
		})
		if left := deposit - 20*153; len(v2.TxIn) != 1 || len(v2.TxOut) != 2 || v2.TxOut[1].Value != int64(left) {
			t.Fatalf("%d inputs, outputs %v; want one and a change of %d", len(v2.TxIn), v2.TxOut, left)
		}
		v3, _ := r.build(wallet.AnchorOrder{
			Root: [32]byte{5}, SatPerVByte: 40, Coins: coin, Prevouts: prevouts, Change: v1.TxOut[1].PkScript,
		})
		r.broadcast(v2)
		r.mine(1)
		if err := r.Release(t.Context(), append(coin, lostCoin...)); err != nil {
			t.Fatal(err)
		}
		r.wantOnly(v2, coin, prevouts, lostCoin)

		// The same again behind the wallet's back: at its next start it finds another version in
		// the place of the one it knew.
		if n := r.Revivals(); n != 0 {
			t.Errorf("%d revivals without any fault", n)
		}
		r.stop()
		r.reorg(1)
		r.broadcast(v3)
		r.mine(1)
		r = start(t, node, chain, dir, nil)
		if err := r.Unlock(t.Context(), passphrase); err != nil {
			t.Fatal(err)
		}
		if err := r.Release(t.Context(), coin); err != nil {
			t.Fatal(err)
		}
		r.wantOnly(v3, coin, prevouts, spent(child))
		if n := r.Revivals(); n != 0 {
			t.Errorf("%d revivals without any fault", n)
		}
	})
}

// buildOnChange builds the next anchor, which spends the change of a mined version right away,
// whether or not the wallet has processed its block, and mines it. It returns the coin too.
func (r *rig) buildOnChange(version *wire.MsgTx) (child *wire.MsgTx, coin []wire.OutPoint) {
	r.t.Helper()
	coin, out := change(version)
	child, _ = r.build(wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: 2, Coins: coin, Prevouts: out})
	if string(child.TxOut[1].PkScript) == string(version.TxOut[1].PkScript) {
		r.t.Error("the next anchor uses the change address of the one before again")
	}
	if err := r.Lease(r.t.Context(), coin); err != nil {
		r.t.Fatal(err)
	}
	r.broadcast(child)
	r.mine(1)
	return child, coin
}

// wantOnly checks that the wallet has the change of one version of an anchor, and nothing else. The
// version spends coin, whose outputs are prevouts. Another version had created lost.
func (r *rig) wantOnly(version *wire.MsgTx, coin []wire.OutPoint, prevouts []*wire.TxOut, lost []wire.OutPoint) {
	r.t.Helper()
	t, left := r.t, version.TxOut[1].Value
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	if got := r.history(); len(got) != 2 || got[0] != "anchor "+version.TxHash().String() || !strings.HasPrefix(got[1], "received") {
		t.Errorf("history %q, want %s and the deposit", got, version.TxHash())
	}
	next, _ := r.build(wallet.AnchorOrder{Root: [32]byte{4}, SatPerVByte: 1})
	if want, _ := change(version); !slices.Equal(spent(next), want) {
		t.Errorf("the next anchor spends %v, want %v", spent(next), want)
	}
	if err := r.Release(t.Context(), spent(next)); err != nil {
		t.Fatal(err)
	}
	r.wantGone(coin)
	r.wantGone(append(coin, lost...), lost...) // its transaction is impossible now
	taken := (*wallet.TakenError)(nil)
	if _, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{4}, SatPerVByte: 90, Coins: coin, Prevouts: prevouts}); !errors.As(err, &taken) || !slices.Equal(taken.Coins, coin) {
		t.Errorf("an order of a coin that is spent by what is mined: %v, want an error that names %v", err, coin)
	}
}

// A version without change pays to no address of the wallet, and after a start btcwallet follows
// only unspent coins. So without our help it would keep the version that lost as pending.
func TestAVersionWithoutChangeIsSeenAfterARestart(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	chain, dir := startClient(t, node.P2P()), t.TempDir()
	r := start(t, node, chain, dir, nil)
	r.createFunded(1000)
	v1, prevouts := r.build(wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 1})
	v2, _ := r.build(wallet.AnchorOrder{
		Root: [32]byte{2}, SatPerVByte: 7, Coins: spent(v1), Prevouts: prevouts, Change: v1.TxOut[1].PkScript,
	})
	if len(v2.TxOut) != 1 {
		t.Fatalf("outputs %v, want no change", v2.TxOut)
	}
	r.broadcast(v1)
	r.mine(1)
	r.awaitBalance(wallet.Balance{Confirmed: 847, Spendable: 847})
	r.stop()

	r = start(t, node, chain, dir, nil)
	r.wantGone(spent(v1)) // once it follows the chain, locked as it is
	r.reorg(1)
	r.awaitBalance(wallet.Balance{Pending: 847})
	r.broadcast(v2)
	r.mine(1)
	r.awaitBalance(wallet.Balance{})
	if got := r.history(); len(got) != 2 || got[0] != "anchor "+v2.TxHash().String() {
		t.Errorf("history %q, want %s and the deposit", got, v2.TxHash())
	}
}

// A version cannot be paid. The shortage does not count change that the version itself would undo.
// The deposit that it names is enough, without a restart.
func TestAShortageOfAVersionEndsWithADeposit(t *testing.T) {
	t.Parallel()
	const rate = 170
	node := startBtcd(t)
	r := start(t, node, startClient(t, node.P2P()), t.TempDir(), nil)
	r.createFunded(20_000)
	v1, prevouts := r.build(wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 2})
	left := v1.TxOut[1].Value
	replacement := wallet.AnchorOrder{
		Root: [32]byte{1}, SatPerVByte: rate, Coins: spent(v1), Prevouts: prevouts, Change: v1.TxOut[1].PkScript,
	}
	next := wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: rate}
	next.Coins, next.Prevouts = change(v1)
	wantShort := func(o wallet.AnchorOrder, have int64) {
		t.Helper()
		_, _, err := r.BuildAnchor(t.Context(), o)
		var short *wallet.ShortageError
		if !errors.As(err, &short) || short.Have != have || short.Waiting != 0 || short.Missing != rate*190-have {
			t.Fatalf("got %v, want a shortage with %d at hand and none waiting", err, have)
		}
		if to := r.address(); short.Address != to || !strings.Contains(err.Error(), to) {
			t.Errorf("got %v, want the address %s", err, to)
		}
	}

	r.broadcast(v1)
	r.mine(1)
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	wantShort(next, left)
	r.reorg(1)
	r.awaitBalance(wallet.Balance{Pending: left})
	wantShort(replacement, 20_000)

	missing := rate*190 - left
	r.fund(missing) // v1 is mined again beside it
	r.awaitBalance(wallet.Balance{Confirmed: left + missing, Spendable: left + missing})
	if tx, _ := r.build(next); len(tx.TxIn) != 2 {
		t.Errorf("spends %v, want the change of %s and the deposit", spent(tx), v1.TxHash())
	}
}

// A deposit that is undone takes an anchor with it that spends it. When that is given up, its other
// coins are free again; and when both are mined after all, nothing is missing.
func TestCoinsOfAnAnchorThatIsGivenUpAreFreeAgain(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	r := start(t, node, startClient(t, node.P2P()), t.TempDir(), nil)
	r.create()
	r.fund(4_700)
	r.fund(4_800)
	r.awaitBalance(wallet.Balance{Confirmed: 9_500, Spendable: 9_500})
	v1, _ := r.build(wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 40}) // one of them would have to be 4,880
	coins := spent(v1)
	if len(coins) != 2 {
		t.Fatalf("spends %v, want both coins", coins)
	}
	undone := coins[0] // the larger one, which came in the second block
	if err := r.Lease(t.Context(), coins); err != nil {
		t.Fatal(err)
	}
	left := r.mineVersion(v1)
	r.reorg(2)
	r.awaitBalance(wallet.Balance{Pending: left})
	r.wantGone(coins, undone)

	_, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: 1})
	var short *wallet.ShortageError
	if !errors.As(err, &short) || short.Have != 0 || short.Waiting != left {
		t.Errorf("got %v, want a shortage with the change waiting", err)
	}
	if err := r.Release(t.Context(), coins); err != nil {
		t.Fatal(err)
	}
	r.awaitBalance(wallet.Balance{Confirmed: 4_700, Spendable: 4_700})

	r.mine(1) // the node had kept both in mind
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	r.wantGone(coins)
}

// btcwallet may have left this behind, for reasons that we may not know: the wallet knows the
// newest block, and below it blocks that are not on the chain.
func TestTheWalletLeavesABranchThatItIsStuckOn(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	chain, dir := startClient(t, node.P2P()), t.TempDir()
	r := start(t, node, chain, dir, nil)
	r.createFunded(deposit)
	v1, prevouts := r.build(wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 2})
	v2, _ := r.build(wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: 5, Coins: spent(v1), Prevouts: prevouts})
	r.mineVersion(v1)
	r.stop()

	r.reorg(1)
	r.broadcast(v2)
	r.mine(1)
	height, err := node.Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pretendToKnow(t, node, dir, height)
	r = start(t, node, chain, dir, nil)
	r.wantGone(spent(v1))
	left := v2.TxOut[1].Value
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	if !strings.Contains(r.log.String(), "have left the chain") {
		t.Error("the log does not tell of the branch")
	}
	if n := r.Revivals(); n != 1 {
		t.Errorf("%d revivals, want one", n)
	}
}

// pretendToKnow makes a stopped wallet believe that it has seen everything up to the block at a
// height, the newest two of the chain alone.
func pretendToKnow(t *testing.T, node *harness.Node, dir string, height int32) {
	t.Helper()
	db, err := walletdb.Open("bdb", filepath.Join(dir, "wallet.db"), true, patience, false)
	if err != nil {
		t.Fatal(err)
	}
	err = walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
		for h := height - 1; h <= height; h++ {
			hash, err := node.HashAt(t.Context(), h)
			if err != nil {
				return err
			}
			if err := waddrmgr.PutSyncedTo(tx.ReadWriteBucket([]byte("waddrmgr")), &waddrmgr.BlockStamp{Height: h, Hash: hash}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A payment that spent the change of a version that lost is lost with it. The operator is told.
func TestALostPaymentIsTold(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	r := start(t, node, startClient(t, node.P2P()), t.TempDir(), nil)
	r.createFunded(deposit)
	v1, prevouts := r.build(wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 2})
	v2, _ := r.build(wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: 50, Coins: spent(v1), Prevouts: prevouts})
	r.mineVersion(v1)
	payment, err := r.Send(t.Context(), foreign, 5_000, 1)
	if err != nil {
		t.Fatal(err)
	}
	txid := payment.TxID
	r.awaitMempool(txid)
	r.reorg(1)
	r.mineVersion(v2)
	r.await("the log tells of the lost payment", func() string {
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "can no longer be mined") && strings.Contains(line, txid) {
				return ""
			}
		}
		return "it does not"
	})
}
