package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"ancre/batcher/store"
	"ancre/proof"

	"golang.org/x/sync/errgroup"
)

func testContext(t *testing.T, open Open) {
	f := newFixture(t, open)
	sealed, nodes := Seal(f.closedBatches(1)[0])
	f.apply(&store.Update{Batches: []store.Batch{sealed}, Nodes: nodes})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"append": func() error {
			return f.Append(ctx, Group([]store.Batch{{ID: 2, State: store.Open, Count: 1}}, 2, 0, 1))
		},
		"apply":  func() error { return f.Apply(ctx, &store.Update{Cursor: cursorAt(1, 1)}) },
		"find":   func() error { _, err := f.Find(ctx, Leaves(1, 0, 1)); return err },
		"locate": func() error { _, err := f.Locate(ctx, Leaf(1, 0)); return err },
		"path": func() error {
			_, _, err := f.Path(ctx, nil, &sealed, store.Place{Position: store.Position{Batch: 1}})
			return err
		},
		"leaves":    func() error { _, err := f.Leaves(ctx, 1, 0, 1); return err },
		"batch":     func() error { _, err := f.Batch(ctx, 1); return err },
		"batches":   func() error { _, err := f.Batches(ctx, 0, 1); return err },
		"waiting":   func() error { _, err := f.Waiting(ctx); return err },
		"anchors":   func() error { _, err := f.Anchors(ctx, 0, 1); return err },
		"unsettled": func() error { _, err := f.Unsettled(ctx); return err },
		"num":       func() error { _, err := f.NumLeaves(ctx); return err },
		"cursor":    func() error { _, err := f.Cursor(ctx); return err },
	} {
		wantError(t, name, call(), context.Canceled)
	}
	f.twice(func() {
		f.wantCursor(&store.Cursor{})
		f.wantNumLeaves(1)
	})
}

// What testConcurrent and testSnapshotConcurrent append: groups, each tenth of which closes its
// batch.
const (
	perGroup       = 33
	groupsPerBatch = 10
)

// appendGroups appends groups, and tells of each when it was acknowledged, with its batch as it is
// then.
func (f *fixture) appendGroups(ctx context.Context, groups int, acked func(store.Batch) error) error {
	b := store.Batch{State: store.Closed}
	for i := range groups {
		if b.State == store.Closed {
			b = store.Batch{ID: b.ID + 1, State: store.Open, Opened: Time(int64(i))}
		}
		start := b.Count
		b.Count += perGroup
		if i%groupsPerBatch == groupsPerBatch-1 {
			b.State, b.Closed = store.Closed, Time(int64(i))
		}
		if err := f.Append(ctx, Group([]store.Batch{b}, b.ID, start, b.Count)); err != nil {
			return err
		}
		if err := acked(b); err != nil {
			return err
		}
	}
	return nil
}

// testConcurrent runs one appender, one applier and readers, who must see every acknowledged write,
// whole.
func testConcurrent(t *testing.T, open Open) {
	f := newFixture(t, open)
	const groups = 150
	g, ctx := errgroup.WithContext(t.Context())
	acked := make(chan store.Batch, groups)
	closed := make(chan store.Batch, groups)
	g.Go(func() error {
		defer close(acked)
		defer close(closed)
		return f.appendGroups(ctx, groups, func(b store.Batch) error {
			acked <- b
			if b.State == store.Closed {
				closed <- b
			}
			return nil
		})
	})
	g.Go(func() error {
		height := int32(0)
		for b := range closed {
			sealed, nodes := Seal(b)
			sealed.Anchor = b.ID
			height++
			u := &store.Update{Batches: []store.Batch{sealed}, Anchors: []store.Anchor{Anchor(b.ID, 2)}, Cursor: cursorAt(height, 2), Nodes: nodes}
			if err := f.Apply(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	for range 3 {
		g.Go(func() error {
			for b := range acked {
				if err := f.checkAcknowledged(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	f.wantNumLeaves(groups * perGroup)
}

// checkAcknowledged reads while others write. b is a batch as one of its groups left it.
func (f *fixture) checkAcknowledged(ctx context.Context, b store.Batch) error {
	last := store.Position{Batch: b.ID, Index: b.Count - 1}
	at, err := f.Find(ctx, []store.Leaf{Leaf(last.Batch, last.Index)})
	if err == nil && at[0] != last {
		err = fmt.Errorf("an acknowledged leaf stands at %v, want %v", at[0], last)
	}
	if err != nil {
		return err
	}
	if err := f.checkLocate(ctx, last); err != nil {
		return err
	}
	leaves, err := f.Leaves(ctx, b.ID, 0, 1<<30)
	if err != nil {
		return err
	}
	if n := uint64(len(leaves)); n < b.Count || n%perGroup != 0 || !slices.Equal(leaves, Leaves(b.ID, 0, n)) {
		return fmt.Errorf("batch %d: %d leaves, want at least %d, in whole groups", b.ID, n, b.Count)
	}
	if _, err := f.Waiting(ctx); err != nil {
		return err
	}
	anchors, err := f.Unsettled(ctx)
	if err != nil {
		return err
	}
	for _, a := range anchors { // each came with its batch, which was sealed then
		b, err := f.Batch(ctx, a.ID)
		if err != nil {
			return err
		}
		if b.Anchor != a.ID {
			return fmt.Errorf("anchor %d is there, but its batch says %d", a.ID, b.Anchor)
		}
		sealed := Leaves(b.ID, 0, b.Count)
		if err := f.checkPath(&b, b.Count-1, sealed, proof.Path(sealed, int(b.Count-1))); err != nil {
			return fmt.Errorf("batch %d, which is sealed: %w", b.ID, err)
		}
	}
	return nil
}

func testClosed(t *testing.T, open Open) {
	f := newFixture(t, open)
	sealed, nodes := Seal(f.closedBatches(1)[0])
	f.apply(&store.Update{Batches: []store.Batch{sealed}, Nodes: nodes})
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
		"apply":  func() error { return s.Apply(ctx, &store.Update{Cursor: cursorAt(1, 1)}) },
		"find":   func() error { _, err := s.Find(ctx, Leaves(1, 0, 1)); return err },
		"locate": func() error { _, err := s.Locate(ctx, Leaf(1, 0)); return err },
		"path": func() error {
			_, _, err := s.Path(ctx, nil, &sealed, store.Place{Position: store.Position{Batch: 1}})
			return err
		},
		"leaves":    func() error { _, err := s.Leaves(ctx, 1, 0, 1); return err },
		"batch":     func() error { _, err := s.Batch(ctx, 1); return err },
		"waiting":   func() error { _, err := s.Waiting(ctx); return err },
		"unsettled": func() error { _, err := s.Unsettled(ctx); return err },
		"cursor":    func() error { _, err := s.Cursor(ctx); return err },
		"close":     s.Close,
	} {
		wantError(t, name+" of a closed store", call(), store.ErrClosed)
	}
}
