package batcher

import (
	"context"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Chain is what the batcher needs of a Bitcoin client. No block is certain to stay: the next call
// may find another block at the same height.
type Chain interface {
	// Best returns the newest block whose header and filter are both stored.
	Best() (height int32, hash chainhash.Hash, err error)

	// HashAt returns the hash of the active chain's block at a height, which is at most that of
	// Best.
	HashAt(height int32) (chainhash.Hash, error)

	// Touches says whether the block may create or spend an output with one of the scripts. False
	// is certain (BIP157/158); if true, only the block itself can tell.
	Touches(ctx context.Context, block chainhash.Hash, scripts [][]byte) (bool, error)

	// Block fetches a whole block, checked against its header.
	Block(ctx context.Context, block chainhash.Hash) (*wire.MsgBlock, error)

	// Broadcast offers a transaction to the peers. A nil error proves nothing: only a block does.
	Broadcast(ctx context.Context, tx *wire.MsgTx) error

	// FeeRates returns what the blocks and the peers show of the market for block space, both in
	// sat/vB, both at least 1. estimate is what a transaction should pay to be mined soon, floor is
	// what the peers require to relay it. An error says why newer rates are not available; the
	// rates returned with it are the last known ones, and usable.
	FeeRates(ctx context.Context) (estimate, floor int64, err error)

	// Peers counts the connections to peers that were made since the process began. If it has
	// grown, there is a peer that was not offered anything yet. [Chain.Changes] has a value then
	// too.
	Peers() uint64

	// OfferWarning returns a warning about how the connected peers took a transaction: that they
	// refuse it, that none requests it, or that it pays less than each of them requires. txids are
	// that of the offered version, and of the versions before it, newest first. isNew says that the
	// version was made since the process began. If it is older, silence means nothing: peers that
	// have it say nothing.
	OfferWarning(txids []chainhash.Hash, satPerVByte int64, isNew bool) (w warning.Warning, ok bool)

	// Synced reports whether Best is close enough to the network's newest block to act on it.
	Synced() bool

	// Changes returns a channel that has a value whenever the newest block may have changed since
	// the last receive. stop releases it.
	Changes() (changed <-chan struct{}, stop func())
}

// Order describes the version that the wallet has to build.
type Order struct {
	Root        [32]byte // for its OP_RETURN
	SatPerVByte int64
	LockTime    uint32 // the newest block's height

	// Coins have to be spent, leased or not, as the first inputs and in this order. The wallet adds
	// others if they are not enough. Prevouts are the outputs that they are. Both come from a
	// stored version: the one to be replaced, or the mined one whose change goes into the next
	// anchor. If there are none, the wallet chooses.
	Coins    []wire.OutPoint
	Prevouts []*wire.TxOut

	// Change is the script for the change: that of the version to be replaced. Nil asks for a fresh
	// address.
	Change []byte
}

// Wallet is what the batcher needs of the fee wallet. It does not remember a transaction of ours
// before it is mined.
type Wallet interface {
	// BuildAnchor builds and signs a version: output 0 is OP_RETURN <root>, output 1 change unless
	// it would be dust, inputs are confirmed P2WPKH coins with sequence 0xfffffffd. The coins are
	// leased for some minutes, so that nothing else takes them before the version is stored. It
	// broadcasts nothing and remembers nothing else.
	//
	// prevouts are what the inputs spend, so the fee is their sum minus the sum of the outputs. An
	// error that implements [Shortage] says that coins are missing. One that implements [Taken]
	// says that a mined transaction spent a coin of the order.
	BuildAnchor(ctx context.Context, o Order) (tx *wire.MsgTx, prevouts []*wire.TxOut, err error)

	// Gone returns those of the coins that no block of the active chain creates. A reorganisation
	// removed their transactions, and they were not mined again, or others were mined in their
	// place. A coin that is spent is not gone. An error says that the wallet cannot know now,
	// because it is not at the newest block.
	Gone(ctx context.Context, coins []wire.OutPoint) (gone []wire.OutPoint, err error)

	// LeaseOnly makes these the only leased coins, at each start. It releases all other coins that
	// were leased before the process began, but none that this process leases. This holds even if
	// it fails: then only the change is not stored.
	LeaseOnly(ctx context.Context, coins []wire.OutPoint) error

	// Lease keeps coins from every other use until Release. It may be called repeatedly for the
	// same coins.
	Lease(ctx context.Context, coins []wire.OutPoint) error

	// Release gives coins back. It is no error if one is not leased.
	Release(ctx context.Context, coins []wire.OutPoint) error

	// Ready returns nil if BuildAnchor can work. Otherwise its error tells the operator what to do
	// (no wallet yet, locked, still syncing).
	Ready() error
}

// Shortage is implemented by errors that say that the wallet cannot pay.
type Shortage interface {
	error
	// MissingSats is how much has to be deposited for the anchor of the order.
	MissingSats() int64
}

// Taken is implemented by errors that say that mined transactions spent coins of an order.
type Taken interface {
	error
	TakenCoins() []wire.OutPoint
}
