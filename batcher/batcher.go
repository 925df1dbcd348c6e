// Package batcher is the heart of Ancre: digests in, batches sealed, anchors paid and followed to
// finality.
//
// It owns the state machine. What to do next is decided by one pure function, [Decide], from what
// is stored, what the chain shows and what the policy allows; the loops here only gather those
// facts, store the outcome and then perform it. Nothing in memory is truth: a start after a crash
// runs the same code as every other step.
//
// The promises, each with a test named after it:
//
//   - P1: an acknowledged digest is in exactly one batch, forever, over any crash.
//   - P2: given blocks and funds, every sealed batch becomes final.
//   - P3: all versions of an anchor spend a common coin: at most one is ever mined, nothing is paid
//     twice.
//   - P4: a complete proof verifies unless Bitcoin reorganises deeper than Policy.Confirmations.
//   - P5: no configured cap is ever exceeded; what a cap or an empty wallet holds up is said, and
//     sealing goes on.
//   - P6: killed anywhere and started again, it goes on where it was, blocks mined meanwhile
//     included.
package batcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/sync/errgroup"
)

// DefaultQueue is how many digests may wait for their group commit before [ErrBusy]: 32 MiB of
// digests and answers, and under a second's work for a disk that syncs 100 times a second.
const DefaultQueue = 1 << 16

// Config is what a Batcher is made of.
type Config struct {
	Store  store.Store
	Chain  Chain
	Wallet Wallet
	Policy decide.Policy
	URI    string // of the calendar that pending proofs point to
	Logger *slog.Logger
	Meters Meters

	Queue int              // digests that may wait for their commit; 0: DefaultQueue
	Tick  time.Duration    // how often the loops look without being woken; 0: DefaultTick
	Now   func() time.Time // nil: time.Now
}

// DefaultTick bounds how late anything is noticed that wakes nobody: a wallet that was funded, a
// clock that jumped.
const DefaultTick = 5 * time.Second

// Batcher accepts digests and brings them to finality while Run runs.
type Batcher struct {
	store   store.Store
	chain   Chain
	wallet  Wallet
	policy  decide.Policy
	uri     string
	log     *slog.Logger
	now     func() time.Time
	tick    time.Duration
	nonces  *proof.Noncer
	pending *proof.PendingWriter

	committer *committer
	infos     *cache[uint64, *batchInfo] // of sealed batches, by ID; forgotten by apply
	applying  sync.Mutex                 // one Apply at a time, see store.Store
	sealing   chan struct{}              // wakes the sealer: a batch was closed
	paying    chan struct{}              // wakes the payer: a batch was sealed
	sealed    *notifier                  // tells CloseBatch that something was sealed

	tip atomic.Int32 // height followed to; what confirmations are counted from
	// Owned by the payer, and gathered anew after a start.
	offered   map[uint64]decide.Offer
	missing   map[uint64]decide.Missing // coins of anchors in flight that are in no block
	missingAt store.Point               // the newest block when that was looked at
	taken     map[wire.OutPoint]bool    // coins that the wallet refused to spend
	takenAt   store.Point               // the newest block when it did
	damaged   map[uint64]bool           // batches that are not paid for, see check
	held      warning.Warning           // why something is not paid in this step

	board   warning.Board // what a person should be told
	started time.Time
	busy    [numLoops]atomic.Int64 // unix nanoseconds since which a loop is at work; 0: it waits
	tally   tally
}

// New makes a Batcher over a store that it reads its state from. Nothing runs before Run.
func New(cfg Config) (*Batcher, error) {
	pending, err := proof.NewPendingWriter(cfg.URI)
	if err != nil {
		return nil, fmt.Errorf("calendar URI %q: %w", cfg.URI, err)
	}
	b := &Batcher{
		store:   cfg.Store,
		chain:   cfg.Chain,
		wallet:  cfg.Wallet,
		policy:  cfg.Policy,
		uri:     cfg.URI,
		log:     cfg.Logger,
		now:     cfg.Now,
		tick:    cfg.Tick,
		nonces:  proof.NewNoncer(cfg.Store.Key()),
		pending: pending,
		sealing: make(chan struct{}, 1),
		paying:  make(chan struct{}, 1),
		sealed:  newNotifier(),
		offered: make(map[uint64]decide.Offer),
		missing: make(map[uint64]decide.Missing),
		taken:   make(map[wire.OutPoint]bool),
		damaged: make(map[uint64]bool),

		infos: newCache[uint64, *batchInfo](maxBatchInfos),
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.started = b.now()
	b.tally.begin(cfg.Meters, b.started)
	if b.tick == 0 {
		b.tick = DefaultTick
	}
	queue := cfg.Queue
	if queue == 0 {
		queue = DefaultQueue
	}
	ctx := context.Background()
	open, err := b.openBatch(ctx)
	if err != nil {
		return nil, err
	}
	cursor, err := b.store.Cursor(ctx)
	if err != nil {
		return nil, fmt.Errorf("read how far the chain was followed: %w", err)
	}
	b.setTip(cursor)
	b.committer = newCommitter(b, open, queue)
	return b, nil
}

// openBatch returns the batch that takes digests, or what the next one will be.
func (b *Batcher) openBatch(ctx context.Context) (store.Batch, error) {
	newest, err := b.store.Batches(ctx, 0, 1)
	switch {
	case err != nil:
		return store.Batch{}, fmt.Errorf("read the newest batch: %w", err)
	case len(newest) == 0:
		return store.Batch{ID: 1, State: store.Open}, nil
	case newest[0].State != store.Open:
		return nextBatch(newest[0]), nil
	}
	return newest[0], nil
}

// after returns the empty batch that follows another.
func nextBatch(b store.Batch) store.Batch {
	return store.Batch{ID: b.ID + 1, State: store.Open}
}

// Run accepts, seals, pays and follows until ctx ends. It returns nil then, and an error only when
// the process must not go on: a store whose state is unknown. Everything that was acknowledged is
// on disk in either case.
func (b *Batcher) Run(ctx context.Context) error {
	changed, stop := b.chain.Changes()
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.committer.run(ctx) })
	g.Go(func() error { return b.loop(ctx, sealer, b.sealing, nil, b.stepSeal) })
	g.Go(func() error {
		if err := b.leaseAll(ctx); err != nil {
			return err
		}
		return b.loop(ctx, payer, b.paying, changed, b.stepAnchor)
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// The loops, by the index of what is kept about each.
const (
	committing = iota
	sealer
	payer
	numLoops
)

var loopNames = [numLoops]string{"writing digests", "sealing batches", "following anchors"}

// loop runs step whenever it is woken, and at each tick. A step that fails is tried again at the
// next tick; only a failed store ends the loop.
func (b *Batcher) loop(ctx context.Context, which int, woken, changed <-chan struct{}, step func(context.Context) error) error {
	ticker := time.NewTicker(b.tick)
	defer ticker.Stop()
	failed := "" // what the step before failed with: said once
	for {
		b.setBusy(which, true)
		err := step(ctx)
		b.setBusy(which, false)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrFailed):
			return fmt.Errorf("%s: %w", loopNames[which], err)
		case err == nil && failed != "":
			failed = ""
			b.board.Clear(warning.Step)
		case err != nil && err.Error() != failed:
			failed = err.Error()
			b.log.Error("a step failed and will be tried again", "doing", loopNames[which], "err", err)
		}
		if known := (reason{}); err != nil && !errors.As(err, &known) {
			b.board.Set(warning.Step, fmt.Sprintf("%s failed and is tried again: %v", loopNames[which], err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-changed:
		case <-ticker.C:
		}
	}
}

func (b *Batcher) setBusy(which int, on bool) {
	var since int64
	if on {
		since = time.Now().UnixNano()
	}
	b.busy[which].Store(since)
}

// Stalled returns an error that names a loop which has been at one step for longer than limit, or
// nil: what a process supervisor's watchdog should be fed by.
func (b *Batcher) Stalled(limit time.Duration) error {
	for which := range b.busy {
		since := b.busy[which].Load()
		if since == 0 {
			continue
		}
		if d := time.Since(time.Unix(0, since)); d > limit {
			return fmt.Errorf("%s has made no progress for %s", loopNames[which], d.Round(time.Second))
		}
	}
	return nil
}

// apply writes one change of the loops.
func (b *Batcher) apply(ctx context.Context, u *store.Update) error {
	b.applying.Lock()
	defer b.applying.Unlock()
	if len(u.Batches) > 0 || len(u.Anchors) > 0 {
		defer b.infos.Invalidate() // also after an error: it may have happened
	}
	if err := b.store.Apply(ctx, u); err != nil {
		return err
	}
	if u.Cursor != nil {
		b.setTip(*u.Cursor)
	}
	return nil
}

func (b *Batcher) setTip(c store.Cursor) {
	if n := len(c.Points); n > 0 {
		b.tip.Store(c.Points[n-1].Height)
	}
}
