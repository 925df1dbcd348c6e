package batcher

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"ancre/batcher/store"
	"ancre/internal/warning"
	"ancre/proof"
)

// errStopping is returned for digests that come while the daemon stops.
var errStopping = fmt.Errorf("%w: the daemon is stopping", ErrReadOnly)

// SubmitEach accepts digests: when it returns nil, each is on disk for ever, in exactly one batch,
// and answer was called once for each, in their order, with where it is. A digest that was accepted
// before keeps its place, and its present state is told. It is all or nothing: with an error, what
// answer was told counts for nothing. Errors: ErrBusy, or one that wraps ErrReadOnly.
//
// answer must not keep what it is called with: the next state takes its place. The digests are not
// kept.
//
// When ctx ends first, the digests may or may not have been accepted; submitting them again is
// always safe.
func (b *Batcher) SubmitEach(ctx context.Context, digests [][32]byte, answer func(*Status)) error {
	if len(digests) == 0 {
		return nil
	}
	s := b.committer.submission()
	s.nonces, s.leaves = slices.Grow(s.nonces, len(digests)), slices.Grow(s.leaves, len(digests))
	for i := range digests {
		nonce := b.nonces.Nonce(digests[i][:])
		s.nonces = append(s.nonces, nonce)
		s.leaves = append(s.leaves, proof.Leaf(digests[i][:], nonce))
	}
	if err := b.committer.accept(ctx, s); err != nil {
		return err
	}
	defer b.committer.release(s)
	var sealed map[uint64]Progress // of digests that were there before
	for i := range digests {
		st := &s.status
		*st = Status{Digest: digests[i], Nonce: s.nonces[i], Position: s.at[i], Progress: Progress{State: Open}, New: s.isNew(s.at[i])}
		if st.Position.Batch < s.open {
			w, ok := sealed[st.Position.Batch]
			if !ok {
				stands, err := b.stand(ctx, st.Position.Batch)
				if err != nil {
					return err
				}
				if w = b.whereNow(stands); sealed == nil {
					sealed = make(map[uint64]Progress)
				}
				sealed[st.Position.Batch] = w
			}
			st.Progress = w
		}
		answer(st)
	}
	return nil
}

// AppendPending appends to dst the pending proof, in base64, of a digest that was accepted. It
// touches no disk.
func (b *Batcher) AppendPending(dst []byte, st *Status) []byte {
	return b.pending.AppendBase64(dst, &st.Digest, &st.Nonce)
}

// MaxMessage is the longest message that is accepted, in bytes. It is the reference calendar
// server's limit: clients send the digest of a hash function that they know, or the root of a tree
// of such digests.
const MaxMessage = 64

// SubmitMessage accepts one message of 0 to [MaxMessage] bytes as Submit accepts digests; one of 32
// bytes is the same thing as that digest. It appends to dst the serialized timestamp of the
// message, which ends at our calendar's promise: what a calendar answers.
//
// Errors are those of Submit, and one for a message that is too long.
func (b *Batcher) SubmitMessage(ctx context.Context, dst, message []byte) ([]byte, error) {
	if len(message) > MaxMessage {
		return dst, fmt.Errorf("the message is %d bytes long, at most %d are allowed", len(message), MaxMessage)
	}
	nonce := b.nonces.Nonce(message)
	s := b.committer.submission()
	s.leaves = append(s.leaves, proof.Leaf(message, nonce))
	if err := b.committer.accept(ctx, s); err != nil {
		return dst, err
	}
	b.committer.release(s)
	return b.pending.AppendTimestamp(dst, nonce), nil
}

// submission is digests that one caller brought together, on their way through the committer. The
// caller's until enqueue, and again from done on.
type submission struct {
	leaves []store.Leaf
	nonces [][32]byte       // of each, where the caller wants to know
	at     []store.Position // set before done
	open   uint64           // the batch that was open after the commit, set before done
	from   store.Position   // where the commit put its first new digest, set before done
	done   chan error       // one value, buffered
	status Status           // the caller's memory for its answers
}

// keepLeaves is the largest submission whose memory is kept for the next: that of a submitbatch of
// 1,000, of 64 KiB.
const keepLeaves = 1024

// isNew reports whether a digest at a position came with this commit: positions only grow.
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

// release gives back a submission whose answer was received: nobody else refers to it.
func (c *committer) release(s *submission) {
	if cap(s.leaves) > keepLeaves {
		return
	}
	s.leaves, s.nonces, s.at, s.status = s.leaves[:0], s.nonces[:0], nil, Status{}
	c.spare.Put(s)
}

// accept hands leaves to the committer and waits until each has its place on disk. With an error, s
// is lost: it may still be written.
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

// committer writes everything that waits as one synced group, so that the cost of a sync is shared
// by all who wait for it: alone, a caller waits for one sync; in a crowd the groups grow.
//
// It owns the open batch. Close requests pass through it, so no lock is held while the disk works.
type committer struct {
	b     *Batcher
	limit int
	spare *sync.Pool  // of *submission; apart, because the runtime holds on to a pool until the second collection after its last use
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
	seen time.Time // with the monotonic reading of this process: since when it has known of the batch
}

// closeRequest asks for the open batch to be closed; if only is not 0, for no other than that.
type closeRequest struct {
	only   uint64
	answer chan closeAnswer // buffered
}

type closeAnswer struct {
	id  uint64 // 0: nothing was open
	err error
}

func newCommitter(b *Batcher, open store.Batch, limit int) *committer {
	c := &committer{b: b, spare: new(sync.Pool), limit: limit, open: open, wakeup: make(chan struct{}, 1)}
	c.noteOpened()
	return c
}

// enqueue hands a submission to the committer, which answers on s.done.
func (c *committer) enqueue(s *submission) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errStopping
	}
	// A submission larger than the queue is taken when nothing else waits: it must not be refused
	// for ever.
	if c.waiting > 0 && c.waiting+len(s.leaves) > c.limit {
		c.b.tally.busy.Add(1)
		return ErrBusy
	}
	c.waiting += len(s.leaves)
	c.queue = append(c.queue, s)
	wake(c.wakeup)
	return nil
}

// close closes the open batch and returns its ID; 0 when it has no digest, or is not the one asked
// for by only.
func (c *committer) close(ctx context.Context, only uint64) (uint64, error) {
	answer := make(chan closeAnswer, 1)
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return 0, errStopping
	}
	c.closes = append(c.closes, closeRequest{only, answer})
	wake(c.wakeup)
	c.mu.Unlock()
	select {
	case a := <-answer:
		return a.id, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// take returns all that waits.
func (c *committer) take() ([]*submission, []closeRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	group, closes := c.queue, c.closes
	c.queue, c.closes = nil, nil
	return group, closes
}

// run writes groups until ctx ends; what waits then is still written.
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

// drain writes what waits, and returns an error only when the store has failed.
func (c *committer) drain() error {
	for {
		group, closes := c.take()
		if len(group) == 0 && len(closes) == 0 {
			return nil
		}
		c.b.working(committing, true)
		err := c.commit(group)
		c.finish(group, err)
		for _, r := range closes {
			id, cerr := c.closeOpen(r.only)
			r.answer <- closeAnswer{id, cerr}
			err = errors.Join(err, cerr)
		}
		c.b.working(committing, false)
		if errors.Is(err, store.ErrFailed) {
			return err
		}
	}
}

// refuse answers all that came between the last drain and the stop.
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
	c.waiting -= n // first: who is answered finds the room that was taken free again
	c.mu.Unlock()
	for _, s := range group {
		s.done <- err
	}
}

// commit gives each new leaf of the group its place and writes them. No answer is given before the
// sync is over.
func (c *committer) commit(group []*submission) error {
	if len(group) == 0 {
		return nil
	}
	began := time.Now()
	ctx := context.Background() // a started write is finished, whoever stops waiting for it
	g := &c.group
	defer g.reset()
	for _, s := range group {
		g.leaves = append(g.leaves, s.leaves...)
	}
	found, err := c.b.store.Find(ctx, g.leaves)
	if err != nil {
		return c.failed(fmt.Errorf("look digests up: %w", err))
	}

	a := &g.add
	open := c.open
	from := store.Position{Batch: open.ID, Index: open.Count}
	now := c.b.now().UTC()
	g.twins.begin(len(g.leaves))
	for i := range g.leaves {
		if found[i].Batch != 0 {
			continue
		}
		if first := g.twins.first(g.leaves, i); first != i {
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
			open = after(open)
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
			wake(c.b.sealing)
		}
	}
	c.b.tally.committed(len(g.leaves), len(a.Leaves), time.Since(began))
	for _, s := range group {
		s.at, found = found[:len(s.leaves):len(s.leaves)], found[len(s.leaves):]
		s.open, s.from = c.open.ID, from
	}
	return nil
}

// group is the memory that one group commit needs, used again for the next.
type group struct {
	leaves []store.Leaf // all that came, in order
	add    store.Append // what of it is new
	twins  twins
}

// keepGroup is the largest group whose memory is kept, of 3 MiB: twice what sixteen submitbatches
// of 1,000 bring.
const keepGroup = 1 << 15

func (g *group) reset() {
	if cap(g.leaves) > keepGroup {
		*g = group{}
		return
	}
	g.leaves = g.leaves[:0]
	g.add = store.Append{Leaves: g.add.Leaves[:0], At: g.add.At[:0], Batches: g.add.Batches[:0]}
}

// twins finds leaves that come twice in a group: a hash table with open addressing, at most half
// full. Leaves are SHA-256 of what only the store's key tells, so their bytes serve as hashes, and
// nobody can choose them to collide.
type twins struct {
	slots []uint32 // 1 + the index of a leaf, 0: none
}

// begin prepares for a group of n leaves.
func (t *twins) begin(n int) {
	size := 2 << bits.Len(uint(n)) // a power of two, more than twice n
	if size > cap(t.slots) {
		t.slots = make([]uint32, size)
		return
	}
	t.slots = t.slots[:size]
	clear(t.slots)
}

// first returns the index of the first leaf of the group that is the same as the one at i: i
// itself, when it is new.
func (t *twins) first(leaves []store.Leaf, i int) int {
	last := uint64(len(t.slots) - 1)
	for at := binary.LittleEndian.Uint64(leaves[i][:]) & last; ; at = (at + 1) & last {
		switch same := int(t.slots[at]) - 1; {
		case same < 0:
			t.slots[at] = uint32(i + 1)
			return i
		case leaves[same] == leaves[i]:
			return same
		}
	}
}

func closed(b store.Batch, now time.Time) store.Batch {
	b.State, b.Closed = store.Closed, now
	return b
}

// closeOpen does what close promises. An empty batch is not sealed.
func (c *committer) closeOpen(only uint64) (uint64, error) {
	if c.open.Count == 0 || only != 0 && only != c.open.ID {
		return 0, nil
	}
	batch := closed(c.open, c.b.now().UTC())
	if err := c.b.store.Append(context.Background(), &store.Append{Batches: []store.Batch{batch}}); err != nil {
		return 0, c.failed(fmt.Errorf("close batch %d: %w", batch.ID, err))
	}
	c.setOpen(after(batch))
	wake(c.b.sealing)
	return batch.ID, nil
}

// failed says loudly that nothing was accepted.
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

// openFor returns how long the open batch has taken digests: the wall clock counts the time before
// a restart, the monotonic one goes on when the wall clock is set back.
func (c *committer) openFor() time.Duration {
	c.openedMu.Lock()
	defer c.openedMu.Unlock()
	if c.opened.id == 0 {
		return 0
	}
	now := c.b.now()
	return max(now.Sub(c.opened.seen), now.Round(0).Sub(c.opened.wall))
}
