package storetest

import (
	"slices"
	"testing"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// changes returns the feed behind a mark, and checks that the mark behind that is the end.
func (f *fixture) changes(after store.Mark) ([]store.Change, store.Mark) {
	f.t.Helper()
	changes, end, err := f.Changes(f.t.Context(), after, 1<<30)
	if err != nil {
		f.t.Fatalf("changes after %v: %v", after, err)
	}
	more, again, err := f.Changes(f.t.Context(), end, 1)
	if err != nil || len(more) != 0 || again != end {
		f.t.Fatalf("changes at the end of the feed: %v, mark %v, %v; want none, and the mark %v", more, again, err, end)
	}
	return changes, end
}

// wantChanges checks what the feed has behind a mark, and returns the mark behind that.
func (f *fixture) wantChanges(what string, after store.Mark, want ...store.Change) store.Mark {
	f.t.Helper()
	got, end := f.changes(after)
	wantEqual(f.t, what, got, want, slices.Equal)
	return end
}

func sealedChange(batch, anchor uint64, state store.AnchorState) store.Change {
	c := store.Change{Batch: batch, Progress: store.Progress{State: store.Sealed, Anchor: anchor, AnchorState: state}}
	if state == store.Mined || state == store.Final {
		c.Height, c.Block = 840_001, chainhash.Hash(Node(anchor, 202, 0))
	}
	return c
}

func openChange(batch uint64) store.Change {
	return store.Change{Batch: batch, Progress: store.Progress{State: store.Open}}
}

// testChanges follows a batch through all that can become of it.
func testChanges(t *testing.T, open Open) {
	f := newFixture(t, open)
	mark := f.wantChanges("an empty store", store.Mark{})
	if mark != (store.Mark{}) {
		t.Fatalf("the mark of an empty feed is %v", mark)
	}
	batch := store.Batch{ID: 1, State: store.Open, Count: 2, Opened: Time(1)}
	f.append(Group([]store.Batch{batch}, 1, 0, 2))
	mark = f.wantChanges("the first leaves", mark, openChange(1))
	batch.Count = 3
	f.append(Group([]store.Batch{batch}, 1, 2, 3))
	mark = f.wantChanges("more leaves", mark)
	batch.State, batch.Closed = store.Closed, Time(2)
	f.append(&store.Append{Batches: []store.Batch{batch}})
	mark = f.wantChanges("closing", mark, sealedChange(1, 0, ""))
	batch.State, batch.Root = store.Sealed, Node(1, 1, 0)
	f.apply(&store.Update{Batches: []store.Batch{batch}})
	mark = f.wantChanges("sealing, of which nobody outside sees anything", mark)

	anchor := Anchor(1, 1)
	batch.Anchor = 1
	f.apply(&store.Update{Batches: []store.Batch{batch}, Anchors: []store.Anchor{anchor}})
	mark = f.wantChanges("paying", mark, sealedChange(1, 1, store.Broadcast))
	anchor = Anchor(1, 2)
	f.apply(&store.Update{Anchors: []store.Anchor{anchor}})
	mark = f.wantChanges("a version more", mark)
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(anchor, store.Mined, 1)}})
	mark = f.wantChanges("mined", mark, sealedChange(1, 1, store.Mined))
	f.apply(&store.Update{Anchors: []store.Anchor{anchor}})
	mark = f.wantChanges("a reorganisation", mark, sealedChange(1, 1, store.Broadcast))
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(anchor, store.Spent, 0)}})
	mark = f.wantChanges("a coin that was lost, of which nobody outside sees anything", mark)
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(anchor, store.Mined, 0)}})
	mark = f.wantChanges("mined again", mark, sealedChange(1, 1, store.Mined))
	final := Mine(anchor, store.Final, 0)
	f.apply(&store.Update{Anchors: []store.Anchor{final}})
	mark = f.wantChanges("final", mark, sealedChange(1, 1, store.Final))
	final.Settled = true
	f.apply(&store.Update{Anchors: []store.Anchor{final}, Cursor: &store.Cursor{}})
	mark = f.wantChanges("settled", mark)
	batch.Anchor = 0
	f.apply(&store.Update{Batches: []store.Batch{batch}, Anchors: []store.Anchor{Mine(anchor, store.Dead, 0)}})
	mark = f.wantChanges("abandoned", mark, sealedChange(1, 0, ""))
	f.twice(func() {
		f.wantChanges("the end", mark)
		got, _ := f.changes(store.Mark{})
		if len(got) != 8 {
			t.Fatalf("the feed has %d changes, want 8: %v", len(got), got)
		}
	})
}

// testChangesOfGroups checks that the changes of one write stay together, in order of the batches.
func testChangesOfGroups(t *testing.T, open Open) {
	f := newFixture(t, open)
	group := Group([]store.Batch{
		{ID: 1, State: store.Closed, Count: 1, Opened: Time(1), Closed: Time(2)},
		{ID: 2, State: store.Closed, Count: 1, Opened: Time(2), Closed: Time(3)},
		{ID: 3, State: store.Open, Count: 1, Opened: Time(3)},
	}, 1, 0, 1)
	for id := uint64(2); id <= 3; id++ {
		group.Leaves = append(group.Leaves, Leaf(id, 0))
		group.At = append(group.At, store.Position{Batch: id})
	}
	f.append(group)
	first := f.wantChanges("three batches in one group", store.Mark{}, sealedChange(1, 0, ""), sealedChange(2, 0, ""), openChange(3))

	b1, err1 := f.Batch(t.Context(), 1)
	b2, err2 := f.Batch(t.Context(), 2)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	b1.State, b2.State, b1.Anchor, b2.Anchor = store.Sealed, store.Sealed, 1, 1
	anchor := Anchor(1, 1) // commits to batches 1 and 2
	f.apply(&store.Update{Batches: []store.Batch{b2, b1}, Anchors: []store.Anchor{anchor}})
	second := f.wantChanges("one payment for two", first, sealedChange(1, 1, store.Broadcast), sealedChange(2, 1, store.Broadcast))

	// The mined version left batch 2 out: it waits again, in the same write.
	b2.Anchor = 0
	f.apply(&store.Update{Batches: []store.Batch{b2}, Anchors: []store.Anchor{Mine(anchor, store.Mined, 0)}})
	f.twice(func() {
		f.wantChanges("mined without batch 2", second, sealedChange(1, 1, store.Mined), sealedChange(2, 0, ""))
		for _, limit := range []int{1, 2, 4} { // the first write has 3 changes, the second 2
			got, end, err := f.Changes(t.Context(), store.Mark{}, limit)
			if want := map[int]int{1: 3, 2: 3, 4: 5}[limit]; err != nil || len(got) != want {
				t.Fatalf("limit %d: %d changes, %v, want %d", limit, len(got), err, want)
			}
			if want := map[int]store.Mark{1: first, 2: first, 4: second}[limit]; end != want {
				t.Fatalf("limit %d: mark %v, want %v", limit, end, want)
			}
		}
	})
}

// testMarks checks that a mark counts in the store that gave it, and nowhere else.
func testMarks(t *testing.T, open Open) {
	f, other := newFixture(t, open), newFixture(t, open)
	life := func(f *fixture) []store.Mark {
		marks := []store.Mark{{}}
		for id := uint64(1); id <= 3; id++ {
			b := store.Batch{ID: id, State: store.Closed, Count: 1, Opened: Time(int64(id)), Closed: Time(int64(id) + 1)}
			f.append(Group([]store.Batch{b}, id, 0, 1))
			_, end := f.changes(marks[id-1])
			marks = append(marks, end)
		}
		return marks
	}
	marks := life(f)
	strange := life(other)[1:] // the other had the same changes
	for _, m := range marks[1:] {
		tag, write := m, m
		tag.Tag[7] ^= 1
		write.Write += 1000
		strange = append(strange, tag, write, store.Mark{Write: m.Write})
	}
	f.twice(func() {
		for i, m := range marks {
			if got, _ := f.changes(m); len(got) != 3-i {
				t.Fatalf("behind mark %d are %d changes, want %d", i, len(got), 3-i)
			}
		}
		for _, m := range strange {
			got, end, err := f.Changes(t.Context(), m, 10)
			wantError(t, "a mark that was never given", err, store.ErrUnknownMark)
			if len(got) != 0 || end != m {
				t.Fatalf("with that error came %d changes and the mark %v", len(got), end)
			}
		}
	})
}

// testChanged checks that those who wait for the feed to grow are woken.
func testChanged(t *testing.T, open Open) {
	f := newFixture(t, open)
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	wake := f.Changed()
	b := store.Batch{ID: 1, State: store.Open, Count: 1, Opened: Time(1)}
	f.append(Group([]store.Batch{b}, 1, 0, 1))
	if !closed(wake) {
		t.Fatal("a batch was opened, and nobody was woken")
	}
	wake = f.Changed()
	b.Count = 2
	f.append(Group([]store.Batch{b}, 1, 1, 2))
	f.apply(&store.Update{Cursor: &store.Cursor{Points: []store.Point{{Height: 1}}}})
	if closed(wake) {
		t.Fatal("nothing changed for any batch, and somebody was woken")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !closed(wake) || !closed(f.Changed()) {
		t.Fatal("the store was closed, and somebody still waits")
	}
	f.Store = nil
	f.Store = f.open(f.dir)
	if closed(f.Changed()) {
		t.Fatal("after opening, somebody was woken at once")
	}
}
