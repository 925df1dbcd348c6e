package wallet_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ancre/wallet"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const deposit = 1_000_000

func TestAnAnchorFromDepositOverReorganisationToAnotherVersion(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	r := start(t, node, startClient(t, node.P2P()), t.TempDir(), nil)
	_, first := r.create()

	// Coins that arrive right after the creation are found.
	r.fund(deposit)
	r.awaitBalance(wallet.Balance{Confirmed: deposit, Spendable: deposit})
	if next := r.address(); next == first {
		t.Errorf("%s is used and still given away", first)
	}

	// Two versions of one anchor: the same coin, the same change script, more fee.
	v1, fee1 := r.anchor(1, 2)
	if _, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{9}, SatPerVByte: 2, LockTime: 102}); !errors.As(err, new(*wallet.ShortageError)) {
		t.Errorf("the only coin is held for a version, and building another gives %v", err)
	}
	if err := r.Release(t.Context(), spent(v1)); err != nil {
		t.Fatal(err)
	}
	v2, fee2 := r.anchor(2, 5)
	checkAnchor(t, v1, 1, 2*153, fee1)
	checkAnchor(t, v2, 2, 5*153, fee2)
	if spent(v1)[0] != spent(v2)[0] || string(v1.TxOut[1].PkScript) != string(v2.TxOut[1].PkScript) {
		t.Error("two versions with different coins or different change scripts")
	}
	if err := r.Lease(t.Context(), spent(v2)); err != nil {
		t.Fatal(err)
	}
	r.awaitBalance(wallet.Balance{Confirmed: deposit})

	// The first version is mined: its change counts once, and can be spent.
	r.broadcast(v1)
	r.mine(1)
	left := deposit - fee1
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	want := []string{"anchor " + v1.TxHash().String()}
	if got := r.history(); len(got) != 2 || got[0] != want[0] || !strings.HasPrefix(got[1], "received") {
		t.Errorf("history %q, want the anchor and the deposit", got)
	}

	// A reorganisation takes it out again.
	if err := node.Reorg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.awaitBalance(wallet.Balance{Pending: left})

	// And the other version is mined instead.
	r.broadcast(v2)
	r.mine(1)
	left = deposit - fee2
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	want = []string{"anchor " + v2.TxHash().String()}
	if got := r.history(); len(got) != 2 || got[0] != want[0] {
		t.Errorf("history %q, want one anchor, %s, and the deposit", got, want)
	}

	// The next anchor spends that change, and pays its own to another address.
	v3, _ := r.anchor(3, 1)
	if got, want := spent(v3)[0], (wire.OutPoint{Hash: v2.TxHash(), Index: 1}); got != want {
		t.Errorf("spends %v, want %v", got, want)
	}
	if string(v3.TxOut[1].PkScript) == string(v2.TxOut[1].PkScript) {
		t.Error("a used change address is used again")
	}
	if n := r.Revivals(); n != 0 {
		t.Errorf("%d revivals without any fault", n)
	}
}

// checkAnchor checks what every anchor must be: its outputs, its sequences, and a fee that is right
// for the size it really has.
func checkAnchor(t *testing.T, tx *wire.MsgTx, root byte, want, fee int64) {
	t.Helper()
	commitment := append([]byte{txscript.OP_RETURN, 32, root}, make([]byte, 31)...)
	if len(tx.TxOut) != 2 || tx.TxOut[0].Value != 0 || string(tx.TxOut[0].PkScript) != string(commitment) {
		t.Errorf("outputs %+v", tx.TxOut)
	}
	if !txscript.IsPayToWitnessPubKeyHash(tx.TxOut[1].PkScript) {
		t.Errorf("change to %x", tx.TxOut[1].PkScript)
	}
	if tx.Version != 2 || tx.LockTime != 102 {
		t.Errorf("version %d, lock time %d", tx.Version, tx.LockTime)
	}
	for _, in := range tx.TxIn {
		if in.Sequence != 0xfffffffd {
			t.Errorf("sequence %x", in.Sequence)
		}
	}
	if weight := 3*tx.SerializeSizeStripped() + tx.SerializeSize(); (weight+3)/4 != 153 {
		t.Errorf("%d weight units, want 153 vB", weight)
	}
	if fee != want {
		t.Errorf("fee %d, want %d", fee, want)
	}
}

func TestManySmallCoinsPayTogetherAndDustIsLeftAlone(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	r := start(t, node, startClient(t, node.P2P()), t.TempDir(), nil)
	r.createFunded(600, 700, 800, 300, 330)

	_, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 10, LockTime: 0})
	var short *wallet.ShortageError
	if !errors.As(err, &short) || short.MissingSats() <= 0 || !strings.Contains(err.Error(), r.address()) {
		t.Fatalf("got %v, want a shortage that says what to do", err)
	}
	// At 7 sat/vB a coin costs 476 to spend, more than two of the five are worth; and the anchor
	// costs 854, more than any.
	const rate = 7
	tx, fee := r.anchor(1, rate)
	if len(tx.TxIn) != 2 {
		t.Errorf("%d inputs, want the two largest", len(tx.TxIn))
	}
	weight := 3*tx.SerializeSizeStripped() + tx.SerializeSize()
	if paid := float64(fee) / (float64(weight) / 4); paid < rate {
		t.Errorf("%.2f sat/vB, want at least %d", paid, rate)
	}
	r.broadcast(tx)
	r.mine(1)
	r.await("the anchor is in the history", func() string {
		if got := r.history(); !slices.Contains(got, "anchor "+tx.TxHash().String()) {
			return fmt.Sprint(got)
		}
		return ""
	})
	b, err := r.Balance(t.Context())
	if err != nil || b.Confirmed != 2730-fee {
		t.Errorf("balance %+v (%v), want %d confirmed", b, err, 2730-fee)
	}

	// What the error said was missing is what had to be deposited.
	if err := r.Release(t.Context(), spent(tx)); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: 20, LockTime: 0})
	if !errors.As(err, &short) {
		t.Fatalf("got %v, want a shortage", err)
	}
	before := b.Confirmed
	r.fund(short.MissingSats())
	r.await("the deposit", func() string {
		b, err := r.Balance(t.Context())
		if err != nil || b.Confirmed != before+short.MissingSats() {
			return fmt.Sprintf("%+v %v", b, err)
		}
		return ""
	})
	if _, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{2}, SatPerVByte: 20, LockTime: 0}); err != nil {
		t.Errorf("after depositing the %d sats that were missing: %v", short.MissingSats(), err)
	}
}

// foreign is BIP173's example key, on regtest.
const foreign = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

func TestPaymentsAreKeptAndOfferedUntilTheyAreMined(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	chain := startClient(t, node.P2P())
	dir := t.TempDir()
	r := start(t, node, chain, dir, nil)
	r.createFunded(deposit, 50_000)

	// A coin that an anchor spends is not for payments.
	anchor, _ := r.anchor(1, 1)
	if err := r.Lease(t.Context(), spent(anchor)); err != nil {
		t.Fatal(err)
	}
	var short *wallet.ShortageError
	if _, err := r.Send(t.Context(), foreign, deposit, 2); !errors.As(err, &short) || short.Waiting != 50_000 {
		t.Fatalf("got %v, want a shortage with 50000 waiting (the anchor takes the smallest coin that is ample)", err)
	}

	// The node is away: the payment is stored nevertheless.
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	quote, err := r.Quote(t.Context(), foreign, 400_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	payment, err := r.Send(t.Context(), foreign, 400_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	txid, fee := payment.TxID, int64(2*141) // 1 input, 2 outputs
	change := deposit - 400_000 - fee
	want := wallet.Payment{Sats: 400_000, FeeSats: fee, SatPerVByte: 2, Rest: 50_000 + change, Held: 50_000}
	if quote != want {
		t.Errorf("quoted %+v, want %+v", quote, want)
	}
	if want.TxID = txid; payment != want {
		t.Errorf("paid %+v, want %+v", payment, want)
	}
	r.awaitBalance(wallet.Balance{Confirmed: 50_000, Pending: change})
	r.wantSent(txid, -400_000-fee, fee)

	// It outlasts a restart, and reaches the node when that comes back.
	r.stop()
	r = start(t, node, chain, dir, nil)
	if err := r.Unlock(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	r.awaitBalance(wallet.Balance{Confirmed: 50_000, Pending: change})
	r.offerAfterRestart(txid)
	r.mine(1)
	r.awaitBalance(wallet.Balance{Confirmed: 50_000 + change, Spendable: change})
	n := 0
	for _, line := range r.history() {
		if line == "sent "+txid {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the payment is %d times in the history", n)
	}
	r.sendAll(50_000)
	if _, err := r.Quote(t.Context(), foreign, wallet.All, 1); !errors.As(err, &short) || err.Error() != "there is nothing to send: no coin can be spent now. "+
		"50,000 sat are held for anchors in flight, or are not mined yet: wait until they are" {
		t.Errorf("got %v", err)
	}
}

// wantSent checks that the newest transaction is an unmined payment.
func (r *rig) wantSent(txid string, sats, fee int64) {
	r.t.Helper()
	list, err := r.Transactions(r.t.Context(), 1, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := list[0]; got.TxID.String() != txid || got.Kind != wallet.Sent || got.Sats != sats ||
		got.FeeSats == nil || *got.FeeSats != fee || got.Height != 0 || got.Confirmations != 0 {
		r.t.Errorf("history %+v", got)
	}
}

// offerAfterRestart restarts the node and awaits that it is offered a payment.
func (r *rig) offerAfterRestart(txid string) {
	r.t.Helper()
	if err := r.node.Restart(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	if err := r.node.MineEmpty(r.t.Context(), 1); err != nil {
		r.t.Fatal(err)
	}
	r.await("the node has the payment", func() string {
		waiting, err := r.node.Mempool(r.t.Context())
		if err != nil || !slices.Contains(waiting, txid) {
			if err := r.node.MineEmpty(r.t.Context(), 1); err != nil { // each block offers it again
				return err.Error()
			}
			return fmt.Sprintf("%q %v", waiting, err)
		}
		return ""
	})
}

// sendAll sends all coins that are not leased, and awaits that the payment is mined.
func (r *rig) sendAll(leased int64) {
	r.t.Helper()
	all, err := r.Send(r.t.Context(), foreign, wallet.All, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	if all.Rest != leased || all.Held != leased || all.Unconfirmed != 0 || all.Small != 0 {
		r.t.Errorf("sent all: %+v, want %d held", all, leased)
	}
	r.awaitBalance(wallet.Balance{Confirmed: leased})
	r.awaitMempool(all.TxID)
	r.mine(1)
	r.await("it is mined", func() string {
		list, err := r.Transactions(r.t.Context(), 1, 0)
		if err != nil || list[0].TxID.String() != all.TxID || list[0].Confirmations != 1 {
			return fmt.Sprintf("%+v %v", list, err)
		}
		return ""
	})
}
