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

// ErrUsed is wrapped by the refusal to replace a wallet that is in use, or may be.
var ErrUsed = errors.New("the wallet is not replaced")

// mayCreate says whether a wallet may be made now, and returns the one that has to make room for
// it.
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
		old := w.vault // it became unusable when it was open already
		w.mu.Unlock()
		if old != nil {
			return nil, fmt.Errorf("%w; then start ancred again before you restore it", err)
		}
		return nil, os.MkdirAll(w.cfg.Dir, 0o700)
	case err != nil:
		return nil, err
	case !replace:
		return nil, ErrExists
	}
	return v, w.neverUsed(ctx, v)
}

// neverUsed returns nil when nothing was ever paid to the wallet, as far as the chain was followed.
func (w *Wallet) neverUsed(ctx context.Context, v *vault) error {
	_, err := guard(ctx, w, "look for transactions", func() (struct{}, error) {
		if v.restoring.Load() {
			return struct{}{}, fmt.Errorf("%w: it was restored, and its coins are searched for", ErrUsed)
		}
		list, err := v.history(1, 0)
		if err != nil {
			return struct{}{}, err
		}
		if len(list) > 0 {
			return struct{}{}, fmt.Errorf("%w: it was used already, transaction %s is one of its own", ErrUsed, list[0].TxID)
		}
		if n := len(w.leases.snapshot()); n > 0 {
			return struct{}{}, fmt.Errorf("%w: anchors in flight spend %d of its coins", ErrUsed, n)
		}
		return struct{}{}, nil
	})
	return err
}

// retire takes a wallet that was never used out of service, and moves its file aside. bringBack
// undoes that.
func (w *Wallet) retire(ctx context.Context, v *vault) (bringBack func(), err error) {
	// Nobody may build a payment meanwhile.
	if err := w.spend.acquire(ctx); err != nil {
		return nil, err
	}
	defer w.spend.release()
	if err := w.neverUsed(ctx, v); err != nil { // making the new one took seconds
		return nil, err
	}
	w.mu.Lock()
	w.vault, w.opened = nil, make(chan struct{})
	w.follow = following{revivals: w.follow.revivals}
	w.mu.Unlock()
	close(v.retired)
	v.followers.Wait() // as long as StopTimeout at most, see detach
	if err := w.closeVault(v); err != nil {
		return nil, fmt.Errorf("close the old wallet: %w", err)
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
		return nil, fmt.Errorf("move the old wallet: %w", err)
	}
	w.log.Warn("a wallet that was never used makes room for another; its file is kept", "file", aside)
	return func() {
		if err := os.Rename(aside, v.path); err != nil {
			w.log.Error("the old wallet could not be moved back", "file", aside, "err", err)
		}
		bringBack()
	}, nil
}

// moveAside renames a file to a name that is not taken.
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
