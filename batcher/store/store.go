// Package store says what must survive a crash: leaves, batches, anchors and how far the chain has
// been followed. It holds the types and the contract; each engine implements [Store] natively in a
// package of its own, and the suite in storetest is what an engine must pass.
//
// Digests are not stored. A leaf is SHA256(digest ‖ HMAC-SHA256(key, digest)), so the
// digest and the store key together find the leaf, and a stolen store names nothing that was
// submitted.
package store

import (
	"context"
	"errors"
	"time"

	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var (
	// ErrNotFound is returned when what was asked for is not stored.
	ErrNotFound = errors.New("not found")

	// ErrFailed is wrapped by every error after which the store must not be used any more: a write
	// or a sync went wrong, and what is on disk is unknown until the process starts again.
	ErrFailed = errors.New("the store failed and the process must be restarted")

	// ErrFull is wrapped when there was no room: nothing was written, reading goes on, and a later
	// write may succeed.
	ErrFull = errors.New("no space left for the store")

	// ErrInvalid is wrapped when a write contradicts what is stored, or itself: the caller is
	// wrong, nothing was written, and the store goes on.
	ErrInvalid = errors.New("not a valid change of the store")

	// ErrClosed is what everything returns after Close.
	ErrClosed = errors.New("the store is closed")

	// ErrDamaged is wrapped when what was read is not what was written. The message names the key
	// and what was expected.
	ErrDamaged = errors.New("the store is damaged")
)

// Leaf is SHA256(digest ‖ nonce): what a batch commits to, and the key under which a digest is
// found again.
type Leaf = [32]byte

// Position is where a leaf stands. It never changes.
type Position struct {
	Batch uint64 // from 1
	Index uint64 // from 0, in order of arrival
}

// BatchState names how far a batch is by itself; from Sealed on, its anchor says the rest.
type BatchState string

const (
	Open   BatchState = "open"   // takes leaves
	Closed BatchState = "closed" // takes none; its root is being computed
	Sealed BatchState = "sealed" // root known; never changes again
)

// Batch is an ordered run of leaves. IDs rise by one; exactly one batch is open once the first leaf
// has come.
type Batch struct {
	ID     uint64     `json:"id"`
	State  BatchState `json:"state"`
	Count  uint64     `json:"count"`            // leaves
	Opened time.Time  `json:"opened"`           // when its first leaf came
	Closed time.Time  `json:"closed,omitzero"`  // when it stopped taking leaves
	Root   [32]byte   `json:"root"`             // once Sealed
	Anchor uint64     `json:"anchor,omitempty"` // the anchor whose newest version commits to it; 0: waits for one
}

// AnchorState names the states of the persisted machine broadcast → mined → final.
type AnchorState string

const (
	Broadcast AnchorState = "broadcast" // stored, and offered to the network until mined
	Mined     AnchorState = "mined"     // one version is in a block of the active chain
	Final     AnchorState = "final"     // mined, deep enough that its proofs are complete
	Spent     AnchorState = "spent"     // since Block its coin is gone: spent by none of its versions, or the change of a version that lost
	Dead      AnchorState = "dead"      // for good: it can never be mined, its batches wait again
)

// Version is one signed transaction of an anchor.
type Version struct {
	Tx          *wire.MsgTx   // signed, with witnesses
	Prevouts    []*wire.TxOut // what its inputs spend, in their order: values and scripts
	Batches     []uint64      // what Root commits to, in the order of their leaves in it
	Root        [32]byte      // the anchor root in its OP_RETURN
	SatPerVByte int64         // the fee rate it was built for
	FeeSats     int64
	Created     time.Time
}

// Block is where an anchor was mined, with all that a proof needs of it.
type Block struct {
	Height  int32
	Hash    chainhash.Hash
	Header  wire.BlockHeader
	Version int              // index into Anchor.Versions of the one that was mined; 0 for Spent
	TxIndex uint32           // its place in the block
	Branch  []chainhash.Hash // siblings from the transaction up to the header's Merkle root
}

// Anchor is one payment: versions that all spend a common coin, of which at most one is ever mined.
type Anchor struct {
	ID       uint64 // from 1
	State    AnchorState
	Versions []Version
	Block    *Block // in every state but Broadcast: where it was mined, or where its coin was lost
	Settled  bool   // final for so long that reorganisations are not watched any more
	Created  time.Time
}

// Point is a block that was followed.
type Point struct {
	Height int32
	Hash   chainhash.Hash
}

// Cursor is how far the chain has been followed: the newest blocks looked at, oldest first, heights
// rising by one, at most CursorDepth of them. A stored block that is no longer on the active chain
// is walked back over.
type Cursor struct {
	Points []Point
}

// CursorDepth is how many followed blocks are remembered: deeper than final anchors are watched for
// reorganisations.
const CursorDepth = 128

// Nodes are consecutive nodes of the Merkle tree of a batch, of one height above its leaves: node i
// of height h is the root over leaves [i·2^h, (i+1)·2^h), or over those of them that there are.
type Nodes struct {
	Batch  uint64
	Height int    // from 1
	Start  uint64 // which node of its height is the first
	Hashes [][32]byte
}

// Place is where a leaf stands, and what the engine read along with that.
type Place struct {
	Position Position

	// Near are the first steps of the leaf's path, as far as the engine had to read what they are
	// made of anyway. They save [Store.Path] from reading it again, and have no use elsewhere.
	Near []proof.Step
}

// Append is what one group commit adds: leaves that were not stored before, in order, all to one or
// more batches.
type Append struct {
	Leaves  []Leaf     // new ones only
	At      []Position // of each: within a batch the indices go on where the batch ended
	Batches []Batch    // the batches as they are afterwards: the open one grown, those that were closed on the way
}

// Update is one atomic change by the loops. Absent parts stay as they are.
type Update struct {
	Batches []Batch
	Anchors []Anchor
	Cursor  *Cursor

	// Nodes are parts of the trees of batches that are being sealed. The sealer computes them for
	// the root, and hands them on as package tree gives them away. All of them have been applied
	// with the update that seals the batch, at the latest. An engine keeps those that let it answer
	// Path quickly. It may drop any of them: all nodes follow from the leaves.
	Nodes []Nodes
}

// Store is what must survive.
//
// # Who calls what at once
//
// All methods may be called from any goroutine. Append has one caller at a time and Apply has one
// caller at a time, but the two may overlap: they never write the same batch, because Append owns
// batches until they are Closed and Apply owns them from then on.
//
// One process uses a store today. An engine that several front ends share must know of the
// following, which is decided, and not built yet. Each front end appends to an open batch of its
// own, and seals the batches that it closed: "one caller at a time" then counts for each front end.
// One of them at a time pays: only it applies anchors, the cursor and the anchor of a batch, and
// the engine must refuse these updates from any other. A leaf that two front ends append at once
// must still end in one batch only. IDs of batches stay unique and rising; that the batches before
// the newest are all closed, and that the open one is the newest, then counts for each front end.
//
// # Writes
//
// A write has happened, whole and synced to disk, when it returns nil. It has not happened when its
// error wraps ErrFull or ErrInvalid, or is that of its context: a write whose context ends before
// it has begun does not begin, and one that has begun is not interrupted. Any other error wraps
// ErrFailed: the write may or may not have happened, and so fails every write after it.
//
// # Reads
//
// Reads show what is on disk, never a write that may still be lost, and one read shows each write
// whole or not at all. They go on when writes fail. Times come back in UTC, to the nanosecond;
// empty slices may come back nil. After Close everything returns ErrClosed.
type Store interface {
	// Key returns the 32-byte key of this store's nonces. It is made once, with the store, and
	// never changes.
	Key() [32]byte

	// Append writes one group of leaves and the batches that they went to. a.Batches names all of
	// these by rising ID, and the leaves of one batch follow those of the batch before. A batch may
	// also be closed without new leaves. The caller must not append a leaf that is stored already.
	// The store keeps nothing of a: the caller may use its memory again.
	Append(ctx context.Context, a *Append) error

	// Apply writes one change of the loops. Its batches are stored already, and Closed or Sealed;
	// neither their number of leaves nor the root of a Sealed one can change. Nodes may be applied
	// again: an interrupted sealing begins with the first.
	Apply(ctx context.Context, u *Update) error

	// Find returns where each leaf stands; the zero Position (batch 0) for one that is not stored.
	Find(ctx context.Context, leaves []Leaf) ([]Position, error)

	// Locate is Find for one leaf whose path may be wanted next.
	Locate(ctx context.Context, leaf Leaf) (Place, error)

	// Path appends to dst the siblings from a leaf up to the root of its batch. b is that batch as
	// it is stored, and Sealed; p is what Locate returned. The waypoint counts the steps behind
	// those of dst.
	//
	// The caller must climb the path and compare, because an engine may return what it reads. From
	// the waypoint on that is the engine's duty: it has made sure that the path leads from there to
	// the root. A zero waypoint says that the engine has checked nothing. What is found damaged is
	// an error that wraps ErrDamaged.
	Path(ctx context.Context, dst []proof.Step, b *Batch, p Place) ([]proof.Step, proof.Waypoint, error)

	// Leaves returns leaves [start, start+n) of a batch in any state, fewer where the batch ends
	// before, none past its end. ErrNotFound for a batch that is not stored.
	Leaves(ctx context.Context, batch uint64, start, n uint64) ([]Leaf, error)

	// Batch returns one batch or ErrNotFound.
	Batch(ctx context.Context, id uint64) (Batch, error)

	// Batches returns up to limit batches, newest first, of IDs below before (0: from the newest).
	Batches(ctx context.Context, before uint64, limit int) ([]Batch, error)

	// Waiting returns the batches that have no anchor yet, oldest first, whatever their state: the
	// open one is last.
	Waiting(ctx context.Context) ([]Batch, error)

	// Anchor returns one anchor or ErrNotFound.
	Anchor(ctx context.Context, id uint64) (Anchor, error)

	// Anchors returns up to limit anchors, newest first, of IDs below before (0: from the newest).
	Anchors(ctx context.Context, before uint64, limit int) ([]Anchor, error)

	// Unsettled returns the anchors that still have to be followed (neither Settled nor Dead),
	// oldest first.
	Unsettled(ctx context.Context) ([]Anchor, error)

	// NumLeaves returns how many leaves were ever appended.
	NumLeaves(ctx context.Context) (uint64, error)

	// Cursor returns how far the chain was followed; no points in a new store.
	Cursor(ctx context.Context) (Cursor, error)

	// Changes returns what the feed of changes has behind a mark, oldest first, and the mark behind
	// that. A write that changes the [Progress] of a batch adds to the feed, in the same write. The
	// changes of one write stay together: there may be more than limit of them, and there are none
	// only at the end of the feed, where the mark comes back as it was. A new store has an empty
	// feed; one that was stored without has the present progress of each batch in it. Nothing is
	// ever removed from the feed. ErrUnknownMark if the feed has no such mark.
	Changes(ctx context.Context, after Mark, limit int) ([]Change, Mark, error)

	// Changed returns a channel that is closed when the feed grows, or the store is closed. Who
	// takes it before he calls Changes misses nothing.
	Changed() <-chan struct{}

	// Close ends it. Everything that was acknowledged is on disk before.
	Close() error
}
