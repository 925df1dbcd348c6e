package batcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ancre/batcher/store"
	"ancre/proof"
)

// Proof appends to dst the serialized proof of a digest: complete once its anchor is final, pending
// before. ErrUnknown if the digest was never accepted.
func (b *Batcher) Proof(ctx context.Context, dst []byte, digest [32]byte) (ots []byte, st Status, complete bool, err error) {
	defer b.tally.asked(&complete, &err)
	st, l, err := b.lookUpDigest(ctx, digest)
	if err != nil {
		return dst, st, false, err
	}
	if st.Progress.State != Final {
		return b.pending.Append(dst, st.Digest, st.Nonce), st, false, nil
	}
	steps := pathPool.Get().(*pathBuffer)
	defer pathPool.Put(steps)
	path, way, err := b.path(ctx, steps[:0], &l)
	if err != nil {
		return dst, st, false, err
	}
	ots, err = l.info.complete.Append(slices.Grow(dst, l.info.complete.Size(len(path))), st.Digest, st.Nonce, path, way)
	return ots, st, err == nil, treeDamage(&l.info.batch, st.Position.Index, err)
}

// Timestamp is Proof for a caller that knows only the leaf: a calendar's client that comes back
// with a pending proof, in which the leaf is the commitment. Once the anchor is final, Timestamp
// appends to dst the serialized timestamp from the leaf to a block. Before, ok is false. ErrUnknown
// if the leaf was never accepted.
func (b *Batcher) Timestamp(ctx context.Context, dst []byte, leaf store.Leaf) (ts []byte, st LeafStatus, ok bool, err error) {
	defer b.tally.asked(&ok, &err)
	st.Leaf = leaf
	l, err := b.lookUp(ctx, leaf)
	switch {
	case errors.Is(err, ErrUnknown):
		return dst, st, false, fmt.Errorf("leaf %x: %w", leaf, err)
	case err != nil:
		return dst, st, false, err
	}
	st.Position, st.Progress = l.place.Position, b.withConfirmations(l.info.progress)
	if st.Progress.State != Final {
		return dst, st, false, nil
	}
	steps := pathPool.Get().(*pathBuffer)
	defer pathPool.Put(steps)
	path, way, err := b.path(ctx, steps[:0], &l)
	if err != nil {
		return dst, st, false, err
	}
	ts, err = l.info.complete.AppendTimestamp(dst, leaf, path, way)
	return ts, st, err == nil, treeDamage(&l.info.batch, st.Position.Index, err)
}

// Inclusion returns the steps from a digest's leaf to a Bitcoin block, from which complete proofs
// of every format are made. The caller must not change it. Until the anchor is final, ok is false.
// ErrUnknown if the digest was never accepted.
func (b *Batcher) Inclusion(ctx context.Context, digest [32]byte) (a proof.Inclusion, st Status, ok bool, err error) {
	defer b.tally.asked(&ok, &err)
	st, l, err := b.lookUpDigest(ctx, digest)
	if err != nil || st.Progress.State != Final {
		return a, st, false, err
	}
	path, _, err := b.path(ctx, nil, &l)
	if err != nil {
		return a, st, false, err
	}
	a = *l.info.inclusion
	a.Path = path
	if root := proof.RootFromPath(proof.Leaf(st.Digest[:], st.Nonce), a.Path); root != l.info.batch.Root {
		err = treeDamage(&l.info.batch, st.Position.Index, fmt.Errorf("the path leads to the root %x, it was sealed with %x", root, l.info.batch.Root))
	}
	return a, st, err == nil, err
}

// pathBuffer has room for the steps in a batch of up to 16 Mi digests, the most that can be
// configured. Longer paths take memory of their own.
type pathBuffer [24]proof.Step

var pathPool = sync.Pool{New: func() any { return new(pathBuffer) }}

// path appends to dst the siblings from a leaf up to the root of its batch, which is final. The
// store has checked the path from the waypoint on. The caller checks that it leads to the waypoint,
// or to the root if there is none.
func (b *Batcher) path(ctx context.Context, dst []proof.Step, l *lookup) ([]proof.Step, proof.Waypoint, error) {
	if l.info.err != nil {
		return dst, proof.Waypoint{}, l.info.err
	}
	return b.store.Path(ctx, dst, &l.info.batch, l.place)
}

// treeDamage wraps a path error as ErrDamaged, naming the batch and leaf.
func treeDamage(batch *store.Batch, index uint64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("batch %d, leaf %d: %w: %w: restore the data directory from a backup", batch.ID, index, store.ErrDamaged, err)
}
