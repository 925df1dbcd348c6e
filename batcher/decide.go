package batcher

import (
	"slices"
	"time"

	"ancre/batcher/store"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Policy is what the operator wants. The zero value is not useful: see [DefaultPolicy].
type Policy struct {
	Interval      time.Duration // a batch is closed this long after its first digest
	MaxDigests    uint64        // or when it holds this many
	Confirmations int32         // an anchor is final under this many blocks, its own included
	Target        time.Duration // an anchor should be mined this long after its oldest batch was closed
	MaxFeeRate    int64         // sat/vB that a version pays at most
	MaxFeeSats    int64         // satoshi that a version pays at most
	BudgetSats    int64         // satoshi that anchors pay at most within BudgetBlocks; 0: no such bound
	Rebroadcast   time.Duration // an anchor in flight is offered again after this long, and at each block
}

// WatchDepth is how many blocks past final an anchor is still watched for reorganisations, and for
// how many blocks a coin that a reorganisation took away may come back.
const WatchDepth = 100

// leastBury is the least of buryDepth: a reorganisation of ten blocks must not bring back what was
// given up.
const leastBury = 12

// buryDepth is how many blocks deep something must be for work to be done anew because of it: twice
// as deep as final. Whatever is given up for less could return, and be paid for twice.
func (p Policy) buryDepth() int32 { return max(2*p.Confirmations, leastBury) }

// DefaultPolicy is what an operator gets who configures nothing.
func DefaultPolicy() Policy {
	return Policy{
		Interval:      6 * time.Hour,
		MaxDigests:    1 << 20,
		Confirmations: 6,
		Target:        6 * time.Hour,
		MaxFeeRate:    100,
		MaxFeeSats:    50_000,
		Rebroadcast:   time.Minute, // a peer that was restarted has forgotten, and nobody tells; an inv has 36 bytes
	}
}

// Stored is what the store holds about work that is not over.
type Stored struct {
	Batches []store.Batch  // without an anchor, oldest first; the open one is last
	Anchors []store.Anchor // not settled, oldest first
	Owned   []store.Batch  // all that versions of those commit to, by rising ID
	Cursor  store.Cursor   // how far the chain was followed

	// PaidSats is what settled anchors paid that were mined within BudgetBlocks. Needed where there
	// is a budget.
	PaidSats int64
}

// Facts is what was seen of the world just before a decision.
type Facts struct {
	Now     time.Time
	OpenFor time.Duration // how long the open batch has taken digests, on the clock that went further

	// Chain is what the chain shows beyond Stored.Cursor. Nil in a step that concerns sealing
	// alone, or while the light client is not synced: nothing that depends on blocks is decided
	// then.
	Chain *ChainFacts

	// Market is the price of block space. The zero value says that neither it nor what was paid
	// before was looked at, as nothing seemed to be due: nothing is paid then. What this very step
	// frees is paid for in the next.
	Market Market

	// Damaged are batches whose leaves do not have their root any more: nothing is paid for them.
	Damaged map[uint64]bool

	// Taken are coins that the wallet refused to spend, because a transaction spends them that is
	// mined and that this store does not know.
	Taken map[wire.OutPoint]bool

	// Missing are the coins of anchors in flight that no block of the active chain creates any
	// more.
	Missing map[uint64]Missing

	// Offered says when and at which tip this process last offered each anchor. Empty after a
	// start, so that everything in flight is offered again.
	Offered map[uint64]Offer
	Peers   uint64 // connections to peers made so far, see Chain.Peers
}

// Missing is which coins of an anchor are in no block, and since which height the common ones among
// them, those that its first version spends, were never all there.
type Missing struct {
	Coins []wire.OutPoint
	Since int32
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

	// Adopted is set where it is none of them and yet ours: a version that was made after the
	// backup that this store was restored from.
	Adopted *store.Version
}

// Offer is when, while which block was the newest, and to which peers a version of an anchor was
// last offered.
type Offer struct {
	Version int
	Since   store.Point // the newest block when this version was offered for the first time in a row
	At      time.Time
	Tip     store.Point
	Peers   uint64 // Chain.Peers just before
	Failed  bool   // nobody took it
}

// retryOffer is how soon an anchor is offered again that nobody took: peers come back within
// seconds.
const retryOffer = 30 * time.Second

// Action is one thing to do. Actions are performed in order; those that only change what is stored
// are written together, in one atomic update, before any other is begun.
type Action interface{ action() }

type (
	// CloseBatch ends the open batch: its time is over.
	CloseBatch struct{ ID uint64 }
	// SealBatch computes the root of a closed batch and stores it.
	SealBatch struct{ Batch store.Batch }

	// Follow sets how far the chain was followed.
	Follow struct{ Cursor store.Cursor }
	// Unmine returns an anchor to Broadcast: the block that it was in, or that spent its coin, left
	// the chain.
	Unmine struct {
		Anchor store.Anchor // as it is afterwards
		Was    store.AnchorState
		Block  store.Block // the one that left
	}
	// MarkMined records the block that an anchor is in.
	MarkMined struct{ Anchor store.Anchor }
	// MarkSpent records that the anchor cannot be mined as things are: its coin went elsewhere, or
	// is the change of a version that lost against another one of its own anchor.
	MarkSpent struct {
		Anchor store.Anchor
		Parent uint64 // that anchor; 0 when a transaction of somebody else took the coin
	}
	// MarkFinal records that an anchor is deep enough.
	MarkFinal struct{ Anchor store.Anchor }
	// Settle ends the watch over an anchor that is final.
	Settle struct{ Anchor store.Anchor }
	// Bury gives an anchor up that can never be mined any more.
	Bury struct{ Anchor store.Anchor }
	// Assign records which anchor commits to a batch now; 0: it waits for one again.
	Assign struct{ Batch, Anchor uint64 }

	// OfferAnchor broadcasts a version of an anchor, which is stored.
	OfferAnchor struct {
		Anchor  store.Anchor
		Version int
	}
	// Pay builds a new anchor, stores it, and then offers it.
	Pay struct{ Payment }
	// Replace builds a version that replaces the one of Anchor with index Before, commits to all
	// that this commits to and to Batches, stores it, and then offers it. Where that cannot be done
	// now and Offer is set, the version before is offered again.
	Replace struct {
		Payment
		Anchor store.Anchor
		Before int
		Offer  bool
	}
	// Hold says to a person why something is not paid, or not paid better.
	Hold struct{ warning.Warning }
)

// Payment is what a version is to be.
type Payment struct {
	Batches     []store.Batch // besides those that what it replaces commits to
	SatPerVByte int64
	MinFeeSats  int64 // what it replaces paid, own later anchors that would be evicted with it included; 0: replaces nothing
	MaxFeeSats  int64 // what the caps leave

	Coins    []wire.OutPoint // that it has to spend, see Order
	Prevouts []*wire.TxOut
	Change   []byte
}

func (CloseBatch) action()  {}
func (SealBatch) action()   {}
func (Follow) action()      {}
func (Unmine) action()      {}
func (MarkMined) action()   {}
func (MarkSpent) action()   {}
func (MarkFinal) action()   {}
func (Settle) action()      {}
func (Bury) action()        {}
func (Assign) action()      {}
func (OfferAnchor) action() {}
func (Pay) action()         {}
func (Replace) action()     {}
func (Hold) action()        {}

// Decide returns what to do next, from what is stored, what the chain shows and what the policy
// allows. It performs nothing and reads no clock: the loop, the simulator and the tests all drive
// it. s is not changed.
func Decide(s Stored, f Facts, p Policy) []Action {
	d := decision{s: s, f: f, p: p}
	d.s.Anchors, d.s.Owned = slices.Clone(s.Anchors), slices.Clone(s.Owned)
	d.seal()
	if f.Chain != nil {
		d.follow()
		d.lose()
		d.age()
		if d.caughtUp() {
			d.giveUp()
		}
		d.assign()
		if d.caughtUp() {
			d.spend()
		}
	}
	return d.actions
}

// decision is one run of Decide: what is in s moves on as actions are decided.
type decision struct {
	s       Stored
	f       Facts
	p       Policy
	tip     store.Point // the newest block followed, once follow is done
	actions []Action

	txids map[chainhash.Hash]made // see madeBy
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
	if n := len(points); n > 0 && d.f.Chain.Active == n && len(d.f.Chain.Next) == 0 {
		d.tip = points[n-1] // nothing happened, as mostly
		return
	}
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
			d.mark(s)
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

func (d *decision) mark(s Spend) {
	i := slices.IndexFunc(d.s.Anchors, func(a store.Anchor) bool { return a.ID == s.Anchor })
	if i < 0 || d.s.Anchors[i].Block != nil {
		return // settled, or its fate is in an earlier block already
	}
	a, block := d.s.Anchors[i], s.Block
	a.Block = &block
	if s.Adopted != nil {
		a.Versions, s.Version = append(slices.Clone(a.Versions), *s.Adopted), len(a.Versions)
		for _, b := range d.s.Batches {
			joined := slices.Contains(s.Adopted.Batches, b.ID)
			if joined && !slices.ContainsFunc(d.s.Owned, func(o store.Batch) bool { return o.ID == b.ID }) {
				d.s.Owned = append(d.s.Owned, b)
			}
		}
	}
	if s.Version < 0 {
		a.State = store.Spent
		d.do(MarkSpent{Anchor: a})
	} else {
		a.State = store.Mined
		a.Block.Version = s.Version
		d.do(MarkMined{Anchor: a})
	}
	d.s.Anchors[i] = a
}

// made says which version of which anchor (by its index in Stored.Anchors) a transaction is.
type made struct{ anchor, version int }

// madeBy returns the version that created a coin, if it is the change of one.
func (d *decision) madeBy(coin wire.OutPoint) (made, bool) {
	if d.txids == nil {
		d.txids = make(map[chainhash.Hash]made)
		for i, a := range d.s.Anchors {
			for k, v := range a.Versions {
				d.txids[v.Tx.TxHash()] = made{i, k}
			}
		}
	}
	m, ok := d.txids[coin.Hash]
	return m, ok
}

// impossible returns the anchor that a coin would have come from, when that was mined in another
// version or not at all: the coin does not exist as long as this block is on the active chain.
func (d *decision) impossible(coin wire.OutPoint) (parent store.Anchor, yes bool) {
	m, ok := d.madeBy(coin)
	if !ok {
		return parent, false
	}
	parent = d.s.Anchors[m.anchor]
	switch parent.State {
	case store.Mined, store.Final:
		return parent, parent.Block.Version != m.version
	case store.Spent, store.Dead:
		return parent, true
	}
	return parent, false
}

// common returns the coins that all versions of an anchor spend: those of its first one.
func common(a store.Anchor) []wire.OutPoint {
	var out []wire.OutPoint
	for _, in := range a.Versions[0].Tx.TxIn {
		out = append(out, in.PreviousOutPoint)
	}
	return out
}

// lose marks anchors in flight whose coin does not exist any more, because its own anchor was mined
// otherwise. Parents come first, as they have lower IDs.
func (d *decision) lose() {
	for i, a := range d.s.Anchors {
		if a.State != store.Broadcast {
			continue
		}
		for _, coin := range common(a) {
			parent, yes := d.impossible(coin)
			if !yes || parent.Block == nil {
				continue
			}
			block := *parent.Block
			block.Version = 0
			a.State, a.Block = store.Spent, &block
			d.s.Anchors[i] = a
			d.do(MarkSpent{Anchor: a, Parent: parent.ID})
			break
		}
	}
}

// age moves anchors on whose blocks have become deep enough.
func (d *decision) age() {
	for i, a := range d.s.Anchors {
		if a.Block == nil {
			continue
		}
		depth := d.depth(a)
		if a.State == store.Mined && depth >= d.p.Confirmations {
			a.State = store.Final
			d.do(MarkFinal{Anchor: a})
		}
		if a.State == store.Final && depth >= d.p.Confirmations+WatchDepth {
			a.Settled = true
			d.do(Settle{Anchor: a})
		}
		if a.State == store.Spent && depth >= d.p.buryDepth() {
			a.State = store.Dead
			d.do(Bury{Anchor: a})
		}
		d.s.Anchors[i] = a
	}
}

// depth is how many blocks an anchor's block is under, its own included.
func (d *decision) depth(a store.Anchor) int32 { return d.tip.Height - a.Block.Height + 1 }

func (d *decision) caughtUp() bool {
	return d.tip.Height > 0 && d.tip == d.f.Chain.Tip
}

// giveUp buries anchors whose coin has been in no block for long: a deposit that a reorganisation
// undid, and whose sender spent it otherwise. It is not certain that it never comes back, but
// waiting for ever would break P2.
func (d *decision) giveUp() {
	for i, a := range d.s.Anchors {
		if a.State != store.Broadcast || !d.stuck(a) || d.tip.Height-d.f.Missing[a.ID].Since < WatchDepth {
			continue
		}
		a.State = store.Dead
		a.Block = &store.Block{Height: d.tip.Height, Hash: d.tip.Hash} // where it was given up
		d.s.Anchors[i] = a
		d.do(Bury{Anchor: a})
	}
}

// stuck reports whether a coin that all versions of an anchor spend is missing.
func (d *decision) stuck(a store.Anchor) bool {
	return slices.ContainsFunc(common(a), func(coin wire.OutPoint) bool { return d.missing(a, coin) })
}

// missing reports whether a coin that an anchor spends is in no block. The change of an anchor that
// is followed is not missing: its fate is that of its anchor.
func (d *decision) missing(a store.Anchor, coin wire.OutPoint) bool {
	if !slices.Contains(d.f.Missing[a.ID].Coins, coin) {
		return false
	}
	_, own := d.madeBy(coin)
	return !own
}

// assign finds out anew which anchor each batch belongs to. Anchors of one chain exclude others of
// it, so the answer may change with every reorganisation; it is a function of the anchors, never of
// how they came to be what they are.
func (d *decision) assign() {
	for i, b := range d.s.Owned {
		if owner := d.owner(b); owner != b.Anchor {
			d.s.Owned[i].Anchor = owner
			d.do(Assign{Batch: b.ID, Anchor: owner})
		}
	}
}

// owner returns the anchor that a batch belongs to: the one whose mined version commits to it; else
// the one in flight whose newest version does; else one that is lost, but not for good yet. Among
// equals it stays where it is.
func (d *decision) owner(b store.Batch) uint64 {
	const none, lost, flying, mined = 0, 1, 2, 3
	var owner uint64
	best, known := none, b.Anchor == 0
	for _, a := range d.s.Anchors {
		known = known || a.ID == b.Anchor
		rank := none
		switch a.State {
		case store.Mined, store.Final:
			rank = mined
		case store.Broadcast:
			rank = flying
		case store.Spent:
			rank = lost
		}
		if rank == none || !slices.Contains(Current(a).Batches, b.ID) {
			continue
		}
		if rank > best || rank == best && a.ID == b.Anchor {
			best, owner = rank, a.ID
		}
	}
	if !known {
		return b.Anchor // settled long ago
	}
	return owner
}
