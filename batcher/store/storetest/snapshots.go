package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"ancre/batcher/store"

	"golang.org/x/sync/errgroup"
)

// RunSnapshots runs what an engine must pass that is a [store.Snapshotter] too.
func RunSnapshots(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"a snapshot of a new store is empty", testSnapshotEmpty},
		{"a snapshot shows all that is stored", testSnapshotWhole},
		{"a snapshot stays as it is while writes go on", testSnapshotStays},
		{"a snapshot has what was acknowledged and each write whole", testSnapshotConcurrent},
		{"a sequence can be left early and run again", testSnapshotLeft},
		{"a snapshot ends with its context and when it is closed", testSnapshotEnds},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// Content is all that a snapshot shows.
type Content struct {
	Key     [32]byte
	Batches []store.Batch
	Leaves  [][]store.Leaf // of each batch
	Anchors []store.Anchor
	Cursor  store.Cursor
}

// ReadSnapshot reads a snapshot to its end, with times in UTC and empty slices nil.
func ReadSnapshot(ctx context.Context, n store.Snapshot) (c Content, err error) {
	c.Key = n.Key()
	total := uint64(0)
	for b, err := range n.Batches(ctx) {
		if err != nil {
			return c, err
		}
		b.Opened, b.Closed = b.Opened.UTC(), b.Closed.UTC()
		c.Batches = append(c.Batches, b)
		var leaves []store.Leaf
		for some, err := range n.Leaves(ctx, b) {
			if err != nil {
				return c, err
			}
			leaves = append(leaves, some...)
		}
		c.Leaves = append(c.Leaves, leaves)
		total += uint64(len(leaves))
	}
	for a, err := range n.Anchors(ctx) {
		if err != nil {
			return c, err
		}
		c.Anchors = append(c.Anchors, normal(a))
	}
	if c.Cursor, err = n.Cursor(ctx); err != nil {
		return c, err
	}
	if len(c.Cursor.Points) == 0 {
		c.Cursor.Points = nil
	}
	leaves, batches, err := n.Total(ctx)
	if err == nil && (leaves != total || batches != uint64(len(c.Batches))) {
		err = errors.New("the totals of a snapshot are not those of what it shows")
	}
	return c, err
}

// snapshot takes one, which ends with the test at the latest.
func (f *fixture) snapshot() store.Snapshot {
	f.t.Helper()
	n, err := f.Store.(store.Snapshotter).Snapshot(f.t.Context())
	if err != nil {
		f.t.Fatalf("snapshot: %v", err)
	}
	return n
}

func (f *fixture) closeSnapshot(n store.Snapshot) {
	f.t.Helper()
	if err := n.Close(); err != nil {
		f.t.Errorf("close a snapshot: %v", err)
	}
}

func (f *fixture) wantSnapshot(n store.Snapshot, want Content) {
	f.t.Helper()
	got, err := ReadSnapshot(f.t.Context(), n)
	if err != nil {
		f.t.Fatalf("read a snapshot: %v", err)
	}
	for i := range want.Anchors {
		want.Anchors[i] = normal(want.Anchors[i])
	}
	wantEqual(f.t, "snapshot", got, want, func(a, b Content) bool { return reflect.DeepEqual(a, b) })
}

func testSnapshotEmpty(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.twice(func() {
		n := f.snapshot()
		defer f.closeSnapshot(n)
		f.wantSnapshot(n, Content{Key: f.Key()})
	})
}

// fill stores something of everything: a sealed batch with an anchor, a closed one that waits, and
// one that is open, of which the first is longer than a run and grew in groups that do not end
// where runs do.
func (f *fixture) fill() Content {
	f.t.Helper()
	const long = 2*256 + 77
	first := store.Batch{ID: 1, State: store.Open, Opened: Time(1)}
	for first.Count < long {
		start := first.Count
		if first.Count = min(first.Count+90, long); first.Count == long {
			first.State, first.Closed = store.Closed, Time(2)
		}
		f.append(Group([]store.Batch{first}, 1, start, first.Count))
	}
	second := store.Batch{ID: 2, State: store.Closed, Count: 3, Opened: Time(3), Closed: Time(4)}
	f.append(Group([]store.Batch{second}, 2, 0, 3))
	third := store.Batch{ID: 3, State: store.Open, Count: 300, Opened: Time(5)}
	f.append(Group([]store.Batch{third}, 3, 0, 300))

	first.State, first.Root, first.Anchor = store.Sealed, Node(1, 9, 0), 1
	settled := Mine(Anchor(1, 3), store.Final, 2)
	settled.Settled = true
	c := Content{
		Key: f.Key(), Batches: []store.Batch{first, second, third}, Anchors: []store.Anchor{settled, Anchor(2, 1)}, Cursor: *cursorAt(840_000, 3),
		Leaves: [][]store.Leaf{Leaves(1, 0, long), Leaves(2, 0, 3), Leaves(3, 0, 300)},
	}
	f.apply(&store.Update{
		Batches: []store.Batch{first}, Anchors: c.Anchors, Cursor: &c.Cursor,
		Nodes: []store.Nodes{nodesOf(1, 0, 3)},
	})
	return c
}

func testSnapshotWhole(t *testing.T, open Open) {
	f := newFixture(t, open)
	c := f.fill()
	f.twice(func() {
		n := f.snapshot()
		defer f.closeSnapshot(n)
		f.wantSnapshot(n, c)
	})
}

func testSnapshotStays(t *testing.T, open Open) {
	f := newFixture(t, open)
	c := f.fill()
	n := f.snapshot()
	defer f.closeSnapshot(n)

	// Everything that can change changes: runs that were in pieces become whole, batches close and
	// are sealed, anchors move on.
	third := store.Batch{ID: 3, State: store.Closed, Count: 600, Opened: Time(5), Closed: Time(6)}
	f.append(Group([]store.Batch{third}, 3, 300, 600))
	fourth := store.Batch{ID: 4, State: store.Open, Count: 1, Opened: Time(7)}
	f.append(Group([]store.Batch{fourth}, 4, 0, 1))
	second := c.Batches[1]
	second.State, second.Root, second.Anchor = store.Sealed, Node(2, 9, 0), 2
	f.apply(&store.Update{
		Batches: []store.Batch{second}, Anchors: []store.Anchor{Mine(Anchor(2, 2), store.Mined, 1), Anchor(3, 1)}, Cursor: cursorAt(840_003, 1),
	})
	f.wantSnapshot(n, c)

	later := f.snapshot()
	defer f.closeSnapshot(later)
	f.wantSnapshot(later, Content{
		Key: f.Key(), Batches: []store.Batch{c.Batches[0], second, third, fourth}, Cursor: *cursorAt(840_003, 1),
		Anchors: []store.Anchor{c.Anchors[0], Mine(Anchor(2, 2), store.Mined, 1), Anchor(3, 1)},
		Leaves:  [][]store.Leaf{c.Leaves[0], c.Leaves[1], Leaves(3, 0, 600), Leaves(4, 0, 1)},
	})
}

// testSnapshotConcurrent takes snapshots while groups are appended and batches sealed.
func testSnapshotConcurrent(t *testing.T, open Open) {
	f := newFixture(t, open)
	const groups = 120
	g, ctx := errgroup.WithContext(t.Context())
	var acked atomic.Uint64 // leaves
	writing := make(chan struct{})
	g.Go(func() error {
		defer close(writing)
		return f.appendGroups(ctx, groups, func(b store.Batch) error {
			acked.Add(perGroup)
			if b.State != store.Closed {
				return nil
			}
			sealed := b
			sealed.State, sealed.Root, sealed.Anchor = store.Sealed, Node(b.ID, 9, 0), b.ID
			u := &store.Update{Batches: []store.Batch{sealed}, Anchors: []store.Anchor{Anchor(b.ID, 1)}, Cursor: cursorAt(int32(b.ID), 1)}
			return f.Apply(ctx, u)
		})
	})
	g.Go(func() error {
		for {
			promised := acked.Load()
			n, err := f.Store.(store.Snapshotter).Snapshot(ctx)
			if err != nil {
				return err
			}
			c, err := ReadSnapshot(ctx, n)
			if err := errors.Join(err, n.Close()); err != nil {
				return err
			}
			if err := checkContent(c, promised); err != nil {
				return err
			}
			select {
			case <-writing:
				if promised == groups*perGroup || ctx.Err() != nil {
					return nil
				}
			default:
			}
		}
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// checkContent says what is wrong with a snapshot that was taken when so many leaves had been
// acknowledged.
func checkContent(c Content, promised uint64) error {
	var total, sealed uint64
	for i, b := range c.Batches {
		total += b.Count
		if !slices.Equal(c.Leaves[i], Leaves(b.ID, 0, b.Count)) {
			return fmt.Errorf("batch %d: %d leaves, not those that were appended", b.ID, len(c.Leaves[i]))
		}
		if b.State == store.Sealed {
			sealed++
		}
	}
	if total < promised || total%perGroup != 0 {
		return fmt.Errorf("%d leaves, want whole groups of %d and at least the %d acknowledged", total, perGroup, promised)
	}
	last := uint64(0)
	if points := c.Cursor.Points; len(points) > 0 {
		last = uint64(points[0].Height)
	}
	if uint64(len(c.Anchors)) != sealed || last != sealed {
		return fmt.Errorf("%d batches are sealed, and there are %d anchors and a cursor at %d, which came with them", sealed, len(c.Anchors), last)
	}
	return nil
}

func testSnapshotLeft(t *testing.T, open Open) {
	f := newFixture(t, open)
	c := f.fill()
	n := f.snapshot()
	ctx := t.Context()
	for b, err := range n.Batches(ctx) {
		if err != nil || b.ID != 1 {
			t.Errorf("first batch: %+v, %v", b, err)
		}
		for leaves, err := range n.Leaves(ctx, b) {
			if err != nil || len(leaves) == 0 || leaves[0] != Leaf(1, 0) {
				t.Errorf("first leaves: %d, %v", len(leaves), err)
			}
			break
		}
		break
	}
	for a, err := range n.Anchors(ctx) {
		if err != nil || a.ID != 1 {
			t.Errorf("first anchor: %+v, %v", a, err)
		}
		break
	}
	f.wantSnapshot(n, c)
	f.closeSnapshot(n)
	f.reopen() // nothing is left that closing would wait for
}

func testSnapshotEnds(t *testing.T, open Open) {
	f := newFixture(t, open)
	c := f.fill()
	n := f.snapshot()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	reads := func(ctx context.Context) map[string]error {
		errs := map[string]error{}
		for _, err := range n.Batches(ctx) {
			errs["batches"] = err
		}
		for _, err := range n.Anchors(ctx) {
			errs["anchors"] = err
		}
		for _, err := range n.Leaves(ctx, c.Batches[0]) {
			errs["leaves"] = err
		}
		_, errs["cursor"] = n.Cursor(ctx)
		_, _, errs["total"] = n.Total(ctx)
		return errs
	}
	for what, err := range reads(ended) {
		wantError(t, what+" when the context has ended", err, context.Canceled)
	}
	_, err := f.Store.(store.Snapshotter).Snapshot(ended)
	wantError(t, "snapshot", err, context.Canceled)

	f.closeSnapshot(n)
	for what, err := range reads(t.Context()) {
		if err == nil {
			t.Errorf("%s of a closed snapshot: no error", what)
		}
	}
	if n.Close() == nil {
		t.Error("closing a snapshot twice: no error")
	}
	s := f.Store.(store.Snapshotter)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.Store = nil
	if _, err := s.Snapshot(t.Context()); err == nil {
		t.Error("a snapshot of a closed store: no error")
	}
}
