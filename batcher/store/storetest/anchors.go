package storetest

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/sync/errgroup"
)

func (f *fixture) wantAnchor(want store.Anchor) {
	f.t.Helper()
	got, err := f.Anchor(f.t.Context(), want.ID)
	if err != nil {
		f.t.Fatalf("anchor %d: %v", want.ID, err)
	}
	wantEqual(f.t, "anchor", normal(got), normal(want), func(a, b store.Anchor) bool { return reflect.DeepEqual(a, b) })
}

// throughWire returns what the wire format keeps of a transaction, which is all that counts.
func throughWire(tx *wire.MsgTx) *wire.MsgTx {
	var buf bytes.Buffer
	again := new(wire.MsgTx)
	if tx.Serialize(&buf) != nil || again.Deserialize(&buf) != nil {
		return tx
	}
	return again
}

// normal brings times to UTC and empty slices to nil, copying what it changes.
func normal(a store.Anchor) store.Anchor {
	a.Created = a.Created.UTC()
	a.Versions = slices.Clone(a.Versions)
	for i := range a.Versions {
		v := &a.Versions[i]
		v.Tx = throughWire(v.Tx)
		v.Created = v.Created.UTC()
		if len(v.Prevouts) == 0 {
			v.Prevouts = nil
		}
		if len(v.Batches) == 0 {
			v.Batches = nil
		}
	}
	if a.Block != nil {
		block := *a.Block
		block.Header.Timestamp = block.Header.Timestamp.UTC()
		if len(block.Branch) == 0 {
			block.Branch = nil
		}
		a.Block = &block
	}
	return a
}

func testAnchors(t *testing.T, open Open) {
	f := newFixture(t, open)
	mined := Mine(Anchor(2, 3), store.Mined, 1)
	final := Mine(Anchor(3, 1), store.Final, 0)
	final.Settled = true
	final.Block.Branch = nil // the only transaction of its block
	dead := Mine(Anchor(4, 2), store.Dead, 0)
	spent := Mine(Anchor(6, 2), store.Spent, 0)
	bare := Anchor(5, 1)
	bare.Versions[0].Prevouts, bare.Versions[0].Batches, bare.Versions[0].Created = nil, nil, time.Time{}
	all := []store.Anchor{Anchor(1, 1), mined, final, dead, bare, spent}
	f.apply(&store.Update{Anchors: all})
	f.twice(func() {
		for _, a := range all {
			f.wantAnchor(a)
		}
	})
	// A reorganisation takes the block away again; a version comes to it.
	again := Anchor(2, 4)
	f.apply(&store.Update{Anchors: []store.Anchor{again}})
	f.twice(func() { f.wantAnchor(again); f.wantAnchor(all[0]) })
}

func testUnsettled(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	unsettled := func(want ...uint64) {
		t.Helper()
		f.twice(func() {
			t.Helper()
			got, err := f.Unsettled(ctx)
			f.wantAnchorIDs("unsettled", got, err, want...)
		})
	}
	f.apply(&store.Update{Anchors: []store.Anchor{Anchor(1, 1), Anchor(2, 1), Anchor(3, 1)}})
	unsettled(1, 2, 3)
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(Anchor(1, 1), store.Final, 0)}})
	unsettled(1, 2, 3)
	settled := Mine(Anchor(1, 1), store.Final, 0)
	settled.Settled = true
	f.apply(&store.Update{Anchors: []store.Anchor{settled, Mine(Anchor(2, 1), store.Spent, 0)}})
	unsettled(2, 3)
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(Anchor(2, 1), store.Dead, 0)}})
	unsettled(3)
	f.apply(&store.Update{Anchors: []store.Anchor{Anchor(2, 2)}}) // followed again
	unsettled(2, 3)
}

func cursorAt(first int32, n int) *store.Cursor {
	c := new(store.Cursor)
	for i := range n {
		c.Points = append(c.Points, store.Point{Height: first + int32(i), Hash: chainhash.Hash(Node(0, 205, uint64(first)+uint64(i)))})
	}
	return c
}

func (f *fixture) wantCursor(want *store.Cursor) {
	f.t.Helper()
	got, err := f.Cursor(f.t.Context())
	if err != nil {
		f.t.Fatalf("cursor: %v", err)
	}
	wantEqual(f.t, "cursor", got.Points, want.Points, slices.Equal)
}

func testCursor(t *testing.T, open Open) {
	f := newFixture(t, open)
	for _, c := range []*store.Cursor{cursorAt(0, 1), cursorAt(840_000, store.CursorDepth), cursorAt(7, 3), {}} {
		f.apply(&store.Update{Cursor: c})
		f.apply(&store.Update{}) // absent parts stay as they are
		f.twice(func() { f.wantCursor(c) })
	}
}

func testUpdateIsOne(t *testing.T, open Open) {
	f := newFixture(t, open)
	b := f.closedBatches(1)[0]
	b.State, b.Root, b.Anchor = store.Sealed, Node(1, 9, 0), 1
	a, c := Anchor(1, 1), cursorAt(100, 2)
	run := store.BatchRun{Batch: 1, Run: store.Run{Level: 1, Nodes: [][32]byte{Node(1, 1, 0)}}}

	// The last part is wrong: none of the others may be there.
	wrong := &store.Update{Batches: []store.Batch{b}, Anchors: []store.Anchor{a}, Cursor: c, Nodes: []store.BatchRun{run, {Batch: 9, Run: run.Run}}}
	wantError(t, "apply", f.Apply(t.Context(), wrong), store.ErrInvalid)
	f.twice(func() {
		f.wantCursor(&store.Cursor{})
		_, err := f.Anchor(t.Context(), 1)
		wantError(t, "anchor", err, store.ErrNotFound)
		_, err = f.Nodes(t.Context(), 1, 1, 0, 1)
		wantError(t, "nodes", err, store.ErrNotFound)
	})
	f.apply(&store.Update{Batches: []store.Batch{b}, Anchors: []store.Anchor{a}, Cursor: c, Nodes: []store.BatchRun{run}})
	f.twice(func() {
		f.wantBatch(b)
		f.wantAnchor(a)
		f.wantCursor(c)
		f.wantNodes(1, 1, 0, 1, run.Nodes)
	})
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

	with := func(b store.Batch, change func(*store.Batch)) []store.Batch {
		change(&b)
		return []store.Batch{b}
	}
	count := func(n uint64) func(*store.Batch) { return func(b *store.Batch) { b.Count = n } }
	for name, a := range map[string]*store.Append{
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
	} {
		wantError(t, "append "+name, f.Append(ctx, a), store.ErrInvalid)
	}

	anchor := func(change func(*store.Anchor)) *store.Update {
		a := Anchor(1, 1)
		change(&a)
		return &store.Update{Anchors: []store.Anchor{a}}
	}
	run := func(batch uint64, level int, start uint64, n int) *store.Update {
		return &store.Update{Nodes: []store.BatchRun{{Batch: batch, Run: store.Run{Level: level, Start: start, Nodes: make([][32]byte, n)}}}}
	}
	for name, u := range map[string]*store.Update{
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
		"of level 0":                     run(1, 0, 0, 1),
		"of a run in the middle":         run(1, 1, 1, 1),
		"of an empty run":                run(1, 1, 0, 0),
		"of more nodes than there are":   run(1, 1, 0, 2),
		"of nodes of an open batch":      run(3, 1, 0, 1),
		"of nodes of no batch":           run(9, 1, 0, 1),
	} {
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
		f.wantNodes(3, 0, 0, 10, Leaves(3, 0, 2))
		at, err := f.Find(ctx, []store.Leaf{Leaf(3, 2), Leaf(4, 0), Leaf(2, 1)})
		if err != nil || !slices.Equal(at, make([]store.Position, 3)) {
			t.Fatalf("leaves of refused groups: %v, %v", at, err)
		}
	})
	grown.Count = 3
	f.append(Group([]store.Batch{grown}, 3, 2, 3)) // and it goes on
	f.twice(func() { f.wantBatch(grown) })
}

func testContext(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.closedBatches(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"append": func() error {
			return f.Append(ctx, Group([]store.Batch{{ID: 2, State: store.Open, Count: 1}}, 2, 0, 1))
		},
		"apply":     func() error { return f.Apply(ctx, &store.Update{Cursor: cursorAt(1, 1)}) },
		"find":      func() error { _, err := f.Find(ctx, Leaves(1, 0, 1)); return err },
		"locate":    func() error { _, _, _, err := f.Locate(ctx, Leaf(1, 0)); return err },
		"nodes":     func() error { _, err := f.Nodes(ctx, 1, 0, 0, 1); return err },
		"batch":     func() error { _, err := f.Batch(ctx, 1); return err },
		"batches":   func() error { _, err := f.Batches(ctx, 0, 1); return err },
		"waiting":   func() error { _, err := f.Waiting(ctx); return err },
		"anchors":   func() error { _, err := f.Anchors(ctx, 0, 1); return err },
		"unsettled": func() error { _, err := f.Unsettled(ctx); return err },
		"leaves":    func() error { _, err := f.NumLeaves(ctx); return err },
		"cursor":    func() error { _, err := f.Cursor(ctx); return err },
	} {
		wantError(t, name, call(), context.Canceled)
	}
	f.twice(func() {
		f.wantCursor(&store.Cursor{})
		f.wantLeaves(1)
	})
}

// testConcurrent runs one appender, one applier and readers, who must see every acknowledged write,
// whole.
func testConcurrent(t *testing.T, open Open) {
	f := newFixture(t, open)
	const groups, perGroup = 150, 33
	g, ctx := errgroup.WithContext(t.Context())
	acked := make(chan uint64, groups)
	closed := make(chan store.Batch, groups)
	g.Go(func() error {
		defer close(acked)
		defer close(closed)
		b := store.Batch{State: store.Closed}
		for i := range uint64(groups) {
			if b.State == store.Closed {
				b = store.Batch{ID: b.ID + 1, State: store.Open, Opened: Time(int64(i))}
			}
			start := b.Count
			b.Count += perGroup
			if i%10 == 9 {
				b.State, b.Closed = store.Closed, Time(int64(i))
			}
			if err := f.Append(ctx, Group([]store.Batch{b}, b.ID, start, b.Count)); err != nil {
				return err
			}
			acked <- b.ID<<32 | b.Count
			if b.State == store.Closed {
				closed <- b
			}
		}
		return nil
	})
	g.Go(func() error {
		height := int32(0)
		for b := range closed {
			b.State, b.Root, b.Anchor = store.Sealed, Node(b.ID, 9, 0), b.ID
			height++
			u := &store.Update{
				Batches: []store.Batch{b}, Anchors: []store.Anchor{Anchor(b.ID, 2)}, Cursor: cursorAt(height, 2),
				Nodes: []store.BatchRun{{Batch: b.ID, Run: store.Run{Level: 1, Nodes: [][32]byte{Node(b.ID, 1, 0), Node(b.ID, 1, 1)}}}},
			}
			if err := f.Apply(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	for range 3 {
		g.Go(func() error {
			for ack := range acked {
				id, count := ack>>32, ack&0xffffffff
				at, err := f.Find(ctx, []store.Leaf{Leaf(id, count-1)})
				if err != nil {
					return err
				}
				if want := (store.Position{Batch: id, Index: count - 1}); at[0] != want {
					t.Errorf("acknowledged leaf stands at %v, want %v", at[0], want)
				}
				if err := f.checkLocate(ctx, store.Position{Batch: id, Index: count - 1}); err != nil {
					return err
				}
				nodes, err := f.Nodes(ctx, id, 0, 0, 1<<30)
				if err != nil {
					return err
				}
				if uint64(len(nodes)) < count || len(nodes)%perGroup != 0 || !slices.Equal(nodes, Leaves(id, 0, uint64(len(nodes)))) {
					t.Errorf("batch %d: %d leaves, want at least %d, in whole groups", id, len(nodes), count)
				}
				if _, err := f.Waiting(ctx); err != nil {
					return err
				}
				anchors, err := f.Unsettled(ctx)
				if err != nil {
					return err
				}
				for _, a := range anchors { // each came with its batch
					b, err := f.Batch(ctx, a.ID)
					if err != nil {
						return err
					}
					if b.Anchor != a.ID {
						t.Errorf("anchor %d is there, but its batch says %d", a.ID, b.Anchor)
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	f.wantLeaves(groups * perGroup)
}

func testClosed(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.closedBatches(1)
	ctx := t.Context()
	s := f.Store
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f.Store = nil
	for name, call := range map[string]func() error{
		"append": func() error {
			return s.Append(ctx, Group([]store.Batch{{ID: 2, State: store.Open, Count: 1}}, 2, 0, 1))
		},
		"apply":     func() error { return s.Apply(ctx, &store.Update{Cursor: cursorAt(1, 1)}) },
		"find":      func() error { _, err := s.Find(ctx, Leaves(1, 0, 1)); return err },
		"locate":    func() error { _, _, _, err := s.Locate(ctx, Leaf(1, 0)); return err },
		"nodes":     func() error { _, err := s.Nodes(ctx, 1, 0, 0, 1); return err },
		"batch":     func() error { _, err := s.Batch(ctx, 1); return err },
		"waiting":   func() error { _, err := s.Waiting(ctx); return err },
		"unsettled": func() error { _, err := s.Unsettled(ctx); return err },
		"cursor":    func() error { _, err := s.Cursor(ctx); return err },
		"close":     s.Close,
	} {
		if err := call(); err == nil {
			t.Errorf("%s of a closed store: no error", name)
		}
	}
}
