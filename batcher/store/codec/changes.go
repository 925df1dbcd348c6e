package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"ancre/batcher/store"
)

// How far a batch is, as one byte in the feed of changes.
const (
	changeOpen = iota + 1
	changeSealed
	changeBroadcast
	changeMined
	changeFinal
)

// minChangeSize is the size of the smallest change.
const minChangeSize = 2

// AppendChanges writes the changes of one write, behind the tag of their mark, and returns that
// mark too. last is the mark of the changes before. The tag is the first 8 bytes of the SHA-256 of
// the last tag, the number of the write (8 bytes, big-endian), and what follows the tag.
func AppendChanges(b []byte, last store.Mark, write uint64, changes []store.Change) ([]byte, store.Mark) {
	from := len(b)
	b = append(b, recordVersion)
	tag := len(b)
	b = append(b, last.Tag[:]...) // until the tag is known
	b = binary.AppendUvarint(b, uint64(len(changes)))
	for i := range changes {
		b = appendChange(b, &changes[i])
	}
	next := store.Mark{Write: write}
	h := sha256.New()
	h.Write(last.Tag[:])
	h.Write(binary.BigEndian.AppendUint64(nil, write))
	h.Write(b[tag+len(next.Tag):])
	copy(next.Tag[:], h.Sum(nil))
	copy(b[from+1:], next.Tag[:])
	return b, next
}

func appendChange(b []byte, c *store.Change) []byte {
	b = binary.AppendUvarint(b, c.Batch)
	switch {
	case c.State == store.Open:
		return append(b, changeOpen)
	case c.Anchor == 0:
		return append(b, changeSealed)
	case c.AnchorState == store.Mined:
		b = append(b, changeMined)
	case c.AnchorState == store.Final:
		b = append(b, changeFinal)
	default:
		return binary.AppendUvarint(append(b, changeBroadcast), c.Anchor)
	}
	b = binary.AppendUvarint(b, c.Anchor)
	b = binary.AppendUvarint(b, uint64(c.Height))
	return append(b, c.Block[:]...)
}

// DecodeChanges reads what AppendChanges wrote with the write of that number.
func DecodeChanges(write uint64, b []byte) (changes []store.Change, m store.Mark, err error) {
	d := NewDecoder(b)
	d.version()
	m.Write = write
	copy(m.Tag[:], d.Take("tag", len(m.Tag)))
	for range d.Count("changes", minChangeSize) {
		if c := decodeChange(&d); d.err == nil {
			changes = append(changes, c)
		}
	}
	return changes, m, d.End()
}

func decodeChange(d *Decoder) store.Change {
	c := store.Change{Batch: d.Uvarint("batch")}
	c.State = store.Sealed
	n := d.Byte("state")
	switch n {
	case changeOpen:
		c.State = store.Open
		return c
	case changeSealed:
		return c
	case changeBroadcast:
		c.AnchorState = store.Broadcast
	case changeMined:
		c.AnchorState = store.Mined
	case changeFinal:
		c.AnchorState = store.Final
	default:
		d.Fail("state %d, expected %d to %d", n, changeOpen, changeFinal)
		return c
	}
	if c.Anchor = d.Uvarint("anchor"); d.err == nil && c.Anchor == 0 {
		d.Fail("anchor 0: IDs begin at 1")
	}
	if n != changeBroadcast {
		c.Height = int32(d.UvarintMax("height", math.MaxInt32))
		c.Block = d.Hash("block hash")
	}
	return c
}
