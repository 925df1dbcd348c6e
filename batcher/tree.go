package batcher

import (
	"context"
	"fmt"

	"ancre/batcher/store"
	"ancre/proof"
)

// The tree of a batch is kept in runs of store.RunSize nodes. Level 0 are the leaves; a node of level k+1 is the root
// of one run of level k. RunSize is a power of two, so this is the very tree of proof.Root: an odd last
// node is carried up the same way within its run as within the whole. A path reads one run a level.

// seal computes the root of a closed batch and stores it with the upper levels of the tree.
func (b *Batcher) seal(ctx context.Context, batch store.Batch) error {
	runs, root, err := b.grow(ctx, batch)
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
	_, root, err := b.grow(ctx, batch)
	if err != nil {
		return fmt.Errorf("check batch %d: %w", batch.ID, err)
	}
	if root != batch.Root {
		return fmt.Errorf("batch %d: %w: its leaves have the root %x, it was sealed with %x. No money is spent on it; restore the data directory from a backup", batch.ID, store.ErrDamaged, root, batch.Root)
	}
	return nil
}

// grow builds all levels above the leaves from the leaves, in memory of a 256th of theirs.
func (b *Batcher) grow(ctx context.Context, batch store.Batch) (upper []store.BatchRun, root [32]byte, err error) {
	if batch.Count == 0 {
		return nil, root, fmt.Errorf("it has no digest")
	}
	read := func(start, n uint64) ([][32]byte, error) {
		nodes, err := b.store.Nodes(ctx, batch.ID, 0, start, n)
		if err == nil && uint64(len(nodes)) != n {
			err = fmt.Errorf("%d of its %d leaves from %d on are stored", len(nodes), n, start)
		}
		return nodes, err
	}
	size := batch.Count
	for level := 1; ; level++ {
		nodes := make([][32]byte, 0, (size+store.RunSize-1)/store.RunSize)
		for start := uint64(0); start < size; start += store.RunSize {
			run, err := read(start, min(store.RunSize, size-start))
			if err != nil {
				return nil, root, err
			}
			nodes = append(nodes, proof.Root(run))
			b.working(sealer, true) // each run is progress
		}
		if len(nodes) == 1 {
			return upper, nodes[0], nil
		}
		for start := 0; start < len(nodes); start += store.RunSize {
			end := min(start+store.RunSize, len(nodes))
			upper = append(upper, store.BatchRun{
				Batch: batch.ID,
				Run:   store.Run{Level: level, Start: uint64(start), Nodes: nodes[start:end]},
			})
		}
		size = uint64(len(nodes))
		read = func(start, n uint64) ([][32]byte, error) { return nodes[start : start+n], nil }
	}
}

// path returns the siblings from a leaf up to the root of its sealed batch, and checks that they lead there.
func (b *Batcher) path(ctx context.Context, batch store.Batch, index uint64, leaf store.Leaf) ([]proof.Step, error) {
	var steps []proof.Step
	at := index
	for level, size := 0, batch.Count; size > 1; level++ {
		start := at - at%store.RunSize
		run, err := b.store.Nodes(ctx, batch.ID, level, start, min(store.RunSize, size-start))
		if err != nil {
			return nil, fmt.Errorf("read the tree of batch %d: %w", batch.ID, err)
		}
		if at-start >= uint64(len(run)) {
			return nil, fmt.Errorf("batch %d is damaged: level %d of its tree has %d nodes from %d on", batch.ID, level, len(run), start)
		}
		steps = append(steps, proof.Path(run, int(at-start))...)
		at /= store.RunSize
		size = (size + store.RunSize - 1) / store.RunSize
	}
	if root := proof.Climb(leaf, steps); root != batch.Root {
		return nil, fmt.Errorf("batch %d is damaged: leaf %d leads to the root %x, it was sealed with %x", batch.ID, index, root, batch.Root)
	}
	return steps, nil
}
