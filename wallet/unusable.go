package wallet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ancre/internal/boltfile"

	"github.com/btcsuite/btcwallet/walletdb"
)

// ErrUnusable is wrapped while there is a wallet file that cannot be opened. Then no anchor can be
// paid. Nothing else needs the wallet.
var ErrUnusable = errors.New("the wallet cannot be opened")

// errOtherWallet is wrapped when a wallet file is not damaged, but of another network or of a newer
// program.
var errOtherWallet = errors.New("it is not a wallet of this ancred")

// remedyRestore says what to do about a damaged file. Only the words are needed.
const remedyRestore = "move this file to another place, then restore the wallet from its 24 words with `ancre wallet create --restore`"

// unusable says why a wallet file or its directory cannot be used, and what to do about it. It
// names the file only once, although the system's errors name it too.
func unusable(path string, err error) error {
	remedy := ""
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && !errors.Is(err, boltfile.ErrDamaged) {
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		remedy = "make it readable and writable for the user that ancred runs as, and start ancred again"
	case errors.Is(err, errOtherWallet):
		remedy = "start ancred with the network and the version that the wallet belongs to, or move this file to another place and create or restore a wallet"
	case errors.Is(err, boltfile.ErrInUse), err.Error() == "timeout": // bbolt's ErrTimeout, which walletdb returns unchanged
		err = boltfile.ErrInUse
		remedy = "stop the other ancred, and start this one again"
	default:
		remedy = remedyRestore
	}
	return fmt.Errorf("%w: %s: %w; %s", ErrUnusable, path, err, remedy)
}

// markUnusable makes an opened wallet unusable that turned out to be damaged. Its file stays open
// until Close, since calls may still be running.
func (w *Wallet) markUnusable(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unusable == nil {
		w.unusable = unusable(filepath.Join(w.cfg.Dir, databaseName), err)
		w.log.Error("no anchor can be paid until the wallet is restored", "err", w.unusable)
	}
}

// sumKey is the key, in our bucket, of the checksum of everything else in the file, as it was when
// the wallet was closed. The number of the transaction that wrote it stands before it. A later
// transaction makes it invalid, so a crash leaves no wrong checksum. The structure of the file is
// checked at each start anyway. The checksum also finds a flipped bit in a value, such as a key, an
// amount or an address.
const sumKey = "sum of all else"

// checkFile checks a wallet file before it is opened. warning is what the operator should know
// about a file that can be used.
func checkFile(path string) (warning string, err error) {
	info, err := boltfile.Check(path, boltfile.Options{Sum: true, Except: sumKey})
	if errors.Is(err, boltfile.ErrInUse) {
		return "", nil // opening the file waits for the other process
	}
	if err != nil {
		return "", err
	}
	if s := info.Except; len(s) == 8+len(info.Sum) && binary.BigEndian.Uint64(s) == info.Tx && [32]byte(s[8:]) != info.Sum {
		return "", fmt.Errorf("%w: its contents are not those that ancred wrote, as after a disk error", boltfile.ErrDamaged)
	}
	if info.FellBack {
		return "one of the two headers of the wallet file is damaged, as after a crash: its last change may be missing", nil
	}
	return "", nil
}

// writeSum writes the checksum into a closed file.
func writeSum(path string) error {
	info, err := boltfile.Check(path, boltfile.Options{Sum: true, Except: sumKey})
	if err != nil {
		return err
	}
	return boltfile.Protect(func() error {
		db, err := walletdb.Open("bdb", path, true, lockTimeout, false)
		if err != nil {
			return err
		}
		err = walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
			value := binary.BigEndian.AppendUint64(nil, info.Tx+1) // this transaction
			return tx.ReadWriteBucket(ourBucket).Put([]byte(sumKey), append(value, info.Sum[:]...))
		})
		return errors.Join(err, db.Close())
	})
}

// readAll reads the important parts of an opened wallet once, so that damage which would make
// btcwallet fail later is found now.
func (v *vault) readAll(leases *leases) error {
	if _, err := v.coins(leases); err != nil {
		return err
	}
	const newest = 1000 // transactions; so a wallet of many years starts as fast
	if _, err := v.history(newest, 0); err != nil {
		return err
	}
	return v.view(func(tx walletdb.ReadTx) error {
		ns := tx.ReadBucket(addressBucket)
		for _, branch := range []uint32{external, internal} {
			if _, _, err := v.unused(ns, branch); err != nil {
				return err
			}
		}
		_, err := v.scope.AccountProperties(ns, account)
		return err
	})
}
