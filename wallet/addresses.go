package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// lookahead is how many unused addresses are followed on each branch: the gap limit of BIP44.
// btcwallet follows only addresses that it has derived, and never searches older blocks for others.
// Without these, a restored wallet would miss the change of an anchor that was in flight when the
// old wallet was lost, and payments to an address that was published and not yet used.
const lookahead = 20

// The branches of BIP44: addresses that are published, and addresses for change.
const (
	external = waddrmgr.ExternalBranch
	internal = waddrmgr.InternalBranch
)

// Address returns the address to be funded: the first one after the last used one. It changes only
// when a payment to it is mined. Other wallets that restore from the words give up after 20 unused
// addresses in a row; so here there is never more than one.
func (w *Wallet) Address(ctx context.Context) (string, error) {
	v, err := w.current()
	if err != nil {
		return "", err
	}
	return withTimeout(ctx, w, "make an address", func() (string, error) { return v.nextAddress(external, 0) })
}

// nextAddress returns the first address after the last used one of the branch, or the one that is
// that much further on.
func (v *vault) nextAddress(branch, further uint32) (string, error) {
	var next address.Address
	err := v.view(func(tx walletdb.ReadTx) error {
		ns := tx.ReadBucket(addressBucket)
		count, unused, err := v.unused(ns, branch)
		if err != nil {
			return err
		}
		if count == 0 {
			return errors.New("no address has been derived")
		}
		// More are derived within a second. Until then, the last one is returned again.
		index := min(count-unused+further, count-1)
		p, err := v.scope.AccountProperties(ns, account)
		if err != nil {
			return err
		}
		key, err := p.AccountPubKey.Derive(branch)
		if err != nil {
			return err
		}
		next, err = v.addressOf(key, index)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("next address: %w", err)
	}
	return next.EncodeAddress(), nil
}

// changeScript returns the script of the first change address after the last used one. It leaves
// out addresses of the given coins, which the wallet may not know as used yet. The script stays the
// same until a transaction that pays to it is stored or mined. So all versions of an anchor share
// it, and use up one address.
func (v *vault) changeScript(given []coin) ([]byte, error) {
	for further := uint32(0); ; further++ {
		encoded, err := v.nextAddress(internal, further)
		if err != nil {
			return nil, err
		}
		a, err := address.DecodeAddress(encoded, v.btc.ChainParams())
		if err != nil {
			return nil, err
		}
		script, err := txscript.PayToAddrScript(a)
		if err != nil {
			return nil, err
		}
		taken := slices.ContainsFunc(given, func(c coin) bool { return bytes.Equal(c.out.PkScript, script) })
		if !taken || further >= lookahead {
			return script, nil
		}
	}
}

// unused counts the derived addresses of a branch, and those of them after the last used one.
func (v *vault) unused(ns walletdb.ReadBucket, branch uint32) (count, unused uint32, err error) {
	p, err := v.scope.AccountProperties(ns, account)
	if err != nil {
		return 0, 0, err
	}
	count = p.ExternalKeyCount
	if branch == internal {
		count = p.InternalKeyCount
	}
	key, err := p.AccountPubKey.Derive(branch)
	if err != nil {
		return 0, 0, err
	}
	for ; unused < count; unused++ {
		a, err := v.addressOf(key, count-1-unused)
		if err != nil {
			return 0, 0, err
		}
		managed, err := v.scope.Address(ns, a)
		if err != nil {
			return 0, 0, err
		}
		if managed.Used(ns) {
			break
		}
	}
	return count, unused, nil
}

// addressOf derives an address from the public key of a branch. btcwallet's own DeriveFromKeyPath
// is not used: each call on a locked wallet adds the key to a list of those to derive again when
// the wallet is unlocked.
func (v *vault) addressOf(branch *hdkeychain.ExtendedKey, index uint32) (address.Address, error) {
	key, err := branch.Derive(index)
	if err != nil {
		return nil, err
	}
	pub, err := key.ECPubKey()
	if err != nil {
		return nil, err
	}
	return address.NewAddressWitnessPubKeyHash(address.Hash160(pub.SerializeCompressed()), v.btc.ChainParams())
}

// topUp derives addresses on a branch with fewer unused ones than half of lookahead, until there
// are lookahead of them. It returns the new ones, which a running synchronisation must be told of.
func (v *vault) topUp() ([]address.Address, error) {
	missing := map[uint32]uint32{} // by branch
	err := v.view(func(tx walletdb.ReadTx) error {
		for _, branch := range []uint32{external, internal} {
			_, unused, err := v.unused(tx.ReadBucket(addressBucket), branch)
			if err != nil {
				return err
			}
			if unused < lookahead/2 {
				missing[branch] = lookahead - unused
			}
		}
		return nil
	})
	if err != nil || len(missing) == 0 {
		return nil, err
	}

	var fresh []address.Address
	err = walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		ns := tx.ReadWriteBucket(addressBucket)
		for branch, n := range missing {
			next := v.scope.NextExternalAddresses
			if branch == internal {
				next = v.scope.NextInternalAddresses
			}
			derived, err := next(ns, account, n)
			if err != nil {
				return err
			}
			for _, a := range derived {
				fresh = append(fresh, a.Address())
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("derive addresses: %w", err)
	}
	return fresh, nil
}
