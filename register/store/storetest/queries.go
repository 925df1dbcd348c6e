package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/register/store"
)

func testSearch(f *fixture) {
	ctx := f.configured().Context()
	m := Session("2026-12-15")
	m.Title, m.Published = "Conseil d’été", true
	m = f.meeting(m)
	add := func(n int, meeting, title, number, name string) int64 {
		e := Document(n, meeting)
		e.Title, e.Number, e.FileName, e.Published = title, number, name, true
		return f.entry(e).ID
	}
	budget := add(1, m.ID, "Budget primitif de l’Œuvre", "2026-112", "délibération.pdf")
	school := add(2, m.ID, "École Jean-Macé : subvention", "2026-113", "ecole_2026.PDF")
	loose := add(3, "", "Arrêté n° 7 — SÉCURITÉ des constructions anticonstitutionnelles", "", "ärger ﬁn.odt")
	decomposed := add(4, "", "De\u0301libe\u0301ration sur la fore\u0302t", "", "x.pdf") // as macOS writes it
	want := func(text string, ids ...int64) {
		f.Helper()
		q := store.EntryQuery{Text: text}
		equal(f, fmt.Sprintf("%q", text), f.ids(q), append([]int64{}, ids...))
		q.PublishedOnly, q.Order = true, store.ByMeeting
		got := f.ids(q)
		slices.Sort(got)
		equal(f, fmt.Sprintf("%q on line", text), got, append([]int64{}, ids...))
	}
	f.twice(func() {
		for _, text := range []string{"budget", "BUDGET", "budg", "primitif budget", "Œuvre", "oeuvre", "œuvre budget", "2026-112", "112", "conseil primitif", "budget-primitif"} {
			want(text, budget)
		}
		for _, text := range []string{"été", "ETE", "conseil d'ete"} {
			want(text, budget, school)
		}
		want("pdf", budget, school, decomposed)
		want("délibération", budget, decomposed)
		want("de\u0301lib", budget, decomposed)
		want("forêt", decomposed)
		want("securite", loose)
		want("fin", loose)
		want("anticonstitutionnelles", loose)
		want("anticonstitutionnellement") // the first letters are the same
		want("arger", loose)
		want("jean mace", school)
		want("udget")
		want("budget école")
		want("…«»%*\"'")
		want(`" OR 1=1 --`)
		want("budget* AND NOT école")
	})
	// Words follow the title of the meeting, also when it had none of it before.
	f.ok2(f.UpdateMeeting(ctx, m.ID, store.MeetingChange{Title: ptr("Séance extraordinaire")}))
	want("été")
	want("extraordinaire", budget, school)
	equal(f, "of a meeting", f.ids(store.EntryQuery{Text: "pdf", Meeting: &m.ID}), []int64{budget, school})
	equal(f, "of a kind", f.ids(store.EntryQuery{Text: "pdf", Kind: store.Act}), []int64{})
	equal(f, "of a digest", f.ids(store.EntryQuery{Text: "budget", Digest: ptr(Digest(1))}), []int64{budget})
	equal(f, "of another digest", f.ids(store.EntryQuery{Text: "budget", Digest: ptr(Digest(2))}), []int64{})
}

// testEntriesInTime holds the ends of a time: the first moment is in it, the last one is not.
func testEntriesInTime(f *fixture) {
	f.configured()
	first, second := f.session("2026-12-15"), f.session("2026-12-16")
	a, b := f.entry(Document(1, first.ID)).ID, f.entry(Document(2, second.ID)).ID
	loose := f.entry(Document(3, ""))
	for _, c := range []struct {
		from, to time.Time
		want     []int64
	}{
		{first.Start, second.Start, []int64{a}},
		{first.Start, second.Start.Add(time.Millisecond), []int64{a, b}},
		{first.Start.Add(time.Millisecond), time.Time{}, []int64{b}},
		{first.Start.Add(time.Nanosecond), second.Start.Add(time.Nanosecond), []int64{b}},
		{time.Time{}, first.Start, []int64{loose.ID}},
		{loose.AddedAt, loose.AddedAt.Add(time.Millisecond), []int64{loose.ID}},
		{time.Time{}, loose.AddedAt, []int64{}},
	} {
		equal(f, fmt.Sprintf("from %v to %v", c.from, c.to), f.ids(store.EntryQuery{From: c.from, To: c.to}), c.want)
	}
	f.ok2(f.UpdateMeeting(f.Context(), first.ID, store.MeetingChange{Start: ptr(second.Start.Add(time.Hour))}))
	equal(f, "once the meeting was moved", f.ids(store.EntryQuery{From: second.Start.Add(time.Hour)}), []int64{a})
}

// testModel changes a store at random, and compares what it answers with what the contract says.
func testModel(f *fixture) {
	ctx := f.configured().Context()
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if f.Failed() {
			f.Logf("seed %d", seed)
		}
	}()
	m := &model{}
	for step := range 300 {
		m.change(f, r, step)
		if step%100 == 99 {
			f.reopen()
		}
		if step%25 == 24 {
			f.ok(f.Check(ctx))
		}
		if step%10 == 9 {
			for range 20 {
				q := m.query(r)
				got := must[[]store.Entry](f)(f.Entries(ctx, q))
				want := m.answer(q)
				if !slices.Equal(got, want) {
					f.Fatalf("step %d, query %+v:\n got %+v\nwant %+v", step, q, got, want)
				}
				q.After, q.Offset, q.Limit = 0, 0, 0
				equal(f, "count", must[int](f)(f.CountEntries(ctx, q)), len(m.answer(q)))
			}
		}
	}
	c := must[store.Counts](f)(f.Counts(ctx))
	equal(f, "meetings and entries", []int{c.Meetings, c.Entries}, []int{len(m.meetings), len(m.entries)})
	equal(f, "published", c.Published, len(m.answer(store.EntryQuery{PublishedOnly: true})))
	f.ok(f.Check(ctx))
}

// model is what a store should have, in memory.
type model struct {
	meetings []store.Meeting
	entries  []store.Entry
}

func (m *model) meeting(id string) *store.Meeting {
	for i := range m.meetings {
		if m.meetings[i].ID == id {
			return &m.meetings[i]
		}
	}
	return nil
}

// change makes one change in both.
func (m *model) change(f *fixture, r *rand.Rand, step int) {
	f.Helper()
	ctx := f.Context()
	at := f.now.Add(time.Duration(step) * time.Minute)
	switch what := r.IntN(10); {
	case what == 0 || len(m.meetings) == 0:
		s := Session(fmt.Sprintf("2026-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28)))
		s.Body, s.Published = Bodies[r.IntN(2)].ID, r.IntN(3) > 0
		stored, added, err := f.AddMeeting(ctx, s)
		f.ok(err)
		if added {
			m.meetings = append(m.meetings, stored)
		}
	case what == 1:
		s := &m.meetings[r.IntN(len(m.meetings))]
		start := s.Start.Add(time.Duration(r.IntN(1000)) * time.Hour)
		stored, err := f.UpdateMeeting(ctx, s.ID, store.MeetingChange{Start: &start, Title: ptr(word(r)), Published: ptr(r.IntN(3) > 0)})
		if !errors.Is(err, store.ErrExists) {
			f.ok(err)
			*s = stored
		}
	case what < 7 || len(m.entries) == 0:
		m.add(f, r, step)
	default:
		e := &m.entries[r.IntN(len(m.entries))]
		if what < 9 {
			download := r.IntN(2) > 0
			f.ok(f.Publish(ctx, []int64{e.ID}, download, at))
			if e.OnlineSince.IsZero() {
				e.OnlineSince = at
			}
			e.Published, e.Download, e.WithdrawnAt = true, download, time.Time{}
		} else {
			f.ok(f.Withdraw(ctx, []int64{e.ID}, at))
			if e.Published {
				e.Published, e.Download, e.WithdrawnAt = false, false, at
			}
		}
	}
}

func word(r *rand.Rand) string {
	words := []string{"Budget", "été", "École", "forêt", "Œuvre", "marché", "voirie", "Plœmeur"}
	return words[r.IntN(len(words))]
}

func (m *model) add(f *fixture, r *rand.Rand, step int) {
	f.Helper()
	e := Document(r.IntN(1000), "")
	if r.IntN(5) > 0 {
		e.Meeting = m.meetings[r.IntN(len(m.meetings))].ID
	}
	e.Kind, e.Title, e.Number = store.Kinds[r.IntN(len(store.Kinds))], word(r)+" "+word(r), fmt.Sprintf("2026-%d", r.IntN(30))
	e.FileName = word(r) + ".pdf"
	e.AddedAt = e.AddedAt.Add(time.Duration(step) * time.Hour)
	e.Published = r.IntN(2) > 0
	stored, added, err := f.AddEntry(f.Context(), e)
	f.ok(err)
	for i := range m.entries {
		was := &m.entries[i]
		if was.Meeting == e.Meeting && was.Digest == e.Digest {
			equal(f, "the same digest again", stored, *was)
			return
		}
		if was.Meeting == e.Meeting && e.Meeting != "" && was.Kind == e.Kind && was.FileName == e.FileName && was.ReplacedBy == 0 {
			was.ReplacedBy, was.ReplacedAt, e.Replaces = stored.ID, e.AddedAt, was.ID
		}
	}
	if e.ID = int64(len(m.entries) + 1); e.Published {
		e.OnlineSince = e.AddedAt
	}
	equal(f, "added", added, true)
	equal(f, "what was stored", stored, e)
	m.entries = append(m.entries, stored)
}

// query is a random query.
func (m *model) query(r *rand.Rand) (q store.EntryQuery) {
	some := m.entries[r.IntN(len(m.entries))]
	choose := func(do func()) {
		if r.IntN(4) == 0 {
			do()
		}
	}
	choose(func() { q.Meeting = &some.Meeting })
	choose(func() { q.Kind = some.Kind })
	choose(func() { q.FirstByte = &some.Digest[0] })
	choose(func() { q.Text = strings.ToUpper(word(r)[:4]) })
	choose(func() { q.From = m.at(&some) })
	choose(func() { q.To = m.at(&some).Add(24 * 30 * time.Hour) })
	choose(func() { q.Limit = 1 + r.IntN(5) })
	choose(func() { q.Offset = r.IntN(5) })
	if r.IntN(10) == 0 {
		q.Digest = &some.Digest
	}
	q.PublishedOnly, q.Order = r.IntN(2) == 0, store.Order(r.IntN(3))
	q.WasPublished = q.PublishedOnly && r.IntN(2) == 0
	if q.Order == store.ByID && r.IntN(3) == 0 {
		q.After = some.ID
	}
	return q
}

// at is the time by which an entry is chosen and sorted.
func (m *model) at(e *store.Entry) time.Time {
	if e.Meeting == "" {
		return e.AddedAt
	}
	return m.meeting(e.Meeting).Start
}

// answer is what a store should answer.
func (m *model) answer(q store.EntryQuery) (all []store.Entry) {
	for _, e := range m.entries {
		if m.isChosen(&e, q) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b store.Entry) int {
		switch q.Order {
		case store.ByDigest:
			return cmp.Or(slices.Compare(a.Digest[:], b.Digest[:]), cmp.Compare(a.ID, b.ID))
		case store.ByMeeting:
			return cmp.Or(m.at(&b).Compare(m.at(&a)), cmp.Compare(a.Meeting, b.Meeting),
				cmp.Compare(slices.Index(store.Kinds, a.Kind), slices.Index(store.Kinds, b.Kind)),
				cmp.Compare(store.NumberKey(a.Number), store.NumberKey(b.Number)), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Compare(a.ID, b.ID)
	})
	all = all[min(q.Offset, len(all)):]
	if q.Limit > 0 {
		all = all[:min(q.Limit, len(all))]
	}
	return all
}

func (m *model) isChosen(e *store.Entry, q store.EntryQuery) bool {
	s := m.meeting(e.Meeting)
	title := ""
	if s != nil {
		title = s.Title
	}
	words := store.Words(strings.Join([]string{e.Title, e.Number, e.FileName, title}, " "))
	for _, word := range store.Words(q.Text) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, word) }) {
			return false
		}
	}
	online := (s == nil || s.Published) && (e.Published || q.WasPublished && !e.OnlineSince.IsZero())
	return (q.Meeting == nil || *q.Meeting == e.Meeting) && (q.Kind == "" || q.Kind == e.Kind) &&
		(q.Digest == nil || *q.Digest == e.Digest) && (q.FirstByte == nil || *q.FirstByte == e.Digest[0]) &&
		(q.From.IsZero() || !m.at(e).Before(q.From)) && (q.To.IsZero() || m.at(e).Before(q.To)) &&
		(!q.PublishedOnly || online) && (q.Order != store.ByID || e.ID > q.After)
}

// testConcurrent writes and reads from many sides. What a write has returned is seen by every later
// read.
func testConcurrent(f *fixture) {
	ctx := f.configured().Context()
	meeting := f.session("2026-12-15").ID
	const writers, each = 8, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				before := f.Revision()
				e, added, err := f.AddEntry(ctx, Document(w*each+i, meeting))
				if err == nil && (!added || f.Revision() <= before) {
					err = fmt.Errorf("added %v, revision %d after %d", added, f.Revision(), before)
				}
				if err == nil {
					var read store.Entry
					if read, err = f.Entry(ctx, e.ID); err == nil && read != e {
						err = fmt.Errorf("entry %+v was written, %+v read", e, read)
					}
				}
				// All write the same now, too: one of them adds it.
				if err == nil {
					_, _, err = f.AddEntry(ctx, Document(10_000+i, meeting))
				}
				if err == nil {
					_, err = f.CountEntries(ctx, store.EntryQuery{Text: "deliberation", PublishedOnly: true})
				}
				if err != nil {
					f.Error(err)
				}
			}
		})
	}
	all.Wait()
	equal(f, "entries", must[int](f)(f.CountEntries(ctx, store.EntryQuery{})), writers*each+each)
	ids := f.ids(store.EntryQuery{})
	for i, id := range ids {
		if id != int64(i+1) {
			f.Fatalf("IDs %v", ids)
		}
	}
}

func testInvalidEntries(f *fixture) {
	ctx := f.configured().Context()
	m := f.session("2026-12-15")
	long := strings.Repeat("é", 128) // 256 bytes
	for what, c := range map[string]struct {
		change func(*store.Entry)
		want   error
	}{
		"of an unknown kind":           {func(e *store.Entry) { e.Kind = "letter" }, store.ErrInvalid},
		"of no kind":                   {func(e *store.Entry) { e.Kind = "" }, store.ErrInvalid},
		"of an unknown meeting":        {func(e *store.Entry) { e.Meeting = "2026-02-30" }, store.ErrNotFound},
		"with an ID":                   {func(e *store.Entry) { e.ID = 7 }, store.ErrInvalid},
		"that was replaced":            {func(e *store.Entry) { e.ReplacedBy = 7 }, store.ErrInvalid},
		"of less than no bytes":        {func(e *store.Entry) { e.Size = -1 }, store.ErrInvalid},
		"without a name":               {func(e *store.Entry) { e.FileName = "" }, store.ErrInvalid},
		"named ..":                     {func(e *store.Entry) { e.FileName = ".." }, store.ErrInvalid},
		"with a separator":             {func(e *store.Entry) { e.FileName = "../passwd" }, store.ErrInvalid},
		"with Windows' separator":      {func(e *store.Entry) { e.FileName = `a\b` }, store.ErrInvalid},
		"with a zero byte":             {func(e *store.Entry) { e.FileName = "a\x00.pdf" }, store.ErrInvalid},
		"with a line break":            {func(e *store.Entry) { e.FileName = "a\n.pdf" }, store.ErrInvalid},
		"with an escape":               {func(e *store.Entry) { e.Title = "a\x1b[2J" }, store.ErrInvalid},
		"with Unicode's line break":    {func(e *store.Entry) { e.Number = "a\u2028b" }, store.ErrInvalid},
		"with bytes that are no UTF-8": {func(e *store.Entry) { e.FileName = "a\xff.pdf" }, store.ErrInvalid},
		"with a name of 256 bytes":     {func(e *store.Entry) { e.FileName = long }, store.ErrInvalid},
		"with a long title":            {func(e *store.Entry) { e.Title = strings.Repeat(long, 20) }, store.ErrInvalid},
		"with a strange media type":    {func(e *store.Entry) { e.MediaType = "text/html\r\nSet-Cookie: a" }, store.ErrInvalid},
	} {
		e := Document(1, m.ID)
		c.change(&e)
		f.silent("an entry "+what, func() {
			_, _, err := f.AddEntry(ctx, e)
			f.refused("an entry "+what, err, c.want)
		})
	}
	equal(f, "entries", f.ids(store.EntryQuery{}), []int64{})
	equal(f, "digests that wait", len(must[[]store.Digest](f)(f.Waiting(ctx, 0))), 0)
	for n, name := range []string{"<img src=x onerror=alert(1)>.html", "page\u202efdp.exe", long[:254] + "x", "a b;$(reboot)'\".pdf", "…", "COM1"} {
		e := Document(n, m.ID)
		e.FileName, e.Size = name, 0
		equal(f, "the name", f.entry(e).FileName, name)
	}
}

func testContext(f *fixture) {
	f.configured()
	m := f.session("2026-12-15")
	e := f.entry(Document(1, m.ID))
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	for what, call := range map[string]func() error{
		"claim":         func() error { return f.Claim(ctx, "regtest") },
		"bodies":        func() error { return f.PutBodies(ctx, Bodies[:1]) },
		"add a meeting": func() error { _, _, err := f.AddMeeting(ctx, Session("2026-12-16")); return err },
		"update":        func() error { _, err := f.UpdateMeeting(ctx, m.ID, store.MeetingChange{Title: ptr("x")}); return err },
		"add an entry":  func() error { _, _, err := f.AddEntry(ctx, Document(2, m.ID)); return err },
		"publish":       func() error { return f.Publish(ctx, []int64{e.ID}, true, f.now) },
		"withdraw":      func() error { return f.Withdraw(ctx, []int64{e.ID}, f.now) },
		"follow":        func() error { return f.Follow(ctx, nil, "c") },
		"read":          func() error { _, err := f.Entries(ctx, store.EntryQuery{}); return err },
		"back up":       func() error { return f.Backup(ctx, func(int64, io.Reader) error { return nil }) },
	} {
		f.silent(what, func() { f.refused(what, call(), context.Canceled) })
	}
	equal(f, "entries", f.ids(store.EntryQuery{}), []int64{e.ID})
}

func testBackup(f *fixture) {
	ctx := f.configured().Context()
	f.entry(Document(1, ""))
	f.ok(f.Backup(ctx, func(size int64, r io.Reader) error {
		// The store goes on meanwhile.
		if _, _, err := f.AddEntry(ctx, Document(2, "")); err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, r)
		if err == nil && (n != size || n == 0) {
			err = fmt.Errorf("%d bytes come, and %d were announced", n, size)
		}
		return err
	}))
	broken := errors.New("the disk for backups is full")
	f.refused("a backup that is not taken", f.Backup(ctx, func(int64, io.Reader) error { return broken }), broken)
	f.ok(f.Backup(ctx, func(int64, io.Reader) error { return nil })) // read to no end
}

// testClosed takes a store of its own: the fixture closes its store itself.
func testClosed(f *fixture) {
	s := f.open(testing.TB(f.T), f.TempDir(), time.Now)
	f.ok(s.Close())
	ctx := f.Context()
	for what, call := range map[string]func() error{
		"write": func() error { _, _, err := s.AddEntry(ctx, Document(1, "")); return err },
		"read":  func() error { _, err := s.Entries(ctx, store.EntryQuery{}); return err },
		"check": func() error { return s.Check(ctx) },
	} {
		if call() == nil {
			f.Errorf("a closed store: %s returns no error", what)
		}
	}
}
