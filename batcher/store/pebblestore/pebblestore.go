// Package pebblestore keeps what must survive in a Pebble database: one directory, one process.
//
// A write is acknowledged after its record in the write-ahead log was synced. Reads go through a
// snapshot that was taken after the last such sync, so they never show what a crash could still
// take back. The first write that fails stops all writing for good (see guard.go): the disk is left
// as a crash would leave it at that moment, and the next [Open] recovers from it like from any
// crash.
//
// # Format 2
//
// A reader of another make needs Pebble (its format major version is [majorVersion], comparer and
// merger its defaults, tables not compressed) and this. Integers in keys are big-endian, 8 bytes
// unless said otherwise, so that keys sort by number; a uvarint is that of Go's encoding/binary.
//
//	key                                    value
//	'N' batch(8) level(1) start(8)         1 to 256 nodes of 32 bytes: nodes [start, start+n) of a level of a tree
//	'a' anchor(8)                          an anchor with all its versions
//	'b' batch(8)                           a batch
//	'c'                                    how far the chain was followed
//	'f' ^ordinal(8) ^batch(8)              empty; with which leaf of the store a batch begins, or will (complements)
//	'g' batch(8)                           the file of a batch's groups; empty while that is to be written
//	'm' "format"                           uvarint 2: the version of all that is said here
//	'm' "id"                               16 random bytes that tell this store from any other, and its witness
//	'm' "key"                              the 32-byte key of the nonces
//	'm' "writes"                           uvarint number of the last write; each change of a store sets it one higher
//	's' segment(8)                         a segment of the index
//	'u' anchor(8)                          empty; there while the anchor is neither settled nor dead
//	'w' batch(8)                           empty; there while the batch has no anchor
//
// Nodes. Level 0 holds the leaves in order; node i of level k+1 is the root over nodes [16·i,
// 16·(i+1)) of level k. No value spans a multiple of 256. A run of 256 that is complete is one
// value; the run of level 0 that the batch ended in, or is growing in, may be several: each group
// of leaves adds one, and the group that completes the run replaces them by one. Readers
// concatenate what follows without a gap. Nodes sort below all the rest, where new ones come
// directly before the keys that change all the time: so a table of new ones overlaps with none of
// the old, and Pebble compacts by moving files.
//
// Batches, anchors and the cursor are encoded as the package codec says.
//
// The index. A leaf's ordinal is its number since the first leaf of the store. The record of a
// segment is a version byte (1), uvarint first ordinal, uvarint number of leaves, and the checksum
// of the file's footer (4). Segments tile the ordinals from 0 on; leaves behind the last one are
// found by reading them. Nothing here is truth: where the directory "index" is missing, it is made
// anew from the nodes. The file index/ID.seg (ID in six decimal digits or more), integers
// big-endian where nothing else is said, checksums CRC-32C:
//
//	buckets     each: records, sorted, of the first 6 bytes of a leaf and its ordinal less the segment's first (4), then
//	            their checksum (4), which begins with (ID·0x9e3779b9 XOR number of the bucket) for that of nothing.
//	            The leading bits of a leaf are the number of its bucket
//	directory   of each bucket: number of records up to its end (4)
//	filter      blocks of 64 bytes; see filter.go for which bits of which block a leaf sets
//	footer      "ancre-s1", ID (8), first ordinal (8), number of leaves (8), number of leading bits (1), number of bits
//	            that a leaf sets (1), 0 (2), checksum of the directory (4), blocks of the filter (8), its checksum
//	            (4), 0 (8), checksum of the footer up to here (4)
//
// Of a sealed batch of 65,536 leaves or more, the two lowest levels are there once more, for
// proofs. The record of their file is a version byte (1), uvarint number of its stripes, and the
// checksum of its footer (4). The file index/BATCH.groups (BATCH in six decimal digits or more):
//
//	stripes     one for each complete run of leaves: leaves 0 to 15, 16 to 31 and so on up to 127; the top, which is the 16 nodes of level 1
//	            and the rows of 8, 4 and 2 above them; leaves 128 to 143 and so on. Each 16 leaves and the top are followed by
//	            their checksum (4), which begins with (BATCH·0x9e3779b9 XOR (number of the stripe·17 + that of the 16 leaves in it,
//	            or 16 for the top))
//	footer      "ancre-g1", BATCH (8), number of stripes (8), root of the batch (32), 0 (4), checksum of the footer up to here (4)
//
// Records in Pebble carry no checksum of their own: each block of a table, each chunk of the log
// and each record of the manifest has one by Pebble (CRC-32C), which is checked whenever it is
// read. Decoding is strict nonetheless, and says what it found where.
//
// A wrong checksum of a table is always an error. One in the log or the manifest is not: Pebble
// takes a damaged record near the end of either for one that was being written when the process
// ended, and drops it with everything behind it. (Each chunk of the log says up to where the log
// was synced before. Pebble 2.1.7 counts only the last block of each flush for that, so most damage
// seems to be behind it.) So what was acknowledged is known outside of both:
//
// The witness. The file WITNESS has two records of 512 bytes, at 0 and at 4096. The newer of them
// says what the store had acknowledged: "ancre-w1", the ID of the store (16), the number of the
// last write (8), how many leaves there were (8), the newest batch (8) and its leaves (8), the
// number of the last changes of anchors (1) and of each its write (8), the anchor (8) and its
// versions (4), zeros, and the checksum of the record up to here (4). A store that holds fewer
// writes is refused. The format is 2 with and without a witness: one that is missing is made.
//
// What is in the log goes to tables when the store is closed, after each seal, and when nothing is
// written for a while.
//
// A store is complete once its key is in a table. One that has tables but no key is refused, and
// never given a new one: every nonce, so every proof, would be another.
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
	"ancre/internal/wake"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the layout in the package comment. A store of another one is
// refused.
const formatVersion = 2

// DefaultReserve is how much of the disk is left free: what may be needed before anything can be
// freed. That is five memtables in tables and as many logs, preallocated at 110 % of a memtable,
// one compaction's output, and the segments of three tables of the index, of 6 MB each. Merges of
// segments look for their own space.
const DefaultReserve = 256 << 20

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

	mu      sync.Mutex // owns synced and closed
	synced  *synced    // what is on disk now
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
	if err := s.fs.Failure(); err != nil {
		return nil, err
	}
	s.leaves = s.total()
	s.fs.WaitForSpace()
	s.synced = s.newSynced()
	started = true
	go s.commitLoop()
	s.index.Start()
	if err := s.replay(ctx, indexed); err != nil {
		return nil, err
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

// publish makes what was just synced visible.
func (s *Store) publish() {
	next := s.newSynced()
	s.mu.Lock()
	old := s.synced
	s.synced = next
	s.mu.Unlock()
	s.releaseSynced(old)
}
