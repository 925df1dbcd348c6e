package batcher

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"ancre/batcher/store"
	"ancre/batcher/store/tree"
	"ancre/internal/warning"
)

const (
	// growLeaves is how many leaves are read at once: half a MiB.
	leavesAtOnce = 16 << 10

	// growShare is how many leaves are hashed before others may use the processor: some 40 µs of
	// work. A goroutine that yields goes behind all that can run, so submits do not wait for a time
	// slice of the scheduler, which is 10 ms.
	leavesPerYield = 256

	// sealRuns is how many runs are written at once, 256 KiB: a submit may have to wait for one
	// such write, not for a whole tree.
	sealRuns = 32
)

// seal computes the root of a closed batch and stores it, and before it the upper levels of the
// tree. What an interruption leaves of those is written again.
func (b *Batcher) seal(ctx context.Context, batch store.Batch) error {
	var runs []store.Nodes
	root, err := b.buildTree(ctx, sealer, batch, func(run store.Nodes) error {
		if len(runs) == sealRuns {
			if err := b.apply(ctx, &store.Update{Nodes: runs}); err != nil {
				return err
			}
			runs = runs[:0]
		}
		runs = append(runs, run)
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
	b.sealed.notify()
	wake(b.paying)
	return nil
}

// check recomputes the root of a sealed batch from its leaves.
func (b *Batcher) checkRoot(ctx context.Context, batch store.Batch) error {
	root, err := b.buildTree(ctx, payer, batch, nil)
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
func (b *Batcher) buildTree(ctx context.Context, loop int, batch store.Batch, keep func(store.Nodes) error) (root [32]byte, err error) {
	if batch.Count == 0 {
		return root, fmt.Errorf("it has no digest")
	}
	whole := tree.New(batch.ID, keep)
	for start := uint64(0); start < batch.Count; start += leavesAtOnce {
		n := min(leavesAtOnce, batch.Count-start)
		leaves, err := b.store.Leaves(ctx, batch.ID, start, n)
		if err != nil {
			return root, err
		}
		if uint64(len(leaves)) != n {
			return root, fmt.Errorf("%d of its %d leaves from %d on are stored", len(leaves), n, start)
		}
		for share := range slices.Chunk(leaves, leavesPerYield) {
			if err := whole.Add(share); err != nil {
				return root, err
			}
			runtime.Gosched()
		}
		b.setBusy(loop, true) // each piece is progress
	}
	return whole.Root()
}
