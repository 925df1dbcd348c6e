package spv

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chainhash/v2"
)

func TestTheWalletsChainClientSeesTheSameChain(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(110)
	c := openClient(t, newDir(t), n.p2p)
	if err := c.WalletChain().Start(t.Context()); err == nil {
		t.Error("a wallet's chain client started before the light client did")
	}
	startClient(t, c)
	waitAt(t, c, n)

	for range 2 { // the second one is what a wallet that has died gets
		w := c.WalletChain()
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		hash, height, err := w.GetBestBlock()
		if err != nil || height != 110 || *hash != n.hashAt(110) {
			t.Errorf("newest block %s at %d, %v", hash, height, err)
		}
		if !w.IsCurrent() {
			t.Error("not current")
		}
		if _, err := w.GetBlockHeader(&chainhash.Hash{1}); !errors.Is(err, ErrNotFound) {
			t.Errorf("unknown header: %v", err)
		}
		if at, err := w.GetBlockHeight(hash); err != nil || at != 110 {
			t.Errorf("height %d, %v", at, err)
		}
		w.Stop()
		w.WaitForShutdown()
	}
	w := c.WalletChain()
	tx := spend(t, c, 2, 10_000)
	if id, err := w.SendRawTransaction(tx, false); err != nil || *id != tx.TxHash() {
		t.Errorf("sent %v, %v", id, err)
	}
	if !c.Synced() {
		t.Error("the light client ended with a wallet's chain client")
	}
}
