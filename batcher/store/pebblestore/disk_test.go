package pebblestore

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ancre/batcher/store/pebblestore/leafindex"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What an operator sees is what the next submit will meet.
func TestDiskTellsWhenNothingWouldBeWritten(t *testing.T) {
	s, left := openOnDisk(t)
	for _, free := range []uint64{DefaultReserve * 2, DefaultReserve / 2, DefaultReserve * 3} {
		left(free)
		d, err := s.Disk()
		d.Waits, d.File = 0, "" // what goes on in the background
		if err != nil || d != (Disk{FreeBytes: free, ReserveBytes: DefaultReserve, ReadOnly: free < DefaultReserve}) {
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

// A disk that takes a write and does not answer holds everything up without any error. Who asks is
// told since when, and by which file.
func TestDiskTellsWhatItDoesNotAnswer(t *testing.T) {
	for _, tt := range []struct{ op, name string }{
		{"sync", ".log"},
		{"write", ".log"},
		{"sync", witnessName},
		{"create", ".sst"},
		{"sync", leafindex.SegmentExt},
	} {
		t.Run(tt.op+" "+tt.name, func(t *testing.T) {
			var stuck atomic.Bool
			answer := make(chan struct{})
			goOn := sync.OnceFunc(func() { stuck.Store(false); close(answer) })
			fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
				if stuck.Load() && op == tt.op && strings.HasSuffix(name, tt.name) {
					<-answer
				}
				return change()
			}}
			s, err := Open(testDir, small(fs))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			defer goOn()
			stuck.Store(true)
			steps := make(chan error, 1)
			go func() {
				defer close(steps)
				for n := range 40 * stepsPerBatch {
					if err := step(s, n); err != nil {
						steps <- err
						return
					}
				}
			}()
			began := time.Now()
			eventually(t, func() error {
				d, err := s.Disk()
				if err != nil || d.Waits < 100*time.Millisecond || !strings.HasSuffix(d.File, tt.name) {
					return fmt.Errorf("waits %s for %q, %v", d.Waits, d.File, err)
				}
				if limit := time.Since(began); d.Waits > limit {
					t.Errorf("waits %s after %s", d.Waits, limit)
				}
				return nil
			})
			goOn()
			if err := <-steps; err != nil {
				t.Error(err)
			}
			eventually(t, func() error {
				if d, _ := s.Disk(); d.Waits != 0 {
					return fmt.Errorf("waits %s for %q", d.Waits, d.File)
				}
				return nil
			})
		})
	}
}
