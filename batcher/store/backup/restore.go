package backup

import (
	"context"
	"errors"
	"fmt"

	"ancre/batcher/store"
)

// Restore verifies a backup while it writes all of it into dst, a new store that was made with the
// key in the header. dst is good for nothing unless Restore returns nil: nothing else says that the
// file is whole.
func (b *Reader) Restore(ctx context.Context, dst store.Store) (Summary, error) {
	if dst.Key() != b.header.Key {
		return Summary{}, errors.New("the new store was made with another key than the backup has")
	}
	if n, err := dst.NumLeaves(ctx); err != nil {
		return Summary{}, err
	} else if n > 0 {
		return Summary{}, fmt.Errorf("the store to restore into holds %d leaves, expected none", n)
	}
	f := &filler{ctx: ctx, dst: dst}
	s, err := b.read(ctx, f)
	if err == nil {
		err = f.flush()
	}
	return s, err
}

const (
	// groupLeaves and groupBatches bound what is written at once: each write is synced.
	groupLeaves  = 16384
	groupBatches = 1024
	groupAnchors = 64
)

// filler writes into a new store what a reader passes on, in groups. A nil one does nothing.
type filler struct {
	ctx     context.Context
	dst     store.Store
	group   store.Append
	update  store.Update
	current *store.Batch // whose leaves are coming
	count   uint64       // of its leaves that came
}

func (f *filler) batch(b store.Batch) error {
	if f == nil {
		return nil
	}
	if err := f.endBatch(); err != nil {
		return err
	}
	f.current, f.count = &b, 0
	return nil
}

func (f *filler) leaves(some []store.Leaf) error {
	if f == nil {
		return nil
	}
	f.group.Leaves = append(f.group.Leaves, some...)
	for range some {
		f.group.At = append(f.group.At, store.Position{Batch: f.current.ID, Index: f.count})
		f.count++
	}
	if len(f.group.Leaves) < groupLeaves {
		return nil
	}
	f.put(store.Open)
	return f.flush()
}

// nodes takes what is above the leaves of a batch, all of which have come.
func (f *filler) nodes(upper []store.Nodes) error {
	if f == nil {
		return nil
	}
	f.update.Nodes = append(f.update.Nodes, upper...)
	return f.endBatch()
}

// put adds the batch to the group, as it is behind the leaves that came so far.
func (f *filler) put(state store.BatchState) {
	b := store.Batch{ID: f.current.ID, State: state, Count: f.count, Opened: f.current.Opened}
	if state == store.Closed {
		b.Closed = f.current.Closed
	}
	f.group.Batches = append(f.group.Batches, b)
}

// endBatch closes the batch, if it is not open, and has it become what it was.
func (f *filler) endBatch() error {
	if f.current == nil {
		return nil
	}
	if f.current.State == store.Open {
		f.put(store.Open)
	} else {
		f.put(store.Closed)
		f.update.Batches = append(f.update.Batches, *f.current)
	}
	f.current = nil
	if len(f.group.Batches) < groupBatches {
		return nil
	}
	return f.flush()
}

func (f *filler) anchor(a store.Anchor) error {
	if f == nil {
		return nil
	}
	if err := f.endBatch(); err != nil {
		return err
	}
	f.update.Anchors = append(f.update.Anchors, a)
	if len(f.update.Anchors) < groupAnchors {
		return nil
	}
	return f.flush()
}

func (f *filler) cursor(c store.Cursor) error {
	if f == nil {
		return nil
	}
	f.update.Cursor = &c
	return f.endBatch()
}

// flush writes what was gathered: first the leaves, because an update is only for batches that are
// stored.
func (f *filler) flush() error {
	if len(f.group.Batches) > 0 {
		if err := f.dst.Append(f.ctx, &f.group); err != nil {
			return invalid(err)
		}
	}
	if err := f.dst.Apply(f.ctx, &f.update); err != nil {
		return invalid(err)
	}
	f.group = store.Append{Leaves: f.group.Leaves[:0], At: f.group.At[:0], Batches: f.group.Batches[:0]}
	f.update = store.Update{}
	return nil
}

// invalid blames the backup for what no store takes.
func invalid(err error) error {
	if errors.Is(err, store.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrContradiction, err)
	}
	return err
}
