package pebblestore

import (
	"context"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"
)

func TestFilterKnowsWhatWasAddedAndLittleElse(t *testing.T) {
	f := newFilter()
	const n = filterLeaves
	for i := range uint64(n) {
		leaf := storetest.Leaf(1, i)
		f.add(&leaf)
	}
	for i := range uint64(n) {
		if leaf := storetest.Leaf(1, i); !f.has(&leaf) {
			t.Fatalf("leaf %d was added and is not there", i)
		}
	}
	wrong := 0
	for i := range uint64(100_000) {
		if leaf := storetest.Leaf(2, i); f.has(&leaf) {
			wrong++
		}
	}
	if wrong > 1000 {
		t.Errorf("%d of 100,000 leaves that were never added seem to be there, when it is full", wrong)
	}
}

// TestFilterIsWholeAfterAReopen appends before and while the filter is filled from what is stored: a leaf that it missed
// would be given a second place.
func TestFilterIsWholeAfterAReopen(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	const groups, each = 20, 500
	for round := range uint64(3) {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 && !s.filter.whole.Load() {
			t.Error("the filter of a new store is not whole at once")
		}
		batch := store.Batch{ID: round + 1, State: store.Open}
		for range uint64(groups) {
			a := &store.Append{Leaves: storetest.Leaves(batch.ID, batch.Count, batch.Count+each)}
			for i := range uint64(each) {
				a.At = append(a.At, store.Position{Batch: batch.ID, Index: batch.Count + i})
			}
			batch.Count += each
			a.Batches = []store.Batch{batch}
			if err := s.Append(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		batch.State = store.Closed
		if err := s.Append(ctx, &store.Append{Batches: []store.Batch{batch}}); err != nil {
			t.Fatal(err)
		}
		<-s.learnt
		if !s.filter.whole.Load() {
			t.Fatal("the filter was filled and is not whole")
		}
		for id := range round + 1 {
			at, err := s.Find(ctx, storetest.Leaves(id+1, 0, groups*each))
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range at {
				if p != (store.Position{Batch: id + 1, Index: uint64(i)}) {
					t.Fatalf("leaf %d of batch %d is at %v", i, id+1, p)
				}
			}
		}
		if at, err := s.Find(ctx, storetest.Leaves(99, 0, 100)); err != nil || at[7].Batch != 0 {
			t.Errorf("leaves that were never appended: %v, %v", at[7], err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
