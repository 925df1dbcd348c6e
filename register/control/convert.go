package control

import (
	"time"

	"ancre/register"
	"ancre/register/law"
	"ancre/register/store"
)

// moment returns nil for the zero time, which JSON leaves out.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// day returns the date of the beginning of a day in its zone, "" for the zero time.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

func meetingOf(m store.Meeting) Meeting {
	return Meeting{ID: m.ID, Body: m.Body, Title: m.Title, Start: m.Start, Zone: m.Zone, Place: m.Place, State: string(m.State),
		Published: m.Published, CreatedAt: m.CreatedAt, ChangedAt: m.ChangedAt}
}

func documentOf(e store.Entry, p store.Proof) Document {
	return Document{
		Entry: e.ID, Digest: e.Digest.String(), Meeting: e.Meeting, Kind: string(e.Kind), Title: e.Title, Number: e.Number,
		FileName: e.FileName, MediaType: e.MediaType, Size: e.Size, AddedAt: e.AddedAt,
		Published: e.Published, Download: e.Download, OnlineSince: moment(e.OnlineSince), WithdrawnAt: moment(e.WithdrawnAt),
		Replaces: e.Replaces, ReplacedBy: e.ReplacedBy, ReplacedAt: moment(e.ReplacedAt),
		Proof: proofOf(p),
	}
}

func proofOf(p store.Proof) Proof {
	if p.State == "" {
		p.State = store.Waiting
	}
	return Proof{State: string(p.State), SubmittedAt: moment(p.SubmittedAt), Batch: p.Batch, Height: p.Height, BlockHash: p.BlockHash,
		BlockTime: moment(p.BlockTime), CompleteAt: moment(p.CompleteAt)}
}

func statusOf(s register.MeetingStatus) MeetingStatus {
	m := MeetingStatus{Meeting: meetingOf(s.Meeting), BodyName: s.Body.Name, ClearDays: s.Body.ClearDays, Documents: []Document{}}
	for _, e := range s.Entries {
		m.Documents = append(m.Documents, documentOf(e, s.Proofs[e.Digest]))
	}
	r := s.Report
	m.Completeness = Completeness{Complete: r.Complete, ConvokeBy: day(r.LastDay), Missing: r.Missing, Awaited: r.Awaited, Late: r.Late, Items: []Item{}}
	for _, i := range r.Items {
		m.Completeness.Items = append(m.Completeness.Items, itemOf(i))
	}
	for state, n := range r.Proofs {
		if m.Completeness.ProofStates == nil {
			m.Completeness.ProofStates = make(map[string]int)
		}
		m.Completeness.ProofStates[string(state)] = n
	}
	return m
}

func itemOf(i law.Item) Item {
	return Item{Kind: string(i.Kind), Wanted: i.Wanted, Source: i.Rule.Source, State: string(i.State), Due: day(i.Due), Since: moment(i.Since),
		Documents: len(i.Entries), Replaced: i.Replaced, Proof: string(i.Proof), ProvenAt: moment(i.ProvenAt), ProvenInTime: i.ProvenInTime()}
}
