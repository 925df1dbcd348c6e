package storetest

import (
	"slices"
	"testing"

	"ancre/batcher/store"
)

// with returns a batch in which something is different.
func with(b store.Batch, change func(*store.Batch)) []store.Batch {
	change(&b)
	return []store.Batch{b}
}

func count(n uint64) func(*store.Batch) { return func(b *store.Batch) { b.Count = n } }

// invalidAppends are groups that a store refuses which has a closed batch 2 of one leaf, and an
// open batch 3 of two.
func invalidAppends(closed, grown store.Batch) map[string]*store.Append {
	return map[string]*store.Append{
		"fewer positions than leaves":    {Leaves: Leaves(3, 2, 3), Batches: with(grown, count(3))},
		"a gap":                          Group(with(grown, count(3)), 3, 3, 4),
		"a place that is taken":          Group(with(grown, count(3)), 3, 1, 2),
		"a count that is wrong":          Group(with(grown, count(4)), 3, 2, 3),
		"a batch that is not named":      Group(nil, 3, 2, 3),
		"a batch that is closed":         Group(with(closed, count(2)), 2, 1, 2),
		"a batch while one is open":      Group([]store.Batch{{ID: 4, State: store.Open, Count: 1}}, 4, 0, 1),
		"a batch that leaves one out":    Group([]store.Batch{with(grown, func(b *store.Batch) { b.State = store.Closed })[0], {ID: 5, State: store.Open, Count: 1}}, 5, 0, 1),
		"a batch that is sealed at once": Group(with(grown, func(b *store.Batch) { b.Count, b.State = 3, store.Sealed }), 3, 2, 3),
		"an open batch with an anchor":   Group(with(grown, func(b *store.Batch) { b.Count, b.Anchor = 3, 1 }), 3, 2, 3),
		"an open batch with a root":      Group(with(grown, func(b *store.Batch) { b.Count, b.Root = 3, Node(3, 9, 0) }), 3, 2, 3),
		"an unknown state":               Group(with(grown, func(b *store.Batch) { b.Count, b.State = 3, "" }), 3, 2, 3),
	}
}

// invalidUpdates are changes that such a store refuses, whose batch 1 is sealed.
func invalidUpdates(sealed, closed, grown store.Batch) map[string]*store.Update {
	anchor := func(change func(*store.Anchor)) *store.Update {
		a := Anchor(1, 1)
		change(&a)
		return &store.Update{Anchors: []store.Anchor{a}}
	}
	nodes := func(batch uint64, height int, start uint64, n int) *store.Update {
		return &store.Update{Nodes: []store.Nodes{{Batch: batch, Height: height, Start: start, Hashes: make([][32]byte, n)}}}
	}
	return map[string]*store.Update{
		"to a batch that is open":        {Batches: with(grown, func(b *store.Batch) { b.State = store.Closed })},
		"to a batch that is not there":   {Batches: []store.Batch{{ID: 9, State: store.Sealed, Count: 1}}},
		"that opens a batch":             {Batches: with(closed, func(b *store.Batch) { b.State = store.Open })},
		"that changes a count":           {Batches: with(closed, count(2))},
		"that changes a root":            {Batches: with(sealed, func(b *store.Batch) { b.Root[0]++ })},
		"that unseals":                   {Batches: with(sealed, func(b *store.Batch) { b.State, b.Root = store.Closed, [32]byte{} })},
		"of a root that is not sealed":   {Batches: with(closed, func(b *store.Batch) { b.Root[0]++ })},
		"of anchor 0":                    anchor(func(a *store.Anchor) { a.ID = 0 }),
		"of no version":                  anchor(func(a *store.Anchor) { a.Versions = nil }),
		"of no transaction":              anchor(func(a *store.Anchor) { a.Versions[0].Tx = nil }),
		"of no input":                    anchor(func(a *store.Anchor) { a.Versions[0].Tx.TxIn = nil }),
		"of an unknown state":            anchor(func(a *store.Anchor) { a.State = "lost" }),
		"of a coin spent in no block":    anchor(func(a *store.Anchor) { a.State = store.Spent }),
		"of an anchor mined in no block": anchor(func(a *store.Anchor) { a.State = store.Mined }),
		"of a block before it is mined":  anchor(func(a *store.Anchor) { *a = Mine(*a, store.Broadcast, 0) }),
		"of a mined version that is not": anchor(func(a *store.Anchor) { *a = Mine(*a, store.Mined, 1) }),
		"of a cursor with a gap":         {Cursor: &store.Cursor{Points: []store.Point{{Height: 1}, {Height: 3}}}},
		"of a cursor that is too deep":   {Cursor: cursorAt(0, store.CursorDepth+1)},
		"of a cursor below 0":            {Cursor: cursorAt(0-1, 2)},
		"of nodes of height 0":           nodes(1, 0, 0, 1),
		"of nodes past the end":          nodes(1, 4, 1, 1),
		"of no node":                     nodes(1, 4, 0, 0),
		"of more nodes than there are":   nodes(1, 4, 0, 2),
		"of nodes of an open batch":      nodes(3, 4, 0, 1),
		"of nodes very far away":         nodes(1, 4, 1<<64-1, 2),
		"of nodes of no batch":           nodes(9, 4, 0, 1),
	}
}

func testInvalid(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	sealed := f.closedBatches(2)[0]
	closed := store.Batch{ID: 2, State: store.Closed, Count: 1, Opened: Time(2), Closed: Time(3)}
	sealed.State, sealed.Root = store.Sealed, Node(1, 9, 0)
	f.apply(&store.Update{Batches: []store.Batch{sealed}})
	grown := store.Batch{ID: 3, State: store.Open, Count: 2, Opened: Time(5)}
	f.append(Group([]store.Batch{grown}, 3, 0, 2))

	for name, a := range invalidAppends(closed, grown) {
		wantError(t, "append "+name, f.Append(ctx, a), store.ErrInvalid)
	}
	for name, u := range invalidUpdates(sealed, closed, grown) {
		wantError(t, "an update "+name, f.Apply(ctx, u), store.ErrInvalid)
	}
	f.twice(func() {
		f.wantBatch(sealed)
		f.wantBatch(closed)
		f.wantBatch(grown)
		f.wantCursor(&store.Cursor{})
		batches, err := f.Batches(ctx, 0, 10)
		f.wantIDs("batches", batches, err, 3, 2, 1)
		anchors, err := f.Anchors(ctx, 0, 10)
		f.wantAnchorIDs("anchors", anchors, err)
		f.wantLeaves(3, 0, 10, Leaves(3, 0, 2))
		at, err := f.Find(ctx, []store.Leaf{Leaf(3, 2), Leaf(4, 0), Leaf(2, 1)})
		if err != nil || !slices.Equal(at, make([]store.Position, 3)) {
			t.Fatalf("leaves of refused groups: %v, %v", at, err)
		}
	})
	grown.Count = 3
	f.append(Group([]store.Batch{grown}, 3, 2, 3)) // and it goes on
	f.twice(func() { f.wantBatch(grown) })
}
