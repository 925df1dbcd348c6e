package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
)

// Write writes a backup of all that a snapshot shows. If the snapshot contradicts itself, Write
// fails: such a backup would be of no use when it is needed.
func Write(ctx context.Context, to io.Writer, n store.Snapshot, network string, taken time.Time) (Summary, error) {
	leaves, batches, err := n.Total(ctx)
	if err != nil {
		return Summary{}, err
	}
	h := Header{Network: network, Taken: taken.UTC(), Key: n.Key(), Digests: leaves, Batches: batches}
	w := newWriter(to, newChecker(h))
	w.record(typeHeader, h.append(nil))
	for b, err := range n.Batches(ctx) {
		if err == nil {
			err = w.batch(ctx, n, &b)
		}
		if err != nil {
			return Summary{}, err
		}
	}
	for a, err := range n.Anchors(ctx) {
		if err == nil {
			err = w.anchor(&a)
		}
		if err != nil {
			return Summary{}, err
		}
	}
	c, err := n.Cursor(ctx)
	if err == nil {
		err = w.check.cursor(&c)
	}
	if err != nil {
		return Summary{}, err
	}
	w.record(typeCursor, codec.AppendCursor(nil, &c))
	return w.end()
}

// writer writes records, and keeps the first error.
type writer struct {
	w     *bufio.Writer
	sum   hash.Hash // of all that was written
	n     int64
	err   error
	check *checker
	body  []byte // of the record that is being made; its memory is used again
}

func newWriter(to io.Writer, check *checker) *writer {
	w := &writer{w: bufio.NewWriterSize(to, 64<<10), sum: sha256.New(), check: check}
	w.bytes([]byte(magic))
	return w
}

// batch writes a batch and its leaves.
func (w *writer) batch(ctx context.Context, n store.Snapshot, b *store.Batch) error {
	if err := w.check.batch(b); err != nil {
		return err
	}
	w.body = binary.AppendUvarint(w.body[:0], b.ID)
	w.record(typeBatch, codec.AppendBatch(w.body, &codec.BatchRecord{Batch: *b, Before: w.check.digests}))
	w.body = w.body[:0]
	for some, err := range n.Leaves(ctx, *b) {
		if err == nil {
			err = w.check.leaves(some)
		}
		if err != nil {
			return err
		}
		for i := range some {
			w.body = append(w.body, some[i][:]...)
			if len(w.body) == 32*leavesPerRecord {
				w.record(typeLeaves, w.body)
				w.body = w.body[:0]
			}
		}
		if w.err != nil {
			return w.err
		}
	}
	if len(w.body) > 0 {
		w.record(typeLeaves, w.body)
	}
	return w.err
}

func (w *writer) anchor(a *store.Anchor) error {
	if err := w.check.anchor(a); err != nil {
		return err
	}
	body, err := codec.AppendAnchor(binary.AppendUvarint(w.body[:0], a.ID), a)
	if err != nil {
		return fmt.Errorf("anchor %d: %w", a.ID, err)
	}
	w.body = body
	w.record(typeAnchor, body)
	return w.err
}

// end writes the last record and returns what was written.
func (w *writer) end() (Summary, error) {
	e := end{digests: w.check.digests, batches: w.check.newest, anchors: w.check.anchors}
	if err := w.check.end(e); err != nil {
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
	s := w.check.summary()
	s.Bytes = w.n
	return s, nil
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
	binary.BigEndian.PutUint32(frame[5:], codec.Sum(frame[:5]))
	w.bytes(frame[:])
	w.bytes(body)
	var sum [codec.SumSize]byte
	binary.BigEndian.PutUint32(sum[:], recordSum(frame, body))
	w.bytes(sum[:])
}

func recordSum(frame [frameSize]byte, body []byte) uint32 {
	return codec.AddSum(codec.Sum(frame[:5]), body)
}
