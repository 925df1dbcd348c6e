package batcher

import (
	"context"
	"fmt"
	"slices"

	"ancre/batcher/store"
	"ancre/proof"
)

// SubmitEach accepts digests. When it returns nil, each digest is on disk, in exactly one batch,
// and answer was called once for each, in their order, with its status. A digest that was accepted
// before keeps its place, and answer gets its present status. SubmitEach is all or nothing: if it
// returns an error, ignore what answer was called with. Errors are ErrBusy, or wrap ErrReadOnly.
//
// answer must not keep its argument: the next status is written over it. SubmitEach does not keep
// the digests.
//
// If ctx ends first, the digests may or may not have been accepted. Submitting them again is always
// safe.
func (b *Batcher) SubmitEach(ctx context.Context, digests [][32]byte, answer func(*Status)) error {
	if len(digests) == 0 {
		return nil
	}
	s := b.committer.submission()
	s.nonces, s.leaves = slices.Grow(s.nonces, len(digests)), slices.Grow(s.leaves, len(digests))
	for i := range digests {
		nonce := b.nonces.Nonce(digests[i][:])
		s.nonces = append(s.nonces, nonce)
		s.leaves = append(s.leaves, proof.Leaf(digests[i][:], nonce))
	}
	if err := b.committer.accept(ctx, s); err != nil {
		return err
	}
	defer b.committer.release(s)
	var sealed map[uint64]Progress // of batches that digests were in before
	for i := range digests {
		st := &s.status
		*st = Status{Digest: digests[i], Nonce: s.nonces[i], Position: s.at[i], Progress: Progress{State: Open}, New: s.isNew(s.at[i])}
		if id := st.Position.Batch; id < s.open {
			p, ok := sealed[id]
			if !ok {
				info, err := b.loadBatch(ctx, id)
				if err != nil {
					return err
				}
				if p = b.withConfirmations(info.progress); sealed == nil {
					sealed = make(map[uint64]Progress)
				}
				sealed[id] = p
			}
			st.Progress = p
		}
		answer(st)
	}
	return nil
}

// AppendPending appends to dst the pending proof of an accepted digest, in base64. It does not
// touch the disk.
func (b *Batcher) AppendPending(dst []byte, st *Status) []byte {
	return b.pending.AppendBase64(dst, &st.Digest, &st.Nonce)
}

// MaxMessage is the longest message that is accepted, in bytes. It is the limit of the reference
// calendar server: clients send a digest of any hash function, or the root of a tree of digests.
const MaxMessage = 64

// SubmitMessage accepts one message of 0 to [MaxMessage] bytes, as SubmitEach accepts digests. A
// message of 32 bytes is the same thing as that digest. It appends to dst the serialized timestamp
// of the message that a calendar answers: it ends at our promise to complete it.
//
// Errors are those of SubmitEach, and one for a message that is too long.
func (b *Batcher) SubmitMessage(ctx context.Context, dst, message []byte) ([]byte, error) {
	if len(message) > MaxMessage {
		return dst, fmt.Errorf("the message is %d bytes long, at most %d are allowed", len(message), MaxMessage)
	}
	nonce := b.nonces.Nonce(message)
	s := b.committer.submission()
	s.leaves = append(s.leaves, proof.Leaf(message, nonce))
	if err := b.committer.accept(ctx, s); err != nil {
		return dst, err
	}
	b.committer.release(s)
	return b.pending.AppendTimestamp(dst, nonce), nil
}

// CloseBatch closes the open batch and waits until it is sealed. closed is false if no digest came
// since the last batch was closed.
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
