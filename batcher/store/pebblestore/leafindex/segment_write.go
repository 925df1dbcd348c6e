package leafindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"ancre/batcher/store/codec"
	"ancre/batcher/store/pebblestore/failfs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

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
func (x *Index) writeSegment(id, from, count uint64, filtered bool, records iter.Seq2[record, error]) (_ *segment, err error) {
	name := x.segmentName(id)
	w := &segmentWriter{segment: segment{id: id, from: from, count: count, name: name, bits: bucketBits(count)}}
	file, err := x.FS.Create(name, diskWrites)
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
		if g.file, err = x.FS.Open(name, vfs.RandomReadsOption); err == nil {
			return g, nil
		}
		if failfs.IsNoSpace(err) { // a file that cannot be read is no lack of space, which Append waits out
			err = errors.New(err.Error())
		}
		err = fmt.Errorf("open %s again: %w", name, err)
	}
	w.fill.free()
	_ = x.FS.Remove(name) // or the next start does it
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
	w.buf = binary.BigEndian.AppendUint32(w.buf, codec.PlacedSum(w.id, w.bucket, w.buf[w.begins:]))
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
		directory = codec.AddSum(directory, w.buf[at:])
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
		w.filterSum = codec.AddSum(w.filterSum, piece)
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
	f = append(f, make([]byte, footerSize-codec.SumSize-len(f))...)
	w.footer = codec.Sum(f)
	w.buf = binary.BigEndian.AppendUint32(f, w.footer)
	return w.flush()
}

// filterBytes returns the bytes of the filter that is being made; none if there is none.
func (w *segmentWriter) filterBytes() []byte {
	if w.fill == nil {
		return nil
	}
	return w.fill.blocks
}
