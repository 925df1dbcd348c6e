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
	"hash/crc32"
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

// Restore verifies a backup while it writes all of it into dst, a new store that was made with the
// key in the header. dst is good for nothing unless Restore returns nil: nothing else says that the
// file is whole.
func (b *Reader) Restore(ctx context.Context, dst store.Store) (Summary, error) {
	if dst.Key() != b.header.Key {
		return Summary{}, errors.New("the new store was made with another key than the backup has")
	}
	if n, err := dst.NumLeaves(ctx); err != nil {
		return Summary{}, err
	} else if n > 0 {
		return Summary{}, fmt.Errorf("the store to restore into holds %d leaves, expected none", n)
	}
	f := &filler{ctx: ctx, dst: dst}
	s, err := b.read(ctx, f)
	if err == nil {
		err = f.flush()
	}
	return s, err
}

// read passes what comes to f, if there is one, after it was checked.
func (b *Reader) read(ctx context.Context, f *filler) (Summary, error) {
	check := newChecker(b.header)
	leaves := make([]store.Leaf, 0, leavesPerRecord)
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
			id, body, err := takeID(body)
			if err != nil {
				return Summary{}, b.damaged("%w", err)
			}
			rec, err := codec.DecodeBatch(id, body)
			if err != nil {
				return Summary{}, b.damaged("batch %d: %w", id, err)
			}
			if rec.Before != check.digests+check.missing {
				return Summary{}, contradiction("batch %d says that %d leaves come before it, and %d came", id, rec.Before, check.digests)
			}
			if err := check.batch(&rec.Batch); err != nil {
				return Summary{}, err
			}
			if err := f.batch(rec.Batch); err != nil {
				return Summary{}, err
			}
		case typeLeaves:
			if len(body)%32 != 0 || len(body) == 0 || len(body) > 32*leavesPerRecord {
				return Summary{}, b.damaged("leaves of %d bytes, expected 32 for each of 1 to %d", len(body), leavesPerRecord)
			}
			leaves = leaves[:0]
			for ; len(body) > 0; body = body[32:] {
				leaves = append(leaves, store.Leaf(body))
			}
			if err := check.leaves(leaves); err != nil {
				return Summary{}, err
			}
			if err := f.leaves(leaves); err != nil {
				return Summary{}, err
			}
			if check.missing == 0 {
				if err := f.nodes(check.upper); err != nil {
					return Summary{}, err
				}
			}
			if b.Progress != nil {
				b.Progress(check.digests)
			}
		case typeAnchor:
			id, body, err := takeID(body)
			if err != nil {
				return Summary{}, b.damaged("%w", err)
			}
			a, err := codec.DecodeAnchor(id, body)
			if err != nil {
				return Summary{}, b.damaged("anchor %d: %w", id, err)
			}
			if err := check.anchor(&a); err != nil {
				return Summary{}, err
			}
			if err := f.anchor(a); err != nil {
				return Summary{}, err
			}
		case typeCursor:
			c, err := codec.DecodeCursor(body)
			if err != nil {
				return Summary{}, b.damaged("cursor: %w", err)
			}
			if err := check.cursor(&c); err != nil {
				return Summary{}, err
			}
			if err := f.cursor(c); err != nil {
				return Summary{}, err
			}
		case typeEnd:
			e, err := decodeEnd(body)
			if err != nil {
				return Summary{}, b.damaged("end: %w", err)
			}
			if !bytes.Equal(e.sum[:], before) {
				return Summary{}, b.damaged("its SHA-256 is %x, its end says %x: records are missing or in another order", before, e.sum)
			}
			if err := check.end(e); err != nil {
				return Summary{}, err
			}
			switch _, err := b.r.ReadByte(); {
			case err == nil:
				return Summary{}, b.damaged("more bytes come behind its end")
			case err != io.EOF:
				return Summary{}, err
			}
			s := check.summary()
			s.Bytes = b.n
			return s, nil
		default:
			return Summary{}, b.damaged("a record of the unknown type %q", typ)
		}
	}
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
	if binary.BigEndian.Uint32(frame[5:]) != crc32.Checksum(frame[:5], castagnoli) {
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
	var sum [sumSize]byte
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

const (
	// groupLeaves and groupBatches bound what is written at once: each write is synced.
	groupLeaves  = 16384
	groupBatches = 1024
	groupAnchors = 64
)

// filler writes into a new store what a reader passes on, in groups. A nil one does nothing.
type filler struct {
	ctx     context.Context
	dst     store.Store
	group   store.Append
	update  store.Update
	current *store.Batch // whose leaves are coming
	count   uint64       // of its leaves that came
}

func (f *filler) batch(b store.Batch) error {
	if f == nil {
		return nil
	}
	if err := f.endBatch(); err != nil {
		return err
	}
	f.current, f.count = &b, 0
	return nil
}

func (f *filler) leaves(some []store.Leaf) error {
	if f == nil {
		return nil
	}
	f.group.Leaves = append(f.group.Leaves, some...)
	for range some {
		f.group.At = append(f.group.At, store.Position{Batch: f.current.ID, Index: f.count})
		f.count++
	}
	if len(f.group.Leaves) < groupLeaves {
		return nil
	}
	f.put(store.Open)
	return f.flush()
}

// nodes takes what is above the leaves of a batch, all of which have come.
func (f *filler) nodes(upper []store.Nodes) error {
	if f == nil {
		return nil
	}
	f.update.Nodes = append(f.update.Nodes, upper...)
	return f.endBatch()
}

// put adds the batch to the group, as it is behind the leaves that came so far.
func (f *filler) put(state store.BatchState) {
	b := store.Batch{ID: f.current.ID, State: state, Count: f.count, Opened: f.current.Opened}
	if state == store.Closed {
		b.Closed = f.current.Closed
	}
	f.group.Batches = append(f.group.Batches, b)
}

// endBatch closes the batch, if it is not open, and has it become what it was.
func (f *filler) endBatch() error {
	if f.current == nil {
		return nil
	}
	if f.current.State == store.Open {
		f.put(store.Open)
	} else {
		f.put(store.Closed)
		f.update.Batches = append(f.update.Batches, *f.current)
	}
	f.current = nil
	if len(f.group.Batches) < groupBatches {
		return nil
	}
	return f.flush()
}

func (f *filler) anchor(a store.Anchor) error {
	if f == nil {
		return nil
	}
	if err := f.endBatch(); err != nil {
		return err
	}
	f.update.Anchors = append(f.update.Anchors, a)
	if len(f.update.Anchors) < groupAnchors {
		return nil
	}
	return f.flush()
}

func (f *filler) cursor(c store.Cursor) error {
	if f == nil {
		return nil
	}
	f.update.Cursor = &c
	return f.endBatch()
}

// flush writes what was gathered: first the leaves, because an update is only for batches that are
// stored.
func (f *filler) flush() error {
	if len(f.group.Batches) > 0 {
		if err := f.dst.Append(f.ctx, &f.group); err != nil {
			return invalid(err)
		}
	}
	if err := f.dst.Apply(f.ctx, &f.update); err != nil {
		return invalid(err)
	}
	f.group = store.Append{Leaves: f.group.Leaves[:0], At: f.group.At[:0], Batches: f.group.Batches[:0]}
	f.update = store.Update{}
	return nil
}

// invalid blames the backup for what no store takes.
func invalid(err error) error {
	if errors.Is(err, store.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrContradiction, err)
	}
	return err
}
