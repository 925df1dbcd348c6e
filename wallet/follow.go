package wallet

import (
	"context"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
)

const (
	// lookOften is how often the wallet's height is compared with the light client's while the
	// wallet is catching up. lookSeldom is how often at other times.
	lookOften  = 100 * time.Millisecond
	lookSeldom = time.Second

	// tolerance is how long the wallet stays ready while it processes the newest block.
	tolerance = time.Minute
)

// following is the state of following the chain. Wallet.mu guards it.
type following struct {
	running  bool
	height   int32     // the wallet's
	best     int32     // the light client's
	synced   bool      // the light client is synced
	atTip    bool      // the wallet has processed the light client's newest block, and that is synced
	lastTip  time.Time // when the wallet was last at the tip; zero: never since the start
	revivals int

	hashAt  func(height int64) (*chainhash.Hash, error) // of the light client
	checked chainhash.Hash                              // the newest block when the wallet's blocks were last all on the active chain
	branch  int32                                       // the lowest block of the wallet that is not on the active chain; 0: there is none
}

// Revivals returns how often a dead synchronisation has been restarted since the start.
func (w *Wallet) Revivals() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.follow.revivals
}

// behind returns nil if the wallet has processed the newest block, or had until a moment ago.
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
		return fmt.Errorf("%w: at block %d of %d, and its blocks from %d on have left the chain", ErrSyncing, f.height, f.best, f.branch)
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
	seen, err := withTimeout(ctx, w, "look at the wallet's height", func() (view, error) {
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
				s.atTip, s.branch = false, 0 // the chain moved during the comparison
			}
		}
		return s, nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &w.follow
	if err != nil {
		f.atTip = f.atTip && ctx.Err() != nil // if the caller gave up, nothing is known to have changed
		return *f, err
	}
	f.height, f.best, f.synced, f.branch = seen.height, seen.best, seen.synced, seen.branch
	f.atTip = seen.atTip && seen.branch == 0 && f.running
	if f.atTip {
		f.lastTip, f.checked = time.Now(), seen.hash
	}
	return *f, nil
}

// stillAt reports whether a block is the newest one of the chain and of the wallet. If so, what the
// caller has read of both fits together.
func (w *Wallet) stillAt(v *vault, block chainhash.Hash) bool {
	_, tip, err := w.cfg.Chain.Best()
	return err == nil && tip == block && v.btc.Manager.SyncedTo().Hash == block
}

// awaitTip waits until the wallet has processed the newest block. Coins that were chosen before
// that may be spent already.
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
