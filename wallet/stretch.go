package wallet

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/btcsuite/btcwallet/snacl"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// btcwallet encrypts a wallet file under two passphrases, and stretches both by scrypt to the same
// cost: a second and 256 MB each.
//
// The private one protects the keys, and there the cost is the point. The public one protects the
// extended public keys and the addresses, and would cost as much at each opening; but ours is a
// constant that stands in btcwallet's source, so stretching it keeps nobody out. What keeps others
// from reading the coins is the file's mode, 0600. So it is stretched as little as can be.
var publicStretch = waddrmgr.FastScryptOptions

// Where btcwallet keeps how the public passphrase was stretched, below addressBucket. It does not
// export the names.
var (
	masterBucket    = []byte("main")
	publicParamsKey = []byte("mpub")
)

// btcwallet makes a wallet's two master keys with one set of options, by a function that can be
// replaced. The passphrases tell them apart: nobody's private one is the public one, since
// [Wallet.Create] takes none as short as that.
//
// This is set once, before anything can run, as the key scopes are.
func init() {
	waddrmgr.SetSecretKeyGen(func(passphrase *[]byte, o *waddrmgr.ScryptOptions) (*snacl.SecretKey, error) {
		if bytes.Equal(*passphrase, publicPassphrase) {
			o = &publicStretch
		}
		return snacl.NewSecretKey(passphrase, o.N, o.R, o.P)
	})
}

// publicParams reads how the file's public passphrase was stretched.
func publicParams(tx walletdb.ReadTx) (snacl.Parameters, error) {
	var stored []byte
	if b := tx.ReadBucket(addressBucket); b != nil {
		if b = b.NestedReadBucket(masterBucket); b != nil {
			stored = b.Get(publicParamsKey)
		}
	}
	var key snacl.SecretKey
	if err := key.Unmarshal(stored); err != nil {
		return snacl.Parameters{}, errors.New("damaged: no parameters of its public passphrase")
	}
	return key.Parameters, nil
}

// relax makes the next opening of an older file quick: it was stretched as its private passphrase
// is. The one transaction either is on the disk as a whole, or leaves the file as it was, to be
// tried again at the next opening.
func (v *vault) relax() (relaxed bool, err error) {
	var p snacl.Parameters
	err = walletdb.View(v.db, func(tx walletdb.ReadTx) error {
		p, err = publicParams(tx)
		return err
	})
	if err != nil || p.N <= publicStretch.N {
		return false, err
	}
	err = walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		return v.btc.Manager.ChangePassphrase(tx.ReadWriteBucket(addressBucket), publicPassphrase, publicPassphrase, false, &publicStretch)
	})
	if err != nil {
		return false, fmt.Errorf("encrypt its public keys anew: %w", err)
	}
	return true, nil
}
