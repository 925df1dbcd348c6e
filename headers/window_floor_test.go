package headers

import (
	"math/big"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"pgregory.net/rapid"
)

// period is what a retarget looks at: the times of a period's first and last block, and the
// difficulty of all.
type period struct {
	number      int32 // of the period, from the network's first block on
	first, last int64
	bits        uint32
}

// edge is the last block of a period, as btcd's rules ask for it.
type edge struct{ p *period }

var _ blockchain.HeaderCtx = edge{}

const mainnetPeriod = 2016

func (e edge) Height() int32              { return (e.p.number+1)*mainnetPeriod - 1 }
func (e edge) Bits() uint32               { return e.p.bits }
func (e edge) Timestamp() int64           { return e.p.last }
func (edge) Parent() blockchain.HeaderCtx { return nil }

func (e edge) RelativeAncestorCtx(distance int32) blockchain.HeaderCtx {
	if distance != mainnetPeriod-1 {
		return nil
	}
	first := *e.p
	first.last = e.p.first
	return edge{&first}
}

// next returns the period after p, whose first block has that time. Its difficulty is the one that
// btcd demands.
func (p *period) next(t interface{ Fatal(...any) }, begins int64) *period {
	params := &chaincfg.MainNetParams
	span := min(max(p.last-p.first, 14*24*3600/4), 14*24*3600*4)
	target := blockchain.CompactToBig(p.bits)
	target.Div(target.Mul(target, big.NewInt(span)), big.NewInt(14*24*3600))
	if target.Cmp(params.PowLimit) > 0 {
		target.Set(params.PowLimit)
	}
	q := &period{number: p.number + 1, first: begins, bits: blockchain.BigToCompact(target)}
	h := wire.BlockHeader{Version: 0x20000000, Timestamp: time.Unix(begins, 0), Bits: q.bits}
	if begins <= p.last {
		// edge has no parents, so btcd takes the time of the last block for the median of eleven.
		// Here the last block alone is late.
		h.Timestamp = time.Unix(p.last+1, 0)
	}
	if err := blockchain.CheckBlockHeaderContext(&h, edge{p}, blockchain.BFNone, rules{params}, true); err != nil {
		t.Fatal("btcd demands another difficulty: ", err)
	}
	return q
}

// floorNetwork is mainnet with a single checkpoint, and without this program's own bound.
func floorNetwork(c Checkpoint) *Network {
	n := NetworkOf(&chaincfg.MainNetParams)
	n.Fall, n.Checkpoints = 1000, []Checkpoint{c}
	return n
}

// Plays schedules of retargets against the bounds of the floor: whatever miners do, short of the
// time warp, no header is easier than the floor for its height and time. Times of blocks may be two
// hours before those of earlier ones.
func TestNoScheduleOfRetargetsFallsFaster(t *testing.T) {
	const (
		day      = 24 * 3600
		fortyDay = 40 * day
		twoHours = 2 * 3600
	)
	rapid.Check(t, func(t *rapid.T) {
		p := &period{number: 400, first: 1_700_000_000, bits: rapid.SampledFrom([]uint32{0x17053894, 0x1700ffff, 0x177fffff, 0x17008000}).Draw(t, "bits")}
		p.last = p.first + int64(rapid.IntRange(day, 70*day).Draw(t, "first period"))
		// The checkpoint is somewhere in the first period.
		known := Checkpoint{Height: int64(p.number)*mainnetPeriod + int64(rapid.IntRange(0, mainnetPeriod-1).Draw(t, "checkpoint")), Bits: p.bits}
		known.Time = rapid.Int64Range(p.first, p.last).Draw(t, "its time")
		n := floorNetwork(known)
		check := func(height, at int64, bits uint32) {
			if target := blockchain.CompactToBig(bits); target.Cmp(n.Floor(height, at)) > 0 {
				t.Fatalf("block %d, %.2f days after the checkpoint, has bits %08x, and the floor is %08x",
					height, float64(at-known.Time)/day, bits, blockchain.BigToCompact(n.Floor(height, at)))
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "periods") {
			// BIP94's rule, or honest miners: a period begins 600 seconds before the end of the
			// last at the earliest.
			q := p.next(t, p.last+int64(rapid.IntRange(-600, day).Draw(t, "gap")))
			q.last = q.first + int64(rapid.OneOf(rapid.IntRange(fortyDay-3*day, fortyDay), rapid.IntRange(3*day, 60*day)).Draw(t, "period"))
			c := CheckedWindow{Window: &Window{First: int64(q.number)*mainnetPeriod - 1}, network: n}
			c.headers = []windowHeader{{bits: p.bits, target: blockchain.CompactToBig(p.bits)}}
			if why := c.retarget(0, c.First+1, &windowHeader{bits: q.bits, target: blockchain.CompactToBig(q.bits)}); why != "" {
				t.Fatal("a retarget of btcd's breaks the rule: ", why)
			}
			height := int64(q.number) * mainnetPeriod
			check(height, q.first-twoHours, q.bits)
			check(height+mainnetPeriod-1, q.last-twoHours, q.bits)
			p = q
		}
	})
}

// The bound of time assumes that periods follow each other. Miners who lie about times could let
// the difficulty fall faster, as docs/windows.md says: the last block of each period is dated far
// ahead, and the next period begins where the one before began.
func TestTheTimeWarpFallsFaster(t *testing.T) {
	const weeks = 7 * 24 * 3600
	p := &period{number: 400, first: 1_700_000_000, last: 1_700_000_000 + 8*weeks, bits: 0x17053894}
	known := Checkpoint{Height: 400 * mainnetPeriod, Bits: p.bits, Time: p.first}
	n := floorNetwork(known)
	for range 4 {
		p = p.next(t, p.first+600)
		p.last = p.first + 8*weeks
	}
	if target := blockchain.CompactToBig(p.bits); target.Cmp(n.Floor(int64(p.number)*mainnetPeriod, p.last)) <= 0 {
		t.Error("the bound holds all the same: docs/windows.md says that it does not")
	}
}

// Real retargets of 26 days each are what the bound is about: a longer time for a halving would
// refuse true chains.
func TestTheTimeOfAHalvingIsNotLonger(t *testing.T) {
	const slowest = 3_288_000 // e times 14 days
	p := &period{number: 400, first: 1_700_000_000, bits: 0x17053894}
	p.last = p.first + slowest
	n := floorNetwork(Checkpoint{Height: 400 * mainnetPeriod, Bits: p.bits, Time: p.first})
	n.Halving = 28 * 24 * time.Hour
	broken := false
	for range 60 {
		p = p.next(t, p.last+1)
		p.last = p.first + slowest
		broken = broken || blockchain.CompactToBig(p.bits).Cmp(n.Floor(int64(p.number)*mainnetPeriod, p.first)) > 0
	}
	if !broken {
		t.Error("a halving could be given 28 days")
	}
}
