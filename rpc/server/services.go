package server

import (
	"context"
	"io"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Services are the parts that the methods speak for. The first four are needed.
type Services struct {
	Batcher Batcher
	Chain   Chain
	Wallet  Wallet
	Node    Node

	// Backup writes one consistent moment of all that is stored, while everything goes on. nil:
	// there are no backups.
	Backup func(ctx context.Context, w io.Writer) error

	// Headers writes the headers of the active chain from the first block on, 80 bytes each. nil:
	// they cannot be had all at once.
	Headers func(ctx context.Context, w io.Writer) error

	// CalendarURI is the public address of the calendar, which receipts of version 4 name. Empty:
	// they name none.
	CalendarURI string
}

// Batcher is what the methods need of the batcher. Its own errors decide the code:
// [batcher.ErrBusy], [batcher.ErrUnknown], [batcher.ErrReadOnly].
type Batcher interface {
	// SubmitEach accepts all digests or none. When it returns nil they are durable, and answer was
	// called with the state of each, in their order. Neither keeps what it is given.
	SubmitEach(ctx context.Context, digests [][32]byte, answer func(*batcher.Status)) error

	// Status says where a digest is.
	Status(ctx context.Context, digest [32]byte) (batcher.Status, error)

	// Proof appends to dst a digest's proof, serialized, pending or complete.
	Proof(ctx context.Context, dst []byte, digest [32]byte) (ots []byte, st batcher.Status, complete bool, err error)

	// Timestamp is Proof for the leaf of a digest, which a pending proof calls its commitment. It
	// appends to dst the timestamp that leads from the leaf to the block; until that is final there
	// is none, and ok is false.
	Timestamp(ctx context.Context, dst []byte, leaf store.Leaf) (ts []byte, st batcher.LeafStatus, ok bool, err error)

	// Inclusion returns how a digest got into a block, for receipts. ok is false as long as its
	// anchor is not final.
	Inclusion(ctx context.Context, digest [32]byte) (a proof.Inclusion, st batcher.Status, ok bool, err error)

	// AppendPending appends the pending proof, in base64, of what SubmitEach answered. It touches
	// no disk.
	AppendPending(dst []byte, st *batcher.Status) []byte

	// CloseBatch seals the open batch now. False: nothing was open.
	CloseBatch(ctx context.Context) (st batcher.BatchStatus, closed bool, err error)

	// Batches returns up to limit batches, newest first, of numbers below before (0: from the
	// newest).
	Batches(ctx context.Context, before uint64, limit int) ([]batcher.BatchStatus, error)
	Batch(ctx context.Context, id uint64) (batcher.BatchStatus, error)

	// Anchors returns up to limit anchors, newest first, of numbers below before (0: from the
	// newest).
	Anchors(ctx context.Context, before uint64, limit int) ([]batcher.AnchorStatus, error)
	Anchor(ctx context.Context, id uint64) (batcher.AnchorStatus, error)
}

// Chain is what the methods need of the light client.
type Chain interface {
	// Best returns the newest block whose header and filter are both here.
	Best() (height int32, hash chainhash.Hash, err error)

	// HashAt returns the hash of the active chain's block at height. The server asks up to the
	// height of Best.
	HashAt(height int32) (chainhash.Hash, error)

	// HeaderAt returns the header of the active chain's block at height. The server asks up to the
	// height of Best.
	HeaderAt(height int32) (wire.BlockHeader, error)

	// Header returns a block's header and height. An error that wraps [ErrNoBlock] says that there
	// is no such block.
	Header(hash chainhash.Hash) (wire.BlockHeader, int32, error)

	// Fees tells what is known of the market for block space, and what an anchor would pay.
	Fees(ctx context.Context) (rpc.FeeEstimate, error)
}

// Wallet is what the methods need of the fee wallet. Its errors wrap the sentinels of this package
// ([ErrNoWallet], [ErrWalletLocked] …), and never hold the passphrase or the words.
//
// A passphrase is any bytes.
type Wallet interface {
	// Create makes a wallet. No words makes new ones; else they restore one, whose coins are looked
	// for from birthday on (the zero time: from the first block that could hold one).
	Create(ctx context.Context, passphrase string, words []string, birthday time.Time) (rpc.CreatedWallet, error)

	// Replace is Create where there may be a wallet that was never used.
	Replace(ctx context.Context, passphrase string, words []string, birthday time.Time) (rpc.CreatedWallet, error)

	// Unlock opens the wallet until the daemon stops.
	Unlock(ctx context.Context, passphrase string) error

	// NewAddress returns a fresh address.
	NewAddress(ctx context.Context) (string, error)

	Balance(ctx context.Context) (rpc.Balance, error)

	// Transactions returns up to count of them, newest first, after leaving out skip.
	Transactions(ctx context.Context, count, skip int) ([]rpc.Transaction, error)

	// Send pays sats to address. A fee rate of 0 is for the wallet to choose.
	Send(ctx context.Context, address string, sats, satPerVByte int64) (txid string, err error)
}

// Node is what the methods need of the daemon as a whole.
type Node interface {
	// Info fills in everything but UptimeSeconds.
	Info(ctx context.Context) (rpc.Info, error)
}
