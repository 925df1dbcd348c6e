package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ancre/batcher/store"
	"ancre/batcher/store/tree"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2"
)

// How a leaf's path is read. Levels 0 and 1 of the tree are read for each path: from the tree file
// of the batch if it has one, else from runs. The levels above are few and in the way of many
// paths, so their runs stay in memory, with the rows between them, once they have been compared
// with the root.

const (
	// runSize is how many nodes of a level are in one value, see docs/store-format.md.
	runSize = tree.RunSize

	// lowLevels is how many levels are read for each path.
	lowLevels = 2

	// nearRoom is room for the steps that a page has.
	nearRoom = lowLevels * tree.HeightStep

	// maxRows is how many runs of upper levels are remembered, of 15 KiB each: those of 120 million
	// digests in batches of a million. Beyond that, a path reads one run more.
	maxRows = 2048
)

// Locate implements [store.Store].
func (s *Store) Locate(ctx context.Context, leaf store.Leaf) (p store.Place, err error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return p, err
	}
	defer v.release()
	one := oneFinderPool.Get().(*oneFinder)
	one.leaf[0] = leaf
	f := &one.finder
	*f = finder{s: s, r: v.snap, leaves: v.leaves, want: one.leaf[:], at: one.at[:]}
	err = v.index.Find(ctx, f.want, f)
	if err == nil {
		p = store.Place{Position: f.at[0], Near: f.near(f.at[0])}
	}
	err = errors.Join(err, f.close())
	*one = oneFinder{} // it keeps no store in memory
	oneFinderPool.Put(one)
	if err != nil {
		return store.Place{}, err
	}
	return p, nil
}

// oneFinder is a finder of one leaf, with what it works on.
type oneFinder struct {
	finder
	leaf [1]store.Leaf
	at   [1]store.Position
}

var oneFinderPool = sync.Pool{New: func() any { return new(oneFinder) }}

// near returns the steps from a leaf that was found up to a node of a level, as far as what was
// read last has them. Whole groups only are read for that, so there are HeightStep steps for each
// level.
func (f *finder) near(at store.Position) []proof.Step {
	start := at.Index - at.Index%tree.Fanout
	if f.run == nil || at.Batch != f.place.Batch || start < f.place.Index {
		return nil
	}
	if f.done == nil {
		return f.page.appendPath(make([]proof.Step, 0, nearRoom), at.Index)
	}
	from := (start - f.place.Index) * 32
	if from+tree.Fanout*32 > uint64(len(f.run)) {
		return nil
	}
	return proof.AppendPath(make([]proof.Step, 0, nearRoom), nodesOf(f.run[from:], tree.Fanout), int(at.Index-start))
}

// Path implements [store.Store]. The waypoint is the node of level lowLevels.
func (s *Store) Path(ctx context.Context, dst []proof.Step, b *store.Batch, p store.Place) (path []proof.Step, way proof.Waypoint, err error) {
	switch {
	case s.isClosing():
		return dst, way, store.ErrClosed
	case b.State != store.Sealed:
		return dst, way, fmt.Errorf("batch %d is %s and has no tree: %w", b.ID, b.State, store.ErrNotFound)
	case p.Position.Index >= b.Count:
		return dst, way, fmt.Errorf("%w: batch %d has %d digests, and one at index %d: %s", store.ErrDamaged, b.ID, b.Count, p.Position.Index, remedyBackup)
	}
	if err := ctx.Err(); err != nil {
		return dst, way, err
	}
	path = append(dst, p.Near...)
	level := len(p.Near) / tree.HeightStep
	at := p.Position.Index >> len(p.Near)
	for ; levelSize(b.Count, level) > 1; level++ {
		start := at - at%tree.Fanout
		if level < lowLevels {
			group, err := s.levelNodes(ctx, b, level, start, tree.Fanout)
			if err != nil {
				return dst, way, fmt.Errorf("read the tree of batch %d: %w", b.ID, err)
			}
			path = proof.AppendPath(path, group, int(at-start))
		} else {
			rows, err := s.upperRows(ctx, b, level, at-at%runSize)
			if err != nil {
				return dst, way, fmt.Errorf("read the tree of batch %d: %w", b.ID, err)
			}
			if way.Steps == 0 {
				way = proof.Waypoint{Steps: len(path) - len(dst), Node: rows[0][at%runSize]}
			}
			path = rows.AppendPath(path, at%runSize)
		}
		at /= tree.Fanout
	}
	return path, way, nil
}

// levelSize returns the number of nodes of a level of the tree over so many leaves.
func levelSize(leaves uint64, level int) uint64 { return store.Width(leaves, level*tree.HeightStep) }

// levelNodes reads up to n nodes of a level of a sealed batch, which all must be there.
func (s *Store) levelNodes(ctx context.Context, b *store.Batch, level int, start, n uint64) ([][32]byte, error) {
	n = min(n, levelSize(b.Count, level)-start)
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer v.release()
	if nodes, err := s.fewNodes(v.snap, b.ID, level, start, n); nodes != nil || err != nil {
		return nodes, err
	}
	nodes, _, err := s.nodes(ctx, v.snap, b.ID, level, start, start+n)
	if err != nil {
		return nil, err
	}
	return nodes, checkEnd(b.ID, level, start+uint64(len(nodes)), start+n)
}

// fewNodes returns n nodes of a level that are all in one value, read with a single get. If they
// are not, it returns nil.
func (s *Store) fewNodes(r pebble.Reader, batch uint64, level int, start, n uint64) ([][32]byte, error) {
	skip := start % runSize
	key := nodesKey(batch, level, start-skip)
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(key, err)
	}
	var nodes [][32]byte
	if err = checkNodes(key, start-skip, value); err == nil && (skip+n)*32 <= uint64(len(value)) {
		nodes = nodesOf(value[skip*32:], int(n))
	}
	if err := errors.Join(err, closer.Close()); err != nil {
		return nil, err
	}
	return nodes, nil
}

// upperRows returns a run of an upper level of a sealed batch. Before it is remembered, it has been
// seen to lead to the root of the batch.
func (s *Store) upperRows(ctx context.Context, b *store.Batch, level int, start uint64) (*tree.Rows, error) {
	place := rowsPlace{b.ID, level, start}
	if rows := s.rows.get(place); rows != nil {
		return rows, nil
	}
	nodes, err := s.levelNodes(ctx, b, level, start, runSize)
	if err != nil {
		return nil, err
	}
	rows := tree.NewRows(nodes)
	want := [][32]byte{b.Root}
	if levelSize(b.Count, level) > tree.Fanout {
		next := start / tree.Fanout
		above, err := s.upperRows(ctx, b, level+1, next-next%runSize)
		if err != nil {
			return nil, err
		}
		want = above[0][next%runSize:]
	}
	if got := rows.Above(); !slices.Equal(got, want[:min(len(got), len(want))]) {
		return nil, fmt.Errorf("%w: the nodes of level %d from %d on do not lead to the root of the batch, %x: %s", store.ErrDamaged, level, start, b.Root, remedyBackup)
	}
	s.rows.put(place, rows)
	return rows, nil
}

// rowsPlace names a run of a level of a batch's tree.
type rowsPlace struct {
	batch uint64
	level int
	start uint64
}

// rowsCache remembers runs of sealed batches, which never change. It is safe for concurrent use.
type rowsCache struct {
	mu    sync.RWMutex
	known map[rowsPlace]*tree.Rows
}

func (c *rowsCache) get(place rowsPlace) *tree.Rows {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[place]
}

// put remembers a run. When there are too many, it forgets any other.
func (c *rowsCache) put(place rowsPlace, rows *tree.Rows) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = make(map[rowsPlace]*tree.Rows)
	}
	for other := range c.known {
		if len(c.known) < maxRows {
			break
		}
		delete(c.known, other)
	}
	c.known[place] = rows
}

// forget is for tests.
func (c *rowsCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
}
