package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2"
)

// get returns a copy of a value, or [store.ErrNotFound].
func (s *Store) get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, readError(key, err)
	}
	value = slices.Clone(value)
	return value, closer.Close()
}

func readError(key []byte, err error) error {
	if pebble.IsCorruptionError(err) {
		text := strings.ReplaceAll(err.Error(), "\n<corruption detail carrier>", "")
		return damaged(key, fmt.Errorf("%s%s: %s", text, named(err), remedyBackup))
	}
	return fmt.Errorf("read key %x: %w", key, err)
}

// Leaves implements [store.Store].
func (s *Store) Leaves(ctx context.Context, batch, start, n uint64) ([]store.Leaf, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer v.release()
	rec, err := s.batch(v.snap, batch)
	if err != nil || start >= rec.Count {
		return nil, err
	}
	end := start + min(n, rec.Count-start)
	leaves, _, err := s.nodes(ctx, v.snap, batch, 0, start, end)
	if err != nil {
		return nil, err
	}
	return leaves, checkEnd(batch, 0, start+uint64(len(leaves)), end)
}

// checkEnd says that nodes of a level are missing when they end before end.
func checkEnd(batch uint64, level int, got, end uint64) error {
	if got == end {
		return nil
	}
	return damaged(nodesKey(batch, level, got), fmt.Errorf("missing: nodes end at %d, expected %d", got, end))
}

// nodesOf returns a copy of n nodes.
func nodesOf(b []byte, n int) [][32]byte {
	nodes := make([][32]byte, n)
	for i := range nodes {
		nodes[i] = [32]byte(b[i*32:])
	}
	return nodes
}

// nodes concatenates the values from start to end, or to where they end. It also returns where each
// of them starts.
func (s *Store) nodes(ctx context.Context, r pebble.Reader, batch uint64, level int, start, end uint64) (nodes [][32]byte, chunks []uint64, err error) {
	if start >= end {
		return nil, nil, nil
	}
	// No value spans a multiple of RunSize: what holds start begins in its run.
	next := start - start%runSize
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: nodesKey(batch, level, next), UpperBound: nodesKey(batch, level, end)})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			nodes, chunks, err = nil, nil, readError(nodesKey(batch, level, next), cerr)
		}
	}()
	nodes = make([][32]byte, 0, min(end-start, 1<<20))
	for ok := it.First(); ok; ok = next < end && it.Next() { // what follows is in another block, as a rule
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		value, err := nodesAt(it, next)
		if err != nil {
			return nil, nil, err
		}
		chunks = append(chunks, next)
		for ; len(value) > 0; value = value[32:] {
			if next >= start && next < end {
				nodes = append(nodes, [32]byte(value))
			}
			next++
		}
	}
	return nodes, chunks, nil
}

// nodesAt returns the value that an iterator stands at, which must be nodes that begin at next. It
// is valid until the next step.
func nodesAt(it *pebble.Iterator, next uint64) ([]byte, error) {
	at, err := nodesStart(it.Key())
	if err != nil {
		return nil, err
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, readError(it.Key(), err)
	}
	if err := checkNodes(it.Key(), at, value); err != nil {
		return nil, err
	}
	if at != next {
		return nil, damaged(it.Key(), fmt.Errorf("nodes begin at %d, expected %d", at, next))
	}
	return value, nil
}

// checkNodes checks the value of nodes that begin at start.
func checkNodes(key []byte, start uint64, value []byte) error {
	if count := uint64(len(value) / 32); len(value)%32 != 0 || count == 0 || start%runSize+count > runSize {
		return damaged(key, fmt.Errorf("%d bytes, expected 32 for each node up to the end of a run of %d", len(value), runSize))
	}
	return nil
}

// Batch implements [store.Store].
func (s *Store) Batch(ctx context.Context, id uint64) (store.Batch, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return store.Batch{}, err
	}
	defer v.release()
	rec, err := s.batch(v.snap, id)
	return rec.Batch, err
}

func (s *Store) batch(r pebble.Reader, id uint64) (codec.BatchRecord, error) {
	return record(s, r, prefixBatch, "batch", id, codec.DecodeBatch)
}

// record reads and decodes the batch or the anchor with an ID.
func record[T any](s *Store, r pebble.Reader, prefix byte, what string, id uint64, decode func(uint64, []byte) (T, error)) (one T, err error) {
	key := idKey(prefix, id)
	value, err := s.get(r, key)
	if errors.Is(err, store.ErrNotFound) {
		return one, fmt.Errorf("%s %d: %w", what, id, err)
	}
	if err != nil {
		return one, err
	}
	if one, err = decode(id, value); err != nil {
		return one, damaged(key, err)
	}
	return one, nil
}

// Batches implements [store.Store].
func (s *Store) Batches(ctx context.Context, before uint64, limit int) ([]store.Batch, error) {
	return newest(ctx, s, prefixBatch, before, limit, func(id uint64, value []byte) (store.Batch, error) {
		rec, err := codec.DecodeBatch(id, value)
		return rec.Batch, err
	})
}

// Waiting implements [store.Store].
func (s *Store) Waiting(ctx context.Context) ([]store.Batch, error) {
	return marked(ctx, s, prefixWaiting, func(v *view, id uint64) (store.Batch, error) {
		rec, err := s.batch(v.snap, id)
		return rec.Batch, err
	})
}

// Anchor implements [store.Store].
func (s *Store) Anchor(ctx context.Context, id uint64) (store.Anchor, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return store.Anchor{}, err
	}
	defer v.release()
	return s.anchor(v, id)
}

func (s *Store) anchor(v *view, id uint64) (store.Anchor, error) {
	return record(s, v.snap, prefixAnchor, "anchor", id, codec.DecodeAnchor)
}

// Anchors implements [store.Store].
func (s *Store) Anchors(ctx context.Context, before uint64, limit int) ([]store.Anchor, error) {
	return newest(ctx, s, prefixAnchor, before, limit, codec.DecodeAnchor)
}

// Unsettled implements [store.Store].
func (s *Store) Unsettled(ctx context.Context) ([]store.Anchor, error) {
	return marked(ctx, s, prefixUnsettled, s.anchor)
}

// newest decodes up to limit values with a prefix, of IDs below before, from the highest.
func newest[T any](ctx context.Context, s *Store, prefix byte, before uint64, limit int, decode func(uint64, []byte) (T, error)) (_ []T, err error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer v.release()
	upper := []byte{prefix + 1}
	if before > 0 {
		upper = idKey(prefix, before)
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = readError([]byte{prefix}, cerr)
		}
	}()
	var all []T
	for ok := it.Last(); ok && len(all) < limit; ok = it.Prev() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, err := decodeAt(it, prefix, decode)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// marked looks up what the marks with a prefix name, from the lowest ID.
func marked[T any](ctx context.Context, s *Store, prefix byte, lookup func(*view, uint64) (T, error)) (_ []T, err error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer v.release()
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = readError([]byte{prefix}, cerr)
		}
	}()
	var all []T
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, err := parseIDKey(prefix, it.Key())
		if err != nil {
			return nil, err
		}
		one, err := lookup(v, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, damaged(it.Key(), fmt.Errorf("marks what is not stored: %w", err))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// NumLeaves implements [store.Store].
func (s *Store) NumLeaves(ctx context.Context) (uint64, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer v.release()
	return v.leaves, nil
}

// Cursor implements [store.Store].
func (s *Store) Cursor(ctx context.Context) (store.Cursor, error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return store.Cursor{}, err
	}
	defer v.release()
	return s.cursor(v.snap)
}

func (s *Store) cursor(r pebble.Reader) (store.Cursor, error) {
	value, err := s.get(r, cursorKey)
	if errors.Is(err, store.ErrNotFound) {
		return store.Cursor{}, nil
	}
	if err != nil {
		return store.Cursor{}, err
	}
	c, err := codec.DecodeCursor(value)
	if err != nil {
		return store.Cursor{}, damaged(cursorKey, err)
	}
	return c, nil
}

// readTail finds where the newest batch ends, and checks that its last leaves are there.
func (s *Store) readTail() (t tail, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixBatch}, UpperBound: []byte{prefixBatch + 1}})
	if err != nil {
		return t, err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = readError([]byte{prefixBatch}, cerr)
		}
	}()
	if !it.Last() {
		return t, nil
	}
	rec, err := decodeAt(it, prefixBatch, codec.DecodeBatch)
	if err != nil {
		return t, err
	}
	id := rec.ID
	if _, err := s.get(s.db, firstKey(rec.Before, id)); err != nil {
		return t, damaged(firstKey(rec.Before, id), err)
	}
	t = tail{newest: id, open: rec.State == store.Open, count: rec.Count, before: rec.Before}
	if t.count == 0 {
		return t, nil
	}
	// The last leaf may be in a complete run; then the tail begins empty.
	first := (t.count - 1) / runSize * runSize
	run, chunks, err := s.nodes(context.Background(), s.db, id, 0, first, first+runSize)
	if err != nil {
		return t, err
	}
	if got := first + uint64(len(run)); got != t.count {
		return t, damaged(it.Key(), fmt.Errorf("%d leaves, but %d are stored", t.count, got))
	}
	if len(run) < runSize {
		t.run, t.chunks = run, chunks
	}
	return t, nil
}
