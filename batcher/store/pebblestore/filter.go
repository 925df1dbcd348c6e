package pebblestore

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Nearly every digest that comes is new, and a segment would have to read a bucket to say so: a filter in memory spares it
// most of these reads.

const (
	// A segment of up to smallSegment leaves has smallBits in its filter for each, and one of 200 leaves that it does not
	// have is looked for in vain. Beyond, it has largeBits, and one of 15: the few large segments hold most leaves, so
	// that bits count there, and there are many small ones, so that vain reads count there.
	smallSegment = 8 << 20
	smallBits    = 12
	smallProbes  = 7
	largeBits    = 6
	largeProbes  = 4

	// filterBudget bounds the bytes of all filters together: enough for 128 million leaves. A segment whose filter would
	// not fit in has none, and each digest that comes is looked for in it: a microsecond when the bucket is in the
	// system's cache, a read of the disk when it is not.
	filterBudget = 96 << 20

	blockWords = 8 // a block is a cache line: a probe of a leaf misses the cache once
	blockBytes = blockWords * 8
)

// filter is a blocked Bloom filter (Putze, Sanders, Singler 2007) over the leaves of a segment. It never changes once it is
// in use. The block follows from the leading bits of a key, so that filling it in the order of a segment goes through memory
// once.
type filter struct {
	words  []uint64
	probes int
}

// newFilter returns a filter of so many blocks, or nil for none.
func newFilter(blocks uint64, probes int) *filter {
	if blocks == 0 {
		return nil
	}
	return &filter{words: make([]uint64, blocks*blockWords), probes: probes}
}

// filterFor returns how a filter for so many leaves is made.
func filterFor(leaves uint64) (blocks uint64, probes int) {
	perLeaf, probes := uint64(largeBits), largeProbes
	if leaves <= smallSegment {
		perLeaf, probes = smallBits, smallProbes
	}
	return leaves*perLeaf/(blockBytes*8) + 1, probes
}

// place returns the block of a key as a segment stores it, and the bits to probe in it, nine for each probe.
func (f *filter) place(key uint64) (*[blockWords]uint64, uint64) {
	at, _ := bits.Mul64(key<<(64-keyBits), uint64(len(f.words)/blockWords))
	// Within a block the leading bits of all keys are the same: multiplying spreads the others.
	h := key * 0x9e3779b97f4a7c15
	return (*[blockWords]uint64)(f.words[at*blockWords:]), h ^ h>>32
}

func (f *filter) add(key uint64) {
	block, h := f.place(key)
	for range f.probes {
		block[h>>6&7] |= 1 << (h & 63)
		h >>= 9
	}
}

// has returns false only for a key that was never added. It asks all bits before it decides: the one branch nearly
// always goes the same way, and the processor fetches the blocks of the next leaves meanwhile.
func (f *filter) has(key uint64) bool {
	block, h := f.place(key)
	all := ^uint64(0)
	for range f.probes {
		all &= block[h>>6&7] >> (h & 63)
		h >>= 9
	}
	return all&1 != 0
}

// bytes passes the words on as they are stored, little-endian, in pieces that are valid until the next.
func (f *filter) bytes(pass func([]byte) error) error {
	buf := make([]byte, 0, ioSize)
	for i, w := range f.words {
		buf = binary.LittleEndian.AppendUint64(buf, w)
		if len(buf) == cap(buf) || i == len(f.words)-1 {
			if err := pass(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}

// read fills the words from what bytes passed on, and returns its checksum.
func (f *filter) read(next func([]byte) error) (sum uint32, err error) {
	buf := make([]byte, ioSize)
	for words := f.words; len(words) > 0; {
		piece := buf[:min(len(words)*8, len(buf))]
		if err := next(piece); err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, piece)
		for i := range len(piece) / 8 {
			words[i] = binary.LittleEndian.Uint64(piece[i*8:])
		}
		words = words[len(piece)/8:]
	}
	return sum, nil
}
