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
// Errors wrap [ErrNotFound], [ErrExists], [ErrOtherNetwork], [ErrFull] or [ErrDamaged] where one
// fits, and name the thing and the value. Times are kept to the millisecond, in UTC.
type Store interface {
	// Revision grows with each write that a reader could notice, those of Follow included. Whoever
	// keeps answers asks it whether they are still right. It survives restarts.
	Revision() uint64

	// Claim ties the register to the Bitcoin network of its node. The first call sets it. A later
	// call with another network returns ErrOtherNetwork.
	Claim(ctx context.Context, network string) error
	// Network returns the claimed network, "" before the first claim.
	Network(ctx context.Context) (string, error)

	// PutBodies makes the configured bodies known, in their order. Bodies that are no longer
	// configured stay, after the others, for the meetings that they held.
	PutBodies(ctx context.Context, bodies []Body) error
	Bodies(ctx context.Context) ([]Body, error)

	// AddMeeting stores a meeting that has no ID yet, and returns it with one: its date, "-" and
	// the body unless that is the first one, and "-2" for the second meeting of that body on that
	// day. If the body already has a meeting that starts at that time, that one is returned, and
	// added is false.
	AddMeeting(ctx context.Context, m Meeting) (stored Meeting, added bool, err error)
	// UpdateMeeting changes what is not nil. Its ID never changes, even if its date does.
	UpdateMeeting(ctx context.Context, id string, change MeetingChange) (Meeting, error)
	Meeting(ctx context.Context, id string) (Meeting, error)
	// Meetings are ordered by start, the newest first, unless the query says otherwise.
	Meetings(ctx context.Context, q MeetingQuery) ([]Meeting, error)
	// Years counts the meetings of each year (in the query's zone), the newest year first.
	Years(ctx context.Context, zone *time.Location, publishedOnly bool) ([]YearCount, error)

	// AddEntry stores an entry that has no ID yet, and a proof in the state waiting if the digest
	// has none. If the meeting already has an entry with that digest, that one is returned, and
	// added is false. If it has an entry of the same kind with the same file name and another
	// digest that was not yet replaced, the new entry replaces it, as it replaces the entry
	// e.Replaces if that is not
	// 0. Both stay.
	AddEntry(ctx context.Context, e Entry) (stored Entry, added bool, err error)
	// Publish puts entries on line at that time, or changes whether their files are offered. The
	// OnlineSince of one that was on line before stays.
	Publish(ctx context.Context, ids []int64, download bool, at time.Time) error
	// Withdraw takes entries off line. That they were on line, and until when, stays known.
	Withdraw(ctx context.Context, ids []int64, at time.Time) error
	Entry(ctx context.Context, id int64) (Entry, error)
	// Entries answers at most q.Limit entries, in the order of the query.
	Entries(ctx context.Context, q EntryQuery) ([]Entry, error)
	// CountEntries counts what Entries would answer without a limit.
	CountEntries(ctx context.Context, q EntryQuery) (int, error)

	// Waiting returns digests whose proof is in the state waiting, those that wait longest first.
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
	// which that is all that changed. An empty cursor leaves the one that is stored.
	Follow(ctx context.Context, proofs []Proof, cursor string) error
	// Cursor returns the cursor that the last Follow stored, "" before the first.
	Cursor(ctx context.Context) (string, error)

	Counts(ctx context.Context) (Counts, error)

	// Backup writes a consistent copy of the whole database as one file, while the store is in use.
	Backup(ctx context.Context, w io.Writer) error
	// Check reads everything and returns what is damaged, as an error that wraps ErrDamaged.
	Check(ctx context.Context) error
	Close() error
}

// Errors of a Store.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("exists already")
	ErrOtherNetwork = errors.New("of another network")
	ErrFull         = errors.New("the disk is full")
	ErrDamaged      = errors.New("damaged")
)

// Counts is how much the register has.
type Counts struct {
	Meetings, Entries, Published int
	Proofs                       map[ProofState]int
	OldestWaiting                time.Time // when the digest that waits longest for the node was added; zero: none waits
}
