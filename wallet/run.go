package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"golang.org/x/sync/errgroup"
)

const (
	// lookOften and lookSeldom are how often the wallet's height is compared with the light
	// client's, while it is catching up and else.
	lookOften  = 100 * time.Millisecond
	lookSeldom = time.Second

	// tolerance is how long Ready overlooks that the newest block is being taken in.
	tolerance = time.Minute
)

// following is how the wallet follows the chain; under Wallet.mu.
type following struct {
	running  bool
	height   int32     // the wallet's
	best     int32     // the light client's
	synced   bool      // the light client is
	atTip    bool      // the wallet has seen the light client's newest block, which is the network's
	lastTip  time.Time // when it last was at the tip; zero: never since the start
	revivals int

	hashAt  func(height int64) (*chainhash.Hash, error) // of the light client
	checked chainhash.Hash                              // the newest block when the wallet's blocks were last found to be on the active chain
	branch  int32                                       // the lowest of those that are not; 0: none was seen
}

// Revivals is how often a dead synchronisation was revived since the start.
func (w *Wallet) Revivals() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.follow.revivals
}

// behind returns nil when the wallet has seen the newest block, or had until a moment ago.
func (w *Wallet) behind() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.follow
	if f.atTip || !f.lastTip.IsZero() && time.Since(f.lastTip) < tolerance {
		return nil
	}
	return f.syncing()
}

func (f following) syncing() error {
	if f.branch > 0 {
		return fmt.Errorf("%w: at block %d of %d, and what it took in from %d on left the chain", ErrSyncing, f.height, f.best, f.branch)
	}
	if f.height >= f.best {
		return fmt.Errorf("%w: at block %d, and the light client is not synced", ErrSyncing, f.height)
	}
	return fmt.Errorf("%w: at block %d of %d", ErrSyncing, f.height, f.best)
}

// observe compares the wallet with the light client.
func (w *Wallet) observe(ctx context.Context, v *vault) (following, error) {
	type view struct {
		height, best  int32
		synced, atTip bool
		hash          chainhash.Hash
		branch        int32
	}
	w.mu.Lock()
	hashAt, checked := w.follow.hashAt, w.follow.checked
	w.mu.Unlock()
	seen, err := guard(ctx, w, "look at the wallet's height", func() (view, error) {
		best, hash, err := w.cfg.Chain.Best()
		if err != nil {
			return view{}, err
		}
		at := v.btc.Manager.SyncedTo()
		synced := w.cfg.Chain.Synced()
		s := view{height: at.Height, best: best, synced: synced, hash: hash}
		// ChainSynced alone stays true after the rescan has died.
		s.atTip = synced && v.btc.ChainSynced() && at.Hash == hash && hashAt != nil
		if s.atTip && hash != checked {
			if s.branch, err = v.branch(hashAt); err != nil {
				return view{}, err
			}
			if !w.stillAt(v, hash) {
				s.atTip, s.branch = false, 0 // what was compared does not fit together
			}
		}
		return s, nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &w.follow
	if err != nil {
		f.atTip = f.atTip && ctx.Err() != nil // who gives up asking has learnt nothing
		return *f, err
	}
	f.height, f.best, f.synced, f.branch = seen.height, seen.best, seen.synced, seen.branch
	f.atTip = seen.atTip && seen.branch == 0 && f.running
	if f.atTip {
		f.lastTip, f.checked = time.Now(), seen.hash
	}
	return *f, nil
}

// stillAt reports whether a block is the newest, and the wallet has seen it: what was read of both
// before fits together if so.
func (w *Wallet) stillAt(v *vault, block chainhash.Hash) bool {
	_, tip, err := w.cfg.Chain.Best()
	return err == nil && tip == block && v.btc.Manager.SyncedTo().Hash == block
}

// awaitTip waits until the wallet has seen the newest block: coins chosen before that may be spent
// already.
func (w *Wallet) awaitTip(ctx context.Context) error {
	v, err := w.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()
	tick := time.NewTicker(lookOften)
	defer tick.Stop()
	for {
		f, err := w.observe(ctx, v)
		if err == nil && f.atTip {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f.syncing()
		}
	}
}

// Run follows the chain until the context ends, from when there is a wallet. It returns an error
// only when the process should be started anew: btcwallet can not be made to stop, so it can not be
// revived either.
func (w *Wallet) Run(ctx context.Context) error {
	if err := w.calls.begin(); err != nil {
		return err
	}
	defer w.calls.end()
	for ctx.Err() == nil {
		v := w.awaitVault(ctx)
		if v == nil {
			return nil
		}
		err := w.runVault(ctx, v)
		v.followers.Done()
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitVault waits until there is a wallet, and counts the caller among its followers. It returns
// nil when the context ends before.
func (w *Wallet) awaitVault(ctx context.Context) *vault {
	for {
		w.mu.Lock()
		v, opened := w.vault, w.opened
		if v != nil {
			v.followers.Add(1)
		}
		w.mu.Unlock()
		if v != nil {
			return v
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil
		}
	}
}

// runVault follows the chain with one wallet, until it is replaced or the context ends.
func (w *Wallet) runVault(ctx context.Context, v *vault) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-v.retired:
			cancel()
		case <-ctx.Done():
		}
		return nil
	})
	g.Go(func() error { return w.keepFollowing(ctx, v) })
	g.Go(func() error { w.keepOffering(ctx, v); return nil })
	return g.Wait()
}

// keepFollowing attaches the wallet to the light client and watches that it moves.
func (w *Wallet) keepFollowing(ctx context.Context, v *vault) (err error) {
	changed, stop := w.cfg.Chain.Changes()
	defer stop()

	client := w.attach(ctx, v)
	if client == nil {
		return nil
	}
	defer func() {
		if client != nil {
			err = errors.Join(err, w.detach(v, client))
		}
	}()

	watch := watchdog{since: time.Now()}
	var left time.Time // when it was last made to leave a branch
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-timer.C:
		}
		f, err := w.observe(ctx, v)
		if err != nil {
			w.log.Debug("wallet does not answer", "err", err)
		}
		if f.height != watch.height {
			w.addressesUsed.Store(true)
		}
		if f.atTip {
			w.atTip(ctx, v, client)
		}
		if f.synced && !f.atTip {
			timer.Reset(lookOften)
		} else {
			timer.Reset(lookSeldom)
		}

		limit := w.cfg.StallAfter
		if v.restoring.Load() {
			limit = w.cfg.RestoreStallAfter
		}
		switch stalled := watch.stalled(f, limit, time.Now()); {
		case f.branch > 0 && time.Since(left) >= limit: // should that not help, it is no use to hurry
			left = time.Now()
			w.log.Warn("the wallet took in blocks that left the chain, and did not step back: reviving it from there", "height", f.branch)
		case stalled:
			w.log.Warn("the wallet stopped following the chain: reviving it", "height", f.height, "best", f.best)
		default:
			continue
		}
		if err := w.detach(v, client); err != nil {
			client = nil // a second attempt would only wait as long again
			return err
		}
		if f.branch > 0 {
			if err := v.stepBack(client.NeutrinoClient, f.branch); err != nil {
				w.log.Warn("the wallet may count what left the chain", "err", err)
			}
		}
		next := w.attach(ctx, v)
		if next == nil {
			return nil
		}
		client = next
		w.mu.Lock()
		w.follow.revivals++
		w.mu.Unlock()
	}
}

// atTip does what needs a wallet that has seen everything.
func (w *Wallet) atTip(ctx context.Context, v *vault, client *client) {
	if v.restoring.Load() {
		_, err := guard(ctx, w, "end the restore", func() (struct{}, error) { return struct{}{}, v.endRestoring() })
		if err != nil {
			w.log.Warn("the search for coins is done, but will be repeated at the next start", "err", err)
		} else {
			w.log.Info("wallet restored: the search for coins is done")
		}
	}
	if !w.addressesUsed.CompareAndSwap(true, false) {
		return
	}
	fresh, err := guard(ctx, w, "derive addresses", func() ([]address.Address, error) {
		fresh, err := v.topUp()
		if err == nil && len(fresh) > 0 {
			err = client.NotifyReceived(fresh) // fails when the rescan is dead; the revived one will follow them
		}
		return fresh, err
	})
	if err != nil {
		w.log.Debug("could not follow new addresses yet", "err", err)
	} else if len(fresh) > 0 {
		w.log.Debug("follow new addresses", "count", len(fresh))
	}
}

// watchdog notices that the wallet stays behind without moving.
type watchdog struct {
	height int32
	since  time.Time // it last moved, or was at the tip
	tries  int       // revivals without any movement since
}

// stalled reports whether the synchronisation is to be revived. A revival that did not help is
// repeated after twice the time, then after four times: whatever keeps blocks away may last, and
// each try costs some.
func (d *watchdog) stalled(f following, limit time.Duration, now time.Time) bool {
	switch {
	case f.atTip || f.height != d.height:
		d.tries = 0
		fallthrough
	case !f.synced:
		// The wallet waits for the light client, and rightly.
		d.height, d.since = f.height, now
		return false
	case now.Sub(d.since) < limit<<min(d.tries, 2):
		return false
	}
	d.tries++
	d.since = now
	return true
}

// attach begins to follow the chain once the light client is synced. btcwallet waits for that too,
// except on development networks; there its rescan would come to the newest block, find that the
// light client is not sure of it yet, and call itself synced only at the block after. It returns
// nil when the context ends before.
func (w *Wallet) attach(ctx context.Context, v *vault) *client {
	tick := time.NewTicker(lookOften)
	defer tick.Stop()
	for {
		if w.cfg.Chain.Synced() {
			c, err := w.tryAttach(ctx, v)
			if err == nil {
				return c
			}
			w.log.Debug("can not follow the chain yet", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Wallet) tryAttach(ctx context.Context, v *vault) (*client, error) {
	c := newClient(w.cfg.Chain.WalletChain(), v, w.log, w.offerSoon)
	if err := c.Start(ctx); err != nil {
		return nil, fmt.Errorf("follow the chain: %w", err)
	}
	// btcwallet does this itself for its own type alone. Blocks older than that are not looked
	// into.
	c.SetStartTime(v.btc.Manager.Birthday())
	v.btc.SetChainSynced(false)
	v.btc.Start()
	v.btc.SynchronizeRPC(c)

	w.mu.Lock()
	w.follow.running = true
	w.follow.hashAt = c.GetBlockHash
	w.mu.Unlock()
	return c, nil
}

// detach ends following the chain, whether it lives or is dead. Keys stay unlocked.
func (w *Wallet) detach(v *vault, c *client) error {
	w.mu.Lock()
	w.follow.running = false
	w.follow.atTip = false
	w.mu.Unlock()

	stopped := make(chan struct{})
	w.calls.another()
	go func() {
		defer w.calls.end()
		defer close(stopped)
		v.btc.Stop()
		c.WaitForShutdown()
		v.btc.WaitForShutdown()
	}()
	select {
	case <-stopped:
		return nil
	case <-time.After(w.cfg.StopTimeout):
		return fmt.Errorf("the wallet's synchronisation does not stop within %s: start the daemon again", w.cfg.StopTimeout)
	}
}
