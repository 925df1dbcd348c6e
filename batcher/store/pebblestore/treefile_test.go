package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/storetest"
	"ancre/batcher/store/tree"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// largeLeaves is how many leaves a batch has here: three complete runs and a rest, which ends in
// the middle of a group.
const largeLeaves = 3*runSize + 37

// openWithTreeFiles opens a store in which batches of two runs and more get a tree file.
func openWithTreeFiles(t *testing.T, dir string, fs vfs.FS, log *lockedLog) *Store {
	t.Helper()
	opts := Options{FS: fs, tableLeaves: testTableLeaves, treeFileLeaves: 2 * runSize}
	if log != nil {
		opts.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// sealBatch appends a batch of so many leaves, and seals it.
func sealBatch(s *Store, id, count uint64) error {
	ctx := context.Background()
	b := store.Batch{ID: id, State: store.Closed, Count: count, Opened: storetest.Time(1), Closed: storetest.Time(2)}
	if err := s.Append(ctx, storetest.Group([]store.Batch{b}, id, 0, count)); err != nil {
		return err
	}
	sealed, nodes := storetest.Seal(b)
	return s.Apply(ctx, &store.Update{Batches: []store.Batch{sealed}, Nodes: nodes})
}

func mustSeal(t *testing.T, s *Store, id, count uint64) {
	t.Helper()
	if err := sealBatch(s, id, count); err != nil {
		t.Fatal(err)
	}
}

// locate checks what is said of a leaf, and returns up to which level its path was read.
func locate(s *Store, batch, index uint64) (level int, err error) {
	p, err := s.Locate(context.Background(), storetest.Leaf(batch, index))
	if err != nil {
		return 0, fmt.Errorf("leaf %d of batch %d: %w", index, batch, err)
	}
	return len(p.Near) / tree.HeightStep, storetest.CheckPlace(p, store.Position{Batch: batch, Index: index})
}

// wantPaths checks the paths of all leaves of a batch, and that those of complete runs are read
// from its file, or that none is.
func wantPaths(t *testing.T, s *Store, batch, count uint64, fromFile bool) {
	t.Helper()
	for index := range count {
		want := 0
		switch {
		case fromFile && index < count-count%runSize:
			want = lowLevels
		case index < count-count%tree.Fanout:
			want = 1
		}
		if level, err := locate(s, batch, index); err != nil || level != want {
			t.Fatalf("leaf %d of %d in batch %d: a path to level %d, %v, want one to level %d", index, count, batch, level, err, want)
		}
	}
}

func treeFilesOf(t *testing.T, dir string) []string {
	t.Helper()
	return indexFiles(t, dir, treeFileExt)
}

// storeWithTreeFile makes a store of one batch that has a tree file, and returns that file and what
// is in it.
func storeWithTreeFile(t *testing.T) (dir, name string, data []byte) {
	t.Helper()
	dir = t.TempDir()
	s := openWithTreeFiles(t, dir, nil, nil)
	mustSeal(t, s, 1, largeLeaves)
	settle(t, s)
	closeStore(t, s)
	name = treeFilesOf(t, dir)[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir, name, data
}

// TestPathsAreReadFromTreeFiles would catch a group that is written or read at the wrong place, a
// row of the top that is hashed or walked wrong, and a file that is made for nothing, or not found
// again.
func TestPathsAreReadFromTreeFiles(t *testing.T) {
	dir := t.TempDir()
	s := openWithTreeFiles(t, dir, nil, nil)
	counts := map[uint64]uint64{1: largeLeaves, 2: 2*runSize - 1, 3: 20 * runSize, 4: 2 * runSize, 5: 1}
	for id := range uint64(len(counts)) {
		mustSeal(t, s, id+1, counts[id+1])
	}
	settle(t, s)
	for range 2 { // as written, and as found by a start
		for id, count := range counts {
			wantPaths(t, s, id, count, count >= 2*runSize)
		}
		if names := treeFilesOf(t, dir); len(names) != 3 {
			t.Errorf("files %v, want those of batches 1, 3 and 4", names)
		}
		closeStore(t, s)
		s = openWithTreeFiles(t, dir, nil, nil)
	}
}

// TestTreeFilesOutliveACrash takes the power away right after a file was listed, and all with it
// that was not synced. A file or a name that was not would be missed by the next start.
func TestTreeFilesOutliveACrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openWithTreeFiles(t, testDir, mem, nil)
	mustSeal(t, s, 1, largeLeaves)
	settle(t, s)
	var log lockedLog
	s = openWithTreeFiles(t, testDir, mem.CrashClone(vfs.CrashCloneCfg{}), &log)
	if batch, ok := s.treeFiles.next(); ok {
		t.Errorf("the file of batch %d is to be written again", batch)
	}
	wantPaths(t, s, 1, largeLeaves, true)
	if text := log.text(); strings.Contains(text, "is damaged") {
		t.Error(text)
	}
}

// TestTreeFilesAreWrittenOnce changes a batch that is sealed as anchors do. Its file stays: it
// takes long to write.
func TestTreeFilesAreWrittenOnce(t *testing.T) {
	mem := vfs.NewMem()
	var created atomic.Int64
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if op == "create" && filepath.Ext(name) == treeFileExt {
			created.Add(1)
		}
		return change()
	}}
	s := openWithTreeFiles(t, testDir, fs, nil)
	mustSeal(t, s, 1, largeLeaves)
	b, err := s.Batch(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		settle(t, s)
		b.Anchor++
		if err := s.Apply(t.Context(), &store.Update{Batches: []store.Batch{b}}); err != nil {
			t.Fatal(err)
		}
		settle(t, s)
		wantPaths(t, s, 1, largeLeaves, true)
		closeStore(t, s)
		s = openWithTreeFiles(t, testDir, fs, nil)
	}
	settle(t, s)
	if n := created.Load(); n != 1 {
		t.Errorf("the file was written %d times", n)
	}
}

// TestTreeFilesAreOfSealedBatchesOnly would catch a file of a batch that may still grow.
func TestTreeFilesAreOfSealedBatchesOnly(t *testing.T) {
	dir := t.TempDir()
	s := openWithTreeFiles(t, dir, nil, nil)
	appendAll(t, s, storetest.Leaves(1, 0, largeLeaves), 100)
	settle(t, s)
	wantPaths(t, s, 1, largeLeaves, false)
	if names := treeFilesOf(t, dir); len(names) != 0 {
		t.Errorf("files %v of an open batch", names)
	}
}

// TestFewGroupFilesAreOpen asks many at once for more files than may be open. It would catch a file
// that is closed while it is read, and descriptors that run out with history.
func TestFewGroupFilesAreOpen(t *testing.T) {
	dir := t.TempDir()
	s := openWithTreeFiles(t, dir, nil, nil)
	const batches, most = 6, 2
	s.treeFiles.most = most
	for id := range uint64(batches) {
		mustSeal(t, s, id+1, 2*runSize)
	}
	settle(t, s)
	var failed atomic.Pointer[error]
	var fromFile atomic.Int64
	var all sync.WaitGroup
	for i := range 4 {
		dice := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for range 500 {
				level, err := locate(s, 1+dice.Uint64N(batches), dice.Uint64N(2*runSize))
				if err != nil {
					failed.Store(&err)
				}
				if level == lowLevels {
					fromFile.Add(1)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		t.Error(*err)
	}
	if fromFile.Load() < 1000 {
		t.Errorf("%d of 2,000 paths were read from files", fromFile.Load())
	}
	open := 0
	for _, f := range s.treeFiles.files {
		if f.file != nil {
			open++
		}
	}
	if open > most || open != s.treeFiles.open {
		t.Errorf("%d files are open, %d counted, at most %d may be", open, s.treeFiles.open, most)
	}
}

// TestDamagedTreeFilesAreReadElsewhere changes the file in every way. Each would give wrong paths,
// or none, if it went unnoticed; here all come from the runs, somebody is told, and the file is
// made anew.
func TestDamagedTreeFilesAreReadElsewhere(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[(len(b)+at)%len(b)] ^= 1
			return b
		}
	}
	swap := func(a, b, size int) func([]byte) []byte {
		return func(data []byte) []byte {
			first := slices.Clone(data[a : a+size])
			copy(data[a:a+size], data[b:b+size])
			copy(data[b:b+size], first)
			return data
		}
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte // nil: the file is taken away
		quiet  bool                // a start sees that it is not there, and says nothing
	}{
		{"a leaf", flip(5), false},
		{"a leaf behind the top", flip(upperAt + upperSize + 40), false},
		{"a node of the top", flip(upperAt + 33), false},
		{"a checksum", flip(groupSize - 1), false},
		{"two groups changed places", swap(groupSize, 3*groupSize, groupSize), false},
		{"two stripes changed places", swap(0, pageSize, pageSize), false},
		{"the footer", flip(-20), false},
		{"another file's footer", func(b []byte) []byte {
			footer := b[len(b)-treeFileFooter:]
			footer[30] ^= 1
			binary.BigEndian.PutUint32(footer[treeFileFooter-codec.SumSize:], codec.Sum(footer[:treeFileFooter-codec.SumSize]))
			return b
		}, false},
		{"the magic", flip(-treeFileFooter), false},
		{"the checksum of the footer", flip(-1), false},
		{"cut short", func(b []byte) []byte { return b[:len(b)-1] }, false},
		{"empty", func([]byte) []byte { return nil }, false},
		{"longer", func(b []byte) []byte { return append(b, b...) }, false},
		{"gone", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, name, whole := storeWithTreeFile(t)
			var err error
			if c.change == nil {
				err = os.Remove(name)
			} else {
				err = os.WriteFile(name, c.change(slices.Clone(whole)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			var log lockedLog
			s := openWithTreeFiles(t, dir, nil, &log)
			for index := range uint64(largeLeaves) {
				if _, err := locate(s, 1, index); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, s)
			wantPaths(t, s, 1, largeLeaves, true)
			if got, err := os.ReadFile(name); err != nil || !slices.Equal(got, whole) {
				t.Errorf("the file was not written again as it was: %v", err)
			}
			if told := strings.Contains(log.text(), "is damaged"); told == c.quiet {
				t.Errorf("told: %t, want %t:\n%s", told, !c.quiet, log.text())
			}
		})
	}
}

// TestTreeFilesAreNotTheTruth has a file say something else, with all checksums right, as a bit
// that tipped over in memory would. Whoever believed it would not know a digest that is stored, and
// give its neighbours paths that lead nowhere, for ever.
func TestTreeFilesAreNotTheTruth(t *testing.T) {
	dir, name, data := storeWithTreeFile(t)
	const leaf = 5
	data[leaf*32+20] ^= 1
	f := treeFile{batch: 1}
	binary.BigEndian.PutUint32(data[groupSize-codec.SumSize:], f.sum(0, 0, data[:groupSize-codec.SumSize]))
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var log lockedLog
	s := openWithTreeFiles(t, dir, nil, &log)
	if at, err := s.Find(t.Context(), storetest.Leaves(1, leaf, leaf+1)); err != nil || at[0] != (store.Position{Batch: 1, Index: leaf}) {
		t.Errorf("found at %v, %v", at, err)
	}
	settle(t, s)
	wantPaths(t, s, 1, largeLeaves, true)
	if !strings.Contains(log.text(), "is damaged") {
		t.Errorf("the log: %s", log.text())
	}
}

// TestTreeFilesLeadToTheRoot has leaves changed behind the store's back, which no checksum shows. A
// file of them would give proofs that verify nowhere.
func TestTreeFilesLeadToTheRoot(t *testing.T) {
	for _, index := range []uint64{0, 2*runSize + 3, largeLeaves - 1} {
		dir := t.TempDir()
		s := openWithTreeFiles(t, dir, nil, nil)
		mustSeal(t, s, 1, largeLeaves)
		settle(t, s)
		start := index - index%runSize
		leaves := storetest.Leaves(1, start, min(start+runSize, largeLeaves))
		leaves[index-start][31] ^= 1
		b := s.db.NewBatch()
		setNodes(b, 1, 0, start, leaves)
		if err := b.Commit(pebble.Sync); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		if err := os.Remove(treeFilesOf(t, dir)[0]); err != nil {
			t.Fatal(err)
		}
		var log lockedLog
		s = openWithTreeFiles(t, dir, nil, &log)
		settle(t, s)
		if text := log.text(); !strings.Contains(text, "was sealed with") || len(treeFilesOf(t, dir)) > 0 {
			t.Errorf("leaf %d: files %v, the log: %s", index, treeFilesOf(t, dir), text)
		}
		closeStore(t, s)
	}
}
