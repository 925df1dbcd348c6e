package leafindex

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
)

// Nearly every digest that comes is new, and a segment would have to read a bucket to say so: a
// filter in memory spares it most of these reads.

// filterSizes says how many bits a filter has for each leaf, and how many of its bits a leaf sets.
// The few large segments hold most leaves, so that bits count there; there are many small ones, so
// that vain reads count there: they happen to one in 100, one in 40, and one in 17 of the digests
// that a segment does not have. At a hundred million leaves the filters take 95 MB, and of four new
// digests one costs a read, which is a microsecond and a half even when the disk is not asked.
var filterSizes = []struct {
	upTo   uint64 // leaves in the segment
	bits   uint64
	probes int
}{
	{4 << 20, 10, 7},
	{16 << 20, 8, 5},
	{math.MaxUint64, 6, 4},
}

const (
	// filterBudget bounds the bytes of all filters together: enough for 160 million leaves. A
	// segment whose filter would not fit in has none, and each digest that comes is looked for in
	// it: a microsecond when the bucket is in the system's cache, a read of the disk when it is
	// not.
	filterBudget = 120 << 20

	blockBytes = 64 // a block is a cache line: a leaf misses the cache once
)

// filter is a blocked Bloom filter (Putze, Sanders, Singler 2007) over the leaves of a segment. It
// never changes once it is in use. The block follows from the leading bits of a key, so that
// filling it in the order of a segment goes through memory once. Its bytes in the file are those in
// memory.
type filter struct {
	blocks []byte // not of Go's heap: that would be let grow to twice of all it holds before it is tidied up
	probes int
}

// newFilter returns a filter of so many blocks that has nothing, or nil for none. It is to be
// freed.
func newFilter(blocks uint64, probes int) (*filter, error) {
	if blocks == 0 {
		return nil, nil
	}
	raw, err := allocate(int(blocks * blockBytes))
	if err != nil {
		return nil, fmt.Errorf("memory for a filter of %d MiB: %w", blocks*blockBytes>>20, err)
	}
	return &filter{raw, probes}, nil
}

// free gives the memory back. The filter must not be in use any more.
func (f *filter) free() {
	if f != nil {
		deallocate(f.blocks)
		f.blocks = nil
	}
}

// filterFor returns how a filter for so many leaves is made.
func filterFor(leaves uint64) (blocks uint64, probes int) {
	for _, size := range filterSizes {
		if leaves <= size.upTo {
			return leaves*size.bits/(blockBytes*8) + 1, size.probes
		}
	}
	return 0, 0
}

// place returns the block of a key as a segment stores it, and the bits to probe in it, nine for
// each probe.
func (f *filter) place(key uint64) (*[blockBytes]byte, uint64) {
	at, _ := bits.Mul64(key<<(64-keyBits), uint64(len(f.blocks)/blockBytes))
	// Within a block the leading bits of all keys are the same: multiplying spreads the others.
	h := key * 0x9e3779b97f4a7c15
	return (*[blockBytes]byte)(f.blocks[at*blockBytes:]), h ^ h>>32
}

func (f *filter) add(key uint64) {
	block, h := f.place(key)
	for range f.probes {
		block[h>>3&63] |= 1 << (h & 7)
		h >>= 9
	}
}

// has returns 0 only for a key that was never added, else 1. It asks all bits, and without a branch
// that would have to be guessed: so the processor fetches the blocks of many leaves at once.
func (f *filter) has(key uint64) int {
	block, h := f.place(key)
	all := byte(1)
	for range f.probes {
		all &= block[h>>3&63] >> (h & 7)
		h >>= 9
	}
	return int(all)
}

// maybe returns the indices of those leaves that may be in the segment, in a slice that has room
// for all.
func (g *segment) maybe(leaves []store.Leaf, room []int32) []int32 {
	f, n := g.filter.Load(), 0
	for i := range leaves {
		room[n] = int32(i)
		if f == nil {
			n++
		} else {
			n += f.has(prefixOf(&leaves[i]))
		}
	}
	return room[:n]
}

// loadFilter reads the filter, or rebuilds it from the records when it cannot be read: it is
// needed for speed only.
func (g *segment) loadFilter(x *Index) (err error) {
	f, err := newFilter(g.filterBlocks, g.filterProbes)
	if f == nil || err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.free()
		}
	}()
	if err := g.readFilter(f.blocks); err != nil {
		x.Log.Warn("store: a filter is damaged and was rebuilt from its segment; each start does that until the index is rebuilt", "file", g.name, "err", err)
		clear(f.blocks)
		r := &segmentReader{g: g}
		for n := 0; ; n++ {
			if n%mergeChunk == 0 && x.isClosing() {
				return store.ErrClosed
			}
			rec, ok := r.next()
			if !ok {
				break
			}
			f.add(rec.key)
		}
		if r.err != nil {
			return r.err
		}
	}
	g.filter.Store(f)
	return nil
}

func (g *segment) readFilter(blocks []byte) error {
	sum := uint32(0)
	for at := 0; at < len(blocks); {
		piece := blocks[at:min(at+ioSize, len(blocks))]
		if err := g.readAt(piece, g.filterAt+int64(at)); err != nil {
			return err
		}
		sum = codec.AddSum(sum, piece)
		at += len(piece)
	}
	if sum != g.filterSum {
		return errors.New("its checksum is wrong")
	}
	return nil
}
