package batcher

import (
	"math"
	"time"
)

// What an anchor pays is decided here, by pure functions of what the blocks and the peers show, of
// how long the oldest batch has waited, and of the operator's caps. There is no mempool to look
// into and no service to ask: an anchor begins low, where it is mined at once whenever blocks have
// room, and each block that leaves it out lets it pay more, so that it reaches the price of the
// blocks themselves while there is still time before [Policy.Target]. The figures behind the
// constants, and what they cost in calm and in busy markets, are in docs/fees.md; `make fees` plays
// them again.

// Market is what the blocks and the peers show of the price of block space, in sat/vB, both at
// least 1.
type Market struct {
	Estimate int64 // what recent blocks were paid: enough to be mined soon. Blocks cannot lie, they cost too much.
	Floor    int64 // what peers say that they ask for to pass a transaction on. Peers can lie.
}

const (
	// lull is the share of the estimate below which an anchor does not begin: blocks of a busy time
	// leave nothing to who pays less than a third of what they collect on average, and the patience
	// is better spent above.
	lull = 0.3

	// rampEnds is the share of Policy.Target at which an anchor pays the estimate. Of six hours,
	// five blocks are left then on average. Later is cheaper by a hundredth and misses the target
	// twice as often.
	rampEnds = 0.85

	// lateMost bounds how far past its target an anchor is taken to be, and with it the multiple of
	// the estimate that it pays in the end: a clock that jumps a year must not be the end of the
	// wallet.
	lateMost = 2.0

	// rateMost is where rates end, in sat/vB, 10 bitcoin for each vB: nothing that peers say may
	// overflow.
	rateMost = 1e9

	// BudgetBlocks is the time of Policy.BudgetSats: the blocks of 30 days. Blocks are counted, not
	// days, as no clock that is wrong can hurry them.
	BudgetBlocks = 30 * 144
)

// Rate returns what an anchor should pay whose oldest batch was closed that long ago, in sat/vB,
// before MaxFeeRate.
//
// It starts at the floor, or at a lull's share of the estimate, and rises with the square of the
// time: slowly while the price may still fall, which is what the time before the target is good
// for, and at rampEnds it pays the estimate.
//
// A floor above the estimate is what only peers ask for, who can lie. Then it starts at the
// estimate and rises by equal factors to the floor, so that liars gain nothing while a single
// honest peer is left: the blocks take it at the estimate.
//
// Past the ramp it goes on beyond both: the estimate is a median and not a promise.
func (p Policy) Rate(age time.Duration, m Market) int64 {
	waited := lateMost // of the target; a target of nothing is always missed
	if p.Target > 0 {
		waited = min(max(age.Seconds()/p.Target.Seconds(), 0), lateMost)
	}
	estimate, floor := float64(max(1, m.Estimate)), float64(max(1, m.Floor))
	ramp, rate := waited/rampEnds, 0.0
	switch {
	case ramp >= 1:
		rate = max(estimate, floor) * ramp
	case floor > estimate:
		rate = estimate * math.Pow(floor/estimate, ramp)
	default:
		start := max(floor, lull*estimate)
		rate = start + (estimate-start)*ramp*ramp
	}
	return int64(math.Round(min(rate, rateMost)))
}

// Raised returns what the version should pay that replaces one of rate last, in sat/vB, and whether
// there should be one: when the anchor should pay more by now, or more batches wait for it. It is
// asked once a block. A replacement adds at least 1 sat/vB over the whole transaction (BIP125, rule 4);
// where peers ask for a larger step, some versions together make it.
func (p Policy) Raised(last int64, age time.Duration, m Market, batchesWait bool) (rate int64, raise bool) {
	want := p.Rate(age, m)
	rate = min(max(want, last+1), p.MaxFeeRate)
	return rate, rate > last && (batchesWait || want > last)
}
