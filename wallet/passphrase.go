package wallet

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// ErrPassphrase is wrapped when a new passphrase is refused.
var ErrPassphrase = errors.New("the passphrase is refused")

// checkPassphrase refuses a new passphrase that is too short.
func checkPassphrase(passphrase []byte) error {
	if n := utf8.RuneCount(passphrase); n < MinPassphrase {
		return fmt.Errorf("%w: it has %d characters, at least %d are needed", ErrPassphrase, n, MinPassphrase)
	}
	return nil
}

// ChangePassphrase encrypts the keys on disk with another passphrase. A wallet that is unlocked
// stays so, and a locked one stays locked. For a wrong old passphrase it returns
// [ErrWrongPassphrase] and changes nothing.
//
// The change is one transaction on the disk: over any crash, the wallet opens with the old
// passphrase or with the new one, and once ChangePassphrase has returned nil, with the new one
// alone. If the call runs out of time, the change may still be made.
func (w *Wallet) ChangePassphrase(ctx context.Context, old, new []byte) error {
	v, err := w.current()
	if err != nil {
		return err
	}
	if err := checkPassphrase(new); err != nil {
		return err
	}
	if bytes.Equal(old, new) {
		return fmt.Errorf("%w: it is the old one", ErrPassphrase)
	}
	// The caller may wipe its slices when ChangePassphrase returns early.
	from, to := bytes.Clone(old), bytes.Clone(new)
	err = doWithTimeout(ctx, w, "change the passphrase", func() error {
		defer clear(from)
		defer clear(to)
		return v.changePassphrase(from, to, &w.leases)
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: it may still be changed: try the new passphrase, then the old one", err)
	case err != nil:
		return err
	}
	w.log.Info("the wallet's passphrase was changed")
	return nil
}

// macOf is what the vault remembers of the passphrase that unlocked it.
func (v *vault) macOf(passphrase []byte) []byte {
	mac := hmac.New(sha256.New, v.macKey[:])
	mac.Write(passphrase)
	return mac.Sum(nil)
}

// holdBalance has Balance answer without reading, until the returned function is called. Stretching
// a passphrase keeps away all who read.
func (v *vault) holdBalance(leases *leases) (end func()) {
	coins, err := v.coins(leases)
	if err != nil { // a caller of Balance waits, and gets the error
		return func() {}
	}
	b := balanceOf(coins)
	v.balanceMeanwhile.Store(&b)
	return func() { v.balanceMeanwhile.Store(nil) }
}

// changePassphrase is one transaction. While it lasts, nobody reads or derives keys: see unlock.
func (v *vault) changePassphrase(old, new []byte, leases *leases) error {
	changed := false // in memory
	holds := false
	defer func() {
		if holds {
			v.keys.Unlock()
		}
	}()
	err := walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		defer v.holdBalance(leases)()
		v.keys.Lock()
		holds = true
		if v.unlockedBy != nil && !hmac.Equal(v.macOf(old), v.unlockedBy) {
			return ErrWrongPassphrase
		}
		err := v.reencrypt(tx, old, new)
		if past := garbled(old); past != nil && errors.Is(err, ErrWrongPassphrase) {
			err = v.reencrypt(tx, past, new)
		}
		changed = err == nil
		return err
	})
	switch {
	case err != nil && changed:
		// It is not on the disk, for example because that is full. btcwallet has changed what it
		// holds in memory, so it has to change that back: in a transaction that is not kept.
		errNotKept := errors.New("not kept")
		undone := walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
			return errors.Join(errNotKept, v.reencrypt(tx, new, old))
		})
		if errors.Is(undone, ErrWrongPassphrase) || !errors.Is(undone, errNotKept) {
			return fmt.Errorf("the passphrase is not changed, and ancred has to be restarted: %w", err)
		}
		return fmt.Errorf("the passphrase is not changed: %w", err)
	case err == nil && v.unlockedBy != nil:
		v.unlockedBy = v.macOf(new)
	}
	return err
}

// reencrypt has btcwallet encrypt the keys with another passphrase.
func (v *vault) reencrypt(tx walletdb.ReadWriteTx, old, new []byte) error {
	err := v.btc.Manager.ChangePassphrase(tx.ReadWriteBucket(addressBucket), old, new, true, &waddrmgr.DefaultScryptOptions)
	if waddrmgr.IsError(err, waddrmgr.ErrWrongPassphrase) {
		return ErrWrongPassphrase
	}
	if err != nil {
		return fmt.Errorf("encrypt the keys: %w", err)
	}
	return nil
}
