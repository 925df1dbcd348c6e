package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"ancre/batcher/decide"
	"ancre/internal/txsize"
)

const (
	interval = 6 * hour // between batches
	target   = 6 * hour // from a batch's sealing to its block: a batch mined later is late
	maxRate  = 100      // sat/vB, for all
	relaying = 30.0     // seconds until a version has reached the miners' templates
)

// payer is a way to pay for anchors.
type payer struct {
	name string
	// first returns what the first version of an anchor pays, whose oldest batch has waited for age
	// seconds; b is the newest block.
	first func(age float64, b block) int64
	// raised is called at each block that left the anchor out. It returns what the next version
	// pays, and whether there is one.
	raised func(last int64, age float64, b block, batchesWait bool) (int64, bool)
	// pause returns how long after a payment was mined the next may begin; nil: at once.
	pause func(*rand.Rand) float64
}

// ours is the policy of the daemon, its own code. If lie is not 0, all peers claim that floor.
func ours(name string, target time.Duration, lie int64) payer {
	p := decide.DefaultPolicy()
	p.MaxFeeRate, p.Target = maxRate, target
	market := func(b block) decide.Market {
		return decide.Market{Estimate: b.estimate, Floor: max(b.floor, lie)}
	}
	duration := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	return payer{
		name:  name,
		first: func(age float64, b block) int64 { return min(p.Rate(duration(age), market(b)), p.MaxFeeRate) },
		raised: func(last int64, age float64, b block, wait bool) (int64, bool) {
			return p.Raised(last, duration(age), market(b), wait)
		},
	}
}

// otsd pays what bitcoind estimates for 1008 blocks, and 1 sat/vB more at each block.
func otsd(name string, pause func(*rand.Rand) float64) payer {
	return payer{
		name:   name,
		first:  func(_ float64, b block) int64 { return min(b.week, maxRate) },
		raised: func(last int64, _ float64, _ block, _ bool) (int64, bool) { return last + 1, last < maxRate },
		pause:  pause,
	}
}

// estimateAtOnce pays the estimate, and more only if it rises or if batches wait.
var estimateAtOnce = payer{
	name:  "the estimate at once",
	first: func(_ float64, b block) int64 { return min(b.estimate, maxRate) },
	raised: func(last int64, _ float64, b block, wait bool) (int64, bool) {
		rate := min(max(b.estimate, last+1), maxRate)
		return rate, rate > last && (wait || b.estimate > last)
	},
}

// outcome is the result of one way of paying.
type outcome struct {
	days     float64
	sats     int64
	anchors  int
	versions int
	batches  int
	late     int       // batches mined after the target
	capped   int       // of those: the cap did not allow better
	waits    []float64 // seconds from a batch's sealing to its block, sorted
	paid     []payment // in the order of time
}

type payment struct {
	time float64
	rate int64
}

func (o *outcome) add(other outcome) {
	o.days += other.days
	o.sats += other.sats
	o.anchors += other.anchors
	o.versions += other.versions
	o.batches += other.batches
	o.late += other.late
	o.capped += other.capped
	o.waits = append(o.waits, other.waits...)
	slices.Sort(o.waits)
}

func (o *outcome) satsADay() float64          { return float64(o.sats) / o.days }
func (o *outcome) quantile(q float64) float64 { return o.waits[int(q*float64(len(o.waits)-1))] }

// inTime is the share of batches that were mined within the target. Batches that the cap kept from
// it do not count.
func (o *outcome) inTime() float64 {
	return 1 - float64(o.late-o.capped)/float64(max(1, o.batches-o.capped))
}

// version is one offer of an anchor.
type version struct {
	rate    int64
	at      float64
	batches int // how many of the waiting batches it commits to
}

// play has one payer pay for a batch every interval, in one market. A batch that is sealed while an
// anchor is in flight joins it at the next block, as with the daemon and with otsd.
func play(p payer, blocks []block, seed uint64) outcome {
	rnd := rand.New(rand.NewPCG(seed, 2))
	o := outcome{days: study / day}
	var sealed []float64 // when the batches were sealed that wait, oldest first
	var versions []version
	nextSeal := warmUp + rnd.Float64()*interval
	notBefore := 0.0
	begin := func(t float64, newest block) {
		if len(versions) == 0 && len(sealed) > 0 && t >= notBefore {
			versions = []version{{p.first(t-sealed[0], newest), t, len(sealed)}}
			o.versions++
		}
	}
	for i := 1; i < len(blocks); i++ {
		before, b := blocks[i-1], blocks[i]
		for ; nextSeal < b.time && nextSeal < warmUp+study; nextSeal += interval {
			sealed = append(sealed, nextSeal)
			begin(nextSeal, before)
		}
		if v, ok := known(versions, b.time); ok && float64(v.rate) >= max(b.marginal, float64(before.floor)) {
			o.sats += v.rate * txsize.Anchor
			o.anchors++
			o.paid = append(o.paid, payment{b.time, v.rate})
			for _, s := range sealed[:v.batches] {
				o.batches++
				o.waits = append(o.waits, b.time-s)
				if b.time-s > target {
					o.late++
					if priced(blocks, s+target*2/3, s+target) {
						o.capped++
					}
				}
			}
			sealed, versions = sealed[v.batches:], nil
			if p.pause != nil {
				notBefore = b.time + p.pause(rnd)
			}
		}
		if len(versions) > 0 {
			last := versions[len(versions)-1]
			if rate, raise := p.raised(last.rate, b.time-sealed[0], b, last.batches < len(sealed)); raise {
				versions = append(versions, version{rate, b.time, len(sealed)})
				o.versions++
			}
		}
		begin(b.time, b)
	}
	return o
}

// known returns the newest version that had reached the miners by a time.
func known(versions []version, t float64) (version, bool) {
	for _, v := range slices.Backward(versions) {
		if v.at+relaying <= t {
			return v, true
		}
	}
	return version{}, false
}

// priced reports whether every block between two times wanted more than the cap.
func priced(blocks []block, from, to float64) bool {
	for _, b := range blocks {
		if b.time > from && b.time <= to && b.marginal <= maxRate {
			return false
		}
	}
	return true
}

// hindsight is the bound that no payer can reach: one payment for each batch, each at the lowest
// rate of the blocks within its target.
func hindsight(blocks []block, seed uint64) outcome {
	o := outcome{days: study / day}
	for s := warmUp + rand.New(rand.NewPCG(seed, 2)).Float64()*interval; s < warmUp+study; s += interval {
		lowest, at := math.Inf(1), s
		for i := 1; i < len(blocks); i++ {
			if t := blocks[i].time; t > s+relaying && t <= s+target {
				if rate := max(blocks[i].marginal, float64(blocks[i-1].floor)); rate < lowest {
					lowest, at = rate, t
				}
			}
		}
		rate := int64(min(lowest, maxRate)) // the cap, if no block was found
		o.sats += rate * txsize.Anchor
		o.anchors++
		o.versions++
		o.batches++
		o.waits = append(o.waits, at-s)
		o.paid = append(o.paid, payment{at, rate})
	}
	return o
}

// studied returns the blocks of the measured time.
func studied(blocks []block) []block {
	from := slices.IndexFunc(blocks, func(b block) bool { return b.time >= warmUp })
	to := slices.IndexFunc(blocks, func(b block) bool { return b.time >= warmUp+study })
	return blocks[from:to]
}

// marginals returns the rate that a payment had to reach in each block, without empty blocks.
func marginals(blocks []block) []float64 {
	var out []float64
	for _, b := range studied(blocks) {
		if !math.IsInf(b.marginal, 0) {
			out = append(out, b.marginal)
		}
	}
	return out
}

// pauseOfOtsd is how long otsd waits after a payment was mined.
func pauseOfOtsd(rnd *rand.Rand) float64 { return 6 * hour * (1 + rnd.Float64()) }
