package wallet

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"ancre/internal/txsize"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// coin is an output of ours that no transaction known to us spends.
type coin struct {
	wire.OutPoint
	out      *wire.TxOut
	height   int32 // -1: not mined
	leased   bool
	immature bool // from a coinbase that may not be spent yet
}

// spendable reports whether a transaction may spend it.
func (c coin) spendable() bool { return c.height >= 0 && !c.leased && !c.immature }

// coins lists the coins of the wallet's account, in a fixed order.
func (v *vault) coins(leases *leases) ([]coin, error) {
	leased := leases.snapshot()
	maturity := int32(v.btc.ChainParams().CoinbaseMaturity)
	tip := v.btc.Manager.SyncedTo().Height

	var coins []coin
	err := v.view(func(tx walletdb.ReadTx) error {
		credits, err := v.btc.TxStore.UnspentOutputs(tx.ReadBucket(txBucket))
		if err != nil {
			return err
		}
		for _, c := range credits {
			if !txscript.IsPayToWitnessPubKeyHash(c.PkScript) {
				continue
			}
			a, err := v.ours(tx.ReadBucket(addressBucket), c.PkScript)
			if err != nil {
				return err
			}
			if a == nil {
				continue
			}
			_, isLeased := leased[c.OutPoint]
			coins = append(coins, coin{
				OutPoint: c.OutPoint,
				out:      wire.NewTxOut(int64(c.Amount), c.PkScript),
				height:   c.Height,
				leased:   isLeased,
				immature: c.FromCoinBase && tip-c.Height+1 < maturity,
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list coins: %w", err)
	}
	slices.SortFunc(coins, func(a, b coin) int {
		return cmp.Or(cmp.Compare(a.height, b.height), bytes.Compare(a.Hash[:], b.Hash[:]), cmp.Compare(a.Index, b.Index))
	})
	return coins, nil
}

// ours returns the address of a script, or nil if the script is not one of the account's.
func (v *vault) ours(ns walletdb.ReadBucket, script []byte) (waddrmgr.ManagedAddress, error) {
	_, addrs, _, err := txscript.ExtractPkScriptAddrs(script, v.btc.ChainParams())
	if err != nil || len(addrs) != 1 {
		return nil, nil // not a script of ours
	}
	if _, ok := addrs[0].(*address.AddressWitnessPubKeyHash); !ok {
		return nil, nil
	}
	a, err := v.scope.Address(ns, addrs[0])
	if waddrmgr.IsError(err, waddrmgr.ErrAddressNotFound) {
		return nil, nil
	}
	return a, err
}

// Balance is what the wallet has, in satoshi.
type Balance struct {
	Confirmed int64 // mined coins that no payment of ours spends, including those that anchors in flight will spend
	Pending   int64 // outputs that are not mined: change of our payments, and outputs whose block left the chain
	Spendable int64 // coins that can be spent now: Confirmed without leased coins, dust, and immature coinbases
}

// Balance returns the balance. While a passphrase is being checked, it returns the balance from
// before the check.
func (w *Wallet) Balance(ctx context.Context) (Balance, error) {
	v, err := w.current()
	if err != nil {
		return Balance{}, err
	}
	if b := v.balanceMeanwhile.Load(); b != nil {
		return *b, nil
	}
	coins, err := withTimeout(ctx, w, "read the balance", func() ([]coin, error) { return v.coins(&w.leases) })
	if err != nil {
		return Balance{}, err
	}
	return balanceOf(coins), nil
}

func balanceOf(coins []coin) (b Balance) {
	for _, c := range coins {
		if c.height < 0 {
			b.Pending += c.out.Value
			continue
		}
		b.Confirmed += c.out.Value
		if c.spendable() && c.out.Value >= txsize.DustLimit {
			b.Spendable += c.out.Value
		}
	}
	return b
}
