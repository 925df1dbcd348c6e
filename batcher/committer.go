package batcher

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"ancre/batcher/store"
	"ancre/internal/wake"
	"ancre/internal/warning"
)

// errStopping refuses digests that come while the daemon stops.
var errStopping = fmt.Errorf("%w: the daemon is stopping", ErrReadOnly)

// committer writes all waiting submissions as one synced group, so that they share the cost of a
// sync. A single caller waits for one sync; with many callers the groups grow.
//
// It owns the open batch. Requests to close it pass through the committer too, so no lock is held
// during a write.
type committer struct {
	b     *Batcher
	limit int
	spare *sync.Pool  // of *submission; a pointer, as the runtime keeps a pool until the second collection after its last use
	open  store.Batch // owned by run
	group group       // owned by run

	mu       sync.Mutex
	queue    []*submission
	waiting  int // leaves in queue and in the group being written
	closes   []closeRequest
	stopped  bool
	wakeup   chan struct{}
	openedMu sync.Mutex
	opened   openedBatch
}

// openedBatch is when the open batch took its first digest, on both clocks.
type openedBatch struct {
	id   uint64
	wall time.Time // as stored
	seen time.Time // when this process first knew of the batch, with its monotonic reading
}

// closeRequest asks to close the open batch. If only is not 0, it asks to close that batch alone.
type closeRequest struct {
	only   uint64
	answer chan closeAnswer // buffered
}

type closeAnswer struct {
	id  uint64 // 0: nothing was closed
	err error
}

func newCommitter(b *Batcher, open store.Batch, limit int) *committer {
	c := &committer{b: b, spare: new(sync.Pool), limit: limit, open: open, wakeup: wake.New()}
	c.noteOpened()
	return c
}

// submission holds the digests of one call on their way through the committer. The caller owns it
// until enqueue, and again after done.
type submission struct {
	leaves []store.Leaf
	nonces [][32]byte       // of each leaf, if the caller needs them
	at     []store.Position // set before done
	open   uint64           // the batch that was open after the commit, set before done
	from   store.Position   // the position of the commit's first new digest, set before done
	done   chan error       // one value, buffered
	status Status           // where the caller writes its answers
}

// keepLeaves is the largest submission whose memory is reused, in leaves: that of a submitbatch of
// 1,000 takes 64 KiB.
const keepLeaves = 1024

// isNew reports whether the digest at a position is new with this commit. Positions only grow.
func (s *submission) isNew(at store.Position) bool {
	return at.Batch > s.from.Batch || at.Batch == s.from.Batch && at.Index >= s.from.Index
}

// submission returns an empty one.
func (c *committer) submission() *submission {
	if s, ok := c.spare.Get().(*submission); ok {
		return s
	}
	return &submission{done: make(chan error, 1)}
}

// release reuses a submission. Only the caller that received its answer may call it: nothing else
// refers to the submission then.
func (c *committer) release(s *submission) {
	if cap(s.leaves) > keepLeaves {
		return
	}
	s.leaves, s.nonces, s.at, s.status = s.leaves[:0], s.nonces[:0], nil, Status{}
	c.spare.Put(s)
}

// accept hands leaves to the committer and waits until each has its place on disk. After an error
// the caller must not reuse s: the committer may still write it.
func (c *committer) accept(ctx context.Context, s *submission) error {
	if err := c.enqueue(s); err != nil {
		return err
	}
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enqueue hands a submission to the committer, which will answer on s.done.
func (c *committer) enqueue(s *submission) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errStopping
	}
	// If nothing else waits, a submission larger than the queue is taken too. Otherwise it would
	// always be refused.
	if c.waiting > 0 && c.waiting+len(s.leaves) > c.limit {
		c.b.tally.busy.Add(1)
		return ErrBusy
	}
	c.waiting += len(s.leaves)
	c.queue = append(c.queue, s)
	wake.Up(c.wakeup)
	return nil
}

// close closes the open batch and returns its ID. It returns 0 if the batch has no digest, or if
// only is not 0 and another batch is open.
func (c *committer) close(ctx context.Context, only uint64) (uint64, error) {
	answer := make(chan closeAnswer, 1)
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return 0, errStopping
	}
	c.closes = append(c.closes, closeRequest{only, answer})
	wake.Up(c.wakeup)
	c.mu.Unlock()
	select {
	case a := <-answer:
		return a.id, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// take returns all waiting submissions and close requests.
func (c *committer) take() ([]*submission, []closeRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	group, closes := c.queue, c.closes
	c.queue, c.closes = nil, nil
	return group, closes
}

// run writes groups until ctx ends. It still writes what waits then.
func (c *committer) run(ctx context.Context) error {
	for {
		err := c.drain()
		if err == nil && ctx.Err() == nil {
			select {
			case <-c.wakeup:
				continue
			case <-ctx.Done():
			}
		}
		c.mu.Lock()
		c.stopped = true
		c.mu.Unlock()
		if err == nil {
			err = c.drain()
		}
		c.refuse(errors.Join(errStopping, err))
		if err != nil {
			return err
		}
		return ctx.Err()
	}
}

// drain writes what waits. It returns an error only if the store has failed.
func (c *committer) drain() error {
	for {
		group, closes := c.take()
		if len(group) == 0 && len(closes) == 0 {
			return nil
		}
		c.b.setBusy(committing, true)
		err := c.commit(group)
		c.finish(group, err)
		for _, r := range closes {
			id, cerr := c.closeOpen(r.only)
			r.answer <- closeAnswer{id, cerr}
			err = errors.Join(err, cerr)
		}
		c.b.setBusy(committing, false)
		if errors.Is(err, store.ErrFailed) {
			return err
		}
	}
}

// refuse answers what came between the last drain and the stop.
func (c *committer) refuse(err error) {
	group, closes := c.take()
	c.finish(group, err)
	for _, r := range closes {
		r.answer <- closeAnswer{0, err}
	}
}

func (c *committer) finish(group []*submission, err error) {
	if err != nil {
		c.b.tally.readOnly.Add(uint64(len(group)))
	}
	n := 0
	for _, s := range group {
		n += len(s.leaves)
	}
	c.mu.Lock()
	c.waiting -= n // before the answers: a caller that has its answer finds its room free again
	c.mu.Unlock()
	for _, s := range group {
		s.done <- err
	}
}

// commit gives each new leaf of the group its position and writes them. When it returns, they are
// synced.
func (c *committer) commit(group []*submission) error {
	if len(group) == 0 {
		return nil
	}
	began := time.Now()
	ctx := context.Background() // a write that began is finished, even if its callers stop waiting
	g := &c.group
	defer g.reset()
	for _, s := range group {
		g.leaves = append(g.leaves, s.leaves...)
	}
	found, err := c.b.store.Find(ctx, g.leaves)
	if err != nil {
		return c.failed(fmt.Errorf("look up digests: %w", err))
	}

	a := &g.add
	open := c.open
	from := store.Position{Batch: open.ID, Index: open.Count}
	now := c.b.now().UTC()
	g.set.reset(len(g.leaves))
	for i := range g.leaves {
		if found[i].Batch != 0 {
			continue
		}
		if first := g.set.first(g.leaves, i); first != i {
			found[i] = found[first]
			continue
		}
		if open.Count == 0 {
			open.Opened = now
		}
		at := store.Position{Batch: open.ID, Index: open.Count}
		open.Count++
		found[i] = at
		a.Leaves = append(a.Leaves, g.leaves[i])
		a.At = append(a.At, at)
		if open.Count >= c.b.policy.MaxDigests {
			a.Batches = append(a.Batches, closed(open, now))
			open = nextBatch(open)
		}
	}
	if len(a.Leaves) > 0 {
		full := len(a.Batches) > 0
		if open.Count > 0 {
			a.Batches = append(a.Batches, open)
		}
		if err := c.b.store.Append(ctx, a); err != nil {
			return c.failed(fmt.Errorf("write digests: %w", err))
		}
		c.setOpen(open)
		c.b.board.Clear(warning.Store)
		if full {
			wake.Up(c.b.sealing)
		}
	}
	c.b.tally.committed(len(g.leaves), len(a.Leaves), time.Since(began))
	for _, s := range group {
		s.at, found = found[:len(s.leaves):len(s.leaves)], found[len(s.leaves):]
		s.open, s.from = c.open.ID, from
	}
	return nil
}

// group is the memory of one group commit. The next one reuses it.
type group struct {
	leaves []store.Leaf // of all submissions, in order
	add    store.Append // the new ones among them
	set    leafSet
}

// keepGroup is the largest group whose memory is reused, in leaves. It takes 3 MiB, twice the size
// of sixteen submitbatches of 1,000.
const keepGroup = 1 << 15

func (g *group) reset() {
	if cap(g.leaves) > keepGroup {
		*g = group{}
		return
	}
	g.leaves = g.leaves[:0]
	g.add = store.Append{Leaves: g.add.Leaves[:0], At: g.add.At[:0], Batches: g.add.Batches[:0]}
}

// leafSet finds leaves that occur twice in a group. It is a hash table with open addressing, at
// most half full. Leaves are SHA-256 hashes that depend on the store's key, so their own bytes
// serve as hash values, and an attacker cannot make them collide.
type leafSet struct {
	slots []uint32 // 1 + the index of a leaf; 0: empty
}

// reset prepares for a group of n leaves.
func (t *leafSet) reset(n int) {
	size := 2 << bits.Len(uint(n)) // a power of two, more than twice n
	if size > cap(t.slots) {
		t.slots = make([]uint32, size)
		return
	}
	t.slots = t.slots[:size]
	clear(t.slots)
}

// first returns the index of the first leaf of the group that equals the leaf at i: i itself if
// there is none before it.
func (t *leafSet) first(leaves []store.Leaf, i int) int {
	mask := uint64(len(t.slots) - 1)
	for at := binary.LittleEndian.Uint64(leaves[i][:]) & mask; ; at = (at + 1) & mask {
		switch same := int(t.slots[at]) - 1; {
		case same < 0:
			t.slots[at] = uint32(i + 1)
			return i
		case leaves[same] == leaves[i]:
			return same
		}
	}
}

// closed returns an open batch as it is after it was closed.
func closed(b store.Batch, now time.Time) store.Batch {
	b.State, b.Closed = store.Closed, now
	return b
}

// closeOpen closes the open batch, see close.
func (c *committer) closeOpen(only uint64) (uint64, error) {
	if c.open.Count == 0 || only != 0 && only != c.open.ID {
		return 0, nil
	}
	batch := closed(c.open, c.b.now().UTC())
	if err := c.b.store.Append(context.Background(), &store.Append{Batches: []store.Batch{batch}}); err != nil {
		return 0, c.failed(fmt.Errorf("close batch %d: %w", batch.ID, err))
	}
	c.setOpen(nextBatch(batch))
	wake.Up(c.b.sealing)
	return batch.ID, nil
}

// failed raises a warning that the store refuses digests, and returns err as ErrReadOnly.
func (c *committer) failed(err error) error {
	err = fmt.Errorf("%w: %w", ErrReadOnly, err)
	c.b.warn(warning.Store, err.Error())
	return err
}

func (c *committer) setOpen(open store.Batch) {
	c.open = open
	c.noteOpened()
}

func (c *committer) noteOpened() {
	c.openedMu.Lock()
	defer c.openedMu.Unlock()
	if c.open.Count == 0 {
		c.opened = openedBatch{}
	} else if c.opened.id != c.open.ID {
		c.opened = openedBatch{id: c.open.ID, wall: c.open.Opened.Round(0), seen: c.b.now()}
	}
}

// openFor returns how long the open batch has taken digests. The wall clock counts the time before
// a restart too; the monotonic clock keeps running when the wall clock is set back. The longer of
// the two counts.
func (c *committer) openFor() time.Duration {
	c.openedMu.Lock()
	defer c.openedMu.Unlock()
	if c.opened.id == 0 {
		return 0
	}
	now := c.b.now()
	return max(now.Sub(c.opened.seen), now.Round(0).Sub(c.opened.wall))
}
