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
		if at, path, level, err := f.Locate(ctx, Leaf(1, 0)); err != nil || at.Batch != 0 || path != nil || level != 0 {
			t.Fatalf("locate: %v, %v up to level %d, %v, want nothing", at, path, level, err)
		}
		if at, err := f.Find(ctx, nil); err != nil || len(at) != 0 {
			t.Fatalf("find nothing: %v, %v", at, err)
		}
		_, err = f.Batch(ctx, 1)
		wantError(t, "batch", err, store.ErrNotFound)
		_, err = f.Anchor(ctx, 1)
		wantError(t, "anchor", err, store.ErrNotFound)
		_, err = f.Nodes(ctx, 1, 0, 0, 1)
		wantError(t, "nodes", err, store.ErrNotFound)
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
		f.wantLeaves(0)
	})
}

// checkLocate says what is wrong with where a leaf is found that is stored, or with the beginning
// of its path.
func (f *fixture) checkLocate(ctx context.Context, want store.Position) error {
	at, path, level, err := f.Locate(ctx, Leaf(want.Batch, want.Index))
	if err != nil || at != want {
		return fmt.Errorf("leaf %d of batch %d is located at %v, %w", want.Index, want.Batch, at, err)
	}
	return CheckPath(at, path, level)
}

// CheckPath says what is wrong with the beginning of the path of a leaf of [Leaf], up to a node of
// a level that stands above as many leaves as it can.
func CheckPath(at store.Position, path []proof.Step, level int) error {
	width := uint64(1)
	for range level {
		width *= store.Fanout
	}
	start := at.Index - at.Index%width
	if got, want := proof.RootFromPath(Leaf(at.Batch, at.Index), path), proof.Root(Leaves(at.Batch, start, start+width)); got != want {
		return fmt.Errorf("the path of leaf %d of batch %d leads to %x, the node of level %d is %x", at.Index, at.Batch, got, level, want)
	}
	return nil
}

func (f *fixture) wantLeaves(want uint64) {
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
	f.twice(func() { f.wantBatch(b); f.wantBatch(next); f.wantLeaves(4) })

	// The next one closes without a leaf.
	next.State, next.Closed = store.Closed, Time(3)
	f.append(&store.Append{Batches: []store.Batch{next}})
	f.twice(func() { f.wantBatch(next) })

	b.State, b.Root = store.Sealed, Node(1, 9, 0)
	f.apply(&store.Update{Batches: []store.Batch{b}})
	f.twice(func() {
		f.wantBatch(b)
		f.wantLeaves(4)
		f.wantNodes(1, 0, 0, 10, Leaves(1, 0, 3))
		at, err := f.Find(t.Context(), []store.Leaf{Leaf(1, 2), Leaf(7, 7), Leaf(2, 0), Leaf(1, 2), Leaf(1, 0)})
		if want := []store.Position{{Batch: 1, Index: 2}, {}, {Batch: 2}, {Batch: 1, Index: 2}, {Batch: 1}}; err != nil || !slices.Equal(at, want) {
			t.Fatalf("find: %v, %v, want %v", at, err, want)
		}
	})
}

func testNodesAtTheEnd(t *testing.T, open Open) {
	f := newFixture(t, open)
	const n = 2*store.RunSize + 10
	f.append(Group([]store.Batch{{ID: 1, State: store.Open, Count: n, Opened: Time(1)}}, 1, 0, n))
	f.twice(func() {
		for _, r := range [][2]uint64{{0, 0}, {0, 1}, {n - 1, 1}, {n - 1, 99}, {n, 1}, {n + 1000, 1}, {0, n}, {0, 1 << 62}, {255, 2}, {256, 256}, {250, 300}} {
			start, end := min(r[0], n), min(r[0]+r[1], n)
			f.wantNodes(1, 0, r[0], r[1], Leaves(1, start, end))
		}
	})
}

func testLevels(t *testing.T, open Open) {
	f := newFixture(t, open)
	const n = 300*store.Fanout + 1 // level 1: 301 nodes, level 2: 19, level 3: 2, level 4: 1
	b := store.Batch{ID: 1, State: store.Open, Opened: Time(1)}
	for start := uint64(0); start < n; start += 20_000 {
		b.Count = min(start+20_000, n)
		f.append(Group([]store.Batch{b}, 1, start, b.Count))
	}
	_, err := f.Nodes(t.Context(), 1, 1, 0, 1)
	wantError(t, "level 1 before it is applied", err, store.ErrNotFound)

	b.State, b.Closed = store.Closed, Time(2)
	f.append(&store.Append{Batches: []store.Batch{b}})
	nodes := func(level int, start, end uint64) (all [][32]byte) {
		for i := start; i < end; i++ {
			all = append(all, Node(1, level, i))
		}
		return all
	}
	run := func(level int, start, end uint64) store.BatchRun {
		return store.BatchRun{Batch: 1, Run: store.Run{Level: level, Start: start, Nodes: nodes(level, start, end)}}
	}
	f.apply(&store.Update{Nodes: []store.BatchRun{run(1, 0, 256)}})
	f.apply(&store.Update{Nodes: []store.BatchRun{run(1, 256, 280)}})
	f.twice(func() { f.wantNodes(1, 1, 200, 1000, nodes(1, 200, 280)) })

	// A run that is written again replaces the one before; an interrupted sealing repeats what it
	// did.
	f.apply(&store.Update{Nodes: []store.BatchRun{run(1, 0, 256), run(1, 256, 301), run(2, 0, 19), run(3, 0, 2)}})
	b.State, b.Root = store.Sealed, Node(1, 4, 0)
	f.apply(&store.Update{Nodes: []store.BatchRun{run(4, 0, 1)}, Batches: []store.Batch{b}})
	f.twice(func() {
		f.wantNodes(1, 1, 0, 256, nodes(1, 0, 256))
		f.wantNodes(1, 1, 255, 20, nodes(1, 255, 275))
		f.wantNodes(1, 1, 256, 256, nodes(1, 256, 301))
		f.wantNodes(1, 2, 0, 256, nodes(2, 0, 19))
		f.wantNodes(1, 3, 0, 256, nodes(3, 0, 2))
		f.wantNodes(1, 4, 0, 256, nodes(4, 0, 1))
		f.wantNodes(1, 0, 18*256, 300, Leaves(1, 18*256, n))
		f.wantNodes(1, 1, 301, 1, nil)
		f.wantBatch(b)
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
			f.wantLeaves(total)
			got, err := f.Batches(ctx, 0, 1000)
			want := slices.Clone(batches)
			slices.Reverse(want)
			if err != nil || !sameBatches(got, want) {
				rt.Fatalf("batches: %v, %v\nwant %v", got, err, want)
			}
			for _, b := range batches {
				f.wantNodes(b.ID, 0, 0, b.Count+1, Leaves(b.ID, 0, b.Count))
				if b.Count > 0 {
					start := rapid.Uint64Range(0, b.Count-1).Draw(rt, "start")
					end := rapid.Uint64Range(start, b.Count).Draw(rt, "end")
					f.wantNodes(b.ID, 0, start, end-start, Leaves(b.ID, start, end))
				}
				for i := uint64(0); i < b.Count; i += store.Fanout - 1 {
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
