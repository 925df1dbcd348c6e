package register

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"ancre/register/page"
	"ancre/register/store"
)

// secret is what must never come out of Public.
const secret = "secret"

func (w *world) addSecret(content, meeting string, kind store.Kind) store.Entry {
	w.Helper()
	added, err := w.Add(w.ctx, AddRequest{Reader: strings.NewReader(content), FileName: secret + ".txt", Title: secret, Number: secret, Meeting: meeting, Kind: kind})
	w.must(err)
	return added.Entry
}

func TestThePublicSeesWhatIsPublishedAndNothingElse(t *testing.T) {
	w := newWorld(t)
	p := w.Public()
	shown, hidden := w.meeting("2026-12-15"), w.meeting("2026-12-16")
	publish := func(content, meeting, name string) store.Entry {
		t.Helper()
		added, err := w.Add(w.ctx, AddRequest{Reader: strings.NewReader(content), FileName: name, Meeting: meeting, Kind: store.Deliberation, Publish: true, Download: true})
		w.must(err)
		return added.Entry
	}
	online := publish("online", shown.ID, "online.txt")
	w.addSecret("of a shown meeting", shown.ID, store.Convocation)
	w.addSecret("of a hidden meeting", hidden.ID, store.Convocation)
	loose := w.addSecret("of none", "", store.Act)
	inHidden := publish("in a meeting that is hidden again", hidden.ID, secret+".txt")
	no := false
	if _, err := w.UpdateMeeting(w.ctx, hidden.ID, MeetingUpdate{Publish: &no}); err != nil {
		t.Fatal(err)
	}
	gone := publish("withdrawn", shown.ID, secret+".txt")
	if _, err := w.Withdraw(w.ctx, Selection{Digest: &gone.Digest}); err != nil {
		t.Fatal(err)
	}
	// A version that is not on line replaces one that is.
	a := act("the next version")
	a.Meeting, a.FileName, a.Kind = shown.ID, "online.txt", store.Deliberation
	next, err := w.Add(w.ctx, a)
	w.must(err)

	all, err := p.Entries(w.ctx, store.EntryQuery{WasPublished: true})
	w.must(err)
	n, err := p.CountEntries(w.ctx, store.EntryQuery{WasPublished: true})
	if err != nil || n != len(all) || n != 2 {
		t.Errorf("%d entries, %d counted, want 2: %v", len(all), n, err)
	}
	text := fmt.Sprintf("%+v", all)
	if strings.Contains(text, secret) {
		t.Errorf("the public sees %s", text)
	}
	if all[0].ID != online.ID || all[0].FileName != "online.txt" || all[0].ReplacedBy != 0 || !all[0].ReplacedAt.IsZero() {
		t.Errorf("%+v tells of a version that is not on line", all[0])
	}
	if all[1].Digest != gone.Digest || all[1].OnlineSince.IsZero() || all[1].WithdrawnAt.IsZero() || all[1].Size != 0 {
		t.Errorf("%+v", all[1])
	}
	if now, err := p.Entries(w.ctx, store.EntryQuery{}); err != nil || len(now) != 1 {
		t.Errorf("%+v, %v", now, err)
	}
	// A query by name does not find what was withdrawn.
	if found, err := p.Entries(w.ctx, store.EntryQuery{Text: secret, WasPublished: true}); err != nil || len(found) != 0 {
		t.Errorf("a search finds %+v, %v", found, err)
	}

	w.wantHidden(map[string]store.Digest{"loose": loose.Digest, "of a hidden meeting": inHidden.Digest, "the next version": next.Entry.Digest})
	w.wantMeetings(shown, hidden)
	if _, err := p.File(w.ctx, gone.Digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a withdrawn file is offered: %v", err)
	}
	if f, err := p.File(w.ctx, online.Digest); err != nil {
		t.Error(err)
	} else if content, err := io.ReadAll(f); err != nil || string(content) != "online" || f.Close() != nil {
		t.Errorf("%q, %v", content, err)
	}
}

// wantHidden wants the public to get nothing of digests.
func (w *world) wantHidden(all map[string]store.Digest) {
	w.Helper()
	p := w.Public()
	for name, d := range all {
		_, otsErr := p.OTS(w.ctx, d)
		_, receiptErr := p.Receipt(w.ctx, d)
		_, fileErr := p.File(w.ctx, d)
		proofs, err := p.Proofs(w.ctx, []store.Digest{d})
		if !errors.Is(otsErr, store.ErrNotFound) || !errors.Is(receiptErr, store.ErrNotFound) || !errors.Is(fileErr, store.ErrNotFound) || err != nil || proofs[0] != (store.Proof{}) {
			w.Errorf("%s: %v, %v, %v, %+v, %v", name, otsErr, receiptErr, fileErr, proofs, err)
		}
	}
}

// wantMeetings wants the public to see one meeting, and nothing of the other.
func (w *world) wantMeetings(shown, hidden store.Meeting) {
	w.Helper()
	p := w.Public()
	if _, err := p.Meeting(w.ctx, hidden.ID); !errors.Is(err, store.ErrNotFound) {
		w.Error(err)
	}
	if _, err := p.Completeness(w.ctx, hidden.ID); !errors.Is(err, store.ErrNotFound) {
		w.Error(err)
	}
	if m, err := p.Meetings(w.ctx, store.MeetingQuery{}); err != nil || len(m) != 1 || m[0].ID != shown.ID {
		w.Errorf("%+v, %v", m, err)
	}
	if y, err := p.Years(w.ctx, w.Zone()); err != nil || len(y) != 1 || y[0].Meetings != 1 {
		w.Errorf("%+v, %v", y, err)
	}
}

func TestTheReceiptOfAProofThatWentBackIsNotShown(t *testing.T) {
	w := newWorld(t)
	w.run()
	a := act("a")
	a.Publish = true
	added, err := w.Add(w.ctx, a)
	w.must(err)
	d := added.Entry.Digest
	p := w.Public()
	w.awaitState(store.Pending, d)
	if _, err := p.OTS(w.ctx, d); err != nil {
		t.Error(err)
	}
	if _, err := p.Receipt(w.ctx, d); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	w.node.mine(6)
	w.awaitState(store.Complete, d)
	if _, err := p.Receipt(w.ctx, d); err != nil {
		t.Error(err)
	}
	w.node.reorganise(1)
	w.awaitState(store.Pending, d)
	if _, err := p.Receipt(w.ctx, d); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if n := p.Node(w.ctx); !n.Reachable || n.Since.IsZero() {
		t.Errorf("%+v", n)
	}
}

func TestTheRequirementsOfAMeetingJudgeWhatIsOnLine(t *testing.T) {
	w := newWorld(t)
	m := w.meeting("2026-12-15")
	yes := true
	if _, err := w.UpdateMeeting(w.ctx, m.ID, MeetingUpdate{Publish: &yes}); err != nil {
		t.Fatal(err)
	}
	add := func(at string, kind store.Kind, publish bool) {
		t.Helper()
		w.Register.now = func() time.Time { now, _ := time.Parse(time.DateTime, at); return now }
		_, err := w.Add(w.ctx, AddRequest{Reader: strings.NewReader(at + string(kind)), FileName: string(kind), Kind: kind, Meeting: m.ID, Publish: publish})
		w.must(err)
	}
	add("2026-12-09 10:00:00", store.Convocation, true)
	add("2026-12-09 10:00:00", store.Note, false)
	add("2026-12-16 10:00:00", store.Deliberation, true)
	want := map[page.Need]page.RequirementState{
		page.NeedConvocation: page.Met, page.NeedClearDays: page.Met, page.NeedAgenda: page.Met, page.NeedNote: page.Uncertain,
		page.NeedDeliberations: page.Met, page.NeedMinutes: page.NotYet, page.NeedProofs: page.NotYet, page.NeedTwoMonths: page.NotYet,
	}
	got, err := w.Public().Completeness(w.ctx, m.ID)
	w.must(err)
	for _, r := range got {
		if want[r.What] != r.State {
			t.Errorf("%s is %s, want %s", r.What, r.State, want[r.What])
		}
		if r.What == page.NeedClearDays && (r.Days != 5 || r.Found != 5) {
			t.Errorf("%+v", r)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%+v", got)
	}
	s, err := w.MeetingStatus(w.ctx, m.ID)
	if err != nil || s.Report.Missing != 0 || len(s.Entries) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}
