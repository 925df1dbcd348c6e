// Package codec writes batches, anchors and cursors as bytes, for engines that keep bytes and for
// backups. Every later version reads what it has once written. What changes gets another version
// byte, and the older one stays known.
//
// docs/store-format.md has the encodings, under "Records".
//
// Decoding is strict, and an error says what was found where. A value never asks for more memory
// than it has bytes, whatever is damaged in it.
package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/wire/v2"
)

const recordVersion = 1

var (
	batchStates  = []store.BatchState{store.Open, store.Closed, store.Sealed}
	anchorStates = []store.AnchorState{store.Broadcast, store.Mined, store.Final, store.Spent, store.Dead}
)

// stateByte numbers states from 1; 0 for one that is not in the list.
func stateByte[S comparable](states []S, s S) byte {
	for i, known := range states {
		if known == s {
			return byte(i + 1)
		}
	}
	return 0
}

// BatchRecord is what is stored of a batch.
type BatchRecord struct {
	store.Batch
	Before uint64 // leaves in all batches before it
}

// AppendBatch writes a batch without its ID.
func AppendBatch(b []byte, r *BatchRecord) []byte {
	b = append(b, recordVersion, stateByte(batchStates, r.State))
	b = binary.AppendUvarint(b, r.Count)
	b = binary.AppendUvarint(b, r.Before)
	b = AppendTime(b, r.Opened)
	b = AppendTime(b, r.Closed)
	b = binary.AppendUvarint(b, r.Anchor)
	if r.State == store.Sealed {
		b = append(b, r.Root[:]...)
	}
	return b
}

// DecodeBatch reads what AppendBatch wrote of the batch with that ID.
func DecodeBatch(id uint64, b []byte) (BatchRecord, error) {
	d := NewDecoder(b)
	d.version()
	var r BatchRecord
	r.ID = id
	r.State = decodeState(&d, batchStates)
	r.Count = d.Uvarint("number of leaves")
	r.Before = d.Uvarint("number of leaves before")
	r.Opened = d.Time("time opened")
	r.Closed = d.Time("time closed")
	r.Anchor = d.Uvarint("anchor")
	if r.State == store.Sealed {
		r.Root = d.Hash("root")
	}
	return r, d.End()
}

// AppendAnchor writes an anchor without its ID. It fails for a transaction that has no wire format.
func AppendAnchor(b []byte, a *store.Anchor) ([]byte, error) {
	settled := byte(0)
	if a.Settled {
		settled = 1
	}
	b = append(b, recordVersion, stateByte(anchorStates, a.State), settled)
	b = AppendTime(b, a.Created)
	b = binary.AppendUvarint(b, uint64(len(a.Versions)))
	var tx bytes.Buffer
	for i := range a.Versions {
		v := &a.Versions[i]
		tx.Reset()
		if err := v.Tx.Serialize(&tx); err != nil {
			return nil, fmt.Errorf("version %d: %w", i, err)
		}
		b = AppendBytes(b, tx.Bytes())
		b = binary.AppendUvarint(b, uint64(len(v.Prevouts)))
		for _, out := range v.Prevouts {
			b = binary.AppendVarint(b, out.Value)
			b = AppendBytes(b, out.PkScript)
		}
		b = binary.AppendUvarint(b, uint64(len(v.Batches)))
		for _, id := range v.Batches {
			b = binary.AppendUvarint(b, id)
		}
		b = append(b, v.Root[:]...)
		b = binary.AppendVarint(b, v.SatPerVByte)
		b = binary.AppendVarint(b, v.FeeSats)
		b = AppendTime(b, v.Created)
	}
	if a.Block == nil {
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(a.Block.Height))
	b = append(b, a.Block.Hash[:]...)
	tx.Reset()
	if err := a.Block.Header.Serialize(&tx); err != nil {
		return nil, fmt.Errorf("block header: %w", err)
	}
	b = append(b, tx.Bytes()...)
	b = binary.AppendUvarint(b, uint64(a.Block.Version))
	b = binary.AppendUvarint(b, uint64(a.Block.TxIndex))
	b = binary.AppendUvarint(b, uint64(len(a.Block.Branch)))
	for i := range a.Block.Branch {
		b = append(b, a.Block.Branch[i][:]...)
	}
	return b, nil
}

// DecodeAnchor reads what AppendAnchor wrote of the anchor with that ID.
func DecodeAnchor(id uint64, b []byte) (store.Anchor, error) {
	d := NewDecoder(b)
	d.version()
	a := store.Anchor{ID: id, State: decodeState(&d, anchorStates)}
	switch settled := d.Byte("settled"); settled {
	case 0, 1:
		a.Settled = settled == 1
	default:
		d.Fail("settled is %d, expected 0 or 1", settled)
	}
	a.Created = d.Time("time created")
	for range d.Count("versions", minVersionSize) {
		if v := decodeVersion(&d); d.err == nil {
			a.Versions = append(a.Versions, v)
		}
	}
	if a.State.HasBlock() {
		a.Block = decodeBlock(&d, len(a.Versions))
	}
	return a, d.End()
}

// minVersionSize is the fewest bytes that a version takes: one each for the length of the
// transaction, the two numbers, two amounts and the time, and the root.
const minVersionSize = 6 + 32

func decodeVersion(d *Decoder) (v store.Version) {
	if raw := d.Bytes("transaction"); d.err == nil {
		v.Tx = new(wire.MsgTx)
		r := bytes.NewReader(raw)
		if err := v.Tx.Deserialize(r); err != nil {
			d.Fail("transaction: %w", err)
		} else if r.Len() > 0 {
			d.Fail("transaction: %d bytes behind its end", r.Len())
		}
	}
	for range d.Count("outputs spent", 2) {
		out := &wire.TxOut{Value: d.Varint("value of an output"), PkScript: bytes.Clone(d.Bytes("script of an output"))}
		v.Prevouts = append(v.Prevouts, out)
	}
	for range d.Count("batches", 1) {
		v.Batches = append(v.Batches, d.Uvarint("batch"))
	}
	v.Root = d.Hash("anchor root")
	v.SatPerVByte = d.Varint("sat/vB")
	v.FeeSats = d.Varint("fee")
	v.Created = d.Time("time created")
	return v
}

func decodeBlock(d *Decoder, versions int) *store.Block {
	var k store.Block
	k.Height = int32(d.UvarintMax("height", math.MaxInt32))
	k.Hash = d.Hash("block hash")
	if raw := d.Take("block header", wire.MaxBlockHeaderPayload); d.err == nil {
		if err := k.Header.Deserialize(bytes.NewReader(raw)); err != nil {
			d.Fail("block header: %w", err)
		}
	}
	k.Version = int(d.UvarintMax("mined version", uint64(max(versions, 1)-1)))
	k.TxIndex = uint32(d.UvarintMax("index in the block", math.MaxUint32))
	for range d.Count("siblings", 32) {
		k.Branch = append(k.Branch, d.Hash("sibling"))
	}
	return &k
}

// AppendCursor writes how far the chain was followed.
func AppendCursor(b []byte, c *store.Cursor) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(len(c.Points)))
	for i := range c.Points {
		if i == 0 {
			b = binary.AppendUvarint(b, uint64(c.Points[0].Height))
		}
		b = append(b, c.Points[i].Hash[:]...)
	}
	return b
}

// DecodeCursor reads what AppendCursor wrote.
func DecodeCursor(b []byte) (c store.Cursor, err error) {
	d := NewDecoder(b)
	d.version()
	n := d.UvarintMax("number of blocks", store.CursorDepth)
	if n > 0 {
		first := d.UvarintMax("height", math.MaxInt32-store.CursorDepth)
		for i := range n {
			c.Points = append(c.Points, store.Point{Height: int32(first + i), Hash: d.Hash("block hash")})
		}
	}
	return c, d.End()
}

func decodeState[S comparable](d *Decoder, states []S) (s S) {
	n := d.Byte("state")
	if d.err == nil && (n == 0 || int(n) > len(states)) {
		d.Fail("state %d, expected 1 to %d", n, len(states))
	}
	if d.err == nil {
		s = states[n-1]
	}
	return s
}
