package decide

import (
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/wire/v2"
)

// Stored is what the store holds about unfinished work.
type Stored struct {
	Batches []store.Batch  // without an anchor, oldest first; the open one is last
	Anchors []store.Anchor // not settled, oldest first
	Owned   []store.Batch  // all that versions of those anchors commit to, by rising ID
	Cursor  store.Cursor   // how far the chain was followed

	// PaidSats is what settled anchors paid that were mined within BudgetBlocks. It is needed only
	// if there is a budget.
	PaidSats int64
}

// Facts is what was observed of the world just before a decision.
type Facts struct {
	Now     time.Time
	OpenFor time.Duration // how long the open batch has taken digests, by the clock that advanced further

	// Chain is what the chain shows beyond Stored.Cursor. It is nil in a step that only seals, and
	// while the light client is not synced. Nothing that depends on blocks is decided then.
	Chain *ChainFacts

	// Market is the price of block space. The zero value says that nobody looked at prices or at
	// earlier payments, because no payment seemed to be due. Nothing is paid then. Batches that
	// this step frees are paid for in the next step.
	Market Market

	// Damaged are batches whose leaves no longer hash to their root: nothing is paid for them.
	Damaged map[uint64]bool

	// Taken are coins that the wallet refused to spend, because a mined transaction that this store
	// does not know spends them.
	Taken map[wire.OutPoint]bool

	// Missing are the coins of anchors in flight that no block of the active chain creates.
	Missing map[uint64]Missing

	// Offered says when and at which tip this process last offered each anchor. It is empty after a
	// start, so that everything in flight is offered again.
	Offered map[uint64]Offer
	Peers   uint64 // connections to peers made so far
}

// Missing says which coins of an anchor are in no block. Since is the height from which on at least
// one of its common inputs has been missing.
type Missing struct {
	Coins []wire.OutPoint
	Since int32
}

// ChainFacts compares the chain with a cursor.
type ChainFacts struct {
	Tip    store.Point
	Active int         // how many of the cursor's points, from the oldest, are still on the active chain
	Next   []BlockSeen // what follows the last of those, oldest first; it may stop before Tip
}

// BlockSeen is one block, and what it does to the coins of anchors.
type BlockSeen struct {
	store.Point
	Spends []Spend
}

// Spend is a transaction in a block that spends a coin of an anchor that is not mined.
type Spend struct {
	Anchor  uint64
	Version int         // the index of the version that it is; -1: none of them
	Block   store.Block // with the branch if it is a version

	// Adopted is set if the transaction is none of the stored versions and yet ours: a version that
	// was made after the backup from which this store was restored.
	Adopted *store.Version
}

// Offer says when, at which tip and to which peers a version of an anchor was last offered.
type Offer struct {
	Version int
	Since   store.Point // the tip at the first of the uninterrupted offers of this version
	At      time.Time
	Tip     store.Point
	Peers   uint64 // Facts.Peers just before
	Failed  bool   // no peer took it
}
