package decide

import (
	"math"
	"time"
)

// The rate of an anchor depends on what the blocks and the peers show, on how long the oldest batch
// has waited, and on the operator's caps. A light client has no mempool, and the daemon asks no fee
// service. So an anchor begins low: while blocks have room it is mined at once. Each block that
// leaves it out lets it pay more, and it reaches the price of the blocks before [Policy.Target].
// docs/fees.md has the figures behind the constants, and what they cost in calm and in busy
// markets; `make fees` computes them again.

// Market is what the blocks and the peers show of the price of block space, in sat/vB, both at
// least 1.
type Market struct {
	Estimate int64 // what recent blocks were paid: enough to be mined soon. Blocks cannot lie, they cost too much.
	Floor    int64 // what peers say that they require to relay a transaction. Peers can lie.
}

const (
	// startShare is the share of the estimate below which an anchor does not begin. In a busy time
	// blocks take nothing that pays less than a third of their average, so the time is better spent
	// at higher rates.
	startShare = 0.3

	// rampEnds is the share of Policy.Target at which an anchor pays the estimate. With a target of
	// six hours, five blocks are left then on average. A later end is cheaper by a hundredth, and
	// misses the target twice as often.
	rampEnds = 0.85

	// maxLateness bounds the age of a batch, in targets. It thereby bounds the multiple of the
	// estimate that an anchor pays in the end: a clock that jumps a year must not empty the wallet.
	maxLateness = 2.0

	// maxRate is the highest rate, in sat/vB: 10 bitcoin for each vB. Nothing that peers say may
	// overflow.
	maxRate = 1e9
)

// Rate returns what an anchor should pay whose oldest batch was closed age ago, in sat/vB, before
// MaxFeeRate.
//
// It starts at the floor or at startShare of the estimate, whichever is higher, and reaches the
// estimate at rampEnds. It rises with the square of the time: slowly at first, while the price may
// still fall.
//
// If the floor is above the estimate, only peers ask for it, and peers can lie. Then Rate starts at
// the estimate and rises by equal factors to the floor. As the blocks take the estimate, liars gain
// nothing as long as one peer is honest.
//
// After the ramp it rises beyond both: the estimate is a median and not a promise.
func (p Policy) Rate(age time.Duration, m Market) int64 {
	waited := maxLateness // in targets; a target of 0 is always missed
	if p.Target > 0 {
		waited = min(max(age.Seconds()/p.Target.Seconds(), 0), maxLateness)
	}
	estimate, floor := float64(max(1, m.Estimate)), float64(max(1, m.Floor))
	ramp, rate := waited/rampEnds, 0.0
	switch {
	case ramp >= 1:
		rate = max(estimate, floor) * ramp
	case floor > estimate:
		rate = estimate * math.Pow(floor/estimate, ramp)
	default:
		start := max(floor, startShare*estimate)
		rate = start + (estimate-start)*ramp*ramp
	}
	return int64(math.Round(min(rate, maxRate)))
}

// Raised returns what a version should pay that replaces one of rate last, in sat/vB. raise says
// whether there should be one: because the anchor should pay more by now, or because more batches
// wait. It is called once a block. A replacement pays at least 1 sat/vB more over the whole
// transaction (BIP125, rule 4). If peers require a larger step, several versions together make it.
func (p Policy) Raised(last int64, age time.Duration, m Market, batchesWait bool) (rate int64, raise bool) {
	want := p.Rate(age, m)
	rate = min(max(want, last+1), p.MaxFeeRate)
	return rate, rate > last && (batchesWait || want > last)
}
