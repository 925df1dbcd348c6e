package pebblestore

import (
	"errors"
	"sync"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"
	"ancre/batcher/store/tree"
	"ancre/proof"
)

// TestSpansFollowABatchThatGrows would catch a leaf that came later being looked for in the batch
// before, or told of the one behind it, because what was remembered ended where the batch did then.
func TestSpansFollowABatchThatGrows(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	var all []store.Position
	look := func() {
		t.Helper()
		for _, want := range all {
			p, err := s.Locate(ctx, storetest.Leaf(want.Batch, want.Index))
			if err != nil || p.Position != want {
				t.Fatalf("leaf %d of batch %d stands at %v, %v", want.Index, want.Batch, p.Position, err)
			}
		}
	}
	for id := uint64(1); id <= 5; id++ {
		b := store.Batch{ID: id, State: store.Open, Opened: storetest.Time(1)}
		counts := []uint64{1, 2, 20, 300, 301}
		if id == 3 {
			counts = []uint64{0, 0} // the next begins with the same ordinal
		}
		for i, count := range counts {
			start := b.Count
			b.Count = count
			if i == len(counts)-1 {
				b.State = store.Closed
			}
			if err := s.Append(ctx, storetest.Group([]store.Batch{b}, id, start, count)); err != nil {
				t.Fatal(err)
			}
			for ; start < count; start++ {
				all = append(all, store.Position{Batch: id, Index: start})
			}
			look()
		}
	}
	if n := len(s.spans.known); n != 4 {
		t.Errorf("%d spans are known, want one of each batch that has leaves", n)
	}
}

// TestSpansAreBounded would catch a memory that grows with history, and one that tells wrong when
// it is full.
func TestSpansAreBounded(t *testing.T) {
	var s spans
	var g sync.WaitGroup
	for worker := range uint64(2) {
		g.Go(func() {
			for i := range uint64(3 * maxSpans) {
				begin := (i*7919 + worker) % (4 * maxSpans) * 10
				s.put(span{begin, begin + 9, begin/10 + 1})
				for _, ordinal := range []uint64{begin, begin + 8, begin + 9} {
					if k, ok := s.get(ordinal); ok && (k.batch != begin/10+1 || ordinal == begin+9) {
						t.Errorf("ordinal %d is in batch %d", ordinal, k.batch)
						return
					}
				}
			}
		})
	}
	g.Wait()
	if n := len(s.known); n == 0 || n > maxSpans {
		t.Errorf("%d are known, want some, at most %d", n, maxSpans)
	}
}

// TestLocateComparesWhatTheIndexSays would catch a place taken from a hint: of two leaves that
// begin with the same 48 bits, the one that was never stored would be found, and the other told to
// stand elsewhere.
func TestLocateComparesWhatTheIndexSays(t *testing.T) {
	for _, c := range []struct {
		name        string
		tableLeaves int
	}{{"in a table", 0}, {"in a segment", 64}} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.TempDir(), Options{tableLeaves: c.tableLeaves})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx := t.Context()
			const n = 64
			a := storetest.Group([]store.Batch{{ID: 1, State: store.Open, Count: n, Opened: storetest.Time(1)}}, 1, 0, n)
			twin, stranger := a.Leaves[3], a.Leaves[3]
			twin[31]++
			stranger[30]++
			a.Leaves[40] = twin
			if err := s.Append(ctx, a); err != nil {
				t.Fatal(err)
			}
			if c.tableLeaves > 0 { // the next ones make the table full
				if err := s.Append(ctx, storetest.Group([]store.Batch{{ID: 1, State: store.Open, Count: n + 1, Opened: storetest.Time(1)}}, 1, n, n+1)); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() error {
					if len(s.index.State().Segments) == 0 {
						return errors.New("the table is no segment yet")
					}
					return nil
				})
			}
			for leaf, want := range map[store.Leaf]store.Position{a.Leaves[3]: {Batch: 1, Index: 3}, twin: {Batch: 1, Index: 40}, stranger: {}} {
				p, err := s.Locate(ctx, leaf)
				if err != nil || p.Position != want {
					t.Errorf("leaf %x stands at %v, %v, want %v", leaf, p.Position, err, want)
				}
				if start := want.Index - want.Index%tree.Fanout; want.Batch != 0 && (len(p.Near) != tree.HeightStep || proof.RootFromPath(leaf, p.Near) != proof.Root(a.Leaves[start:start+tree.Fanout])) {
					t.Errorf("the first steps from leaf %d are %v", want.Index, p.Near)
				} else if want.Batch == 0 && p.Near != nil {
					t.Errorf("a leaf that is not stored has the first steps %v", p.Near)
				}
			}
		})
	}
}
