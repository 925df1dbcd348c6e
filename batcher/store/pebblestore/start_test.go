package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A start with a log to replay, on a disk that does not take what it writes: Pebble alone would try
// for ever.

// TestAStartOnAFullDiskEnds leaves the disk some space, and lets each write fail for which there is
// none.
func TestAStartOnAFullDiskEnds(t *testing.T) {
	w := makeWreck(t, shapes[2], killed)
	for _, left := range []int64{0, 16 << 10, 100 << 10, 600 << 10, 1 << 20, 3 << 20, 64 << 20} {
		for _, known := range []bool{true, false} { // to the check before
			t.Run(fmt.Sprintf("%d KiB, known before: %t", left>>10, known), func(t *testing.T) {
				mem := w.clone()
				if known {
					mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: uint64(left), TotalBytes: 1 << 40})
				}
				fs := &fullFS{hookFS: hookFS{FS: mem}}
				fs.left.Store(left)
				fs.hook = func(op, name string, change func() error) error {
					if fs.left.Load() <= 0 && (op == "create" || op == "write" || op == "mkdir") {
						return &os.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
					}
					return change()
				}
				o := w.start(fs)
				switch {
				case left >= 64<<20:
					if o.err != nil || o.lost != "" {
						t.Errorf("%v, lost %q: there is space enough", o.err, o.lost)
					}
				case o.err == nil && o.lost != "", errors.Is(o.err, errHangs):
					t.Errorf("%v, lost %q", o.err, o.lost)
				case o.err != nil && !strings.Contains(o.err.Error(), "make room"):
					t.Errorf("%v\ndoes not say what to do", o.err)
				}
				if left < 1<<20 && !errors.Is(o.err, store.ErrFull) {
					t.Errorf("%v, want one that wraps ErrFull", o.err)
				}
				if o := w.start(mem.CrashClone(allKept())); o.err != nil || o.lost != "" {
					t.Errorf("with space again: %v, lost %q", o.err, o.lost)
				}
			})
		}
	}
}

// fullFS counts what is written.
type fullFS struct {
	hookFS
	left atomic.Int64
}

func (f *fullFS) count(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &countedFile{file, f}, nil
}

func (f *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.count(f.hookFS.Create(name, c))
}

func (f *fullFS) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.count(f.hookFS.ReuseForWrite(o, n, c))
}

type countedFile struct {
	vfs.File
	fs *fullFS
}

func (f *countedFile) Write(p []byte) (int, error) {
	defer f.fs.left.Add(-int64(len(p)))
	return f.File.Write(p)
}

// TestAFaultEndsTheStart makes each change of the disk fail once while a store is opened that was
// not closed, and each from then on.
func TestAFaultEndsTheStart(t *testing.T) {
	w := makeWreck(t, shapes[3], stuck)
	for _, always := range []bool{false, true} {
		for at := int64(1); ; at++ {
			if testing.Short() && at%5 != 1 {
				continue
			}
			var ops atomic.Int64
			var where atomic.Pointer[string]
			mem := w.clone()
			fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
				if n := ops.Add(1); n == at || always && n > at {
					what := op + " " + name
					where.CompareAndSwap(nil, &what)
					return &os.PathError{Op: op, Path: name, Err: syscall.EIO}
				}
				return change()
			}}
			o := w.start(fs)
			if where.Load() == nil {
				t.Logf("always: %t: %d changes", always, at)
				break
			}
			if errors.Is(o.err, errHangs) || o.lost != "" || o.err != nil && (strings.Contains(o.err.Error(), "PANIC") ||
				!errors.Is(o.err, syscall.EIO) && !errors.Is(o.err, store.ErrFailed)) {
				t.Errorf("fault at change %d (%s), always: %t: %v; lost: %s", at, *where.Load(), always, o.err, o.lost)
			}
			if o := w.start(mem.CrashClone(allKept())); o.err != nil || o.lost != "" {
				t.Errorf("after a fault at change %d (%s), always: %t: %v; lost: %s", at, *where.Load(), always, o.err, o.lost)
			}
		}
	}
}

// TestAStartOnASmallDiskEnds uses a real one.
func TestAStartOnASmallDiskEnds(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounts a small disk, which takes root")
	}
	dir := t.TempDir()
	if err := mountSmall(dir, 24<<20); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	defer func() {
		if err := unmount(dir); err != nil {
			t.Error(err)
		}
	}()
	w := makeWreck(t, shapes[2], killed)
	path := filepath.Join(dir, "store")
	filler := filepath.Join(dir, "filler")
	for _, left := range []int64{16 << 10, 100 << 10, 600 << 10} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if ok, err := vfs.Clone(w.clone(), vfs.Default, testDir, path); err != nil || !ok {
			t.Fatal(ok, err)
		}
		fillDisk(t, filler, left)
		opts := w.opts
		err := within(func() error {
			s, err := Open(path, opts)
			if err == nil {
				err = s.Close()
			}
			return err
		})
		if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "make room") {
			t.Errorf("%d KiB left: %v, want one that says what to free", left>>10, err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, opts)
		if err != nil {
			t.Fatalf("with space again: %v", err)
		}
		if n, err := s.NumLeaves(t.Context()); err != nil || n != uint64(len(w.want.leaves)) {
			t.Errorf("%d leaves (%v), want %d", n, err, len(w.want.leaves))
		}
		closeStore(t, s)
	}
}

// fillDisk leaves so much of a disk.
func fillDisk(t *testing.T, filler string, left int64) {
	t.Helper()
	usage, err := vfs.Default.GetDiskUsage(filepath.Dir(filler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filler, make([]byte, int64(usage.AvailBytes)-left), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAStartEndsWithItsContext is SIGTERM while a store is being opened: nothing is wrong, and
// nothing is lost.
func TestAStartEndsWithItsContext(t *testing.T) {
	for _, end := range []string{stopped, killed} { // leaves are read again, logs are
		w := makeWreck(t, shapes[1], end)
		fs := w.clone()
		opts := w.opts
		opts.FS = fs
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s, err := OpenContext(ctx, testDir, opts); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the end of the context", end, err)
			if err == nil {
				closeStore(t, s)
			}
		}
		if o := w.start(fs); o.err != nil || o.lost != "" {
			t.Errorf("%s: afterwards: %v, lost %q", end, o.err, o.lost)
		}
	}
}
