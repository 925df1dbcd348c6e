package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/batcher/store/tree"

	"github.com/cockroachdb/pebble/v2"
)

// Find implements [store.Store].
func (s *Store) Find(ctx context.Context, leaves []store.Leaf) ([]store.Position, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer v.release()
	at := make([]store.Position, len(leaves))
	f := &finder{s: s, r: v.snap, leaves: v.leaves, want: leaves, at: at}
	err = v.index.Find(ctx, leaves, f)
	if err := errors.Join(err, f.close()); err != nil {
		return nil, err
	}
	return at, nil
}

// finder finds out where leaves stand. It keeps the run that it read last, or for a single leaf the
// group: digests that came together are asked for together.
type finder struct {
	s      *Store
	r      pebble.Reader
	leaves uint64 // ordinals from here on are not to be seen
	want   []store.Leaf
	at     []store.Position // the result, of each that is wanted

	firsts *pebble.Iterator // over the first ordinals of batches; nil until needed
	run    []byte           // leaves from an ordinal on; valid until done is closed
	first  uint64           // that ordinal
	place  store.Position   // where that leaf stands
	done   io.Closer        // nil: there is no run, or it is the group in page
	page   *page            // nil until needed

	runsOnly bool // runs only
}

func (f *finder) close() (err error) {
	if f.firsts != nil {
		err = closeIter(f.firsts, prefixFirst)
	}
	err = errors.Join(err, f.closeRun())
	if f.page != nil {
		pagePool.Put(f.page)
		f.page = nil
	}
	return err
}

func (f *finder) closeRun() (err error) {
	f.run = nil
	if f.done != nil {
		err = f.done.Close()
		f.done = nil
	}
	return err
}

// Known implements [leafindex.Seeker].
func (f *finder) Known(i int) bool { return f.at[i].Batch != 0 }

// Check implements [leafindex.Seeker]. It compares a leaf that is wanted with the one at an
// ordinal, and takes its place if they are the same.
func (f *finder) Check(i int, ordinal uint64) error {
	if ordinal >= f.leaves || f.Known(i) {
		return nil
	}
	leaf, at, err := f.read(ordinal)
	if err != nil {
		return err
	}
	want := &f.want[i]
	if *leaf != *want && f.done == nil { // the file has another leaf there than the index says: ask the run, which is the truth
		said := *leaf
		f.runsOnly = true
		f.run = nil
		if leaf, at, err = f.read(ordinal); err != nil {
			return err
		}
		if *leaf != said {
			f.s.dropFileOf(at.Batch, fmt.Errorf("leaf %d is %x in it, and %x in the run", at.Index, said, *leaf))
		}
	}
	switch {
	case *leaf == *want:
		f.at[i] = at
	case !leafindex.Alike(leaf, want):
		return damaged(nodesKey(at.Batch, 0, at.Index), fmt.Errorf("the leaf at index %d of batch %d is %x, the index says that it begins with %x", at.Index, at.Batch, *leaf, want[:leafindex.PrefixSize]))
	}
	return nil
}

// read returns the leaf with an ordinal, valid until the next call, and where it stands.
func (f *finder) read(ordinal uint64) (*store.Leaf, store.Position, error) {
	if n := ordinal - f.first; ordinal < f.first || n >= uint64(len(f.run)/32) {
		if err := f.readRun(ordinal); err != nil {
			return nil, store.Position{}, err
		}
	}
	n := ordinal - f.first
	return (*store.Leaf)(f.run[n*32:]), store.Position{Batch: f.place.Batch, Index: f.place.Index + n}, nil
}

// readRun reads leaves among which is the one with an ordinal.
func (f *finder) readRun(ordinal uint64) error {
	if err := f.closeRun(); err != nil {
		return err
	}
	begin, batch, err := f.batch(ordinal)
	if err != nil {
		return err
	}
	index := ordinal - begin
	if len(f.want) == 1 && !f.runsOnly && f.readPage(begin, batch, index) {
		return nil
	}
	// A complete run begins at a multiple of RunSize, and a bare get is half of what a seek
	// backwards costs.
	start := index - index%runSize
	key := nodesKey(batch, 0, start)
	value, done, err := f.r.Get(key)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return readError(key, err)
	}
	if err == nil && index-start >= uint64(len(value)/32) { // the first chunk of a run that is not complete
		if err := done.Close(); err != nil {
			return err
		}
	}
	if err != nil || index-start >= uint64(len(value)/32) {
		if start, value, done, err = f.seekChunk(batch, index); err != nil {
			return err
		}
		key = nodesKey(batch, 0, start)
	}
	f.run, f.done = value, done
	f.first, f.place = begin+start, store.Position{Batch: batch, Index: start}
	if err := checkNodes(key, start, value); err != nil {
		return errors.Join(err, f.closeRun())
	}
	return nil
}

// readPage reads the group of leaves around an index of a batch, which is enough for one leaf,
// with what its path needs, and says whether it could.
func (f *finder) readPage(begin, batch, index uint64) bool {
	if f.page == nil {
		f.page = pagePool.Get().(*page)
	}
	if !f.s.readPage(batch, index, f.page) {
		return false
	}
	f.run = f.page.leaves
	start := index - index%tree.Fanout
	f.first, f.place = begin+start, store.Position{Batch: batch, Index: start}
	return true
}

// seekChunk returns leaves of a batch among which is the one at an index, and at which index they
// start.
func (f *finder) seekChunk(batch, index uint64) (start uint64, value []byte, done io.Closer, err error) {
	key := nodesKey(batch, 0, index)
	it, err := f.r.NewIter(&pebble.IterOptions{LowerBound: nodesKey(batch, 0, 0), UpperBound: nodesKey(batch, 0, index+1)})
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = it.Close()
		}
	}()
	if !it.Last() {
		if err := it.Error(); err != nil {
			return 0, nil, nil, readError(key, err)
		}
		return 0, nil, nil, damaged(key, errors.New("missing: leaves that the index points to"))
	}
	if start, err = nodesStart(it.Key()); err != nil {
		return 0, nil, nil, err
	}
	if value, err = it.ValueAndErr(); err != nil {
		return 0, nil, nil, readError(key, err)
	}
	if n := uint64(len(value) / 32); index-start >= n {
		return 0, nil, nil, damaged(key, fmt.Errorf("missing: before it come %d leaves from index %d on", n, start))
	}
	return start, value, it, nil
}

// batch returns which batch has the leaf with an ordinal, and with which it begins.
func (f *finder) batch(ordinal uint64) (begin, batch uint64, err error) {
	if known, ok := f.s.spans.get(ordinal); ok {
		return known.begin, known.batch, nil
	}
	if f.firsts == nil {
		if f.firsts, err = f.r.NewIter(prefixed(prefixFirst)); err != nil {
			return 0, 0, err
		}
	}
	key := firstKey(ordinal, math.MaxUint64) // of batches that begin with the same, the last has leaves
	if f.firsts.SeekGE(key) {
		if begin, batch, err = parseFirstKey(f.firsts.Key()); err != nil {
			return 0, 0, err
		}
		// The batch has all leaves up to where the next begins, and the last one all that are to be
		// seen: it may only grow.
		end := f.leaves
		if f.firsts.Prev() {
			if end, _, err = parseFirstKey(f.firsts.Key()); err != nil {
				return 0, 0, err
			}
		}
		if err := f.firsts.Error(); err != nil {
			return 0, 0, readError(key, err)
		}
		f.s.spans.put(span{begin, end, batch})
		return begin, batch, nil
	}
	if err := f.firsts.Error(); err != nil {
		return 0, 0, readError(key, err)
	}
	return 0, 0, damaged(key, fmt.Errorf("missing: no batch has leaf %d of the store", ordinal))
}
