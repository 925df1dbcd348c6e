package decide

import (
	"slices"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// follow walks back over blocks that left the chain, and forward over new blocks.
func (d *decision) follow() {
	points := d.s.Cursor.Points
	if n := len(points); n > 0 && d.f.Chain.Active == n && len(d.f.Chain.Next) == 0 {
		d.tip = points[n-1] // the usual case: nothing happened
		return
	}
	kept := slices.Clone(points[:d.f.Chain.Active])
	if len(kept) < len(points) {
		// If no point is kept, the fork is below all that is remembered: every block is in doubt.
		fork := points[0].Height - 1
		if len(kept) > 0 {
			fork = kept[len(kept)-1].Height
		}
		d.unmine(fork)
	}
	if next := d.f.Chain.Next; len(next) > 0 && len(kept) > 0 && next[0].Height != kept[len(kept)-1].Height+1 {
		kept = nil // blocks in which there was nothing to look for were skipped
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

// unmine returns every anchor to Broadcast whose block is above the fork.
func (d *decision) unmine(fork int32) {
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

// mark records what a transaction in a block means for the anchor whose coin it spends.
func (d *decision) mark(s Spend) {
	i := slices.IndexFunc(d.s.Anchors, func(a store.Anchor) bool { return a.ID == s.Anchor })
	if i < 0 || d.s.Anchors[i].Block != nil {
		return // it is settled, or an earlier block decided about it already
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

// versionRef names a version of an anchor, both by index: in Stored.Anchors and in its Versions.
type versionRef struct{ anchor, version int }

// madeBy returns the version that created a coin, if the coin is the change of one.
func (d *decision) madeBy(coin wire.OutPoint) (versionRef, bool) {
	if d.txids == nil {
		d.txids = make(map[chainhash.Hash]versionRef)
		for i, a := range d.s.Anchors {
			for k, v := range a.Versions {
				d.txids[v.Tx.TxHash()] = versionRef{i, k}
			}
		}
	}
	m, ok := d.txids[coin.Hash]
	return m, ok
}

// impossible reports whether a coin cannot exist on this chain: it is the change of a version of
// parent, and parent was mined in another version or is lost.
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

// markConflicted marks anchors in flight as spent if a common input cannot exist, because its own
// anchor was mined in another version or is lost. Parents come first, as they have lower IDs.
func (d *decision) markConflicted() {
	for i, a := range d.s.Anchors {
		if a.State != store.Broadcast {
			continue
		}
		for _, coin := range CommonInputs(a) {
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

// advance moves anchors to their next state if their block is deep enough.
func (d *decision) advance() {
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
		if a.State == store.Spent && depth >= d.p.AbandonDepth() {
			a.State = store.Dead
			d.do(Abandon{Anchor: a})
		}
		d.s.Anchors[i] = a
	}
}

// abandonStuck abandons anchors whose coin has been in no block for long. A reorganisation undid
// the deposit, and its sender spent the money otherwise. The coin may still come back, but a batch
// that waits for it without end would break P2.
func (d *decision) abandonStuck() {
	for i, a := range d.s.Anchors {
		if a.State != store.Broadcast || !d.stuck(a) || d.tip.Height-d.f.Missing[a.ID].Since < WatchDepth {
			continue
		}
		a.State = store.Dead
		a.Block = &store.Block{Height: d.tip.Height, Hash: d.tip.Hash} // where it was abandoned
		d.s.Anchors[i] = a
		d.do(Abandon{Anchor: a})
	}
}

// stuck reports whether a common input of an anchor is missing.
func (d *decision) stuck(a store.Anchor) bool {
	return slices.ContainsFunc(CommonInputs(a), func(coin wire.OutPoint) bool { return d.missing(a, coin) })
}

// missing reports whether a coin that an anchor spends is in no block. The change of an anchor that
// is followed does not count as missing: what happens to it depends on that anchor.
func (d *decision) missing(a store.Anchor, coin wire.OutPoint) bool {
	if !slices.Contains(d.f.Missing[a.ID].Coins, coin) {
		return false
	}
	_, own := d.madeBy(coin)
	return !own
}

// assign determines which anchor each batch belongs to. Anchors of one chain exclude each other, so
// every reorganisation may change the answer. It depends on the anchors as they are, never on their
// history.
func (d *decision) assign() {
	for i, b := range d.s.Owned {
		if owner := d.owner(b); owner != b.Anchor {
			d.s.Owned[i].Anchor = owner
			d.do(Assign{Batch: b.ID, Anchor: owner})
		}
	}
}

// owner returns the anchor that a batch belongs to. The first choice is an anchor whose mined
// version commits to the batch, then one in flight whose newest version does, then one that is lost
// but not yet abandoned. Among equals the batch stays where it is.
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
		return b.Anchor // that anchor was settled long ago
	}
	return owner
}
