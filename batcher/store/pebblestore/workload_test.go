package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"
	"ancre/batcher/store/tree"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The workload is a sequence of steps, each one write. What the store holds after any number of
// them is known.

const (
	leavesPerGroup = 90
	groupsPerBatch = 7 // so a batch has two complete runs and a rest
	stepsPerBatch  = groupsPerBatch + 1
)

// step performs the nth write: groups, the last of which closes its batch, then an update that
// seals and anchors it.
func step(s *Store, n int) error {
	ctx := context.Background()
	batch, k := uint64(n/stepsPerBatch)+1, uint64(n%stepsPerBatch)
	if k < groupsPerBatch {
		b := batchAfter(batch, int(k)+1)
		return s.Append(ctx, storetest.Group([]store.Batch{b}, batch, k*leavesPerGroup, b.Count))
	}
	return s.Apply(ctx, &store.Update{
		Batches: []store.Batch{batchAfter(batch, stepsPerBatch)},
		Anchors: []store.Anchor{storetest.Anchor(batch, 2)},
		Cursor:  &store.Cursor{Points: []store.Point{{Height: int32(batch)}}},
		Nodes:   []store.Nodes{{Batch: batch, Height: tree.HeightStep, Hashes: upper(batch)}},
	})
}

func batchAfter(batch uint64, steps int) store.Batch {
	b := store.Batch{ID: batch, State: store.Open, Count: uint64(min(steps, groupsPerBatch)) * leavesPerGroup, Opened: storetest.Time(int64(batch))}
	if steps >= groupsPerBatch {
		b.State, b.Closed = store.Closed, storetest.Time(int64(batch)+1)
	}
	if steps == stepsPerBatch {
		b.State, b.Root, b.Anchor = store.Sealed, proof.Root(upper(batch)), batch
	}
	return b
}

// uppers remembers level 1 of batches: it is hashed once, and looked at after each of many crashes.
var uppers sync.Map

func upper(batch uint64) [][32]byte {
	nodes, ok := uppers.Load(batch)
	if !ok {
		nodes, _ = uppers.LoadOrStore(batch, levelOne(storetest.Leaves(batch, 0, groupsPerBatch*leavesPerGroup)))
	}
	return nodes.([][32]byte)
}

func levelOne(leaves []store.Leaf) (nodes [][32]byte) {
	for group := range slices.Chunk(leaves, tree.Fanout) {
		nodes = append(nodes, proof.Root(group))
	}
	return nodes
}

// stepsIn returns after how many steps the store is, having checked that it is exactly as after
// those.
func stepsIn(s *Store) (int, error) {
	ctx := context.Background()
	batches, err := s.Batches(ctx, 0, 1<<20)
	if err != nil {
		return 0, err
	}
	steps := 0
	leaves := uint64(0)
	for i := range batches {
		b := batches[len(batches)-1-i]
		done := 0
		for done <= stepsPerBatch && batchAfter(b.ID, done) != b {
			done++
		}
		if b.ID != uint64(i)+1 || done > stepsPerBatch || done == 0 || i < len(batches)-1 && done < stepsPerBatch {
			return 0, fmt.Errorf("batch %+v is as after no step", b)
		}
		steps = i*stepsPerBatch + done
		leaves += b.Count
		if err := cmp.Or(checkLeaves(s, b), checkTree(s, b)); err != nil {
			return 0, err
		}
	}
	sealed := steps / stepsPerBatch
	cursor, err := s.Cursor(ctx)
	if err != nil || len(cursor.Points) != min(sealed, 1) || sealed > 0 && cursor.Points[0].Height != int32(sealed) {
		return 0, fmt.Errorf("cursor %v, %w, after %d batches", cursor, err, sealed)
	}
	waiting, err := s.Waiting(ctx)
	if err != nil || len(waiting) != len(batches)-sealed {
		return 0, fmt.Errorf("%d batches wait, %w", len(waiting), err)
	}
	unsettled, err := s.Unsettled(ctx)
	if err != nil || len(unsettled) != sealed {
		return 0, fmt.Errorf("%d anchors are unsettled, %w", len(unsettled), err)
	}
	if n, err := s.NumLeaves(ctx); err != nil || n != leaves {
		return 0, fmt.Errorf("%d leaves, %w, want %d", n, err, leaves)
	}
	return steps, nil
}

// checkLeaves says what is wrong with the leaves of a batch, or with where they are found.
func checkLeaves(s *Store, b store.Batch) error {
	ctx := context.Background()
	want := storetest.Leaves(b.ID, 0, b.Count)
	leaves, err := s.Leaves(ctx, b.ID, 0, 1<<20)
	if err != nil || !equal(leaves, want) {
		return fmt.Errorf("batch %d: %d leaves, want %d: %w", b.ID, len(leaves), b.Count, err)
	}
	at, err := s.Find(ctx, storetest.Leaves(b.ID, 0, b.Count+leavesPerGroup))
	if err != nil {
		return err
	}
	for j, p := range at {
		want := store.Position{Batch: b.ID, Index: uint64(j)}
		if uint64(j) >= b.Count {
			want = store.Position{}
		}
		if p != want {
			return fmt.Errorf("leaf %d of batch %d, of %d, stands at %v", j, b.ID, b.Count, p)
		}
	}
	for index := uint64(0); index < b.Count; index += 97 {
		p, err := s.Locate(ctx, want[index])
		if err := cmp.Or(err, storetest.CheckPlace(p, store.Position{Batch: b.ID, Index: index})); err != nil {
			return err
		}
	}
	return nil
}

// checkTree says what is wrong with what comes with the seal of a batch.
func checkTree(s *Store, b store.Batch) error {
	ctx := context.Background()
	v, err := s.acquire(ctx) // what readers see: the database may hold a write that failed
	if err != nil {
		return err
	}
	nodes, _, err := s.nodes(ctx, v.snap, b.ID, 1, 0, 256)
	v.release()
	if err != nil {
		return err
	}
	anchor, err := s.Anchor(ctx, b.ID)
	if b.State == store.Sealed {
		if err != nil || !equal(nodes, upper(b.ID)) || len(anchor.Versions) != 2 {
			return fmt.Errorf("batch %d is sealed, and has %d nodes above its leaves and an anchor of %d versions: %w", b.ID, len(nodes), len(anchor.Versions), err)
		}
	} else if len(nodes) != 0 || !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("batch %d is %s, but has %d nodes above its leaves, or an anchor: %w", b.ID, b.State, len(nodes), err)
	}
	return nil
}

func equal(a, b [][32]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

const testDir = "store"

// small makes tables often, every dozen of steps, and segments: every second step, every tenth a
// merged one. Each sealed batch gets a tree file.
func small(fs vfs.FS) Options {
	return Options{FS: fs, memTableSize: 96 << 10, tableLeaves: testTableLeaves, treeFileLeaves: 1}
}

// recovered opens what a crash left, and checks that it holds at least so many steps, those that
// were acknowledged before, and at most one more than were acknowledged after, and goes on.
func recovered(fs vfs.FS, key *[32]byte, before, after int) error {
	s, err := Open(testDir, small(fs))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	if key != nil && s.Key() != *key {
		return errors.New("the key is another")
	}
	n, err := stepsIn(s)
	if err != nil {
		return err
	}
	if n < before || n > after+1 {
		return fmt.Errorf("as after %d steps, %d to %d were acknowledged", n, before, after)
	}
	for i := range 3 {
		if err := step(s, n+i); err != nil {
			return fmt.Errorf("going on with step %d: %w", n+i, err)
		}
	}
	if got, err := stepsIn(s); err != nil || got != n+3 {
		return fmt.Errorf("gone on to step %d, want %d: %w", got, n+3, err)
	}
	return s.Close()
}

// progress is how far a workload has come, as a crash finds it.
type progress struct {
	mu    sync.Mutex
	key   *[32]byte // once Open has returned
	steps int       // acknowledged
}

func (p *progress) get() (*[32]byte, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.key, p.steps
}

// crash checks what a crash at this moment leaves. Other goroutines of the store may go on
// meanwhile.
func (p *progress) crash(mem *vfs.MemFS, kept int, rng *rand.Rand) error {
	key, before := p.get() // what was acknowledged by now must be there
	clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
	_, after := p.get()
	return recovered(clone, key, before, after)
}

// run opens the store in fs and takes steps until one fails or there are enough.
func (p *progress) run(fs vfs.FS, steps int) (*Store, error) {
	s, err := Open(testDir, small(fs))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	key := s.Key()
	p.key = &key
	p.mu.Unlock()
	for n := range steps {
		if err := step(s, n); err != nil {
			return s, fmt.Errorf("step %d: %w", n, err)
		}
		p.mu.Lock()
		p.steps++
		p.mu.Unlock()
	}
	return s, nil
}

// eventually tries f until it succeeds. The limit only ends what hangs: some of what it waits for
// crashes the store hundreds of times on the way, and the machine may be busy.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	const limit = 10 * time.Minute
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %v: %v", limit, err)
		}
		<-tick.C
	}
}
