package batcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ancre/batcher/decide"
	"ancre/batcher/store"
)

// Status returns where a digest is. ErrUnknown if it was never accepted.
func (b *Batcher) Status(ctx context.Context, digest [32]byte) (Status, error) {
	st, _, err := b.lookUpDigest(ctx, digest)
	return st, err
}

// Batch returns one batch, or ErrUnknown.
func (b *Batcher) Batch(ctx context.Context, id uint64) (BatchStatus, error) {
	batch, err := b.batch(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return BatchStatus{}, fmt.Errorf("batch %d: %w", id, ErrUnknown)
	}
	if err != nil {
		return BatchStatus{}, err
	}
	return b.batchStatus(ctx, batch)
}

func (b *Batcher) batchStatus(ctx context.Context, batch store.Batch) (BatchStatus, error) {
	progress, err := b.progress(ctx, batch)
	st := BatchStatus{Batch: batch, Progress: progress}
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
	a, err := b.anchor(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return AnchorStatus{}, fmt.Errorf("anchor %d: %w", id, ErrUnknown)
	}
	if err != nil {
		return AnchorStatus{}, err
	}
	return b.anchorStatus(a), nil
}

func (b *Batcher) anchorStatus(a store.Anchor) AnchorStatus {
	st := AnchorStatus{Anchor: a}
	if decide.IsMined(a) {
		st.Confirmations = b.confirmations(a.Block.Height)
	}
	return st
}

// Anchors returns up to limit anchors, newest first, with IDs below before (0: from the newest).
func (b *Batcher) Anchors(ctx context.Context, before uint64, limit int) ([]AnchorStatus, error) {
	anchors, err := b.store.Anchors(ctx, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read anchors: %w", err)
	}
	out := make([]AnchorStatus, len(anchors))
	for i, a := range anchors {
		out[i] = b.anchorStatus(a)
	}
	return out, nil
}

// Overview returns what an operator looks at first. It reads little, however much is stored.
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
	lately, err := b.settled(ctx, tip)
	if err != nil {
		return o, err
	}
	for _, a := range s.Anchors {
		if decide.IsMined(a) {
			lately.add(a, tip)
		}
	}
	o.PaidSats, o.Lately = lately.sats, lately.activity(tip)
	if err := b.countBatches(ctx, &o, s); err != nil {
		return o, err
	}
	o.Warnings = b.warnings(s, &o)
	return o, nil
}

// countBatches adds to an overview how many batches and versions are in each state, and since when,
// from what is stored about unfinished work.
func (b *Batcher) countBatches(ctx context.Context, o *Overview, s decide.Stored) error {
	newest, err := b.store.Batches(ctx, 0, 1)
	if err != nil {
		return fmt.Errorf("read the newest batch: %w", err)
	}
	if len(newest) == 0 {
		return nil
	}
	states := make(map[uint64]store.AnchorState, len(s.Anchors))
	for _, a := range s.Anchors {
		states[a.ID] = a.State
		if a.State == store.Broadcast {
			o.Versions += len(a.Versions)
		}
	}
	older := func(oldest *time.Time, batch store.Batch) {
		if oldest.IsZero() || batch.Closed.Before(*oldest) {
			*oldest = batch.Closed
		}
	}
	var last uint64
	seen := make(map[uint64]bool, len(s.Batches))
	for _, batch := range s.Batches {
		last, seen[batch.ID] = max(last, batch.ID), true
		if batch.State == store.Open {
			o.Batches.Open++
			continue
		}
		o.Batches.Sealed++
		older(&o.OldestUnmined, batch)
		older(&o.OldestPending, batch)
	}
	for _, batch := range s.Owned {
		last = max(last, batch.ID)
		switch state := states[batch.Anchor]; {
		case seen[batch.ID]: // it waits again, or got its anchor while this was read
		case state == store.Broadcast, state == store.Spent:
			o.Batches.Broadcast++
			older(&o.OldestUnmined, batch)
			older(&o.OldestPending, batch)
		case state == store.Mined:
			o.Batches.Mined++
			older(&o.OldestPending, batch)
		}
	}
	// All others are final. An open one that is not among them was opened while this was read.
	if newest[0].State != store.Open {
		last = max(last, newest[0].ID)
	}
	c := &o.Batches
	c.Final = last - min(last, c.Open+c.Sealed+c.Broadcast+c.Mined)
	return nil
}
