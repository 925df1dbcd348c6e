package batcher

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"ancre/batcher/store"
	"ancre/internal/warning"
	"ancre/proof"
)

const (
	// growLeaves is how many leaves are read at once: half a MiB.
	growLeaves = 64 * store.RunSize

	// growShare is how many leaves are hashed before others may use the processor: some 40 µs of
	// work. A goroutine that yields goes behind all that can run, so submits do not wait for a time
	// slice of the scheduler, which is 10 ms.
	growShare = store.RunSize

	// sealRuns is how many runs are written at once, 256 KiB: a submit may have to wait for one
	// such write, not for a whole tree.
	sealRuns = 32
)

// seal computes the root of a closed batch and stores it, and before it the upper levels of the
// tree. What an interruption leaves of those is written again.
func (b *Batcher) seal(ctx context.Context, batch store.Batch) error {
	var runs []store.BatchRun
	root, err := b.grow(ctx, sealer, batch, func(r store.Run) error {
		if len(runs) == sealRuns {
			if err := b.apply(ctx, &store.Update{Nodes: runs}); err != nil {
				return err
			}
			runs = runs[:0]
		}
		runs = append(runs, store.BatchRun{Batch: batch.ID, Run: r})
		return nil
	})
	if err != nil {
		err = fmt.Errorf("seal batch %d: %w", batch.ID, err)
		b.warn(warning.Sealing, err.Error())
		return reason{err, warning.Sealing}
	}
	batch.State, batch.Root = store.Sealed, root
	if err := b.apply(ctx, &store.Update{Batches: []store.Batch{batch}, Nodes: runs}); err != nil {
		return fmt.Errorf("seal batch %d: %w", batch.ID, err)
	}
	b.board.Clear(warning.Sealing)
	b.log.Info("batch sealed", "batch", batch.ID, "digests", batch.Count, "root", fmt.Sprintf("%x", root))
	b.sealed.happen()
	wake(b.paying)
	return nil
}

// check recomputes the root of a sealed batch from its leaves.
func (b *Batcher) check(ctx context.Context, batch store.Batch) error {
	root, err := b.grow(ctx, payer, batch, nil)
	if err != nil {
		return fmt.Errorf("check batch %d: %w", batch.ID, err)
	}
	if root != batch.Root {
		return fmt.Errorf("batch %d: %w: its leaves have the root %x, it was sealed with %x. No money is spent on it; restore the data directory from a backup", batch.ID, store.ErrDamaged, root, batch.Root)
	}
	return nil
}

// grow computes the tree of a batch from its leaves as stored, and gives away the runs above them.
// It keeps half a MiB in memory.
func (b *Batcher) grow(ctx context.Context, loop int, batch store.Batch, keep func(store.Run) error) (root [32]byte, err error) {
	if batch.Count == 0 {
		return root, fmt.Errorf("it has no digest")
	}
	tree := store.NewTree(keep)
	for start := uint64(0); start < batch.Count; start += growLeaves {
		n := min(growLeaves, batch.Count-start)
		leaves, err := b.store.Nodes(ctx, batch.ID, 0, start, n)
		if err != nil {
			return root, err
		}
		if uint64(len(leaves)) != n {
			return root, fmt.Errorf("%d of its %d leaves from %d on are stored", len(leaves), n, start)
		}
		for share := range slices.Chunk(leaves, growShare) {
			if err := tree.Add(share); err != nil {
				return root, err
			}
			runtime.Gosched()
		}
		b.working(loop, true) // each piece is progress
	}
	return tree.Root()
}

// path appends to steps the siblings from a leaf up to the root of its batch, which is final. Of
// the part behind the waypoint, if there is one, it has seen that it leads to the root; whether the
// path leads to the waypoint, or without one to the root, is for the caller to see.
func (b *Batcher) path(ctx context.Context, steps []proof.Step, f *found) ([]proof.Step, proof.Waypoint, error) {
	var way proof.Waypoint
	if f.standing.err != nil {
		return nil, way, f.standing.err
	}
	batch, at := &f.standing.batch, f.Position.Index
	if at >= batch.Count {
		return nil, way, fmt.Errorf("batch %d: %w: it has %d digests, and one at index %d: restore the data directory from a backup", batch.ID, store.ErrDamaged, batch.Count, at)
	}
	steps = append(steps, f.path...)
	for range f.level {
		at /= store.Fanout
	}
	for level := f.level; ; level++ {
		size := store.LevelSize(batch.Count, level)
		if size == 1 {
			return steps, way, nil
		}
		if level >= remembered {
			r, err := b.rows(ctx, batch, level, at-at%store.RunSize)
			if err != nil {
				return nil, way, fmt.Errorf("read the tree of batch %d: %w", batch.ID, err)
			}
			if way == (proof.Waypoint{}) {
				way = proof.Waypoint{Steps: len(steps), Node: r[0][at%store.RunSize]}
			}
			steps = r.AppendPath(steps, at%store.RunSize)
		} else {
			start := at - at%store.Fanout
			group, err := b.nodes(ctx, batch, level, start, min(store.Fanout, size-start))
			if err != nil {
				return nil, way, fmt.Errorf("read the tree of batch %d: %w", batch.ID, err)
			}
			steps = proof.AppendPath(steps, group, int(at-start))
		}
		at /= store.Fanout
	}
}

// nodes returns n nodes of a level of a sealed batch, which has as many from start on.
func (b *Batcher) nodes(ctx context.Context, batch *store.Batch, level int, start, n uint64) ([][32]byte, error) {
	nodes, err := b.store.Nodes(ctx, batch.ID, level, start, n)
	if err == nil && uint64(len(nodes)) != n {
		err = fmt.Errorf("%w: level %d has %d nodes from %d on, not %d: restore the data directory from a backup", store.ErrDamaged, level, len(nodes), start, n)
	}
	return nodes, err
}

// remembered is the lowest level whose runs are remembered: from it on there are few, and each is
// in the way of many.
const remembered = 2

// runPlace names a run of a level of a batch's tree.
type runPlace struct {
	batch uint64
	level int
	start uint64
}

// rows returns a run of a sealed batch, of an upper level that is not the root alone. It leads to
// the root of the batch: that was seen before it was remembered.
func (b *Batcher) rows(ctx context.Context, batch *store.Batch, level int, start uint64) (*store.Rows, error) {
	place := runPlace{batch.ID, level, start}
	r, ok := b.runs.get(place)
	if ok {
		return r, nil
	}
	as := b.runs.now()
	size := store.LevelSize(batch.Count, level)
	nodes, err := b.nodes(ctx, batch, level, start, min(store.RunSize, size-start))
	if err != nil {
		return nil, err
	}
	r = store.NewRows(nodes)
	want := [][32]byte{batch.Root}
	if size > store.Fanout {
		next := start / store.Fanout
		above, err := b.rows(ctx, batch, level+1, next-next%store.RunSize)
		if err != nil {
			return nil, err
		}
		want = above[0][next%store.RunSize:]
	}
	if got := r.Above(); !slices.Equal(got, want[:min(len(got), len(want))]) {
		return nil, fmt.Errorf("%w: the nodes of level %d from %d on do not lead to the root of the batch, %x: restore the data directory from a backup", store.ErrDamaged, level, start, batch.Root)
	}
	b.runs.put(place, r, as)
	return r, nil
}
