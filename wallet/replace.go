package wallet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrUsed is wrapped when a wallet is not replaced because it is, or may be, in use.
var ErrUsed = errors.New("the wallet is not replaced")

// mayCreate checks whether a wallet may be created now. It returns the one that must be replaced,
// if there is one.
func (w *Wallet) mayCreate(ctx context.Context, replace bool) (old *vault, err error) {
	v, err := w.current()
	switch {
	case errors.Is(err, ErrNoWallet):
		return nil, nil
	case errors.Is(err, ErrUnusable):
		if _, lerr := os.Lstat(filepath.Join(w.cfg.Dir, databaseName)); !errors.Is(lerr, fs.ErrNotExist) {
			return nil, err
		}
		w.mu.Lock()
		old := w.vault // not nil if it became unusable after it had been opened
		w.mu.Unlock()
		if old != nil {
			return nil, fmt.Errorf("%w; then restart ancred before you restore it", err)
		}
		return nil, os.MkdirAll(w.cfg.Dir, 0o700)
	case err != nil:
		return nil, err
	case !replace:
		return nil, ErrExists
	}
	return v, w.neverUsed(ctx, v)
}

// neverUsed returns nil if nothing was ever paid to the wallet, as far as it has followed the
// chain.
func (w *Wallet) neverUsed(ctx context.Context, v *vault) error {
	return doWithTimeout(ctx, w, "look for transactions", func() error {
		if v.restoring.Load() {
			return fmt.Errorf("%w: it was restored, and is still searching for its coins", ErrUsed)
		}
		list, err := v.history(1, 0)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return fmt.Errorf("%w: it has been used, as transaction %s shows", ErrUsed, list[0].TxID)
		}
		if n := len(w.leases.snapshot()); n > 0 {
			return fmt.Errorf("%w: anchors in flight spend %d of its coins", ErrUsed, n)
		}
		return nil
	})
}

// retire closes a wallet that was never used, and renames its file. bringBack undoes that.
func (w *Wallet) retire(ctx context.Context, v *vault) (bringBack func(), err error) {
	// No payment may be built meanwhile.
	if err := w.spend.acquire(ctx); err != nil {
		return nil, err
	}
	defer w.spend.release()
	if err := w.neverUsed(ctx, v); err != nil { // creating the new one took seconds
		return nil, err
	}
	w.mu.Lock()
	w.vault, w.opened = nil, make(chan struct{})
	w.follow = following{revivals: w.follow.revivals}
	w.mu.Unlock()
	close(v.retired)
	v.followers.Wait() // for StopTimeout at most, see detach
	if err := w.closeVault(v); err != nil {
		return nil, fmt.Errorf("cannot close the old wallet: %w", err)
	}
	bringBack = func() {
		if again, err := w.openDir(); err == nil && again != nil {
			w.adopt(again)
		} else if err != nil {
			w.mu.Lock()
			w.unusable = err
			w.mu.Unlock()
		}
	}
	aside, err := moveAside(v.path)
	if err != nil {
		bringBack()
		return nil, fmt.Errorf("cannot rename the old wallet: %w", err)
	}
	w.log.Warn("replacing a wallet that was never used; its file is kept", "file", aside)
	return func() {
		if err := os.Rename(aside, v.path); err != nil {
			w.log.Error("cannot rename the old wallet back", "file", aside, "err", err)
		}
		bringBack()
	}, nil
}

// moveAside gives a file a new name that no other file has.
func moveAside(path string) (aside string, err error) {
	for t := time.Now().UTC(); ; t = t.Add(time.Second) {
		aside = path + ".replaced-" + t.Format("20060102T150405Z")
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, os.Rename(path, aside)
		} else if err != nil {
			return "", err
		}
	}
}
