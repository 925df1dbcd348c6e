// Package store says what the register keeps, and what an engine that keeps it must promise: the
// contract [Store]. Engines are packages below this one. Each passes the tests of storetest.
//
// The register keeps rows here. The bytes of the files, and the proofs, are in files of their own,
// named by digest (package files). A row is written after its bytes are synced, so a row always has
// its file.
package store

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store is an engine. Its methods may be called by several goroutines at once.
//
// Writes happen one after another. When a write returns without an error, it is on disk, and no
// crash undoes it; when it returns an error, nothing of it was written. Writing the same again is
// no error and changes nothing. Reads see all writes that returned before.
//
// After a write that returned an error that wraps [ErrFailed], it is not certain whether it is on
// disk. All later writes fail too, until the store is opened again.
//
// Errors wrap one of those below where one fits, and name the thing and the value. Times are kept
// to the millisecond, in UTC. One process at a time has a store open.
type Store interface {
	// Revision grows with each write that a reader could notice, those of Follow included (a cursor
	// alone is not noticed). Whoever keeps answers asks it whether they are still right. It
	// survives restarts.
	Revision() uint64

	// Claim ties the register to the Bitcoin network of its node. The first call sets it. A later
	// call with another network returns ErrOtherNetwork.
	Claim(ctx context.Context, network string) error
	// Network returns the claimed network, "" before the first claim.
	Network(ctx context.Context) (string, error)

	// PutBodies makes the configured bodies known, in their order. Bodies that are no longer
	// configured stay, after the others, for the meetings that they held. The error wraps
	// ErrInvalid for a body that [Body.Check] refuses, and for one that is named twice.
	PutBodies(ctx context.Context, bodies []Body) error
	Bodies(ctx context.Context) ([]Body, error)

	// AddMeeting stores a meeting that has no ID yet, and returns it with one: its date, "-" and
	// the body unless that is the first one, and "-2" for the second meeting of that body on that
	// day, "-3" for the next. If the body already has a meeting that starts at that time, that one
	// is returned, and added is false. A CreatedAt that is zero becomes the present time. The error
	// wraps ErrInvalid for a meeting that [Meeting.Check] refuses, and ErrNotFound for a body that
	// is not known.
	AddMeeting(ctx context.Context, m Meeting) (stored Meeting, added bool, err error)
	// UpdateMeeting changes what is not nil. Its ID never changes, even if its date does. The error
	// wraps ErrExists if the body has another meeting that starts at the new time.
	UpdateMeeting(ctx context.Context, id string, change MeetingChange) (Meeting, error)
	Meeting(ctx context.Context, id string) (Meeting, error)
	// Meetings are ordered by start, the newest first, unless the query says otherwise.
	Meetings(ctx context.Context, q MeetingQuery) ([]Meeting, error)
	// Years counts the meetings of each year (in the query's zone), the newest year first.
	Years(ctx context.Context, zone *time.Location, publishedOnly bool) ([]YearCount, error)

	// AddEntry stores an entry that has no ID yet, and a proof in the state waiting if the digest
	// has none. If the meeting already has an entry with that digest, that one is returned, and
	// added is false. Entries of no meeting are compared with each other.
	//
	// The new entry replaces the entry e.Replaces, if that is not 0. It also replaces those of the
	// same meeting and kind that have the same file name and were not yet replaced; of no meeting,
	// two files of one name need not be the same document, and neither replaces the other. What was
	// replaced stays. The error wraps ErrExists if e.Replaces was replaced before.
	//
	// An AddedAt that is zero becomes the present time, and so does the OnlineSince of an entry
	// that is Published. The error wraps ErrInvalid for an entry that [Entry.Check] refuses, and
	// ErrNotFound for a meeting, or an entry to replace, that is not known.
	AddEntry(ctx context.Context, e Entry) (stored Entry, added bool, err error)
	// Publish puts entries on line at that time, or changes whether their files are offered. The
	// OnlineSince of one that was on line before stays. If one of the entries is not known, none is
	// changed.
	Publish(ctx context.Context, ids []int64, download bool, at time.Time) error
	// Withdraw takes entries off line, their files too. That they were on line, and until when,
	// stays known. If one of the entries is not known, none is changed.
	Withdraw(ctx context.Context, ids []int64, at time.Time) error
	Entry(ctx context.Context, id int64) (Entry, error)
	// Entries answers at most q.Limit entries, in the order of the query.
	Entries(ctx context.Context, q EntryQuery) ([]Entry, error)
	// CountEntries counts what Entries would answer without a limit.
	CountEntries(ctx context.Context, q EntryQuery) (int, error)

	// Waiting returns digests whose proof is in the state waiting, those that wait longest first,
	// at most limit of them. A limit of 0 is none.
	Waiting(ctx context.Context, limit int) ([]Digest, error)
	Proof(ctx context.Context, d Digest) (Proof, error)
	// Proofs returns the proofs of these digests, in their order; a digest without one has a zero
	// Proof.
	Proofs(ctx context.Context, ds []Digest) ([]Proof, error)
	// ProofsOfBatch returns all proofs whose digest the node has in that batch.
	ProofsOfBatch(ctx context.Context, batch uint64) ([]Proof, error)
	// ProofsAfter returns proofs in the order of their digests, those after a digest (the first
	// ones if it is nil), of these states (of all if there are none).
	ProofsAfter(ctx context.Context, after *Digest, limit int, states ...ProofState) ([]Proof, error)
	// Follow stores, in one write, the proofs that changed, and the cursor of the node's feed up to
	// which that is all that changed. An empty cursor leaves the one that is stored. The AddedAt of
	// a proof never changes. The error wraps ErrNotFound for a digest that has no proof here.
	Follow(ctx context.Context, proofs []Proof, cursor string) error
	// Cursor returns the cursor that the last Follow stored, "" before the first.
	Cursor(ctx context.Context) (string, error)

	Counts(ctx context.Context) (Counts, error)

	// Backup hands one consistent moment of the whole store to take, as one file of that size,
	// while the store is in use. What it hands over is private to the engine.
	Backup(ctx context.Context, take func(size int64, r io.Reader) error) error
	// Check reads everything and returns what is damaged, as an error that wraps ErrDamaged.
	Check(ctx context.Context) error
	Close() error
}

// Errors of a Store.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("exists already")
	ErrInvalid      = errors.New("not allowed") // what the caller gave
	ErrOtherNetwork = errors.New("of another network")
	ErrFull         = errors.New("the disk is full") // free some space: then it goes on
	ErrDamaged      = errors.New("damaged")
	ErrFailed       = errors.New("the disk failed") // restart: see Store
	ErrInUse        = errors.New("in use by another process")
)

// Counts is how much the register has.
type Counts struct {
	Meetings, Entries, Published int
	Proofs                       map[ProofState]int
	OldestWaiting                time.Time // when the digest that waits longest for the node was added; zero: none waits
}
