package store

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Digest is a SHA-256.
type Digest [32]byte

// String returns 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(s string) (d Digest, err error) {
	if len(s) != hex.EncodedLen(len(d)) {
		return d, fmt.Errorf("a digest has 64 hexadecimal digits, not %d characters", len(s))
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("a digest has 64 hexadecimal digits: %w", err)
	}
	return d, nil
}

// Kind is what a document is to its meeting.
type Kind string

// The kinds of documents, with the words of the French law.
const (
	Convocation  Kind = "convocation"
	Agenda       Kind = "agenda"       // ordre du jour
	Note         Kind = "note"         // note de synthèse
	Draft        Kind = "draft"        // projet de délibération
	Deliberation Kind = "deliberation" // délibération
	Minutes      Kind = "minutes"      // procès-verbal
	Annex        Kind = "annex"        // annexe
	Act          Kind = "act"          // acte, arrêté, décision
)

// Kinds are all kinds, in the order in which a meeting's documents are shown.
var Kinds = []Kind{Convocation, Agenda, Note, Draft, Deliberation, Minutes, Annex, Act}

// Entry is a document in the register: what has a digest, a proof and a name.
type Entry struct {
	ID        int64 // its place in the register, from 1 on
	Digest    Digest
	Meeting   string // the ID of a Meeting; "": of none
	Kind      Kind
	Title     string // "" if it has none: FileName is shown
	Number    string // the authority's own: "2026-112"
	FileName  string // as it was given, if CheckFileName allows it
	MediaType string // "application/pdf"
	Size      int64  // bytes
	AddedAt   time.Time

	Published   bool      // shown on the public page
	Download    bool      // the file itself is offered there too
	OnlineSince time.Time // when it was first published; zero: never
	WithdrawnAt time.Time // when it was taken off line; zero: it is on line, or never was

	Replaces   int64     // the ID of the entry that it replaces; 0: none
	ReplacedBy int64     // the ID of the entry that replaces it; 0: none
	ReplacedAt time.Time // when that one was added
}

// EntryQuery chooses entries. Zero fields choose nothing.
type EntryQuery struct {
	Meeting       *string // that meeting; a pointer to "": of no meeting
	Kind          Kind
	Digest        *Digest
	FirstByte     *byte     // of the digest
	Text          string    // each of its Words begins a word of the title, the number, the file name or the meeting's title
	From, To      time.Time // of the meeting's start, or of AddedAt for an entry of no meeting: From <= time < To
	PublishedOnly bool      // entries on line, of published meetings or of none
	WasPublished  bool      // with PublishedOnly: those that were withdrawn too

	Order  Order
	After  int64 // with ByID: those with a higher ID
	Offset int   // leaves out that many first
	Limit  int   // 0: no limit
}

// Order is the order of an answer.
type Order int

// Orders of entries.
const (
	ByID      Order = iota // the order in which they were added
	ByMeeting              // the newest meeting first (an entry of none by AddedAt); in it by Kinds, NumberKey, ID
	ByDigest               // by digest, then ID
)
