package batcher

import (
	"errors"
	"time"

	"ancre/batcher/store"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
)

var (
	// ErrBusy is returned if the queue of digests is full. Nothing was accepted. The caller should
	// try again in a second.
	ErrBusy = errors.New("too many digests are waiting to be written: try again in a second")

	// ErrUnknown is returned for a digest, batch or anchor that was never accepted here.
	ErrUnknown = errors.New("not known here")

	// ErrReadOnly is wrapped if the store takes no writes (a full disk, a failed sync). What was
	// accepted can still be read.
	ErrReadOnly = errors.New("the store is read-only")
)

// State is how far a digest, or its batch, is on its way into the chain.
type State string

const (
	Open      State = "open"      // in the batch that takes digests
	Sealed    State = "sealed"    // its batch never changes again, and waits for an anchor
	Broadcast State = "broadcast" // an anchor that commits to it is offered to the network
	Mined     State = "mined"     // that anchor is in a block
	Final     State = "final"     // under enough blocks: its proof is complete
)

// Progress is how far a batch, and with it each of its digests, is on its way into the chain.
type Progress struct {
	State         State
	Anchor        uint64 // 0: none yet
	TxID          chainhash.Hash
	Height        int32 // 0: not mined
	BlockHash     chainhash.Hash
	BlockTime     time.Time
	Confirmations int32
}

// Status is where one digest is.
type Status struct {
	Digest   [32]byte
	Nonce    [32]byte
	Position store.Position
	Progress Progress
	New      bool // set by SubmitEach: the digest was not known before
}

// LeafStatus is where one leaf is, for a caller that does not know its message.
type LeafStatus struct {
	Leaf     store.Leaf
	Position store.Position
	Progress Progress
}

// BatchStatus is where one batch is.
type BatchStatus struct {
	Batch    store.Batch
	Progress Progress
	Closes   time.Time // of the open batch: when it is closed at the latest
}

// AnchorStatus is where one anchor is.
type AnchorStatus struct {
	Anchor        store.Anchor
	Confirmations int32
}

// Overview is what getinfo reports of the batcher.
type Overview struct {
	Open      *BatchStatus // nil: no digest since the last batch was sealed
	Digests   uint64       // accepted since the store was created
	Waiting   int          // sealed batches without an anchor
	Broadcast int          // anchors that are still followed, by state
	Mined     int
	Final     int
	Anchors   uint64 // ever made

	PaidSats   int64 // what anchors paid that were mined in the last decide.BudgetBlocks blocks
	BudgetSats int64 // what they may pay, with those in flight; 0: no such bound
	Lately     Activity

	Warnings []warning.Warning // about batches that are late or could become late

	Batches       BatchCounts
	Versions      int       // of the anchors in flight
	OldestUnmined time.Time // when the oldest batch that is in no block was closed; zero: there is none
	OldestPending time.Time // when the oldest batch that is not final was closed; zero: there is none
}

// Activity is how much was anchored lately, in at most the last decide.BudgetBlocks blocks.
type Activity struct {
	Batches int   // that are in a block
	Blocks  int32 // how far back that goes: to the first anchor, if that is younger
}

// BatchCounts is how many batches are in each state, of all that there ever were.
type BatchCounts struct {
	Open, Sealed, Broadcast, Mined, Final uint64
}
