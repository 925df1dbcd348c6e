package spv

import (
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// feeBlock makes a block at height 1 that collected the fees, with one transaction of about the weight besides the coinbase.
func feeBlock(fees int64, weight int) (block *wire.MsgBlock, txWeight int64) {
	coinbase := wire.NewMsgTx(1)
	coinbase.AddTxIn(&wire.TxIn{})
	half := (blockchain.CalcBlockSubsidy(1, &chaincfg.MainNetParams) + fees) / 2
	coinbase.AddTxOut(wire.NewTxOut(half, nil))
	coinbase.AddTxOut(wire.NewTxOut(blockchain.CalcBlockSubsidy(1, &chaincfg.MainNetParams)+fees-half, nil))
	block = wire.NewMsgBlock(&wire.BlockHeader{})
	_ = block.AddTransaction(coinbase)
	if weight > 0 {
		tx := wire.NewMsgTx(1)
		tx.AddTxIn(&wire.TxIn{SignatureScript: make([]byte, weight/4)})
		_ = block.AddTransaction(tx)
		txWeight = blockchain.GetTransactionWeight(btcutil.NewTx(tx))
	}
	return block, txWeight
}

func TestFeeRateOfABlock(t *testing.T) {
	t.Parallel()
	_, full := feeBlock(0, 3_900_000)
	for _, tt := range []struct {
		name   string
		fees   int64
		weight int
		want   int64
	}{
		{"only a coinbase", 0, 0, 1},
		{"full, without fees", 0, 3_900_000, 1},
		{"full, exactly 20 sat/vB", 20 * full / 4, 3_900_000, 20},
		{"full, a satoshi more is rounded up", 20*full/4 + 1, 3_900_000, 21},
		{"full, a miner that claims less than it may", -1_000_000, 3_900_000, 1},
		{"not full, whatever it paid", 500_000_000, 3_000_000, 1},
	} {
		block, _ := feeBlock(tt.fees, tt.weight)
		if got, err := blockFeeRate(block, 1, &chaincfg.MainNetParams); err != nil || got != tt.want {
			t.Errorf("%s: %d sat/vB, %v; want %d", tt.name, got, err, tt.want)
		}
	}
	if _, err := blockFeeRate(&wire.MsgBlock{}, 1, &chaincfg.MainNetParams); err == nil {
		t.Error("a block without transactions has a fee rate")
	}
}

func TestMedianRate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rates []int64
		want  int64
	}{
		{nil, 1},
		{[]int64{0}, 1},
		{[]int64{9, 1, 3}, 3},
		{[]int64{50, 1, 2, 40, 3, 4}, 4},
	} {
		if got := medianRate(tt.rates); got != tt.want {
			t.Errorf("median of %v: %d, want %d", tt.rates, got, tt.want)
		}
	}
}

func TestAnEstimateCostsOneDownloadForEachNewBlock(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	c := openClient(t, t.TempDir(), n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	if _, err := c.FeeRate(t.Context()); err != nil {
		t.Fatal(err)
	}
	known := func() int { return len(c.fees.blocks) }
	if known() != feeBlocks {
		t.Errorf("%d blocks are kept", known())
	}
	n.mine(2)
	waitAt(t, c, n)
	c.fees.blocks[n.hashAt(18)] = 7 // a mark that a second download would replace
	c.fees.blocks[n.hashAt(19)] = 8
	c.fees.blocks[n.hashAt(20)] = 9
	rate, err := c.FeeRate(t.Context())
	if err != nil || rate != 7 { // 1 1 1 7 8 9
		t.Errorf("rate %d, %v", rate, err)
	}
	if known() != feeBlocks {
		t.Errorf("%d blocks are kept after two new ones", known())
	}

	// Without peers, the last estimate is still given, with the reason.
	n.mine(1)
	waitAt(t, c, n)
	n.stop()
	waitFor(t, "no peers", func() bool { return len(c.Status().Peers) == 0 })
	ctx := t.Context()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Close() // ends the waiting for a peer
	}()
	if rate, err := c.FeeRate(ctx); err == nil || rate != 7 {
		t.Errorf("rate without peers %d, %v", rate, err)
	}
	<-done
}
