package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// isOfIndex says whether a change is one of the index: of a segment, or of the directory that they
// are in.
func isOfIndex(_, name string) bool {
	return filepath.Base(name) == indexDir || filepath.Base(filepath.Dir(name)) == indexDir
}

// crasher is a file system that crashes before every change that matches, and goes on as if nothing
// had happened: each time it has what was left checked.
type crasher struct {
	t     *testing.T
	mem   *vfs.MemFS
	match func(op, name string) bool
	kept  []int // percent of what was not synced
	check func(kept int, rng *rand.Rand) error

	mu      sync.Mutex
	rng     *rand.Rand
	crashes atomic.Int64
	removed atomic.Int64
}

func (c *crasher) fs() vfs.FS {
	c.rng = rand.New(rand.NewPCG(1, 2))
	return &hookFS{FS: c.mem, hook: func(op, name string, change func() error) error {
		if c.match(op, name) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, kept := range c.kept {
				if err := c.check(kept, c.rng); err != nil {
					c.t.Errorf("crash before change %d (%s %s), %d%% of what was not synced kept: %v", c.crashes.Load(), op, name, kept, err)
				}
			}
			c.crashes.Add(1)
			if op == "remove" {
				c.removed.Add(1)
			}
		}
		return change()
	}}
}

// TestCrashOfTheIndexLosesNothing crashes before each change of a file of the index: while segments
// are made, listed, merged and removed.
func TestCrashOfTheIndexLosesNothing(t *testing.T) {
	steps := 40
	if testing.Short() {
		steps = 16
	}
	mem := vfs.NewCrashableMem()
	var p progress
	c := &crasher{t: t, mem: mem, match: isOfIndex, kept: []int{0, 50, 100}, check: func(kept int, rng *rand.Rand) error { return p.crash(mem, kept, rng) }}
	s, err := p.run(c.fs(), steps)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crashes, %d files removed", c.crashes.Load(), c.removed.Load())
	if c.removed.Load() == 0 && !testing.Short() {
		t.Error("nothing was merged")
	}
}

// TestCrashWhileStartingLosesNothing crashes before each change that a start makes: with leaves to
// be read again, with strays to be removed, and with the whole index to be rebuilt.
func TestCrashWhileStartingLosesNothing(t *testing.T) {
	const steps = 21
	for _, c := range []struct {
		name   string
		change func(t *testing.T, mem *vfs.MemFS)
	}{
		{"after a crash", func(*testing.T, *vfs.MemFS) {}},
		{"with a stray", func(t *testing.T, mem *vfs.MemFS) {
			name := mem.PathJoin(testDir, indexDir, "000999"+leafindex.SegmentExt)
			f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}},
		{"without an index", func(t *testing.T, mem *vfs.MemFS) {
			if err := mem.RemoveAll(mem.PathJoin(testDir, indexDir)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := vfs.NewCrashableMem()
			var p progress
			s, err := p.run(first, steps)
			if err != nil {
				t.Fatal(err)
			}
			mem := first.CrashClone(vfs.CrashCloneCfg{})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.change(t, mem)
			key, _ := p.get()
			// Of what was not synced, all or nothing: Pebble relies on a directory to keep the
			// names that came first.
			crasher := &crasher{t: t, mem: mem, match: func(string, string) bool { return true }, kept: []int{0, 100}, check: func(kept int, rng *rand.Rand) error {
				return recovered(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng}), key, steps, steps)
			}}
			again, err := Open(testDir, small(crasher.fs()))
			if err != nil {
				t.Fatal(err)
			}
			settle(t, again)
			n, err := stepsIn(again)
			if err == nil && n != steps {
				err = fmt.Errorf("as after %d steps, want %d", n, steps)
			}
			if err != nil {
				t.Error(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("%d crashes", crasher.crashes.Load())
		})
	}
}

// TestAMergeWithoutSpaceStopsNobody takes the space away while segments are merged, and gives some
// of it back: too little for the merge, enough for digests. Whoever took the one for the other
// would accept nothing until there is room for the largest merge.
func TestAMergeWithoutSpaceStopsNobody(t *testing.T) {
	mem := vfs.NewMem()
	const table, enough = 2000, DefaultReserve + 40_000 // not for a merge
	merged := fmt.Sprintf("%06d%s", mergeWidth+1, leafindex.SegmentExt)
	var met atomic.Bool
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if op == "write" && filepath.Base(name) == merged {
			mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: enough, TotalBytes: 1 << 40})
			met.Store(true)
			return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
		}
		return change()
	}}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
	s, err := Open(testDir, Options{FS: fs, tableLeaves: table})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	leaves := storetest.Leaves(1, 0, mergeWidth*table+200)
	fit := mergeWidth*table + 100
	appendAll(t, s, leaves[:fit], 100)
	eventually(t, func() error {
		if !met.Load() {
			return errors.New("nothing was merged")
		}
		return nil
	})
	eventually(t, func() error { return appendGroup(t.Context(), s, leaves[fit:]) })
	wantFound(t, s, leaves)
}

// openless is a file system on which files with one extension cannot be opened to be read.
type openless struct {
	vfs.FS
	ext    string
	closed atomic.Bool
}

func (o *openless) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if o.closed.Load() && filepath.Ext(name) == o.ext {
		return nil, fmt.Errorf("%s: %w", name, syscall.EMFILE)
	}
	return o.FS.Open(name, opts...)
}

// TestWhatHoldsTheIndexUpIsTold fails what is tried again until it goes well. Whoever waited for it
// would do so for ever, with no word to anybody, and could not be stopped.
func TestWhatHoldsTheIndexUpIsTold(t *testing.T) {
	fs := &openless{FS: vfs.NewMem(), ext: leafindex.SegmentExt}
	fs.closed.Store(true)
	var log lockedLog
	s, err := Open(testDir, Options{FS: fs, Log: slog.New(slog.NewTextHandler(&log, nil)), tableLeaves: testTableLeaves})
	if err != nil {
		t.Fatal(err)
	}
	leaves := storetest.Leaves(1, 0, (maxFull+2)*testTableLeaves)
	fit := (maxFull + 1) * testTableLeaves
	appendAll(t, s, leaves[:fit], leavesPerGroup)
	eventually(t, func() error {
		if text := log.text(); !strings.Contains(text, "a segment of the index cannot be written") || !strings.Contains(text, "too many open files") {
			return fmt.Errorf("the log: %s", text)
		}
		return nil
	})
	if err := appendGroup(t.Context(), s, leaves[fit:fit+1]); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("append while a segment cannot be written: %v, want the reason", err)
	}
	wantFound(t, s, leaves[:fit])
	fs.closed.Store(false)
	eventually(t, func() error { return appendGroup(t.Context(), s, leaves[fit:fit+1]) })
	appendAll(t, s, leaves[fit+1:], leavesPerGroup)
	wantFound(t, s, leaves)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.text(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, log.text())
	}
}

// lockedLog takes what is logged from anywhere.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
