package batcher

import (
	"context"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Chain is what the batcher needs of a Bitcoin client. Nothing in it promises that a block stays:
// whoever asks twice may find another one at the same height.
type Chain interface {
	// Best returns the newest block whose header and filter are both here.
	Best() (height int32, hash chainhash.Hash, err error)

	// HashAt returns the hash of the active chain's block at height, at most that of Best.
	HashAt(height int32) (chainhash.Hash, error)

	// Touches says whether the block may create or spend an output with one of the scripts. False
	// is certain (BIP157/158); true asks for a look at the block.
	Touches(ctx context.Context, block chainhash.Hash, scripts [][]byte) (bool, error)

	// Block fetches a whole block, checked against its header.
	Block(ctx context.Context, block chainhash.Hash) (*wire.MsgBlock, error)

	// Broadcast offers a transaction to the peers. A nil error promises nothing: only a block is an
	// answer.
	Broadcast(ctx context.Context, tx *wire.MsgTx) error

	// FeeRates tells what the blocks and the peers alone show of the market for block space, both
	// in sat/vB, both at least 1: estimate is what a transaction should pay to be mined soon, floor
	// what the peers ask for to pass it on. Beside an error, which says why newer rates could not
	// be had, they are the last known, and fit for use.
	FeeRates(ctx context.Context) (estimate, floor int64, err error)

	// Peers counts the connections to peers that were made since the process began: it grows when a
	// peer came that has not been offered anything yet, and [Chain.Changes] has a value then too.
	Peers() uint64

	// OfferWarning says what a person should know about how the connected peers took a transaction:
	// that they refuse it, that none asks for it, that it pays less than each asks for. txids are
	// that of the version that is offered, and of those before it, newest first. isNew says that it
	// was made since the process began: about an older one silence means nothing, as peers that
	// have it say nothing.
	OfferWarning(txids []chainhash.Hash, satPerVByte int64, isNew bool) (w warning.Warning, ok bool)

	// Synced reports whether Best is near enough to the network's newest block to act on it.
	Synced() bool

	// Changes returns a channel that has a value whenever the newest block may have changed since
	// the last receive. stop releases it.
	Changes() (changed <-chan struct{}, stop func())
}

// Order is what a version is to be.
type Order struct {
	Root        [32]byte // for its OP_RETURN
	SatPerVByte int64
	LockTime    uint32 // the newest block's height

	// Coins have to be spent, leased or not, as the first inputs and in this order; the wallet adds
	// others where they are not enough. Prevouts are the outputs that they are. Both come from a
	// version that was signed and stored before: the one to be replaced, or the mined one whose
	// change goes into the next anchor. None: the wallet chooses.
	Coins    []wire.OutPoint
	Prevouts []*wire.TxOut

	// Change is the script for the change: that of the version to be replaced. Nil: a fresh
	// address.
	Change []byte
}

// Wallet is what the batcher needs of the fee wallet. It keeps no transaction of ours in mind until
// that is mined.
type Wallet interface {
	// BuildAnchor builds and signs a version: output 0 is OP_RETURN <root>, output 1 change unless
	// it would be dust, inputs are confirmed P2WPKH coins with sequence 0xfffffffd. The coins are
	// leased for some minutes, so that nothing else takes them before the version is stored. It
	// broadcasts nothing and remembers nothing else.
	//
	// prevouts are what the inputs spend, so the fee is their sum less that of the outputs. An
	// error that implements [Shortage] says that coins are missing, one that implements [Taken]
	// that a coin of the order is spent by what is mined.
	BuildAnchor(ctx context.Context, o Order) (tx *wire.MsgTx, prevouts []*wire.TxOut, err error)

	// Gone returns those of the coins that no block of the active chain creates: a reorganisation
	// took their transactions away, and they are not mined again so far, or others were mined in
	// their place. A coin that is spent is not gone. An error says that the wallet cannot tell now,
	// because it is not at the newest block.
	Gone(ctx context.Context, coins []wire.OutPoint) (gone []wire.OutPoint, err error)

	// LeaseOnly makes these the only coins that are leased, at each start: it gives back whatever
	// else was leased before the process began. The leases of this process count from the call on,
	// also when it fails, which only means that they are not stored.
	LeaseOnly(ctx context.Context, coins []wire.OutPoint) error

	// Lease keeps coins from every other use until Release. It may be called again for the same
	// coins.
	Lease(ctx context.Context, coins []wire.OutPoint) error

	// Release gives coins back. One that is not leased is no error.
	Release(ctx context.Context, coins []wire.OutPoint) error

	// Ready returns nil when BuildAnchor can work, else an error that tells a person what to do
	// about it (no wallet yet, locked, still syncing).
	Ready() error
}

// Shortage is implemented by errors that say that the wallet cannot pay.
type Shortage interface {
	error
	// MissingSats is how much has to be deposited for the anchor that was asked for.
	MissingSats() int64
}

// Taken is implemented by errors that say that coins which had to be spent are spent already, by
// transactions that are mined.
type Taken interface {
	error
	TakenCoins() []wire.OutPoint
}
