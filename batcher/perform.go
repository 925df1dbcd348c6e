package batcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/wake"
	"ancre/internal/warning"
)

// perform stores what was decided, in one atomic update, and then does what reaches outside the
// store.
func (b *Batcher) perform(ctx context.Context, actions []decide.Action) error {
	var u store.Update
	for _, action := range actions {
		if err := b.record(ctx, &u, action); err != nil {
			return err
		}
	}
	if u.Cursor != nil || len(u.Anchors) > 0 || len(u.Batches) > 0 {
		if err := b.apply(ctx, &u); err != nil {
			return err
		}
	}
	var errs []error
	for _, action := range actions {
		if err := b.act(ctx, action); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// record adds to u what an action changes in the store.
func (b *Batcher) record(ctx context.Context, u *store.Update, action decide.Action) error {
	switch action := action.(type) {
	case decide.Follow:
		u.Cursor = &action.Cursor
	case decide.Unmine:
		putAnchor(u, action.Anchor)
	case decide.MarkMined:
		putAnchor(u, action.Anchor)
	case decide.MarkSpent:
		putAnchor(u, action.Anchor)
	case decide.MarkFinal:
		putAnchor(u, action.Anchor)
	case decide.Settle:
		putAnchor(u, action.Anchor)
	case decide.Abandon:
		putAnchor(u, action.Anchor)
	case decide.Assign:
		batch, err := b.batch(ctx, action.Batch)
		if err != nil {
			return err
		}
		batch.Anchor = action.Anchor
		u.Batches = append(u.Batches, batch)
	case decide.Hold:
		b.hold(action.Warning) // before act, where a payment that fails may have a reason too
	}
	return nil
}

// putAnchor adds an anchor to u. If an earlier action of the step changed it too, the later one has
// both changes.
func putAnchor(u *store.Update, a store.Anchor) {
	if i := slices.IndexFunc(u.Anchors, func(x store.Anchor) bool { return x.ID == a.ID }); i >= 0 {
		u.Anchors[i] = a
	} else {
		u.Anchors = append(u.Anchors, a)
	}
}

// act does what an action does outside the update of record.
func (b *Batcher) act(ctx context.Context, action decide.Action) error {
	switch action := action.(type) {
	case decide.CloseBatch:
		_, err := b.committer.close(ctx, action.ID)
		return err
	case decide.SealBatch:
		return b.seal(ctx, action.Batch)
	case decide.Follow, decide.Hold:
	case decide.Unmine:
		b.afterUnmine(ctx, action)
	case decide.MarkMined:
		b.afterMined(ctx, action.Anchor)
	case decide.MarkSpent:
		b.afterSpent(action)
	case decide.MarkFinal:
		b.afterFinal(ctx, action.Anchor)
	case decide.Settle:
		b.release(ctx, decide.ReservedChange(action.Anchor))
	case decide.Abandon:
		b.afterAbandon(ctx, action.Anchor)
	case decide.Assign:
		wake.Up(b.paying) // a batch that waits again need not wait for the next block
	case decide.OfferAnchor:
		b.offer(ctx, action.Anchor, action.Version)
	case decide.Pay:
		return b.pay(ctx, action)
	case decide.Replace:
		return b.replace(ctx, action)
	default:
		return fmt.Errorf("action %T is not known", action)
	}
	return nil
}

func (b *Batcher) afterMined(ctx context.Context, a store.Anchor) {
	delete(b.offered, a.ID)
	v := decide.Current(a)
	b.log.Info("anchor mined", "anchor", a.ID, "version", a.Block.Version+1, "txid", v.Tx.TxHash(), "height", a.Block.Height, "batches", v.Batches)
	b.lease(ctx, a)
}

func (b *Batcher) afterSpent(action decide.MarkSpent) {
	a := action.Anchor
	delete(b.offered, a.ID)
	if action.Parent != 0 {
		b.log.Warn("an anchor can no longer be mined: it spends the change of a version of its parent, and a reorganisation had another version mined",
			"anchor", a.ID, "parent", action.Parent, "height", a.Block.Height)
		return
	}
	b.log.Error("another transaction spent an anchor's coin: are the wallet's words in use elsewhere?", "anchor", a.ID, "height", a.Block.Height)
}

func (b *Batcher) afterFinal(ctx context.Context, a store.Anchor) {
	b.board.Clear(warning.Reorganisation)
	v := decide.Current(a)
	b.tally.paid(v.FeeSats)
	b.log.Info("anchor final: its proofs are complete", "anchor", a.ID, "height", a.Block.Height, "batches", v.Batches)
	b.release(ctx, decide.Inputs(a))
}

func (b *Batcher) afterAbandon(ctx context.Context, a store.Anchor) {
	b.log.Error("anchor abandoned: its coin is lost; its batches get another anchor", "anchor", a.ID, "batches", decide.AllBatches(a))
	b.release(ctx, decide.Inputs(a))
}

func (b *Batcher) afterUnmine(ctx context.Context, action decide.Unmine) {
	a := action.Anchor
	if action.Was == store.Final {
		b.warn(warning.Reorganisation, fmt.Sprintf("a reorganisation of Bitcoin removed block %d, in which anchor %d was final: fetch the proofs of its batches %v again once it is final again",
			action.Block.Height, a.ID, decide.AllBatches(a)))
	}
	b.log.Warn("a reorganisation removed an anchor's block: it is offered again", "anchor", a.ID, "height", action.Block.Height, "block", action.Block.Hash)
	b.lease(ctx, a)
}

// offer broadcasts a stored version of an anchor.
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
		b.log.Warn("no peer took an anchor; it will be offered again", "anchor", a.ID, "txid", txid, "err", err)
	case err == nil && (!before || last.Failed):
		b.log.Info("anchor broadcast", "anchor", a.ID, "txid", txid, "fee_sats", v.FeeSats, "batches", v.Batches)
	}
}
