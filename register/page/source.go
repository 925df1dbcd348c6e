// Package page is the public page of the register: what was anchored, for everybody to see and to
// check. It shows only what is published: its [Source] knows nothing else.
//
// The way of a request: addresses.go reads its [Address], serve.go looks into the cache, render.go
// calls what makes that kind of page ([Page.Render]), and the template of the page writes it. A
// static export calls Render too, for each of [Page.Pages], with links that are relative.
package page

import (
	"context"
	"errors"
	"io"
	"time"

	"ancre/register/store"
)

// Source is what the page shows: published meetings and entries, their proofs and files, and
// nothing else. Several goroutines use it at once.
type Source interface {
	// Revision grows with each change that the page could show. It is asked at each request.
	Revision() uint64

	Network(ctx context.Context) (string, error)
	Bodies(ctx context.Context) ([]store.Body, error)
	Years(ctx context.Context, zone *time.Location) ([]store.YearCount, error)
	Meetings(ctx context.Context, q store.MeetingQuery) ([]store.Meeting, error)
	Meeting(ctx context.Context, id string) (store.Meeting, error)
	// Completeness says what the law asks of a meeting, in the order in which it is due, and
	// what is there.
	Completeness(ctx context.Context, meeting string) ([]Requirement, error)
	// Entries are those that are on line, and with q.WasPublished those that were. Of one that
	// was withdrawn, the page shows that it was on line, its digest and its dates, and not its
	// name.
	Entries(ctx context.Context, q store.EntryQuery) ([]store.Entry, error)
	CountEntries(ctx context.Context, q store.EntryQuery) (int, error)
	Proofs(ctx context.Context, ds []store.Digest) ([]store.Proof, error)

	// OTS, Receipt and File return the bytes that belong to a published digest: its proof, its
	// receipt (once the proof is complete), and the file itself if it is offered. If there is none,
	// the error wraps store.ErrNotFound.
	OTS(ctx context.Context, d store.Digest) ([]byte, error)
	Receipt(ctx context.Context, d store.Digest) ([]byte, error)
	File(ctx context.Context, d store.Digest) (io.ReadSeekCloser, error)

	// Headers returns the window of the block headers of a retarget period: those from block
	// 2016·period on to block 2016·(period+1), or to the newest one that is known.
	Headers(ctx context.Context, period int32) ([]byte, error)
	// Node says how the node is, as far as the public may know.
	Node(ctx context.Context) Node
}

// Node is the state of the node.
type Node struct {
	Reachable bool
	Since     time.Time // when that began
	Height    int32     // of the newest block
	BlockTime time.Time
}

// Requirement is one thing that the law, or good practice, asks of a meeting.
type Requirement struct {
	What  Need
	State RequirementState
	Due   time.Time // until when it is to be done; zero: no day is set
	Done  time.Time // when it was done, as far as the register knows; zero: it was not, or is not known
	Days  int       // for ClearDays: how many there are to be
	Law   string    // where the law asks it: "CGCT L2121-10"; "": no article does
	Found int       // for ClearDays: how many there were; for documents: how many are there
}

// Need names a requirement. The page has words for each.
type Need string

// The needs, in their usual order.
const (
	NeedConvocation   Need = "convocation"    // a convocation is there
	NeedClearDays     Need = "clear_days"     // it was anchored or put on line in time
	NeedAgenda        Need = "agenda"         // the agenda is there, on its own or in the convocation
	NeedNote          Need = "note"           // an explanatory note, where the body needs one
	NeedDeliberations Need = "deliberations"  // the deliberations are on line
	NeedMinutes       Need = "minutes"        // the minutes are on line
	NeedProofs        Need = "proofs"         // each document has a complete proof
	NeedTwoMonths     Need = "on_line_period" // acts stay on line for two months at least
)

// Needs are all needs.
var Needs = []Need{NeedConvocation, NeedClearDays, NeedAgenda, NeedNote, NeedDeliberations, NeedMinutes, NeedProofs, NeedTwoMonths}

// RequirementState is whether a requirement is met.
type RequirementState string

// The states of a requirement.
const (
	Met       RequirementState = "met"
	Late      RequirementState = "late"    // it is there, and came after its day
	NotYet    RequirementState = "not_yet" // its day has not come
	Missing   RequirementState = "missing" // its day is over, and it is not there
	Uncertain RequirementState = "unknown" // the register cannot know
)

// RequirementStates are all states.
var RequirementStates = []RequirementState{Met, Late, NotYet, Missing, Uncertain}

// ErrBusy is wrapped when a Source cannot answer now, and may later.
var ErrBusy = errors.New("busy")
