package pebblestore

import (
	"slices"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2"
)

// feedOf returns the whole feed of changes.
func feedOf(t *testing.T, s *Store) ([]store.Change, store.Mark) {
	t.Helper()
	changes, end, err := s.Changes(t.Context(), store.Mark{}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return changes, end
}

// A version that knows no feed writes without it. The next start adds what is missing: each state
// that was not told, once.
func TestTheFeedMakesUpForAVersionWithoutIt(t *testing.T) {
	for name, without := range map[string]func(*pebble.Batch, store.Mark){
		"it never had a feed": func(b *pebble.Batch, _ store.Mark) {
			_ = b.DeleteRange([]byte{prefixChange}, []byte{prefixChange + 1}, nil)
			_ = b.Delete(metaKey(metaFeed), nil)
		},
		"its newest change is missing": func(b *pebble.Batch, last store.Mark) {
			_ = b.Delete(idKey(prefixChange, last.Write), nil)
			setFeed(b, last.Write-1)
		},
		"nothing that changes a batch is missing": func(b *pebble.Batch, last store.Mark) { setFeed(b, last.Write-1) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openForTest(t, dir).(*Store)
			for id := uint64(1); id <= 3; id++ {
				b := store.Batch{ID: id, State: store.Closed, Count: 1, Opened: storetest.Time(1), Closed: storetest.Time(2)}
				if err := s.Append(t.Context(), storetest.Group([]store.Batch{b}, id, 0, 1)); err != nil {
					t.Fatal(err)
				}
			}
			want, last := feedOf(t, s)
			b := s.db.NewBatch()
			without(b, last)
			if err := s.db.Apply(b, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)

			for range 2 {
				s = openForTest(t, dir).(*Store)
				got, end := feedOf(t, s)
				if !slices.Equal(got, want) {
					t.Errorf("the feed is\n%v\nwant\n%v", got, want)
				}
				closeStore(t, s)
				if s.feed.behind {
					t.Error("the feed still counts as incomplete")
				}
				writes := s.witness.writes
				s = openForTest(t, dir).(*Store)
				_, again := feedOf(t, s)
				closeStore(t, s)
				if again != end || s.witness.writes != writes {
					t.Errorf("another start moved the end of the feed from %v to %v", end, again)
				}
			}
		})
	}
}

// More batches than are written at once get into the feed, however the start ends.
func TestTheFeedOfManyBatchesIsMadeUp(t *testing.T) {
	const batches = 2*catchUpChanges + 10
	dir := t.TempDir()
	s := openForTest(t, dir).(*Store)
	a := new(store.Append)
	for id := uint64(1); id <= batches; id++ {
		a.Batches = append(a.Batches, store.Batch{ID: id, State: store.Closed, Count: 1, Opened: storetest.Time(1), Closed: storetest.Time(2)})
		a.Leaves = append(a.Leaves, storetest.Leaf(id, 0))
		a.At = append(a.At, store.Position{Batch: id})
	}
	if err := s.Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	want, last := feedOf(t, s)
	b := s.db.NewBatch()
	_ = b.Delete(idKey(prefixChange, last.Write), nil)
	_ = b.Delete(metaKey(metaFeed), nil)
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = openForTest(t, dir).(*Store)
	defer closeStore(t, s)
	if got, _ := feedOf(t, s); len(want) != batches || !slices.Equal(got, want) {
		t.Errorf("the feed has %d changes, want the same %d as before", len(got), batches)
	}
}
