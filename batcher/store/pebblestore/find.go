package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"ancre/batcher/store"

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
	err = f.find(ctx, v.catalog)
	if err := errors.Join(err, f.close()); err != nil {
		return nil, err
	}
	return at, nil
}

// finder finds out where leaves stand. It keeps the places that it read last: digests that came together are asked for together.
type finder struct {
	s      *Store
	r      pebble.Reader
	leaves uint64 // ordinals from here on are not to be seen
	want   []store.Leaf
	at     []store.Position // the result, of each that is wanted

	firsts *pebble.Iterator // over the first ordinals of batches; nil until needed
	batch  uint64           // whose leaves are those of ordinals [begin, end)
	begin  uint64
	end    uint64

	runs     *pebble.Iterator // over leaves; nil until needed
	run      []byte           // leaves of runBatch from index runStart on, as runs stands there
	runBatch uint64
	runStart uint64
}

func (f *finder) close() (err error) {
	if f.firsts != nil {
		err = closeIter(f.firsts, prefixFirst)
	}
	if f.runs != nil {
		err = errors.Join(err, closeIter(f.runs, prefixNodes))
	}
	return err
}

// find asks part after part of the index for all leaves: what a part has in memory stays near, and the processor fetches
// what it needs for one leaf while it looks at another.
func (f *finder) find(ctx context.Context, c *catalog) error {
	for _, t := range c.tables {
		if err := t.find(f.want, f.check); err != nil {
			return err
		}
	}
	var buf []byte
	reads := 0
	for _, g := range c.segments {
		filter := g.filter.Load()
		for i := range f.want {
			key := leafKey(&f.want[i]) >> (64 - keyBits)
			if filter != nil && !filter.has(key) || f.at[i].Batch != 0 {
				continue
			}
			if reads++; reads%256 == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			var err error
			buf, err = g.find(key, buf, func(ordinal uint64) error { return f.check(i, ordinal) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// check compares a leaf that is wanted with the one that the index points to, and takes its place if they are the same.
func (f *finder) check(i int, ordinal uint64) error {
	if ordinal >= f.leaves || f.at[i].Batch != 0 {
		return nil
	}
	batch, index, err := f.place(ordinal)
	if err != nil {
		return err
	}
	leaf, err := f.leaf(batch, index)
	if err != nil {
		return err
	}
	want := &f.want[i]
	switch {
	case *leaf == *want:
		f.at[i] = store.Position{Batch: batch, Index: index}
	case leafKey(leaf)>>(64-keyBits) != leafKey(want)>>(64-keyBits):
		return damaged(nodesKey(batch, 0, index), fmt.Errorf("the leaf at index %d of batch %d is %x, the index says that it begins with %x", index, batch, *leaf, want[:keyBits/8]))
	}
	return nil
}

// place returns where the leaf with an ordinal stands.
func (f *finder) place(ordinal uint64) (batch, index uint64, err error) {
	if ordinal >= f.begin && ordinal < f.end {
		return f.batch, ordinal - f.begin, nil
	}
	f.end = 0
	if f.firsts == nil {
		if f.firsts, err = f.r.NewIter(prefixed(prefixFirst)); err != nil {
			return 0, 0, err
		}
	}
	key := firstKey(ordinal+1, 0)
	if !f.firsts.SeekLT(key) {
		if err := f.firsts.Error(); err != nil {
			return 0, 0, readError(key, err)
		}
		return 0, 0, damaged(key, fmt.Errorf("missing: no batch has leaf %d of the store", ordinal))
	}
	if f.begin, f.batch, err = parseFirstKey(f.firsts.Key()); err != nil {
		return 0, 0, err
	}
	f.end = f.leaves
	if f.firsts.Next() {
		if f.end, _, err = parseFirstKey(f.firsts.Key()); err != nil {
			return 0, 0, err
		}
	} else if err := f.firsts.Error(); err != nil {
		return 0, 0, readError(key, err)
	}
	return f.batch, ordinal - f.begin, nil
}

// leaf returns a leaf, which is valid until the next call.
func (f *finder) leaf(batch, index uint64) (_ *store.Leaf, err error) {
	if batch == f.runBatch && index >= f.runStart && index-f.runStart < uint64(len(f.run)/32) {
		return (*store.Leaf)(f.run[(index-f.runStart)*32:]), nil
	}
	f.run = nil
	if f.runs == nil {
		if f.runs, err = f.r.NewIter(prefixed(prefixNodes)); err != nil {
			return nil, err
		}
	}
	key := nodesKey(batch, 0, index)
	if !f.runs.SeekLT(nodesKey(batch, 0, index+1)) {
		if err := f.runs.Error(); err != nil {
			return nil, readError(key, err)
		}
		return nil, damaged(key, errors.New("missing: leaves that the index points to"))
	}
	found := f.runs.Key()
	if len(found) != len(key) || string(found[:10]) != string(key[:10]) {
		return nil, damaged(key, fmt.Errorf("missing: before it comes the key %x", found))
	}
	start := binary.BigEndian.Uint64(found[10:])
	value, err := nodesAt(f.runs, start)
	if err != nil {
		return nil, err
	}
	if index-start >= uint64(len(value)/32) {
		return nil, damaged(key, fmt.Errorf("missing: %d leaves from index %d on are what comes before", len(value)/32, start))
	}
	f.run, f.runBatch, f.runStart = value, batch, start
	return (*store.Leaf)(value[(index-start)*32:]), nil
}
