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
	// scanBlocks is how many blocks one step looks into: progress is stored after each step.
	scanBlocks = 64

	// walletTimeout bounds one call of the wallet, which reads its database and may wait for its
	// synchronisation.
	walletTimeout = 2 * time.Minute

	// blockTimeout bounds the fetching of one filter or block from slow peers.
	blockTimeout = 2 * time.Minute

	// marketTimeout bounds the fetching of the blocks that tell the price of their space. The last
	// known price will do.
	marketTimeout = 30 * time.Second
)

// stepSeal is one step of sealing: it needs the store alone, so that no peer and no wallet can
// delay it.
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

// stepAnchorOnce gathers, decides and performs. more says that the chain goes on beyond what was
// looked at.
func (b *Batcher) stepAnchorOnce(ctx context.Context) (more bool, err error) {
	s, err := b.stored(ctx)
	if err != nil {
		return false, err
	}
	facts := decide.Facts{Now: b.now(), Offered: b.offered, Damaged: b.damaged, Peers: b.chain.Peers()}
	facts.Chain, err = b.lookAtChain(ctx, s)
	if err != nil {
		b.warn(warning.Chain, fmt.Sprintf("the chain cannot be followed at the moment: %v", err))
		return false, reason{err, warning.Chain}
	}
	b.board.Clear(warning.Chain)
	if facts.Chain == nil {
		return false, nil
	}
	// Sealing is the other loop's.
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

// hold notes why something is not paid in this step; the first reason is told.
func (b *Batcher) hold(why warning.Warning) {
	if b.held.Kind == nil {
		b.held = why
	}
}

// stored reads what the store holds about work that is not over.
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
		batch, err := b.store.Batch(ctx, id)
		if err != nil {
			return s, fmt.Errorf("read batch %d: %w", id, err)
		}
		s.Owned = append(s.Owned, batch)
	}
	return s, nil
}

// lookAtMoney adds what a payment depends on, when one may be due: prices, what was paid before,
// and whether the coins that are being spent are there.
func (b *Batcher) addPaymentFacts(ctx context.Context, s *decide.Stored, facts *decide.Facts) error {
	tip := facts.Chain.Tip
	flying := slices.DeleteFunc(slices.Clone(s.Anchors), func(a store.Anchor) bool { return a.State != store.Broadcast })
	b.checkCoins(ctx, flying, tip)
	facts.Missing, facts.Taken = b.missing, b.taken
	// What is in flight is raised once a block.
	due := slices.ContainsFunc(flying, func(a store.Anchor) bool {
		return tip.Height > int32(a.Versions[len(a.Versions)-1].Tx.LockTime)
	})
	if !due && len(s.Batches) == 0 {
		return nil
	}
	feeCtx, cancel := context.WithTimeout(ctx, marketTimeout)
	defer cancel()
	estimate, floor, err := b.chain.FeeRates(feeCtx)
	facts.Market = decide.Market{Estimate: max(estimate, 1), Floor: max(floor, 1)}
	if err != nil {
		b.log.Debug("going by the last known fees", "estimate", estimate, "floor", floor, "err", err)
	}
	if b.policy.BudgetSats > 0 {
		if s.PaidSats, err = b.settledSats(ctx, tip.Height); err != nil {
			return err
		}
	}
	return nil
}

// perform stores what was decided, in one atomic change, and then does what reaches outside.
func (b *Batcher) perform(ctx context.Context, actions []decide.Action) error {
	var u store.Update
	dirty := false
	put := func(a store.Anchor) { // a later action of the same step replaces what an earlier one made of an anchor
		dirty = true
		if i := slices.IndexFunc(u.Anchors, func(x store.Anchor) bool { return x.ID == a.ID }); i >= 0 {
			u.Anchors[i] = a
		} else {
			u.Anchors = append(u.Anchors, a)
		}
	}
	var then []func() error
	for _, action := range actions {
		switch action := action.(type) {
		case decide.Follow:
			dirty = true
			u.Cursor = &action.Cursor
		case decide.Unmine:
			put(action.Anchor)
			then = append(then, func() error { b.afterUnmine(ctx, action); return nil })
		case decide.MarkMined:
			put(action.Anchor)
			then = append(then, func() error { b.afterMined(ctx, action.Anchor); return nil })
		case decide.MarkSpent:
			put(action.Anchor)
			then = append(then, func() error { b.afterSpent(action); return nil })
		case decide.MarkFinal:
			put(action.Anchor)
			then = append(then, func() error { b.afterFinal(ctx, action.Anchor); return nil })
		case decide.Settle:
			put(action.Anchor)
			then = append(then, func() error { b.release(ctx, decide.ReservedChange(action.Anchor)); return nil })
		case decide.Abandon:
			put(action.Anchor)
			then = append(then, func() error { b.afterAbandon(ctx, action.Anchor); return nil })
		case decide.Assign:
			dirty = true
			batch, err := b.store.Batch(ctx, action.Batch)
			if err != nil {
				return fmt.Errorf("read batch %d: %w", action.Batch, err)
			}
			batch.Anchor = action.Anchor
			u.Batches = append(u.Batches, batch)
			wake(b.paying) // what waits again need not wait for the next block
		case decide.CloseBatch:
			then = append(then, func() error { _, err := b.committer.close(ctx, action.ID); return err })
		case decide.SealBatch:
			then = append(then, func() error { return b.seal(ctx, action.Batch) })
		case decide.OfferAnchor:
			then = append(then, func() error { b.offer(ctx, action.Anchor, action.Version); return nil })
		case decide.Pay:
			then = append(then, func() error { return b.pay(ctx, action) })
		case decide.Replace:
			then = append(then, func() error { return b.replace(ctx, action) })
		case decide.Hold:
			b.hold(action.Warning)
		default:
			return fmt.Errorf("action %T is not known", action)
		}
	}
	if dirty {
		if err := b.apply(ctx, &u); err != nil {
			return err
		}
	}
	var errs []error
	for _, do := range then {
		if err := do(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (b *Batcher) afterMined(ctx context.Context, a store.Anchor) {
	delete(b.offered, a.ID)
	b.log.Info("anchor mined", "anchor", a.ID, "version", a.Block.Version+1, "txid", decide.Current(a).Tx.TxHash(), "height", a.Block.Height, "batches", decide.Current(a).Batches)
	b.lease(ctx, a)
}

func (b *Batcher) afterSpent(action decide.MarkSpent) {
	a := action.Anchor
	delete(b.offered, a.ID)
	if action.Parent != 0 {
		b.log.Warn("an anchor cannot be mined any more: a reorganisation let another version of the one before it through, whose change it spent",
			"anchor", a.ID, "parent", action.Parent, "height", a.Block.Height)
		return
	}
	b.log.Error("another transaction spent an anchor's coin: were the wallet's words used elsewhere?", "anchor", a.ID, "height", a.Block.Height)
}

func (b *Batcher) afterFinal(ctx context.Context, a store.Anchor) {
	b.board.Clear(warning.Reorganisation)
	b.tally.paid(decide.Current(a).FeeSats)
	b.log.Info("anchor final: its proofs are complete", "anchor", a.ID, "height", a.Block.Height, "batches", decide.Current(a).Batches)
	b.release(ctx, decide.Inputs(a))
}

func (b *Batcher) afterAbandon(ctx context.Context, a store.Anchor) {
	b.log.Error("anchor given up: its coin is gone for good; its batches get another one", "anchor", a.ID, "batches", decide.AllBatches(a))
	b.release(ctx, decide.Inputs(a))
}

func (b *Batcher) afterUnmine(ctx context.Context, action decide.Unmine) {
	a := action.Anchor
	if action.Was == store.Final {
		b.warn(warning.Reorganisation, fmt.Sprintf("a reorganisation of Bitcoin removed block %d, in which anchor %d was final: proofs of its batches %v must be fetched again once it is final again",
			action.Block.Height, a.ID, decide.AllBatches(a)))
	}
	b.log.Warn("a reorganisation removed an anchor's block: it is offered again", "anchor", a.ID, "height", action.Block.Height, "block", action.Block.Hash)
	b.lease(ctx, a)
}

// offer broadcasts a version of an anchor, which is stored.
func (b *Batcher) offer(ctx context.Context, a store.Anchor, version int) {
	b.lease(ctx, a)
	height, hash, err := b.chain.Best()
	if err != nil {
		b.log.Warn("could not offer an anchor", "anchor", a.ID, "err", err)
		return
	}
	v := a.Versions[version]
	txid := v.Tx.TxHash()
	last, before := b.offered[a.ID]
	peers := b.chain.Peers()
	err = b.chain.Broadcast(ctx, v.Tx)
	b.tally.offered(v.Created, version, err)
	now := decide.Offer{Version: version, At: b.now(), Tip: store.Point{Height: height, Hash: hash}, Peers: peers, Failed: err != nil}
	if now.Since = now.Tip; before && last.Version == version {
		now.Since = last.Since
	}
	b.offered[a.ID] = now
	switch {
	case err != nil && (!before || !last.Failed):
		b.log.Warn("peers did not take an anchor; it will be offered again", "anchor", a.ID, "txid", txid, "err", err)
	case err == nil && (!before || last.Failed):
		b.log.Info("anchor broadcast", "anchor", a.ID, "txid", txid, "fee_sats", v.FeeSats, "batches", v.Batches)
	}
}
