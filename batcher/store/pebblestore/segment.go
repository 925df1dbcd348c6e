package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"sync/atomic"

	"ancre/batcher/store"

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

	sumSize    = 4
	footerSize = 64

	// ioSize is how much is read or written at once where much is.
	ioSize = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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

// placedSum is the checksum of a part of a file of the index: of a bucket in a segment, or a group.
// It depends on where the part should be: one in the place of another is wrong.
func placedSum(file uint64, part uint32, data []byte) uint32 {
	return crc32.Update(uint32(file)*0x9e3779b9^part, castagnoli, data)
}

// damaged says what is wrong with the file, and what to do.
func (g *segment) damaged(format string, args ...any) error {
	return damagedIndex(g.name, format, args...)
}

func damagedIndex(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w; stop ancred, remove the whole directory that it is in, which only says where digests are, and start again: it is made anew from the digests",
		store.ErrDamaged, name, fmt.Errorf(format, args...))
}

// segmentWriter writes a segment, record after record.
type segmentWriter struct {
	segment
	buf    []byte // whole buckets, and at its end the records of the bucket that is being written
	begins int    // of that bucket in buf
	bucket uint32
	n      uint32
	fill   *filter
}

// writeSegment makes the file of a segment of count leaves from an ordinal on. The records come
// sorted by key, their ordinals counted from the first. Without filter, it has none. The file is
// synced when it returns nil, its name is not.
func (s *Store) writeSegment(id, from, count uint64, filtered bool, records iter.Seq2[record, error]) (_ *segment, err error) {
	name := s.segmentName(id)
	w := &segmentWriter{segment: segment{id: id, from: from, count: count, name: name, bits: bucketBits(count)}}
	file, err := s.guard.Create(name, diskWrites)
	if err != nil {
		return nil, err
	}
	// A large file goes to the disk while it is written. At once, it would stand in the way of the
	// log.
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{NoSyncOnClose: true, BytesPerSync: bytesPerSync})
	w.file = file
	w.ends = make([]uint32, 1<<w.bits)
	w.buf = make([]byte, 0, ioSize+ioSize/4)
	if filtered {
		w.filterBlocks, w.filterProbes = filterFor(count)
		w.fill, err = newFilter(w.filterBlocks, w.filterProbes)
	}
	if err == nil {
		err = w.addAll(records)
	}
	if err == nil {
		err = w.finish()
	}
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		g := &w.segment
		g.filter.Store(w.fill)
		if g.file, err = s.guard.Open(name, vfs.RandomReadsOption); err == nil {
			return g, nil
		}
		if isNoSpace(err) { // a file that cannot be read is no lack of space, which Append waits out
			err = errors.New(err.Error())
		}
		err = fmt.Errorf("open %s again: %w", name, err)
	}
	w.fill.free()
	_ = s.guard.Remove(name) // or the next start does it
	return nil, err
}

func (w *segmentWriter) addAll(records iter.Seq2[record, error]) error {
	for rec, err := range records {
		if err != nil {
			return err
		}
		if err := w.add(rec); err != nil {
			return err
		}
	}
	return nil
}

// discard closes the file of a segment that nobody uses any more.
func (g *segment) discard() {
	_ = g.file.Close() // it was read only
	g.filter.Load().free()
}

// record says where one leaf is.
type record struct {
	key    uint64 // its first keyBits
	offset uint32 // its ordinal, counted from the first of the segment
}

func (w *segmentWriter) add(r record) error {
	for bucket := uint32(r.key >> (keyBits - w.bits)); w.bucket < bucket; {
		if err := w.endBucket(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, byte(r.key>>40), byte(r.key>>32), byte(r.key>>24), byte(r.key>>16), byte(r.key>>8), byte(r.key))
	w.buf = binary.BigEndian.AppendUint32(w.buf, r.offset)
	if w.fill != nil {
		w.fill.add(r.key)
	}
	w.n++
	return nil
}

func (w *segmentWriter) endBucket() error {
	w.buf = binary.BigEndian.AppendUint32(w.buf, placedSum(w.id, w.bucket, w.buf[w.begins:]))
	w.ends[w.bucket] = w.n
	w.bucket++
	w.begins = len(w.buf)
	if len(w.buf) < ioSize {
		return nil
	}
	return w.flush()
}

func (w *segmentWriter) flush() error {
	if _, err := w.file.Write(w.buf); err != nil {
		return err
	}
	w.size += uint64(len(w.buf))
	w.buf, w.begins = w.buf[:0], 0
	return nil
}

// finish writes what comes behind the records.
func (w *segmentWriter) finish() error {
	for int(w.bucket) < len(w.ends) {
		if err := w.endBucket(); err != nil {
			return err
		}
	}
	if uint64(w.n) != w.count {
		return fmt.Errorf("%s: %d records, expected %d", w.name, w.n, w.count)
	}
	if err := w.flush(); err != nil {
		return err
	}
	directory := uint32(0)
	for i, n := range w.ends {
		at := len(w.buf)
		w.buf = binary.BigEndian.AppendUint32(w.buf, n)
		directory = crc32.Update(directory, castagnoli, w.buf[at:])
		if len(w.buf) >= ioSize || i == len(w.ends)-1 {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	w.filterAt = int64(w.size)
	for rest := w.filterBytes(); len(rest) > 0; {
		piece := rest[:min(len(rest), ioSize)]
		rest = rest[len(piece):]
		w.filterSum = crc32.Update(w.filterSum, castagnoli, piece)
		w.buf = append(w.buf, piece...) // a copy: a vfs.File may change what it writes, and the filter is in use
		if err := w.flush(); err != nil {
			return err
		}
	}
	f := append(w.buf[:0], segmentMagic...)
	f = binary.BigEndian.AppendUint64(f, w.id)
	f = binary.BigEndian.AppendUint64(f, w.from)
	f = binary.BigEndian.AppendUint64(f, w.count)
	f = append(f, byte(w.bits), byte(w.filterProbes), 0, 0)
	f = binary.BigEndian.AppendUint32(f, directory)
	f = binary.BigEndian.AppendUint64(f, w.filterBlocks)
	f = binary.BigEndian.AppendUint32(f, w.filterSum)
	f = append(f, make([]byte, footerSize-sumSize-len(f))...)
	w.footer = crc32.Checksum(f, castagnoli)
	w.buf = binary.BigEndian.AppendUint32(f, w.footer)
	return w.flush()
}

// openSegment opens the file of a segment that is listed, and reads its directory.
func (s *Store) openSegment(l listing) (_ *segment, err error) {
	g := &segment{id: l.id, from: l.from, count: l.count, footer: l.footer, name: s.segmentName(l.id)}
	if g.file, err = s.guard.Open(g.name, vfs.RandomReadsOption); err != nil {
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
	sum := crc32.Checksum(f[:footerSize-sumSize], castagnoli)
	if sum != binary.BigEndian.Uint32(f[footerSize-sumSize:]) || sum != l.footer || !bytes.HasPrefix(f[:], []byte(segmentMagic)) {
		return nil, g.damaged("a file of the index does not end as it was written")
	}
	g.bits, g.filterProbes = int(f[32]), int(f[33])
	directory := binary.BigEndian.Uint32(f[36:])
	g.filterBlocks, g.filterSum = binary.BigEndian.Uint64(f[40:]), binary.BigEndian.Uint32(f[48:])
	// The checksum says that this is what was written; that it makes sense follows.
	at := g.count*recordSize + sumSize<<g.bits
	g.filterAt = int64(at + 4<<g.bits)
	if g.size != uint64(g.filterAt)+g.filterBlocks*blockBytes+footerSize {
		return nil, g.damaged("a file of the index has %d bytes, expected %d", g.size, uint64(g.filterAt)+g.filterBlocks*blockBytes+footerSize)
	}
	raw := make([]byte, 4<<g.bits)
	if err := g.readAt(raw, int64(at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(raw, castagnoli) != directory {
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
	return int64(before)*recordSize + int64(bucket)*sumSize, int(g.ends[bucket]-before) * recordSize
}

// check compares the records of a bucket, with their checksum behind them, with it.
func (g *segment) check(bucket uint32, raw []byte) ([]byte, error) {
	records, sum := raw[:len(raw)-sumSize], raw[len(raw)-sumSize:]
	if placedSum(g.id, bucket, records) != binary.BigEndian.Uint32(sum) {
		at, _ := g.extent(bucket)
		return nil, g.damaged("the checksum of the %d bytes from byte %d on is wrong", len(records), at)
	}
	return records, nil
}

// find calls match for each record that has the key, with its ordinal. The buffer is used, and
// returned for the next call.
func (g *segment) find(key uint64, buf []byte, match func(ordinal uint64) error) ([]byte, error) {
	bucket := uint32(key >> (keyBits - g.bits))
	at, size := g.extent(bucket)
	if size == 0 {
		return buf, nil
	}
	if cap(buf) < size+sumSize {
		buf = make([]byte, size+sumSize)
	}
	buf = buf[:size+sumSize]
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
		if err := match(g.from + uint64(binary.BigEndian.Uint32(records[6:]))); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

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
	if r.records, r.err = r.g.check(r.bucket, r.rest[:size+sumSize]); r.err != nil {
		return false
	}
	r.rest = r.rest[size+sumSize:]
	r.bucket++
	return true
}

// read reads as many buckets as fit into ioSize, at least one.
func (r *segmentReader) read() error {
	begin, _ := r.g.extent(r.bucket)
	end := begin
	for b := int(r.bucket); b < len(r.g.ends); b++ {
		at, size := r.g.extent(uint32(b))
		at += int64(size) + sumSize
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

// filterBytes returns the bytes of the filter that is being made; none if there is none.
func (w *segmentWriter) filterBytes() []byte {
	if w.fill == nil {
		return nil
	}
	return w.fill.blocks
}

// loadFilter reads the filter, or makes it anew from the records when it cannot be read: it is
// needed for speed only.
func (g *segment) loadFilter(s *Store) (err error) {
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
		s.log.Warn("store: a filter is made anew from its segment, as at each start until the index is made anew", "file", g.name, "err", err)
		clear(f.blocks)
		r := &segmentReader{g: g}
		for n := 0; ; n++ {
			if n%mergeChunk == 0 && s.isClosing() {
				return errClosed
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
		sum = crc32.Update(sum, castagnoli, piece)
		at += len(piece)
	}
	if sum != g.filterSum {
		return errors.New("its checksum is wrong")
	}
	return nil
}
