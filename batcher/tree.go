package batcher

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"ancre/batcher/store"
	"ancre/proof"
)

const (
	// growLeaves is how many leaves are read at once: half a MiB.
	growLeaves = 64 * store.RunSize

	// growShare is how many leaves are hashed before others may use the processor: some 40 µs of work. A goroutine that yields goes
	// behind all that can run, so submits do not wait for a time slice of the scheduler, which is 10 ms.
	growShare = store.RunSize

	// sealRuns is how many runs are written at once, 256 KiB: a submit may have to wait for one such write, not for a whole tree.
	sealRuns = 32
)

// seal computes the root of a closed batch and stores it, and before it the upper levels of the tree. What an interruption leaves of those
// is written again.
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
		b.worry(worrySeal, err.Error())
		return err
	}
	batch.State, batch.Root = store.Sealed, root
	if err := b.apply(ctx, &store.Update{Batches: []store.Batch{batch}, Nodes: runs}); err != nil {
		return fmt.Errorf("seal batch %d: %w", batch.ID, err)
	}
	b.worry(worrySeal, "")
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

// grow computes the tree of a batch from its leaves as stored, and gives away the runs above them. It keeps half a MiB in memory.
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

// path appends to steps the siblings from a leaf up to the root of its batch, which is final. Whether they lead there is for the caller to see.
func (b *Batcher) path(ctx context.Context, steps []proof.Step, f found) ([]proof.Step, error) {
	if f.err != nil {
		return nil, f.err
	}
	batch, at, group := &f.batch, f.Index, f.group
	for level, size := 0, batch.Count; size > 1; level++ {
		if level >= remembered {
			r, err := b.run(ctx, batch.ID, level, at-at%store.RunSize)
			if err != nil {
				return nil, fmt.Errorf("read the tree of batch %d: %w", batch.ID, err)
			}
			if steps, err = r.appendPath(steps, at%store.RunSize); err != nil {
				return nil, fmt.Errorf("batch %d, level %d of its tree: %w", batch.ID, level, err)
			}
			at /= store.Fanout
			size = (size-1)/store.Fanout + 1
			continue
		}
		start := at - at%store.Fanout
		if level > 0 || group == nil {
			var err error
			if group, err = b.store.Nodes(ctx, batch.ID, level, start, min(store.Fanout, size-start)); err != nil {
				return nil, fmt.Errorf("read the tree of batch %d: %w", batch.ID, err)
			}
		}
		if at-start >= uint64(len(group)) {
			return nil, fmt.Errorf("batch %d: %w: level %d of its tree has %d nodes from %d on: restore the data directory from a backup", batch.ID, store.ErrDamaged, level, len(group), start)
		}
		steps = proof.AppendPath(steps, group, int(at-start))
		at /= store.Fanout
		size = (size-1)/store.Fanout + 1
	}
	return steps, nil
}

// remembered is the lowest level whose runs are remembered: from it on there are few, and each is in the way of many.
const remembered = 2

// runPlace names a run of a level of a batch's tree.
type runPlace struct {
	batch uint64
	level int
	start uint64
}

// run returns a run of a sealed batch, of an upper level.
func (b *Batcher) run(ctx context.Context, batch uint64, level int, start uint64) (*treeRun, error) {
	place := runPlace{batch, level, start}
	r, ok := b.runs.get(place)
	if !ok {
		as := b.runs.now()
		nodes, err := b.store.Nodes(ctx, batch, level, start, store.RunSize)
		if err != nil {
			return nil, err
		}
		r = newTreeRun(nodes)
		b.runs.put(place, r, as)
	}
	return r, nil
}

// treeRun is a run of nodes and what stands above them, up to the next level that is stored: as much again, and nothing of it has to be hashed
// for a path.
type treeRun [groupHeight][][32]byte

// groupHeight is how many rows of a tree are above each other in a group: Fanout is two to that power.
const groupHeight = 4

func newTreeRun(nodes [][32]byte) *treeRun {
	r := &treeRun{nodes}
	for i := 1; i < groupHeight; i++ {
		below := r[i-1]
		r[i] = make([][32]byte, 0, (len(below)+1)/2)
		for pair := range slices.Chunk(below, 2) { // or an odd last one, which is carried up
			r[i] = append(r[i], proof.Root(pair))
		}
	}
	return r
}

// appendPath appends to steps the siblings from a node up to the one of the next level.
func (r *treeRun) appendPath(steps []proof.Step, at uint64) ([]proof.Step, error) {
	if at >= uint64(len(r[0])) {
		return nil, fmt.Errorf("%w: a run has %d nodes, and ends before the one at %d: restore the data directory from a backup", store.ErrDamaged, len(r[0]), at)
	}
	for _, row := range r {
		if sibling := at ^ 1; sibling < uint64(len(row)) {
			steps = append(steps, proof.Step{Left: sibling < at, Hash: row[sibling]})
		}
		at /= 2
	}
	return steps, nil
}
