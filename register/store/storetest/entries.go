package storetest

import (
	"slices"
	"time"

	"ancre/register/store"
)

func testAddEntry(f *fixture) {
	ctx := f.configured().Context()
	m := f.session("2026-12-15")
	for n, meeting := range []string{m.ID, ""} {
		e := Document(n, meeting)
		var stored store.Entry
		f.noticed("an entry", func() { stored = f.entry(e) })
		want := e
		want.ID = int64(n + 1)
		equal(f, "what was stored", stored, want)
		again := Document(n, meeting)
		again.FileName, again.Kind, again.AddedAt = "other.pdf", store.Annex, time.Time{}
		f.silent("the same digest again", func() {
			got, added, err := f.AddEntry(ctx, again)
			f.ok(err)
			equal(f, "the same digest again", got, want)
			equal(f, "added", added, false)
		})
		f.twice(func() {
			equal(f, "entry", must[store.Entry](f)(f.Entry(ctx, want.ID)), want)
			equal(f, "proof", must[store.Proof](f)(f.Proof(ctx, e.Digest)), store.Proof{Digest: e.Digest, State: store.Waiting, AddedAt: e.AddedAt})
		})
	}
	// The same document in another meeting is another entry, and has the same proof.
	twin := Document(0, f.session("2026-12-16").ID)
	twin.AddedAt = time.Time{}
	f.now = At("2026-12-01T00:00:00.5Z")
	got := f.entry(twin)
	equal(f, "the time that the store gave it", got.AddedAt, f.now)
	equal(f, "the proof's", must[store.Proof](f)(f.Proof(ctx, twin.Digest)).AddedAt, Document(0, "").AddedAt)
	equal(f, "digests that wait", must[[]store.Digest](f)(f.Waiting(ctx, 0)), []store.Digest{Digest(0), Digest(1)})

	published := Document(5, m.ID)
	published.Published, published.Download = true, true
	got = f.entry(published)
	equal(f, "online since", got.OnlineSince, published.AddedAt)
	equal(f, "as it is read", must[store.Entry](f)(f.Entry(ctx, got.ID)), got)
}

func testReplace(f *fixture) {
	ctx := f.configured().Context()
	m := f.session("2026-12-15")
	named := func(n int, change func(*store.Entry)) store.Entry {
		e := Document(n, m.ID)
		e.FileName = "budget.pdf"
		if change != nil {
			change(&e)
		}
		return f.entry(e)
	}
	read := func(e store.Entry) store.Entry { return must[store.Entry](f)(f.Entry(ctx, e.ID)) }
	first := named(1, nil)
	annex := named(2, func(e *store.Entry) { e.Kind = store.Annex })
	second := named(3, nil)
	third := named(4, func(e *store.Entry) { e.FileName = "budget.pdf" })
	f.twice(func() {
		equal(f, "the first", [2]int64{read(first).Replaces, read(first).ReplacedBy}, [2]int64{0, second.ID})
		equal(f, "when it was", read(first).ReplacedAt, second.AddedAt)
		equal(f, "of another kind", read(annex).ReplacedBy, 0)
		equal(f, "the second", [2]int64{read(second).Replaces, read(second).ReplacedBy}, [2]int64{first.ID, third.ID})
		equal(f, "the third", [2]int64{read(third).Replaces, read(third).ReplacedBy}, [2]int64{second.ID, 0})
	})
	renamed := named(5, func(e *store.Entry) { e.FileName, e.Replaces = "budget v4.pdf", third.ID })
	equal(f, "by its ID", [2]int64{read(third).ReplacedBy, renamed.Replaces}, [2]int64{renamed.ID, third.ID})

	e := Document(6, m.ID)
	e.Replaces = third.ID
	_, _, err := f.AddEntry(ctx, e)
	f.refused("what was replaced before", err, store.ErrExists)
	e.Replaces = 99
	_, _, err = f.AddEntry(ctx, e)
	f.refused("an entry that is not there", err, store.ErrNotFound)
	_, err = f.Proof(ctx, e.Digest)
	f.refused("the proof of an entry that was refused", err, store.ErrNotFound)

	loose := []store.Entry{}
	for n := range 2 {
		e := Document(10+n, "")
		e.FileName = "arrêté.pdf"
		loose = append(loose, f.entry(e))
	}
	equal(f, "of no meeting", read(loose[0]).ReplacedBy, 0)
}

func (f *fixture) ids(q store.EntryQuery) []int64 {
	f.Helper()
	entries := must[[]store.Entry](f)(f.Entries(f.Context(), q))
	ids := []int64{}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	unlimited := q
	unlimited.Limit, unlimited.Offset, unlimited.After = 0, 0, 0
	all := len(must[[]store.Entry](f)(f.Entries(f.Context(), unlimited)))
	equal(f, "count", must[int](f)(f.CountEntries(f.Context(), q)), all)
	return ids
}

func testPublish(f *fixture) {
	ctx := f.configured().Context()
	m := f.meeting(Session("2026-12-15")) // not published
	a, b, loose := f.entry(Document(1, m.ID)), f.entry(Document(2, m.ID)), f.entry(Document(3, ""))
	online, was := store.EntryQuery{PublishedOnly: true}, store.EntryQuery{PublishedOnly: true, WasPublished: true}
	want := func(what string, q store.EntryQuery, ids ...int64) {
		f.Helper()
		f.twice(func() { equal(f, what, f.ids(q), append([]int64{}, ids...)) })
	}
	want("at first", was)
	first := At("2026-12-01T10:00:00Z")
	f.noticed("publishing", func() { f.ok(f.Publish(ctx, []int64{a.ID, b.ID, loose.ID}, false, first)) })
	f.silent("publishing again", func() { f.ok(f.Publish(ctx, []int64{a.ID, b.ID}, false, first.Add(time.Hour))) })
	want("in a meeting that is not published", online, loose.ID)
	f.ok2(f.UpdateMeeting(ctx, m.ID, store.MeetingChange{Published: ptr(true)}))
	want("once it is", online, a.ID, b.ID, loose.ID)

	f.noticed("offering the file", func() { f.ok(f.Publish(ctx, []int64{a.ID}, true, first.Add(time.Hour))) })
	got := must[store.Entry](f)(f.Entry(ctx, a.ID))
	equal(f, "download", got.Download, true)
	equal(f, "online since", got.OnlineSince, first)

	gone := first.Add(24 * time.Hour)
	f.noticed("withdrawing", func() { f.ok(f.Withdraw(ctx, []int64{a.ID, loose.ID}, gone)) })
	f.silent("withdrawing again", func() { f.ok(f.Withdraw(ctx, []int64{a.ID}, gone.Add(time.Hour))) })
	got = must[store.Entry](f)(f.Entry(ctx, a.ID))
	equal(f, "what stays known", []any{got.Published, got.Download, got.OnlineSince, got.WithdrawnAt}, []any{false, false, first, gone})
	want("on line", online, b.ID)
	want("was on line", was, a.ID, b.ID, loose.ID)
	f.ok2(f.UpdateMeeting(ctx, m.ID, store.MeetingChange{Published: ptr(false)}))
	want("was on line, of a meeting that no longer is", was, loose.ID)
	f.ok2(f.UpdateMeeting(ctx, m.ID, store.MeetingChange{Published: ptr(true)}))
	want("of a meeting that is again", was, a.ID, b.ID, loose.ID)

	f.ok(f.Publish(ctx, []int64{a.ID}, false, gone.Add(time.Hour)))
	got = must[store.Entry](f)(f.Entry(ctx, a.ID))
	equal(f, "on line again", []any{got.Published, got.OnlineSince, got.WithdrawnAt}, []any{true, first, time.Time{}})

	f.silent("an entry that is not there", func() {
		f.refused("publishing", f.Publish(ctx, []int64{loose.ID, 99}, true, gone), store.ErrNotFound)
		f.refused("withdrawing", f.Withdraw(ctx, []int64{b.ID, 99}, gone), store.ErrNotFound)
	})
	never := f.entry(Document(4, m.ID))
	f.silent("withdrawing what never was on line", func() { f.ok(f.Withdraw(ctx, []int64{never.ID}, gone)) })
	want("in the end", online, a.ID, b.ID)
	equal(f, "published", must[store.Counts](f)(f.Counts(ctx)).Published, 2)
}

func (f *fixture) ok2(_ any, err error) {
	f.Helper()
	f.ok(err)
}

func testFollow(f *fixture) {
	ctx := f.Context()
	var ds []store.Digest
	for n := range 5 {
		ds = append(ds, f.entry(Document(n, "")).Digest)
	}
	equal(f, "waiting", must[[]store.Digest](f)(f.Waiting(ctx, 3)), ds[:3])
	pending := func(d store.Digest, batch uint64) store.Proof {
		return store.Proof{Digest: d, State: store.Pending, SubmittedAt: At("2026-11-30T11:00:00.5Z"), Batch: batch}
	}
	mined := pending(ds[1], 7)
	mined.State, mined.Height, mined.BlockHash, mined.BlockTime = store.Mined, 900_000, Digest(9).String(), At("2026-11-30T12:00:00Z")
	complete := mined
	complete.Digest, complete.State, complete.Batch, complete.CompleteAt = ds[2], store.Complete, 1<<63+5, At("2026-11-30T13:00:00Z")
	f.noticed("following", func() { f.ok(f.Follow(ctx, []store.Proof{pending(ds[0], 7), mined, complete}, "c1")) })
	f.silent("following the same", func() { f.ok(f.Follow(ctx, []store.Proof{pending(ds[0], 7), mined, complete}, "c2")) })
	f.silent("a cursor alone", func() { f.ok(f.Follow(ctx, nil, "c3")) })
	f.silent("nothing", func() { f.ok(f.Follow(ctx, nil, "")) })
	withAdded := func(p store.Proof, n int) store.Proof { p.AddedAt = Document(n, "").AddedAt; return p }
	f.twice(func() {
		equal(f, "cursor", must[string](f)(f.Cursor(ctx)), "c3")
		equal(f, "proofs", must[[]store.Proof](f)(f.Proofs(ctx, []store.Digest{ds[2], Digest(99), ds[1]})),
			[]store.Proof{withAdded(complete, 2), {}, withAdded(mined, 1)})
		equal(f, "waiting", must[[]store.Digest](f)(f.Waiting(ctx, 0)), ds[3:])
		ofBatch := must[[]store.Proof](f)(f.ProofsOfBatch(ctx, 7))
		equal(f, "proofs of a batch", len(ofBatch), 2)
		equal(f, "proofs of a large batch", must[[]store.Proof](f)(f.ProofsOfBatch(ctx, 1<<63+5)), []store.Proof{withAdded(complete, 2)})
		c := must[store.Counts](f)(f.Counts(ctx))
		equal(f, "counts", c, store.Counts{Entries: 5, Proofs: map[store.ProofState]int{store.Waiting: 2, store.Pending: 1, store.Mined: 1, store.Complete: 1},
			OldestWaiting: Document(3, "").AddedAt})
	})
	f.testProofsAfter(ds)
	f.silent("a digest that has no proof", func() {
		f.refused("following", f.Follow(ctx, []store.Proof{pending(ds[3], 8), pending(Digest(99), 8)}, "c4"), store.ErrNotFound)
		f.refused("an unknown state", f.Follow(ctx, []store.Proof{{Digest: ds[3], State: "done"}}, "c4"), store.ErrInvalid)
	})
	equal(f, "cursor", must[string](f)(f.Cursor(ctx)), "c3")
	f.ok(f.Follow(ctx, []store.Proof{{Digest: ds[2], State: store.Waiting}}, "")) // the node lost its data
	equal(f, "waiting again", must[[]store.Digest](f)(f.Waiting(ctx, 0)), ds[2:])
}

func (f *fixture) testProofsAfter(ds []store.Digest) {
	f.Helper()
	ctx := f.Context()
	sorted := slices.Clone(ds)
	slices.SortFunc(sorted, func(a, b store.Digest) int { return slices.Compare(a[:], b[:]) })
	digests := func(proofs []store.Proof) (ds []store.Digest) {
		for _, p := range proofs {
			ds = append(ds, p.Digest)
		}
		return ds
	}
	equal(f, "all", digests(must[[]store.Proof](f)(f.ProofsAfter(ctx, nil, 0))), sorted)
	equal(f, "the first two", digests(must[[]store.Proof](f)(f.ProofsAfter(ctx, nil, 2))), sorted[:2])
	equal(f, "the next two", digests(must[[]store.Proof](f)(f.ProofsAfter(ctx, &sorted[1], 2))), sorted[2:4])
	var some []store.Digest
	for _, d := range sorted {
		if d == ds[0] || d == ds[2] {
			some = append(some, d)
		}
	}
	equal(f, "of two states", digests(must[[]store.Proof](f)(f.ProofsAfter(ctx, nil, 5, store.Complete, store.Pending, store.Complete))), some)
}
