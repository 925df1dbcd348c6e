package batcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ancre/batcher/store"
	"ancre/proof"
)

// errStopping is returned for digests that come while the daemon stops.
var errStopping = fmt.Errorf("%w: the daemon is stopping", ErrReadOnly)

// Submit accepts digests: when it returns nil, each is on disk for ever, in exactly one batch, and the answer says where,
// in their order. A digest that was accepted before keeps its place, and its present state is returned. It is all or
// nothing. Errors: ErrBusy, or one that wraps ErrReadOnly.
//
// When ctx ends first, the digests may or may not have been accepted; submitting them again is always safe.
func (b *Batcher) Submit(ctx context.Context, digests [][32]byte) ([]Status, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	leaves := make([]store.Leaf, len(digests))
	out := make([]Status, len(digests))
	for i, d := range digests {
		nonce := b.nonces.Nonce(d[:])
		leaves[i] = proof.Leaf(d[:], nonce)
		out[i] = Status{Digest: d, Nonce: nonce}
	}
	s, err := b.accept(ctx, leaves)
	if err != nil {
		return nil, err
	}
	memo := make(map[uint64]Where, 1)
	for i := range out {
		out[i].Position = s.at[i]
		if s.at[i].Batch >= s.open {
			out[i].Where = Where{State: Open}
			continue
		}
		w, ok := memo[s.at[i].Batch]
		if !ok {
			batch, err := b.store.Batch(ctx, s.at[i].Batch)
			if err != nil {
				return nil, fmt.Errorf("read batch %d: %w", s.at[i].Batch, err)
			}
			if w, err = b.where(ctx, batch); err != nil {
				return nil, err
			}
			memo[batch.ID] = w
		}
		out[i].Where = w
	}
	return out, nil
}

// MaxMessage is the longest message that is accepted, in bytes. It is the reference calendar server's limit: clients send the digest of a
// hash function that they know, or the root of a tree of such digests.
const MaxMessage = 64

// SubmitMessage accepts one message of 0 to [MaxMessage] bytes as Submit accepts digests; one of 32 bytes is the same thing as that
// digest. It appends to dst the serialized timestamp of the message, which ends at our calendar's promise: what a calendar answers.
//
// Errors are those of Submit, and one for a message that is too long.
func (b *Batcher) SubmitMessage(ctx context.Context, dst, message []byte) ([]byte, error) {
	if len(message) > MaxMessage {
		return dst, fmt.Errorf("the message is %d bytes long, at most %d are allowed", len(message), MaxMessage)
	}
	nonce := b.nonces.Nonce(message)
	if _, err := b.accept(ctx, []store.Leaf{proof.Leaf(message, nonce)}); err != nil {
		return dst, err
	}
	return b.pending.AppendTimestamp(dst, nonce), nil
}

// accept hands leaves to the committer and waits until each has its place on disk.
func (b *Batcher) accept(ctx context.Context, leaves []store.Leaf) (*submission, error) {
	s := &submission{leaves: leaves, done: make(chan error, 1)}
	if err := b.committer.enqueue(s); err != nil {
		return nil, err
	}
	select {
	case err := <-s.done:
		return s, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// submission is digests that one caller brought together, on their way through the committer.
type submission struct {
	leaves []store.Leaf
	at     []store.Position // set before done
	open   uint64           // the batch that was open after the commit, set before done
	done   chan error       // one value, buffered
}

// committer writes everything that waits as one synced group, so that the cost of a sync is shared by all who wait
// for it: alone, a caller waits for one sync; in a crowd the groups grow.
//
// It owns the open batch. Close requests pass through it, so no lock is held while the disk works.
type committer struct {
	b     *Batcher
	limit int
	open  store.Batch // owned by run

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
	c := &committer{b: b, limit: limit, open: open, wakeup: make(chan struct{}, 1)}
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
	// A submission larger than the queue is taken when nothing else waits: it must not be refused for ever.
	if c.waiting > 0 && c.waiting+len(s.leaves) > c.limit {
		c.b.tally.busy.Add(1)
		return ErrBusy
	}
	c.waiting += len(s.leaves)
	c.queue = append(c.queue, s)
	wake(c.wakeup)
	return nil
}

// close closes the open batch and returns its ID; 0 when it has no digest, or is not the one asked for by only.
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
		s.done <- err
	}
	c.mu.Lock()
	c.waiting -= n
	c.mu.Unlock()
}

// commit gives each new leaf of the group its place and writes them. No answer is given before the sync is over.
func (c *committer) commit(group []*submission) error {
	if len(group) == 0 {
		return nil
	}
	began := time.Now()
	ctx := context.Background() // a started write is finished, whoever stops waiting for it
	n := 0
	for _, s := range group {
		n += len(s.leaves)
	}
	all := make([]store.Leaf, 0, n)
	for _, s := range group {
		all = append(all, s.leaves...)
	}
	found, err := c.b.store.Find(ctx, all)
	if err != nil {
		return c.failed(fmt.Errorf("look digests up: %w", err))
	}

	a := &store.Append{Leaves: make([]store.Leaf, 0, n), At: make([]store.Position, 0, n)}
	open := c.open
	now := c.b.now().UTC()
	fresh := make(map[store.Leaf]store.Position, n)
	for i, leaf := range all {
		if found[i].Batch != 0 {
			continue
		}
		if at, twice := fresh[leaf]; twice {
			found[i] = at
			continue
		}
		if open.Count == 0 {
			open.Opened = now
		}
		at := store.Position{Batch: open.ID, Index: open.Count}
		open.Count++
		fresh[leaf], found[i] = at, at
		a.Leaves = append(a.Leaves, leaf)
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
		c.b.worry(worryStore, "")
		if full {
			wake(c.b.sealing)
		}
	}
	c.b.tally.committed(n, len(a.Leaves), time.Since(began))
	for _, s := range group {
		s.at, found = found[:len(s.leaves):len(s.leaves)], found[len(s.leaves):]
		s.open = c.open.ID
	}
	return nil
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
	c.b.worry(worryStore, err.Error())
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

// openFor returns how long the open batch has taken digests: the wall clock counts the time before a restart, the
// monotonic one goes on when the wall clock is set back.
func (c *committer) openFor() time.Duration {
	c.openedMu.Lock()
	defer c.openedMu.Unlock()
	if c.opened.id == 0 {
		return 0
	}
	now := c.b.now()
	return max(now.Sub(c.opened.seen), now.Round(0).Sub(c.opened.wall))
}
