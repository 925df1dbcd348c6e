package page

import (
	"context"
	"time"

	"ancre/internal/printable"
	"ancre/register/store"
)

// row is a document in a list.
type row struct {
	Entry   store.Entry
	Proof   store.Proof
	Address Address // of its page

	Withdrawn bool
	// The entries that it replaces, and that replaces it, if those are or were on line.
	Replaces, ReplacedBy *store.Entry
	Meeting              *meetingView // where lists show it
}

// Name is the title of a document, or else its file name. It cannot change what is around it: marks
// that turn the direction of text around are written as escapes.
func (r row) Name() string { return nameOf(r.Entry) }

func nameOf(e store.Entry) string {
	if e.Title != "" {
		return printable.Line(e.Title)
	}
	return printable.Line(e.FileName)
}

// FileName is the file's name, as text.
func (r row) FileName() string { return printable.Line(r.Entry.FileName) }

// Number is the authority's own number, as text.
func (r row) Number() string { return printable.Line(r.Entry.Number) }

// State is the state of the proof.
func (r row) State() store.ProofState {
	if r.Proof.State == "" {
		return store.Waiting
	}
	return r.Proof.State
}

// visible reports whether an entry is or was on line. The Source should have left the others out.
func visible(e store.Entry) bool { return e.Published || withdrawn(e) }

// withdrawn reports whether an entry was on line, and no longer is.
func withdrawn(e store.Entry) bool { return !e.Published && !e.OnlineSince.IsZero() }

// rows adds proofs and replacements to entries. Replacements are found if all entries of a meeting
// are there.
func (p *Page) rows(ctx context.Context, at Address, entries []store.Entry) ([]row, error) {
	digests := make([]store.Digest, len(entries))
	byID := make(map[int64]*store.Entry, len(entries))
	for i := range entries {
		digests[i] = entries[i].Digest
		byID[entries[i].ID] = &entries[i]
	}
	proofs, err := p.source.Proofs(ctx, digests)
	if err != nil {
		return nil, err
	}
	list := make([]row, 0, len(entries))
	for i, e := range entries {
		if !visible(e) {
			continue
		}
		r := row{Entry: e, Address: at.DocumentOf(e.Digest), Withdrawn: withdrawn(e)}
		if i < len(proofs) {
			r.Proof = proofs[i]
		}
		if other := byID[e.Replaces]; other != nil && visible(*other) {
			r.Replaces = other
		}
		if other := byID[e.ReplacedBy]; other != nil && visible(*other) {
			r.ReplacedBy = other
		}
		list = append(list, r)
	}
	return list, nil
}

// group is the documents of a kind.
type group struct {
	Kind store.Kind
	Rows []row
}

// byKind groups documents by their kind, in the order of [store.Kinds].
func byKind(rows []row) []group {
	var groups []group
	for _, kind := range store.Kinds {
		g := group{Kind: kind}
		for _, r := range rows {
			if r.Entry.Kind == kind {
				g.Rows = append(g.Rows, r)
			}
		}
		if len(g.Rows) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// zoneOf returns the time zone of a meeting, or else that of the page.
func (p *Page) zoneOf(m store.Meeting) *time.Location {
	if m.Zone == "" || m.Zone == p.zone.String() {
		return p.zone
	}
	if zone, err := time.LoadLocation(m.Zone); err == nil {
		return zone
	}
	return p.zone
}
