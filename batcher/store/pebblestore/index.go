package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"ancre/batcher/store/pebblestore/leafindex"

	"github.com/cockroachdb/pebble/v2"
)

// How the store keeps the index of its leaves, see package leafindex: the list of segments is in
// Pebble, and what is in no segment is read again from the runs of leaves, which are the truth. In
// the same directory are the tree files, see treefile.go.

const indexDir = "index" // in the directory of the store

func (s *Store) newIndex(tableLeaves int) *leafindex.Index {
	return leafindex.New(leafindex.Options{
		FS: s.fs, Dir: s.fs.PathJoin(s.dir, indexDir), Log: s.log, TableLeaves: tableLeaves,
		Record: s.recordSegment, Fits: s.fits, Closing: s.closing,
	})
}

// openIndex opens the index, and returns up to which ordinal it tells where leaves are: the rest is
// to be replayed.
func (s *Store) openIndex() (indexed uint64, err error) {
	dir := s.fs.PathJoin(s.dir, indexDir)
	listed, err := s.listings()
	if err != nil {
		return 0, err
	}
	names, err := s.fs.List(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	if err != nil { // there is no such directory
		if err := s.startIndexOver(dir, listed); err != nil {
			return 0, err
		}
		listed = nil
	}
	if err := s.listTreeFiles(names); err != nil {
		return 0, err
	}
	slices.SortFunc(listed, func(a, b leafindex.Listing) int { return cmp.Compare(a.From, b.From) })
	for _, l := range listed {
		if l.From != indexed || l.From+l.Count > s.total() {
			return 0, damaged(idKey(prefixSegment, l.ID), fmt.Errorf("leaves %d to %d of %d, expected them from %d on", l.From, l.From+l.Count, s.total(), indexed))
		}
		indexed += l.Count
	}
	return indexed, s.index.Open(listed, names)
}

// startIndexOver makes the directory of the index, and forgets what was listed of one that is gone.
func (s *Store) startIndexOver(dir string, listed []leafindex.Listing) error {
	if len(listed) > 0 {
		s.log.Info("store: the index is gone: it is rebuilt from the digests", "dir", dir, "digests", s.total())
		b := s.db.NewBatch()
		for _, l := range listed {
			_ = b.Delete(idKey(prefixSegment, l.ID), nil)
			s.index.AfterListed(l.ID)
		}
		if err := b.Commit(pebble.Sync); err != nil {
			return err
		}
		s.quiet.wrote(time.Now(), false)
	}
	// Only now: a directory that is there has what is listed.
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}

// listings reads which segments there are.
func (s *Store) listings() (all []leafindex.Listing, err error) {
	it, err := s.db.NewIter(prefixed(prefixSegment))
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		l, err := decodeAt(it, prefixSegment, leafindex.DecodeListing)
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		all = append(all, l)
	}
	return all, closeIter(it, prefixSegment)
}

// recordSegment lists a segment in the place of others, see [leafindex.Options].
func (s *Store) recordSegment(add leafindex.Listing, others []uint64, visible func()) error {
	b := s.db.NewBatch()
	_ = b.Set(idKey(prefixSegment, add.ID), leafindex.AppendListing(nil, add), nil)
	for _, other := range others {
		_ = b.Delete(idKey(prefixSegment, other), nil)
	}
	return s.commit(context.Background(), &commit{batch: b, soon: true, synced: visible})
}

// total is how many leaves are stored, while nothing is appended.
func (s *Store) total() uint64 { return s.tail.before + s.tail.count }

// replay puts the leaves from an ordinal on into tables: after a start, those that are in no
// segment yet, and all of them when the index is rebuilt.
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
			t, err := s.index.Room(ctx, n, len(nodes))
			if err != nil {
				return err
			}
			t.Insert(nodes)
			n += uint64(len(nodes))
			index = end
		}
	}
	return nil
}
