// Package pebblestore keeps what must survive in a Pebble database: one directory, one process.
//
// A write is acknowledged after its record in the write-ahead log was synced. Reads go through a
// snapshot that was taken after the last such sync, so they never show what a crash could still
// take back. The first write that fails stops all writing (package failfs): the disk is left as a
// crash at that moment would leave it, and the next [Open] recovers from it like from any crash.
//
// Three more things keep what was acknowledged:
//
//   - The witness says outside of the database how many writes there were, because Pebble drops a
//     damaged end of its log in silence. A store that holds fewer is refused (survey.go,
//     witness.go).
//   - What is in the log goes to tables when the store is closed, after each seal, and when nothing
//     is written for a while (quiet.go).
//   - A store that has tables but no key is refused, and never given a new key.
//
// Where leaves are found by their hash is the business of the package leafindex below. Paths are
// read from tree files or from the database (path.go, page.go, treefile.go).
//
// docs/store-format.md has the format, and a test holds it against this package.
package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"
	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/internal/datadir"
	"ancre/internal/wake"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the layout in docs/store-format.md. A store of another one is
// refused.
const formatVersion = 2

// DefaultReserve is how much of the disk is left free: what may be needed before anything can be
// freed. That is five memtables in tables and as many logs, preallocated at 110 % of a memtable,
// one compaction's output, and the segments of three tables of the index, of 6 MB each. Merges of
// segments look for their own space.
const DefaultReserve = datadir.Reserve

// Options of Open. The zero value works.
type Options struct {
	// FS is where the directory is; nil: the operating system's. Tests put a file system there that
	// crashes or fails.
	FS vfs.FS

	// Log takes what goes wrong in the background, and at debug level what Pebble has to tell. nil:
	// nowhere.
	Log *slog.Logger

	// Reserve is how many bytes of the disk must be free for Append to go on; Apply goes on down to
	// half of them, so that anchors are followed when digests are already refused. 0:
	// DefaultReserve.
	Reserve uint64

	// Key is the key of the nonces for a store that is made: that of the store which a backup was
	// taken from. One that exists and has another key is refused. nil: a random one.
	Key *[32]byte

	memTableSize uint64 // tests make it small, to see many tables; 0: the constant
	tableLeaves  int    // likewise, to see many segments

	treeFileLeaves uint64 // likewise, to have tree files of few leaves

	quiet quiet // likewise, to see the log flushed
}

// Store implements [store.Store].
type Store struct {
	dir     string
	log     *slog.Logger
	reserve uint64
	key     [32]byte
	fs      *failfs.FS
	lock    *pebble.Lock

	manifest, options string // names of files, when Open began; empty in a new store
	db                *pebble.DB

	// The committer is the only goroutine that writes, one change after the other: the snapshot
	// that it takes after a sync then holds nothing that is not synced.
	commits chan *commit
	closing chan struct{} // closed when Close begins
	ended   chan struct{} // closed when the committer has ended
	rotated atomic.Bool   // Pebble began a new memtable since the committer last looked how many wait
	drained chan struct{} // has a value when a flush or a compaction has ended since
	wedged  atomic.Bool   // a write panicked inside Pebble and left a lock locked
	bound   uint64        // of memtables in bytes

	leaves  uint64  // how many leaves are on disk; owned by the committer
	witness witness // likewise
	feed    feed    // likewise
	quiet   quiet   // likewise

	index *leafindex.Index
	spans spans
	rows  rowsCache
	jobs  sync.WaitGroup // what goes on in the background besides the committer and the index

	treeFileLeaves uint64
	treeFiles      *treeFiles
	appended       atomic.Bool // leaves, since the writing of a tree file last looked

	appendMu sync.Mutex // held by Append; owns tail
	tail     tail
	applyMu  sync.Mutex // held by Apply

	mu      sync.Mutex    // owns synced, changed and closed
	synced  *synced       // what is on disk now
	changed chan struct{} // closed when the feed of changes grows
	closed  bool
	readers sync.WaitGroup // views that are still in use
}

var _ store.Store = (*Store)(nil)

// Open is OpenContext without an end.
func Open(dir string, opts Options) (*Store, error) {
	return OpenContext(context.Background(), dir, opts)
}

// OpenContext opens the store in dir, or makes one where there is nothing yet. Where much has to be
// read for that, it ends with ctx.
func OpenContext(ctx context.Context, dir string, opts Options) (_ *Store, err error) {
	opts.setDefaults()
	s := newStore(dir, opts)
	started := false
	defer func() {
		if err != nil {
			if started {
				_ = s.Close()
			} else {
				s.abandon()
			}
			err = fmt.Errorf("store %s: %w", dir, s.explain(err))
		}
	}()
	if err := s.openDB(ctx, opts); err != nil {
		return nil, err
	}
	if s.tail, err = s.readTail(); err != nil {
		return nil, err
	}
	indexed, err := s.openIndex()
	if err != nil {
		return nil, err
	}
	if err := s.openWitness(); err != nil {
		return nil, err
	}
	if err := s.openFeed(); err != nil {
		return nil, err
	}
	if err := s.fs.Failure(); err != nil {
		return nil, err
	}
	s.leaves = s.total()
	s.fs.WaitForSpace()
	s.synced = s.newSynced()
	behind := s.feed.behind // from here on the committer owns it
	started = true
	go s.commitLoop()
	s.index.Start()
	if err := s.replay(ctx, indexed); err != nil {
		return nil, err
	}
	if behind {
		if err := s.catchUp(ctx); err != nil {
			return nil, err
		}
	}
	s.jobs.Add(1)
	go s.treeFileLoop()
	return s, nil
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = privateFS{vfs.Default}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Reserve = cmp.Or(o.Reserve, DefaultReserve)
	o.memTableSize = cmp.Or(o.memTableSize, memTableSize)
	o.treeFileLeaves = cmp.Or(o.treeFileLeaves, treeFileLeaves)
	o.quiet = cmp.Or(o.quiet, defaultQuiet)
}

func newStore(dir string, opts Options) *Store {
	s := &Store{
		dir: dir, log: opts.Log, reserve: opts.Reserve, quiet: opts.quiet,
		fs:      failfs.New(opts.FS, opts.Log, fileKinds),
		commits: make(chan *commit), closing: make(chan struct{}), ended: make(chan struct{}),
		drained: wake.New(), bound: stopWrites * opts.memTableSize,
		treeFileLeaves: opts.treeFileLeaves, treeFiles: newTreeFiles(),
		changed: make(chan struct{}),
	}
	s.index = s.newIndex(opts.tableLeaves)
	return s
}

// fileKinds says how the files besides Pebble's own are treated when they cannot be written.
var fileKinds = failfs.Kinds{Tables: []string{leafindex.SegmentExt}, Spare: []string{treeFileExt}}

// abandon takes down what a failed Open has put up.
func (s *Store) abandon() {
	s.fs.Release()
	s.index.Close()
	_ = s.witness.close()
	if s.db != nil {
		_ = s.db.Close()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// Key implements [store.Store].
func (s *Store) Key() [32]byte { return s.key }

// Close implements [store.Store]. It waits for reads and writes that are under way.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	s.closed = true
	close(s.changed)
	s.mu.Unlock()

	close(s.closing)
	<-s.ended
	s.flushAll()
	s.fs.Release()
	s.index.Wait()
	s.jobs.Wait()
	if s.wedged.Load() {
		// Closing Pebble would wait for that lock. What was acknowledged is on disk, nothing else
		// will be, and the directory stays locked until the process ends.
		return s.fs.Failure()
	}
	s.readers.Wait()
	s.treeFiles.end()
	s.releaseSynced(s.synced)
	s.index.Close()

	err := errors.Join(s.witness.sync(), s.witness.close(), s.db.Close())
	if lerr := s.lock.Close(); err == nil {
		err = lerr
	}
	if failure := s.fs.Failure(); failure != nil {
		return failure
	}
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// isClosing says whether Close has been called.
func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// synced is what was on disk at one moment.
type synced struct {
	snap   *pebble.Snapshot
	leaves uint64 // how many there were
	refs   int    // owned by Store.mu: one of the store while it is the newest, one of each view
}

// view is what a read sees: what was on disk when it began, and where leaves are. The index is
// taken after that, so it may know more leaves, and never fewer.
type view struct {
	*synced
	index *leafindex.View
	s     *Store
}

// newSynced returns what is on disk now. Only the committer calls it, and Open before there is one.
func (s *Store) newSynced() *synced {
	return &synced{snap: s.db.NewSnapshot(), leaves: s.leaves, refs: 1}
}

// acquire returns a view of what is on disk; the caller releases it.
func (s *Store) acquire(ctx context.Context) (*view, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, store.ErrClosed
	}
	s.readers.Add(1)
	synced := s.synced
	synced.refs++
	s.mu.Unlock()
	return &view{synced, s.index.Acquire(), s}, nil
}

func (v *view) release() {
	v.s.index.Release(v.index)
	v.s.releaseSynced(v.synced)
	v.s.readers.Done()
}

func (s *Store) releaseSynced(d *synced) {
	s.mu.Lock()
	d.refs--
	last := d.refs == 0
	s.mu.Unlock()
	if last {
		_ = d.snap.Close()
	}
}

// publish makes what was just synced visible. grown says that it added to the feed of changes.
func (s *Store) publish(grown bool) {
	next := s.newSynced()
	s.mu.Lock()
	old := s.synced
	s.synced = next
	if grown && !s.closed {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.mu.Unlock()
	s.releaseSynced(old)
}
