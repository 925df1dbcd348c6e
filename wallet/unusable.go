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

// ErrUnusable is wrapped while there is a wallet file that cannot be opened. No anchor can be paid
// then; nothing else needs the wallet.
var ErrUnusable = errors.New("the wallet cannot be opened")

// errOtherWallet is wrapped when a wallet file is whole, and of another network or a newer program.
var errOtherWallet = errors.New("it is not a wallet for this ancred")

// remedyRestore is what helps against a damaged file. The words are all that is needed.
const remedyRestore = "move this file to another place, then restore the wallet from its 24 words with `ancre wallet create --restore`"

// unusable puts into words why a wallet file or its directory cannot be used, and what to do about
// it. It names the file once: the system's errors name it too.
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
	case errors.Is(err, boltfile.ErrInUse), err.Error() == "timeout": // bbolt's ErrTimeout, which walletdb passes on as it is
		err = boltfile.ErrInUse
		remedy = "stop the other ancred, and start this one again"
	default:
		remedy = remedyRestore
	}
	return fmt.Errorf("%w: %s: %w; %s", ErrUnusable, path, err, remedy)
}

// giveUp makes an opened wallet unusable, which turned out to be damaged later on. Its file stays
// open until Close, since calls may still be running.
func (w *Wallet) giveUp(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unusable == nil {
		w.unusable = unusable(filepath.Join(w.cfg.Dir, databaseName), err)
		w.log.Error("no anchor can be paid until the wallet is restored", "err", w.unusable)
	}
}

// sumKey is where, in our bucket, the sum of all else in the file is, as it was when the wallet was
// closed: after the number of the transaction that wrote it. A later transaction makes it void, so
// a crash leaves no false one. Structure is checked at each opening anyhow; this also finds a bit
// that was flipped inside of a value: in a key, an amount or an address.
const sumKey = "sum of all else"

// checkFile looks at a wallet file before it is opened. warning is what is worth telling about a
// file that can be used.
func checkFile(path string) (warning string, err error) {
	info, err := boltfile.Check(path, boltfile.Options{Sum: true, Except: sumKey})
	if errors.Is(err, boltfile.ErrInUse) {
		return "", nil // opening it waits for the other process
	}
	if err != nil {
		return "", err
	}
	if s := info.Except; len(s) == 8+len(info.Sum) && binary.BigEndian.Uint64(s) == info.Tx && [32]byte(s[8:]) != info.Sum {
		return "", fmt.Errorf("%w: its contents are not those that ancred wrote, as after a fault of the disk", boltfile.ErrDamaged)
	}
	if info.FellBack {
		return "one of the two descriptions at the beginning of the wallet file is damaged, and the last change may be missing, as after a crash", nil
	}
	return "", nil
}

// writeSum writes the sum into a closed file.
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

// readAll reads what counts in an opened wallet once, so that what its library would stumble over
// later is found now.
func (v *vault) readAll(leases *leases) error {
	if _, err := v.coins(leases); err != nil {
		return err
	}
	const newest = 1000 // transactions; a wallet of many years has more, and starts as fast
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
