package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"ancre/batcher/store"
	"ancre/proof"

	"pgregory.net/rapid"
)

func testEmpty(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.twice(func() {
		ctx := t.Context()
		at, err := f.Find(ctx, Leaves(1, 0, 3))
		if err != nil || !slices.Equal(at, make([]store.Position, 3)) {
			t.Fatalf("find: %v, %v, want three zeros", at, err)
		}
		if p, err := f.Locate(ctx, Leaf(1, 0)); err != nil || p.Position.Batch != 0 || p.Near != nil {
			t.Fatalf("locate: %v, %v, want nothing", p, err)
		}
		if at, err := f.Find(ctx, nil); err != nil || len(at) != 0 {
			t.Fatalf("find nothing: %v, %v", at, err)
		}
		_, err = f.Batch(ctx, 1)
		wantError(t, "batch", err, store.ErrNotFound)
		_, err = f.Anchor(ctx, 1)
		wantError(t, "anchor", err, store.ErrNotFound)
		_, err = f.Leaves(ctx, 1, 0, 1)
		wantError(t, "leaves", err, store.ErrNotFound)
		batches, err := f.Batches(ctx, 0, 10)
		f.wantIDs("batches", batches, err)
		batches, err = f.Waiting(ctx)
		f.wantIDs("waiting", batches, err)
		anchors, err := f.Anchors(ctx, 0, 10)
		f.wantAnchorIDs("anchors", anchors, err)
		anchors, err = f.Unsettled(ctx)
		f.wantAnchorIDs("unsettled", anchors, err)
		if c, err := f.Cursor(ctx); err != nil || len(c.Points) != 0 {
			t.Fatalf("cursor: %v, %v", c, err)
		}
		f.wantNumLeaves(0)
	})
}

// checkLocate says what is wrong with where a leaf that is stored is found, or with the first steps
// of its path.
func (f *fixture) checkLocate(ctx context.Context, want store.Position) error {
	p, err := f.Locate(ctx, Leaf(want.Batch, want.Index))
	if err != nil {
		return fmt.Errorf("locate leaf %d of batch %d: %w", want.Index, want.Batch, err)
	}
	return CheckPlace(p, want)
}

// CheckPlace says what is wrong with where a leaf of [Leaf] was located, or with the first steps of
// its path. These must hold however many leaves the batch still gets: so whatever is below the node
// that they lead to must be there.
func CheckPlace(p store.Place, want store.Position) error {
	if p.Position != want {
		return fmt.Errorf("leaf %d of batch %d is located at %v", want.Index, want.Batch, p.Position)
	}
	width := uint64(1) << len(p.Near)
	start := p.Position.Index - p.Position.Index%width
	if got, want := proof.RootFromPath(Leaf(want.Batch, want.Index), p.Near), proof.Root(Leaves(p.Position.Batch, start, start+width)); got != want {
		return fmt.Errorf("the first steps from leaf %d of batch %d lead to %x, the node at height %d is %x", p.Position.Index, p.Position.Batch, got, len(p.Near), want)
	}
	return nil
}

func (f *fixture) wantNumLeaves(want uint64) {
	f.t.Helper()
	if n, err := f.NumLeaves(f.t.Context()); err != nil || n != want {
		f.t.Fatalf("leaves: %d, %v, want %d", n, err, want)
	}
}

func testKey(t *testing.T, open Open) {
	f, other := newFixture(t, open), newFixture(t, open)
	key := f.Key()
	if key == [32]byte{} || key == other.Key() {
		t.Fatalf("keys of two stores: %x and %x", key, other.Key())
	}
	f.reopen()
	if f.Key() != key {
		t.Fatalf("key became %x, was %x", f.Key(), key)
	}
}

func testLifeOfABatch(t *testing.T, open Open) {
	f := newFixture(t, open)
	b := store.Batch{ID: 1, State: store.Open, Count: 2, Opened: Time(1)}
	f.append(Group([]store.Batch{b}, 1, 0, 2))
	f.twice(func() { f.wantBatch(b) })

	// It closes with its last leaf, and the next one opens in the same group.
	b.Count, b.State, b.Closed = 3, store.Closed, Time(2)
	next := store.Batch{ID: 2, State: store.Open, Count: 1, Opened: Time(2)}
	f.append(&store.Append{
		Leaves:  []store.Leaf{Leaf(1, 2), Leaf(2, 0)},
		At:      []store.Position{{Batch: 1, Index: 2}, {Batch: 2, Index: 0}},
		Batches: []store.Batch{b, next},
	})
	f.twice(func() { f.wantBatch(b); f.wantBatch(next); f.wantNumLeaves(4) })

	// The next one closes without a leaf.
	next.State, next.Closed = store.Closed, Time(3)
	f.append(&store.Append{Batches: []store.Batch{next}})
	f.twice(func() { f.wantBatch(next) })

	b.State, b.Root = store.Sealed, Node(1, 9, 0)
	f.apply(&store.Update{Batches: []store.Batch{b}})
	f.twice(func() {
		f.wantBatch(b)
		f.wantNumLeaves(4)
		f.wantLeaves(1, 0, 10, Leaves(1, 0, 3))
		at, err := f.Find(t.Context(), []store.Leaf{Leaf(1, 2), Leaf(7, 7), Leaf(2, 0), Leaf(1, 2), Leaf(1, 0)})
		if want := []store.Position{{Batch: 1, Index: 2}, {}, {Batch: 2}, {Batch: 1, Index: 2}, {Batch: 1}}; err != nil || !slices.Equal(at, want) {
			t.Fatalf("find: %v, %v, want %v", at, err, want)
		}
	})
}

func testLeavesAtTheEnd(t *testing.T, open Open) {
	f := newFixture(t, open)
	const n = 2*256 + 10
	f.append(Group([]store.Batch{{ID: 1, State: store.Open, Count: n, Opened: Time(1)}}, 1, 0, n))
	f.twice(func() {
		for _, r := range [][2]uint64{{0, 0}, {0, 1}, {n - 1, 1}, {n - 1, 99}, {n, 1}, {n + 1000, 1}, {0, n}, {0, 1 << 62}, {255, 2}, {256, 256}, {250, 300}} {
			start, end := min(r[0], n), min(r[0]+r[1], n)
			f.wantLeaves(1, r[0], r[1], Leaves(1, start, end))
		}
	})
}

// testModel appends groups of any sizes over several batches, reopens in between, and compares with
// a model.
func testModel(t *testing.T, open Open) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixtureIn(rt, t.TempDir(), func(dir string) store.Store { return open(t, dir) })
		ctx := rt.Context()
		var batches []store.Batch // the model; the leaves are known by their places
		total := uint64(0)
		size := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(1, 300), rapid.SampledFrom([]uint64{255, 256, 257, 513}))
		for range rapid.IntRange(1, 6).Draw(rt, "groups") {
			var a store.Append
			touched := len(batches)
			if touched > 0 && batches[touched-1].State == store.Open {
				touched--
			}
			for range rapid.IntRange(1, 3).Draw(rt, "batches in the group") {
				last := len(batches) - 1
				if last < touched {
					batches = append(batches, store.Batch{ID: uint64(len(batches)) + 1, State: store.Open, Opened: Time(int64(total))})
					last++
				}
				if batches[last].State != store.Open {
					batches = append(batches, store.Batch{ID: uint64(len(batches)) + 1, State: store.Open, Opened: Time(int64(total))})
					last++
				}
				b := &batches[last]
				n := size.Draw(rt, "leaves")
				g := Group(nil, b.ID, b.Count, b.Count+n)
				a.Leaves, a.At = append(a.Leaves, g.Leaves...), append(a.At, g.At...)
				b.Count += n
				total += n
				if rapid.Bool().Draw(rt, "close") {
					b.State, b.Closed = store.Closed, Time(int64(total))
				}
			}
			a.Batches = batches[touched:]
			if err := f.Append(ctx, &a); err != nil {
				rt.Fatalf("append: %v", err)
			}
			if rapid.IntRange(0, 3).Draw(rt, "reopen") == 0 {
				f.reopen()
			}
		}
		for range 2 {
			f.wantNumLeaves(total)
			got, err := f.Batches(ctx, 0, 1000)
			want := slices.Clone(batches)
			slices.Reverse(want)
			if err != nil || !sameBatches(got, want) {
				rt.Fatalf("batches: %v, %v\nwant %v", got, err, want)
			}
			for _, b := range batches {
				f.wantLeaves(b.ID, 0, b.Count+1, Leaves(b.ID, 0, b.Count))
				if b.Count > 0 {
					start := rapid.Uint64Range(0, b.Count-1).Draw(rt, "start")
					end := rapid.Uint64Range(start, b.Count).Draw(rt, "end")
					f.wantLeaves(b.ID, start, end-start, Leaves(b.ID, start, end))
				}
				for i := uint64(0); i < b.Count; i += 15 {
					if err := f.checkLocate(ctx, store.Position{Batch: b.ID, Index: i}); err != nil {
						rt.Fatal(err)
					}
				}
				at, err := f.Find(ctx, Leaves(b.ID, 0, b.Count+1))
				if err != nil {
					rt.Fatalf("find: %v", err)
				}
				for i, p := range at {
					want := store.Position{Batch: b.ID, Index: uint64(i)}
					if uint64(i) == b.Count {
						want = store.Position{}
					}
					if p != want {
						rt.Fatalf("leaf %d of batch %d stands at %v", i, b.ID, p)
					}
				}
			}
			f.reopen()
		}
	})
}

func testLists(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	f.closedBatches(5)
	for id := uint64(1); id <= 5; id++ {
		f.apply(&store.Update{Anchors: []store.Anchor{Anchor(id, 1)}})
	}
	f.twice(func() {
		for _, c := range []struct {
			before uint64
			limit  int
			want   []uint64
		}{{0, 10, []uint64{5, 4, 3, 2, 1}}, {0, 2, []uint64{5, 4}}, {4, 2, []uint64{3, 2}}, {2, 9, []uint64{1}}, {1, 9, nil}, {99, 1, []uint64{5}}, {0, 0, nil}} {
			batches, err := f.Batches(ctx, c.before, c.limit)
			f.wantIDs("batches", batches, err, c.want...)
			anchors, err := f.Anchors(ctx, c.before, c.limit)
			f.wantAnchorIDs("anchors", anchors, err, c.want...)
		}
	})
}

func testWaiting(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	b := f.closedBatches(3)
	f.append(Group([]store.Batch{{ID: 4, State: store.Open, Count: 1, Opened: Time(9)}}, 4, 0, 1))
	waiting := func(want ...uint64) {
		t.Helper()
		f.twice(func() {
			t.Helper()
			got, err := f.Waiting(ctx)
			f.wantIDs("waiting", got, err, want...)
		})
	}
	waiting(1, 2, 3, 4)
	for i := range b {
		b[i].State, b[i].Root = store.Sealed, Node(b[i].ID, 9, 0)
	}
	f.apply(&store.Update{Batches: b})
	waiting(1, 2, 3, 4)
	b[0].Anchor, b[2].Anchor = 1, 1
	f.apply(&store.Update{Batches: []store.Batch{b[0], b[2]}})
	waiting(2, 4)
	b[0].Anchor = 0 // its anchor died
	f.apply(&store.Update{Batches: []store.Batch{b[0]}})
	waiting(1, 2, 4)
	b[0].Anchor, b[1].Anchor = 2, 2
	f.apply(&store.Update{Batches: b[:2]})
	waiting(4)
	got, err := f.Waiting(ctx)
	if err != nil || got[0].Count != 1 || got[0].State != store.Open {
		t.Fatalf("waiting: %v, %v, want the open batch whole", got, err)
	}
}
