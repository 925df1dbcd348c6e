package batcher

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/storetest"
	"ancre/proof"
)

// memStore is a store in memory: what it holds counts as synced. It keeps the whole contract, as
// the suite of all engines shows, and costs a simulated life almost nothing.
type memStore struct {
	mu      sync.Mutex
	key     [32]byte
	closed  bool
	batches []store.Batch // by ID - 1
	leaves  [][]store.Leaf
	places  map[store.Leaf]store.Position
	anchors []store.Anchor // by rising ID
	cursor  store.Cursor
	writes  uint64
	feed    []memChange
	changed chan struct{}
	paths   map[uint64]*storetest.Paths // of sealed batches, as they are asked for
}

func newMemStore(key [32]byte) *memStore {
	return &memStore{key: key, places: make(map[store.Leaf]store.Position), changed: make(chan struct{})}
}

// memChange is what one write added to the feed of changes.
type memChange struct {
	changes []store.Change
	mark    store.Mark
}

// reopen returns what a new process finds in the same store.
func (s *memStore) reopen() *memStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &memStore{
		key: s.key, batches: s.batches, leaves: s.leaves, places: s.places, anchors: s.anchors, cursor: s.cursor,
		writes: s.writes, feed: s.feed, changed: make(chan struct{}),
	}
}

// backup returns a copy of all that is stored.
func (s *memStore) backup() *memStore {
	c := s.reopen()
	c.batches, c.leaves, c.places, c.anchors = slices.Clone(c.batches), slices.Clone(c.leaves), maps.Clone(c.places), slices.Clone(c.anchors)
	c.feed = slices.Clone(c.feed)
	for i := range c.leaves {
		c.leaves[i] = slices.Clip(c.leaves[i])
	}
	return c
}

// begin takes the lock, unless nothing may begin.
func (s *memStore) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	return nil
}

func (s *memStore) Key() [32]byte { return s.key }

func (s *memStore) Close() error {
	if err := s.begin(context.Background()); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.closed = true
	close(s.changed)
	return nil
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrInvalid, fmt.Sprintf(format, args...))
}

// utc is a time as it is read again.
func utc(t time.Time) time.Time { return t.Round(0).UTC() }

func (s *memStore) Append(ctx context.Context, a *store.Append) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if len(a.Leaves) != len(a.At) {
		return refused("%d leaves and %d positions", len(a.Leaves), len(a.At))
	}
	newest, open, count := uint64(len(s.batches)), false, uint64(0)
	if newest > 0 {
		open, count = s.batches[newest-1].State == store.Open, s.batches[newest-1].Count
	}
	at := a.At
	for _, b := range a.Batches {
		switch {
		case open && b.ID == newest:
		case !open && b.ID == newest+1:
			newest, count = b.ID, 0
		default:
			return refused("append to batch %d: the newest is %d, open: %t", b.ID, newest, open)
		}
		for len(at) > 0 && at[0].Batch == b.ID {
			if at[0].Index != count {
				return refused("leaf at index %d of batch %d, which has %d", at[0].Index, b.ID, count)
			}
			at, count = at[1:], count+1
		}
		switch {
		case b.State != store.Open && b.State != store.Closed:
			return refused("batch %d becomes %s", b.ID, b.State)
		case b.Count != count:
			return refused("batch %d says %d leaves and has %d", b.ID, b.Count, count)
		case b.Anchor != 0 || b.Root != [32]byte{}:
			return refused("batch %d is %s and has an anchor or a root", b.ID, b.State)
		}
		open = b.State == store.Open
	}
	if len(at) > 0 {
		return refused("a leaf for batch %d, which the group does not name in its place", at[0].Batch)
	}
	var last store.Batch
	if n := len(s.batches); n > 0 {
		last = s.batches[n-1]
	}
	s.grow(a.Changes(last))
	for _, b := range a.Batches {
		if b.ID > uint64(len(s.batches)) {
			s.batches, s.leaves = append(s.batches, store.Batch{}), append(s.leaves, nil)
		}
		b.Opened, b.Closed = utc(b.Opened), utc(b.Closed)
		s.batches[b.ID-1] = b
	}
	for i, leaf := range a.Leaves {
		s.places[leaf] = a.At[i]
		s.leaves[a.At[i].Batch-1] = append(s.leaves[a.At[i].Batch-1], leaf)
	}
	return nil
}

func (s *memStore) Apply(ctx context.Context, u *store.Update) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.checkUpdate(u); err != nil {
		return err
	}
	changes, err := u.Changes(s.batch, s.anchor)
	if err != nil {
		return err
	}
	s.grow(changes)
	for _, b := range u.Batches {
		b.Opened, b.Closed = utc(b.Opened), utc(b.Closed)
		s.batches[b.ID-1] = b
	}
	for _, a := range u.Anchors {
		a = copyAnchor(a)
		if i, ok := s.anchorAt(a.ID); ok {
			s.anchors[i] = a
		} else {
			s.anchors = slices.Insert(s.anchors, i, a)
		}
	}
	if u.Cursor != nil {
		s.cursor.Points = slices.Clone(u.Cursor.Points)
	}
	return nil
}

func (s *memStore) checkUpdate(u *store.Update) error {
	stored := func(id uint64) bool { return id > 0 && id <= uint64(len(s.batches)) }
	for i := range u.Batches {
		b := &u.Batches[i]
		if !stored(b.ID) {
			return refused("batch %d is not stored", b.ID)
		}
		if err := b.Check(&s.batches[b.ID-1]); err != nil {
			return err
		}
	}
	for i := range u.Anchors {
		if err := u.Anchors[i].Check(); err != nil {
			return err
		}
	}
	if u.Cursor != nil {
		if err := u.Cursor.Check(); err != nil {
			return err
		}
	}
	for i := range u.Nodes { // which are not kept: they follow from the leaves
		n := &u.Nodes[i]
		if !stored(n.Batch) || s.batches[n.Batch-1].State == store.Open {
			return refused("nodes of batch %d, which is not closed", n.Batch)
		}
		if err := n.Check(s.batches[n.Batch-1].Count); err != nil {
			return err
		}
	}
	return nil
}

// copyAnchor returns a copy of a that shares nothing with it that may change.
func copyAnchor(a store.Anchor) store.Anchor {
	a.Created = utc(a.Created)
	a.Versions = slices.Clip(slices.Clone(a.Versions))
	for i := range a.Versions {
		v := &a.Versions[i]
		v.Created, v.Batches, v.Prevouts = utc(v.Created), slices.Clip(v.Batches), slices.Clip(v.Prevouts)
	}
	if a.Block != nil {
		b := *a.Block
		b.Branch = slices.Clip(b.Branch)
		a.Block = &b
	}
	return a
}

func (s *memStore) anchorAt(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s.anchors, id, func(a store.Anchor, id uint64) int { return cmp.Compare(a.ID, id) })
}

func (s *memStore) Find(ctx context.Context, leaves []store.Leaf) ([]store.Position, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]store.Position, len(leaves))
	for i, l := range leaves {
		out[i] = s.places[l]
	}
	return out, nil
}

func (s *memStore) Locate(ctx context.Context, leaf store.Leaf) (store.Place, error) {
	if err := s.begin(ctx); err != nil {
		return store.Place{}, err
	}
	defer s.mu.Unlock()
	return store.Place{Position: s.places[leaf]}, nil
}

func (s *memStore) Path(ctx context.Context, dst []proof.Step, b *store.Batch, p store.Place) ([]proof.Step, proof.Waypoint, error) {
	if err := s.begin(ctx); err != nil {
		return dst, proof.Waypoint{}, err
	}
	defer s.mu.Unlock()
	switch {
	case b.State != store.Sealed:
		return dst, proof.Waypoint{}, store.ErrNotFound
	case p.Position.Index >= b.Count:
		return dst, proof.Waypoint{}, store.ErrDamaged
	}
	paths := s.paths[b.ID]
	if paths == nil {
		paths = storetest.NewPaths(s.leaves[b.ID-1])
		if s.paths == nil {
			s.paths = make(map[uint64]*storetest.Paths)
		}
		s.paths[b.ID] = paths
	}
	return append(dst, paths.Path(p.Position.Index)...), proof.Waypoint{}, nil
}

func (s *memStore) Leaves(ctx context.Context, batch, start, n uint64) ([]store.Leaf, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if batch == 0 || batch > uint64(len(s.batches)) {
		return nil, store.ErrNotFound
	}
	all := s.leaves[batch-1]
	start = min(start, uint64(len(all)))
	return slices.Clone(all[start : start+min(n, uint64(len(all))-start)]), nil
}

func (s *memStore) Batch(ctx context.Context, id uint64) (store.Batch, error) {
	if err := s.begin(ctx); err != nil {
		return store.Batch{}, err
	}
	defer s.mu.Unlock()
	return s.batch(id)
}

func (s *memStore) batch(id uint64) (store.Batch, error) {
	if id == 0 || id > uint64(len(s.batches)) {
		return store.Batch{}, store.ErrNotFound
	}
	return s.batches[id-1], nil
}

func (s *memStore) Batches(ctx context.Context, before uint64, limit int) ([]store.Batch, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.Batch
	for i := len(s.batches) - 1; i >= 0 && len(out) < limit; i-- {
		if before == 0 || s.batches[i].ID < before {
			out = append(out, s.batches[i])
		}
	}
	return out, nil
}

func (s *memStore) Waiting(ctx context.Context) ([]store.Batch, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.Batch
	for i := range s.batches {
		if s.batches[i].Anchor == 0 {
			out = append(out, s.batches[i])
		}
	}
	return out, nil
}

func (s *memStore) Anchor(ctx context.Context, id uint64) (store.Anchor, error) {
	if err := s.begin(ctx); err != nil {
		return store.Anchor{}, err
	}
	defer s.mu.Unlock()
	return s.anchor(id)
}

func (s *memStore) anchor(id uint64) (store.Anchor, error) {
	i, ok := s.anchorAt(id)
	if !ok {
		return store.Anchor{}, store.ErrNotFound
	}
	return copyAnchor(s.anchors[i]), nil
}

func (s *memStore) Anchors(ctx context.Context, before uint64, limit int) ([]store.Anchor, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.Anchor
	for i := len(s.anchors) - 1; i >= 0 && len(out) < limit; i-- {
		if before == 0 || s.anchors[i].ID < before {
			out = append(out, copyAnchor(s.anchors[i]))
		}
	}
	return out, nil
}

func (s *memStore) Unsettled(ctx context.Context) ([]store.Anchor, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.Anchor
	for _, a := range s.anchors {
		if !a.Settled && a.State != store.Dead {
			out = append(out, copyAnchor(a))
		}
	}
	return out, nil
}

func (s *memStore) NumLeaves(ctx context.Context) (uint64, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	return uint64(len(s.places)), nil
}

func (s *memStore) Cursor(ctx context.Context) (store.Cursor, error) {
	if err := s.begin(ctx); err != nil {
		return store.Cursor{}, err
	}
	defer s.mu.Unlock()
	return store.Cursor{Points: slices.Clip(s.cursor.Points)}, nil
}

// grow counts a write, and adds to the feed what it changes.
func (s *memStore) grow(changes []store.Change) {
	s.writes++
	if len(changes) == 0 {
		return
	}
	last := store.Mark{Tag: [8]byte(s.key[:8])}
	if n := len(s.feed); n > 0 {
		last = s.feed[n-1].mark
	}
	_, mark := codec.AppendChanges(nil, last, s.writes, changes)
	s.feed = append(s.feed, memChange{changes, mark})
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *memStore) Changes(ctx context.Context, after store.Mark, limit int) (changes []store.Change, end store.Mark, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, after, err
	}
	defer s.mu.Unlock()
	from := 0
	if after != (store.Mark{}) {
		from = 1 + slices.IndexFunc(s.feed, func(c memChange) bool { return c.mark == after })
		if from == 0 {
			return nil, after, store.ErrUnknownMark
		}
	}
	for end = after; from < len(s.feed) && len(changes) < limit; from++ {
		changes, end = append(changes, s.feed[from].changes...), s.feed[from].mark
	}
	return changes, end, nil
}

func (s *memStore) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// TestSimulationStoreKeepsTheContract runs the suite of all engines against the store of the
// simulator. What the simulation shows of the batcher is worth only as much as this store is like
// the real ones.
func TestSimulationStoreKeepsTheContract(t *testing.T) {
	var mu sync.Mutex
	disks := make(map[string]*memStore)
	storetest.Run(t, func(_ *testing.T, dir string) store.Store {
		mu.Lock()
		defer mu.Unlock()
		if s, ok := disks[dir]; ok {
			disks[dir] = s.reopen()
		} else {
			disks[dir] = newMemStore(sha256.Sum256([]byte(dir)))
		}
		return disks[dir]
	})
}

// frailStore stands between one process and the disk, and everything can go wrong there. A write
// during which the process dies may or may not take effect. No later write does, until a new
// process comes with its own frailStore.
type frailStore struct {
	store.Store
	l    *life
	full bool // no room: nothing is written, and the store stays in order
	dead bool // a write failed: the state is unknown to this process
}

func (f *frailStore) write(ctx context.Context, what string, do func() error) error {
	l := f.l
	switch {
	case l.killed:
		return errKilled
	case f.dead:
		return errPowerCut
	case f.full:
		return fmt.Errorf("%s: %w", what, store.ErrFull)
	}
	fate := l.fate(what)
	if fate == killBefore {
		return errKilled
	}
	if fate == failBefore {
		f.dead = true
		return errPowerCut
	}
	if err := do(); err != nil {
		return err
	}
	switch fate {
	case killAfter:
		l.killed = true
		return errKilled
	case failAfter:
		f.dead = true
		return errPowerCut
	}
	return nil
}

func (f *frailStore) Append(ctx context.Context, a *store.Append) error {
	return f.write(ctx, "append", func() error {
		if err := f.Store.Append(ctx, a); err != nil {
			return err
		}
		f.l.judge.moved(a.Batches, nil)
		return nil
	})
}

func (f *frailStore) Apply(ctx context.Context, u *store.Update) error {
	return f.write(ctx, "apply", func() error {
		if err := f.Store.Apply(ctx, u); err != nil {
			return err
		}
		f.l.judge.applied(u)
		return nil
	})
}
