package register

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ancre/register/store"
)

func TestStartsThatExistAndThoseThatDoNot(t *testing.T) {
	for _, c := range []struct{ date, clock, zone, want, says string }{
		{"2026-12-15", "18:30", "Europe/Paris", "2026-12-15T17:30:00Z", ""},
		{"2026-07-14", "18:30", "Europe/Paris", "2026-07-14T16:30:00Z", ""},
		{"2026-12-15", "", "Europe/Paris", "2026-12-14T23:00:00Z", ""},
		{"2026-12-15", "18:30", "Indian/Reunion", "2026-12-15T14:30:00Z", ""},
		{"2028-02-29", "18:30", "Europe/Paris", "2028-02-29T17:30:00Z", ""},
		{"2026-10-25", "02:30", "Europe/Paris", "2026-10-25T00:30:00Z", ""}, // the first of two
		{"2026-10-25", "03:00", "Europe/Paris", "2026-10-25T02:00:00Z", ""},
		{"2026-03-29", "02:30", "Europe/Paris", "", "clocks in Europe/Paris do not show 02:30 on 2026-03-29"},
		{"2026-03-29", "03:00", "Europe/Paris", "2026-03-29T01:00:00Z", ""},
		{"2026-02-29", "18:30", "Europe/Paris", "", "there is no day 2026-02-29"},
		{"2026-13-01", "18:30", "Europe/Paris", "", "there is no day"},
		{"2026-1-2", "18:30", "Europe/Paris", "", "write it as 2026-12-15"},
		{"15/12/2026", "18:30", "Europe/Paris", "", "write it as 2026-12-15"},
		{"2026-12-15", "24:00", "Europe/Paris", "", "write it as 18:30"},
		{"2026-12-15", "9:05", "Europe/Paris", "", "write it as 18:30"},
		{"2026-12-15", "18h30", "Europe/Paris", "", "write it as 18:30"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseStart(c.date, c.clock, zone)
		switch {
		case c.says != "":
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s %s: %v, %v, want an error that says %q", c.date, c.clock, got, err, c.says)
			}
		case err != nil || got.Format(time.RFC3339) != c.want:
			t.Errorf("%s %s in %s: %v, %v, want %s", c.date, c.clock, c.zone, got, err, c.want)
		}
	}
}

func TestMeetings(t *testing.T) {
	w := newWorld(t)
	first := w.meeting("2026-12-15")
	if again := w.meeting("2026-12-15"); again != first || first.ID != "2026-12-15" || first.State != store.Planned || first.Zone != "Europe/Paris" {
		t.Errorf("%+v, %+v", first, again)
	}
	second, added, err := w.AddMeeting(w.ctx, NewMeeting{Date: "2026-12-15", Clock: "20:00"})
	if err != nil || !added || second.ID != "2026-12-15-2" {
		t.Errorf("%+v, %v", second, err)
	}
	bureau, _, err := w.AddMeeting(w.ctx, NewMeeting{Body: "bureau", Date: "2026-12-15", Clock: "20:00"})
	if err != nil || bureau.ID != "2026-12-15-bureau" {
		t.Errorf("%+v, %v", bureau, err)
	}
	for name, c := range map[string]struct {
		n    NewMeeting
		says string
	}{
		"body":  {NewMeeting{Body: "senat", Date: "2026-12-15"}, "conseil, bureau"},
		"zone":  {NewMeeting{Date: "2026-12-15", Zone: "Paris"}, "Europe/Paris"},
		"state": {NewMeeting{Date: "2026-12-15", State: "open"}, "planned"},
	} {
		if _, _, err := w.AddMeeting(w.ctx, c.n); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	clock, date, held, title := "18:30", "2026-12-16", store.Held, "Budget"
	if _, err := w.UpdateMeeting(w.ctx, second.ID, MeetingUpdate{Clock: &clock}); !errors.Is(err, store.ErrExists) {
		t.Errorf("two meetings of a body at one time: %v", err)
	}
	m, err := w.UpdateMeeting(w.ctx, second.ID, MeetingUpdate{Date: &date, State: &held, Title: &title})
	if err != nil || m.ID != second.ID || m.Start.Format(time.RFC3339) != "2026-12-16T19:00:00Z" || m.State != held || m.Title != title {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestPublishingAndWithdrawing(t *testing.T) {
	w := newWorld(t)
	m := w.meeting("2026-12-15")
	a := act("one")
	a.Meeting = m.ID
	first, err := w.Add(w.ctx, a)
	w.must(err)
	p, err := w.Publish(w.ctx, Selection{Meeting: &m.ID}, true)
	if err != nil || p.Changed != 1 || !p.Entries[0].Published || !p.Entries[0].Download || len(p.Notes) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	since := p.Entries[0].OnlineSince
	if p, err = w.Publish(w.ctx, Selection{Meeting: &m.ID}, true); err != nil || p.Changed != 0 || len(p.Notes) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = w.Withdraw(w.ctx, Selection{Digest: &first.Entry.Digest})
	if err != nil || p.Changed != 1 || p.Entries[0].Published || p.Entries[0].WithdrawnAt.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	// What was withdrawn does not come back by itself.
	w.Register.publish = []store.Kind{store.Act}
	a.Reader = strings.NewReader("one")
	if added, err := w.Add(w.ctx, a); err != nil || added.Entry.Published {
		t.Errorf("%+v, %v", added, err)
	}
	a.Reader, a.Publish = strings.NewReader("one"), true
	if added, err := w.Add(w.ctx, a); err != nil || !added.Entry.Published || !added.Entry.OnlineSince.Equal(since) {
		t.Errorf("%+v, %v", added, err)
	}
	a.Reader, a.Publish, a.FileName = strings.NewReader("two"), false, "b.txt"
	if added, err := w.Add(w.ctx, a); err != nil || !added.Entry.Published || !added.Entry.Download {
		t.Errorf("a kind that is published as it comes: %+v, %v", added, err)
	}
	if _, err := w.Publish(w.ctx, Selection{}, true); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := w.Publish(w.ctx, Selection{Digest: &store.Digest{1}}, true); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
