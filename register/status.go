package register

import (
	"context"
	"errors"
	"time"

	"ancre/register/law"
	"ancre/register/store"
)

// MeetingStatus is a meeting and how complete it is.
type MeetingStatus struct {
	Meeting store.Meeting
	Body    store.Body
	Entries []store.Entry
	Proofs  map[store.Digest]store.Proof
	Report  law.Report

	next time.Time // when the body meets the next time; zero: not known
}

// MeetingStatus returns a meeting and how complete it is by the law of France.
func (r *Register) MeetingStatus(ctx context.Context, id string) (s MeetingStatus, err error) {
	if s.Meeting, err = r.Meeting(ctx, id); err != nil {
		return s, err
	}
	bodies, err := r.store.Bodies(ctx)
	if err != nil {
		return s, err
	}
	for _, b := range bodies {
		if b.ID == s.Meeting.Body {
			s.Body = b
		}
	}
	if s.Entries, err = r.store.Entries(ctx, store.EntryQuery{Meeting: &s.Meeting.ID}); err != nil {
		return s, err
	}
	if s.Proofs, err = proofsOf(ctx, r.store, s.Entries); err != nil {
		return s, err
	}
	next, err := r.store.Meetings(ctx, store.MeetingQuery{Body: s.Meeting.Body, From: s.Meeting.Start.Add(time.Millisecond), OldestFirst: true, Limit: 10})
	if err != nil {
		return s, err
	}
	input := law.Input{Body: s.Body, Meeting: s.Meeting, Entries: s.Entries, Proofs: s.Proofs, Now: r.now()}
	for _, m := range next {
		if m.State != store.Cancelled {
			s.next, input.Next = m.Start, m.Start
			break
		}
	}
	s.Report = law.Completeness(law.France, input)
	return s, nil
}

// proofsOf returns the proofs of entries by their digests.
func proofsOf(ctx context.Context, s interface {
	Proofs(context.Context, []store.Digest) ([]store.Proof, error)
}, entries []store.Entry) (map[store.Digest]store.Proof, error) {
	ds := make([]store.Digest, len(entries))
	for i, e := range entries {
		ds[i] = e.Digest
	}
	list, err := s.Proofs(ctx, ds)
	if err != nil {
		return nil, err
	}
	if len(list) != len(ds) {
		return nil, errors.New("the store returned another number of proofs than it was asked for")
	}
	all := make(map[store.Digest]store.Proof, len(ds))
	for i, d := range ds {
		all[d] = list[i]
	}
	return all, nil
}

// Status is the state of the whole register.
type Status struct {
	Network  string // "" before the node was reached for the first time
	Counts   store.Counts
	Node     NodeStatus
	Warnings []Warning
}

// Status returns the state of the whole register.
func (r *Register) Status(ctx context.Context) (s Status, err error) {
	s.Node, s.Warnings = r.NodeStatus(), r.warnings.List()
	if s.Network, err = r.store.Network(ctx); err != nil {
		return s, err
	}
	s.Counts, err = r.store.Counts(ctx)
	return s, err
}
