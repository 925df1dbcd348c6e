package batcher

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"ancre/batcher/store"
	"ancre/batcher/store/tree"
	"ancre/internal/wake"
	"ancre/internal/warning"
)

const (
	// leavesAtOnce is how many leaves are read at once: half a MiB.
	leavesAtOnce = 16 << 10

	// leavesPerYield is how many leaves are hashed before others may use the processor, some 40 µs
	// of work. A goroutine that yields goes behind all others that can run, so submits do not wait
	// for a time slice of the scheduler, which is 10 ms.
	leavesPerYield = 256

	// sealRuns is how many runs are written at once, 256 KiB. A submit may have to wait for one
	// such write, but not for a whole tree.
	sealRuns = 32
)

// seal computes the root of a closed batch. It stores the upper levels of the tree first, and then
// the root. After an interruption it writes the levels again.
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
	wake.Up(b.paying)
	return nil
}

// checkRoot computes the root of a sealed batch again from its leaves. One flipped bit in a stored
// leaf would make proofs that never verify.
func (b *Batcher) checkRoot(ctx context.Context, batch store.Batch) error {
	root, err := b.buildTree(ctx, payer, batch, nil)
	if err != nil {
		return fmt.Errorf("check batch %d: %w", batch.ID, err)
	}
	if root != batch.Root {
		return fmt.Errorf("batch %d: %w: its leaves have the root %x, it was sealed with %x. ancred does not pay for it: restore the data directory from a backup", batch.ID, store.ErrDamaged, root, batch.Root)
	}
	return nil
}

// buildTree computes the root of a batch from its stored leaves, and hands the nodes above them to
// keep. It needs half a MiB of memory.
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
