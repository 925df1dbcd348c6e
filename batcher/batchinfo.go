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

// maxBatchInfos is how many batches are cached, of some 2 kB each: those of sixteen months, with
// the interval of six hours.
const maxBatchInfos = 2048

// batchInfo is what the answers about all digests of a batch have in common. It is read once and
// cached; only the leaf and its path are looked up for each digest. It is never changed, and
// neither is what it refers to.
type batchInfo struct {
	batch    store.Batch
	progress Progress // with the confirmations of when it was read, see withConfirmations

	// Of a final batch.
	inclusion *proof.Inclusion // its Path is empty
	complete  *proof.CompleteWriter
	err       error // why they are missing
}

// lookup is a stored leaf, and its batch.
type lookup struct {
	place store.Place
	info  *batchInfo
}

// lookUp returns where a leaf is stored, and its batch. ErrUnknown if it is not stored.
func (b *Batcher) lookUp(ctx context.Context, leaf store.Leaf) (l lookup, err error) {
	if l.place, err = b.store.Locate(ctx, leaf); err != nil {
		return l, fmt.Errorf("look up a digest: %w", err)
	}
	if l.place.Position.Batch == 0 {
		return l, ErrUnknown
	}
	l.info, err = b.loadBatch(ctx, l.place.Position.Batch)
	return l, err
}

// lookUpDigest is lookUp for a digest, with its status.
func (b *Batcher) lookUpDigest(ctx context.Context, digest [32]byte) (st Status, l lookup, err error) {
	st = Status{Digest: digest, Nonce: b.nonces.Nonce(digest[:])}
	l, err = b.lookUp(ctx, proof.Leaf(digest[:], st.Nonce))
	st.Position = l.place.Position
	switch {
	case errors.Is(err, ErrUnknown):
		return st, l, fmt.Errorf("digest %x: %w", digest, err)
	case err != nil:
		return st, l, err
	}
	st.Progress = b.withConfirmations(l.info.progress)
	return st, l, nil
}

// loadBatch returns a batch from the cache, or reads it.
func (b *Batcher) loadBatch(ctx context.Context, id uint64) (*batchInfo, error) {
	if info, ok := b.infos.Get(id); ok {
		return info, nil
	}
	generation := b.infos.Generation() // before anything is read
	info, err := b.readBatch(ctx, id)
	if err != nil {
		return nil, err
	}
	if info.batch.State == store.Sealed && info.err == nil { // other batches change without a Suspend
		b.infos.Put(id, info, generation)
	}
	return info, nil
}

func (b *Batcher) readBatch(ctx context.Context, id uint64) (*batchInfo, error) {
	batch, err := b.batch(ctx, id)
	if err != nil {
		return nil, err
	}
	info := &batchInfo{batch: batch}
	if batch.State == store.Open || batch.Anchor == 0 {
		info.progress, err = b.progress(ctx, batch)
		return info, err
	}
	anchor, err := b.anchor(ctx, batch.Anchor)
	if err != nil {
		return nil, err
	}
	info.progress = b.anchorProgress(anchor)
	if info.progress.State == Final {
		info.err = b.loadInclusion(ctx, info, &anchor)
	}
	return info, nil
}

// loadInclusion adds to info the steps from the root of the batch to the header of the block that
// its anchor is in.
func (b *Batcher) loadInclusion(ctx context.Context, info *batchInfo, anchor *store.Anchor) error {
	version := decide.Current(*anchor)
	which := slices.Index(version.Batches, info.batch.ID)
	if which < 0 {
		return fmt.Errorf("the mined version of anchor %d does not commit to batch %d", anchor.ID, info.batch.ID)
	}
	roots := make([][32]byte, len(version.Batches))
	for i, id := range version.Batches {
		sibling, err := b.batch(ctx, id)
		if err != nil {
			return err
		}
		roots[i] = sibling.Root
	}
	info.inclusion = &proof.Inclusion{
		RootPath:   proof.Path(roots, which),
		Tx:         stripped(version.Tx),
		TxIndex:    anchor.Block.TxIndex,
		Height:     uint64(anchor.Block.Height),
		MerkleRoot: anchor.Block.Header.MerkleRoot,
	}
	for _, h := range anchor.Block.Branch {
		info.inclusion.Branch = append(info.inclusion.Branch, h)
	}
	var err error
	if info.complete, err = proof.NewCompleteWriter(info.batch.Root, *info.inclusion); err != nil {
		return fmt.Errorf("proofs of batch %d: %w", info.batch.ID, err)
	}
	return nil
}

// progress returns how far a batch is on its way into the chain.
func (b *Batcher) progress(ctx context.Context, batch store.Batch) (Progress, error) {
	switch {
	case batch.State == store.Open:
		return Progress{State: Open}, nil
	case batch.Anchor == 0:
		return Progress{State: Sealed}, nil
	}
	anchor, err := b.anchor(ctx, batch.Anchor)
	if err != nil {
		return Progress{}, err
	}
	return b.anchorProgress(anchor), nil
}

func (b *Batcher) anchorProgress(a store.Anchor) Progress {
	p := Progress{Anchor: a.ID, State: Broadcast, TxID: decide.Current(a).Tx.TxHash()}
	switch a.State {
	case store.Mined:
		p.State = Mined
	case store.Final:
		p.State = Final
	default: // in flight, or lost: not mined either way
		return p
	}
	p.Height, p.BlockHash, p.BlockTime = a.Block.Height, a.Block.Hash, a.Block.Header.Timestamp.UTC()
	return b.withConfirmations(p)
}

// withConfirmations returns p with the confirmations that it has now.
func (b *Batcher) withConfirmations(p Progress) Progress {
	if p.Height != 0 {
		p.Confirmations = b.confirmations(p.Height)
	}
	return p
}

// confirmations returns how many of the blocks followed a block is under, its own included.
func (b *Batcher) confirmations(height int32) int32 { return max(b.tip.Load()-height+1, 1) }

// batch reads a batch from the store.
func (b *Batcher) batch(ctx context.Context, id uint64) (store.Batch, error) {
	batch, err := b.store.Batch(ctx, id)
	if err != nil {
		err = fmt.Errorf("read batch %d: %w", id, err)
	}
	return batch, err
}

// anchor reads an anchor from the store.
func (b *Batcher) anchor(ctx context.Context, id uint64) (store.Anchor, error) {
	anchor, err := b.store.Anchor(ctx, id)
	if err != nil {
		err = fmt.Errorf("read anchor %d: %w", id, err)
	}
	return anchor, err
}
