package batcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/proof"
)

// Proof appends to dst the serialized proof of a digest: complete once its anchor is final, pending
// before. ErrUnknown when the digest was never accepted.
func (b *Batcher) Proof(ctx context.Context, dst []byte, digest [32]byte) (ots []byte, st Status, complete bool, err error) {
	defer b.tally.asked(&complete, &err)
	st, f, err := b.status(ctx, digest)
	if err != nil {
		return dst, st, false, err
	}
	if st.Progress.State != Final {
		return b.pending.Append(dst, st.Digest, st.Nonce), st, false, nil
	}
	path, way, err := b.path(ctx, &f)
	if err != nil {
		return dst, st, false, err
	}
	ots, err = f.standing.complete.Append(slices.Grow(dst, f.standing.complete.Size(len(path))), st.Digest, st.Nonce, path, way)
	return ots, st, err == nil, treeDamage(&f.standing.batch, st.Position.Index, err)
}

// Timestamp is Proof for whoever knows only the leaf: a client of the calendar that comes back with
// a pending proof, in which the leaf is the commitment. It appends to dst the serialized timestamp
// that leads from the leaf to a block; until the status says Final there is none, and ok is false.
// ErrUnknown when no such leaf was accepted.
func (b *Batcher) Timestamp(ctx context.Context, dst []byte, leaf store.Leaf) (ts []byte, st LeafStatus, ok bool, err error) {
	defer b.tally.asked(&ok, &err)
	st.Leaf = leaf
	f, err := b.find(ctx, leaf)
	switch {
	case errors.Is(err, ErrUnknown):
		return dst, st, false, fmt.Errorf("leaf %x: %w", leaf, err)
	case err != nil:
		return dst, st, false, err
	}
	st.Position = f.place.Position
	if st.Progress = b.whereNow(f.standing); st.Progress.State != Final {
		return dst, st, false, nil
	}
	path, way, err := b.path(ctx, &f)
	if err != nil {
		return dst, st, false, err
	}
	ts, err = f.standing.complete.AppendTimestamp(dst, leaf, path, way)
	return ts, st, err == nil, treeDamage(&f.standing.batch, st.Position.Index, err)
}

// treeDamage says what it means that a path does not lead to the root of its batch.
func treeDamage(batch *store.Batch, index uint64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("batch %d, leaf %d: %w: %w: restore the data directory from a backup", batch.ID, index, store.ErrDamaged, err)
}

// Inclusion returns how a digest's leaf got into a Bitcoin block: what complete proofs of any
// format are made of. It is not to be changed. Until the status says Final there is nothing to
// tell, and ok is false. ErrUnknown when the digest was never accepted.
func (b *Batcher) Inclusion(ctx context.Context, digest [32]byte) (a proof.Inclusion, st Status, ok bool, err error) {
	defer b.tally.asked(&ok, &err)
	st, f, err := b.status(ctx, digest)
	if err != nil || st.Progress.State != Final {
		return a, st, false, err
	}
	path, _, err := b.path(ctx, &f)
	if err != nil {
		return a, st, false, err
	}
	a = *f.standing.anchored
	a.Path = path
	if root := proof.RootFromPath(proof.Leaf(st.Digest[:], st.Nonce), a.Path); root != f.standing.batch.Root {
		err = treeDamage(&f.standing.batch, st.Position.Index, fmt.Errorf("the path leads to the root %x, it was sealed with %x", root, f.standing.batch.Root))
	}
	return a, st, err == nil, err
}

// Status returns where a digest is. ErrUnknown when it was never accepted.
func (b *Batcher) Status(ctx context.Context, digest [32]byte) (Status, error) {
	st, _, err := b.status(ctx, digest)
	return st, err
}

func (b *Batcher) status(ctx context.Context, digest [32]byte) (st Status, f found, err error) {
	st = Status{Digest: digest, Nonce: b.nonces.Nonce(digest[:])}
	f, err = b.find(ctx, proof.Leaf(digest[:], st.Nonce))
	st.Position = f.place.Position
	switch {
	case errors.Is(err, ErrUnknown):
		return st, f, fmt.Errorf("digest %x: %w", digest, err)
	case err != nil:
		return st, f, err
	}
	st.Progress = b.whereNow(f.standing)
	return st, f, nil
}

// found is a leaf that is stored.
type found struct {
	place    store.Place
	standing *standing // of its batch
}

// find returns where a leaf stands and how far its batch came. ErrUnknown when it is not stored.
func (b *Batcher) find(ctx context.Context, leaf store.Leaf) (f found, err error) {
	if f.place, err = b.store.Locate(ctx, leaf); err != nil {
		return f, fmt.Errorf("look a digest up: %w", err)
	}
	if f.place.Position.Batch == 0 {
		return f, ErrUnknown
	}
	f.standing, err = b.stand(ctx, f.place.Position.Batch)
	return f, err
}

// where returns how far a batch came.
func (b *Batcher) where(ctx context.Context, batch store.Batch) (Progress, error) {
	switch {
	case batch.State == store.Open:
		return Progress{State: Open}, nil
	case batch.Anchor == 0:
		return Progress{State: Sealed}, nil
	}
	anchor, err := b.store.Anchor(ctx, batch.Anchor)
	if err != nil {
		return Progress{}, fmt.Errorf("read anchor %d: %w", batch.Anchor, err)
	}
	return b.whereAnchor(anchor), nil
}

func (b *Batcher) whereAnchor(a store.Anchor) Progress {
	w := Progress{Anchor: a.ID, State: Broadcast, TxID: decide.Current(a).Tx.TxHash()}
	switch a.State {
	case store.Mined:
		w.State = Mined
	case store.Final:
		w.State = Final
	default: // offered still, or its coin went elsewhere: not mined either way
		return w
	}
	w.Height, w.BlockHash, w.BlockTime = a.Block.Height, a.Block.Hash, a.Block.Header.Timestamp.UTC()
	w.Confirmations = b.confirmations(a)
	return w
}

// confirmations returns how many blocks of those followed a mined anchor is under, its own
// included.
func (b *Batcher) confirmations(a store.Anchor) int32 {
	if a.State != store.Mined && a.State != store.Final {
		return 0
	}
	return max(b.tip.Load()-a.Block.Height+1, 1)
}

// CloseBatch closes the open batch and waits until it is sealed. closed is false when no digest had
// come since the last.
func (b *Batcher) CloseBatch(ctx context.Context) (st BatchStatus, closed bool, err error) {
	id, err := b.committer.close(ctx, 0)
	if err != nil || id == 0 {
		return st, false, err
	}
	for {
		again := b.sealed.next()
		if st, err = b.Batch(ctx, id); err != nil {
			return st, true, err
		}
		if st.Batch.State == store.Sealed {
			return st, true, nil
		}
		select {
		case <-again:
		case <-ctx.Done():
			return st, true, fmt.Errorf("batch %d is closed and is being sealed: %w", id, ctx.Err())
		}
	}
}

// Batch returns one batch, or ErrUnknown.
func (b *Batcher) Batch(ctx context.Context, id uint64) (BatchStatus, error) {
	batch, err := b.store.Batch(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return BatchStatus{}, fmt.Errorf("batch %d: %w", id, ErrUnknown)
	}
	if err != nil {
		return BatchStatus{}, fmt.Errorf("read batch %d: %w", id, err)
	}
	return b.batchStatus(ctx, batch)
}

func (b *Batcher) batchStatus(ctx context.Context, batch store.Batch) (BatchStatus, error) {
	w, err := b.where(ctx, batch)
	st := BatchStatus{Batch: batch, Progress: w}
	if batch.State == store.Open {
		st.Closes = b.now().UTC().Add(max(0, b.policy.Interval-b.committer.openFor()))
	}
	return st, err
}

// Batches returns up to limit batches, newest first, with IDs below before (0: from the newest).
func (b *Batcher) Batches(ctx context.Context, before uint64, limit int) ([]BatchStatus, error) {
	batches, err := b.store.Batches(ctx, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	out := make([]BatchStatus, len(batches))
	for i, batch := range batches {
		if out[i], err = b.batchStatus(ctx, batch); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Anchor returns one anchor, or ErrUnknown.
func (b *Batcher) Anchor(ctx context.Context, id uint64) (AnchorStatus, error) {
	a, err := b.store.Anchor(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return AnchorStatus{}, fmt.Errorf("anchor %d: %w", id, ErrUnknown)
	}
	if err != nil {
		return AnchorStatus{}, fmt.Errorf("read anchor %d: %w", id, err)
	}
	return AnchorStatus{Anchor: a, Confirmations: b.confirmations(a)}, nil
}

// Anchors returns up to limit anchors, newest first, with IDs below before (0: from the newest).
func (b *Batcher) Anchors(ctx context.Context, before uint64, limit int) ([]AnchorStatus, error) {
	anchors, err := b.store.Anchors(ctx, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read anchors: %w", err)
	}
	out := make([]AnchorStatus, len(anchors))
	for i, a := range anchors {
		out[i] = AnchorStatus{Anchor: a, Confirmations: b.confirmations(a)}
	}
	return out, nil
}

// Overview returns what a person asks first. It reads little, however much is stored.
func (b *Batcher) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	s, err := b.stored(ctx)
	if err != nil {
		return o, err
	}
	for _, batch := range s.Batches {
		if batch.State == store.Open {
			st, err := b.batchStatus(ctx, batch)
			if err != nil {
				return o, err
			}
			o.Open = &st
		} else {
			o.Waiting++
		}
	}
	for _, a := range s.Anchors {
		switch a.State {
		case store.Broadcast, store.Spent:
			o.Broadcast++
		case store.Mined:
			o.Mined++
		case store.Final:
			o.Final++
		}
	}
	newest, err := b.store.Anchors(ctx, 0, 1)
	if err != nil {
		return o, fmt.Errorf("read the newest anchor: %w", err)
	}
	if len(newest) > 0 {
		o.Anchors = newest[0].ID
	}
	if o.Digests, err = b.store.NumLeaves(ctx); err != nil {
		return o, fmt.Errorf("count digests: %w", err)
	}
	o.BudgetSats = b.policy.BudgetSats
	tip := b.tip.Load()
	if o.PaidSats, err = b.settledSats(ctx, tip); err != nil {
		return o, err
	}
	for _, a := range s.Anchors {
		if (a.State == store.Mined || a.State == store.Final) && a.Block.Height > tip-decide.BudgetBlocks {
			o.PaidSats += decide.Current(a).FeeSats
		}
	}
	if err := b.count(ctx, &o, s); err != nil {
		return o, err
	}
	o.Warnings = b.warnings(s, &o)
	return o, nil
}
