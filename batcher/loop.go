package batcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"ancre/batcher/store"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const (
	// scanBlocks is how many blocks one step looks into: progress is stored after each step.
	scanBlocks = 64

	// walletTimeout bounds one call of the wallet, which reads its database and may wait for its synchronisation.
	walletTimeout = 2 * time.Minute

	// blockTimeout bounds the fetching of one filter or block from slow peers.
	blockTimeout = 2 * time.Minute

	// marketTimeout bounds the fetching of the blocks that tell the price of their space. The last known price will do.
	marketTimeout = 30 * time.Second
)

// stepSeal is one step of sealing: it needs the store alone, so that no peer and no wallet can delay it.
func (b *Batcher) stepSeal(ctx context.Context) error {
	batches, err := b.store.Waiting(ctx)
	if err != nil {
		return fmt.Errorf("read the batches that wait: %w", err)
	}
	facts := Facts{Now: b.now(), OpenFor: b.committer.openFor()}
	return b.perform(ctx, Decide(Stored{Batches: batches}, facts, b.policy))
}

// stepAnchor is one step of paying and following.
func (b *Batcher) stepAnchor(ctx context.Context) error {
	for {
		more, err := b.stepAnchorOnce(ctx)
		if err != nil || !more || ctx.Err() != nil {
			return err
		}
		b.working(payer, true) // each round is progress
	}
}

// stepAnchorOnce gathers, decides and performs. more says that the chain goes on beyond what was looked at.
func (b *Batcher) stepAnchorOnce(ctx context.Context) (more bool, err error) {
	s, err := b.stored(ctx)
	if err != nil {
		return false, err
	}
	facts := Facts{Now: b.now(), Offered: b.offered, Damaged: b.damaged, Peers: b.chain.Peers()}
	facts.Chain, err = b.look(ctx, s)
	if err != nil {
		b.worry(worryChain, fmt.Sprintf("the chain cannot be followed at the moment: %v", err))
		return false, err
	}
	b.worry(worryChain, "")
	if facts.Chain == nil {
		return false, nil
	}
	// Sealing is the other loop's.
	s.Batches = slices.DeleteFunc(s.Batches, func(x store.Batch) bool { return x.State != store.Sealed })
	if n := len(facts.Chain.Next); n > 0 {
		more = facts.Chain.Next[n-1].Point != facts.Chain.Tip
	}
	if !more {
		if err := b.lookAtMoney(ctx, &s, &facts); err != nil {
			return false, err
		}
	}
	b.held = ""
	if err := b.perform(ctx, Decide(s, facts, b.policy)); err != nil {
		return false, err
	}
	if !more {
		b.worry(worryPay, b.held)
	}
	return more, nil
}

// hold notes why something is not paid in this step; the first reason is told.
func (b *Batcher) hold(format string, args ...any) {
	if b.held == "" {
		b.held = fmt.Sprintf(format, args...)
	}
}

// stored reads what the store holds about work that is not over.
func (b *Batcher) stored(ctx context.Context) (s Stored, err error) {
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
		ids = append(ids, committed(a)...)
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

// lookAtMoney adds what a payment depends on, when one may be due: prices, what was paid before, and whether the coins that are
// being spent are there.
func (b *Batcher) lookAtMoney(ctx context.Context, s *Stored, facts *Facts) error {
	tip := facts.Chain.Tip
	flying := slices.DeleteFunc(slices.Clone(s.Anchors), func(a store.Anchor) bool { return a.State != store.Broadcast })
	b.lookForCoins(ctx, flying, tip)
	facts.Missing = b.missing
	// What is in flight is raised once a block.
	due := slices.ContainsFunc(flying, func(a store.Anchor) bool {
		return tip.Height > int32(a.Versions[len(a.Versions)-1].Tx.LockTime)
	})
	if !due && len(s.Batches) == 0 {
		return nil
	}
	feeCtx, cancel := context.WithTimeout(ctx, marketTimeout)
	defer cancel()
	var err error
	if facts.Market.Estimate, facts.Market.Floor, err = b.chain.FeeRates(feeCtx); err != nil {
		b.log.Debug("going by the last known fees", "estimate", facts.Market.Estimate, "floor", facts.Market.Floor, "err", err)
	}
	if b.policy.BudgetSats > 0 {
		if s.PaidSats, err = b.settledSats(ctx, tip.Height); err != nil {
			return err
		}
	}
	return nil
}

// lookForCoins asks the wallet, once a block, whether the coins of what is in flight are there.
func (b *Batcher) lookForCoins(ctx context.Context, flying []store.Anchor, tip store.Point) {
	maps.DeleteFunc(b.missing, func(id uint64, _ Missing) bool {
		return !slices.ContainsFunc(flying, func(a store.Anchor) bool { return a.ID == id })
	})
	if b.missingAt == tip {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	for _, a := range flying {
		gone, err := b.wallet.Gone(ctx, coins(a))
		if err != nil {
			b.log.Debug("could not look for an anchor's coins now", "anchor", a.ID, "err", err)
			return // asked again at the next step
		}
		before, known := b.missing[a.ID]
		some := func(missing []wire.OutPoint) bool {
			return slices.ContainsFunc(common(a), func(c wire.OutPoint) bool { return slices.Contains(missing, c) })
		}
		now := Missing{Coins: gone, Since: tip.Height}
		if known && some(before.Coins) && some(gone) {
			now.Since = min(before.Since, tip.Height)
		}
		if len(gone) == 0 {
			delete(b.missing, a.ID)
			continue
		}
		if !known {
			b.log.Warn("a reorganisation took a coin away that an anchor spends", "anchor", a.ID, "coins", gone)
		}
		b.missing[a.ID] = now
	}
	b.missingAt = tip
}

// settledSats returns what settled anchors paid that were mined in the last BudgetBlocks blocks.
func (b *Batcher) settledSats(ctx context.Context, tip int32) (sats int64, err error) {
	const page = 64
	// Anchors are mined in the order of their IDs, but for reorganisations.
	const disorder = 2 * WatchDepth
	for before := uint64(0); ; {
		anchors, err := b.store.Anchors(ctx, before, page)
		if err != nil {
			return 0, fmt.Errorf("read what anchors paid: %w", err)
		}
		for _, a := range anchors {
			before = a.ID
			switch {
			case a.State != store.Final || !a.Settled:
			case a.Block.Height <= tip-BudgetBlocks-disorder:
				return sats, nil
			case a.Block.Height > tip-BudgetBlocks:
				sats += Paid(a).FeeSats
			}
		}
		if len(anchors) < page || before == 1 {
			return sats, nil
		}
	}
}

// look compares the chain with the cursor and looks into the blocks that came. It returns nil while the light client is not synced.
func (b *Batcher) look(ctx context.Context, s Stored) (*ChainFacts, error) {
	if !b.chain.Synced() {
		return nil, nil
	}
	height, hash, err := b.chain.Best()
	if err != nil {
		return nil, fmt.Errorf("newest block: %w", err)
	}
	facts := &ChainFacts{Tip: store.Point{Height: height, Hash: hash}}
	points := s.Cursor.Points
	for facts.Active = len(points); facts.Active > 0; facts.Active-- {
		p := points[facts.Active-1]
		if p.Height > height {
			continue
		}
		at, err := b.chain.HashAt(p.Height)
		if err != nil {
			return nil, fmt.Errorf("block at height %d: %w", p.Height, err)
		}
		if at == p.Hash {
			break
		}
	}
	if facts.Active > 0 && points[facts.Active-1] == facts.Tip && facts.Active < len(points) {
		// The client is behind what it showed before (headers that are being synced anew), not on another branch.
		return nil, nil
	}

	// Nothing of ours can be in blocks older than the store, but a reorganisation may replace some of those.
	from := max(height-b.policy.buryDepth(), 0)
	fork := height
	if len(points) > 0 {
		fork = points[0].Height - 1
		if facts.Active > 0 {
			fork = points[facts.Active-1].Height
		}
		from = fork + 1
	}
	watch := watched(s.Anchors, fork)
	if len(watch) == 0 {
		from = max(from, height-store.CursorDepth+1) // nothing to look for: only remember the way
	}
	limit := store.CursorDepth
	if len(watch) > 0 {
		limit = scanBlocks
	}
	for h := from; h <= height && len(facts.Next) < limit; h++ {
		seen, err := b.lookAt(ctx, h, watch)
		if err != nil {
			if len(facts.Next) > 0 {
				b.log.Warn("stopped following for now", "height", h, "err", err)
				break // what was seen so far is progress
			}
			return nil, err
		}
		facts.Next = append(facts.Next, seen)
	}
	// The blocks were read one by one: what a reorganisation meanwhile took away must not be stored as a chain.
	for i, seen := range facts.Next {
		if at, err := b.chain.HashAt(seen.Height); err != nil || at != seen.Hash {
			facts.Next = facts.Next[:i]
			break
		}
	}
	return facts, nil
}

// watched returns the coins of anchors that are not mined at or below the fork: those that all versions spend, so that
// whatever is mined of an anchor, or instead of it, is seen.
func watched(anchors []store.Anchor, fork int32) map[wire.OutPoint]coin {
	watch := make(map[wire.OutPoint]coin)
	for _, a := range anchors {
		if a.Block != nil && a.Block.Height <= fork {
			continue
		}
		for i, at := range common(a) {
			watch[at] = coin{anchor: a, script: a.Versions[0].Prevouts[i].PkScript}
		}
	}
	return watch
}

// coin is one output that the versions of an anchor spend.
type coin struct {
	anchor store.Anchor
	script []byte
}

// lookAt finds what the block at height does to the watched coins. It goes by the coin spent, never by txid.
func (b *Batcher) lookAt(ctx context.Context, height int32, watch map[wire.OutPoint]coin) (BlockSeen, error) {
	hash, err := b.chain.HashAt(height)
	if err != nil {
		return BlockSeen{}, fmt.Errorf("block at height %d: %w", height, err)
	}
	seen := BlockSeen{Point: store.Point{Height: height, Hash: hash}}
	if len(watch) == 0 {
		return seen, nil
	}
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	scripts := make([][]byte, 0, len(watch))
	for _, c := range watch {
		scripts = append(scripts, c.script)
	}
	touched, err := b.chain.Touches(ctx, hash, scripts)
	if err != nil {
		return BlockSeen{}, fmt.Errorf("filter of block %d: %w", height, err)
	}
	if !touched {
		return seen, nil
	}
	block, err := b.chain.Block(ctx, hash)
	if err != nil {
		return BlockSeen{}, fmt.Errorf("block %d: %w", height, err)
	}
	seen.Spends, err = spends(block, height, watch)
	return seen, err
}

// spends finds the transactions of a block that spend watched coins, at most one for each anchor.
func spends(block *wire.MsgBlock, height int32, watch map[wire.OutPoint]coin) ([]Spend, error) {
	var out []Spend
	for i, tx := range block.Transactions {
		for _, in := range tx.TxIn {
			c, ok := watch[in.PreviousOutPoint]
			if !ok || slices.ContainsFunc(out, func(s Spend) bool { return s.Anchor == c.anchor.ID }) {
				continue
			}
			txid := tx.TxHash()
			branch, err := branchOf(block, i)
			if err != nil {
				return nil, fmt.Errorf("block %d: %w", height, err)
			}
			out = append(out, Spend{
				Anchor:  c.anchor.ID,
				Version: slices.IndexFunc(c.anchor.Versions, func(v store.Version) bool { return v.Tx.TxHash() == txid }),
				Block: store.Block{
					Height:  height,
					Hash:    block.BlockHash(),
					Header:  block.Header,
					TxIndex: uint32(i),
					Branch:  branch,
				},
			})
		}
	}
	return out, nil
}

// branchOf returns the siblings from a transaction up to the header's Merkle root, and checks that they lead there.
func branchOf(block *wire.MsgBlock, index int) ([]chainhash.Hash, error) {
	txids := make([][32]byte, len(block.Transactions))
	for i, tx := range block.Transactions {
		txids[i] = tx.TxHash()
	}
	siblings := proof.BlockBranch(txids, index)
	if root := proof.ClimbBlock(txids[index], siblings, uint32(index)); root != block.Header.MerkleRoot {
		return nil, fmt.Errorf("its transactions have the Merkle root %s, its header %s", chainhash.Hash(root), block.Header.MerkleRoot)
	}
	branch := make([]chainhash.Hash, len(siblings))
	for i, s := range siblings {
		branch[i] = s
	}
	return branch, nil
}

// perform stores what was decided, in one atomic change, and then does what reaches outside.
func (b *Batcher) perform(ctx context.Context, actions []Action) error {
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
		case Follow:
			dirty = true
			u.Cursor = &action.Cursor
		case Unmine:
			put(action.Anchor)
			then = append(then, func() error { b.unmined(ctx, action); return nil })
		case MarkMined:
			put(action.Anchor)
			then = append(then, func() error { b.mined(ctx, action.Anchor); return nil })
		case MarkSpent:
			put(action.Anchor)
			then = append(then, func() error { b.spent(action); return nil })
		case MarkFinal:
			put(action.Anchor)
			then = append(then, func() error { b.final(ctx, action.Anchor); return nil })
		case Settle:
			put(action.Anchor)
			then = append(then, func() error { b.release(ctx, keptChange(action.Anchor)); return nil })
		case Bury:
			put(action.Anchor)
			then = append(then, func() error { b.buried(ctx, action.Anchor); return nil })
		case Assign:
			dirty = true
			batch, err := b.store.Batch(ctx, action.Batch)
			if err != nil {
				return fmt.Errorf("read batch %d: %w", action.Batch, err)
			}
			batch.Anchor = action.Anchor
			u.Batches = append(u.Batches, batch)
			wake(b.paying) // what waits again need not wait for the next block
		case CloseBatch:
			then = append(then, func() error { _, err := b.committer.close(ctx, action.ID); return err })
		case SealBatch:
			then = append(then, func() error { return b.seal(ctx, action.Batch) })
		case OfferAnchor:
			then = append(then, func() error { b.offer(ctx, action.Anchor, action.Version); return nil })
		case Pay:
			then = append(then, func() error { return b.pay(ctx, action) })
		case Replace:
			then = append(then, func() error { return b.replace(ctx, action) })
		case Hold:
			b.hold("%s", action.Why)
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

func (b *Batcher) mined(ctx context.Context, a store.Anchor) {
	delete(b.offered, a.ID)
	b.log.Info("anchor mined", "anchor", a.ID, "version", a.Block.Version+1, "txid", Paid(a).Tx.TxHash(), "height", a.Block.Height, "batches", Paid(a).Batches)
	b.lease(ctx, a)
}

func (b *Batcher) spent(action MarkSpent) {
	a := action.Anchor
	delete(b.offered, a.ID)
	if action.Parent != 0 {
		b.log.Warn("an anchor cannot be mined any more: a reorganisation let another version of the one before it through, whose change it spent",
			"anchor", a.ID, "parent", action.Parent, "height", a.Block.Height)
		return
	}
	b.log.Error("another transaction spent an anchor's coin: were the wallet's words used elsewhere?", "anchor", a.ID, "height", a.Block.Height)
}

func (b *Batcher) final(ctx context.Context, a store.Anchor) {
	b.worry(worryReorg, "")
	b.log.Info("anchor final: its proofs are complete", "anchor", a.ID, "height", a.Block.Height, "batches", Paid(a).Batches)
	b.release(ctx, coins(a))
}

func (b *Batcher) buried(ctx context.Context, a store.Anchor) {
	b.log.Error("anchor given up: its coin is gone for good; its batches get another one", "anchor", a.ID, "batches", committed(a))
	b.release(ctx, coins(a))
}

func (b *Batcher) unmined(ctx context.Context, action Unmine) {
	a := action.Anchor
	if action.Was == store.Final {
		b.worry(worryReorg, fmt.Sprintf("a reorganisation of Bitcoin removed block %d, in which anchor %d was final: proofs of its batches %v must be fetched again once it is final again",
			action.Block.Height, a.ID, committed(a)))
	}
	b.log.Warn("a reorganisation removed an anchor's block: it is offered again", "anchor", a.ID, "height", action.Block.Height, "block", action.Block.Hash)
	b.lease(ctx, a)
}

// keptChange is the change of a mined version that left batches out: it has to pay for the next anchor, see decision.begin.
func keptChange(a store.Anchor) []wire.OutPoint {
	if a.State != store.Mined && a.State != store.Final || len(committed(a)) == len(Paid(a).Batches) {
		return nil
	}
	if change, _, ok := changeOf(Paid(a)); ok {
		return []wire.OutPoint{change}
	}
	return nil
}

// coins returns what the versions of an anchor spend.
func coins(a store.Anchor) []wire.OutPoint {
	var out []wire.OutPoint
	for _, v := range a.Versions {
		for _, in := range v.Tx.TxIn {
			if !slices.Contains(out, in.PreviousOutPoint) {
				out = append(out, in.PreviousOutPoint)
			}
		}
	}
	return out
}

// leaseAll keeps the coins of all anchors in flight from other uses: the wallet may have forgotten.
func (b *Batcher) leaseAll(ctx context.Context) error {
	anchors, err := b.store.Unsettled(ctx)
	if err != nil {
		return fmt.Errorf("read the anchors in flight: %w", err)
	}
	for _, a := range anchors {
		b.lease(ctx, a)
	}
	return nil
}

// lease keeps from other uses what an anchor needs. That it fails is no reason to stop: the wallet may be locked or not know the
// coin yet. It is repeated with each offer.
func (b *Batcher) lease(ctx context.Context, a store.Anchor) {
	keep := keptChange(a)
	if a.State == store.Broadcast {
		keep = coins(a)
	}
	if len(keep) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.Lease(ctx, keep); err != nil {
		b.log.Debug("could not lease an anchor's coins now", "anchor", a.ID, "err", err)
	}
}

// release gives coins back that no anchor in flight spends.
func (b *Batcher) release(ctx context.Context, coins []wire.OutPoint) {
	anchors, err := b.store.Unsettled(ctx)
	if err != nil {
		b.log.Debug("could not release coins", "err", err)
		return
	}
	for _, a := range anchors {
		if a.State != store.Broadcast {
			continue
		}
		for _, v := range a.Versions {
			coins = slices.DeleteFunc(coins, func(c wire.OutPoint) bool {
				return slices.ContainsFunc(v.Tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint == c })
			})
		}
	}
	if len(coins) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.Release(ctx, coins); err != nil {
		b.log.Debug("could not release coins", "coins", coins, "err", err)
	}
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
	now := Offer{Version: version, At: b.now(), Tip: store.Point{Height: height, Hash: hash}, Peers: peers, Failed: err != nil}
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
