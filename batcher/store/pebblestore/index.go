package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The index says where a leaf stands. It follows from the runs of leaves, which are the truth: what
// a crash takes from it is read again from there, and an answer is always compared with the run. A
// leaf goes by its ordinal, its number since the first leaf of the store.
//
//   - The leaves that came last are in a table in memory (table.go).
//   - A table that is full becomes a segment, a file that never changes (segment.go), in the
//     background.
//   - Neighbouring segments of one size become one, so that there are few (merge.go).
//   - Of a large batch that is sealed, what its proofs read becomes a file, too (groups.go).
//
// Segments tile the ordinals from 0 on, and tables go on where the last one ends: this is what a
// start reads again.

const (
	indexDir     = "index" // in the directory of the store
	segmentExt   = ".seg"
	bytesPerSync = 1 << 20

	diskWrites = vfs.DiskWriteCategory("ancre-index")

	// retryPause is how long the index waits before it tries again what the disk had no space for.
	retryPause = time.Second
)

// catalog is the index at one moment. It never changes, except that its last table grows.
type catalog struct {
	segments []*segment // by rising ordinals, without a gap from 0 on
	tables   []*table   // the rest; all but the last are full
	refs     int        // owned by Store.mu: one of the store while it is the newest, one of each view
}

// listing is the record of a segment.
type listing struct {
	id, from, count uint64
	footer          uint32 // the checksum in the footer of the file
}

const listingVersion = 1

func appendListing(b []byte, l listing) []byte {
	b = append(b, listingVersion)
	b = binary.AppendUvarint(b, l.from)
	b = binary.AppendUvarint(b, l.count)
	return binary.BigEndian.AppendUint32(b, l.footer)
}

func decodeListing(id uint64, b []byte) (l listing, err error) {
	d := codec.NewDecoder(b)
	if v := d.Byte("version"); v != listingVersion {
		d.Fail("record version %d, expected %d", v, listingVersion)
	}
	l = listing{id: id, from: d.Uvarint("first ordinal"), count: d.Uvarint("number of leaves")}
	sum := d.Take("checksum", sumSize)
	if err := d.End(); err != nil {
		return l, err
	}
	if l.count == 0 || l.count > maxSegment {
		return l, fmt.Errorf("%d leaves, expected 1 to %d", l.count, maxSegment)
	}
	l.footer = binary.BigEndian.Uint32(sum)
	return l, nil
}

func (s *Store) segmentName(id uint64) string {
	return s.guard.PathJoin(s.dir, indexDir, fmt.Sprintf("%06d%s", id, segmentExt))
}

// openIndex opens the segments that are listed, removes files that are not, and returns up to which
// ordinal they tell where leaves are: the rest is to be replayed.
func (s *Store) openIndex() (indexed uint64, err error) {
	dir := s.guard.PathJoin(s.dir, indexDir)
	listed, err := s.listings()
	if err != nil {
		return 0, err
	}
	names, err := s.guard.List(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	for _, l := range listed {
		s.lastSegment.Store(max(s.lastSegment.Load(), l.id))
	}
	if err != nil { // there is no such directory
		if len(listed) > 0 {
			s.log.Info("store: the index is gone and is made anew from the digests", "dir", dir, "digests", s.total())
			b := s.db.NewBatch()
			for _, l := range listed {
				_ = b.Delete(idKey(prefixSegment, l.id), nil)
			}
			if err := b.Commit(pebble.Sync); err != nil {
				return 0, err
			}
			s.quiet.wrote(time.Now(), false)
			listed = nil
		}
		// Only now: a directory that is there has what is listed.
		if err := s.guard.MkdirAll(dir, 0o700); err != nil {
			return 0, err
		}
		if err := s.syncDir(s.dir); err != nil {
			return 0, err
		}
	}
	if err := s.listGroups(names); err != nil {
		return 0, err
	}
	for _, name := range names {
		id, err := strconv.ParseUint(strings.TrimSuffix(name, segmentExt), 10, 64)
		if filepath.Ext(name) != segmentExt || err != nil {
			continue
		}
		s.lastSegment.Store(max(s.lastSegment.Load(), id))
		if !slices.ContainsFunc(listed, func(l listing) bool { return l.id == id }) {
			// It was being made, or was replaced, when the process ended.
			if err := s.guard.Remove(s.guard.PathJoin(dir, name)); err != nil {
				return 0, err
			}
		}
	}
	slices.SortFunc(listed, func(a, b listing) int { return cmp.Compare(a.from, b.from) })
	for _, l := range listed {
		if l.from != indexed || l.from+l.count > s.total() {
			return 0, damaged(idKey(prefixSegment, l.id), fmt.Errorf("leaves %d to %d of %d, expected them from %d on", l.from, l.from+l.count, s.total(), indexed))
		}
		g, err := s.openSegment(l)
		if err != nil {
			return 0, err
		}
		s.catalog.segments = append(s.catalog.segments, g)
		g.refs++
		indexed += l.count
	}
	return indexed, nil
}

// listings reads which segments there are.
func (s *Store) listings() (all []listing, err error) {
	it, err := s.db.NewIter(prefixed(prefixSegment))
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		l, err := decodeAt(it, prefixSegment, decodeListing)
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		all = append(all, l)
	}
	return all, closeIter(it, prefixSegment)
}

func (s *Store) syncDir(name string) error {
	d, err := s.guard.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// total is how many leaves are stored, while nothing is appended.
func (s *Store) total() uint64 { return s.tail.before + s.tail.count }

// replay puts the leaves from an ordinal on into tables: after a start, those that are in no
// segment yet, and when the index is made anew, all.
func (s *Store) replay(ctx context.Context, from uint64) (err error) {
	n := from
	defer func() {
		if err != nil {
			err = fmt.Errorf("read the leaves behind the first %d again: %w", n, err)
		}
	}()
	for n < s.total() {
		f := &finder{s: s, r: s.db}
		begin, id, err := f.batch(n)
		if err := errors.Join(err, f.close()); err != nil {
			return err
		}
		index := n - begin
		rec, err := s.batch(s.db, id)
		if err != nil {
			return err
		}
		// In pieces: a batch may be larger than a table.
		for index < rec.Count {
			end := min(rec.Count, index-index%runSize+64*runSize)
			nodes, _, err := s.nodes(ctx, s.db, id, 0, index, end)
			if err != nil {
				return err
			}
			if uint64(len(nodes)) != end-index {
				return damaged(nodesKey(id, 0, index+uint64(len(nodes))), fmt.Errorf("missing: %d leaves of batch %d follow from %d on, expected %d", len(nodes), id, index, end-index))
			}
			t, err := s.room(ctx, n, len(nodes))
			if err != nil {
				return err
			}
			t.insert(nodes)
			n += uint64(len(nodes))
			index = end
		}
	}
	return nil
}

// room returns the table for n leaves that come next, of which the first will have the ordinal
// given. When the table that takes leaves has no room it is full, and another takes its place; when
// too many are full, room waits.
func (s *Store) room(ctx context.Context, first uint64, n int) (*table, error) {
	last := s.lastTable()
	if last.fits(n) {
		return last, nil
	}
	if err := s.awaitFlush(ctx); err != nil {
		return nil, err
	}
	next := newTable(first, max(s.tableLeaves, n))
	s.changeCatalog(func(c *catalog) {
		if last.size == 0 { // the group is larger than a table
			c.tables = c.tables[:len(c.tables)-1]
		}
		c.tables = append(c.tables, next)
	})
	wake(s.flushing)
	return next, nil
}

func (s *Store) lastTable() *table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.catalog.tables[len(s.catalog.tables)-1]
}

// full returns the oldest table that waits to become a segment, or nil, and how many do.
func (s *Store) full() (*table, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.catalog.tables[0], len(s.catalog.tables) - 1
}

// awaitFlush waits until another table may be full. It does not wait for what fails.
func (s *Store) awaitFlush(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond) // to see what fails
	defer tick.Stop()
	for {
		if _, n := s.full(); n < maxFull {
			return nil
		}
		if s.guard.full.Load() {
			return fmt.Errorf("%w in %s", store.ErrFull, s.dir)
		}
		if err := s.guard.failure(); err != nil {
			return err
		}
		if err := s.unflushed.Load(); err != nil && *err != nil && !isNoSpace(*err) { // of that the guard knows more
			return *err // it is tried again, and nobody knows how often
		}
		select {
		case <-s.flushed:
		case <-tick.C:
		case <-s.guard.failed:
			return s.guard.failure()
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return errClosed
		}
	}
}

// changeCatalog puts another catalog in the place of the newest.
func (s *Store) changeCatalog(change func(*catalog)) {
	s.mu.Lock()
	old := s.catalog
	next := &catalog{segments: slices.Clone(old.segments), tables: slices.Clone(old.tables), refs: 1}
	change(next)
	for _, g := range next.segments {
		g.refs++
	}
	s.catalog = next
	ended := old.release()
	s.mu.Unlock()
	s.endSegments(ended)
}

// release gives a reference back. With the last one it returns the segments that nobody uses any
// more, which the caller ends. Store.mu is held.
func (c *catalog) release() (ended []*segment) {
	if c.refs--; c.refs > 0 {
		return nil
	}
	for _, g := range c.segments {
		if g.refs--; g.refs == 0 {
			ended = append(ended, g)
		}
	}
	return ended
}

// endSegments closes the files of segments that nobody uses any more, and removes those that are
// not listed.
func (s *Store) endSegments(ended []*segment) {
	for _, g := range ended {
		g.discard()
		if g.gone {
			if err := s.guard.Remove(g.name); err != nil && s.guard.failure() == nil {
				s.log.Warn("store: a file that is not needed any more stays until the next start", "file", g.name, "err", err)
			}
		}
	}
}

// flushLoop makes segments of tables that are full. It ends with the store.
func (s *Store) flushLoop() {
	defer s.indexers.Done()
	waits := false
	for {
		t, n := s.full()
		if n == 0 {
			select {
			case <-s.flushing:
				continue
			case <-s.closing:
				return
			}
		}
		err := s.flush(t)
		s.unflushed.Store(&err)
		if err == nil {
			waits = false
		} else if !s.tryAgain(err, &waits, retryPause, "store: a segment of the index cannot be written, and will be tried again; no digest is taken when the next table is full, too") {
			return
		}
	}
}

// tryAgain pauses after a failure, and says why the first time. It returns false when nothing is to
// be tried any more.
func (s *Store) tryAgain(err error, waits *bool, pause time.Duration, text string) bool {
	if s.guard.failure() != nil || errors.Is(err, errClosed) { // nothing new
		return false
	}
	if !*waits {
		*waits = true
		s.log.Warn(text, "err", err)
	}
	if errors.Is(err, store.ErrDamaged) {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.guard.failed:
	case <-s.closing:
	}
	return false
}

// flush makes a segment of a table.
func (s *Store) flush(t *table) error {
	keys := t.keys()
	id := s.lastSegment.Add(1)
	g, err := s.writeSegment(id, t.first, uint64(len(keys)), s.filterFits(uint64(len(keys)), nil), sorted(keys))
	if err != nil {
		return fmt.Errorf("write a segment of the index: %w", err)
	}
	err = s.list(g, nil, func(c *catalog) {
		c.tables = c.tables[1:]
		c.segments = append(c.segments, g)
	})
	if err != nil {
		return err
	}
	wake(s.flushed)
	wake(s.merging)
	return nil
}

// list brings a segment into the catalog in place of others, once that is on disk. When it fails,
// the segment is no more.
func (s *Store) list(g *segment, others []*segment, change func(*catalog)) (err error) {
	defer func() {
		if err != nil {
			g.discard()
			_ = s.guard.Remove(g.name)
		}
	}()
	if err := s.syncDir(s.guard.PathJoin(s.dir, indexDir)); err != nil {
		return err
	}
	if err := s.guard.failure(); err != nil { // what the guard pretends is not on disk
		return err
	}
	b := s.db.NewBatch()
	_ = b.Set(idKey(prefixSegment, g.id), appendListing(nil, listing{g.id, g.from, g.count, g.footer}), nil)
	for _, other := range others {
		_ = b.Delete(idKey(prefixSegment, other.id), nil)
	}
	return s.commit(context.Background(), &commit{batch: b, soon: true, synced: func() {
		s.changeCatalog(func(c *catalog) {
			for _, other := range others {
				other.gone = true
			}
			change(c)
		})
	}})
}

// sorted returns the records of keys, given in the order of their ordinals, in the order of a
// segment.
func sorted(keys []uint64) func(func(record, error) bool) {
	return func(yield func(record, error) bool) {
		// First by bucket, in which they are evenly spread, then within each: four times as fast as
		// sorting all at once.
		bits := bucketBits(uint64(len(keys)))
		starts := make([]uint32, 1<<bits+1)
		for _, key := range keys {
			starts[key>>1>>(63-bits)+1]++
		}
		for i := 1; i < len(starts); i++ {
			starts[i] += starts[i-1]
		}
		next := slices.Clone(starts)
		all := make([]record, len(keys))
		for i, key := range keys {
			at := &next[key>>1>>(63-bits)]
			all[*at] = record{key >> (64 - keyBits), uint32(i)}
			*at++
		}
		for i := range 1 << bits {
			bucket := all[starts[i]:starts[i+1]]
			slices.SortFunc(bucket, compareRecords)
			for _, rec := range bucket {
				if !yield(rec, nil) {
					return
				}
			}
		}
	}
}

func compareRecords(a, b record) int {
	if a.key != b.key {
		return cmp.Compare(a.key, b.key)
	}
	return cmp.Compare(a.offset, b.offset)
}

// filterFits says whether a filter for so many leaves keeps within the budget, once the segments in
// others are gone.
func (s *Store) filterFits(leaves uint64, others []*segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks, _ := filterFor(leaves)
	for _, g := range s.catalog.segments {
		if !slices.Contains(others, g) {
			blocks += g.filterBlocks
		}
	}
	return blocks*blockBytes <= filterBudget
}

// wake lets one who waits on c go on, now or when it comes to wait.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
