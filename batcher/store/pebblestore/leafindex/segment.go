package leafindex

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentMagic = "ancre-s1"

	// A record is the first six bytes of a leaf and its ordinal counted from the first of the
	// segment. Six bytes are as good as all: that one of a hundred million leaves has those of
	// another happens to one digest in three million, and costs it a look at that leaf.
	keyBits    = 48
	recordSize = 10

	// bucketRecords is how many records a bucket has at most on average, at least half of them: one
	// read finds a leaf, and the directory of all buckets, which is in memory, takes four bytes for
	// each.
	bucketRecords = 128

	// maxSegment is how many leaves a segment has at most: what counts them has 32 bits.
	maxSegment = 1 << 31

	footerSize = 64

	// ioSize is how much is read or written at once where much is.
	ioSize = 256 << 10
)

// segment says where the leaves of a range of ordinals are. It is a file that never changes.
type segment struct {
	id    uint64
	from  uint64 // ordinal of its first leaf
	count uint64

	name   string // its file
	file   vfs.File
	bits   int      // of a key, that number its bucket
	ends   []uint32 // records up to the end of each bucket
	size   uint64   // bytes of the file
	footer uint32   // checksum of the footer, which has those of the rest: what tells this file from any other

	filterAt     int64
	filterBlocks uint64 // 0: it has none
	filterProbes int
	filterSum    uint32
	filter       atomic.Pointer[filter] // nil: each look-up reads a bucket

	refs int  // owned by Store.mu: catalogs that name it
	gone bool // owned by Store.mu: it is not listed any more, and ends with the last of them
}

// bucketBits returns how many bits number the buckets of so many leaves.
func bucketBits(leaves uint64) (n int) {
	for leaves>>n > bucketRecords {
		n++
	}
	return n
}

// damaged says what is wrong with the file, and what to do.
func (g *segment) damaged(format string, args ...any) error {
	return damagedIndex(g.name, format, args...)
}

func damagedIndex(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w; stop ancred, remove the whole directory that the file is in, and start again: it only says where digests are, and is rebuilt from them",
		store.ErrDamaged, name, fmt.Errorf(format, args...))
}

// discard closes the file of a segment that is no longer in use.
func (g *segment) discard() {
	_ = g.file.Close() // it was read only
	g.filter.Load().free()
}

// record says where one leaf is.
type record struct {
	key    uint64 // its first keyBits
	offset uint32 // its ordinal, counted from the first of the segment
}

// openSegment opens the file of a segment that is listed, and reads its directory.
func (x *Index) openSegment(l Listing) (_ *segment, err error) {
	g := &segment{id: l.ID, from: l.From, count: l.Count, footer: l.Footer, name: x.segmentName(l.ID)}
	if g.file, err = x.FS.Open(g.name, vfs.RandomReadsOption); err != nil {
		return nil, damagedIndex(g.name, "a file of the index cannot be opened: %w", err)
	}
	defer func() {
		if err != nil {
			_ = g.file.Close()
		}
	}()
	info, err := g.file.Stat()
	if err != nil {
		return nil, err
	}
	g.size = uint64(info.Size())
	var f [footerSize]byte
	if g.size < footerSize {
		return nil, g.damaged("a file of the index has %d bytes, and ends in the middle", g.size)
	}
	if err := g.readAt(f[:], int64(g.size)-footerSize); err != nil {
		return nil, err
	}
	sum := codec.Sum(f[:footerSize-codec.SumSize])
	if sum != binary.BigEndian.Uint32(f[footerSize-codec.SumSize:]) || sum != l.Footer || !bytes.HasPrefix(f[:], []byte(segmentMagic)) {
		return nil, g.damaged("a file of the index does not end as it was written")
	}
	g.bits, g.filterProbes = int(f[32]), int(f[33])
	directory := binary.BigEndian.Uint32(f[36:])
	g.filterBlocks, g.filterSum = binary.BigEndian.Uint64(f[40:]), binary.BigEndian.Uint32(f[48:])
	// The checksum says that this is what was written; that it makes sense follows.
	at := g.count*recordSize + codec.SumSize<<g.bits
	g.filterAt = int64(at + 4<<g.bits)
	if g.size != uint64(g.filterAt)+g.filterBlocks*blockBytes+footerSize {
		return nil, g.damaged("a file of the index has %d bytes, expected %d", g.size, uint64(g.filterAt)+g.filterBlocks*blockBytes+footerSize)
	}
	raw := make([]byte, 4<<g.bits)
	if err := g.readAt(raw, int64(at)); err != nil {
		return nil, err
	}
	if codec.Sum(raw) != directory {
		return nil, g.damaged("the checksum of its directory is wrong")
	}
	g.ends = make([]uint32, 1<<g.bits)
	for i := range g.ends {
		g.ends[i] = binary.BigEndian.Uint32(raw[i*4:])
	}
	return g, nil
}

func (g *segment) readAt(p []byte, at int64) error {
	n, err := g.file.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return g.damaged("a file of the index ends at byte %d, expected %d more", at+int64(n), len(p)-n)
	}
	return fmt.Errorf("read %s: %w", g.name, err)
}

// extent returns where the records of a bucket are in the file, and how many bytes they have.
func (g *segment) extent(bucket uint32) (at int64, size int) {
	before := uint32(0)
	if bucket > 0 {
		before = g.ends[bucket-1]
	}
	return int64(before)*recordSize + int64(bucket)*codec.SumSize, int(g.ends[bucket]-before) * recordSize
}

// check compares the records of a bucket, with their checksum behind them, with it.
func (g *segment) check(bucket uint32, raw []byte) ([]byte, error) {
	records, sum := raw[:len(raw)-codec.SumSize], raw[len(raw)-codec.SumSize:]
	if codec.PlacedSum(g.id, bucket, records) != binary.BigEndian.Uint32(sum) {
		at, _ := g.extent(bucket)
		return nil, g.damaged("the checksum of the %d bytes from byte %d on is wrong", len(records), at)
	}
	return records, nil
}

// find calls by.Check for leaf i with the ordinal of each record that has the key. The buffer is
// used, and returned for the next call.
func (g *segment) find(key uint64, buf []byte, i int, by Seeker) ([]byte, error) {
	bucket := uint32(key >> (keyBits - g.bits))
	at, size := g.extent(bucket)
	if size == 0 {
		return buf, nil
	}
	if cap(buf) < size+codec.SumSize {
		buf = make([]byte, size+codec.SumSize)
	}
	buf = buf[:size+codec.SumSize]
	if err := g.readAt(buf, at); err != nil {
		return buf, err
	}
	records, err := g.check(bucket, buf)
	if err != nil {
		return buf, err
	}
	low, high := 0, len(records)/recordSize // the first record that is not below the key
	for low < high {
		if mid := (low + high) / 2; recordKey(records[mid*recordSize:]) < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for records = records[low*recordSize:]; len(records) > 0 && recordKey(records) == key; records = records[recordSize:] {
		if err := by.Check(i, g.from+uint64(binary.BigEndian.Uint32(records[6:]))); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// PrefixSize is how many bytes of a leaf a record has.
const PrefixSize = keyBits / 8

// Alike says whether two leaves begin alike, as far as the index can tell.
func Alike(a, b *store.Leaf) bool { return prefixOf(a) == prefixOf(b) }

// prefixOf returns what a record has of a leaf.
func prefixOf(leaf *store.Leaf) uint64 { return leafKey(leaf) >> (64 - keyBits) }

func recordKey(rec []byte) uint64 { return binary.BigEndian.Uint64(rec) >> (64 - keyBits) }

// segmentReader reads the records of a segment in order.
type segmentReader struct {
	g       *segment
	bucket  uint32 // that records come from next
	buf     []byte
	rest    []byte // buckets that were read, from that one on
	records []byte // of the bucket before it
	err     error
}

// next returns the next record. ok is false behind the last, and when err is not nil.
func (r *segmentReader) next() (rec record, ok bool) {
	for len(r.records) == 0 {
		if !r.nextBucket() {
			return rec, false
		}
	}
	rec = record{recordKey(r.records), binary.BigEndian.Uint32(r.records[6:])}
	r.records = r.records[recordSize:]
	return rec, true
}

func (r *segmentReader) nextBucket() bool {
	if r.err != nil || int(r.bucket) == len(r.g.ends) {
		return false
	}
	if len(r.rest) == 0 {
		if r.err = r.read(); r.err != nil {
			return false
		}
	}
	_, size := r.g.extent(r.bucket)
	if r.records, r.err = r.g.check(r.bucket, r.rest[:size+codec.SumSize]); r.err != nil {
		return false
	}
	r.rest = r.rest[size+codec.SumSize:]
	r.bucket++
	return true
}

// read reads as many buckets as fit into ioSize, at least one.
func (r *segmentReader) read() error {
	begin, _ := r.g.extent(r.bucket)
	end := begin
	for b := int(r.bucket); b < len(r.g.ends); b++ {
		at, size := r.g.extent(uint32(b))
		at += int64(size) + codec.SumSize
		if at-begin > ioSize && end > begin {
			break
		}
		end = at
	}
	if n := int(end - begin); cap(r.buf) < n {
		r.buf = make([]byte, max(n, ioSize))
	}
	r.rest = r.buf[:end-begin]
	return r.g.readAt(r.rest, begin)
}
