package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"golang.org/x/sync/errgroup"
)

// Run follows the chain, once there is a wallet, until the context ends. It returns an error only
// if the process must be restarted: btcwallet does not stop, so it cannot be restarted alone.
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

// awaitVault waits until there is a wallet, and adds the caller to its followers. It returns nil if
// the context ends before.
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

// keepFollowing attaches the wallet to the light client, and restarts the synchronisation when it
// has died.
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
			w.log.Debug("the wallet does not answer", "err", err)
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

		if !w.mustRestart(&watch, f, v.restoring.Load()) {
			continue
		}
		next, err := w.restart(ctx, v, client, f.branch)
		if err != nil {
			client = nil // a second attempt to detach would just wait as long again
			return err
		}
		if next == nil {
			return nil
		}
		client = next
	}
}

// mustRestart reports whether the synchronisation must be restarted, and logs why.
func (w *Wallet) mustRestart(watch *watchdog, f following, restoring bool) bool {
	limit := w.cfg.StallAfter
	if restoring {
		limit = w.cfg.RestoreStallAfter
	}
	now := time.Now()
	switch stalled := watch.stalled(f, limit, now); {
	case f.branch > 0 && now.Sub(watch.leftBranch) >= limit: // if that does not help, it need not be repeated soon
		watch.leftBranch = now
		w.log.Warn("the wallet kept blocks that have left the chain: restarting its synchronisation below them", "height", f.branch)
		return true
	case stalled:
		w.log.Warn("the wallet has stopped following the chain: restarting its synchronisation", "height", f.height, "best", f.best)
		return true
	}
	return false
}

// restart detaches the wallet from the light client and attaches it again. If branch is above 0,
// the wallet forgets its blocks from there on in between. The new client is nil if the context ends
// before.
func (w *Wallet) restart(ctx context.Context, v *vault, old *client, branch int32) (*client, error) {
	if err := w.detach(v, old); err != nil {
		return nil, err
	}
	if branch > 0 {
		if err := v.stepBack(old.NeutrinoClient, branch); err != nil {
			w.log.Warn("the wallet could not go back, and may count coins of blocks that have left the chain", "err", err)
		}
	}
	next := w.attach(ctx, v)
	if next != nil {
		w.mu.Lock()
		w.follow.revivals++
		w.mu.Unlock()
	}
	return next, nil
}

// atTip does what needs a wallet that has processed all blocks.
func (w *Wallet) atTip(ctx context.Context, v *vault, client *client) {
	if v.restoring.Load() {
		if err := doWithTimeout(ctx, w, "end the restore", v.endRestoring); err != nil {
			w.log.Warn("the search for coins is done, but is repeated at the next start", "err", err)
		} else {
			w.log.Info("wallet restored: the search for coins is done")
		}
	}
	if !w.addressesUsed.CompareAndSwap(true, false) {
		return
	}
	fresh, err := withTimeout(ctx, w, "derive addresses", func() ([]address.Address, error) {
		fresh, err := v.topUp()
		if err == nil && len(fresh) > 0 {
			err = client.NotifyReceived(fresh) // fails if the rescan is dead; the next rescan follows them
		}
		return fresh, err
	})
	if err != nil {
		w.log.Debug("cannot follow new addresses yet", "err", err)
	} else if len(fresh) > 0 {
		w.log.Debug("follow new addresses", "count", len(fresh))
	}
}

// attach begins to follow the chain once the light client is synced. It returns nil if the context
// ends before. btcwallet waits for the light client too, except on development networks: there its
// rescan would reach the newest block while the light client is not synced, and the wallet would be
// synced only after the next block.
func (w *Wallet) attach(ctx context.Context, v *vault) *client {
	tick := time.NewTicker(lookOften)
	defer tick.Stop()
	for {
		if w.cfg.Chain.Synced() {
			c, err := w.tryAttach(ctx, v)
			if err == nil {
				return c
			}
			w.log.Debug("cannot follow the chain yet", "err", err)
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
		return nil, fmt.Errorf("cannot follow the chain: %w", err)
	}
	// btcwallet does this itself only for its own type of client. Older blocks are not searched.
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

// detach stops following the chain, whether the synchronisation is alive or dead. Keys stay
// unlocked.
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
		return fmt.Errorf("the wallet's synchronisation did not stop within %s: restart the daemon", w.cfg.StopTimeout)
	}
}
