package wallet

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"ancre/internal/boltfile"

	"github.com/btcsuite/btcwallet/waddrmgr"
	btcwallet "github.com/btcsuite/btcwallet/wallet"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the engine that walletdb opens by name
)

const (
	// databaseName is the one file of a wallet, in its directory.
	databaseName = "wallet.db"

	// lockTimeout is how long opening waits until another process has closed the file.
	lockTimeout = 5 * time.Second

	// syncRetry is btcwallet's pause before it tries again to follow the chain.
	syncRetry = 5 * time.Second

	// formatVersion is raised when older programs can no longer use the file.
	formatVersion = 1
)

// The buckets of wallet.db. Two of them are btcwallet's, which does not export their names; the
// third is ours.
var (
	addressBucket = []byte("waddrmgr")
	txBucket      = []byte("wtxmgr")
	ourBucket     = []byte("ancre")

	versionKey   = []byte("version")   // formatVersion, big-endian
	networkKey   = []byte("network")   // chaincfg's name of it
	restoringKey = []byte("restoring") // exists while a restore searches for coins, so that it continues after a crash
	leasesKey    = []byte("leases")    // bucket, see leases.go
)

// publicPassphrase is the passphrase with which btcwallet encrypts addresses. By custom it is a
// constant: somebody who reads the file learns the coins, but cannot spend them.
var publicPassphrase = []byte(btcwallet.InsecurePubPassphrase)

// vault is an opened wallet file.
type vault struct {
	path   string
	db     walletdb.DB
	btc    *btcwallet.Wallet
	scope  *waddrmgr.ScopedKeyManager
	window uint32 // the recovery window if it was opened to search for coins, else 0

	macKey [32]byte // for unlockedBy; random in each process

	// keys is locked for reading by all code that reads addresses outside of a writing transaction,
	// and for writing by unlock. btcwallet's Unlock writes what its derivations read, without a
	// lock of its own for both.
	keys       sync.RWMutex
	unlockedBy []byte // MAC of the passphrase that unlocked it; nil: locked; guarded by keys

	// balanceMeanwhile is the balance while unlock stretches a passphrase, and else nil. Stretching
	// takes a second or more, and blocks every read of a coin's address. Balance answers from here
	// meanwhile.
	balanceMeanwhile atomic.Pointer[Balance]

	restoring atomic.Bool

	followers sync.WaitGroup // Run, while it works with this file; counted under Wallet.mu
	retired   chan struct{}  // closed when Run must stop working with this file
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
		return fmt.Errorf("cannot create the wallet file: %w", err)
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

// openVault checks a wallet file and opens it, locked.
func (w *Wallet) openVault(path string) (*vault, error) {
	warning, err := checkFile(path)
	if err != nil {
		return nil, err
	}
	if warning != "" {
		w.log.Warn(warning, "file", path)
	}
	v := &vault{path: path, retired: make(chan struct{})}
	if _, err := rand.Read(v.macKey[:]); err != nil {
		return nil, err
	}
	err = boltfile.Protect(func() error { return w.open(v) })
	if err == nil {
		err = boltfile.Protect(func() error { return v.readAll(&w.leases) })
	}
	if err != nil {
		_ = boltfile.Protect(v.close)
		return nil, err
	}
	if converted, err := v.weakenPublicStretch(); err != nil { // for example on a full disk; anchors can be paid nevertheless
		w.log.Warn("the wallet file was written by an older ancre, and the next start will be as slow", "file", path, "err", err)
	} else if converted {
		w.log.Info("the wallet file was written by an older ancre: it has been converted, and later starts will be faster", "file", path)
	}
	return v, nil
}

// open opens the vault's file.
func (w *Wallet) open(v *vault) (err error) {
	if v.db, err = walletdb.Open("bdb", v.path, true, lockTimeout, false); err != nil {
		v.db = nil // it is an interface with a nil pointer in it
		return err
	}
	err = walletdb.View(v.db, func(tx walletdb.ReadTx) error {
		b := tx.ReadBucket(ourBucket)
		if b == nil {
			return fmt.Errorf("%w: another program wrote it", errOtherWallet)
		}
		version := b.Get(versionKey)
		if len(version) != 4 {
			return fmt.Errorf("%w: no version", boltfile.ErrDamaged)
		}
		if n := binary.BigEndian.Uint32(version); n > formatVersion {
			return fmt.Errorf("%w: a newer ancre wrote it (format %d, this one reads up to %d)", errOtherWallet, n, formatVersion)
		}
		if network := string(b.Get(networkKey)); network != w.cfg.Params.Name {
			return fmt.Errorf("%w: it belongs to the network %s, not to %s", errOtherWallet, network, w.cfg.Params.Name)
		}
		v.restoring.Store(b.Get(restoringKey) != nil)
		return w.leases.load(b.NestedReadBucket(leasesKey))
	})
	if err != nil {
		return err
	}

	if v.restoring.Load() {
		v.window = w.cfg.RecoveryWindow
		w.log.Info("the wallet is being restored: searching the chain for its coins", "file", v.path)
	}
	ask := func() ([]byte, error) { return nil, errors.New("there is nobody to ask for a passphrase") }
	v.btc, err = btcwallet.OpenWithRetry(v.db, publicPassphrase,
		&waddrmgr.OpenCallbacks{ObtainSeed: ask, ObtainPrivatePass: ask}, w.cfg.Params, v.window, syncRetry)
	if err != nil {
		return fmt.Errorf("%w: %w", boltfile.ErrDamaged, err)
	}
	v.scope, err = v.btc.Manager.FetchScopedKeyManager(keyScope(w.cfg.Params))
	if err != nil {
		return fmt.Errorf("%w: %w", boltfile.ErrDamaged, err)
	}
	return nil
}

// close closes the file. Nothing may use it afterwards.
func (v *vault) close() error {
	if v.btc != nil {
		v.btc.Manager.Close() // wipes the keys
	}
	if v.db == nil {
		return nil
	}
	return v.db.Close()
}

// closeVault closes the file for good, and writes a checksum of its contents into it.
func (w *Wallet) closeVault(v *vault) error {
	if err := boltfile.Protect(v.close); err != nil {
		return err
	}
	if err := writeSum(v.path); err != nil { // the next start then finds fewer faults
		w.log.Debug("cannot write the checksum of the wallet file", "file", v.path, "err", err)
	}
	return nil
}

// locked reports whether the keys cannot be used. It never waits.
func (v *vault) locked() bool { return v.btc.Manager.IsLocked() }

// unlock checks the passphrase, and makes keys usable. btcwallet locks a wallet when it is given a
// wrong passphrase, also one that was unlocked; a typing error must not stop the anchors, so an
// unlocked one is not asked again.
//
// repaired tells that the file was encrypted with a garbled form of the passphrase, and now is with
// the passphrase itself: see garbled.
func (v *vault) unlock(passphrase []byte, leases *leases) (repaired bool, err error) {
	sum := v.macOf(passphrase)

	// Mostly nothing is written: as the one writer, it keeps btcwallet's own goroutines from
	// deriving keys meanwhile.
	err = walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		if v.locked() {
			defer v.holdBalance(leases)()
		}
		v.keys.Lock()
		defer v.keys.Unlock()
		if v.unlockedBy != nil {
			if !hmac.Equal(sum, v.unlockedBy) {
				return ErrWrongPassphrase
			}
			return nil
		}
		ns := tx.ReadWriteBucket(addressBucket)
		err := v.btc.Manager.Unlock(ns, passphrase)
		if old := garbled(passphrase); old != nil && waddrmgr.IsError(err, waddrmgr.ErrWrongPassphrase) {
			if err = v.btc.Manager.ChangePassphrase(ns, old, passphrase, true, &waddrmgr.DefaultScryptOptions); err == nil {
				repaired = true
				err = v.btc.Manager.Unlock(ns, passphrase)
			}
		}
		switch {
		case waddrmgr.IsError(err, waddrmgr.ErrWrongPassphrase):
			return ErrWrongPassphrase
		case err != nil:
			return fmt.Errorf("unlock wallet: %w", err)
		}
		v.unlockedBy = sum
		return nil
	})
	return repaired && err == nil, err
}

// garbled returns what an older ancre made of a passphrase that is not UTF-8: on the way through
// JSON, each invalid byte became U+FFFD. The wallet was encrypted with the result. So other
// passphrases opened it too, and a passphrase_file did not. The first time that the true passphrase
// is given, the wallet is encrypted with it, and from then on nothing else opens it. garbled
// returns nil for a passphrase that is UTF-8.
func garbled(passphrase []byte) []byte {
	if utf8.Valid(passphrase) {
		return nil
	}
	return []byte(string([]rune(string(passphrase))))
}

// endRestoring notes that the search for coins is done, so that the next start does not search.
func (v *vault) endRestoring() error {
	err := walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		return tx.ReadWriteBucket(ourBucket).Delete(restoringKey)
	})
	if err == nil {
		v.restoring.Store(false)
	}
	return err
}
