package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// ErrUnknownMark is returned for a mark that this store never gave: it is that of another store, or
// this one was replaced by an older copy of itself since. The reader must begin again, with the
// zero Mark.
var ErrUnknownMark = errors.New("this store never gave that place in the feed of changes")

// Progress is how far a batch is on its way into the chain. Two states that mean the same to those
// outside are one here.
type Progress struct {
	State       BatchState  // Open, or Sealed: a closed batch counts as sealed
	Anchor      uint64      // 0: none yet
	AnchorState AnchorState // of that anchor: Mined, Final, or Broadcast in every other state
	Height      int32       // where it was mined; 0: nowhere
	Block       chainhash.Hash
}

// ProgressOf returns the progress of a batch. a is the anchor that b names, nil if it names none or
// if that is not stored.
func ProgressOf(b *Batch, a *Anchor) Progress {
	p := Progress{State: Sealed, Anchor: b.Anchor}
	switch {
	case b.State == Open:
		return Progress{State: Open}
	case b.Anchor == 0:
		return p
	case a != nil && (a.State == Mined || a.State == Final):
		p.AnchorState, p.Height, p.Block = a.State, a.Block.Height, a.Block.Hash
	default:
		p.AnchorState = Broadcast
	}
	return p
}

// Change is one entry of the feed of changes: from this write on, the batch was this far.
type Change struct {
	Batch uint64
	Progress
}

// Mark is a place in the feed of changes: behind the changes of one write. The zero Mark is the
// beginning.
//
// The tag depends on all changes up to there. A store that lost its newest writes and then got
// others gives other tags, so it does not take a mark of the lost ones for one of its own.
type Mark struct {
	Write uint64 // number of the write
	Tag   [8]byte
}

// Changes returns what a group adds to the feed of changes: batches that are opened or closed.
// newest is the newest batch that is stored before it, the zero Batch if there is none.
func (a *Append) Changes(newest Batch) []Change {
	var changes []Change
	for i := range a.Batches {
		b := &a.Batches[i]
		now := ProgressOf(b, nil)
		if b.ID == newest.ID && now == ProgressOf(&newest, nil) {
			continue
		}
		changes = append(changes, Change{b.ID, now})
	}
	return changes
}

// Changes returns what an update adds to the feed of changes, by rising ID of the batches. batch
// and anchor return what is stored before the update, or [ErrNotFound].
func (u *Update) Changes(batch func(id uint64) (Batch, error), anchor func(id uint64) (Anchor, error)) ([]Change, error) {
	before := lookups{batch, anchor}
	after := before.with(u)
	ids := make(map[uint64]bool)
	for i := range u.Batches {
		ids[u.Batches[i].ID] = true
	}
	for i := range u.Anchors {
		a := &u.Anchors[i]
		old, err := before.anchor(a.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("anchor %d: %w", a.ID, err)
		}
		if err == nil && sameProgress(&old, a) {
			continue
		}
		for j := range a.Versions {
			for _, id := range a.Versions[j].Batches {
				ids[id] = true
			}
		}
	}
	var changes []Change
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		was, err := before.progress(id)
		if errors.Is(err, ErrNotFound) {
			continue // a version may name what is not stored
		}
		if err != nil {
			return nil, err
		}
		now, err := after.progress(id)
		if err != nil {
			return nil, err
		}
		if now != was {
			changes = append(changes, Change{id, now})
		}
	}
	return changes, nil
}

// sameProgress reports whether the batches of an anchor are as far with a as with b.
func sameProgress(a, b *Anchor) bool {
	batch := Batch{State: Sealed, Anchor: a.ID}
	return ProgressOf(&batch, a) == ProgressOf(&batch, b)
}

// lookups is how batches and anchors are found, before or after an update.
type lookups struct {
	batch  func(id uint64) (Batch, error)
	anchor func(id uint64) (Anchor, error)
}

// with returns the lookups after u.
func (l lookups) with(u *Update) lookups {
	batches := make(map[uint64]*Batch, len(u.Batches))
	for i := range u.Batches {
		batches[u.Batches[i].ID] = &u.Batches[i]
	}
	anchors := make(map[uint64]*Anchor, len(u.Anchors))
	for i := range u.Anchors {
		anchors[u.Anchors[i].ID] = &u.Anchors[i]
	}
	return lookups{
		batch: func(id uint64) (Batch, error) {
			if b := batches[id]; b != nil {
				return *b, nil
			}
			return l.batch(id)
		},
		anchor: func(id uint64) (Anchor, error) {
			if a := anchors[id]; a != nil {
				return *a, nil
			}
			return l.anchor(id)
		},
	}
}

// progress returns how far the batch with an ID is.
func (l lookups) progress(id uint64) (Progress, error) {
	b, err := l.batch(id)
	if err != nil {
		return Progress{}, fmt.Errorf("batch %d: %w", id, err)
	}
	if b.Anchor == 0 {
		return ProgressOf(&b, nil), nil
	}
	a, err := l.anchor(b.Anchor)
	if errors.Is(err, ErrNotFound) {
		return ProgressOf(&b, nil), nil
	}
	if err != nil {
		return Progress{}, fmt.Errorf("anchor %d: %w", b.Anchor, err)
	}
	return ProgressOf(&b, &a), nil
}
