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

// Services are the parts of the daemon that the methods serve. The first four are required.
type Services struct {
	Batcher Batcher
	Chain   Chain
	Wallet  Wallet
	Node    Node

	// Backup writes a consistent snapshot of the store, while the daemon keeps working. nil: there
	// are no backups.
	Backup func(ctx context.Context, w io.Writer) error

	// Backups keeps what clients report of backups. nil: the daemon keeps nothing.
	Backups Backups

	// Headers writes the headers of the active chain, 80 bytes each from the first block on. nil:
	// there is no such download.
	Headers func(ctx context.Context, w io.Writer) error

	// CalendarURI is the public address of the calendar. Receipts of version 4 name it; if it is
	// empty, they name none.
	CalendarURI string
}

// Batcher is what the methods need of the batcher. Its errors decide the code of the answer:
// [batcher.ErrBusy], [batcher.ErrUnknown], [batcher.ErrReadOnly].
type Batcher interface {
	// SubmitEach accepts all digests or none. When it returns nil, they are durable, and it has
	// called answer with the state of each, in their order. SubmitEach does not keep digests, and
	// answer does not keep the state.
	SubmitEach(ctx context.Context, digests [][32]byte, answer func(*batcher.Status)) error

	// Status returns where a digest is.
	Status(ctx context.Context, digest [32]byte) (batcher.Status, error)

	// Proof appends the serialized proof of a digest to dst, pending or complete.
	Proof(ctx context.Context, dst []byte, digest [32]byte) (ots []byte, st batcher.Status, complete bool, err error)

	// Timestamp is Proof for the leaf of a digest, which a pending proof calls its commitment. It
	// appends to dst the timestamp from the leaf to the block. Until the block is final there is
	// none, and ok is false.
	Timestamp(ctx context.Context, dst []byte, leaf store.Leaf) (ts []byte, st batcher.LeafStatus, ok bool, err error)

	// Inclusion returns the path from a digest to its block, for receipts. ok is false until its
	// anchor is final.
	Inclusion(ctx context.Context, digest [32]byte) (a proof.Inclusion, st batcher.Status, ok bool, err error)

	// AppendPending appends the pending proof of a state from SubmitEach, in base64. It reads no
	// disk.
	AppendPending(dst []byte, st *batcher.Status) []byte

	// CloseBatch seals the open batch now. closed is false if no batch was open.
	CloseBatch(ctx context.Context) (st batcher.BatchStatus, closed bool, err error)

	// WaitChanges returns the changes behind a cursor, and waits for some if there are none.
	WaitChanges(ctx context.Context, cursor string, limit int, timeout time.Duration) (batcher.Changes, error)

	// Batches returns up to limit batches, newest first, with numbers below before (0: from the
	// newest).
	Batches(ctx context.Context, before uint64, limit int) ([]batcher.BatchStatus, error)
	Batch(ctx context.Context, id uint64) (batcher.BatchStatus, error)

	// Anchors returns up to limit anchors, newest first, with numbers below before (0: from the
	// newest).
	Anchors(ctx context.Context, before uint64, limit int) ([]batcher.AnchorStatus, error)
	Anchor(ctx context.Context, id uint64) (batcher.AnchorStatus, error)
}

// Chain is what the methods need of the light client.
type Chain interface {
	// Best returns the newest block whose header and filter are known.
	Best() (height int32, hash chainhash.Hash, err error)

	// HashAt returns the hash of the block at a height of the active chain, up to that of Best.
	HashAt(height int32) (chainhash.Hash, error)

	// HeaderAt returns the header of the block at a height of the active chain, up to that of Best.
	HeaderAt(height int32) (wire.BlockHeader, error)

	// Header returns the header and height of a block. An error that wraps [headers.ErrNotFound]
	// says that there is no such block.
	Header(hash chainhash.Hash) (wire.BlockHeader, int32, error)

	// Fees returns the price of block space and what an anchor would pay.
	Fees(ctx context.Context) (rpc.FeeEstimate, error)
}

// Wallet is what the methods need of the fee wallet. Its errors wrap the sentinels of this package
// ([ErrNoWallet], [ErrWalletLocked] …), and never hold the passphrase or the words.
//
// A passphrase is any bytes.
type Wallet interface {
	// Create makes a wallet. Without words it makes a new one. With words it restores one, and
	// looks for its coins from birthday on (the zero time: from the first block that could hold
	// one).
	Create(ctx context.Context, passphrase string, words []string, birthday time.Time) (rpc.CreatedWallet, error)

	// Replace is Create, and replaces a wallet that was never used.
	Replace(ctx context.Context, passphrase string, words []string, birthday time.Time) (rpc.CreatedWallet, error)

	// Unlock opens the wallet until the daemon stops.
	Unlock(ctx context.Context, passphrase string) error

	// ChangePassphrase changes the passphrase.
	ChangePassphrase(ctx context.Context, old, new string) (rpc.ChangedPassphrase, error)

	// NewAddress returns a new address, and how much to send there.
	NewAddress(ctx context.Context) (rpc.Address, error)

	Balance(ctx context.Context) (rpc.Balance, error)

	// Transactions returns up to count of them, newest first, after leaving out skip.
	Transactions(ctx context.Context, count, skip int) ([]rpc.Transaction, error)

	// Send pays sats to an address, or everything that can be spent ([rpc.All]). If the fee rate is
	// 0, the wallet chooses one. If dry is true, it only says what it would pay.
	Send(ctx context.Context, address string, sats, satPerVByte int64, dry bool) (rpc.Payment, error)
}

// Backups is what the methods need of the daemon's record of backups.
type Backups interface {
	// Done records a backup that is complete.
	Done(b rpc.LastBackup) error

	// Failed records why an unattended backup failed.
	Failed(reason string) error
}

// Node is what the methods need of the daemon as a whole.
type Node interface {
	// Info fills in everything but UptimeSeconds.
	Info(ctx context.Context) (rpc.Info, error)

	// TestNotify runs the command that tells of warnings. Its error says that there is none; that
	// the command failed is no error.
	TestNotify(ctx context.Context) (rpc.NotifyTest, error)
}
