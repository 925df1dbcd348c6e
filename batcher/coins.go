package batcher

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"

	"github.com/btcsuite/btcd/wire/v2"
)

// leaseAll makes the leases of the wallet those that the stored anchors need, and no others. The
// wallet may have lost some leases. It may also have too many: of anchors that were done when the
// process ended, as a crash may come between any two writes; and of anchors that this store does
// not know, if it was restored from a backup older than the wallet.
func (b *Batcher) leaseAll(ctx context.Context) error {
	anchors, err := b.store.Unsettled(ctx)
	if err != nil {
		return fmt.Errorf("read the anchors in flight: %w", err)
	}
	const lately = 64 // anchors; older ones were done long before the crash
	newest, err := b.store.Anchors(ctx, 0, lately)
	if err != nil {
		return fmt.Errorf("read the newest anchors: %w", err)
	}
	var done, keep []wire.OutPoint
	for _, a := range newest {
		if a.Settled {
			done = append(done, decide.ReservedChange(a)...)
		}
		if a.State == store.Final || a.State == store.Dead {
			done = append(done, decide.Inputs(a)...)
		}
	}
	b.release(ctx, done)
	for _, a := range anchors {
		keep = append(keep, decide.Leased(a)...)
		if a.State == store.Mined { // a reorganisation may have undone that while the daemon was down
			keep = append(keep, decide.Inputs(a)...)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.LeaseOnly(ctx, keep); err != nil {
		b.log.Debug("could not store which coins are leased", "err", err) // the next start tries again
	}
	return nil
}

// lease keeps the coins of an anchor from other uses. It may fail: the wallet may be locked, or not
// know the coin yet. It is repeated with each offer.
func (b *Batcher) lease(ctx context.Context, a store.Anchor) {
	keep := decide.Leased(a)
	if len(keep) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.Lease(ctx, keep); err != nil {
		b.log.Debug("could not lease an anchor's coins", "anchor", a.ID, "err", err)
	}
}

// release gives back those of the coins that no anchor in flight spends.
func (b *Batcher) release(ctx context.Context, free []wire.OutPoint) {
	anchors, err := b.store.Unsettled(ctx)
	if err != nil {
		b.log.Debug("could not release coins", "err", err)
		return
	}
	for _, a := range anchors {
		if a.State == store.Broadcast {
			held := decide.Inputs(a)
			free = slices.DeleteFunc(free, func(c wire.OutPoint) bool { return slices.Contains(held, c) })
		}
	}
	if len(free) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.Release(ctx, free); err != nil {
		b.log.Debug("could not release coins", "coins", free, "err", err)
	}
}

// checkCoins asks the wallet, once a block, whether the coins of the anchors in flight exist.
func (b *Batcher) checkCoins(ctx context.Context, flying []store.Anchor, tip store.Point) {
	defer b.warnOfMissing()
	maps.DeleteFunc(b.missing, func(id uint64, _ decide.Missing) bool {
		return !slices.ContainsFunc(flying, func(a store.Anchor) bool { return a.ID == id })
	})
	if b.takenAt != tip {
		clear(b.taken) // the wallet is asked again
		b.takenAt = tip
	}
	if b.missingAt == tip {
		return
	}
	all := true
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	for _, a := range flying {
		gone, err := b.wallet.Gone(ctx, decide.Inputs(a))
		if err != nil {
			b.log.Debug("could not check an anchor's coins now", "anchor", a.ID, "err", err)
			all = false // asked again at the next step
			continue
		}
		before, known := b.missing[a.ID]
		some := func(missing []wire.OutPoint) bool {
			return slices.ContainsFunc(decide.CommonInputs(a), func(c wire.OutPoint) bool { return slices.Contains(missing, c) })
		}
		now := decide.Missing{Coins: gone, Since: tip.Height}
		if known && some(before.Coins) && some(gone) {
			now.Since = min(before.Since, tip.Height)
		}
		if len(gone) == 0 {
			delete(b.missing, a.ID)
			continue
		}
		if !known {
			b.log.Warn("a reorganisation removed a coin that an anchor spends", "anchor", a.ID, "coins", gone)
		}
		b.missing[a.ID] = now
	}
	if all {
		b.missingAt = tip
	}
}

// settled is what settled anchors did that were mined in the last BudgetBlocks blocks.
type settled struct {
	sats    int64 // that they paid
	batches int   // that they anchored
	first   int32 // the lowest height of an anchor; 0: there is none
	older   bool  // there are anchors from before these blocks
}

// settled counts what settled anchors did lately.
func (b *Batcher) settled(ctx context.Context, tip int32) (s settled, err error) {
	const page = 64
	// Anchors are mined in the order of their IDs, except after reorganisations.
	const disorder = 2 * decide.WatchDepth
	for before := uint64(0); ; {
		anchors, err := b.store.Anchors(ctx, before, page)
		if err != nil {
			return settled{}, fmt.Errorf("read what anchors paid: %w", err)
		}
		for _, a := range anchors {
			before = a.ID
			switch {
			case a.State != store.Final || !a.Settled:
			case a.Block.Height <= tip-decide.BudgetBlocks-disorder:
				s.older = true
				return s, nil
			default:
				s.add(a, tip)
			}
		}
		if len(anchors) < page || before == 1 {
			return s, nil
		}
	}
}

// add counts an anchor that is in a block.
func (s *settled) add(a store.Anchor, tip int32) {
	if s.first == 0 || a.Block.Height < s.first {
		s.first = a.Block.Height
	}
	if a.Block.Height > tip-decide.BudgetBlocks {
		v := decide.Current(a)
		s.sats += v.FeeSats
		s.batches += len(v.Batches)
	}
}

// activity returns how much was anchored, and in how many blocks.
func (s *settled) activity(tip int32) Activity {
	a := Activity{Batches: s.batches}
	switch {
	case s.older:
		a.Blocks = decide.BudgetBlocks
	case s.first > 0:
		a.Blocks = min(max(tip-s.first+1, 0), decide.BudgetBlocks)
	}
	return a
}
