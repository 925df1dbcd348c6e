// Package decide is the pure core of the batcher. [Next] returns what to do next, from what is
// stored, what was observed and what the policy allows. It performs nothing, reads no clock and
// keeps nothing: the batcher's loops, the simulation and the fee study all call the same function.
//
// The files follow the way of a decision: facts.go and policy.go are what goes in, actions.go is
// what comes out. follow.go moves anchors with the chain, pay.go decides what is paid, offer.go
// what is offered again, and fees.go at which rate. anchor.go holds what can be told of an anchor
// alone.
package decide

import (
	"slices"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// Next returns what to do next. It does not change s.
func Next(s Stored, f Facts, p Policy) []Action {
	d := decision{s: s, f: f, p: p}
	d.s.Anchors, d.s.Owned = slices.Clone(s.Anchors), slices.Clone(s.Owned)
	d.seal()
	if f.Chain != nil {
		d.follow()
		d.markConflicted()
		d.advance()
		if d.caughtUp() {
			d.abandonStuck()
		}
		d.assign()
		if d.caughtUp() {
			d.spend()
		}
	}
	return d.actions
}

// decision is one run of Next. As actions are decided, the anchors and batches in s change to what
// they are after those actions.
type decision struct {
	s       Stored
	f       Facts
	p       Policy
	tip     store.Point // the newest block followed, once follow is done
	actions []Action

	txids map[chainhash.Hash]versionRef // see madeBy
}

func (d *decision) do(a Action) { d.actions = append(d.actions, a) }

// seal closes the open batch when its time is over, and seals closed batches.
func (d *decision) seal() {
	for _, b := range d.s.Batches {
		switch {
		case b.State == store.Open && b.Count > 0 && d.f.OpenFor >= d.p.Interval:
			d.do(CloseBatch{ID: b.ID})
		case b.State == store.Closed:
			d.do(SealBatch{Batch: b})
		}
	}
}

// depth is how many blocks an anchor's block is under, its own included.
func (d *decision) depth(a store.Anchor) int32 { return d.tip.Height - a.Block.Height + 1 }

// caughtUp reports whether the newest block has been followed.
func (d *decision) caughtUp() bool {
	return d.tip.Height > 0 && d.tip == d.f.Chain.Tip
}
