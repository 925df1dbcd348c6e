package batcher

import (
	"context"
	"errors"
	"fmt"
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
	facts := Facts{Now: b.now(), Offered: b.offered}
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
	if len(s.Batches) == 0 {
		b.worry(worryPay, "")
	}
	actions := Decide(s, facts, b.policy)
	if err := b.perform(ctx, actions); err != nil {
		return false, err
	}
	if n := len(facts.Chain.Next); n > 0 {
		more = facts.Chain.Next[n-1].Point != facts.Chain.Tip
	}
	return more, nil
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
	return s, nil
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

	from := height // a new store begins at the tip: nothing of ours can be in older blocks
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

// watched returns the coins of anchors that are not mined at or below the fork.
func watched(anchors []store.Anchor, fork int32) map[wire.OutPoint]coin {
	watch := make(map[wire.OutPoint]coin)
	for _, a := range anchors {
		if a.Block != nil && a.Block.Height <= fork {
			continue
		}
		for _, v := range a.Versions {
			for i, in := range v.Tx.TxIn {
				watch[in.PreviousOutPoint] = coin{anchor: a, script: v.Prevouts[i].PkScript}
			}
		}
	}
	return watch
}

// coin is one output that a version of an anchor spends.
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
			if err := b.free(ctx, &u, action.Anchor.ID, action.Freed); err != nil {
				return err
			}
			then = append(then, func() error { b.mined(action.Anchor); return nil })
		case MarkSpent:
			put(action.Anchor)
			then = append(then, func() error {
				b.log.Error("another transaction spent an anchor's coin: were the wallet's words used elsewhere?",
					"anchor", action.Anchor.ID, "height", action.Anchor.Block.Height)
				return nil
			})
		case MarkFinal:
			put(action.Anchor)
			then = append(then, func() error { b.final(ctx, action.Anchor); return nil })
		case Settle:
			put(action.Anchor)
		case Bury:
			put(action.Anchor)
			if err := b.free(ctx, &u, action.Anchor.ID, action.Freed); err != nil {
				return err
			}
			then = append(then, func() error { b.buried(ctx, action); return nil })
		case CloseBatch:
			then = append(then, func() error { _, err := b.committer.close(ctx, action.ID); return err })
		case SealBatch:
			then = append(then, func() error { return b.seal(ctx, action.Batch) })
		case OfferAnchor:
			then = append(then, func() error { b.offer(ctx, action.Anchor); return nil })
		case Pay:
			then = append(then, func() error { return b.pay(ctx, action.Batches) })
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

// free returns batches of an anchor to those that wait for one.
func (b *Batcher) free(ctx context.Context, u *store.Update, anchor uint64, ids []uint64) error {
	for _, id := range ids {
		batch, err := b.store.Batch(ctx, id)
		if err != nil {
			return fmt.Errorf("read batch %d: %w", id, err)
		}
		if batch.Anchor == anchor {
			batch.Anchor = 0
			u.Batches = append(u.Batches, batch)
		}
	}
	return nil
}

func (b *Batcher) mined(a store.Anchor) {
	delete(b.offered, a.ID)
	b.log.Info("anchor mined", "anchor", a.ID, "txid", a.Versions[a.Block.Version].Tx.TxHash(), "height", a.Block.Height)
}

func (b *Batcher) final(ctx context.Context, a store.Anchor) {
	b.worry(worryReorg, "")
	b.log.Info("anchor final: its proofs are complete", "anchor", a.ID, "height", a.Block.Height, "batches", a.Versions[a.Block.Version].Batches)
	b.release(ctx, a)
}

func (b *Batcher) buried(ctx context.Context, action Bury) {
	b.log.Error("anchor given up: its coin went elsewhere; its batches get another one", "anchor", action.Anchor.ID, "batches", action.Freed)
	b.release(ctx, action.Anchor)
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
		if a.State == store.Broadcast {
			b.lease(ctx, a)
		}
	}
	return nil
}

// lease failing is no reason to stop: the wallet may be locked or not know the coin yet. It is repeated with each offer.
func (b *Batcher) lease(ctx context.Context, a store.Anchor) {
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.Lease(ctx, coins(a)); err != nil {
		b.log.Debug("could not lease an anchor's coins now", "anchor", a.ID, "err", err)
	}
}

func (b *Batcher) release(ctx context.Context, a store.Anchor) {
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	if err := b.wallet.Release(ctx, coins(a)); err != nil {
		b.log.Debug("could not release an anchor's coins", "anchor", a.ID, "err", err)
	}
}

// offer broadcasts the newest version of an anchor that is stored.
func (b *Batcher) offer(ctx context.Context, a store.Anchor) {
	b.lease(ctx, a)
	height, hash, err := b.chain.Best()
	if err != nil {
		b.log.Warn("could not offer an anchor", "anchor", a.ID, "err", err)
		return
	}
	v := a.Versions[len(a.Versions)-1]
	txid := v.Tx.TxHash()
	last, before := b.offered[a.ID]
	err = b.chain.Broadcast(ctx, v.Tx)
	b.offered[a.ID] = Offer{At: b.now(), Tip: store.Point{Height: height, Hash: hash}, Failed: err != nil}
	switch {
	case err != nil && (!before || !last.Failed):
		b.log.Warn("peers did not take an anchor; it will be offered again", "anchor", a.ID, "txid", txid, "err", err)
	case err == nil && (!before || last.Failed):
		b.log.Info("anchor broadcast", "anchor", a.ID, "txid", txid, "fee_sats", v.FeeSats, "batches", v.Batches)
	}
}
