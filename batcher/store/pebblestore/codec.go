package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/wire/v2"
)

// Keys, as in the package comment.

const (
	prefixMeta      = 'm'
	prefixLeaf      = 'l'
	prefixNodes     = 'n'
	prefixBatch     = 'b'
	prefixAnchor    = 'a'
	prefixWaiting   = 'w'
	prefixUnsettled = 'u'
	prefixCursor    = 'c'

	metaFormat  = "format"
	metaKeyName = "key"
)

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

func leafKey(leaf *store.Leaf) []byte { return append([]byte{prefixLeaf}, leaf[:]...) }

// idKey is the key of a batch or an anchor, or of a mark that names one.
func idKey(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, id)
}

func parseIDKey(prefix byte, key []byte) (uint64, error) {
	if len(key) != 9 || key[0] != prefix {
		return 0, damaged(key, fmt.Errorf("expected %q and 8 bytes", prefix))
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

func nodesKey(batch uint64, level int, start uint64) []byte {
	key := append(idKey(prefixNodes, batch), byte(level))
	return binary.BigEndian.AppendUint64(key, start)
}

// nodesStart reads the last part of a key that has been found between two of nodesKey.
func nodesStart(key []byte) (uint64, error) {
	if len(key) != 18 {
		return 0, damaged(key, errors.New("expected 18 bytes"))
	}
	return binary.BigEndian.Uint64(key[10:]), nil
}

var cursorKey = []byte{prefixCursor}

// damaged names the key of what could not be decoded.
func damaged(key []byte, err error) error {
	return fmt.Errorf("%w: value of key %q (%x): %w", store.ErrDamaged, key[:1], key, err)
}

// Values, as in the package comment.

const recordVersion = 1

var (
	batchStates  = []store.BatchState{store.Open, store.Closed, store.Sealed}
	anchorStates = []store.AnchorState{store.Broadcast, store.Mined, store.Final, store.Spent, store.Dead}
)

// hasBlock says whether an anchor in this state is, or lost its coin, in a block.
func hasBlock(s store.AnchorState) bool { return s != store.Broadcast }

// stateByte numbers states from 1; 0 for one that is not in the list.
func stateByte[S comparable](states []S, s S) byte {
	for i, known := range states {
		if known == s {
			return byte(i + 1)
		}
	}
	return 0
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func appendBytes(b, p []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

func appendPosition(b []byte, p store.Position) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, p.Batch), p.Index)
}

func decodePosition(b []byte) (store.Position, error) {
	d := decoder{b: b}
	p := store.Position{Batch: d.uvarint("batch"), Index: d.uvarint("index")}
	if d.err == nil && p.Batch == 0 {
		d.fail("batch 0, expected at least 1")
	}
	return p, d.end()
}

// batchRecord is what is stored of a batch.
type batchRecord struct {
	store.Batch
	before uint64 // leaves in all batches before it
}

func appendBatch(b []byte, r *batchRecord) []byte {
	b = append(b, recordVersion, stateByte(batchStates, r.State))
	b = binary.AppendUvarint(b, r.Count)
	b = binary.AppendUvarint(b, r.before)
	b = appendTime(b, r.Opened)
	b = appendTime(b, r.Closed)
	b = binary.AppendUvarint(b, r.Anchor)
	if r.State == store.Sealed {
		b = append(b, r.Root[:]...)
	}
	return b
}

func decodeBatch(id uint64, b []byte) (batchRecord, error) {
	d := decoder{b: b}
	d.version()
	var r batchRecord
	r.ID = id
	r.State = decodeState(&d, batchStates)
	r.Count = d.uvarint("number of leaves")
	r.before = d.uvarint("number of leaves before")
	r.Opened = d.time("time opened")
	r.Closed = d.time("time closed")
	r.Anchor = d.uvarint("anchor")
	if r.State == store.Sealed {
		r.Root = d.hash("root")
	}
	return r, d.end()
}

func appendAnchor(b []byte, a *store.Anchor) ([]byte, error) {
	settled := byte(0)
	if a.Settled {
		settled = 1
	}
	b = append(b, recordVersion, stateByte(anchorStates, a.State), settled)
	b = appendTime(b, a.Created)
	b = binary.AppendUvarint(b, uint64(len(a.Versions)))
	var tx bytes.Buffer
	for i := range a.Versions {
		v := &a.Versions[i]
		tx.Reset()
		if err := v.Tx.Serialize(&tx); err != nil {
			return nil, fmt.Errorf("version %d: %w", i, err)
		}
		b = appendBytes(b, tx.Bytes())
		b = binary.AppendUvarint(b, uint64(len(v.Prevouts)))
		for _, out := range v.Prevouts {
			b = binary.AppendVarint(b, out.Value)
			b = appendBytes(b, out.PkScript)
		}
		b = binary.AppendUvarint(b, uint64(len(v.Batches)))
		for _, id := range v.Batches {
			b = binary.AppendUvarint(b, id)
		}
		b = append(b, v.Root[:]...)
		b = binary.AppendVarint(b, v.SatPerVByte)
		b = binary.AppendVarint(b, v.FeeSats)
		b = appendTime(b, v.Created)
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

func decodeAnchor(id uint64, b []byte) (store.Anchor, error) {
	d := decoder{b: b}
	d.version()
	a := store.Anchor{ID: id, State: decodeState(&d, anchorStates)}
	switch settled := d.byte("settled"); settled {
	case 0, 1:
		a.Settled = settled == 1
	default:
		d.fail("settled is %d, expected 0 or 1", settled)
	}
	a.Created = d.time("time created")
	for range d.count("versions", minVersionSize) {
		if v := decodeVersion(&d); d.err == nil {
			a.Versions = append(a.Versions, v)
		}
	}
	if hasBlock(a.State) {
		a.Block = decodeBlock(&d, len(a.Versions))
	}
	return a, d.end()
}

// minVersionSize is the fewest bytes that a version takes: one each for the length of the transaction, the two numbers,
// two amounts and the time, and the root.
const minVersionSize = 6 + 32

func decodeVersion(d *decoder) (v store.Version) {
	if raw := d.bytes("transaction"); d.err == nil {
		v.Tx = new(wire.MsgTx)
		r := bytes.NewReader(raw)
		if err := v.Tx.Deserialize(r); err != nil {
			d.fail("transaction: %w", err)
		} else if r.Len() > 0 {
			d.fail("transaction: %d bytes behind its end", r.Len())
		}
	}
	for range d.count("outputs spent", 2) {
		out := &wire.TxOut{Value: d.varint("value of an output"), PkScript: bytes.Clone(d.bytes("script of an output"))}
		v.Prevouts = append(v.Prevouts, out)
	}
	for range d.count("batches", 1) {
		v.Batches = append(v.Batches, d.uvarint("batch"))
	}
	v.Root = d.hash("anchor root")
	v.SatPerVByte = d.varint("sat/vB")
	v.FeeSats = d.varint("fee")
	v.Created = d.time("time created")
	return v
}

func decodeBlock(d *decoder, versions int) *store.Block {
	var k store.Block
	k.Height = int32(d.uvarintMax("height", math.MaxInt32))
	k.Hash = d.hash("block hash")
	if raw := d.take("block header", wire.MaxBlockHeaderPayload); d.err == nil {
		if err := k.Header.Deserialize(bytes.NewReader(raw)); err != nil {
			d.fail("block header: %w", err)
		}
	}
	k.Version = int(d.uvarintMax("mined version", uint64(max(versions, 1)-1)))
	k.TxIndex = uint32(d.uvarintMax("index in the block", math.MaxUint32))
	for range d.count("siblings", 32) {
		k.Branch = append(k.Branch, d.hash("sibling"))
	}
	return &k
}

func appendCursor(b []byte, c *store.Cursor) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(len(c.Points)))
	for i := range c.Points {
		if i == 0 {
			b = binary.AppendUvarint(b, uint64(c.Points[0].Height))
		}
		b = append(b, c.Points[i].Hash[:]...)
	}
	return b
}

func decodeCursor(b []byte) (c store.Cursor, err error) {
	d := decoder{b: b}
	d.version()
	n := d.uvarintMax("number of blocks", store.CursorDepth)
	if n > 0 {
		first := d.uvarintMax("height", math.MaxInt32-store.CursorDepth)
		for i := range n {
			c.Points = append(c.Points, store.Point{Height: int32(first + i), Hash: d.hash("block hash")})
		}
	}
	return c, d.end()
}

func decodeState[S comparable](d *decoder, states []S) (s S) {
	n := d.byte("state")
	if d.err == nil && (n == 0 || int(n) > len(states)) {
		d.fail("state %d, expected 1 to %d", n, len(states))
	}
	if d.err == nil {
		s = states[n-1]
	}
	return s
}

// decoder reads a value from its front. After the first error it keeps that error, and gives zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.b = nil
}

// end returns the first error, or one if anything is left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind its end", len(d.b))
	}
	return d.err
}

func (d *decoder) take(what string, n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.fail("%d bytes left, expected %d of %s", len(d.b), n, what)
	}
	if d.err != nil {
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte(what string) byte {
	if p := d.take(what, 1); d.err == nil {
		return p[0]
	}
	return 0
}

func (d *decoder) version() {
	if v := d.byte("version"); d.err == nil && v != recordVersion {
		d.fail("record version %d, expected %d", v, recordVersion)
	}
}

func (d *decoder) hash(what string) (h [32]byte) {
	copy(h[:], d.take(what, len(h)))
	return h
}

func (d *decoder) uvarint(what string) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if !d.varintTaken(what, n) {
		return 0
	}
	return v
}

func (d *decoder) varint(what string) int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Varint(d.b)
	if !d.varintTaken(what, n) {
		return 0
	}
	return v
}

// varintTaken moves past a varint of n bytes, which must be in its shortest form, so that a value has one encoding.
func (d *decoder) varintTaken(what string, n int) bool {
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.fail("%s is not a varint in its shortest form", what)
		return false
	}
	d.b = d.b[n:]
	return true
}

func (d *decoder) uvarintMax(what string, limit uint64) uint64 {
	v := d.uvarint(what)
	if d.err == nil && v > limit {
		d.fail("%s is %d, expected at most %d", what, v, limit)
		return 0
	}
	return v
}

// count reads how many things of at least size bytes follow: no more than fit, so that damage cannot ask for memory.
func (d *decoder) count(what string, size int) int {
	return int(d.uvarintMax("number of "+what, uint64(len(d.b)/size)))
}

func (d *decoder) bytes(what string) []byte {
	n := d.uvarintMax("length of "+what, math.MaxInt32)
	return d.take(what, int(n))
}

func (d *decoder) time(what string) time.Time {
	switch flag := d.byte(what); {
	case d.err != nil || flag == 0:
		return time.Time{}
	case flag > 1:
		d.fail("%s begins with %d, expected 0 or 1", what, flag)
		return time.Time{}
	}
	seconds := d.varint(what)
	nanos := d.uvarintMax(what+" nanoseconds", 999_999_999)
	if d.err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}
