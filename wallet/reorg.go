package wallet

import (
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// After a reorganisation, btcwallet keeps the transactions of the old blocks as unmined ones. Once
// it sees another transaction spend the same coin, it drops them, and all transactions that spend
// their outputs. This file adds what btcwallet lacks.

// reorgDepth is how many of the newest blocks may leave the chain. It is more than the 100 blocks
// for which anchors are watched.
const reorgDepth = 144

// recentlySpent returns the coins that transactions in the newest blocks spend. After a start,
// btcwallet watches only unspent coins. If those blocks leave the chain, another version may spend
// such a coin, and btcwallet would not see that version if it leaves no change.
func (v *vault) recentlySpent() (map[wire.OutPoint]address.Address, error) {
	spent := make(map[wire.OutPoint]address.Address)
	since := max(v.btc.Manager.SyncedTo().Height-reorgDepth, 0)
	err := v.view(func(tx walletdb.ReadTx) error {
		ns := tx.ReadBucket(txBucket)
		return v.btc.TxStore.RangeTransactions(ns, since, -1, func(details []wtxmgr.TxDetails) (bool, error) {
			for _, d := range details {
				for _, debit := range d.Debits {
					coin := d.MsgTx.TxIn[debit.Index].PreviousOutPoint
					from, err := v.btc.TxStore.TxDetails(ns, &coin.Hash)
					if err != nil {
						return false, err
					}
					if from == nil {
						continue
					}
					out, err := output(from, coin)
					if err != nil {
						return false, err
					}
					_, addrs, _, err := txscript.ExtractPkScriptAddrs(out.PkScript, v.btc.ChainParams())
					if err == nil && len(addrs) == 1 {
						spent[coin] = addrs[0]
					}
				}
			}
			return false, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("cannot look for coins that were spent lately: %w", err)
	}
	return spent, nil
}

// branch returns the lowest of the wallet's newest blocks that is not on the active chain, or 0 if
// all are. btcwallet does not step back while it is catching up, and its rescan then goes on by
// height. So it would count transactions of old blocks besides those of new ones, and skip some new
// blocks.
func (v *vault) branch(hashAt func(height int64) (*chainhash.Hash, error)) (int32, error) {
	tip := v.btc.Manager.SyncedTo().Height
	since := max(tip-reorgDepth, 1)
	took := make(map[int32][]chainhash.Hash)
	err := v.view(func(tx walletdb.ReadTx) error {
		for h := since; h <= tip; h++ {
			hash, err := v.btc.Manager.BlockHash(tx.ReadBucket(addressBucket), h)
			if waddrmgr.IsError(err, waddrmgr.ErrBlockNotFound) {
				continue // before the wallet began
			}
			if err != nil {
				return err
			}
			took[h] = append(took[h], *hash)
		}
		return v.btc.TxStore.RangeTransactions(tx.ReadBucket(txBucket), since, tip, func(details []wtxmgr.TxDetails) (bool, error) {
			b := details[0].Block
			took[b.Height] = append(took[b.Height], b.Hash)
			return false, nil
		})
	})
	if err != nil {
		return 0, fmt.Errorf("cannot look at the wallet's blocks: %w", err)
	}
	for h := since; h <= tip; h++ {
		if len(took[h]) == 0 {
			continue
		}
		active, err := hashAt(int64(h))
		if err != nil {
			return 0, fmt.Errorf("cannot look at block %d: %w", h, err)
		}
		if slices.ContainsFunc(took[h], func(hash chainhash.Hash) bool { return hash != *active }) {
			return h, nil
		}
	}
	return 0, nil
}

// stepBack makes the wallet forget its blocks from height on. Their transactions count as unmined
// then. Nothing else may add blocks to the wallet meanwhile.
func (v *vault) stepBack(c *chain.NeutrinoClient, height int32) error {
	err := walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error {
		if err := v.btc.TxStore.Rollback(tx.ReadWriteBucket(txBucket), height); err != nil {
			return err
		}
		if v.btc.Manager.SyncedTo().Height < height {
			return nil
		}
		ns := tx.ReadWriteBucket(addressBucket)
		hash, err := v.btc.Manager.BlockHash(ns, height-1)
		if err != nil {
			return err
		}
		at := waddrmgr.BlockStamp{Height: height - 1, Hash: *hash}
		// If this block has left the chain too, its header is gone. Nothing depends on its time.
		if header, err := c.GetBlockHeader(hash); err == nil {
			at.Timestamp = header.Timestamp
		}
		return v.btc.Manager.SetSyncedTo(ns, &at)
	})
	if err != nil {
		return fmt.Errorf("cannot step back to block %d: %w", height-1, err)
	}
	return nil
}

// forget removes unmined anchors that spend one of the coins, and all transactions that spend their
// outputs. The caller, who releases the coins, has given these anchors up, but btcwallet would
// never spend coins that they spend. It also removes unmined deposits that created the coins, which
// would stay pending for ever. If one of these is mined nevertheless, it is found like any other.
func (v *vault) forget(ns walletdb.ReadWriteBucket, coins []wire.OutPoint) error {
	unmined, err := v.btc.TxStore.UnminedTxs(ns)
	if err != nil {
		return err
	}
	for _, tx := range unmined {
		txid := tx.TxHash()
		d, err := v.btc.TxStore.TxDetails(ns, &txid)
		if err != nil {
			return err
		}
		if d == nil {
			continue // removed together with an earlier one
		}
		spends := slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool { return slices.Contains(coins, in.PreviousOutPoint) })
		creates := slices.ContainsFunc(coins, func(c wire.OutPoint) bool { return c.Hash == txid })
		if spends && isAnchor(tx) || creates && len(d.Debits) == 0 {
			if err := v.btc.TxStore.RemoveUnminedTx(ns, &d.TxRecord); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost returns those of the payments that the wallet no longer knows, because a conflicting
// transaction was mined.
func (v *vault) lost(payments []chainhash.Hash) (lost []chainhash.Hash, err error) {
	err = v.view(func(tx walletdb.ReadTx) error {
		for _, txid := range payments {
			d, err := v.btc.TxStore.TxDetails(tx.ReadBucket(txBucket), &txid)
			if err != nil {
				return err
			}
			if d == nil {
				lost = append(lost, txid)
			}
		}
		return nil
	})
	return lost, err
}

// warnOfLost warns of payments that can no longer be mined. That takes a reorganisation, because a
// payment spends only mined coins.
func (w *Wallet) warnOfLost(ctx context.Context, v *vault, missing []chainhash.Hash) {
	if len(missing) == 0 {
		return
	}
	lost, err := withTimeout(ctx, w, "look for payments", func() ([]chainhash.Hash, error) { return v.lost(missing) })
	if err != nil {
		w.log.Debug("cannot look for payments", "err", err)
	}
	for _, txid := range lost {
		w.log.Error("a payment can no longer be mined, because a reorganisation undid a coin that it spends: send it again", "txid", txid)
	}
}
