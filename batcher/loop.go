package batcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/warning"
)

const (
	// scanBlocks is how many blocks one step examines. Progress is stored after each step.
	scanBlocks = 64

	// walletTimeout bounds one call of the wallet. It reads its database, and may wait until the
	// wallet is synced.
	walletTimeout = 2 * time.Minute

	// blockTimeout bounds the fetching of one filter or block from slow peers.
	blockTimeout = 2 * time.Minute

	// marketTimeout bounds the fetching of blocks for the price of block space. After it, the last
	// known price is used.
	marketTimeout = 30 * time.Second
)

// The loops, and the index of what is kept about each.
const (
	committing = iota
	sealer
	payer
	numLoops
)

var loopNames = [numLoops]string{"writing digests", "sealing batches", "following anchors"}

// loop runs step whenever it is woken, and at each tick. After a step that fails it tries again at
// the next tick. Only a failed store ends the loop.
func (b *Batcher) loop(ctx context.Context, which int, woken, changed <-chan struct{}, step func(context.Context) error) error {
	ticker := time.NewTicker(b.tick)
	defer ticker.Stop()
	failed := "" // the error of the step before: an error that repeats is logged once
	for {
		b.setBusy(which, true)
		err := step(ctx)
		b.setBusy(which, false)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrFailed):
			return fmt.Errorf("%s: %w", loopNames[which], err)
		case err == nil && failed != "":
			failed = ""
			b.board.Clear(warning.Step)
		case err != nil && err.Error() != failed:
			failed = err.Error()
			b.log.Error("a step failed and will be tried again", "doing", loopNames[which], "err", err)
		}
		if known := (reason{}); err != nil && !errors.As(err, &known) {
			b.board.Set(warning.Step, fmt.Sprintf("%s failed and is tried again: %v", loopNames[which], err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-changed:
		case <-ticker.C:
		}
	}
}

// setBusy records when a loop began to work. A call with on set while it works records progress.
func (b *Batcher) setBusy(which int, on bool) {
	var since int64
	if on {
		since = time.Now().UnixNano()
	}
	b.busy[which].Store(since)
}

// Stalled returns an error that names a loop which has made no progress for longer than limit, or
// nil. It is meant for the watchdog of a process supervisor.
func (b *Batcher) Stalled(limit time.Duration) error {
	for which := range b.busy {
		since := b.busy[which].Load()
		if since == 0 {
			continue
		}
		if d := time.Since(time.Unix(0, since)); d > limit {
			return fmt.Errorf("%s has made no progress for %s", loopNames[which], d.Round(time.Second))
		}
	}
	return nil
}

// stepSeal is one step of sealing. It needs only the store, so no peer and no wallet can delay it.
func (b *Batcher) stepSeal(ctx context.Context) error {
	batches, err := b.store.Waiting(ctx)
	if err != nil {
		return fmt.Errorf("read the batches that wait: %w", err)
	}
	facts := decide.Facts{Now: b.now(), OpenFor: b.committer.openFor()}
	return b.perform(ctx, decide.Next(decide.Stored{Batches: batches}, facts, b.policy))
}

// stepAnchor is one step of paying and following.
func (b *Batcher) stepAnchor(ctx context.Context) error {
	for {
		more, err := b.stepAnchorOnce(ctx)
		if err != nil || !more || ctx.Err() != nil {
			return err
		}
		b.setBusy(payer, true) // each round is progress
	}
}

// stepAnchorOnce gathers facts, decides and performs. more says that there are blocks beyond those
// that it examined.
func (b *Batcher) stepAnchorOnce(ctx context.Context) (more bool, err error) {
	s, err := b.stored(ctx)
	if err != nil {
		return false, err
	}
	facts := decide.Facts{Now: b.now(), Offered: b.offered, Damaged: b.damaged, Peers: b.chain.Peers()}
	facts.Chain, err = b.lookAtChain(ctx, s)
	if err != nil {
		b.warn(warning.Chain, fmt.Sprintf("cannot follow the chain at the moment: %v", err))
		return false, reason{err, warning.Chain}
	}
	b.board.Clear(warning.Chain)
	if facts.Chain == nil {
		return false, nil
	}
	// The other loop does the sealing.
	s.Batches = slices.DeleteFunc(s.Batches, func(x store.Batch) bool { return x.State != store.Sealed })
	if n := len(facts.Chain.Next); n > 0 {
		more = facts.Chain.Next[n-1].Point != facts.Chain.Tip
	}
	if !more {
		if err := b.addPaymentFacts(ctx, &s, &facts); err != nil {
			return false, err
		}
	}
	b.held = warning.Warning{}
	if err := b.perform(ctx, decide.Next(s, facts, b.policy)); err != nil {
		return false, err
	}
	if !more {
		b.warnOfHeld()
	}
	return more, nil
}

// hold keeps the first reason why something is not paid in this step.
func (b *Batcher) hold(why warning.Warning) {
	if b.held.Kind == nil {
		b.held = why
	}
}

// stored reads what the store holds about unfinished work.
func (b *Batcher) stored(ctx context.Context) (s decide.Stored, err error) {
	if s.Batches, err = b.store.Waiting(ctx); err != nil {
		return s, fmt.Errorf("read the batches that wait: %w", err)
	}
	if s.Anchors, err = b.store.Unsettled(ctx); err != nil {
		return s, fmt.Errorf("read the anchors in flight: %w", err)
	}
	if s.Cursor, err = b.store.Cursor(ctx); err != nil {
		return s, fmt.Errorf("read how far the chain was followed: %w", err)
	}
	var ids []uint64
	for _, a := range s.Anchors {
		ids = append(ids, decide.AllBatches(a)...)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		batch, err := b.batch(ctx, id)
		if err != nil {
			return s, err
		}
		s.Owned = append(s.Owned, batch)
	}
	return s, nil
}

// addPaymentFacts adds what a payment depends on if one may be due: prices, what was paid before,
// and which coins of the anchors in flight are missing.
func (b *Batcher) addPaymentFacts(ctx context.Context, s *decide.Stored, facts *decide.Facts) error {
	tip := facts.Chain.Tip
	flying := slices.DeleteFunc(slices.Clone(s.Anchors), func(a store.Anchor) bool { return a.State != store.Broadcast })
	b.checkCoins(ctx, flying, tip)
	facts.Missing, facts.Taken = b.missing, b.taken
	// An anchor in flight is replaced once a block at most.
	due := slices.ContainsFunc(flying, func(a store.Anchor) bool {
		return tip.Height > int32(decide.Newest(a).Tx.LockTime)
	})
	if !due && len(s.Batches) == 0 {
		return nil
	}
	feeCtx, cancel := context.WithTimeout(ctx, marketTimeout)
	defer cancel()
	estimate, floor, err := b.chain.FeeRates(feeCtx)
	facts.Market = decide.Market{Estimate: max(estimate, 1), Floor: max(floor, 1)}
	if err != nil {
		b.log.Debug("using the last known fee rates", "estimate_sat_per_vb", estimate, "floor_sat_per_vb", floor, "err", err)
	}
	if b.policy.BudgetSats > 0 {
		lately, err := b.settled(ctx, tip.Height)
		if err != nil {
			return err
		}
		s.PaidSats = lately.sats
	}
	return nil
}
