// Package batcher is the heart of Ancre: it takes digests, seals batches, pays for anchors and
// follows them until they are final.
//
// It owns the state machine. One pure function, [decide.Next], decides what to do next, from what
// is stored, what the chain shows and what the policy allows. The loops here gather these facts,
// store the outcome and then perform it. The store alone holds the truth: a start after a crash
// runs the same code as every other step.
//
// The promises, each with a test named after it:
//
//   - P1: an acknowledged digest is in exactly one batch, forever, over any crash.
//   - P2: given blocks and funds, every sealed batch becomes final.
//   - P3: all versions of an anchor spend a common coin, so that at most one is ever mined and
//     nothing is paid twice.
//   - P4: a complete proof verifies unless Bitcoin reorganises deeper than Policy.Confirmations.
//   - P5: no configured cap is ever exceeded. If a cap or an empty wallet delays a batch, a warning
//     says so, and sealing goes on.
//   - P6: killed anywhere and started again, it continues where it was, and follows the blocks that
//     were mined meanwhile.
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
	"ancre/internal/wake"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/sync/errgroup"
)

// DefaultQueue is how many digests may wait for their group commit before [ErrBusy]: 32 MiB of
// digests and answers, and under a second's work for a disk that syncs 100 times a second.
const DefaultQueue = 1 << 16

// Config is what New needs.
type Config struct {
	Store  store.Store
	Chain  Chain
	Wallet Wallet
	Policy decide.Policy
	URI    string // of the calendar that pending proofs point to
	Logger *slog.Logger
	Meters Meters

	Queue int              // digests that may wait for their commit; 0: DefaultQueue
	Tick  time.Duration    // how often the loops run without being woken; 0: DefaultTick
	Now   func() time.Time // nil: time.Now
}

// DefaultTick bounds how late the loops notice what does not wake them: a wallet that was funded, a
// clock that jumped.
const DefaultTick = 5 * time.Second

// Batcher accepts digests and anchors them while Run runs.
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
	infos     *cache[uint64, *batchInfo] // of sealed batches, by ID; suspended by apply
	applying  sync.Mutex                 // one Apply at a time, see store.Store
	sealing   chan struct{}              // wakes the sealer: a batch was closed
	paying    chan struct{}              // wakes the payer: a batch was sealed
	sealed    *notifier                  // for CloseBatch: a batch was sealed

	tip atomic.Int32 // height of the newest followed block, from which confirmations are counted
	// Owned by the payer, and empty after a start.
	offered   map[uint64]decide.Offer
	missing   map[uint64]decide.Missing // coins of anchors in flight that are in no block
	missingAt store.Point               // the newest block when the wallet was asked for them
	taken     map[wire.OutPoint]bool    // coins that the wallet refused to spend
	takenAt   store.Point               // the newest block when it refused
	damaged   map[uint64]bool           // batches that are not paid for, see checkRoot
	held      warning.Warning           // why something is not paid in this step

	board   warning.Board // what the operator should be told
	started time.Time
	busy    [numLoops]atomic.Int64 // unix nanoseconds since when a loop has been at work; 0: it waits
	tally   tally
}

// New creates a Batcher that continues from the state in the store. Nothing runs before Run.
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
		sealing: wake.New(),
		paying:  wake.New(),
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

// openBatch returns the batch that takes digests, or the empty batch that will be the next.
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

// nextBatch returns the empty batch that follows another.
func nextBatch(b store.Batch) store.Batch {
	return store.Batch{ID: b.ID + 1, State: store.Open}
}

// Run accepts, seals, pays and follows until ctx ends, and then returns nil. It returns an error
// only if the process must not continue, because the state of the store is unknown. In both cases
// all acknowledged digests are on disk.
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

// apply writes an update of the loops.
func (b *Batcher) apply(ctx context.Context, u *store.Update) error {
	b.applying.Lock()
	defer b.applying.Unlock()
	if len(u.Batches) > 0 || len(u.Anchors) > 0 {
		defer b.infos.Suspend()() // after an error too: the write may have happened
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
