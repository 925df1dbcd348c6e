package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
)

// Reader reads one backup, once. What it passes on before the end was reached may still turn out to
// be part of a file that is not whole.
type Reader struct {
	// Progress is called as leaves come, with how many came so far. nil: it is not.
	Progress func(digests uint64)

	r      *bufio.Reader
	sum    hash.Hash // of all before the record that is being read
	n      int64     // bytes read
	header Header
	body   bytes.Buffer
}

// Open reads a backup up to its header. The errors of Reader wrap [ErrNotBackup], [ErrNewer],
// [ErrTruncated], [ErrDamaged] or [ErrContradiction] when the file is to blame; others come from
// reading it.
func Open(r io.Reader) (*Reader, error) {
	b := &Reader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	var start [len(magic)]byte
	n, err := io.ReadFull(b.r, start[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	switch {
	case n < len(magic) && string(start[:n]) == magic[:n]:
		return nil, fmt.Errorf("%w: it has %d bytes; take another backup, or copy it again", ErrTruncated, n)
	case string(start[:]) != magic:
		return nil, fmt.Errorf("%w: it begins with %q", ErrNotBackup, start[:n])
	}
	b.sum.Write(start[:])
	b.n = int64(n)
	typ, body, err := b.record()
	if err != nil {
		return nil, err
	}
	if typ != typeHeader {
		return nil, b.damaged("the first record is %q, expected %q", typ, typeHeader)
	}
	if b.header, err = decodeHeader(body); errors.Is(err, ErrNewer) {
		return nil, err
	} else if err != nil {
		return nil, b.damaged("header: %w", err)
	}
	return b, nil
}

// Header returns what the backup says of itself.
func (b *Reader) Header() Header { return b.header }

// Verify reads to the end and checks everything: that no byte is missing or changed, and that what
// is said agrees, down to the root of each sealed batch and the transactions that commit to it.
func (b *Reader) Verify(ctx context.Context) (Summary, error) { return b.read(ctx, nil) }

// read reads to the end, and passes what comes to f, if there is one, after it was checked.
func (b *Reader) read(ctx context.Context, f *filler) (Summary, error) {
	r := &reading{Reader: b, check: newChecker(b.header), f: f, some: make([]store.Leaf, 0, leavesPerRecord)}
	for {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		before := b.sum.Sum(nil)
		typ, body, err := b.record()
		if err != nil {
			return Summary{}, err
		}
		switch typ {
		case typeBatch:
			err = r.batch(body)
		case typeLeaves:
			err = r.leaves(body)
		case typeAnchor:
			err = r.anchor(body)
		case typeCursor:
			err = r.cursor(body)
		case typeEnd:
			return r.end(body, before)
		default:
			err = b.damaged("a record of the unknown type %q", typ)
		}
		if err != nil {
			return Summary{}, err
		}
	}
}

// reading is the way through the records behind the header.
type reading struct {
	*Reader
	check *checker
	f     *filler      // nil: the backup is only verified
	some  []store.Leaf // memory that is used again
}

func (r *reading) batch(body []byte) error {
	id, body, err := takeID(body)
	if err != nil {
		return r.damaged("%w", err)
	}
	rec, err := codec.DecodeBatch(id, body)
	if err != nil {
		return r.damaged("batch %d: %w", id, err)
	}
	if rec.Before != r.check.digests+r.check.missing {
		return contradiction("batch %d says that %d leaves come before it, and %d came", id, rec.Before, r.check.digests)
	}
	if err := r.check.batch(&rec.Batch); err != nil {
		return err
	}
	return r.f.batch(rec.Batch)
}

func (r *reading) leaves(body []byte) error {
	if len(body)%32 != 0 || len(body) == 0 || len(body) > 32*leavesPerRecord {
		return r.damaged("leaves of %d bytes, expected 32 for each of 1 to %d", len(body), leavesPerRecord)
	}
	r.some = r.some[:0]
	for ; len(body) > 0; body = body[32:] {
		r.some = append(r.some, store.Leaf(body))
	}
	if err := r.check.leaves(r.some); err != nil {
		return err
	}
	if err := r.f.leaves(r.some); err != nil {
		return err
	}
	if r.check.missing == 0 {
		if err := r.f.nodes(r.check.upper); err != nil {
			return err
		}
	}
	if r.Progress != nil {
		r.Progress(r.check.digests)
	}
	return nil
}

func (r *reading) anchor(body []byte) error {
	id, body, err := takeID(body)
	if err != nil {
		return r.damaged("%w", err)
	}
	a, err := codec.DecodeAnchor(id, body)
	if err != nil {
		return r.damaged("anchor %d: %w", id, err)
	}
	if err := r.check.anchor(&a); err != nil {
		return err
	}
	return r.f.anchor(a)
}

func (r *reading) cursor(body []byte) error {
	c, err := codec.DecodeCursor(body)
	if err != nil {
		return r.damaged("cursor: %w", err)
	}
	if err := r.check.cursor(&c); err != nil {
		return err
	}
	return r.f.cursor(c)
}

// end reads the last record, behind which nothing may come. before is the SHA-256 of what came
// before it.
func (r *reading) end(body, before []byte) (Summary, error) {
	e, err := decodeEnd(body)
	if err != nil {
		return Summary{}, r.damaged("end: %w", err)
	}
	if !bytes.Equal(e.sum[:], before) {
		return Summary{}, r.damaged("its SHA-256 is %x, its end says %x: records are missing or in another order", before, e.sum)
	}
	if err := r.check.end(e); err != nil {
		return Summary{}, err
	}
	switch _, err := r.r.ReadByte(); {
	case err == nil:
		return Summary{}, r.damaged("more bytes come behind its end")
	case err != io.EOF:
		return Summary{}, err
	}
	s := r.check.summary()
	s.Bytes = r.n
	return s, nil
}

func takeID(body []byte) (id uint64, rest []byte, err error) {
	id, n := binary.Uvarint(body)
	if n <= 0 || n > 1 && body[n-1] == 0 {
		return 0, nil, errors.New("an ID that is no uvarint in its shortest form")
	}
	return id, body[n:], nil
}

// record reads one record. The body is valid until the next.
func (b *Reader) record() (typ byte, body []byte, err error) {
	var frame [frameSize]byte
	if err := b.fill(frame[:]); err != nil {
		return 0, nil, err
	}
	// The length first: a wrong one would read to the end of the file, and be taken for a file that
	// was cut off.
	if binary.BigEndian.Uint32(frame[5:]) != codec.Sum(frame[:5]) {
		return 0, nil, b.damaged("the checksum of a record's length is wrong")
	}
	size := binary.BigEndian.Uint32(frame[1:])
	if size > maxBody {
		return 0, nil, b.damaged("a record %q of %d bytes, expected at most %d", frame[0], size, maxBody)
	}
	b.body.Reset()
	n, err := io.CopyN(&b.body, b.r, int64(size)) // takes memory as bytes come, not as they are announced
	if err != nil {
		return 0, nil, b.cut(n, err)
	}
	b.n += n
	body = b.body.Bytes()
	var sum [codec.SumSize]byte
	at := b.n
	if err := b.fill(sum[:]); err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint32(sum[:]) != recordSum(frame, body) {
		b.n = at - n
		return 0, nil, b.damaged("the checksum of a record %q of %d bytes is wrong", frame[0], size)
	}
	b.sum.Write(frame[:])
	b.sum.Write(body)
	b.sum.Write(sum[:])
	return frame[0], body, nil
}

func (b *Reader) fill(p []byte) error {
	n, err := io.ReadFull(b.r, p)
	if err != nil {
		return b.cut(int64(n), err)
	}
	b.n += int64(n)
	return nil
}

// cut says that the file ends where it must not. n bytes were read of what was expected.
func (b *Reader) cut(n int64, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends after %d bytes, and more must come; take another backup, or copy it again", ErrTruncated, b.n+n)
	}
	return err
}

func (b *Reader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w near byte %d: %w; take another backup, or copy it again", ErrDamaged, b.n, fmt.Errorf(format, args...))
}
