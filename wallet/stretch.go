package wallet

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/btcsuite/btcwallet/snacl"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// btcwallet encrypts a wallet file under two passphrases, and stretches both by scrypt at the same
// cost: a second and 256 MB each.
//
// The private passphrase protects the keys, which is what the cost is for. The public passphrase
// protects the extended public keys and the addresses, and costs as much at each start. But ours is
// a constant in btcwallet's source, so stretching it keeps nobody out. The file's mode, 0600, keeps
// others from reading the coins. So the public passphrase is stretched as little as possible.
var publicStretch = waddrmgr.FastScryptOptions

// Where btcwallet keeps how the public passphrase was stretched, below addressBucket. It does not
// export the names.
var (
	masterBucket    = []byte("main")
	publicParamsKey = []byte("mpub")
)

// btcwallet makes both master keys of a wallet with one set of options, by a function that can be
// replaced. Our function tells the two apart by the passphrase: the public one is too short to be a
// private one for [Wallet.Create].
//
// It is set once, before anything can run, as the key scopes are.
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
		return snacl.Parameters{}, errors.New("the file is damaged: it lacks the parameters of its public passphrase")
	}
	return key.Parameters, nil
}

// weakenPublicStretch makes later starts with an older file faster. In such a file, the public
// passphrase is stretched as much as the private one. The one transaction either is on disk as a
// whole, or leaves the file as it was, and the next start tries again.
func (v *vault) weakenPublicStretch() (converted bool, err error) {
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
		return false, fmt.Errorf("cannot encrypt its public keys again: %w", err)
	}
	return true, nil
}
