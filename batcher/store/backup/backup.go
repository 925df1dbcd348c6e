// Package backup writes all that a store holds into one file, and reads it back into a store of any
// engine.
//
// The promises. A backup is one consistent moment of the store. The same moment gives the same
// bytes. Every later version reads what this package has once written. A file that was cut off, or
// in which a byte changed, is never taken for a whole one. Nor is a file in which the root of a
// batch does not follow from the leaves.
//
// A backup takes some 32 bytes a digest. It holds the key of the nonces, so its
// owner can tell of a document whether it was stamped. It holds no digest, and nothing of the
// wallet.
//
// docs/backup-format.md has the format, and a test holds it against this package.
package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
)

// magic is what a file begins with. A program that takes the file for
// text changes its last four bytes.
const magic = "ancre backup\r\n\x1a\n"

// formatVersion is the version of the format in docs/backup-format.md.
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
)

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
