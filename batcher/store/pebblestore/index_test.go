package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// testTableLeaves makes a segment of every other group of the workload in workload_test.go.
const testTableLeaves = 2 * leavesPerGroup

// What the tests count on of package leafindex.
const (
	maxFull    = 2 // tables that may wait to become segments
	mergeWidth = 4 // neighbouring segments that become one
)

// openSmall opens a store whose tables are small, so that few leaves make many segments.
func openSmall(t *testing.T, dir string, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(dir, Options{FS: fs, tableLeaves: testTableLeaves})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrFailed) {
			t.Error(err)
		}
	})
	return s
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// appendAll appends leaves to the only batch of a store, in groups.
func appendAll(t *testing.T, s *Store, leaves []store.Leaf, group int) {
	t.Helper()
	for len(leaves) > 0 {
		n := min(group, len(leaves))
		if err := appendGroup(t.Context(), s, leaves[:n]); err != nil {
			t.Fatal(err)
		}
		leaves = leaves[n:]
	}
}

func appendGroup(ctx context.Context, s *Store, leaves []store.Leaf) error {
	count, err := s.NumLeaves(ctx)
	if err != nil {
		return err
	}
	a := &store.Append{Leaves: leaves}
	for i := range leaves {
		a.At = append(a.At, store.Position{Batch: 1, Index: count + uint64(i)})
	}
	a.Batches = []store.Batch{{ID: 1, State: store.Open, Count: count + uint64(len(leaves)), Opened: storetest.Time(1)}}
	return s.Append(ctx, a)
}

// wantFound checks that the leaves of the only batch are found, all at once and each alone, and
// that others are not.
func wantFound(t *testing.T, s *Store, leaves []store.Leaf) {
	t.Helper()
	at, err := s.Find(t.Context(), append(slices.Clone(leaves), storetest.Leaves(9, 0, 100)...))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range at {
		want := store.Position{Batch: 1, Index: uint64(i)}
		if i >= len(leaves) {
			want = store.Position{}
		}
		if p != want {
			t.Fatalf("leaf %d of %d is found at %v, want %v", i, len(leaves), p, want)
		}
	}
	for i := 0; i < len(leaves); i += 37 {
		if at, err := s.Find(t.Context(), leaves[i:i+1]); err != nil || at[0].Index != uint64(i) || at[0].Batch != 1 {
			t.Fatalf("leaf %d alone: %v, %v", i, at, err)
		}
	}
}

// TestStoreOfManySegments runs the suite with tables so small that nearly everything is in
// segments, and merged.
func TestStoreOfManySegments(t *testing.T) {
	open := func(t *testing.T, dir string) store.Store {
		t.Helper()
		s, err := Open(dir, Options{tableLeaves: 100})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	storetest.Run(t, open)
	storetest.RunSnapshots(t, open)
}

// TestLeavesAreFoundWhereverTheyAre looks for leaves in tables, segments and merged segments, and
// again after a start, which must not lose those that were only in memory.
func TestLeavesAreFoundWhereverTheyAre(t *testing.T) {
	dir := t.TempDir()
	leaves := storetest.Leaves(1, 0, 30*testTableLeaves+50)
	s := openSmall(t, dir, nil)
	for n := 0; n < len(leaves); n += 450 { // groups of no fixed relation to tables and runs
		end := min(n+450, len(leaves))
		appendAll(t, s, leaves[n:end], 77)
		wantFound(t, s, leaves[:end])
	}
	settle(t, s)
	wantFound(t, s, leaves)
	if n := len(s.index.State().Segments); n < 3 || n > 12 {
		t.Errorf("%d segments, expected some that are merged and some that are not", n)
	}
	last := s.index.State()
	if last.Leaves == 0 {
		t.Error("no leaf is in a table: nothing is to be read again")
	}
	closeStore(t, s)
	again := openSmall(t, dir, nil)
	wantFound(t, again, leaves)
	if got := again.index.State(); got.First != last.First || got.Leaves != last.Leaves {
		t.Errorf("after a start the table has %d leaves from %d on, before it had %d from %d on", got.Leaves, got.First, last.Leaves, last.First)
	}
}

// TestAGroupMayBeLargerThanATable also has the tables of a start larger than a run of batches.
func TestAGroupMayBeLargerThanATable(t *testing.T) {
	dir := t.TempDir()
	leaves := storetest.Leaves(1, 0, 10*testTableLeaves)
	s := openSmall(t, dir, nil)
	appendAll(t, s, leaves, 3*testTableLeaves)
	wantFound(t, s, leaves)
	closeStore(t, s)
	wantFound(t, openSmall(t, dir, nil), leaves)
}

// TestLeavesThatBeginAlikeAreToldApart has leaves that share what the index goes by. Whoever took
// the first that matches would give a digest the proof of another one, or take a new one for
// stored.
func TestLeavesThatBeginAlikeAreToldApart(t *testing.T) {
	alike := func(n int) store.Leaf {
		leaf := storetest.Leaf(5, 0)
		leaf[20] = byte(n)
		return leaf
	}
	sameSix := alike(0)
	sameSix[7] ^= 1 // differs in what a table knows, not in what a segment knows
	var leaves []store.Leaf
	for n := range 6 { // over six tables, which become segments, which are merged
		leaves = append(leaves, alike(2*n), alike(2*n+1))
		leaves = append(leaves, storetest.Leaves(1, uint64(n*testTableLeaves), uint64((n+1)*testTableLeaves))...)
	}
	leaves = append(leaves, sameSix, alike(100), alike(101))
	unknown := alike(200)
	dir := t.TempDir()
	s := openSmall(t, dir, nil)
	check := func() {
		t.Helper()
		wantFound(t, s, leaves)
		if at, err := s.Find(t.Context(), []store.Leaf{unknown, alike(0)}); err != nil || at[0].Batch != 0 || at[1].Batch != 1 {
			t.Errorf("one that was never appended, and one that was: %v, %v", at, err)
		}
	}
	for n := 0; n < len(leaves); n += 91 {
		if at, err := s.Find(t.Context(), leaves[n:min(n+91, len(leaves))]); err != nil || at[0].Batch != 0 {
			t.Fatalf("leaf %d before it was appended: %v, %v", n, at[0], err)
		}
		appendAll(t, s, leaves[n:min(n+91, len(leaves))], 91)
	}
	check()
	settle(t, s)
	check()
	closeStore(t, s)
	s = openSmall(t, dir, nil)
	check()
}

// TestAViewOutlivesAMerge reads through a view that was taken before its segments were replaced.
func TestAViewOutlivesAMerge(t *testing.T) {
	mem := vfs.NewMem()
	left := func(bytes uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: bytes, TotalBytes: 1 << 40}) }
	left(DefaultReserve + 40_000) // enough to go on, not for a merge
	const table = 2000
	s, err := Open(testDir, Options{FS: mem, tableLeaves: table})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	leaves := storetest.Leaves(1, 0, 4*table+30)
	appendAll(t, s, leaves, 100)
	eventually(t, func() error {
		if n := s.index.State().Full; n > 0 {
			return fmt.Errorf("%d tables are full", n)
		}
		return nil
	})
	v, err := s.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(v.release) // Close waits for it
	defer release()
	old := s.index.State().Segments
	if len(old) != mergeWidth {
		t.Fatalf("%d segments, want %d that wait for space to be merged", len(old), mergeWidth)
	}
	left(1 << 40)
	settle(t, s)
	if n := len(s.index.State().Segments); n != 1 {
		t.Fatalf("%d segments with space again, want 1", n)
	}
	at := make([]store.Position, len(leaves))
	f := &finder{s: s, r: v.snap, leaves: v.leaves, want: leaves, at: at}
	if err := errors.Join(v.index.Find(t.Context(), leaves, f), f.close()); err != nil {
		t.Fatal(err)
	}
	for i, p := range at {
		if p != (store.Position{Batch: 1, Index: uint64(i)}) {
			t.Fatalf("leaf %d through the old view: %v", i, p)
		}
	}
	if _, err := mem.Stat(old[0].File); err != nil {
		t.Errorf("the file of a segment that a view uses: %v", err)
	}
	release()
	for _, g := range old {
		if _, err := mem.Stat(g.File); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file of a segment that nobody uses any more: %v", err)
		}
	}
	wantFound(t, s, leaves)
}

// TestAppendWaitsForTheIndex holds segments back: memory is bounded, so Append waits, and goes on
// when they are written.
func TestAppendWaitsForTheIndex(t *testing.T) {
	through := make(chan struct{})
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		if op == "create" && filepath.Ext(name) == leafindex.SegmentExt {
			<-through
		}
		return change()
	}}
	s := openSmall(t, testDir, fs)
	leaves := storetest.Leaves(1, 0, (maxFull+2)*testTableLeaves)
	fit := (maxFull + 1) * testTableLeaves
	appendAll(t, s, leaves[:fit], leavesPerGroup)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := appendGroup(ctx, s, leaves[fit:fit+1]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append while %d tables are full: %v, want it to wait", maxFull, err)
	}
	wantFound(t, s, leaves[:fit])
	close(through)
	appendAll(t, s, leaves[fit:], leavesPerGroup)
	wantFound(t, s, leaves)
}

// TestReadsGoOnWhileTheIndexChanges finds what was appended before while tables grow, become
// segments and are merged. With the race detector.
func TestReadsGoOnWhileTheIndexChanges(t *testing.T) {
	s := openSmall(t, testDir, vfs.NewMem())
	leaves := storetest.Leaves(1, 0, 40*testTableLeaves)
	var appended atomic.Int64
	done := make(chan error)
	for reader := range 3 {
		go func() {
			rng := rand.New(rand.NewPCG(1, uint64(reader)))
			for {
				n := appended.Load()
				if n == int64(len(leaves)) {
					done <- nil
					return
				}
				if n == 0 {
					continue
				}
				i := rng.Int64N(n)
				at, err := s.Find(context.Background(), leaves[i:i+1])
				if err == nil && at[0] != (store.Position{Batch: 1, Index: uint64(i)}) {
					err = fmt.Errorf("leaf %d of %d is at %v", i, n, at[0])
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for n := 0; n < len(leaves); n += 60 {
		appendAll(t, s, leaves[n:n+60], 60)
		appended.Store(int64(n + 60))
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
