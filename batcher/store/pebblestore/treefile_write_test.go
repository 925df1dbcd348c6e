package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
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
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestTreeFilesThatCannotBeWrittenStopNobody fails all that has to do with the file of one batch,
// for good. Whoever took that for a failure of the disk would take no digest any more; whoever
// tried nothing else would never come to the batches behind it.
func TestTreeFilesThatCannotBeWrittenStopNobody(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "close"} {
		t.Run(op, func(t *testing.T) {
			var met atomic.Bool
			fs := &hookFS{FS: vfs.NewMem(), hook: func(o, name string, change func() error) error {
				if o == op && strings.HasSuffix(name, "000001"+treeFileExt) {
					met.Store(true)
					return fmt.Errorf("%s: %w", name, syscall.EIO)
				}
				return change()
			}}
			var log lockedLog
			s := openWithTreeFiles(t, testDir, fs, &log)
			mustSeal(t, s, 1, largeLeaves)
			mustSeal(t, s, 2, largeLeaves)
			eventually(t, func() error {
				if level, err := locate(s, 2, 0); err != nil || level != lowLevels || !met.Load() {
					return fmt.Errorf("a path to level %d, met %t: %w", level, met.Load(), err)
				}
				return nil
			})
			mustSeal(t, s, 3, 300)
			wantPaths(t, s, 1, largeLeaves, false)
			wantPaths(t, s, 2, largeLeaves, true)
			if n := strings.Count(log.text(), "cannot be written, and will be tried again"); n == 0 || n > 2 {
				t.Errorf("told %d times:\n%s", n, log.text())
			}
		})
	}
}

// TestTreeFilesThatCannotBeOpenedStay fails opening for a while. The file is as good as before: to
// write it again would take what there is too little of.
func TestTreeFilesThatCannotBeOpenedStay(t *testing.T) {
	fs := &openless{FS: vfs.NewMem(), ext: treeFileExt}
	var log lockedLog
	s := openWithTreeFiles(t, testDir, fs, &log)
	mustSeal(t, s, 1, largeLeaves)
	settle(t, s)
	fs.closed.Store(true)
	wantPaths(t, s, 1, largeLeaves, false)
	if batch, ok := s.treeFiles.next(); ok {
		t.Errorf("the file of batch %d is to be written again", batch)
	}
	fs.closed.Store(false)
	wantPaths(t, s, 1, largeLeaves, true)
	if text := log.text(); strings.Contains(text, "is damaged") || strings.Count(text, "cannot be opened") != 1 {
		t.Error(text)
	}
}

// TestTreeFilesAreMadeAnewOnce damages a file again and again while the store is open: on a disk
// that keeps nothing, a batch would be written for ever.
func TestTreeFilesAreMadeAnewOnce(t *testing.T) {
	dir := t.TempDir()
	var log lockedLog
	s := openWithTreeFiles(t, dir, nil, &log)
	mustSeal(t, s, 1, largeLeaves)
	settle(t, s)
	for range 3 {
		for _, name := range treeFilesOf(t, dir) {
			if err := os.Truncate(name, 1); err != nil {
				t.Fatal(err)
			}
		}
		for index := range uint64(largeLeaves) {
			if _, err := locate(s, 1, index); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, s)
	}
	wantPaths(t, s, 1, largeLeaves, false)
	if n := strings.Count(log.text(), "is damaged"); n != 2 {
		t.Errorf("told %d times, want 2:\n%s", n, log.text())
	}
	closeStore(t, s)
	s = openWithTreeFiles(t, dir, nil, nil)
	if _, err := locate(s, 1, 0); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	wantPaths(t, s, 1, largeLeaves, true)
}

// TestTreeFilesThatAreMissingAreWrittenByAStart closes stores before their files are written, and
// leaves behind what a crash may. Whoever forgot one would have slow proofs of that batch for ever.
func TestTreeFilesThatAreMissingAreWrittenByAStart(t *testing.T) {
	dir := t.TempDir()
	for id := range uint64(5) {
		s := openWithTreeFiles(t, dir, nil, nil)
		mustSeal(t, s, id+1, largeLeaves)
		closeStore(t, s)
	}
	if err := os.RemoveAll(filepath.Join(dir, indexDir)); err != nil {
		t.Fatal(err)
	}
	s := openWithTreeFiles(t, dir, nil, nil)
	closeStore(t, s)
	stray := filepath.Join(dir, indexDir, "000077"+treeFileExt)
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openWithTreeFiles(t, dir, nil, nil)
	settle(t, s)
	for id := range uint64(5) {
		wantPaths(t, s, id+1, largeLeaves, true)
	}
	if names := treeFilesOf(t, dir); len(names) != 5 {
		t.Errorf("files %v, want five", names)
	}
}

// TestTreeFilesWithoutSpaceStopNobody takes the space away while a tree file is written, then
// fails it otherwise. Digests are taken meanwhile, one line is logged, and the file comes when
// there is space.
func TestTreeFilesWithoutSpaceStopNobody(t *testing.T) {
	mem := vfs.NewMem()
	var met, ends atomic.Bool
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if op == "write" && filepath.Ext(name) == treeFileExt && !ends.Load() {
			met.Store(true)
			return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
		}
		return change()
	}}
	var log lockedLog
	// No table of the index becomes full here: a segment that finds its space would make good what
	// is looked for, that digests are taken at once.
	s, err := Open(testDir, Options{FS: fs, Log: slog.New(slog.NewTextHandler(&log, nil)), treeFileLeaves: 2 * runSize})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustSeal(t, s, 1, largeLeaves)
	eventually(t, func() error {
		if !met.Load() {
			return errors.New("nothing was written")
		}
		return nil
	})
	mustSeal(t, s, 2, 300)
	wantPaths(t, s, 1, largeLeaves, false)
	eventually(t, func() error {
		if n := strings.Count(log.text(), "files that proofs are read from cannot be written"); n != 1 {
			return fmt.Errorf("told %d times, want once:\n%s", n, log.text())
		}
		return nil
	})
	ends.Store(true)
	eventually(t, func() error {
		if level, err := locate(s, 1, 0); err != nil || level != lowLevels {
			return fmt.Errorf("a path to level %d: %w", level, err)
		}
		return nil
	})
	wantPaths(t, s, 1, largeLeaves, true)
}

// TestTreeFilesWaitForSpace would catch a file that takes what is kept free for more important
// ones.
func TestTreeFilesWaitForSpace(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: DefaultReserve + 10*pageSize + treeFileFooter - 1, TotalBytes: 1 << 40})
	var log lockedLog
	s := openWithTreeFiles(t, testDir, mem, &log)
	mustSeal(t, s, 1, 10*runSize)
	eventually(t, func() error {
		if !strings.Contains(log.text(), "cannot be written, and will be tried again") {
			return fmt.Errorf("the log: %s", log.text())
		}
		return nil
	})
	if names, err := mem.List(mem.PathJoin(testDir, indexDir)); err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, treeFileExt) }) {
		t.Errorf("there is %v, %v", names, err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
	settle(t, s)
	wantPaths(t, s, 1, 10*runSize, true)
}

// TestTreeFilesGiveWayToDigests has leaves appended with each piece of a file that is written.
// Whoever wrote it at once would hold submits up, for what nobody needs within the hour.
func TestTreeFilesGiveWayToDigests(t *testing.T) {
	const leaves = 64 * runSize // 576 KiB in the file: three pieces
	var s *Store
	var mu sync.Mutex
	var written []time.Time
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		if op == "write" && filepath.Ext(name) == treeFileExt {
			mu.Lock()
			defer mu.Unlock()
			written = append(written, time.Now())
			s.appended.Store(true)
		}
		return change()
	}}
	s = openWithTreeFiles(t, testDir, fs, nil)
	if s.appended.Load() {
		t.Error("leaves were appended to a store that was opened only")
	}
	appendAll(t, s, storetest.Leaves(1, 0, 1), 1)
	if !s.appended.Load() {
		t.Error("nobody is told that leaves were appended")
	}
	b := store.Batch{ID: 1, State: store.Closed, Count: 1, Opened: storetest.Time(1), Closed: storetest.Time(2)}
	if err := s.Append(t.Context(), &store.Append{Batches: []store.Batch{b}}); err != nil {
		t.Fatal(err)
	}
	mustSeal(t, s, 2, leaves)
	settle(t, s)
	wantPaths(t, s, 2, leaves, true)
	mu.Lock()
	defer mu.Unlock()
	if len(written) < 3 {
		t.Fatalf("written in %d pieces", len(written))
	}
	for i := range written[1:] {
		if rest := written[i+1].Sub(written[i]); rest < treeFilePause {
			t.Errorf("piece %d came %v after the one before, not %v", i+1, rest, treeFilePause)
		}
	}
}

// TestTreeFilesOfADamagedBatchAreGivenUp takes a run away that a file is to be made of. Whoever
// tried again would do so for ever, and never come to the batches behind it.
func TestTreeFilesOfADamagedBatchAreGivenUp(t *testing.T) {
	for name, key := range map[string][]byte{
		"leaves": nodesKey(1, 0, runSize),
		"a rest": nodesKey(1, 0, 3*runSize),
		"batch":  idKey(prefixBatch, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openWithTreeFiles(t, dir, nil, nil)
			mustSeal(t, s, 1, largeLeaves)
			mustSeal(t, s, 2, largeLeaves)
			settle(t, s)
			closeStore(t, s)
			write(func(b *pebble.Batch) { _ = b.Delete(key, nil) })(t, dir)
			for _, file := range treeFilesOf(t, dir) {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			var log lockedLog
			s = openWithTreeFiles(t, dir, nil, &log)
			settle(t, s)
			wantPaths(t, s, 2, largeLeaves, true)
			if !strings.Contains(log.text(), "batch=1") || !strings.Contains(log.text(), store.ErrDamaged.Error()) {
				t.Errorf("the log: %s", log.text())
			}
			if names := treeFilesOf(t, dir); len(names) != 1 {
				t.Errorf("files %v, want that of batch 2", names)
			}
		})
	}
}
