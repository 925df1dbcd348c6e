package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// The prices of the markets are not drawn from a distribution: a simulated mempool makes them.
// Demand arrives as virtual bytes that bid a rate. Blocks come as a Poisson process and take the
// best bids. A full pool evicts the cheapest bids. From this follow the rate that a bid has to
// reach, what a block looks like from outside, and how long old bids waited.

const (
	hour = 3600.0
	day  = 24 * hour
	week = 7 * day

	warmUp = 2 * week // not measured: bitcoind estimates for 1008 blocks only once it has watched 2016
	study  = 4 * week

	blockEvery  = 600.0   // seconds between blocks, on average
	blockVBytes = 997_000 // the space for bids in a full block: the rest is its header, its coinbase and a miner's reserve
	emptyBlocks = 0.005   // share of blocks that hold nothing: mined on a header alone

	poolVBytes = 90e6 // a mempool of bitcoind's default 300 MB holds about as much
	topRate    = 600  // sat/vB; bids are whole numbers up to this
)

// market is a kind of fee market.
type market struct {
	name, about string

	// demand returns the demand at a time, in blocks each ten minutes, and the median of its bids
	// in sat/vB.
	demand func(t float64) (load, bid float64)
}

const (
	// bidSpread is the standard deviation of a bid's logarithm: two thirds of the bids lie between
	// half and double the median.
	bidSpread = 0.7

	// Demand and median also vary at random. Two thirds of the time each is between three quarters
	// and four thirds of the market's figure. After three hours the deviation has mostly decayed.
	wander     = 0.3
	wanderTime = 3 * hour
)

// wave is +1 at the busiest time of a period and -1 at the quietest.
func wave(t, period, busiest float64) float64 { return math.Cos(2 * math.Pi * (t - busiest) / period) }

// daily and weekly are the waves of demand. They peak in the European afternoon, when America is
// awake too, and on Wednesdays (t is 0 on a Monday, 00:00 UTC).
func daily(t float64) float64  { return wave(t, day, 15*hour) }
func weekly(t float64) float64 { return wave(t, week, 2.6*day) }

// during is 1 between two times, with a rise and a fall of an hour each, else 0.
func during(t, from, to float64) float64 {
	return min(max((t-from)/hour, 0), 1) * min(max((to-t)/hour, 0), 1)
}

var markets = []market{{
	name: "calm", about: "demand fills nine tenths of the space: queues are short, and sometimes a block has room",
	demand: func(t float64) (float64, float64) { return 0.85 + 0.1*daily(t) + 0.05*weekly(t), 4 },
}, {
	name: "waves", about: "busy by day and in mid-week, quiet by night; weekends clear the mempool",
	demand: func(t float64) (float64, float64) {
		return 0.95 + 0.2*daily(t) + 0.25*weekly(t), 12 * math.Exp(0.3*daily(t)+0.4*weekly(t))
	},
}, {
	name: "spike", about: "as calm, but every Thursday demand bids ten times the price for twelve hours",
	demand: func(t float64) (float64, float64) {
		s := during(math.Mod(t, week), 3.3*day, 3.8*day)
		return 0.85 + 0.1*daily(t) + 1.2*s, 4 * math.Exp(math.Ln10*s)
	},
}, {
	name: "congestion", about: "for three weeks demand exceeds the space, then a quiet week",
	demand: func(t float64) (float64, float64) {
		s := during(t, warmUp, warmUp+3*week)
		return 0.85 + 0.15*daily(t) + 0.3*s, 5 * math.Exp(math.Log(6)*s+0.3*daily(t))
	},
}}

// block is one block, with what is known right after it.
type block struct {
	time     float64 // seconds
	marginal float64 // sat/vB that a bid had to reach to be in it; infinite for an empty one
	average  int64   // sat/vB that it collected, as a light client sees it: 1 if it was not full
	floor    int64   // sat/vB below which peers relay nothing after it
	estimate int64   // sat/vB: the upper median of the averages of the newest blocks, as package spv forms it
	week     int64   // sat/vB: what bitcoind's estimatesmartfee 1008 would answer
}

// blocks simulates a market for the warm-up, the study, and two more days in which the last batches
// are mined.
func (m market) blocks(seed uint64) []block {
	rnd := rand.New(rand.NewPCG(seed, 1))
	p := pool{floor: 1}
	var est weekEstimator
	var moreLoad, moreBid wanderer
	var out []block
	for t := 0.0; ; {
		wait := rnd.ExpFloat64() * blockEvery
		if t += wait; t > warmUp+study+2*day {
			return out
		}
		load, bid := m.demand(t)
		load *= moreLoad.factor(rnd, wait)
		bid *= moreBid.factor(rnd, wait)
		p.bid(load*blockVBytes*wait/blockEvery, bid, len(out))
		b := block{time: t, marginal: math.Inf(1), average: 1}
		if rnd.Float64() >= emptyBlocks {
			b.marginal, b.average = p.mine(len(out), &est)
		}
		p.trim(wait, &est)
		b.floor = int64(math.Ceil(p.floor))
		b.week = max(est.estimate(&p, len(out)), b.floor)
		out = append(out, b)
		out[len(out)-1].estimate = median(out[max(0, len(out)-feeBlocks):])
	}
}

// wanderer is the logarithm of a factor that varies at random (an Ornstein-Uhlenbeck process), in
// standard deviations.
type wanderer float64

func (w *wanderer) factor(rnd *rand.Rand, wait float64) float64 {
	keep := math.Exp(-wait / wanderTime)
	*w = wanderer(keep*float64(*w) + math.Sqrt(1-keep*keep)*rnd.NormFloat64())
	return math.Exp(wander * float64(*w))
}

// feeBlocks is how many blocks the light client's estimate takes into account.
const feeBlocks = 6

func median(blocks []block) int64 {
	rates := make([]int64, len(blocks))
	for i, b := range blocks {
		rates[i] = b.average
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// pool is the mempool: the waiting bids of each rate, in the order in which they came.
type pool struct {
	waiting [topRate + 1][]cohort
	vbytes  float64
	floor   float64 // bitcoind's rolling minimum fee, at least 1
}

type cohort struct {
	since  int // the number of blocks when it came
	vbytes float64
}

// bid adds vbytes whose rates are spread around a median.
func (p *pool) bid(vbytes, median float64, height int) {
	below := 0.0
	for rate := 1; rate <= topRate; rate++ {
		// The share of a log-normal distribution between rate - ½ and rate + ½. The first and the
		// last rate get the tails.
		share := 1.0
		if rate < topRate {
			share = 0.5 * math.Erfc(-math.Log((float64(rate)+0.5)/median)/(bidSpread*math.Sqrt2))
		}
		if v := vbytes * (share - below); float64(rate) >= p.floor && v > 0 {
			p.waiting[rate] = append(p.waiting[rate], cohort{height, v})
			p.vbytes += v
		}
		below = share
		if share > 1-1e-9 {
			break
		}
	}
}

// mine fills a block with the best bids. It returns the rate that a bid had to reach, and the
// average that bids paid.
func (p *pool) mine(height int, est *weekEstimator) (marginal float64, average int64) {
	room, collected := float64(blockVBytes), 0.0
	for rate := topRate; rate >= 1; rate-- {
		queue := p.waiting[rate]
		for len(queue) > 0 && room > 0 {
			taken := min(queue[0].vbytes, room)
			room -= taken
			collected += taken * float64(rate)
			p.vbytes -= taken
			est.confirmed(rate, height-queue[0].since, taken)
			if queue[0].vbytes -= taken; queue[0].vbytes <= 0 {
				queue = queue[1:]
			}
		}
		p.waiting[rate] = queue
		if room <= 0 {
			// Of equal bids the earlier ones are taken. A new bid has to exceed a rate whose bids
			// did not all fit.
			return float64(rate + min(len(queue), 1)), int64(math.Ceil(collected / blockVBytes))
		}
	}
	if room > 0.1*blockVBytes {
		return 1, 1 // a block with room says that the floor is enough
	}
	return 1, max(1, int64(math.Ceil(collected/(blockVBytes-room))))
}

// trim evicts the cheapest bids from a pool that is too large, which raises the floor. Like
// bitcoind (CTxMemPool::GetMinFee), it halves the floor every twelve hours, or sooner if the pool
// has emptied.
func (p *pool) trim(wait float64, est *weekEstimator) {
	halfLife := 12 * hour
	if p.vbytes < poolVBytes/4 {
		halfLife /= 4
	} else if p.vbytes < poolVBytes/2 {
		halfLife /= 2
	}
	p.floor *= math.Exp2(-wait / halfLife)
	if p.floor < 1 {
		p.floor = 1
	}
	for rate := 1; p.vbytes > poolVBytes; rate++ {
		for _, c := range p.waiting[rate] {
			p.vbytes -= c.vbytes
			est.failed(rate, c.vbytes)
		}
		p.waiting[rate] = nil
		p.floor = max(p.floor, float64(rate+1))
	}
}

// weekEstimator is bitcoind's estimatesmartfee for 1008 blocks (CBlockPolicyEstimator, its long
// horizon), over rates that are whole numbers. It returns the lowest rate at which 85 % of the bids
// were mined within 1008 blocks, or 60 % within 504, whichever is higher. Observations count half
// after 1000 blocks.
type weekEstimator struct {
	mined, within504, within1008, evicted [topRate + 1]float64
}

const (
	longDecay  = 0.99931
	enoughData = 0.1 * 300 // vB a block: a tenth of a transaction
)

func (e *weekEstimator) confirmed(rate, blocks int, vbytes float64) {
	e.mined[rate] += vbytes
	if blocks < 504 {
		e.within504[rate] += vbytes
	}
	if blocks < 1008 {
		e.within1008[rate] += vbytes
	}
}

func (e *weekEstimator) failed(rate int, vbytes float64) { e.evicted[rate] += vbytes }

func (e *weekEstimator) estimate(p *pool, height int) int64 {
	for r := range e.mined {
		e.mined[r] *= longDecay
		e.within504[r] *= longDecay
		e.within1008[r] *= longDecay
		e.evicted[r] *= longDecay
	}
	return max(e.lowest(&e.within1008, p, height-1008, 0.85), e.lowest(&e.within504, p, height-504, 0.60))
}

// lowest goes down from the highest rate, in groups of rates with enough data, as long as enough of
// each group was mined in time.
func (e *weekEstimator) lowest(inTime *[topRate + 1]float64, p *pool, before int, enough float64) int64 {
	var good, all float64
	found := int64(topRate)
	for rate := topRate; rate >= 1; rate-- {
		good += inTime[rate]
		all += e.mined[rate] + e.evicted[rate]
		for _, c := range p.waiting[rate] {
			if c.since > before {
				break
			}
			all += c.vbytes
		}
		if all*(1-longDecay) < enoughData {
			continue
		}
		if good < enough*all {
			break
		}
		found, good, all = int64(rate), 0, 0
	}
	return found
}
