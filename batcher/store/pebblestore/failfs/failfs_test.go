package failfs_test

import (
	"errors"
	"log/slog"
	"maps"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const category = vfs.WriteCategoryUnspecified

var errDisk = errors.New("the disk is broken")

// disk is a file system in memory, whose writes and syncs fail while a fault is set.
type disk struct {
	mem   *vfs.MemFS
	fault atomic.Pointer[error]
}

func (d *disk) fails(err error) { d.fault.Store(&err) }
func (d *disk) works()          { d.fault.Store(nil) }

// names returns what the disk holds, with the size of each file.
func (d *disk) names(t *testing.T) map[string]int64 {
	t.Helper()
	list, err := d.mem.List("/")
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]int64)
	for _, name := range list {
		info, err := d.mem.Stat("/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sizes[name] = info.Size()
	}
	return sizes
}

// newFS returns a file system over a disk. Files of the kind .cache are spare.
func newFS() (*failfs.FS, *disk) {
	d := &disk{mem: vfs.NewMem()}
	broken := errorfs.Wrap(d.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		err := d.fault.Load()
		if err == nil {
			return nil
		}
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData:
			return *err
		}
		return nil
	}))
	fs := failfs.New(broken, slog.New(slog.DiscardHandler), failfs.Kinds{Tables: []string{".tree"}, Spare: []string{".cache"}})
	return fs, d
}

func create(t *testing.T, fs vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fs.Create("/"+name, category)
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return f
}

func TestAfterAFailureTheDiskStaysAsItIs(t *testing.T) {
	fs, d := newFS()
	fs.Arm()
	log := create(t, fs, "000001.log")
	old := create(t, fs, "MANIFEST-000001")
	if _, err := log.Write([]byte("acknowledged")); err != nil {
		t.Fatal(err)
	}
	if err := fs.Failure(); err != nil {
		t.Fatalf("a disk that works: %v", err)
	}
	d.fails(errDisk)
	if err := log.Sync(); err != nil {
		t.Errorf("Pebble is told that the log cannot be synced: %v", err)
	}
	if err := fs.Failure(); !errors.Is(err, store.ErrFailed) || !errors.Is(err, errDisk) {
		t.Fatalf("Failure() = %v, want one that wraps ErrFailed and the disk's error", err)
	}
	select {
	case <-fs.Failed():
	default:
		t.Error("Failed() is not closed")
	}

	d.works() // that the disk works again changes nothing
	before := d.names(t)
	if n, err := log.Write([]byte("not acknowledged")); n != 16 || err != nil {
		t.Errorf("a write to the log after the failure: %d, %v, want it pretended", n, err)
	}
	for what, change := range map[string]func() error{
		"create": func() error { create(t, fs, "000002.log"); return nil },
		"rename": func() error { return fs.Rename("/MANIFEST-000001", "/MANIFEST-000002") },
		"link":   func() error { return fs.Link("/MANIFEST-000001", "/MANIFEST-000003") },
		"mkdir":  func() error { return fs.MkdirAll("/folder", 0o700) },
		"close":  old.Close,
	} {
		if err := change(); err != nil {
			t.Errorf("%s after the failure: %v, want it pretended", what, err)
		}
	}
	for what, remove := range map[string]func(string) error{"remove": fs.Remove, "remove all": fs.RemoveAll} {
		if err := remove("/MANIFEST-000001"); !errors.Is(err, store.ErrFailed) {
			t.Errorf("%s after the failure: %v, want ErrFailed", what, err)
		}
	}
	if after := d.names(t); !maps.Equal(before, after) {
		t.Errorf("the disk held %v at the failure, and holds %v", before, after)
	}
	fs.Fail(errors.New("later"))
	if err := fs.Failure(); !errors.Is(err, errDisk) {
		t.Errorf("a later failure replaced the first: %v", err)
	}
}

func TestATableIsNotPretended(t *testing.T) {
	for _, name := range []string{"000005.sst", "000005.blob", "000005.tree"} {
		synctest.Test(t, func(t *testing.T) {
			fs, d := newFS()
			fs.Arm()
			f := create(t, fs, name)
			d.fails(errDisk)
			answer := make(chan error, 1)
			go func() {
				_, err := f.Write([]byte("leaves"))
				answer <- err
			}()
			synctest.Wait()
			select {
			case err := <-answer:
				t.Fatalf("%s: the write was answered with %v before the store is closed", name, err)
			default:
			}
			if fs.Failure() == nil {
				t.Errorf("%s: the failure was not kept", name)
			}
			fs.Release()
			fs.Release() // a second time does nothing
			if err := <-answer; !errors.Is(err, errDisk) {
				t.Errorf("%s: %v, want the disk's error", name, err)
			}
		})
	}
}

func TestTablesArePretendedUntilPebbleIsOpen(t *testing.T) {
	fs, d := newFS()
	f := create(t, fs, "000005.sst")
	d.fails(errDisk)
	if n, err := f.Write([]byte("leaves")); n != 6 || err != nil {
		t.Errorf("a table before Pebble is open: %d, %v, want it pretended", n, err)
	}
	if fs.Failure() == nil {
		t.Error("the failure was not kept")
	}
}

func TestASpareFileMayFail(t *testing.T) {
	fs, d := newFS()
	fs.Arm()
	f := create(t, fs, "1.cache")
	d.fails(errDisk)
	if _, err := f.Write([]byte("a page")); !errors.Is(err, errDisk) {
		t.Errorf("a spare file: %v, want the disk's error", err)
	}
	if err := fs.Failure(); err != nil {
		t.Errorf("a spare file ended the writing: %v", err)
	}
}

func TestATableWaitsForSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, d := newFS()
		fs.Arm()
		fs.WaitForSpace()
		f := create(t, fs, "000005.sst")
		for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
			d.fails(full)
			from := time.Now()
			if _, err := f.Write([]byte("leaves")); !errors.Is(err, full) {
				t.Errorf("a table on a full disk: %v, want %v", err, full)
			}
			if waited := time.Since(from); waited < time.Second {
				t.Errorf("Pebble may try again after %v, want a second", waited)
			}
			if err := fs.Failure(); err != nil || !fs.Full() {
				t.Fatalf("a full disk: failure %v, full %t", err, fs.Full())
			}
			d.works()
			if _, err := f.Write([]byte("leaves")); err != nil || !fs.Full() {
				t.Errorf("written again: %v, full %t: only a sync shows that there is space", err, fs.Full())
			}
			if err := f.Sync(); err != nil || fs.Full() {
				t.Errorf("synced: %v, full %t", err, fs.Full())
			}
		}
	})
}

func TestALogDoesNotWaitForSpace(t *testing.T) {
	fs, d := newFS()
	fs.Arm()
	fs.WaitForSpace()
	f := create(t, fs, "000001.log")
	d.fails(syscall.ENOSPC)
	_, _ = f.Write([]byte("a digest"))
	if err := fs.Failure(); !errors.Is(err, store.ErrFailed) || fs.Full() {
		t.Errorf("a log on a full disk: failure %v, full %t, want the writing ended", err, fs.Full())
	}
}

// slow is a file system whose Remove waits.
type slow struct {
	vfs.FS
	started, goOn chan struct{}
}

func (s slow) Remove(name string) error {
	close(s.started)
	<-s.goOn
	return s.FS.Remove(name)
}

func TestOldestNamesWhatTheDiskHasNotAnswered(t *testing.T) {
	s := slow{vfs.NewMem(), make(chan struct{}), make(chan struct{})}
	fs := failfs.New(s, slog.New(slog.DiscardHandler), failfs.Kinds{})
	create(t, fs, "000001.log")
	if name, _, ok := fs.Oldest(); ok {
		t.Errorf("the disk owes nothing, and Oldest() = %s", name)
	}
	answer := make(chan error, 1)
	from := time.Now()
	go func() { answer <- fs.Remove("/000001.log") }()
	<-s.started
	if name, since, ok := fs.Oldest(); !ok || name != "/000001.log" || since.Before(from) || since.After(time.Now()) {
		t.Errorf("Oldest() = %s, %v, %t", name, since, ok)
	}
	close(s.goOn)
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	if name, _, ok := fs.Oldest(); ok {
		t.Errorf("the disk has answered, and Oldest() = %s", name)
	}
}

func TestRetryEndsWithTheStore(t *testing.T) {
	closing := make(chan struct{})
	fs, _ := newFS()
	r := fs.NewRetry(closing, "a job failed")
	if !r.Pause(errDisk, time.Millisecond) || !r.Succeeded() || r.Succeeded() {
		t.Error("one failure, then success: not told as such")
	}
	if r.Pause(store.ErrDamaged, 0) {
		t.Error("what is damaged is tried again")
	}
	if r.Pause(store.ErrClosed, 0) {
		t.Error("a store that is closed is tried again")
	}
	close(closing)
	if r.Pause(errDisk, time.Hour) {
		t.Error("the pause does not end with the store")
	}
	fs.Fail(errDisk)
	if fs.NewRetry(nil, "a job failed").Pause(errDisk, time.Hour) {
		t.Error("a store that failed is tried again")
	}
}
