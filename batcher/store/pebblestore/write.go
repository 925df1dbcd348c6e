package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/tree"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tail is where the newest batch ends: what Append has to know to go on. It is read again at each
// start.
type tail struct {
	newest uint64 // ID of the newest batch, 0 before the first
	open   bool   // it still takes leaves
	count  uint64 // leaves in it
	before uint64 // leaves in all batches before it

	run    []store.Leaf // of the newest batch: the leaves behind its last complete run
	chunks []uint64     // where the values start in which run is stored
}

// last returns the newest batch, as far as [store.Append.Changes] has to know it.
func (t *tail) last() store.Batch {
	if !t.open {
		return store.Batch{ID: t.newest, State: store.Closed}
	}
	return store.Batch{ID: t.newest, State: store.Open}
}

// Append implements [store.Store].
func (s *Store) Append(ctx context.Context, a *store.Append) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	if err := s.fs.Failure(); err != nil {
		return err
	}
	b := s.db.NewBatchWithSize(appendSize(a))
	next, err := s.tail.add(b, a)
	if err != nil {
		_ = b.Close()
		return err
	}
	table, err := s.index.Room(ctx, s.total(), len(a.Leaves))
	if err != nil {
		_ = b.Close()
		return err
	}
	c := &commit{
		batch: b, reserve: s.reserve,
		written: func() { table.Insert(a.Leaves) },
		synced:  func() { s.leaves += uint64(len(a.Leaves)) },
		note:    noteTail(next),
		changes: a.Changes(s.tail.last()),
	}
	if err := s.commit(ctx, c); err != nil {
		return err
	}
	s.tail = next
	s.appended.Store(true)
	return nil
}

// appendSize estimates the bytes of a group in the log: its leaves, those of the run that it
// completes, and records.
func appendSize(a *store.Append) int {
	return 512 + (len(a.Leaves)+runSize)*33 + len(a.Batches)*128
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", store.ErrInvalid, fmt.Errorf(format, args...))
}

// add writes a group of leaves to b and returns the tail behind it; t stays as it is.
func (t tail) add(b *pebble.Batch, a *store.Append) (tail, error) {
	if len(a.Leaves) != len(a.At) {
		return t, invalid("%d leaves and %d positions", len(a.Leaves), len(a.At))
	}
	t.run = slices.Clone(t.run)
	t.chunks = slices.Clone(t.chunks)
	leaves, at := a.Leaves, a.At
	for i := range a.Batches {
		rec := &a.Batches[i]
		switch {
		case t.open && rec.ID == t.newest:
		case !t.open && rec.ID == t.newest+1:
			t = tail{newest: rec.ID, before: t.before + t.count}
			_ = b.Set(idKey(prefixWaiting, rec.ID), nil, nil)
			_ = b.Set(firstKey(t.before, rec.ID), nil, nil)
		default:
			return t, invalid("append to batch %d: the newest is %d, open: %t", rec.ID, t.newest, t.open)
		}
		n := 0
		for n < len(at) && at[n].Batch == rec.ID {
			if at[n].Index != t.count+uint64(n) {
				return t, invalid("leaf at index %d of batch %d, which has %d", at[n].Index, rec.ID, t.count+uint64(n))
			}
			n++
		}
		t.addLeaves(b, leaves[:n])
		leaves, at = leaves[n:], at[n:]

		switch {
		case rec.State != store.Open && rec.State != store.Closed:
			return t, invalid("append leaves batch %d %s", rec.ID, rec.State)
		case rec.Count != t.count:
			return t, invalid("batch %d says %d leaves and has %d", rec.ID, rec.Count, t.count)
		case rec.Anchor != 0 || rec.Root != [32]byte{}:
			return t, invalid("batch %d is %s and has an anchor or a root", rec.ID, rec.State)
		}
		t.open = rec.State == store.Open
		value := codec.AppendBatch(nil, &codec.BatchRecord{Batch: *rec, Before: t.before})
		_ = b.Set(idKey(prefixBatch, rec.ID), value, nil)
	}
	if len(leaves) > 0 {
		return t, invalid("a leaf for batch %d, which is not among the batches of the group in its place", at[0].Batch)
	}
	return t, nil
}

// addLeaves writes leaves that go to the newest batch: a chunk for what comes to each run.
func (t *tail) addLeaves(b *pebble.Batch, leaves []store.Leaf) {
	for len(leaves) > 0 {
		add := leaves[:min(len(leaves), runSize-len(t.run))]
		leaves = leaves[len(add):]
		start := t.count
		t.count += uint64(len(add))
		t.run = append(t.run, add...)
		if len(t.run) < runSize {
			setNodes(b, t.newest, 0, start, add)
			t.chunks = append(t.chunks, start)
			continue
		}
		runStart := t.count - runSize
		for _, chunk := range t.chunks {
			if chunk != runStart { // that one is replaced
				_ = b.Delete(nodesKey(t.newest, 0, chunk), nil)
			}
		}
		setNodes(b, t.newest, 0, runStart, t.run)
		t.run, t.chunks = t.run[:0], t.chunks[:0]
	}
}

func setNodes(b *pebble.Batch, batch uint64, level int, start uint64, nodes [][32]byte) {
	const keySize = 18
	op := b.SetDeferred(keySize, len(nodes)*32)
	copy(op.Key, nodesKey(batch, level, start))
	for i := range nodes {
		copy(op.Value[i*32:], nodes[i][:])
	}
	_ = op.Finish()
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, u *store.Update) error {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	v, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer v.release()
	if err := s.fs.Failure(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	large, changes, err := s.fill(b, u, v)
	if err != nil || b.Empty() {
		_ = b.Close()
		return err
	}
	c := &commit{
		batch: b, reserve: s.reserve / 2, note: noteAnchors(u.Anchors), changes: changes,
		soon: len(u.Anchors) > 0 || seals(u.Batches),
	}
	if err := s.commit(ctx, c); err != nil {
		return err
	}
	s.wantTreeFiles(large) // not before others can see that they are sealed
	return nil
}

// seals says whether one of the batches is sealed.
func seals(batches []store.Batch) bool {
	return slices.ContainsFunc(batches, func(b store.Batch) bool { return b.State == store.Sealed })
}

// fill writes an update to b, after comparing it with what v shows. It returns the batches whose
// groups are to get a file from then on, and what the update adds to the feed of changes.
func (s *Store) fill(b *pebble.Batch, u *store.Update, v *view) (large []uint64, changes []store.Change, err error) {
	before := make(map[uint64]store.Batch)
	stored := make(map[uint64]codec.BatchRecord)
	lookup := func(id uint64) (codec.BatchRecord, error) {
		rec, ok := stored[id]
		if ok {
			return rec, nil
		}
		rec, err := s.batch(v.snap, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return rec, invalid("batch %d is not stored", id)
		case err == nil && rec.State == store.Open:
			return rec, invalid("batch %d is still open", id)
		}
		stored[id], before[id] = rec, rec.Batch
		return rec, err
	}
	for i := range u.Batches {
		rec := codec.BatchRecord{Batch: u.Batches[i]}
		old, err := lookup(rec.ID)
		if err != nil {
			return nil, nil, err
		}
		rec.Before = old.Before
		if err := rec.Check(&old.Batch); err != nil {
			return nil, nil, err
		}
		_ = b.Set(idKey(prefixBatch, rec.ID), codec.AppendBatch(nil, &rec), nil)
		mark(b, prefixWaiting, rec.ID, rec.Anchor == 0)
		if rec.State == store.Sealed && old.State != store.Sealed && rec.Count >= s.treeFileLeaves {
			_ = b.Set(idKey(prefixTreeFile, rec.ID), nil, nil)
			large = append(large, rec.ID)
		}
		stored[rec.ID] = rec
	}
	for i := range u.Anchors {
		a := &u.Anchors[i]
		if err := a.Check(); err != nil {
			return nil, nil, err
		}
		value, err := codec.AppendAnchor(nil, a)
		if err != nil {
			return nil, nil, invalid("anchor %d: %w", a.ID, err)
		}
		_ = b.Set(idKey(prefixAnchor, a.ID), value, nil)
		mark(b, prefixUnsettled, a.ID, !a.Settled && a.State != store.Dead)
	}
	if u.Cursor != nil {
		if err := u.Cursor.Check(); err != nil {
			return nil, nil, err
		}
		_ = b.Set(cursorKey, codec.AppendCursor(nil, u.Cursor), nil)
	}
	for i := range u.Nodes {
		n := &u.Nodes[i]
		rec, err := lookup(n.Batch)
		if err != nil {
			return nil, nil, err
		}
		if err := checkRun(n, rec.Count); err != nil {
			return nil, nil, err
		}
		setNodes(b, n.Batch, n.Height/tree.HeightStep, n.Start, n.Hashes)
	}
	changes, err = s.changesOf(u, v, before)
	return large, changes, err
}

// mark sets or takes away what Waiting and Unsettled go by.
func mark(b *pebble.Batch, prefix byte, id uint64, on bool) {
	if on {
		_ = b.Set(idKey(prefix, id), nil, nil)
	} else {
		_ = b.Delete(idKey(prefix, id), nil)
	}
}

// checkRun checks nodes that are to be kept above the leaves of a batch. This engine keeps them in
// the runs in which package tree computes them.
func checkRun(n *store.Nodes, leaves uint64) error {
	if err := n.Check(leaves); err != nil {
		return err
	}
	if n.Height%tree.HeightStep != 0 || n.Height/tree.HeightStep > math.MaxUint8 || n.Start%runSize != 0 || len(n.Hashes) > runSize {
		return invalid("a run of %d nodes from %d of height %d of batch %d", len(n.Hashes), n.Start, n.Height, n.Batch)
	}
	return nil
}

// commit is a change on its way to the committer.
type commit struct {
	batch   *pebble.Batch
	reserve uint64
	written func() // called when only the sync is missing, unless nil: from here on the change has happened, or the store has failed
	synced  func() // called by the committer when it is on disk and no read can see it yet, unless nil
	soon    bool   // it goes to a table soon: it seals a batch, stores an anchor, or lists a file

	changes  []store.Change // what it adds to the feed of changes
	caughtUp bool           // it adds the last that was missing there

	note func(write uint64, t *testimony) // what the witness says of it, unless nil

	ctx  context.Context // ends the waiting before the write, not the write
	done chan error      // has room for the one answer
}

// commit hands a change to the committer and waits until it is on disk, or will not be. It owns the
// batch.
func (s *Store) commit(ctx context.Context, c *commit) error {
	c.ctx, c.done = ctx, make(chan error, 1)
	defer func() { _ = c.batch.Close() }()
	select {
	case s.commits <- c:
		return <-c.done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return store.ErrClosed
	}
}

// commitLoop is the committer. It ends when the store is being closed.
func (s *Store) commitLoop() {
	defer close(s.ended)
	timer := time.NewTimer(0) // of the next flush
	defer timer.Stop()
	for {
		select {
		case c := <-s.commits:
			was := s.quiet.due()
			c.done <- s.write(c)
			if due := s.quiet.due(); was.IsZero() || due.Before(was) {
				timer.Reset(time.Until(due))
			}
		case now := <-timer.C:
			due := s.quiet.due()
			if !due.IsZero() && !due.After(now) {
				s.flushLog()
				due = s.quiet.due()
			}
			if !due.IsZero() && s.fs.Failure() == nil {
				timer.Reset(time.Until(due))
			}
		case <-s.closing:
			return
		}
	}
}

// drain waits until flushes and compactions have caught up with the writes.
func (s *Store) drain(ctx context.Context) error {
	if !s.rotated.Load() {
		return s.fs.Failure()
	}
	tick := time.NewTicker(100 * time.Millisecond) // should Pebble tell before it is done
	defer tick.Stop()
	for s.rotated.Load() {
		if err := s.fs.Failure(); err != nil {
			return err
		}
		s.rotated.Store(false)
		m := s.db.Metrics()
		if m.MemTable.Size <= s.bound && m.Levels[0].Sublevels < stopSublevels {
			break
		}
		s.rotated.Store(true)
		if s.fs.Full() {
			return fmt.Errorf("%w in %s", store.ErrFull, s.dir)
		}
		select {
		case <-s.drained:
		case <-tick.C:
		case <-s.fs.Failed():
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return store.ErrClosed
		}
	}
	return s.fs.Failure()
}

// write writes a change, syncs it and makes it visible.
func (s *Store) write(c *commit) (err error) {
	if err := s.drain(c.ctx); err != nil {
		return err
	}
	if err := s.checkSpace(uint64(c.batch.Len()), c.reserve); err != nil {
		return err
	}
	defer func() {
		// Pebble panics when its log cannot be written. failfs keeps it from noticing; this is
		// for what it cannot.
		if p := recover(); p != nil {
			s.wedged.Store(true)
			s.fs.Fail(fmt.Errorf("write: %v", p))
			err = s.fs.Failure()
		}
	}()
	number := s.witness.writes + 1
	setWrites(c.batch, number)
	feed := s.feed
	feed.behind = feed.behind && !c.caughtUp
	feed = feed.add(c.batch, number, c.changes)
	// What has to be done in memory is done while the disk syncs.
	err = s.db.ApplyNoSyncWait(c.batch, pebble.Sync)
	if err == nil {
		if c.written != nil {
			c.written()
		}
		err = c.batch.SyncWait()
	}
	if err != nil {
		s.fs.Fail(fmt.Errorf("write: %w", err))
	}
	// SyncWait also returns nil when the sync failed. failfs knew before.
	if err := s.fs.Failure(); err != nil {
		return err
	}
	if err := s.testify(number, c); err != nil {
		s.fs.Fail(fmt.Errorf("write: %w", err))
	}
	if err := s.fs.Failure(); err != nil { // also when failfs pretends
		return err
	}
	s.feed = feed
	s.quiet.wrote(time.Now(), c.soon)
	if c.synced != nil {
		c.synced()
	}
	s.publish(len(c.changes) > 0)
	return nil
}

// checkSpace sees a full disk before Pebble does: at this point it is certain that nothing was
// written.
func (s *Store) checkSpace(size, reserve uint64) error {
	if s.fs.Full() {
		return fmt.Errorf("%w in %s", store.ErrFull, s.dir)
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return nil
	case err != nil:
		// Nothing was written, but whether there is space is unknown: as good as none.
		return fmt.Errorf("%w: cannot see how much space is left in %s: %w", store.ErrFull, s.dir, err)
	case usage.AvailBytes < reserve+size:
		return fmt.Errorf("%w: %d MiB left in %s, of which %d MiB are kept in reserve", store.ErrFull, usage.AvailBytes>>20, s.dir, reserve>>20)
	}
	return nil
}
