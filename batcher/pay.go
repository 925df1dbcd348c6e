package batcher

import (
	"context"
	"errors"
	"fmt"

	"ancre/batcher/store"
	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
)

// pay makes one anchor for all batches, stores it, and only then offers it. What cannot be paid now is no
// failure: it is said, and tried again at the next step.
func (b *Batcher) pay(ctx context.Context, batches []store.Batch) error {
	if err := b.wallet.Ready(); err != nil {
		b.worry(worryPay, fmt.Sprintf("%d sealed %s for an anchor: %v", len(batches), plural(len(batches), "batch waits", "batches wait"), err))
		return nil
	}
	version, err := b.build(ctx, batches)
	if err != nil {
		b.worry(worryPay, fmt.Sprintf("%d sealed %s for an anchor: %v", len(batches), plural(len(batches), "batch waits", "batches wait"), err))
		return nil
	}
	// One flipped bit in a stored leaf would make proofs that can never verify: look before money is spent.
	for _, batch := range batches {
		if err := b.check(ctx, batch); err != nil {
			b.discard(ctx, version.Tx)
			b.worry(worryPay, err.Error())
			return err
		}
	}
	newest, err := b.store.Anchors(ctx, 0, 1)
	if err != nil {
		b.discard(ctx, version.Tx)
		return fmt.Errorf("read the newest anchor: %w", err)
	}
	anchor := store.Anchor{ID: 1, State: store.Broadcast, Versions: []store.Version{version}, Created: version.Created}
	if len(newest) > 0 {
		anchor.ID = newest[0].ID + 1
	}
	u := store.Update{Anchors: []store.Anchor{anchor}}
	for _, batch := range batches {
		batch.Anchor = anchor.ID
		u.Batches = append(u.Batches, batch)
	}
	if err := b.apply(ctx, &u); err != nil {
		// Not released: whether the anchor is stored is known after the next start, which leases what is.
		return fmt.Errorf("store anchor %d: %w", anchor.ID, err)
	}
	b.worry(worryPay, "")
	b.log.Info("anchor stored", "anchor", anchor.ID, "txid", version.Tx.TxHash(), "batches", version.Batches,
		"fee_sats", version.FeeSats, "sat_per_vbyte", version.SatPerVByte)
	b.offer(ctx, anchor)
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// build has the wallet make and sign a version within the caps. The coins of what it returns are leased for some minutes.
func (b *Batcher) build(ctx context.Context, batches []store.Batch) (store.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	version := store.Version{Created: b.now().UTC()}
	roots := make([][32]byte, len(batches))
	for i, batch := range batches {
		roots[i] = batch.Root
		version.Batches = append(version.Batches, batch.ID)
	}
	version.Root = proof.Root(roots)

	rate, _, err := b.chain.FeeRates(ctx)
	if err != nil {
		// A rate may stand beside the error, but a payment that is not raised later should not be made on a guess.
		return version, fmt.Errorf("no fee estimate: %w", err)
	}
	version.SatPerVByte = min(max(rate, 1), b.policy.MaxFeeRate)
	for {
		if err := b.sign(ctx, &version); err != nil {
			return version, err
		}
		if version.FeeSats <= b.policy.MaxFeeSats {
			return version, nil
		}
		// Many inputs make it larger than usual: pay a lower rate rather than more than allowed.
		b.discard(ctx, version.Tx)
		lower := b.policy.MaxFeeSats / vsize(version.Tx)
		if lower < 1 || lower >= version.SatPerVByte {
			return version, fmt.Errorf("its fee would be %d sats at %d sat/vB, and anchor.max_fee allows %d: raise it, or wait for lower fees",
				version.FeeSats, version.SatPerVByte, b.policy.MaxFeeSats)
		}
		version.SatPerVByte = lower
	}
}

// sign has the wallet build a version at its rate, and checks what came back before anything is stored or sent.
func (b *Batcher) sign(ctx context.Context, v *store.Version) (err error) {
	v.Tx, v.Prevouts, err = b.wallet.BuildAnchor(ctx, Order{Root: v.Root, SatPerVByte: v.SatPerVByte, LockTime: uint32(b.tip.Load())})
	if err != nil {
		return err
	}
	if len(v.Prevouts) != len(v.Tx.TxIn) {
		b.discard(ctx, v.Tx)
		return fmt.Errorf("the wallet told %d of the %d coins that it spends", len(v.Prevouts), len(v.Tx.TxIn))
	}
	v.FeeSats = 0
	for _, out := range v.Prevouts {
		v.FeeSats += out.Value
	}
	for _, out := range v.Tx.TxOut {
		v.FeeSats -= out.Value
	}
	if root, err := proof.Commitment(stripped(v.Tx)); err != nil || root != v.Root {
		b.discard(ctx, v.Tx)
		return errors.Join(errors.New("the wallet built a transaction that does not commit to the anchor root"), err)
	}
	return nil
}

// discard gives back the coins of a version that is not stored.
func (b *Batcher) discard(ctx context.Context, tx *wire.MsgTx) {
	b.release(ctx, store.Anchor{Versions: []store.Version{{Tx: tx}}})
}

// vsize returns the virtual size of a signed transaction (BIP141): three parts without witnesses to one with them.
func vsize(tx *wire.MsgTx) int64 {
	return int64(3*tx.SerializeSizeStripped()+tx.SerializeSize()+3) / 4
}
