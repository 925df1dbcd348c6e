package decide

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// feePolicy has no cap that would hide what Rate returns.
func feePolicy() Policy {
	p := DefaultPolicy()
	p.MaxFeeRate = math.MaxInt64
	return p
}

func TestRateInMarketsThatAPersonCanCheck(t *testing.T) {
	p := feePolicy()
	for _, c := range []struct {
		name  string
		share float64 // of the target
		m     Market
		want  int64
	}{
		{"nothing is known", 0, Market{}, 1},
		{"a calm weekend costs the floor", 0, Market{Estimate: 1, Floor: 1}, 1},
		{"also near its end", rampEnds, Market{Estimate: 1, Floor: 1}, 1},
		{"blocks are half full: the floor at first", 0, Market{Estimate: 4, Floor: 1}, 1},
		{"busy: three tenths of the estimate at first", 0, Market{Estimate: 40, Floor: 1}, 12},
		{"little more after an hour", 1. / 6, Market{Estimate: 40, Floor: 1}, 13},
		{"two thirds of the way at two thirds of the time", 0.66 * rampEnds, Market{Estimate: 40, Floor: 1}, 24},
		{"all of it before the end", rampEnds, Market{Estimate: 40, Floor: 1}, 40},
		{"more when it is due", 1, Market{Estimate: 40, Floor: 1}, 47},
		{"never without end", 1e5, Market{Estimate: 40, Floor: 1}, 94},
		{"a pool that was full asks for its floor at once", 0, Market{Estimate: 40, Floor: 25}, 25},
		{"a floor of the estimate", 0, Market{Estimate: 40, Floor: 40}, 40},
		{"a floor above the estimate is not paid at once", 0, Market{Estimate: 4, Floor: 64}, 4},
		{"but by and by", rampEnds / 2, Market{Estimate: 4, Floor: 64}, 16},
		{"and before the end", rampEnds, Market{Estimate: 4, Floor: 64}, 64},
		{"a clock before the sealing", -1e5, Market{Estimate: 40, Floor: 1}, 12},
	} {
		if got := p.Rate(time.Duration(c.share*float64(p.Target)), c.m); got != c.want {
			t.Errorf("%s: %d sat/vB, want %d", c.name, got, c.want)
		}
	}
	p.Target = 0
	if got := p.Rate(0, Market{Estimate: 40, Floor: 1}); got != 94 {
		t.Errorf("without a target everything is late: %d sat/vB, want 94", got)
	}
}

var (
	ages    = rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(t, "age")) })
	rates   = rapid.OneOf(rapid.Int64Range(1, 500), rapid.Int64())
	marketG = rapid.Custom(func(t *rapid.T) Market {
		return Market{Estimate: rates.Draw(t, "estimate"), Floor: rates.Draw(t, "floor")}
	})
)

func TestRateStaysWithinWhatTheMarketShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := feePolicy()
		p.Target = time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "target"))
		m, age := marketG.Draw(t, "market"), ages.Draw(t, "age")
		got := p.Rate(age, m)
		// No clock makes it more than the multiple of what is seen, and no peer makes it overflow.
		most := min(math.Ceil(float64(max(1, m.Estimate, m.Floor))*maxLateness/rampEnds), maxRate)
		if got < 1 || float64(got) > most {
			t.Fatalf("Rate(%s, %+v) is %d, want 1 to %.0f", age, m, got, most)
		}
	})
}

func TestRateRisesWithTimeAndWithTheMarket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := feePolicy()
		m, age := marketG.Draw(t, "market"), time.Duration(rapid.Int64Range(0, int64(2*p.Target)).Draw(t, "age"))
		later := age + time.Duration(rapid.Int64Range(0, int64(p.Target)).Draw(t, "later"))
		dearer := Market{Estimate: max(m.Estimate, rates.Draw(t, "estimate")), Floor: max(m.Floor, rates.Draw(t, "floor"))}
		got := p.Rate(age, m)
		if l := p.Rate(later, m); l < got {
			t.Fatalf("%+v: %d at %s, and %d at %s", m, got, age, l, later)
		}
		if d := p.Rate(age, dearer); d < got {
			t.Fatalf("at %s: %d in %+v, and %d in %+v", age, got, m, d, dearer)
		}
	})
}

func TestTheFirstVersionNeverPaysMoreThanTheEstimateWhateverPeersClaim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := marketG.Draw(t, "market")
		if got := feePolicy().Rate(0, m); got > max(1, m.Estimate) {
			t.Fatalf("%d sat/vB in %+v", got, m)
		}
	})
}

func TestTheEstimateIsReachedWhileThereIsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := feePolicy()
		p.Target = time.Duration(rapid.Int64Range(int64(time.Minute), int64(168*time.Hour)).Draw(t, "target"))
		m := Market{Estimate: rapid.Int64Range(1, 1e6).Draw(t, "estimate"), Floor: rapid.Int64Range(1, 1e6).Draw(t, "floor")}
		age := time.Duration(math.Ceil(rampEnds * float64(p.Target)))
		if got := p.Rate(age, m); got < max(m.Estimate, m.Floor) {
			t.Fatalf("%d sat/vB at %s of %s in %+v", got, age, p.Target, m)
		}
	})
}

// A version is raised by at least 1 sat/vB or not at all (BIP125, rule 4), never past the cap, and
// always when batches wait and there is room below the cap.
func TestRaisedKeepsTheStepAndTheCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := feePolicy()
		p.MaxFeeRate = rapid.Int64Range(1, 500).Draw(t, "cap")
		last := rapid.Int64Range(1, 600).Draw(t, "last") // above the cap: it was lowered since
		m, age := marketG.Draw(t, "market"), ages.Draw(t, "age")
		wait := rapid.Bool().Draw(t, "batches wait")
		rate, raise := p.Raised(last, age, m, wait)
		if rate > p.MaxFeeRate {
			t.Fatalf("%d sat/vB, and the cap is %d", rate, p.MaxFeeRate)
		}
		if raise && rate < last+1 {
			t.Fatalf("raised from %d to %d", last, rate)
		}
		due := wait || p.Rate(age, m) > last
		if want := due && last < p.MaxFeeRate; raise != want {
			t.Fatalf("raise is %v from %d, the cap %d, due %v", raise, last, p.MaxFeeRate, due)
		}
	})
}

// An anchor that is asked about at each block goes from where it began to the estimate, and then
// stays within the bound of Rate: asking often does not make it climb, as a step of 1 sat/vB at
// each block would.
func TestAskingOftenDoesNotClimb(t *testing.T) {
	p := DefaultPolicy()
	m := Market{Estimate: 5, Floor: 1}
	last, versions := p.Rate(0, m), 1
	for age := time.Duration(0); age < 100*p.Target; age += time.Minute {
		if rate, raise := p.Raised(last, age, m, false); raise {
			last, versions = rate, versions+1
		}
	}
	if want := p.Rate(100*p.Target, m); last != want || versions > int(want) {
		t.Errorf("%d versions up to %d sat/vB, want %d", versions, last, want)
	}
}
