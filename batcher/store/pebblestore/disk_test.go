package pebblestore

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What an operator sees is what the next submit will meet.
func TestDiskTellsWhenNothingWouldBeWritten(t *testing.T) {
	s, left := openOnDisk(t)
	for _, free := range []uint64{DefaultReserve * 2, DefaultReserve / 2, DefaultReserve * 3} {
		left(free)
		if d, err := s.Disk(); err != nil || d != (Disk{FreeBytes: free, ReserveBytes: DefaultReserve, ReadOnly: free < DefaultReserve}) {
			t.Errorf("with %d bytes free: %+v, %v", free, d, err)
		}
	}
}

func TestDiskTellsThatTheStoreFailed(t *testing.T) {
	var broken atomic.Bool
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		if broken.Load() && op == "write" && filepath.Ext(name) == ".log" {
			return fmt.Errorf("%s: %w", name, syscall.EIO)
		}
		return change()
	}}
	s, err := Open(testDir, small(fs))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d, err := s.Disk(); err != nil || d.ReadOnly {
		t.Errorf("a new store: %+v, %v", d, err)
	}
	broken.Store(true)
	if err := step(s, 0); err == nil {
		t.Fatal("a write to a broken disk succeeded")
	}
	if d, _ := s.Disk(); !d.ReadOnly {
		t.Errorf("after a write that failed: %+v, want it read-only", d)
	}
}
