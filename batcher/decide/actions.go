package decide

import (
	"ancre/batcher/store"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/wire/v2"
)

// Action is one thing to do. Actions are performed in order. Those that only change what is stored
// are written first, together, in one atomic update.
type Action interface{ action() }

type (
	// CloseBatch ends the open batch: its time is over.
	CloseBatch struct{ ID uint64 }
	// SealBatch computes the root of a closed batch and stores it.
	SealBatch struct{ Batch store.Batch }

	// Follow sets how far the chain was followed.
	Follow struct{ Cursor store.Cursor }
	// Unmine returns an anchor to Broadcast: the block that it was in, or that spent its coin, left
	// the chain.
	Unmine struct {
		Anchor store.Anchor // as it is afterwards
		Was    store.AnchorState
		Block  store.Block // the one that left
	}
	// MarkMined records the block that an anchor is in.
	MarkMined struct{ Anchor store.Anchor }
	// MarkSpent records that an anchor cannot be mined on this chain. Either another transaction
	// spent its coin, or its coin is the change of a version of another anchor that lost against
	// another version of that anchor.
	MarkSpent struct {
		Anchor store.Anchor
		Parent uint64 // that other anchor; 0: a transaction that is not ours took the coin
	}
	// MarkFinal records that an anchor is deep enough.
	MarkFinal struct{ Anchor store.Anchor }
	// Settle ends the watch over an anchor that is final.
	Settle struct{ Anchor store.Anchor }
	// Abandon gives up an anchor that can no longer be mined.
	Abandon struct{ Anchor store.Anchor }
	// Assign records which anchor commits to a batch now; 0: the batch waits for one again.
	Assign struct{ Batch, Anchor uint64 }

	// OfferAnchor broadcasts a stored version of an anchor.
	OfferAnchor struct {
		Anchor  store.Anchor
		Version int
	}
	// Pay builds a new anchor, stores it, and then offers it.
	Pay struct{ Payment }
	// Replace builds a version that replaces the one of Anchor with index Before, stores it, and
	// then offers it. The new version commits to the batches of the old one and to Batches. If it
	// cannot be built now and Offer is set, the old version is offered again.
	Replace struct {
		Payment
		Anchor store.Anchor
		Before int
		Offer  bool
	}
	// Hold tells the operator why something is not paid, or not paid better.
	Hold struct{ warning.Warning }
)

// Payment describes the version to be built.
type Payment struct {
	Batches     []store.Batch // in addition to those of the version that it replaces
	SatPerVByte int64
	MinFeeSats  int64 // the fee of the version that it replaces, and of own later anchors that the replacement evicts; 0: replaces nothing
	MaxFeeSats  int64 // what the caps leave

	Coins    []wire.OutPoint // that it has to spend
	Prevouts []*wire.TxOut
	Change   []byte // the script for the change; nil: a fresh address
}

func (CloseBatch) action()  {}
func (SealBatch) action()   {}
func (Follow) action()      {}
func (Unmine) action()      {}
func (MarkMined) action()   {}
func (MarkSpent) action()   {}
func (MarkFinal) action()   {}
func (Settle) action()      {}
func (Abandon) action()     {}
func (Assign) action()      {}
func (OfferAnchor) action() {}
func (Pay) action()         {}
func (Replace) action()     {}
func (Hold) action()        {}
