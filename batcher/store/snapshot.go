package store

import (
	"context"
	"iter"
)

// Snapshotter is a [Store] that can show all that it holds as it is at one moment, while writes go
// on: what backups are made from. It is apart from Store because nothing but a backup needs it.
type Snapshotter interface {
	// Snapshot takes one. It holds every write that was acknowledged before the call, and each
	// write whole or not at all. It blocks no write, however long it stays open, and must be
	// closed: Store.Close waits for that.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Snapshot is all that a store held at one moment. What is above the leaves in the trees is left
// out: it follows from them. Its methods may be called from one goroutine at a time.
//
// A sequence ends with its first error, which comes with a zero value; it can be left early and run
// again.
type Snapshot interface {
	// Key returns the key of the store's nonces.
	Key() [32]byte

	// Total returns how many leaves there are, in how many batches.
	Total(ctx context.Context) (leaves, batches uint64, err error)

	// Batches runs through the batches, oldest first.
	Batches(ctx context.Context) iter.Seq2[Batch, error]

	// Leaves runs through the leaves of a batch in their order, in slices that are valid until the
	// next step. It fails when there are more or fewer than the batch says.
	Leaves(ctx context.Context, b Batch) iter.Seq2[[]Leaf, error]

	// Anchors runs through the anchors, oldest first.
	Anchors(ctx context.Context) iter.Seq2[Anchor, error]

	// Cursor returns how far the chain was followed; no points in a new store.
	Cursor(ctx context.Context) (Cursor, error)

	// Close ends it; then everything returns an error.
	Close() error
}
