package wallet

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// receive makes the wallet find a payment in a block.
func receive(t *testing.T, w *Wallet, to string, sats int64) {
	t.Helper()
	params := w.cfg.Params
	a, err := address.DecodeAddress(to, params)
	if err != nil {
		t.Fatal(err)
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		t.Fatal(err)
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{1}, 0), nil, nil))
	tx.AddTxOut(wire.NewTxOut(sats, script))
	rec, err := wtxmgr.NewTxRecordFromMsgTx(tx, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block := &wtxmgr.BlockMeta{Block: wtxmgr.Block{Hash: chainhash.Hash{2}, Height: 1}, Time: time.Now()}
	err = walletdb.Update(w.vault.db, func(tx walletdb.ReadWriteTx) error {
		ns := tx.ReadWriteBucket(txBucket)
		if err := w.vault.btc.TxStore.InsertTx(ns, rec, block); err != nil {
			return err
		}
		return w.vault.btc.TxStore.AddCredit(ns, rec, block, 0, false)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// On a slow machine, checking a passphrase takes seconds at each start. Callers that ask for the
// state of the daemon meanwhile need not wait.
func TestBalanceAnswersWhileThePassphraseIsChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	_, first, err := w.Create(t.Context(), passphrase, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, w, first, 70_000)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, dir, &chaincfg.RegressionNetParams, nil)

	// One who reads keeps the unlocking where it is, and it keeps away all who come after.
	w.vault.keys.RLock()
	unlocked := make(chan error, 1)
	go func() { unlocked <- w.Unlock(t.Context(), passphrase) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.vault.balanceMeanwhile.Load() == nil {
		select {
		case <-tick.C:
		case err := <-unlocked:
			w.vault.keys.RUnlock()
			t.Fatalf("unlocked (%v), and no balance was held for those who asked meanwhile", err)
		}
	}
	want := Balance{Confirmed: 70_000, Spendable: 70_000}
	for w.vault.keys.TryRLock() { // until the unlocking waits for its turn
		w.vault.keys.RUnlock()
		<-tick.C
	}
	if got, err := w.Balance(t.Context()); err != nil || got != want {
		t.Errorf("while the passphrase is checked, the balance is %+v (%v), want %+v", got, err, want)
	}
	if state := w.State(); state != Locked {
		t.Errorf("while the passphrase is checked, the wallet is %s, want %s", state, Locked)
	}
	w.vault.keys.RUnlock()
	if err := <-unlocked; err != nil {
		t.Fatal(err)
	}
	if w.vault.balanceMeanwhile.Load() != nil {
		t.Error("the balance is still that of before")
	}
	if got, err := w.Balance(t.Context()); err != nil || got != want {
		t.Errorf("once unlocked, the balance is %+v (%v), want %+v", got, err, want)
	}
}
