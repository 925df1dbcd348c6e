// Package backup writes all that a store holds into one file, and reads it back into a store of any
// engine.
//
// The promises. A backup is one consistent moment of the store. The same moment gives the same
// bytes. What this package has once written is read for ever. A file that was cut off, or in which
// a byte changed, is never taken for a whole one; nor is one of whose batches a root does not
// follow from the leaves. It costs some 32 bytes a digest. The wallet is not in it.
//
// Who has a backup can tell of a document whether it was stamped, because the key of the nonces is
// in it. It holds no digest, and no secret with which anything could be spent.
//
// # Format 1
//
// A file begins with the 16 bytes of [magic]. Then come records until the end of the file:
//
//	type (1 byte), length of the body (4), checksum of the 5 bytes before (4), body, checksum of type, length and body (4)
//
// A checksum is CRC-32C (Castagnoli). Integers here are big-endian; those in bodies are uvarints,
// and bodies are written in the encoding of the package ancre/batcher/store/codec, which has the
// layout of a batch, an anchor and a cursor. The records come in this order:
//
//	'H'  once         uvarint 1, the version of this format; network (bytes); time of the backup; key of the nonces (32);
//	                  uvarint leaves, uvarint batches: how many follow
//	'B'  each batch   by rising ID, from 1 without a gap: uvarint ID, then the batch. Only the last can be open
//	'L'  its leaves   behind its batch, in their order: 32 bytes each, 8,192 in each record but the last of a batch
//	'A'  each anchor  by rising ID: uvarint ID, then the anchor
//	'C'  once         the cursor
//	'E'  once         uvarint leaves, uvarint batches, uvarint anchors: how many came; SHA-256 of the file up to this record
//
// Places of leaves follow from their order, and the trees above them from the leaves. How records
// are framed, that 'H' is the first, and that the version stands first in it, never changes, so
// that an older reader can tell a newer file from a damaged one.
package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
)

// magic is what a file begins with. Its last four bytes are changed by whoever takes the file for
// text.
const magic = "ancre backup\r\n\x1a\n"

// formatVersion is the version of the format in the package comment.
const formatVersion = 1

// Types of records.
const (
	typeHeader = 'H'
	typeBatch  = 'B'
	typeLeaves = 'L'
	typeAnchor = 'A'
	typeCursor = 'C'
	typeEnd    = 'E'
)

const (
	// leavesPerRecord makes records of 256 KiB: what one step of reading or writing handles.
	leavesPerRecord = 8192

	// maxBody is more than any record needs: an anchor of a hundred versions that each commit to a
	// hundred batches takes 60 kB.
	maxBody = 64 << 20

	frameSize = 1 + 4 + 4
	sumSize   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Summary is what a backup holds.
type Summary struct {
	Network  string
	Taken    time.Time
	Digests  uint64
	Batches  uint64
	Anchors  uint64
	Followed store.Point // newest block that was followed; height 0 and no hash: none
	Bytes    int64       // of the file
}

// Write writes a backup of all that a snapshot shows. What it finds to contradict itself it does
// not write: such a backup would be of no use when it is needed.
func Write(ctx context.Context, to io.Writer, n store.Snapshot, network string, taken time.Time) (Summary, error) {
	leaves, batches, err := n.Total(ctx)
	if err != nil {
		return Summary{}, err
	}
	w := newWriter(to)
	h := Header{Network: network, Taken: taken.UTC(), Key: n.Key(), Digests: leaves, Batches: batches}
	w.record(typeHeader, h.append(nil))
	check := newChecker(h)
	var body []byte
	for b, err := range n.Batches(ctx) {
		if err != nil {
			return Summary{}, err
		}
		if err := check.batch(&b); err != nil {
			return Summary{}, err
		}
		body = binary.AppendUvarint(body[:0], b.ID)
		w.record(typeBatch, codec.AppendBatch(body, &codec.BatchRecord{Batch: b, Before: check.digests}))
		body = body[:0]
		for some, err := range n.Leaves(ctx, b) {
			if err != nil {
				return Summary{}, err
			}
			if err := check.leaves(some); err != nil {
				return Summary{}, err
			}
			for i := range some {
				body = append(body, some[i][:]...)
				if len(body) == 32*leavesPerRecord {
					w.record(typeLeaves, body)
					body = body[:0]
				}
			}
			if w.err != nil {
				return Summary{}, w.err
			}
		}
		if len(body) > 0 {
			w.record(typeLeaves, body)
		}
	}
	for a, err := range n.Anchors(ctx) {
		if err != nil {
			return Summary{}, err
		}
		if err := check.anchor(&a); err != nil {
			return Summary{}, err
		}
		if body, err = codec.AppendAnchor(binary.AppendUvarint(body[:0], a.ID), &a); err != nil {
			return Summary{}, fmt.Errorf("anchor %d: %w", a.ID, err)
		}
		w.record(typeAnchor, body)
		if w.err != nil {
			return Summary{}, w.err
		}
	}
	c, err := n.Cursor(ctx)
	if err != nil {
		return Summary{}, err
	}
	if err := check.cursor(&c); err != nil {
		return Summary{}, err
	}
	w.record(typeCursor, codec.AppendCursor(body[:0], &c))
	e := end{digests: check.digests, batches: check.newest, anchors: check.anchors}
	if err := check.end(e); err != nil {
		return Summary{}, err
	}
	w.sum.Sum(e.sum[:0])
	w.record(typeEnd, e.append(nil))
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.err != nil {
		return Summary{}, w.err
	}
	s := check.summary()
	s.Bytes = w.n
	return s, nil
}

// writer writes records, and keeps the first error.
type writer struct {
	w   *bufio.Writer
	sum hash.Hash // of all that was written
	n   int64
	err error
}

func newWriter(to io.Writer) *writer {
	w := &writer{w: bufio.NewWriterSize(to, 64<<10), sum: sha256.New()}
	w.bytes([]byte(magic))
	return w
}

func (w *writer) bytes(b []byte) {
	if w.err != nil {
		return
	}
	w.sum.Write(b)
	w.n += int64(len(b))
	_, w.err = w.w.Write(b)
}

func (w *writer) record(typ byte, body []byte) {
	if len(body) > maxBody && w.err == nil {
		w.err = fmt.Errorf("a record %q of %d bytes: backups have room for %d", typ, len(body), maxBody)
	}
	var frame [frameSize]byte
	frame[0] = typ
	binary.BigEndian.PutUint32(frame[1:], uint32(len(body)))
	binary.BigEndian.PutUint32(frame[5:], crc32.Checksum(frame[:5], castagnoli))
	w.bytes(frame[:])
	w.bytes(body)
	var sum [sumSize]byte
	binary.BigEndian.PutUint32(sum[:], recordSum(frame, body))
	w.bytes(sum[:])
}

func recordSum(frame [frameSize]byte, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:5], castagnoli), castagnoli, body)
}

// Header is what stands first in a backup.
type Header struct {
	Network string
	Taken   time.Time
	Key     [32]byte // of the nonces
	Digests uint64   // how many leaves follow
	Batches uint64   // in how many batches
}

func (h *Header) append(b []byte) []byte {
	b = binary.AppendUvarint(b, formatVersion)
	b = codec.AppendBytes(b, []byte(h.Network))
	b = codec.AppendTime(b, h.Taken)
	b = append(b, h.Key[:]...)
	b = binary.AppendUvarint(b, h.Digests)
	return binary.AppendUvarint(b, h.Batches)
}

func decodeHeader(b []byte) (h Header, err error) {
	version, n := binary.Uvarint(b)
	if n > 0 && version > formatVersion {
		return h, fmt.Errorf("%w: it has format %d, this program knows up to %d: use the ancre that came with the ancred that wrote it, or a later one",
			ErrNewer, version, formatVersion)
	}
	d := codec.NewDecoder(b)
	if version := d.Uvarint("format version"); version == 0 {
		d.Fail("format version 0, expected at least 1")
	}
	h.Network = string(d.Bytes("network"))
	h.Taken = d.Time("time of the backup")
	h.Key = d.Hash("key")
	h.Digests = d.Uvarint("number of leaves")
	h.Batches = d.Uvarint("number of batches")
	return h, d.End()
}

// end is what stands last.
type end struct {
	digests, batches, anchors uint64
	sum                       [32]byte // of the file up to its record
}

func (e *end) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.digests)
	b = binary.AppendUvarint(b, e.batches)
	b = binary.AppendUvarint(b, e.anchors)
	return append(b, e.sum[:]...)
}

func decodeEnd(b []byte) (e end, err error) {
	d := codec.NewDecoder(b)
	e.digests = d.Uvarint("number of leaves")
	e.batches = d.Uvarint("number of batches")
	e.anchors = d.Uvarint("number of anchors")
	e.sum = d.Hash("SHA-256")
	return e, d.End()
}

// What is wrong with a file that is no good backup.
var (
	ErrNotBackup = errors.New("not a backup of ancre")
	ErrNewer     = errors.New("a backup in a newer format")
	ErrTruncated = errors.New("the backup is not whole")
	ErrDamaged   = errors.New("the backup is damaged")
)

// ErrContradiction is wrapped when what is stored, or what a backup with right checksums holds,
// cannot be: a root that does not follow from its leaves, an anchor that is missing.
var ErrContradiction = errors.New("what is stored contradicts itself")
