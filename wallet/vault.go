package wallet

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcwallet/waddrmgr"
	btcwallet "github.com/btcsuite/btcwallet/wallet"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the engine that walletdb opens by name
)

const (
	// databaseName is the one file of a wallet, in its directory.
	databaseName = "wallet.db"

	// lockTimeout is how long opening waits for another process that has the file open.
	lockTimeout = 5 * time.Second

	// syncRetry is how long btcwallet waits before it tries again to begin following the chain.
	syncRetry = 5 * time.Second

	// formatVersion is raised when an older program must not open the file any more.
	formatVersion = 1
)

// The buckets of wallet.db: two are btcwallet's, whose names it does not export; ours is beside them.
var (
	addressBucket = []byte("waddrmgr")
	txBucket      = []byte("wtxmgr")
	ourBucket     = []byte("ancre")

	versionKey   = []byte("version")   // formatVersion, big-endian
	networkKey   = []byte("network")   // chaincfg's name of it
	restoringKey = []byte("restoring") // there while coins are searched for; so a crash in between resumes the search
	leasesKey    = []byte("leases")    // bucket, see leases.go
)

// publicPassphrase is what btcwallet encrypts addresses with. It customarily is a constant: whoever reads the file knows
// the coins, but cannot spend them.
var publicPassphrase = []byte(btcwallet.InsecurePubPassphrase)

// vault is an opened wallet file.
type vault struct {
	db     walletdb.DB
	btc    *btcwallet.Wallet
	scope  *waddrmgr.ScopedKeyManager
	window uint32 // above 0: opened to search for coins

	macKey [32]byte // for unlockedBy, random per process

	// keys is held for reading by whoever reads addresses outside of a writing transaction, and for writing by unlock. btcwallet's
	// Unlock fills in what its derivations read, without a lock that both would take.
	keys       sync.RWMutex
	unlockedBy []byte // MAC of the passphrase that unlocked it, nil while locked; guarded by keys

	// held is the balance while unlock stretches a passphrase, nil else. It takes a second and more, and holds what every look at
	// a coin's address needs, and whoever asks how things stand is answered nevertheless.
	held atomic.Pointer[Balance]

	restoring atomic.Bool
}

// view reads the file.
func (v *vault) view(read func(tx walletdb.ReadTx) error) error {
	v.keys.RLock()
	defer v.keys.RUnlock()
	return walletdb.View(v.db, read)
}

// makeVault writes a new wallet file.
func makeVault(path string, network string, seed *masterKey, passphrase []byte, birthday time.Time, restoring bool) error {
	db, err := walletdb.Create("bdb", path, true, lockTimeout, false)
	if err != nil {
		return fmt.Errorf("make wallet file: %w", err)
	}
	err = btcwallet.CreateWithCallback(db, publicPassphrase, passphrase, seed.key, seed.params, birthday,
		func(tx walletdb.ReadWriteTx) error {
			b, err := tx.CreateTopLevelBucket(ourBucket)
			if err != nil {
				return err
			}
			if err := b.Put(versionKey, binary.BigEndian.AppendUint32(nil, formatVersion)); err != nil {
				return err
			}
			if err := b.Put(networkKey, []byte(network)); err != nil {
				return err
			}
			if _, err := b.CreateBucket(leasesKey); err != nil {
				return err
			}
			if restoring {
				return b.Put(restoringKey, []byte{1})
			}
			return nil
		})
	return errors.Join(err, db.Close()) // bbolt has synced the file
}

// openVault opens a wallet file, locked.
func (w *Wallet) openVault(path string) (_ *vault, err error) {
	db, err := walletdb.Open("bdb", path, true, lockTimeout, false)
	if err != nil {
		return nil, fmt.Errorf("open wallet %s (does another ancred use it?): %w", path, err)
	}
	v := &vault{db: db}
	defer func() {
		if err != nil {
			_ = v.close()
		}
	}()
	if _, err := rand.Read(v.macKey[:]); err != nil {
		return nil, err
	}

	err = walletdb.View(db, func(tx walletdb.ReadTx) error {
		b := tx.ReadBucket(ourBucket)
		if b == nil {
			return errors.New("not a wallet of ancre")
		}
		version := b.Get(versionKey)
		if len(version) != 4 {
			return errors.New("damaged: no version")
		}
		if n := binary.BigEndian.Uint32(version); n > formatVersion {
			return fmt.Errorf("written by a newer ancre (format %d, this one reads up to %d)", n, formatVersion)
		}
		if network := string(b.Get(networkKey)); network != w.cfg.Params.Name {
			return fmt.Errorf("it belongs to the network %s, not to %s", network, w.cfg.Params.Name)
		}
		v.restoring.Store(b.Get(restoringKey) != nil)
		return w.leases.load(b.NestedReadBucket(leasesKey))
	})
	if err != nil {
		return nil, fmt.Errorf("open wallet %s: %w", path, err)
	}

	if v.restoring.Load() {
		v.window = w.cfg.RecoveryWindow
	}
	ask := func() ([]byte, error) { return nil, errors.New("nobody to ask for a passphrase") }
	v.btc, err = btcwallet.OpenWithRetry(db, publicPassphrase,
		&waddrmgr.OpenCallbacks{ObtainSeed: ask, ObtainPrivatePass: ask}, w.cfg.Params, v.window, syncRetry)
	if err != nil {
		return nil, fmt.Errorf("open wallet %s: %w", path, err)
	}
	v.scope, err = v.btc.Manager.FetchScopedKeyManager(keyScope(w.cfg.Params))
	if err != nil {
		return nil, fmt.Errorf("open wallet %s: %w", path, err)
	}
	if relaxed, err := v.relax(); err != nil { // a full disk, for one: no reason to pay for no anchor
		w.log.Warn("the wallet file was written by an older ancre, and opens as slowly the next time", "file", path, "err", err)
	} else if relaxed {
		w.log.Info("the wallet file was written by an older ancre: from now on it opens without delay", "file", path)
	}
	return v, nil
}

// close closes the file. Nothing may use it any more.
func (v *vault) close() error {
	if v.btc != nil {
		v.btc.Manager.Close() // wipes the keys
	}
	return v.db.Close()
}

// locked reports whether keys can not be used. It never waits.
func (v *vault) locked() bool { return v.btc.Manager.IsLocked() }

// unlock checks the passphrase, and makes keys usable. btcwallet locks a wallet when it is given a wrong passphrase, also one that
// was unlocked; a typing error must not stop the anchors, so an unlocked one is not asked again.
func (v *vault) unlock(passphrase []byte, leases *leases) error {
	mac := hmac.New(sha256.New, v.macKey[:])
	mac.Write(passphrase)
	sum := mac.Sum(nil)

	// Nothing is written: as the one writer, it keeps btcwallet's own goroutines from deriving keys meanwhile.
	return walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		if v.locked() {
			if coins, err := v.coins(leases); err == nil { // else whoever asks waits, and gets the error
				b := balanceOf(coins)
				v.held.Store(&b)
				defer v.held.Store(nil)
			}
		}
		v.keys.Lock()
		defer v.keys.Unlock()
		if v.unlockedBy != nil {
			if !hmac.Equal(sum, v.unlockedBy) {
				return ErrWrongPassphrase
			}
			return nil
		}
		err := v.btc.Manager.Unlock(tx.ReadBucket(addressBucket), passphrase)
		switch {
		case waddrmgr.IsError(err, waddrmgr.ErrWrongPassphrase):
			return ErrWrongPassphrase
		case err != nil:
			return fmt.Errorf("unlock wallet: %w", err)
		}
		v.unlockedBy = sum
		return nil
	})
}

// endRestoring makes the next opening an ordinary one.
func (v *vault) endRestoring() error {
	err := walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		return tx.ReadWriteBucket(ourBucket).Delete(restoringKey)
	})
	if err == nil {
		v.restoring.Store(false)
	}
	return err
}
