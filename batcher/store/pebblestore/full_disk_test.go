package pebblestore

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

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
