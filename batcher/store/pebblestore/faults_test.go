package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"
	"ancre/batcher/store/storetest"
	"ancre/batcher/store/tree"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// hookFS lets a test stand in the way of every change of a file system.
type hookFS struct {
	vfs.FS
	hook func(op, name string, change func() error) error
}

type hookFile struct {
	vfs.File
	fs   *hookFS
	name string
}

func (h *hookFS) file(op, name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	if err = h.hook(op, name, func() error { f, err = open(); return err }); err != nil {
		return nil, err
	}
	return &hookFile{f, h, name}, nil
}

func (h *hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.file("create", name, func() (vfs.File, error) { return h.FS.Create(name, c) })
}

func (h *hookFS) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.file("reuse", n, func() (vfs.File, error) { return h.FS.ReuseForWrite(o, n, c) })
}

func (h *hookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return h.file("open", name, func() (vfs.File, error) { return h.FS.OpenReadWrite(name, c, opts...) })
}

func (h *hookFS) OpenDir(name string) (vfs.File, error) {
	f, err := h.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &hookFile{f, h, name}, nil
}

func (h *hookFS) Rename(o, n string) error {
	return h.hook("rename", n, func() error { return h.FS.Rename(o, n) })
}

func (h *hookFS) Remove(name string) error {
	return h.hook("remove", name, func() error { return h.FS.Remove(name) })
}

func (h *hookFS) Link(o, n string) error {
	return h.hook("link", n, func() error { return h.FS.Link(o, n) })
}

func (h *hookFS) MkdirAll(name string, perm os.FileMode) error {
	return h.hook("mkdir", name, func() error { return h.FS.MkdirAll(name, perm) })
}

func (f *hookFile) Write(p []byte) (n int, err error) {
	err = f.fs.hook("write", f.name, func() (err error) { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *hookFile) Sync() error     { return f.fs.hook("sync", f.name, f.File.Sync) }
func (f *hookFile) SyncData() error { return f.fs.hook("sync", f.name, f.File.SyncData) }
func (f *hookFile) Close() error    { return f.fs.hook("close", f.name, f.File.Close) }

func (f *hookFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.hook("sync", f.name, func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

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

// TestCrashLosesNothing stops the world before every so manyth change of the file system, keeps
// none, some or all of what was not synced, and opens what is left.
func TestCrashLosesNothing(t *testing.T) {
	steps, every := 64, int64(23)
	if testing.Short() {
		steps, every = 24, 19
	}
	mem := vfs.NewCrashableMem()
	var p progress
	var ops, crashes atomic.Int64
	rng := rand.New(rand.NewPCG(1, 2))
	var crash sync.Mutex
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if n := ops.Add(1); n%every == 0 {
			crash.Lock()
			defer crash.Unlock()
			for _, kept := range []int{0, 50, 100} {
				if err := p.crash(mem, kept, rng); err != nil {
					t.Errorf("crash before change %d (%s %s), %d%% of what was not synced kept: %v", n, op, name, kept, err)
				}
				crashes.Add(1)
			}
		}
		return change()
	}}
	s, err := p.run(fs, steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes, %d crashes", ops.Load(), crashes.Load())
}

var errInjected = errors.New("injected")

// TestFaultEndsWriting makes changes of the file system fail once, each before or after it took
// effect.
func TestFaultEndsWriting(t *testing.T) {
	any := func(op, name string) bool { return true }
	manifest := func(op, name string) bool { return strings.Contains(name, "MANIFEST") }
	for _, c := range []struct {
		name   string
		match  func(op, name string) bool
		steps  int
		stride int64
	}{
		{"each change of one batch", any, stepsPerBatch + 1, 1},
		{"any change", any, 28, 11},
		// Each flush and each compaction writes it, and what it replaces is deleted: much has to
		// happen.
		{"the manifest", manifest, 90, 3},
		{"the index", isOfIndex, 40, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() {
				c.stride *= 11
			}
			failures := 0
			for _, took := range []bool{false, true} {
				at := int64(1)
				for ; !t.Failed(); at += c.stride {
					hit, failed := faultAt(t, c.steps, at, took, c.match)
					if failed {
						failures++
					}
					if !hit {
						break
					}
				}
				t.Logf("took effect: %t: %d changes", took, at)
			}
			t.Logf("%d faults ended the writing", failures)
			if failures == 0 {
				t.Error("no fault ended the writing")
			}
		})
	}
}

// faultAt runs the workload with one fault, at the given one of the changes that match. It says
// whether the fault came to pass and whether it ended the writing.
func faultAt(t *testing.T, steps int, at int64, took bool, match func(op, name string) bool) (hit, failed bool) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	var p progress
	var ops atomic.Int64
	var what atomic.Pointer[string]
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if !match(op, name) || ops.Add(1) != at {
			return change()
		}
		what.Store(ptr(op + " " + name))
		if took || op == "close" {
			_ = change()
		}
		return fmt.Errorf("%s: %w", op, errInjected)
	}}
	fail := func(format string, args ...any) {
		t.Helper()
		name := "none"
		if w := what.Load(); w != nil {
			name = *w
		}
		t.Errorf("fault at change %d (%s), took effect: %t: %s", at, name, took, fmt.Sprintf(format, args...))
	}

	s, err := p.run(fs, steps)
	key, acked := p.get()
	if s == nil {
		failed = true
		if !errors.Is(err, errInjected) && !errors.Is(err, store.ErrFailed) {
			fail("open: %v, want the fault", err)
		}
	} else {
		if err != nil {
			failed = true
			if !errors.Is(err, store.ErrFailed) {
				fail("%v, want one that wraps ErrFailed", err)
			}
			for n := range 2 * stepsPerBatch { // appends and updates
				if err := step(s, acked+n); !errors.Is(err, store.ErrFailed) {
					fail("a write after the failure: %v, want one that wraps ErrFailed", err)
					break
				}
			}
		}
		n, err := stepsIn(s)
		if err != nil || n != acked && n != acked+1 {
			fail("reads after the failure: as after %d steps, %d were acknowledged: %v", n, acked, err)
		}
		acked = n // the write that failed may have happened, but what was read must stay
		if err := within(s.Close); errors.Is(err, errHangs) || !failed && err != nil && !errors.Is(err, store.ErrFailed) {
			fail("close: %v", err)
		}
	}
	// The process starts again, after a power cut or as it is. (A crash clone never shows deletions
	// that were not synced.)
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := recovered(clone, key, acked, acked); err != nil {
		fail("started again after a power cut: %v", err)
	}
	if err := recovered(mem, key, acked, acked); err != nil {
		fail("started again: %v", err)
	}
	return what.Load() != nil, failed
}

func ptr[T any](v T) *T { return &v }

var errHangs = errors.New("it hangs")

// within calls f, and gives up on it after a generous while. On a machine that has much else to do
// a start may take a minute, because Pebble looks for the bit that makes a checksum wrong.
func within(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Minute):
		return errHangs
	}
}

// TestAcknowledgementWaitsForSync holds the sync of the log back: until it is through, nothing is
// acknowledged, and nothing of the write can be read.
func TestAcknowledgementWaitsForSync(t *testing.T) {
	var hold atomic.Bool
	reached, through := make(chan struct{}, 100), make(chan struct{})
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		if hold.Load() && op == "sync" && strings.HasSuffix(name, ".log") {
			reached <- struct{}{}
			<-through
		}
		return change()
	}}
	s, err := Open(testDir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := step(s, 0); err != nil {
		t.Fatal(err)
	}
	hold.Store(true)
	acked := make(chan error, 1)
	go func() { acked <- step(s, 1) }()
	<-reached
	if n, err := stepsIn(s); err != nil || n != 1 {
		t.Errorf("while the sync is held back: as after %d steps, %v; want 1", n, err)
	}
	select {
	case err := <-acked:
		t.Errorf("acknowledged (%v) before the sync", err)
	default:
	}
	hold.Store(false)
	close(through)
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	if n, err := stepsIn(s); err != nil || n != 2 {
		t.Errorf("after the sync: as after %d steps, %v; want 2", n, err)
	}
}

// openOnDisk opens a new store on a disk of which twice the reserve is left, and returns what says
// how many bytes are left from then on.
func openOnDisk(t *testing.T) (s *Store, left func(bytes uint64)) {
	t.Helper()
	mem := vfs.NewMem()
	left = func(bytes uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: bytes, TotalBytes: 1 << 40}) }
	left(DefaultReserve * 2)
	s, err := Open(testDir, Options{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, left
}

// TestFullDiskIsSeenBefore refuses writes while little space is left, and takes them again.
func TestFullDiskIsSeenBefore(t *testing.T) {
	s, left := openOnDisk(t)
	n := 0
	for ; n < groupsPerBatch; n++ {
		if err := step(s, n); err != nil {
			t.Fatal(err)
		}
	}
	left(DefaultReserve * 3 / 4)
	if err := step(s, n+1); !errors.Is(err, store.ErrFull) {
		t.Fatalf("append with little space: %v, want one that wraps ErrFull", err)
	}
	if err := step(s, n); err != nil { // the update
		t.Fatalf("an update must go on: %v", err)
	}
	n++
	left(DefaultReserve / 4)
	if err := s.Apply(t.Context(), &store.Update{Cursor: &store.Cursor{}}); !errors.Is(err, store.ErrFull) {
		t.Fatalf("update without space: %v, want one that wraps ErrFull", err)
	}
	if got, err := stepsIn(s); err != nil || got != n {
		t.Fatalf("reading: as after %d steps, %v; want %d", got, err, n)
	}
	left(DefaultReserve * 2)
	if err := step(s, n); err != nil {
		t.Fatalf("append with space again: %v", err)
	}
}

// isTable says whether a file is one that waits for space.
func isTable(name string) bool {
	return failfs.New(nil, nil, fileKinds).IsTable(name)
}

// TestFullDiskUnderTables lets only tables run out of space: the store takes no more leaves than
// its memtables hold, goes on reading, and recovers by itself.
func TestFullDiskUnderTables(t *testing.T) {
	var full atomic.Bool
	refused := make(chan struct{}, 1)
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		if full.Load() && isTable(name) && op == "create" {
			select {
			case refused <- struct{}{}:
			default:
			}
			return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
		}
		return change()
	}}
	s, err := Open(testDir, small(fs))
	if err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	n := 0
	for ; n < 1000; n++ {
		if err = step(s, n); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("step %d: %v, want one that wraps ErrFull", n, err)
	}
	<-refused
	if got, err := stepsIn(s); err != nil || got != n {
		t.Fatalf("reading: as after %d steps, %v; want %d", got, err, n)
	}
	full.Store(false)
	eventually(t, func() error { return step(s, n) })
	if got, err := stepsIn(s); err != nil || got != n+1 {
		t.Fatalf("afterwards: as after %d steps, %v; want %d", got, err, n+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFullDiskUnderTheLog is what checking before cannot see: another process took the space in
// between.
func TestFullDiskUnderTheLog(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var full atomic.Bool
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if full.Load() && op == "write" && filepath.Ext(name) == ".log" {
			return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
		}
		return change()
	}}
	s, err := Open(testDir, small(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := step(s, 0); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	if err := step(s, 1); !errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrFull) {
		t.Fatalf("%v, want one that wraps ErrFailed: what is in the log is not certain", err)
	}
	full.Store(false)
	if err := step(s, 1); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("%v, want it to stay failed", err)
	}
	if n, err := stepsIn(s); err != nil || n != 1 {
		t.Fatalf("reading: as after %d steps, %v; want 1", n, err)
	}
	if err := s.Close(); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("close: %v, want the failure", err)
	}
	if err := recovered(mem.CrashClone(vfs.CrashCloneCfg{}), ptr(s.Key()), 1, 1); err != nil {
		t.Fatal(err)
	}
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
