package pebblestore

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ancre/batcher/store"
)

var (
	storedFlag   = flag.Uint64("stored", 1_000_000, "how many leaves the larger store of the benchmarks holds")
	storeDirFlag = flag.String("storedir", "", "where that store is; it is made there if there is none, and kept")
)

// testLeaf is a leaf as real ones are: spread evenly.
func testLeaf(n uint64) store.Leaf { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)) }

// leafAdder appends the leaves of testLeaf one after the other, in batches of batchLeaves.
type leafAdder struct {
	s     *Store
	batch store.Batch
	group store.Append
	next  uint64
}

const batchLeaves = 1 << 20

func newLeafAdder(tb testing.TB, s *Store) *leafAdder {
	tb.Helper()
	a := &leafAdder{s: s, batch: store.Batch{ID: 1, State: store.Open, Opened: time.Unix(1_750_000_000, 0)}}
	last, err := s.Batches(tb.Context(), 0, 1)
	if err != nil {
		tb.Fatal(err)
	}
	if len(last) > 0 {
		a.batch = last[0]
	}
	if a.next, err = s.NumLeaves(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return a
}

// prepare makes the group of the next n leaves.
func (a *leafAdder) prepare(n int) *store.Append {
	a.group = store.Append{Leaves: a.group.Leaves[:0], At: a.group.At[:0], Batches: a.group.Batches[:0]}
	for range n {
		a.group.Leaves = append(a.group.Leaves, testLeaf(a.next))
		a.group.At = append(a.group.At, store.Position{Batch: a.batch.ID, Index: a.batch.Count})
		a.next++
		if a.batch.Count++; a.batch.Count == batchLeaves {
			a.batch.State, a.batch.Closed = store.Closed, a.batch.Opened
			a.group.Batches = append(a.group.Batches, a.batch)
			a.batch = store.Batch{ID: a.batch.ID + 1, State: store.Open, Opened: a.batch.Opened}
		}
	}
	if a.batch.Count > 0 {
		a.group.Batches = append(a.group.Batches, a.batch)
	}
	return &a.group
}

// grow appends leaves until the store has so many.
func (a *leafAdder) grow(tb testing.TB, total uint64) {
	tb.Helper()
	for a.next < total {
		if err := a.s.Append(tb.Context(), a.prepare(int(min(total-a.next, 16384)))); err != nil {
			tb.Fatal(err)
		}
	}
}

// settle waits until nothing happens in the background any more, as on a store that was left alone.
func settle(tb testing.TB, s *Store) {
	tb.Helper()
	eventually(tb, func() error {
		x, m := s.index.State(), s.db.Metrics()
		if batch, ok := s.treeFiles.next(); ok {
			return fmt.Errorf("the tree file of batch %d is to be written", batch)
		}
		if x.Full > 0 || x.Merging || m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
			return fmt.Errorf("%d full tables, %d segments, %d compactions, %d flushes", x.Full, len(x.Segments), m.Compact.NumInProgress, m.Flush.NumInProgress)
		}
		return nil
	})
}

// grown returns a store of so many leaves, which nothing is done to any more.
func grown(b *testing.B, leaves uint64) (*Store, *leafAdder) {
	b.Helper()
	dir := *storeDirFlag
	if dir == "" || leaves == 0 {
		dir = b.TempDir()
	}
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil && err != store.ErrClosed {
			b.Error(err)
		}
	})
	a := newLeafAdder(b, s)
	a.grow(b, leaves)
	settle(b, s)
	return s, a
}

// BenchmarkGroup does what a submit of n new digests asks of the store: look for them, and append
// them. Beside each, the floor writes the bytes of the leaves to a log and syncs it.
func BenchmarkGroup(b *testing.B) {
	for _, stored := range []uint64{0, *storedFlag} {
		s, a := grown(b, stored)
		for _, n := range []int{1, 100, 1000, 10000} {
			b.Run(fmt.Sprintf("stored=%d/leaves=%d", stored, n), func(b *testing.B) { benchmarkGroup(b, s, a, n) })
		}
	}
}

func benchmarkGroup(b *testing.B, s *Store, a *leafAdder, n int) {
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	var finding, appending, floor, longest time.Duration
	count := 0
	raw := make([]byte, 0, 32*n)
	for b.Loop() {
		group := a.prepare(n)
		began := time.Now()
		at, err := s.Find(b.Context(), group.Leaves)
		if err != nil {
			b.Fatal(err)
		}
		if at[0].Batch != 0 {
			b.Fatalf("a new leaf is at %v", at[0])
		}
		found := time.Now()
		if err := s.Append(b.Context(), group); err != nil {
			b.Fatal(err)
		}
		done := time.Now()
		finding += found.Sub(began)
		appending += done.Sub(found)
		longest = max(longest, done.Sub(found))
		count += n

		raw = raw[:0]
		for i := range group.Leaves {
			raw = append(raw, group.Leaves[i][:]...)
		}
		began = time.Now()
		if _, err := log.Write(raw); err != nil {
			b.Fatal(err)
		}
		if err := log.Sync(); err != nil {
			b.Fatal(err)
		}
		floor += time.Since(began)
	}
	took := finding + appending
	b.ReportMetric(float64(count)/took.Seconds(), "leaves/s")
	b.ReportMetric(float64(finding.Nanoseconds())/float64(count), "find-ns/leaf")
	b.ReportMetric(floor.Seconds()/took.Seconds(), "of-log")
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-append-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFindStored looks for digests that are stored, one at a time, as for a proof. The floor
// is a bare get of another leaf's run: who finds a digest reads its run in the end.
func BenchmarkFindStored(b *testing.B) {
	s, a := grown(b, *storedFlag)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("stored=%d/leaves=%d", a.next, n), func(b *testing.B) {
			var finding, floor time.Duration
			leaves := make([]store.Leaf, n)
			count := 0
			for b.Loop() {
				for i := range leaves {
					leaves[i] = testLeaf(rng.Uint64N(a.next))
				}
				began := time.Now()
				at, err := s.Find(b.Context(), leaves)
				if err != nil {
					b.Fatal(err)
				}
				finding += time.Since(began)
				count += n
				for i := range at {
					if at[i].Batch == 0 {
						b.Fatalf("leaf %x is not found", leaves[i])
					}
				}
				began = time.Now()
				for range at {
					n := rng.Uint64N(a.next)
					_, closer, err := s.db.Get(nodesKey(n/batchLeaves+1, 0, n%batchLeaves/runSize*runSize))
					if err != nil {
						b.Fatal(err)
					}
					_ = closer.Close()
				}
				floor += time.Since(began)
			}
			b.ReportMetric(float64(finding.Nanoseconds())/float64(count), "ns/leaf")
			b.ReportMetric(floor.Seconds()/finding.Seconds(), "of-get")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkOpen opens a store and asks it for a digest.
func BenchmarkOpen(b *testing.B) {
	for _, stored := range []uint64{0, *storedFlag} {
		s, a := grown(b, stored)
		dir := s.dir
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			for b.Loop() {
				s, err := Open(dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Find(b.Context(), []store.Leaf{testLeaf(a.next / 2)}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
