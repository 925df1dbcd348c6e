// Package pebblestore keeps what must survive in a Pebble database: one directory, one process.
//
// A write is acknowledged after its record in the write-ahead log was synced. Reads go through a snapshot that was
// taken after the last such sync, so they never show what a crash could still take back. The first write that
// fails stops all writing for good (see guard.go): the disk is left as a crash would leave it at that moment, and
// the next [Open] recovers from it like from any crash.
//
// # Format 1
//
// A reader of another make needs Pebble (its format major version is [majorVersion], comparer and merger its
// defaults, tables not compressed) and this. Integers in keys are big-endian, 8 bytes unless said otherwise, so that
// keys sort by number; a uvarint is that of Go's encoding/binary.
//
//	key                                    value
//	'm' "format"                           uvarint 1: the version of all that is said here
//	'm' "key"                              the 32-byte key of the nonces
//	'l' leaf(32)                           uvarint batch, uvarint index: where the leaf stands
//	'n' batch(8) level(1) start(8)         1 to 256 nodes of 32 bytes: nodes [start, start+n) of a level of a tree
//	'b' batch(8)                           a batch
//	'a' anchor(8)                          an anchor with all its versions
//	'w' batch(8)                           empty; there while the batch has no anchor
//	'u' anchor(8)                          empty; there while the anchor is neither settled nor dead
//	'c'                                    how far the chain was followed
//
// Nodes. Level 0 holds the leaves in order; node i of level k+1 is the root over nodes [16·i, 16·(i+1)) of level k.
// No value spans a multiple of 256. A run of 256 that is complete is one value; the run of level 0 that the batch
// ended in, or is growing in, may be several: each group of leaves adds one, and the group that completes the run
// replaces them by one. Readers concatenate what follows without a gap.
//
// Batches, anchors, the cursor and positions are encoded as the package codec says.
//
// Records carry no checksum of their own: each block of a table, each chunk of the log and each record of the manifest
// has one by Pebble (CRC-32C), which is checked whenever it is read. Decoding is strict nonetheless, and says what
// it found where.
//
// A store is complete once its key is in a table. One that has tables but no key is refused, and never given a new
// one: every nonce, so every proof, would be another.
package pebblestore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the layout in the package comment. A store of another one is refused.
const formatVersion = 1

// DefaultReserve is how much of the disk is left free. What Pebble may need before it can free anything: five
// memtables in tables and as many logs, preallocated at 110 % of a memtable, and one compaction's output.
const DefaultReserve = 256 << 20

// Options of Open. The zero value works.
type Options struct {
	// FS is where the directory is; nil: the operating system's. Tests put a file system there that crashes or fails.
	FS vfs.FS

	// Log takes what goes wrong in the background, and at debug level what Pebble has to tell. nil: nowhere.
	Log *slog.Logger

	// Reserve is how many bytes of the disk must be free for Append to go on; Apply goes on down to half of them, so
	// that anchors are followed when digests are already refused. 0: DefaultReserve.
	Reserve uint64

	// Key is the key of the nonces for a store that is made: that of the store which a backup was taken from. One that exists and has
	// another key is refused. nil: a random one.
	Key *[32]byte

	memTableSize uint64 // tests make it small, to see many tables; 0: the constant
}

// Store implements [store.Store].
type Store struct {
	dir     string
	log     *slog.Logger
	reserve uint64
	key     [32]byte
	guard   *guard
	lock    *pebble.Lock
	db      *pebble.DB

	// The committer is the only goroutine that writes, one change after the other: the snapshot that it takes after a
	// sync then holds nothing that is not synced.
	commits chan *commit
	closing chan struct{} // closed when Close begins
	ended   chan struct{} // closed when the committer has ended
	rotated atomic.Bool   // Pebble began a new memtable since the committer last looked how many wait
	drained chan struct{} // has a value when a flush or a compaction has ended since
	wedged  atomic.Bool   // a write panicked inside Pebble and left a lock locked
	bound   uint64        // of memtables in bytes

	filter *filter       // over all leaves; nil: there are too many
	learnt chan struct{} // closed when the filter has been filled, or cannot be

	appendMu sync.Mutex // held by Append; owns tail
	tail     tail
	applyMu  sync.Mutex // held by Apply

	mu      sync.Mutex // owns view and closed
	view    *view      // what is on disk now; nil once closed
	closed  bool
	readers sync.WaitGroup // of views that are still in use
}

var _ store.Store = (*Store)(nil)

var errClosed = errors.New("the store is closed")

// Open opens the store in dir, or makes one where there is nothing yet.
func Open(dir string, opts Options) (_ *Store, err error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Reserve == 0 {
		opts.Reserve = DefaultReserve
	}
	if opts.memTableSize == 0 {
		opts.memTableSize = memTableSize
	}
	s := &Store{
		dir: dir, log: opts.Log, reserve: opts.Reserve,
		guard:   newGuard(opts.FS, opts.Log),
		commits: make(chan *commit), closing: make(chan struct{}), ended: make(chan struct{}),
		drained: make(chan struct{}, 1), learnt: make(chan struct{}), bound: stopWrites * opts.memTableSize,
	}
	defer func() {
		if err != nil {
			s.abandon()
			err = fmt.Errorf("store %s: %w", dir, err)
		}
	}()

	if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if s.lock, err = pebble.LockDirectory(dir, opts.FS); err != nil {
		return nil, fmt.Errorf("cannot lock it: is another ancred using it? (%w)", err)
	}
	if err := refuseHeadless(dir, opts.FS); err != nil {
		return nil, err
	}
	if s.db, err = openPebble(dir, s.pebbleOptions(opts.memTableSize)); err != nil {
		if strings.Contains(err.Error(), "unknown format major version") {
			return nil, fmt.Errorf("written by a newer version of this program; use that one: %w", err)
		}
		return nil, err
	}
	s.guard.arm()
	if err := s.readMeta(opts.Key); err != nil {
		return nil, err
	}
	if s.tail, err = s.readTail(); err != nil {
		return nil, err
	}
	if err := s.guard.failure(); err != nil {
		return nil, err
	}
	s.guard.patient.Store(true)
	s.view = s.newView()
	s.fillFilter()
	go s.commitLoop()
	return s, nil
}

// refuseHeadless refuses a directory with tables that Pebble would take for empty, and write a new database over.
func refuseHeadless(dir string, fs vfs.FS) error {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		if strings.Contains(err.Error(), "unknown format major version") {
			return fmt.Errorf("written by a newer version of this program; use that one: %w", err)
		}
		return err
	}
	if desc.Exists {
		return nil
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if isTable(name) {
			return fmt.Errorf("%w: %s is there, but no manifest that tells of it: restore a backup", store.ErrDamaged, name)
		}
	}
	return nil
}

// openPebble opens the database, which panics when some of its files cannot be synced, after cleaning up.
func openPebble(dir string, opts *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("open: %v", p)
			if cause, ok := p.(error); ok {
				err = fmt.Errorf("open: %w", cause)
			}
		}
	}()
	return pebble.Open(dir, opts)
}

// readMeta checks the format and takes the key, which must be want if that is given; in a store that is new it makes them.
func (s *Store) readMeta(want *[32]byte) error {
	format, err := s.get(s.db, metaKey(metaFormat))
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		return s.create(want)
	default:
		return err
	}
	d := codec.NewDecoder(format)
	version := d.Uvarint("format version")
	if err := d.End(); err != nil {
		return damaged(metaKey(metaFormat), err)
	}
	if version != formatVersion {
		return fmt.Errorf("it has format %d, this program knows %d: it was written by another version; use that one", version, formatVersion)
	}
	key, err := s.get(s.db, metaKey(metaKeyName))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: its key is missing: restore a backup", store.ErrDamaged)
	}
	if err != nil {
		return err
	}
	if len(key) != len(s.key) {
		return damaged(metaKey(metaKeyName), fmt.Errorf("%d bytes, expected %d", len(key), len(s.key)))
	}
	copy(s.key[:], key)
	if want != nil && *want != s.key {
		return errors.New("it is there already, with another key than the one given: make it elsewhere")
	}
	return nil
}

// create makes format and key, unless there are signs that they were there once: since create brings them into a
// table, only a creation that was interrupted leaves a database without any.
func (s *Store) create(given *[32]byte) error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	found := it.First()
	if err := it.Close(); err != nil {
		return err
	}
	tables := int64(0)
	for _, level := range s.db.Metrics().Levels {
		tables += level.TablesCount
	}
	if found || tables > 0 {
		return fmt.Errorf("%w: it holds data, but its format and key are missing: restore a backup", store.ErrDamaged)
	}
	if given != nil {
		s.key = *given
	} else if _, err := rand.Read(s.key[:]); err != nil {
		return fmt.Errorf("make its key: %w", err)
	}
	b := s.db.NewBatch()
	defer b.Close()
	_ = b.Set(metaKey(metaFormat), binary.AppendUvarint(nil, formatVersion), nil)
	_ = b.Set(metaKey(metaKeyName), s.key[:], nil)
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		return err
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return s.guard.failure()
	case <-s.guard.failed: // then the flush never ends by itself
		return s.guard.failure()
	}
}

// abandon takes down what a failed Open has put up.
func (s *Store) abandon() {
	s.guard.release()
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
		return errClosed
	}
	s.closed = true
	s.mu.Unlock()

	close(s.closing)
	<-s.ended
	if s.wedged.Load() {
		// Closing Pebble would wait for that lock. What was acknowledged is on disk, nothing else will be, and the
		// directory stays locked until the process ends.
		return s.guard.failure()
	}
	s.guard.release()
	s.mu.Lock()
	last := s.view
	s.view = nil
	s.mu.Unlock()
	last.release()
	s.readers.Wait()

	err := s.db.Close()
	if lerr := s.lock.Close(); err == nil {
		err = lerr
	}
	if failure := s.guard.failure(); failure != nil {
		return failure
	}
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// view is what was on disk at one moment.
type view struct {
	s    *Store
	snap *pebble.Snapshot
	refs int // owned by s.mu; the store itself holds one while it is the newest
}

func (s *Store) newView() *view {
	s.readers.Add(1)
	return &view{s: s, snap: s.db.NewSnapshot(), refs: 1}
}

// acquire returns the newest view; the caller releases it.
func (s *Store) acquire(ctx context.Context) (*view, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.view == nil {
		return nil, errClosed
	}
	s.view.refs++
	return s.view, nil
}

func (v *view) release() {
	v.s.mu.Lock()
	v.refs--
	last := v.refs == 0
	v.s.mu.Unlock()
	if last {
		_ = v.snap.Close()
		v.s.readers.Done()
	}
}

// publish makes what was just synced visible.
func (s *Store) publish() {
	v := s.newView()
	s.mu.Lock()
	old := s.view
	s.view = v
	s.mu.Unlock()
	old.release()
}
