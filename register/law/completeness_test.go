package law

import (
	"testing"
	"time"

	"ancre/register/store"
)

var paris = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		panic(err)
	}
	return zone
}()

func at(text string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", text, paris)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestTheLastLawfulDayIsTheMeetingLessTheClearDaysAndOne(t *testing.T) {
	for _, c := range []struct {
		start, zone string
		clear       int
		want        string // "": none
	}{
		{"2026-12-15 18:30", "Europe/Paris", 5, "2026-12-09"},
		{"2026-12-15 00:00", "Europe/Paris", 5, "2026-12-09"},
		{"2026-12-15 23:59", "Europe/Paris", 3, "2026-12-11"},
		{"2026-12-15 18:30", "Europe/Paris", 1, "2026-12-13"},
		{"2026-12-15 18:30", "Europe/Paris", 0, ""},
		{"2026-03-31 18:30", "Europe/Paris", 5, "2026-03-25"},   // clocks are put forward on the 29th
		{"2026-10-27 00:30", "Europe/Paris", 5, "2026-10-21"},   // and back on the 25th
		{"2028-03-03 20:00", "Europe/Paris", 3, "2028-02-28"},   // a leap year
		{"2026-12-15 23:30", "Indian/Reunion", 5, "2026-12-10"}, // it is the 16th there
	} {
		m := store.Meeting{Start: at(c.start), Zone: c.zone}
		day := LastDay(store.Body{ClearDays: c.clear}, m)
		got := ""
		if !day.IsZero() {
			got = day.Format("2006-01-02")
			if day.Hour() != 0 || day.Location().String() != c.zone {
				t.Errorf("%v is not the beginning of a day in %s", day, c.zone)
			}
		}
		if got != c.want {
			t.Errorf("%s in %s, %d clear days: %q, want %q", c.start, c.zone, c.clear, got, c.want)
		}
	}
}

func TestClearDaysCountNeitherTheFirstNorTheLastDay(t *testing.T) {
	m := store.Meeting{Start: at("2026-12-15 18:30"), Zone: "Europe/Paris"}
	for from, want := range map[string]int{
		"2026-12-09 23:59": 5, "2026-12-10 00:00": 4, "2026-12-14 12:00": 0, "2026-12-15 08:00": -1, "2026-12-16 08:00": -2,
	} {
		if got := ClearDays(at(from), m); got != want {
			t.Errorf("from %s: %d clear days, want %d", from, got, want)
		}
	}
}

// council is a meeting of a council of a commune of 3,500 inhabitants or more.
func council() Input {
	return Input{
		Body:    store.Body{ID: "conseil", ClearDays: 5},
		Meeting: store.Meeting{ID: "2026-12-15", Start: at("2026-12-15 18:30"), Zone: "Europe/Paris"},
		Proofs:  make(map[store.Digest]store.Proof),
		Now:     at("2026-12-01 12:00"),
	}
}

// with adds a document, and its proof.
func (in *Input) with(kind store.Kind, added string, state store.ProofState, block string) *store.Entry {
	e := store.Entry{ID: int64(len(in.Entries) + 1), Kind: kind, AddedAt: at(added)}
	e.Digest[0] = byte(e.ID)
	p := store.Proof{Digest: e.Digest, State: state}
	if block != "" {
		p.BlockTime = at(block)
	}
	in.Entries, in.Proofs[e.Digest] = append(in.Entries, e), p
	return &in.Entries[len(in.Entries)-1]
}

func states(r Report) map[store.Kind]State {
	all := make(map[store.Kind]State)
	for _, i := range r.Items {
		all[i.Kind] = i.State
	}
	return all
}

func (in Input) want(t *testing.T, want map[store.Kind]State) Report {
	t.Helper()
	r := Completeness(France, in)
	got := states(r)
	for kind, state := range want {
		if got[kind] != state {
			t.Errorf("on %s the %s is %q, want %q", in.Now, kind, got[kind], state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	return r
}

func TestAnEmptyMeetingWaitsAndThenLacksEverything(t *testing.T) {
	in := council()
	r := in.want(t, map[store.Kind]State{store.Convocation: Awaited, store.Agenda: Awaited, store.Note: Awaited, store.Deliberation: Awaited, store.Minutes: Awaited})
	if r.Complete || r.Awaited != 5 || r.Missing != 0 {
		t.Errorf("%+v", r)
	}
	in.Now = at("2026-12-09 23:59")
	in.want(t, map[store.Kind]State{store.Convocation: Awaited, store.Agenda: Awaited, store.Note: Awaited, store.Deliberation: Awaited, store.Minutes: Awaited})
	in.Now = at("2026-12-10 00:00")
	in.want(t, map[store.Kind]State{store.Convocation: Missing, store.Agenda: Missing, store.Note: Missing, store.Deliberation: Awaited, store.Minutes: Awaited})
	in.Now = at("2026-12-23 00:00")
	in.want(t, map[store.Kind]State{store.Convocation: Missing, store.Agenda: Missing, store.Note: Missing, store.Deliberation: Missing, store.Minutes: Awaited})
	in.Next = at("2027-01-20 18:30")
	in.Now = at("2027-01-28 00:00")
	r = in.want(t, map[store.Kind]State{store.Convocation: Missing, store.Agenda: Missing, store.Note: Missing, store.Deliberation: Missing, store.Minutes: Missing})
	if r.Missing != 5 || r.Awaited != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhoIsNotBoundByARuleIsNotJudgedByIt(t *testing.T) {
	in := council()
	in.Body.ClearDays = 3 // no note
	in.want(t, map[store.Kind]State{store.Convocation: Awaited, store.Agenda: Awaited, store.Deliberation: Awaited, store.Minutes: Awaited})
	in.Body.ClearDays = 0 // a commission
	if r := in.want(t, map[store.Kind]State{}); !r.Complete || !r.LastDay.IsZero() {
		t.Errorf("%+v", r)
	}
	in = council()
	in.Meeting.State = store.Cancelled
	in.with(store.Convocation, "2026-12-08 10:00", store.Complete, "2026-12-08 12:00")
	if r := in.want(t, map[store.Kind]State{store.Convocation: There}); !r.Complete {
		t.Errorf("%+v", r)
	}
}

func TestACompleteMeeting(t *testing.T) {
	in := council()
	in.Now = at("2027-01-25 12:00")
	in.Next = at("2027-01-20 18:30")
	in.with(store.Convocation, "2026-12-09 17:00", store.Complete, "2026-12-09 18:10")
	in.with(store.Note, "2026-12-09 17:00", store.Complete, "2026-12-10 01:00")
	in.with(store.Deliberation, "2026-12-16 09:00", store.Complete, "2026-12-16 12:00")
	last := in.with(store.Minutes, "2027-01-21 09:00", store.Pending, "")
	want := map[store.Kind]State{store.Convocation: There, store.Agenda: Within, store.Note: There, store.Deliberation: There, store.Minutes: There}
	r := in.want(t, want)
	if r.Complete || r.Items[0].Proof != store.Complete || r.Items[4].Proof != store.Pending {
		t.Errorf("a meeting with a pending proof: %+v", r)
	}
	if !r.Items[0].ProvenInTime() || r.Items[2].ProvenInTime() || r.Items[4].ProvenInTime() {
		t.Error("only the convocation is proven in time")
	}
	in.Proofs[last.Digest] = store.Proof{State: store.Complete, BlockTime: at("2027-01-21 12:00")}
	if r = in.want(t, want); !r.Complete {
		t.Errorf("%+v", r)
	}
}

func TestLateAndReplacedDocuments(t *testing.T) {
	in := council()
	in.Now = at("2026-12-12 12:00")
	in.with(store.Convocation, "2026-12-10 00:00", store.Complete, "2026-12-10 01:00")
	r := in.want(t, map[store.Kind]State{store.Convocation: Late, store.Agenda: Within, store.Note: Missing, store.Deliberation: Awaited, store.Minutes: Awaited})
	if r.Late != 1 {
		t.Errorf("%+v", r)
	}

	in = council()
	in.Now = at("2026-12-12 12:00")
	in.with(store.Convocation, "2026-12-08 00:00", store.Complete, "2026-12-08 01:00").ReplacedBy = 2
	in.with(store.Convocation, "2026-12-11 00:00", store.Waiting, "")
	r = Completeness(France, in)
	if i := r.Items[0]; i.State != There || i.Replaced != 1 || len(i.Entries) != 1 || i.Proof != store.Waiting || !i.ProvenAt.IsZero() {
		t.Errorf("%+v", i)
	}
	if r.Proofs[store.Complete] != 1 || r.Proofs[store.Waiting] != 1 {
		t.Errorf("%+v", r.Proofs)
	}
}
