package spv

import (
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// spend spends the first output of a block's coinbase, which anyone can, and pays the fee.
func spend(t *testing.T, c *Client, height int32, fee int64) *wire.MsgTx {
	t.Helper()
	hash, err := c.HashAt(height)
	if err != nil {
		t.Fatal(err)
	}
	block, err := c.Block(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	coinbase := block.Transactions[0]
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Hash: coinbase.TxHash()},
		Witness:          wire.TxWitness{{txscript.OP_TRUE}},
		Sequence:         wire.MaxTxInSequenceNum - 2,
	})
	tx.AddTxOut(wire.NewTxOut(coinbase.TxOut[0].Value-fee, anyoneCanSpend))
	return tx
}

func TestTransactionsReachANode(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"btcd", "bitcoind"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, kind)
			n.mine(110)
			c := openClient(t, newDir(t), n.p2p)
			startClient(t, c)
			waitAt(t, c, n)

			tx := spend(t, c, 2, 10_000)
			start := time.Now()
			if err := c.Broadcast(t.Context(), tx); err != nil {
				t.Fatal(err)
			}
			t.Logf("taken after %v", time.Since(start))
			inMempool := func(tx *wire.MsgTx) func() bool {
				return func() bool {
					var ids []string
					n.call("getrawmempool", &ids)
					for _, id := range ids {
						if id == tx.TxHash().String() {
							return true
						}
					}
					return false
				}
			}
			waitFor(t, "the transaction in the node's mempool", inMempool(tx))

			// Again: the node has it, and that is no error.
			start = time.Now()
			if err := c.Broadcast(t.Context(), tx); err != nil {
				t.Error("second time:", err)
			}
			if took := time.Since(start); took > answerTimeout+10*time.Second {
				t.Errorf("a transaction that the peer has took %v", took)
			}

			// A replacement that pays more replaces it; one that pays less is rejected by btcd, and
			// ignored by Core.
			if err := c.Broadcast(t.Context(), spend(t, c, 2, 10_001)); (err != nil) != (kind == "btcd") {
				t.Error("a replacement that pays too little:", err)
			} else {
				t.Log(err)
			}
			better := spend(t, c, 2, 20_000)
			if err := c.Broadcast(t.Context(), better); err != nil {
				t.Error("replacement:", err)
			}
			waitFor(t, "the replacement in the node's mempool", inMempool(better))

			// Mined: offering it again is no error either.
			n.mine(1)
			waitAt(t, c, n)
			if err := c.Broadcast(t.Context(), better); err != nil {
				t.Error("mined already:", err)
			}
		})
	}
}

func TestABroadcastToNobodyIsAnError(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(1)
	c := openClient(t, newDir(t), freePort(t))
	startClient(t, c)
	if err := c.Broadcast(t.Context(), c.params.GenesisBlock.Transactions[0]); !errors.Is(err, ErrNoPeers) {
		t.Error(err)
	}
}

// A peer that disconnects during an offer may have the transaction or not: the caller should offer
// it again soon.
func TestABroadcastToPeersThatHangUpIsAnError(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(110)
	r := newRelay(t, n.p2p)
	c := openClient(t, newDir(t), r.addr)
	startClient(t, c)
	waitAt(t, c, n)
	tx := spend(t, c, 2, 10_000)
	if err := c.Broadcast(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of the first offer", func() bool { return len(c.broadcasts) == 0 })
	silent := make(chan error, 1)
	go func() { silent <- c.Broadcast(t.Context(), tx) }() // the peer has it, and does not answer
	waitFor(t, "the second offer", func() bool { return len(c.broadcasts) == 1 })
	r.cut()
	if err := <-silent; !errors.Is(err, ErrNoPeers) {
		t.Error(err)
	}
}
