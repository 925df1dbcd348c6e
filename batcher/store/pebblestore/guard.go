package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard stands between Pebble and the file system, and ends all writing at the first write that
// fails.
//
// Pebble by itself would not do. When its log cannot be written it ends the process, and where it
// rotates the log it panics in a state that cannot be recovered from, so that reads would end too.
// When its manifest cannot be written it may take back, by deleting tables, what a manifest that
// did reach the disk tells of. So:
//
//   - The first failure is kept: no write is acknowledged after it, and none whose bytes it may
//     have hit.
//   - From then on nothing changes on disk any more, deletions included: what is there is what a
//     crash at that moment would have left, which is what Pebble can recover from.
//   - Pebble is told that the log, the manifest and the like were written, and goes on serving
//     reads.
//   - New tables would be read again, so they cannot be pretended: flushes and compactions wait
//     until [guard.release].
//   - While Pebble is being opened they are pretended nonetheless. Pebble brings what its log holds
//     into tables then, tries that for ever, and panics in a goroutine of its own when the
//     directory cannot be synced. So it is told that all went well, until it is open and can be
//     closed.
//
// That a file which nobody waits for cannot be written is none of the guard's business: it is tried
// again.
//
// A table for which there is no space is no failure. Pebble throws it away and tries again; it is
// slowed down, and the store takes no writes until a table was written.
type guard struct {
	vfs.FS
	log *slog.Logger

	armed    atomic.Bool   // Pebble is open; before, tables are pretended as well, and the store is closed when Pebble has opened
	patient  atomic.Bool   // the store is open: wait for space for tables; before, its lack is a failure like any
	failed   chan struct{} // closed after err was set
	once     sync.Once
	err      error // why; owned by once, read after failed
	full     atomic.Bool
	released chan struct{} // closed when the store is being closed
	relOnce  sync.Once

	mu      sync.Mutex
	running []*pending // what the disk has not answered yet, the oldest first
}

// pending is a change that the disk was asked for.
type pending struct {
	name  string
	since time.Time
}

// fullPause is how long a table that does not fit delays the next try.
const fullPause = time.Second

func newGuard(fs vfs.FS, log *slog.Logger) *guard {
	return &guard{FS: fs, log: log, failed: make(chan struct{}), released: make(chan struct{})}
}

func (g *guard) arm() { g.armed.Store(true) }

// release lets flushes and compactions that wait end, with an error.
func (g *guard) release() { g.relOnce.Do(func() { close(g.released) }) }

// fail ends all writing.
func (g *guard) fail(err error) {
	g.once.Do(func() {
		g.err = fmt.Errorf("%w: %w", store.ErrFailed, err)
		close(g.failed)
		g.log.Error("the store failed; nothing more is written to it", "err", err)
	})
}

// failure returns why writing has ended, or nil.
func (g *guard) failure() error {
	select {
	case <-g.failed:
		return g.err
	default:
		return nil
	}
}

// watched performs a change, and keeps it among those that run until the disk has answered.
func (g *guard) watched(name string, change func() error) error {
	p := &pending{name, time.Now()}
	g.mu.Lock()
	g.running = append(g.running, p)
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		at := slices.Index(g.running, p)
		g.running = slices.Delete(g.running, at, at+1)
	}()
	return change()
}

// oldest returns the change that the disk has owed an answer for longest.
func (g *guard) oldest() (p pending, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.running) == 0 {
		return p, false
	}
	return *g.running[0], true
}

// do performs a change of the disk, or what takes its place after a failure.
func (g *guard) do(name string, change func() error) error {
	table := isTable(name)
	err := g.failure()
	if err == nil {
		if err = g.watched(name, change); err == nil {
			return nil
		}
		if isSpare(name) {
			return err
		}
		if table && g.patient.Load() && isNoSpace(err) {
			if !g.full.Swap(true) {
				g.log.Error("no space for a table; nothing is accepted until there is", "file", name)
			}
			g.pause()
			return err
		}
		g.fail(fmt.Errorf("%s: %w", name, err))
	}
	switch {
	case !g.armed.Load():
		return nil
	case isSpare(name):
		return err
	case table:
		<-g.released
		return err
	default:
		return nil
	}
}

func (g *guard) pause() {
	t := time.NewTimer(fullPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.released:
	}
}

// open performs a change that gives a file, and takes the file into custody.
func (g *guard) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := g.do(name, func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = vfs.NewMemFile(nil) // pretended; never written to
	}
	return &guardedFile{File: f, g: g, name: name}, nil
}

func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

func (g *guard) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenDir gives a file whose only use is to be synced.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.OpenDir(name) })
}

func (g *guard) Link(oldname, newname string) error {
	return g.do(newname, func() error { return g.FS.Link(oldname, newname) })
}

func (g *guard) Rename(oldname, newname string) error {
	return g.do(newname, func() error { return g.FS.Rename(oldname, newname) })
}

func (g *guard) MkdirAll(name string, perm os.FileMode) error {
	return g.do(name, func() error { return g.FS.MkdirAll(name, perm) })
}

// Remove and RemoveAll only free space: that they fail loses nothing. They must not happen after a
// failure, because what a manifest on disk tells of may be what Pebble now takes for garbage.
func (g *guard) Remove(name string) error {
	if err := g.failure(); err != nil {
		return err
	}
	return g.watched(name, func() error { return g.FS.Remove(name) })
}

func (g *guard) RemoveAll(name string) error {
	if err := g.failure(); err != nil {
		return err
	}
	return g.watched(name, func() error { return g.FS.RemoveAll(name) })
}

func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file that is being written.
type guardedFile struct {
	vfs.File
	g    *guard
	name string
}

func (f *guardedFile) Write(p []byte) (n int, err error) {
	err = f.g.do(f.name, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	if err == nil {
		n = len(p) // also when pretended
	}
	return n, err
}

func (f *guardedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.g.do(f.name, func() (err error) {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

// Preallocate is a wish; that it is not granted loses nothing.
func (f *guardedFile) Preallocate(off, length int64) error {
	if err := f.g.failure(); err != nil {
		return err
	}
	return f.g.watched(f.name, func() error { return f.File.Preallocate(off, length) })
}

func (f *guardedFile) Sync() error {
	return f.synced(f.g.do(f.name, f.File.Sync))
}

func (f *guardedFile) SyncData() error {
	return f.synced(f.g.do(f.name, f.File.SyncData))
}

// synced takes note that a table found its space.
func (f *guardedFile) synced(err error) error {
	if err == nil && isTable(f.name) && f.g.full.Swap(false) {
		f.g.log.Info("there is space for tables again", "file", f.name)
	}
	return err
}

func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.g.do(f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close closes the file whatever happened; only its error is subject to the rules.
func (f *guardedFile) Close() error {
	err := f.g.watched(f.name, f.File.Close)
	if f.g.failure() != nil {
		return nil
	}
	return f.g.do(f.name, func() error { return err })
}

// isSpare says whether a file is one that nobody waits for, and that is written anew if it fails:
// one of groups.
func isSpare(name string) bool { return filepath.Ext(name) == groupsExt }

// isTable says whether a file holds what is read again while the store is open: a table, or a file
// of the index.
func isTable(name string) bool {
	switch filepath.Ext(name) {
	case ".sst", ".blob", segmentExt, groupsExt:
		return true
	}
	return false
}

// isNoSpace says whether an error is one of a disk that is full, or of a user who has no more of
// it.
func isNoSpace(err error) bool { return vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EDQUOT) }
