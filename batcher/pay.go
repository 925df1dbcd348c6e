package batcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/humanize"
	"ancre/internal/txsize"
	"ancre/internal/wake"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
)

// pay makes one anchor for all batches, stores it, and only then offers it. If it cannot be paid
// now, the step does not fail: a warning says why, and the next step tries again.
func (b *Batcher) pay(ctx context.Context, p decide.Pay) error {
	version, err := b.version(ctx, p.Payment, nil)
	if err != nil {
		b.hold(warning.New(kindOf(err), "%s: %v", decide.Waiting(len(p.Batches)), err))
		return failure(err)
	}
	newest, err := b.store.Anchors(ctx, 0, 1)
	if err != nil {
		b.releaseAdded(ctx, version.Tx, p.Coins)
		return fmt.Errorf("read the newest anchor: %w", err)
	}
	anchor := store.Anchor{ID: 1, State: store.Broadcast, Created: version.Created}
	if len(newest) > 0 {
		anchor.ID = newest[0].ID + 1
	}
	return b.send(ctx, anchor, version, p.Batches)
}

// replace makes a version that pays more and also commits to newer batches. If it cannot be made
// now, the version before stays.
func (b *Batcher) replace(ctx context.Context, r decide.Replace) error {
	version, err := b.version(ctx, r.Payment, &r.Anchor.Versions[r.Before])
	if err != nil {
		b.hold(warning.New(kindOf(err), "anchor %d is not mined yet and should pay more: %v", r.Anchor.ID, err))
		if r.Offer {
			b.offer(ctx, r.Anchor, r.Before)
		}
		return failure(err)
	}
	return b.send(ctx, r.Anchor, version, r.Batches)
}

// send stores a version, assigns it the batches that are new with it, and offers it.
func (b *Batcher) send(ctx context.Context, a store.Anchor, v store.Version, batches []store.Batch) error {
	a.Versions = append(slices.Clone(a.Versions), v)
	u := store.Update{Anchors: []store.Anchor{a}}
	for _, batch := range batches {
		batch.Anchor = a.ID
		u.Batches = append(u.Batches, batch)
	}
	if err := b.apply(ctx, &u); err != nil {
		// Its coins stay leased. Whether the version is stored is known at the next start, which
		// leases the coins of stored versions alone.
		return fmt.Errorf("store version %d of anchor %d: %w", len(a.Versions), a.ID, err)
	}
	event := "anchor stored"
	if len(a.Versions) > 1 {
		event = "anchor replaced"
	}
	b.log.Info(event, "anchor", a.ID, "version", len(a.Versions), "txid", v.Tx.TxHash(), "batches", v.Batches,
		"fee_sats", v.FeeSats, "sat_per_vb", v.SatPerVByte)
	b.offer(ctx, a, len(a.Versions)-1)
	return nil
}

// failure returns err if the step must fail with it. Any other error of a payment is a reason to
// wait.
func failure(err error) error {
	if errors.Is(err, store.ErrFailed) {
		return err
	}
	return nil
}

// reason is an error that a warning of some kind reports.
type reason struct {
	error
	kind *warning.Kind
}

func (r reason) Unwrap() error { return r.error }

func capped(format string, args ...any) error {
	return reason{fmt.Errorf(format, args...), warning.FeeCap}
}

// kindOf returns the kind of warning that reports why a version could not be made.
func kindOf(err error) *warning.Kind {
	var known reason
	var short Shortage
	switch {
	case errors.As(err, &known):
		return known.kind
	case errors.As(err, &short):
		return warning.WalletShort
	case errors.Is(err, store.ErrDamaged):
		return warning.Damage
	}
	return warning.Payment
}

// version has the wallet build and sign a version within the caps. The version replaces before,
// unless before is nil. The wallet leases its coins for some minutes.
func (b *Batcher) version(ctx context.Context, p decide.Payment, before *store.Version) (v store.Version, err error) {
	if err := b.wallet.Ready(); err != nil {
		return v, reason{err, warning.Wallet}
	}
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	v.Created = b.now().UTC()
	var roots [][32]byte
	if before != nil {
		v.Batches = slices.Clone(before.Batches)
		for _, id := range before.Batches {
			batch, err := b.batch(ctx, id)
			if err != nil {
				return v, err
			}
			roots = append(roots, batch.Root)
		}
	}
	for _, batch := range p.Batches {
		if !slices.Contains(v.Batches, batch.ID) {
			roots, v.Batches = append(roots, batch.Root), append(v.Batches, batch.ID)
		}
	}
	v.Root = proof.Root(roots)
	if err := b.price(ctx, &v, p, before); err != nil {
		if taken := Taken(nil); errors.As(err, &taken) {
			for _, coin := range taken.TakenCoins() {
				b.taken[coin] = true
			}
			wake.Up(b.paying) // the next step does without it
		}
		return v, err
	}
	// Check the leaves before money is spent.
	for _, batch := range p.Batches {
		if err := b.checkRoot(ctx, batch); err != nil {
			b.releaseAdded(ctx, v.Tx, p.Coins)
			if errors.Is(err, store.ErrDamaged) {
				b.damaged[batch.ID] = true // the next step pays for the others
				b.warn(warning.Damage, err.Error())
				wake.Up(b.paying)
			}
			return v, err
		}
	}
	return v, nil
}

// price finds a rate at which the version pays as much as it must and no more than it may, and has
// it signed at that rate. If the wallet is short, the version pays less than it should, as long as
// that is of use.
func (b *Batcher) price(ctx context.Context, v *store.Version, p decide.Payment, before *store.Version) error {
	const tries = 32                                          // each one corrects one thing: what it must pay, what it may, what the wallet can, or a size that changed
	least, expected := int64(1), int64(txsize.SmallestAnchor) // rate and size
	if before != nil {
		least, expected = before.SatPerVByte+1, txsize.VSize(before.Tx)
	}
	most := min(b.policy.MaxFeeRate, max(p.MaxFeeSats/expected, least))
	rate := min(p.SatPerVByte, most)
	var missing error // that the wallet is short of paying what it should
	for range tries {
		v.SatPerVByte = rate
		err := b.sign(ctx, v, p)
		if short := Shortage(nil); errors.As(err, &short) {
			if missing == nil {
				missing = err
			}
			if rate <= least {
				return missing
			}
			most = rate - 1
			rate = least + (rate-least)/2
			continue
		}
		if err != nil {
			return err
		}
		size, owed := txsize.VSize(v.Tx), int64(0)
		if before != nil {
			// It must pay more than all that it evicts, and a better rate than what it replaces
			// (BIP125, rules 3 and 4).
			owed = max(p.MinFeeSats+size*decide.MinRelayIncrement, before.FeeSats*size/txsize.VSize(before.Tx)+1)
		}
		// Change that would be dust goes to the fee, and counts.
		allowed := min(p.MaxFeeSats, b.policy.MaxFeeRate*size)
		if v.FeeSats >= owed && v.FeeSats <= allowed {
			return nil
		}
		b.releaseAdded(ctx, v.Tx, p.Coins)
		switch {
		case owed > allowed:
			return capped("its fee has to be %s, and the caps allow %s (anchor.max_fee, anchor.max_feerate, anchor.monthly_budget): raise them, or wait", humanize.Sats(owed), humanize.Sats(allowed))
		case v.FeeSats < owed:
			rate = max(rate+1, (owed+size-1)/size)
		default:
			// Many inputs make it larger than usual, or its change would be dust. Pay a lower rate,
			// not more than allowed.
			most = min(most, allowed/size, rate-1)
			if _, _, change := decide.Change(*v); !change {
				most = min(most, (v.FeeSats-txsize.DustLimit)/(size+txsize.Change))
			}
			rate = most
		}
		if missing != nil {
			return missing // the wallet can pay no rate that is of use
		}
		if rate < least || rate > most {
			return capped("its fee would be %s at %d sat/vB, and the caps allow %s (anchor.max_fee, anchor.monthly_budget) and %d sat/vB (anchor.max_feerate): raise them, or wait for lower fees",
				humanize.Sats(v.FeeSats), v.SatPerVByte, humanize.Sats(p.MaxFeeSats), b.policy.MaxFeeRate)
		}
	}
	return capped("found no fee between the least that it has to be and the %s that the caps allow: send bitcoin to the wallet, so that fewer coins are needed", humanize.Sats(p.MaxFeeSats))
}

// sign has the wallet build a version at its rate, and checks it before it is stored or sent.
func (b *Batcher) sign(ctx context.Context, v *store.Version, p decide.Payment) (err error) {
	v.Tx, v.Prevouts, err = b.wallet.BuildAnchor(ctx, Order{
		Root:        v.Root,
		SatPerVByte: v.SatPerVByte,
		LockTime:    uint32(b.tip.Load()),
		Coins:       p.Coins,
		Prevouts:    p.Prevouts,
		Change:      p.Change,
	})
	if err != nil {
		return err
	}
	if len(v.Prevouts) != len(v.Tx.TxIn) || len(v.Prevouts) < len(p.Coins) {
		b.releaseAdded(ctx, v.Tx, p.Coins)
		return fmt.Errorf("the wallet returned %d previous outputs for the %d inputs of its transaction", len(v.Prevouts), len(v.Tx.TxIn))
	}
	for i, coin := range p.Coins {
		if v.Tx.TxIn[i].PreviousOutPoint != coin {
			b.releaseAdded(ctx, v.Tx, p.Coins)
			return fmt.Errorf("the wallet built a transaction that does not spend coin %s: it could be mined beside the one that it replaces", coin)
		}
	}
	v.FeeSats = 0
	for _, out := range v.Prevouts {
		v.FeeSats += out.Value
	}
	for _, out := range v.Tx.TxOut {
		v.FeeSats -= out.Value
	}
	if root, err := proof.Commitment(stripped(v.Tx)); err != nil || root != v.Root {
		b.releaseAdded(ctx, v.Tx, p.Coins)
		return errors.Join(errors.New("the wallet built a transaction that does not commit to the anchor root"), err)
	}
	return nil
}

// releaseAdded gives back the coins of a version that is not stored, except those that it was
// given.
func (b *Batcher) releaseAdded(ctx context.Context, tx *wire.MsgTx, given []wire.OutPoint) {
	var added []wire.OutPoint
	for _, in := range tx.TxIn {
		if !slices.Contains(given, in.PreviousOutPoint) {
			added = append(added, in.PreviousOutPoint)
		}
	}
	b.release(ctx, added)
}

// stripped serializes a transaction without its witnesses. Its txid is the hash of these bytes.
func stripped(tx *wire.MsgTx) []byte {
	var buf bytes.Buffer
	buf.Grow(tx.SerializeSizeStripped())
	if err := tx.SerializeNoWitness(&buf); err != nil {
		panic(err) // a bytes.Buffer takes every write
	}
	return buf.Bytes()
}
