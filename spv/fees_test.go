package spv

import (
	"math"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// feeBlock makes a block at height 1 that collected the fees, with one transaction of about the
// weight besides the coinbase.
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
	_, roomy := feeBlock(0, 3_000_000)
	for _, tt := range []struct {
		name     string
		fees     int64
		weight   int
		average  int64
		counts   int64
		fullness float64 // in percent, rounded
	}{
		{"only a coinbase", 0, 0, 0, 1, 0},
		{"full, without fees", 0, 3_900_000, 0, 1, 98},
		{"full, exactly 20 sat/vB", 20 * full / 4, 3_900_000, 20, 20, 98},
		{"full, a satoshi more is rounded up", 20*full/4 + 1, 3_900_000, 21, 21, 98},
		{"full, a miner that claims less than it may", -1_000_000, 3_900_000, 0, 1, 98},
		{"not full, whatever it paid", 500 * roomy / 4, 3_000_000, 500, 1, 75},
	} {
		block, _ := feeBlock(tt.fees, tt.weight)
		got, err := blockFees(block, 1, &chaincfg.MainNetParams)
		if err != nil || got.Counts != tt.counts || got.Average != tt.average || math.Round(100*got.Fullness) != tt.fullness {
			t.Errorf("%s: %+v, %v; want average %d, counts %d, %.0f %% full", tt.name, got, err, tt.average, tt.counts, tt.fullness)
		}
		if got.Height != 1 || got.Hash != block.BlockHash() || got.Transactions != len(block.Transactions)-1 {
			t.Errorf("%s: taken for another block: %+v", tt.name, got)
		}
	}
	if _, err := blockFees(&wire.MsgBlock{}, 1, &chaincfg.MainNetParams); err == nil {
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
	n, c := syncedClient(t, 20)
	if _, err := c.FeeRate(t.Context()); err != nil {
		t.Fatal(err)
	}
	known := func() int { return len(c.fees.blocks) }
	if known() != feeBlocks {
		t.Errorf("%d blocks are kept", known())
	}
	n.mine(2)
	waitAt(t, c, n)
	c.fees.blocks[n.hashAt(18)] = BlockFees{Counts: 7} // marks that a second download would replace
	c.fees.blocks[n.hashAt(19)] = BlockFees{Counts: 8}
	c.fees.blocks[n.hashAt(20)] = BlockFees{Counts: 9}
	fees, err := c.Fees(t.Context())
	if err != nil || fees.Estimate != 7 { // 1 1 1 7 8 9
		t.Errorf("%+v, %v", fees, err)
	}
	if b := fees.Blocks; len(b) != feeBlocks || b[0].Height != 22 || b[1].Height != 21 || b[0].Hash != n.hashAt(22) || b[4].Counts != 7 {
		t.Errorf("blocks %+v", b)
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
	if last, err := c.Fees(ctx); err == nil || last.Estimate != 7 || len(last.Blocks) != feeBlocks || last.Blocks[0].Height != 22 || last.Floor != 1 {
		t.Errorf("without peers: %+v, %v", last, err)
	}
	if estimate, floor, err := c.FeeRates(ctx); err == nil || estimate != 7 || floor != 1 {
		t.Errorf("without peers: rates %d, %d, %v", estimate, floor, err)
	}
	<-done
}
