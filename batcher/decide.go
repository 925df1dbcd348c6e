package batcher

import (
	"slices"
	"time"

	"ancre/batcher/store"
)

// Policy is what the operator wants. The zero value is not useful: see [DefaultPolicy].
type Policy struct {
	Interval      time.Duration // a batch is closed this long after its first digest
	MaxDigests    uint64        // or when it holds this many
	Confirmations int32         // an anchor is final under this many blocks, its own included
	MaxFeeRate    int64         // sat/vB that a version pays at most
	MaxFeeSats    int64         // satoshi that a version pays at most
	Target        time.Duration // an anchor should be mined this long after its oldest batch was closed
	BudgetSats    int64         // satoshi that anchors pay at most within BudgetBlocks; 0: no such bound
	Rebroadcast   time.Duration // an anchor in flight is offered again after this long, and at each block
}

// WatchDepth is how many blocks past final an anchor is still watched for reorganisations.
const WatchDepth = 100

// DefaultPolicy is what an operator gets who configures nothing.
func DefaultPolicy() Policy {
	return Policy{
		Interval:      6 * time.Hour,
		MaxDigests:    1 << 20,
		Confirmations: 6,
		MaxFeeRate:    100,
		MaxFeeSats:    50_000,
		Target:        6 * time.Hour,
		Rebroadcast:   time.Minute, // a peer that was restarted has forgotten, and nobody tells; an inv has 36 bytes
	}
}

// Stored is what the store holds about work that is not over.
type Stored struct {
	Batches []store.Batch  // without an anchor, oldest first; the open one is last
	Anchors []store.Anchor // not settled, oldest first
	Cursor  store.Cursor   // how far the chain was followed
}

// Facts is what was seen of the world just before a decision.
type Facts struct {
	Now     time.Time
	OpenFor time.Duration // how long the open batch has taken digests, on the clock that went further

	// Chain is what the chain shows beyond Stored.Cursor. Nil in a step that concerns sealing alone, or while
	// the light client is not synced: nothing that depends on blocks is decided then.
	Chain *ChainFacts

	// Offered says when and at which tip this process last offered each anchor. Empty after a start, so that
	// everything in flight is offered again.
	Offered map[uint64]Offer
}

// ChainFacts compares the chain with a cursor.
type ChainFacts struct {
	Tip    store.Point
	Active int         // how many of the cursor's points, from the oldest, are still on the active chain
	Next   []BlockSeen // what follows the last of those, oldest first; it may stop before Tip
}

// BlockSeen is one block, and what it does to the coins of anchors.
type BlockSeen struct {
	store.Point
	Spends []Spend
}

// Spend is a transaction in a block that spends a coin of an anchor that is not mined.
type Spend struct {
	Anchor  uint64
	Version int         // which of its versions it is; -1: none of them
	Block   store.Block // with the branch when it is one of them
}

// Offer is when, and while which block was the newest, an anchor was last offered to the peers.
type Offer struct {
	At     time.Time
	Tip    store.Point
	Failed bool // nobody took it
}

// retryOffer is how soon an anchor is offered again that nobody took: peers come back within seconds.
const retryOffer = 30 * time.Second

// Action is one thing to do. Actions are performed in order; those that only change what is stored are written
// together, in one atomic update, before any other is begun.
type Action interface{ action() }

type (
	// CloseBatch ends the open batch: its time is over.
	CloseBatch struct{ ID uint64 }
	// SealBatch computes the root of a closed batch and stores it.
	SealBatch struct{ Batch store.Batch }

	// Follow sets how far the chain was followed.
	Follow struct{ Cursor store.Cursor }
	// Unmine returns an anchor to Broadcast: the block that it was in, or that spent its coin, left the chain.
	Unmine struct {
		Anchor store.Anchor // as it is afterwards
		Was    store.AnchorState
		Block  store.Block // the one that left
	}
	// MarkMined records the block that an anchor is in. Freed are its batches that the mined version left out.
	MarkMined struct {
		Anchor store.Anchor
		Freed  []uint64
	}
	// MarkSpent records that the anchor's coin went elsewhere.
	MarkSpent struct{ Anchor store.Anchor }
	// MarkFinal records that an anchor is deep enough.
	MarkFinal struct{ Anchor store.Anchor }
	// Settle ends the watch over an anchor that is final.
	Settle struct{ Anchor store.Anchor }
	// Bury gives an anchor up whose coin went elsewhere for good. Freed are all its batches.
	Bury struct {
		Anchor store.Anchor
		Freed  []uint64
	}

	// OfferAnchor broadcasts the newest version of an anchor, which is stored.
	OfferAnchor struct{ Anchor store.Anchor }
	// Pay builds a new anchor for batches that wait, stores it, and then offers it.
	Pay struct{ Batches []store.Batch }
)

func (CloseBatch) action()  {}
func (SealBatch) action()   {}
func (Follow) action()      {}
func (Unmine) action()      {}
func (MarkMined) action()   {}
func (MarkSpent) action()   {}
func (MarkFinal) action()   {}
func (Settle) action()      {}
func (Bury) action()        {}
func (OfferAnchor) action() {}
func (Pay) action()         {}

// Decide returns what to do next, from what is stored, what the chain shows and what the policy allows.
// It performs nothing and reads no clock: the loop, the simulator and the tests all drive it. s is not changed.
func Decide(s Stored, f Facts, p Policy) []Action {
	d := decision{s: s, f: f, p: p}
	d.s.Anchors = slices.Clone(s.Anchors)
	d.seal()
	if f.Chain != nil {
		d.follow()
		d.age()
		if d.caughtUp() {
			d.offer()
			d.pay()
		}
	}
	return d.actions
}

// decision is one run of Decide: s.Anchors and tip move on as actions are decided.
type decision struct {
	s       Stored
	f       Facts
	p       Policy
	tip     store.Point // the newest block followed, once follow is done
	actions []Action
}

func (d *decision) do(a Action) { d.actions = append(d.actions, a) }

// seal closes the open batch when its time is over, and seals what is closed.
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

// follow walks back over blocks that left the chain and forward over those that came.
func (d *decision) follow() {
	points := d.s.Cursor.Points
	kept := slices.Clone(points[:d.f.Chain.Active])
	if len(kept) < len(points) {
		// With none kept the fork lies below all that is remembered: every block there is in doubt.
		fork := points[0].Height - 1
		if len(kept) > 0 {
			fork = kept[len(kept)-1].Height
		}
		for i, a := range d.s.Anchors {
			if a.Block == nil || a.Block.Height <= fork {
				continue
			}
			was, block := a.State, *a.Block
			a.State, a.Block = store.Broadcast, nil
			d.s.Anchors[i] = a
			d.do(Unmine{Anchor: a, Was: was, Block: block})
		}
	}
	if next := d.f.Chain.Next; len(next) > 0 && len(kept) > 0 && next[0].Height != kept[len(kept)-1].Height+1 {
		kept = nil // a stretch was skipped in which nothing was looked for
	}
	for _, b := range d.f.Chain.Next {
		for _, s := range b.Spends {
			d.spend(s)
		}
		kept = append(kept, b.Point)
	}
	if over := len(kept) - store.CursorDepth; over > 0 {
		kept = kept[over:]
	}
	if len(kept) > 0 {
		d.tip = kept[len(kept)-1]
	}
	if !slices.Equal(kept, points) {
		d.do(Follow{Cursor: store.Cursor{Points: kept}})
	}
}

func (d *decision) spend(s Spend) {
	i := slices.IndexFunc(d.s.Anchors, func(a store.Anchor) bool { return a.ID == s.Anchor })
	if i < 0 || d.s.Anchors[i].Block != nil {
		return // settled, or its fate is in an earlier block already
	}
	a, block := d.s.Anchors[i], s.Block
	a.Block = &block
	if s.Version < 0 {
		a.State = store.Spent
		d.do(MarkSpent{Anchor: a})
	} else {
		a.State = store.Mined
		a.Block.Version = s.Version
		d.do(MarkMined{Anchor: a, Freed: leftOut(a)})
	}
	d.s.Anchors[i] = a
}

// age moves anchors on whose blocks have become deep enough.
func (d *decision) age() {
	for i, a := range d.s.Anchors {
		if a.Block == nil {
			continue
		}
		depth := d.tip.Height - a.Block.Height + 1
		if a.State == store.Mined && depth >= d.p.Confirmations {
			a.State = store.Final
			d.do(MarkFinal{Anchor: a})
		}
		if a.State == store.Final && depth >= d.p.Confirmations+WatchDepth {
			a.Settled = true
			d.do(Settle{Anchor: a})
		}
		if a.State == store.Spent && depth >= d.p.Confirmations {
			a.State = store.Dead
			d.do(Bury{Anchor: a, Freed: committed(a)})
		}
		d.s.Anchors[i] = a
	}
}

func (d *decision) caughtUp() bool {
	return d.tip.Height > 0 && d.tip == d.f.Chain.Tip
}

// offer repeats what is in flight: a broadcast that succeeded means nothing, and peers forget.
func (d *decision) offer() {
	for _, a := range d.s.Anchors {
		if a.State != store.Broadcast {
			continue
		}
		last, ok := d.f.Offered[a.ID]
		wait := d.p.Rebroadcast
		if last.Failed {
			wait = min(wait, retryOffer)
		}
		since := d.f.Now.Sub(last.At)
		if !ok || last.Tip != d.tip || since >= wait || since < 0 {
			d.do(OfferAnchor{Anchor: a})
		}
	}
}

// pay begins one anchor for all that is sealed, unless one is in flight: its change will pay for the next.
func (d *decision) pay() {
	for _, a := range d.s.Anchors {
		if a.State == store.Broadcast || a.State == store.Spent {
			return
		}
	}
	var ready []store.Batch
	for _, b := range d.s.Batches {
		if b.State == store.Sealed && b.Anchor == 0 {
			ready = append(ready, b)
		}
	}
	if len(ready) > 0 {
		d.do(Pay{Batches: ready})
	}
}

// committed returns every batch that some version of a commits to, oldest first.
func committed(a store.Anchor) []uint64 {
	var ids []uint64
	for _, v := range a.Versions {
		ids = append(ids, v.Batches...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// leftOut returns the batches of a mined anchor that the mined version does not commit to.
func leftOut(a store.Anchor) []uint64 {
	mined := a.Versions[a.Block.Version].Batches
	return slices.DeleteFunc(committed(a), func(id uint64) bool { return slices.Contains(mined, id) })
}
