package batcher

import (
	"math"
	"time"
)

// What an anchor pays is decided here, by pure functions of what the blocks and the peers show, of how long the oldest batch has
// waited, and of the operator's caps. There is no mempool to look into and no service to ask: an anchor begins near the
// floor, where it is mined at once whenever blocks have room, and each block that leaves it out lets it pay more, so that it
// reaches the price of the blocks themselves while there is still time before [Policy.Target].

// Market is what the blocks and the peers show of the price of block space, in sat/vB, both at least 1.
type Market struct {
	Estimate int64 // what recent blocks were paid: enough to be mined soon. Blocks cannot lie, they cost too much.
	Floor    int64 // what peers say that they ask for to pass a transaction on. Peers can lie.
}

const (
	// rampEnds is the share of Policy.Target at which an anchor pays the estimate: of six hours some 11 blocks are left then,
	// and fewer than 3 of those come once in 800 times.
	rampEnds = 0.7

	// lateMost bounds how far past its target an anchor is taken to be, and with it the multiple of the estimate that it
	// pays in the end: a clock that jumps a year must not be the end of the wallet.
	lateMost = 2.0

	// BudgetBlocks is the time of Policy.BudgetSats: the blocks of 30 days. Blocks are counted, not days, as no
	// clock that is wrong can hurry them.
	BudgetBlocks = 30 * 144
)

// Rate returns what an anchor should pay whose oldest batch was closed that long ago, in sat/vB, before MaxFeeRate.
//
// It starts at the lower of floor and estimate, and rises by equal factors in equal times to the higher of the two: a rate that only
// peers ask for is not paid at once, so that peers who lie gain nothing while an honest one is left. Past the ramp it
// goes on beyond the estimate, which is a median and not a promise.
func (p Policy) Rate(age time.Duration, m Market) int64 {
	start, end := float64(max(1, min(m.Floor, m.Estimate))), float64(max(1, m.Floor, m.Estimate))
	waited := lateMost // of the target; a target of nothing is always missed
	if p.Target > 0 {
		waited = min(max(age.Seconds()/p.Target.Seconds(), 0), lateMost)
	}
	rate := end * (1 + waited - rampEnds)
	if waited < rampEnds {
		rate = start * math.Pow(end/start, waited/rampEnds)
	}
	return int64(math.Ceil(rate - 1e-6)) // so that no rounding error costs a satoshi for each vB
}

// Raised returns what the version should pay that replaces one of rate last, in sat/vB, and whether there should be one: when the
// anchor should pay more by now, or more batches wait for it. It is asked once a block. A replacement adds at
// least 1 sat/vB over the whole transaction (BIP125, rule 4); where peers ask for a larger step, some versions together make it.
func (p Policy) Raised(last int64, age time.Duration, m Market, batchesWait bool) (rate int64, raise bool) {
	rate = max(p.Rate(age, m), last+1)
	if rate > p.MaxFeeRate {
		rate = p.MaxFeeRate
	}
	raise = rate > last && (batchesWait || p.Rate(age, m) > last)
	return rate, raise
}
