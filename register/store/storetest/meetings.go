package storetest

import (
	"fmt"
	"time"

	"ancre/register/store"
)

func testEmpty(f *fixture) {
	ctx := f.Context()
	f.twice(func() {
		equal(f, "network", must[string](f)(f.Network(ctx)), "")
		equal(f, "cursor", must[string](f)(f.Cursor(ctx)), "")
		equal(f, "bodies", len(must[[]store.Body](f)(f.Bodies(ctx))), 0)
		equal(f, "meetings", len(must[[]store.Meeting](f)(f.Meetings(ctx, store.MeetingQuery{}))), 0)
		equal(f, "years", len(must[[]store.YearCount](f)(f.Years(ctx, time.UTC, false))), 0)
		equal(f, "entries", len(must[[]store.Entry](f)(f.Entries(ctx, store.EntryQuery{}))), 0)
		equal(f, "count", must[int](f)(f.CountEntries(ctx, store.EntryQuery{})), 0)
		equal(f, "waiting", len(must[[]store.Digest](f)(f.Waiting(ctx, 10))), 0)
		equal(f, "proofs", len(must[[]store.Proof](f)(f.ProofsAfter(ctx, nil, 10))), 0)
		equal(f, "proofs of batch 0", len(must[[]store.Proof](f)(f.ProofsOfBatch(ctx, 0))), 0)
		equal(f, "counts", must[store.Counts](f)(f.Counts(ctx)), store.Counts{Proofs: map[store.ProofState]int{}})
		equal(f, "proofs of digests without one", must[[]store.Proof](f)(f.Proofs(ctx, []store.Digest{Digest(1), Digest(2)})), make([]store.Proof, 2))
		f.ok(f.Check(ctx))
	})
	_, err := f.Meeting(ctx, "2026-12-15")
	f.refused("a meeting", err, store.ErrNotFound)
	_, err = f.Entry(ctx, 1)
	f.refused("an entry", err, store.ErrNotFound)
	_, err = f.Proof(ctx, Digest(1))
	f.refused("a proof", err, store.ErrNotFound)
}

func testClaim(f *fixture) {
	ctx := f.Context()
	f.noticed("the first claim", func() { f.ok(f.Claim(ctx, "regtest")) })
	f.twice(func() {
		f.silent("the same claim", func() { f.ok(f.Claim(ctx, "regtest")) })
		f.refused("another network", f.Claim(ctx, "mainnet"), store.ErrOtherNetwork)
		equal(f, "network", must[string](f)(f.Network(ctx)), "regtest")
	})
	f.refused("no network", f.Claim(ctx, ""), store.ErrInvalid)
}

func testBodies(f *fixture) {
	ctx := f.Context()
	f.noticed("the first configuration", func() { f.configured() })
	want := func(bodies ...store.Body) {
		f.Helper()
		f.twice(func() { equal(f, "bodies", must[[]store.Body](f)(f.Bodies(ctx)), bodies) })
	}
	want(Bodies...)
	f.silent("the same configuration", func() { f.configured() })

	bureau := store.Body{ID: "bureau", Name: "Bureau"}
	changed := Bodies[1]
	changed.ClearDays = 4
	f.noticed("another configuration", func() { f.ok(f.PutBodies(ctx, []store.Body{changed, bureau})) })
	want(changed, bureau, Bodies[0]) // the council stays for its meetings
	f.silent("the same configuration", func() { f.ok(f.PutBodies(ctx, []store.Body{changed, bureau})) })

	for what, bodies := range map[string][]store.Body{
		"no ID": {{Name: "x"}}, "an ID with a slash": {{ID: "a/b", Name: "x"}}, "an ID that begins with a digit": {{ID: "2", Name: "x"}},
		"no name": {{ID: "x"}}, "clear days below zero": {{ID: "x", Name: "x", ClearDays: -1}},
		"a name of two lines": {{ID: "x", Name: "x\ny"}}, "one named twice": {bureau, bureau},
	} {
		f.refused(what, f.PutBodies(ctx, bodies), store.ErrInvalid)
	}
	want(changed, bureau, Bodies[0])
}

func testMeetingIDs(f *fixture) {
	ctx := f.configured().Context()
	first := Session("2026-12-15")
	late := first
	late.Start = first.Start.Add(3 * time.Hour)
	latest := first
	latest.Start = first.Start.Add(4 * time.Hour)
	ccas := first
	ccas.Body = "ccas"
	night := first
	night.Start = At("2026-12-16T23:30:00Z") // half past midnight in Paris, on the 17th
	year := first
	year.Start = At("2026-12-31T23:30:00Z")
	f.now = At("2026-11-30T10:00:00.123456789Z")
	for _, c := range []struct {
		m  store.Meeting
		id string
	}{
		{first, "2026-12-15"}, {late, "2026-12-15-2"}, {latest, "2026-12-15-3"}, {ccas, "2026-12-15-ccas"}, {night, "2026-12-17"}, {year, "2027-01-01"},
	} {
		f.noticed("a meeting", func() {
			got := f.meeting(c.m)
			want := c.m
			want.ID, want.CreatedAt, want.ChangedAt = c.id, At("2026-11-30T10:00:00.123Z"), At("2026-11-30T10:00:00.123Z")
			equal(f, "what was stored", got, want)
			f.twice(func() { equal(f, "meeting", must[store.Meeting](f)(f.Meeting(ctx, c.id)), want) })
		})
		f.silent("the same meeting", func() {
			again := c.m
			again.Title = "another title"
			got, added, err := f.AddMeeting(ctx, again)
			f.ok(err)
			if added || got.ID != c.id || got.Title != "" {
				f.Errorf("the same meeting again: %v, %+v", added, got)
			}
		})
	}
	for what, c := range map[string]struct {
		change func(*store.Meeting)
		want   error
	}{
		"of an unknown body":               {func(m *store.Meeting) { m.Body = "senat" }, store.ErrNotFound},
		"without a body":                   {func(m *store.Meeting) { m.Body = "" }, store.ErrNotFound},
		"with an ID":                       {func(m *store.Meeting) { m.ID = "2026-12-15" }, store.ErrInvalid},
		"without a time":                   {func(m *store.Meeting) { m.Start = time.Time{} }, store.ErrInvalid},
		"in a year that is a typing error": {func(m *store.Meeting) { m.Start = At("0206-12-15T10:00:00Z") }, store.ErrInvalid},
		"without a zone":                   {func(m *store.Meeting) { m.Zone = "" }, store.ErrInvalid},
		"in a zone of this machine":        {func(m *store.Meeting) { m.Zone = "Local" }, store.ErrInvalid},
		"in an unknown zone":               {func(m *store.Meeting) { m.Zone = "Europe/Lorient" }, store.ErrInvalid},
		"in an unknown state":              {func(m *store.Meeting) { m.State = "done" }, store.ErrInvalid},
		"with a title of two lines":        {func(m *store.Meeting) { m.Title = "a\nb" }, store.ErrInvalid},
		"with a place that has an escape":  {func(m *store.Meeting) { m.Place = "a\x1bb" }, store.ErrInvalid},
	} {
		m := Session("2026-12-20")
		c.change(&m)
		_, _, err := f.AddMeeting(ctx, m)
		f.refused("a meeting "+what, err, c.want)
	}
	equal(f, "meetings", len(must[[]store.Meeting](f)(f.Meetings(ctx, store.MeetingQuery{}))), 6)
}

func testUpdateMeeting(f *fixture) {
	ctx := f.configured().Context()
	m := f.meeting(Session("2026-12-15"))
	other := f.meeting(Session("2026-12-16"))
	f.now = f.now.Add(time.Hour)
	later := m.Start.Add(48 * time.Hour)
	want := m
	want.Title, want.Start, want.Place, want.State, want.Published = "Budget", later, "Salle des fêtes", store.Convoked, true
	want.ChangedAt = f.now
	change := store.MeetingChange{Title: ptr("Budget"), Start: &later, Place: ptr("Salle des fêtes"), State: ptr(store.Convoked), Published: ptr(true)}
	f.noticed("a change", func() {
		equal(f, "what was stored", must[store.Meeting](f)(f.UpdateMeeting(ctx, m.ID, change)), want)
	})
	f.now = f.now.Add(time.Hour)
	f.silent("the same change", func() {
		equal(f, "what was stored", must[store.Meeting](f)(f.UpdateMeeting(ctx, m.ID, change)), want)
		equal(f, "no change", must[store.Meeting](f)(f.UpdateMeeting(ctx, m.ID, store.MeetingChange{})), want)
	})
	_, err := f.UpdateMeeting(ctx, "2026-12-31", change)
	f.refused("a meeting that is not there", err, store.ErrNotFound)
	_, err = f.UpdateMeeting(ctx, m.ID, store.MeetingChange{Start: &other.Start})
	f.refused("the time of another one", err, store.ErrExists)
	_, err = f.UpdateMeeting(ctx, m.ID, store.MeetingChange{State: ptr(store.MeetingState("done"))})
	f.refused("an unknown state", err, store.ErrInvalid)
	f.twice(func() { equal(f, "meeting", must[store.Meeting](f)(f.Meeting(ctx, m.ID)), want) })
	// Its old day is free again, and its ID is not.
	equal(f, "a new meeting on that day", f.meeting(Session("2026-12-15")).ID, "2026-12-15-2")
}

func (f *fixture) meetingIDs(q store.MeetingQuery) (ids []string) {
	f.Helper()
	for _, m := range must[[]store.Meeting](f)(f.Meetings(f.Context(), q)) {
		ids = append(ids, m.ID)
	}
	return ids
}

func testMeetings(f *fixture) {
	f.configured()
	for _, day := range []string{"2026-06-01", "2025-12-31", "2026-09-01", "2026-12-15"} {
		m := Session(day)
		m.Published = day != "2026-09-01"
		f.meeting(m)
	}
	ccas := Session("2026-07-01")
	ccas.Body = "ccas"
	f.meeting(ccas)
	from, to := Session("2026-06-01").Start, Session("2026-12-15").Start
	for _, c := range []struct {
		name string
		q    store.MeetingQuery
		want []string
	}{
		{"all", store.MeetingQuery{}, []string{"2026-12-15", "2026-09-01", "2026-07-01-ccas", "2026-06-01", "2025-12-31"}},
		{"the oldest first", store.MeetingQuery{OldestFirst: true, Limit: 2}, []string{"2025-12-31", "2026-06-01"}},
		{"from and before a time", store.MeetingQuery{From: from, To: to}, []string{"2026-09-01", "2026-07-01-ccas", "2026-06-01"}},
		{"after a time", store.MeetingQuery{From: from.Add(1)}, []string{"2026-12-15", "2026-09-01", "2026-07-01-ccas"}},
		{"up to a time", store.MeetingQuery{From: from, To: to.Add(1)}, []string{"2026-12-15", "2026-09-01", "2026-07-01-ccas", "2026-06-01"}},
		{"of a body", store.MeetingQuery{Body: "ccas"}, []string{"2026-07-01-ccas"}},
		{"of an unknown body", store.MeetingQuery{Body: "senat"}, nil},
		{"published", store.MeetingQuery{PublishedOnly: true, Limit: 2}, []string{"2026-12-15", "2026-06-01"}},
		{"published ones of a body", store.MeetingQuery{PublishedOnly: true, Body: "ccas"}, nil},
	} {
		equal(f, c.name, f.meetingIDs(c.q), c.want)
	}
}

func testYears(f *fixture) {
	ctx := f.configured().Context()
	paris := must[*time.Location](f)(time.LoadLocation("Europe/Paris"))
	for i, start := range []string{"2024-12-31T22:59:59.999Z", "2024-12-31T23:00:00Z", "2024-12-31T23:30:00Z", "2025-12-31T22:00:00Z", "2025-12-31T23:00:00Z", "2020-02-29T10:00:00Z"} {
		m := Session("2026-01-01")
		m.Start, m.Published = At(start), i != 2
		f.meeting(m)
	}
	years := must[[]store.YearCount](f)(f.Years(ctx, paris, false))
	equal(f, "in Paris", years, counts(2026, 1, 2025, 3, 2024, 1, 2020, 1))
	years = must[[]store.YearCount](f)(f.Years(ctx, time.UTC, false))
	equal(f, "in UTC", years, counts(2025, 2, 2024, 3, 2020, 1))
	years = must[[]store.YearCount](f)(f.Years(ctx, paris, true))
	equal(f, "published", years, counts(2026, 1, 2025, 2, 2024, 1, 2020, 1))
	for _, y := range years {
		from, to := time.Date(y.Year, 1, 1, 0, 0, 0, 0, paris), time.Date(y.Year+1, 1, 1, 0, 0, 0, 0, paris)
		equal(f, fmt.Sprint("the list of ", y.Year), len(f.meetingIDs(store.MeetingQuery{From: from, To: to, PublishedOnly: true})), y.Meetings)
	}
}

// counts makes a list of years and their meetings, of pairs of numbers.
func counts(pairs ...int) (all []store.YearCount) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, store.YearCount{Year: pairs[i], Meetings: pairs[i+1]})
	}
	return all
}
