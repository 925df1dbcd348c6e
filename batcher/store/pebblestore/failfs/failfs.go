// Package failfs stands between Pebble and the file system, and ends all writing at the first write
// that fails.
//
// Pebble by itself would not do. When its log cannot be written it ends the process. Where it
// rotates the log it panics in a state that cannot be recovered from, so that reads would end too.
// When its manifest cannot be written it may delete tables that a manifest on the disk still names.
// So:
//
//   - The first failure is kept. No write is acknowledged after it, and none whose bytes it may
//     have hit.
//   - From then on nothing changes on the disk any more, deletions included. The disk holds what a
//     crash at that moment would have left, and Pebble can recover from that.
//   - Pebble is told that the log, the manifest and the like were written, and goes on serving
//     reads.
//   - New tables would be read again, so they cannot be pretended. Flushes and compactions wait
//     until [FS.Release].
//   - While Pebble is being opened, tables are pretended too. Pebble then brings what its log holds
//     into tables, tries that without end, and panics in a goroutine of its own when the directory
//     cannot be synced. So it is told that all went well, until it is open and can be closed.
//
// A spare file is one that no write waits for. That it cannot be written is no failure: its writer
// tries again.
//
// A table for which there is no space is no failure either. Pebble throws it away and tries again.
// That is slowed down, and the store takes no writes until a table was written.
package failfs

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

// Kinds says which files are treated in a way of their own, by their extension.
type Kinds struct {
	Tables []string // read again while the store is open, besides Pebble's tables
	Spare  []string // no write waits for them
}

// FS is a file system that changes nothing any more after its first failure.
type FS struct {
	vfs.FS
	log   *slog.Logger
	kinds Kinds

	armed    atomic.Bool   // see Arm
	patient  atomic.Bool   // see WaitForSpace
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

// New makes an FS over another one. It logs what it keeps from Pebble.
func New(fs vfs.FS, log *slog.Logger, kinds Kinds) *FS {
	return &FS{FS: fs, log: log, kinds: kinds, failed: make(chan struct{}), released: make(chan struct{})}
}

// Arm is called when Pebble is open. Before, tables are pretended as well.
func (g *FS) Arm() { g.armed.Store(true) }

// WaitForSpace is called when the store is open. From then on tables wait for space; before, its
// lack is a failure like any other.
func (g *FS) WaitForSpace() { g.patient.Store(true) }

// Release lets flushes and compactions that wait end, with an error.
func (g *FS) Release() { g.relOnce.Do(func() { close(g.released) }) }

// Fail ends all writing.
func (g *FS) Fail(err error) {
	g.once.Do(func() {
		g.err = fmt.Errorf("%w: %w", store.ErrFailed, err)
		close(g.failed)
		g.log.Error("the store failed; nothing more is written to it", "err", err)
	})
}

// Failed returns a channel that is closed when writing has ended.
func (g *FS) Failed() <-chan struct{} { return g.failed }

// Full says whether a table waits for space.
func (g *FS) Full() bool { return g.full.Load() }

// ForgetFull takes back that a table waits for space: it was a file that can do without.
func (g *FS) ForgetFull() { g.full.Store(false) }

// SyncDir makes the names in a directory survive a loss of power.
func (g *FS) SyncDir(name string) error {
	d, err := g.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Failure returns why writing has ended, or nil.
func (g *FS) Failure() error {
	select {
	case <-g.failed:
		return g.err
	default:
		return nil
	}
}

// watched performs a change, and keeps it among those that run until the disk has answered.
func (g *FS) watched(name string, change func() error) error {
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

// Oldest returns the file whose change the disk has owed an answer for longest, and since when. ok
// is false when the disk has answered all.
func (g *FS) Oldest() (name string, since time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.running) == 0 {
		return "", since, false
	}
	return g.running[0].name, g.running[0].since, true
}

// do performs a change of the disk, or what takes its place after a failure.
func (g *FS) do(name string, change func() error) error {
	table := g.IsTable(name)
	err := g.Failure()
	if err == nil {
		if err = g.watched(name, change); err == nil {
			return nil
		}
		if g.isSpare(name) {
			return err
		}
		if table && g.patient.Load() && IsNoSpace(err) {
			if !g.full.Swap(true) {
				g.log.Error("no space for a table; nothing is accepted until there is", "file", name)
			}
			g.pause()
			return err
		}
		g.Fail(fmt.Errorf("%s: %w", name, err))
	}
	switch {
	case !g.armed.Load():
		return nil
	case g.isSpare(name):
		return err
	case table:
		<-g.released
		return err
	default:
		return nil
	}
}

func (g *FS) pause() {
	t := time.NewTimer(fullPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.released:
	}
}

// open performs a change that opens a file, whose changes it performs from then on.
func (g *FS) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
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
	return &file{File: f, g: g, name: name}, nil
}

func (g *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

func (g *FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenDir gives a file whose only use is to be synced.
func (g *FS) OpenDir(name string) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.OpenDir(name) })
}

func (g *FS) Link(oldname, newname string) error {
	return g.do(newname, func() error { return g.FS.Link(oldname, newname) })
}

func (g *FS) Rename(oldname, newname string) error {
	return g.do(newname, func() error { return g.FS.Rename(oldname, newname) })
}

func (g *FS) MkdirAll(name string, perm os.FileMode) error {
	return g.do(name, func() error { return g.FS.MkdirAll(name, perm) })
}

// Remove and RemoveAll only free space: that they fail loses nothing. They must not happen after a
// failure, because what a manifest on disk tells of may be what Pebble now takes for garbage.
func (g *FS) Remove(name string) error {
	if err := g.Failure(); err != nil {
		return err
	}
	return g.watched(name, func() error { return g.FS.Remove(name) })
}

func (g *FS) RemoveAll(name string) error {
	if err := g.Failure(); err != nil {
		return err
	}
	return g.watched(name, func() error { return g.FS.RemoveAll(name) })
}

func (g *FS) Unwrap() vfs.FS { return g.FS }

// file is a file that is being written.
type file struct {
	vfs.File
	g    *FS
	name string
}

func (f *file) Write(p []byte) (n int, err error) {
	err = f.g.do(f.name, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	if err == nil {
		n = len(p) // also when pretended
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.g.do(f.name, func() (err error) {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

// Preallocate only asks for room in advance: if it fails, nothing is lost.
func (f *file) Preallocate(off, length int64) error {
	if err := f.g.Failure(); err != nil {
		return err
	}
	return f.g.watched(f.name, func() error { return f.File.Preallocate(off, length) })
}

func (f *file) Sync() error {
	return f.synced(f.g.do(f.name, f.File.Sync))
}

func (f *file) SyncData() error {
	return f.synced(f.g.do(f.name, f.File.SyncData))
}

// synced takes note that a table found its space.
func (f *file) synced(err error) error {
	if err == nil && f.g.IsTable(f.name) && f.g.full.Swap(false) {
		f.g.log.Info("there is space for tables again", "file", f.name)
	}
	return err
}

func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.g.do(f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close closes the file whatever happened; only its error is subject to the rules.
func (f *file) Close() error {
	err := f.g.watched(f.name, f.File.Close)
	if f.g.Failure() != nil {
		return nil
	}
	return f.g.do(f.name, func() error { return err })
}

// isSpare says whether no write waits for a file.
func (g *FS) isSpare(name string) bool { return slices.Contains(g.kinds.Spare, filepath.Ext(name)) }

// IsTable says whether a file is read again while the store is open.
func (g *FS) IsTable(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".sst" || ext == ".blob" || slices.Contains(g.kinds.Tables, ext) || g.isSpare(name)
}

// IsNoSpace says whether an error is one of a disk that is full, or of a user who has no more of
// it.
func IsNoSpace(err error) bool { return vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EDQUOT) }
