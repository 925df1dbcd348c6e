package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2"
)

var _ store.Snapshotter = (*Store)(nil)

// snapshot implements [store.Snapshot] on a view, which Pebble keeps alive without holding back any
// write.
type snapshot struct {
	s    *Store
	view *view // nil once closed
}

var errSnapshotClosed = errors.New("the snapshot is closed")

// Snapshot implements [store.Snapshotter].
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{s: s, view: v}, nil
}

func (n *snapshot) Close() error {
	if n.view == nil {
		return errSnapshotClosed
	}
	n.view.release()
	n.view = nil
	return nil
}

// reader is what all reads go through.
func (n *snapshot) reader(ctx context.Context) (pebble.Reader, error) {
	if n.view == nil {
		return nil, errSnapshotClosed
	}
	return n.view.snap, ctx.Err()
}

func (n *snapshot) Key() [32]byte { return n.s.key }

func (n *snapshot) Total(ctx context.Context) (leaves, batches uint64, err error) {
	r, err := n.reader(ctx)
	if err != nil {
		return 0, 0, err
	}
	it, err := r.NewIter(prefixed(prefixBatch))
	if err != nil {
		return 0, 0, err
	}
	if it.Last() {
		rec, err := decodeAt(it, prefixBatch, codec.DecodeBatch)
		if err != nil {
			return 0, 0, errors.Join(err, it.Close())
		}
		leaves, batches = rec.Before+rec.Count, rec.ID // IDs rise by one, from 1
	}
	return leaves, batches, closeIter(it, prefixBatch)
}

func (n *snapshot) Batches(ctx context.Context) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		for rec, err := range inOrder(ctx, n, prefixBatch, codec.DecodeBatch) {
			if !yield(rec.Batch, err) {
				return
			}
		}
	}
}

func (n *snapshot) Anchors(ctx context.Context) iter.Seq2[store.Anchor, error] {
	return inOrder(ctx, n, prefixAnchor, codec.DecodeAnchor)
}

func (n *snapshot) Cursor(ctx context.Context) (store.Cursor, error) {
	r, err := n.reader(ctx)
	if err != nil {
		return store.Cursor{}, err
	}
	return n.s.cursor(r)
}

func (n *snapshot) Leaves(ctx context.Context, b store.Batch) iter.Seq2[[]store.Leaf, error] {
	return func(yield func([]store.Leaf, error) bool) {
		if err := n.leaves(ctx, b, func(run []store.Leaf) bool { return yield(run, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// leaves passes on value after value: each is a run, or a piece of one.
func (n *snapshot) leaves(ctx context.Context, b store.Batch, visit func([]store.Leaf) bool) (err error) {
	r, err := n.reader(ctx)
	if err != nil {
		return err
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: nodesKey(b.ID, 0, 0), UpperBound: nodesKey(b.ID, 1, 0)})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := closeIter(it, prefixNodes); err == nil {
			err = cerr
		}
	}()
	run := make([]store.Leaf, runSize)
	next := uint64(0)
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, err := nodesAt(it, next)
		if err != nil {
			return err
		}
		count := len(value) / 32
		for i := range count {
			run[i] = store.Leaf(value[i*32:])
		}
		next += uint64(count)
		if !visit(run[:count]) {
			return nil
		}
	}
	if next != b.Count && it.Error() == nil {
		return damaged(nodesKey(b.ID, 0, next), fmt.Errorf("batch %d has %d leaves, but %d are stored", b.ID, b.Count, next))
	}
	return nil
}

// inOrder decodes all values with a prefix, from the lowest ID.
func inOrder[T any](ctx context.Context, n *snapshot, prefix byte, decode func(uint64, []byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		r, err := n.reader(ctx)
		if err != nil {
			yield(zero, err)
			return
		}
		it, err := r.NewIter(prefixed(prefix))
		if err != nil {
			yield(zero, err)
			return
		}
		open := true
		defer func() {
			if open {
				_ = it.Close() // left early, or an error was told already
			}
		}()
		for ok := it.First(); ok; ok = it.Next() {
			if err := ctx.Err(); err != nil {
				yield(zero, err)
				return
			}
			one, err := decodeAt(it, prefix, decode)
			if err != nil {
				yield(zero, err)
				return
			}
			if !yield(one, nil) {
				return
			}
		}
		open = false
		if err := closeIter(it, prefix); err != nil {
			yield(zero, err)
		}
	}
}

func prefixed(prefix byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}}
}

func closeIter(it *pebble.Iterator, prefix byte) error {
	if err := it.Close(); err != nil {
		return readError([]byte{prefix}, err)
	}
	return nil
}

// decodeAt decodes the value that an iterator stands at.
func decodeAt[T any](it *pebble.Iterator, prefix byte, decode func(uint64, []byte) (T, error)) (one T, err error) {
	id, err := parseIDKey(prefix, it.Key())
	if err != nil {
		return one, err
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return one, readError(it.Key(), err)
	}
	if one, err = decode(id, value); err != nil {
		return one, damaged(it.Key(), err)
	}
	return one, nil
}
