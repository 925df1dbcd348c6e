package pebblestore

import (
	"encoding/binary"
	"sync/atomic"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2"
)

// Nearly every digest that comes is new, and to find that out Pebble asks every memtable and the filter of a table in every
// level: a quarter of what a submit of 1,000 cost. One filter over all leaves, in memory, answers first. Leaves are SHA-256
// of what only this store's key can tell, so their bytes serve as the hashes, and nobody can choose them to collide.

const (
	// filterLeaves is how many leaves the filter is made for. It goes on working beyond, ever less well, and then Pebble answers as
	// it would without. A store that begins with more does without from the start, which must not take longer as a store grows.
	filterLeaves = 4 << 20

	// filterBits is how many bits it has for each of those: 8 MiB in all, of which a store with few leaves touches few.
	filterBits = 16

	// A leaf sets filterProbes bits of one block, the size of a cache line: about one new leaf in 500 is looked up for
	// nothing when the filter is full.
	filterProbes = 7
	blockWords   = 8
)

// filter is a blocked Bloom filter (Putze, Sanders, Singler 2007) over the leaves of a store. It is safe for concurrent use.
type filter struct {
	words []uint64    // atomic
	whole atomic.Bool // it has all leaves: what it does not have is not stored
}

func newFilter() *filter {
	return &filter{words: make([]uint64, filterLeaves*filterBits/64)}
}

// place returns the words of a leaf's block, and the bits to probe in it, nine for each probe.
func (f *filter) place(leaf *store.Leaf) (block []uint64, bits uint64) {
	blocks := uint64(len(f.words) / blockWords)
	at := binary.LittleEndian.Uint64(leaf[:8]) % blocks * blockWords
	return f.words[at : at+blockWords], binary.LittleEndian.Uint64(leaf[8:16])
}

func (f *filter) add(leaf *store.Leaf) {
	block, bits := f.place(leaf)
	for range filterProbes {
		atomic.OrUint64(&block[bits>>6&7], 1<<(bits&63))
		bits >>= 9
	}
}

// has returns false only for a leaf that was never added.
func (f *filter) has(leaf *store.Leaf) bool {
	block, bits := f.place(leaf)
	for range filterProbes {
		if atomic.LoadUint64(&block[bits>>6&7])&(1<<(bits&63)) == 0 {
			return false
		}
		bits >>= 9
	}
	return true
}

// fillFilter begins to fill the filter with what is stored, if that is not too much. Open calls it before anything is appended.
func (s *Store) fillFilter() {
	stored := s.tail.before + s.tail.count
	if stored > filterLeaves {
		close(s.learnt)
		return
	}
	s.filter = newFilter()
	if stored == 0 {
		s.filter.whole.Store(true)
		close(s.learnt)
		return
	}
	s.view.refs++ // of the goroutine, which releases it: Close waits for that
	go func(v *view) {
		defer close(s.learnt)
		s.learn(v)
	}(s.view)
}

// maybe returns the indices of those leaves that may be stored: most that come are new.
func (s *Store) maybe(leaves []store.Leaf) []int {
	if s.filter == nil || !s.filter.whole.Load() {
		all := make([]int, len(leaves))
		for i := range all {
			all[i] = i
		}
		return all
	}
	var some []int
	for i := range leaves {
		if s.filter.has(&leaves[i]) {
			some = append(some, i)
		}
	}
	return some
}

// learn adds the leaves of a view, which it releases, to the filter. Append adds those that come meanwhile. Where that
// fails the filter is never whole, and nothing relies on it.
func (s *Store) learn(v *view) {
	defer v.release()
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixLeaf}, UpperBound: []byte{prefixLeaf + 1}})
	if err != nil {
		s.log.Debug("store: the filter cannot be filled", "err", err)
		return
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%store.RunSize == 0 {
			select {
			case <-s.closing:
				_ = it.Close()
				return
			default:
			}
		}
		if key := it.Key(); len(key) == 1+len(store.Leaf{}) {
			s.filter.add((*store.Leaf)(key[1:]))
		}
	}
	if err := it.Close(); err != nil {
		s.log.Debug("store: the filter cannot be filled", "err", err)
		return
	}
	s.filter.whole.Store(true)
}
