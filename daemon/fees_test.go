package daemon

import (
	"testing"
	"time"

	"ancre/config"
	"ancre/rpc"
	"ancre/spv"

	"github.com/btcsuite/btcd/chainhash/v2"
)

func TestEveryKeyOfAnchorsReachesThePolicy(t *testing.T) {
	cfg := config.Default()
	cfg.Batch = config.Batch{Interval: 2 * time.Hour, MaxDigests: 3}
	cfg.Anchor = config.Anchor{Confirmations: 4, Target: 5 * time.Hour, MaxFeeRate: 6, MaxFeeSats: 700, MonthlyBudget: 8000}
	p := policy(cfg)
	if p.Interval != 2*time.Hour || p.MaxDigests != 3 || p.Confirmations != 4 || p.Target != 5*time.Hour || p.MaxFeeRate != 6 || p.MaxFeeSats != 700 || p.BudgetSats != 8000 {
		t.Errorf("%+v", p)
	}
	if p.Rebroadcast == 0 {
		t.Error("what is not configured is not the default")
	}
}

func TestWhatAnAnchorWouldPayIsWithinTheCaps(t *testing.T) {
	fees := spv.Fees{Estimate: 40, Floor: 2, FloorPeers: 5, Blocks: []spv.BlockFees{{Height: 7, Hash: chainhash.Hash{1}, Transactions: 3, Fullness: 0.5, Average: 9, Counts: 1}}}
	for _, c := range []struct {
		name            string
		maxRate, maxFee int64
		atOnce, due     int64
	}{
		{name: "the caps are far", maxRate: 100, maxFee: 50_000, atOnce: 12, due: 47},
		{name: "the rate is capped", maxRate: 20, maxFee: 50_000, atOnce: 12, due: 20},
		{name: "the fee is capped", maxRate: 100, maxFee: 1_600, atOnce: 10, due: 10},
	} {
		cfg := config.Default()
		cfg.Anchor.MaxFeeRate, cfg.Anchor.MaxFeeSats = c.maxRate, c.maxFee
		got := feeEstimate(fees, policy(cfg))
		if got.SatPerVByte != 40 || got.AnchorSats != 40*153 || got.FloorSatPerVByte != 2 || got.FloorPeers != 5 {
			t.Errorf("%s: %+v", c.name, got)
		}
		if want := (rpc.FeeBlock{Height: 7, BlockHash: chainhash.Hash{1}.String(), Transactions: 3, Fullness: 0.5, AverageSatPerVByte: 9, CountsSatPerVByte: 1}); len(got.Blocks) != 1 || got.Blocks[0] != want {
			t.Errorf("%s: %+v, want %+v", c.name, got.Blocks, want)
		}
		first, last := got.NextAnchor[0], got.NextAnchor[len(got.NextAnchor)-1]
		if first != (rpc.FeeStep{SatPerVByte: c.atOnce, AnchorSats: c.atOnce * 153}) || last != (rpc.FeeStep{AfterSeconds: 6 * 3600, SatPerVByte: c.due, AnchorSats: c.due * 153}) {
			t.Errorf("%s: %+v, want %d at once and %d when due", c.name, got.NextAnchor, c.atOnce, c.due)
		}
	}
}
