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

// After a reorganisation btcwallet keeps the transactions of the old blocks as unmined ones, and
// drops those, with all that spends them, once it sees another one spend the same coin. This is
// what it lacks.

// reorgDepth is how many blocks back something may be undone: beyond the 100 for which anchors are
// watched.
const reorgDepth = 144

// recentlySpent returns the coins that transactions in the newest blocks spend. After a start
// btcwallet has only unspent coins watched. Were those blocks reorganised away, it would miss that
// another version spends such a coin, when that one leaves no change.
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
		return nil, fmt.Errorf("look for coins that were spent lately: %w", err)
	}
	return spent, nil
}

// branch returns the lowest of the newest blocks that the wallet took in and that are not on the
// active chain; 0 when all are. btcwallet does not step back while it is catching up, and its
// rescan then goes on by height: what was mined in old blocks would count beside what is mined in
// new ones, of which it skips some.
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
		return 0, fmt.Errorf("look at the wallet's blocks: %w", err)
	}
	for h := since; h <= tip; h++ {
		if len(took[h]) == 0 {
			continue
		}
		active, err := hashAt(int64(h))
		if err != nil {
			return 0, fmt.Errorf("look at block %d: %w", h, err)
		}
		if slices.ContainsFunc(took[h], func(hash chainhash.Hash) bool { return hash != *active }) {
			return h, nil
		}
	}
	return 0, nil
}

// stepBack makes the wallet forget its blocks from height on, and takes what it saw in them for
// unmined. Nothing else may take in blocks meanwhile.
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
		// A block that leaves the chain with the one above has no header any more; nothing depends
		// on its time.
		if header, err := c.GetBlockHeader(hash); err == nil {
			at.Timestamp = header.Timestamp
		}
		return v.btc.Manager.SetSyncedTo(ns, &at)
	})
	if err != nil {
		return fmt.Errorf("step back to block %d: %w", height-1, err)
	}
	return nil
}

// forget removes unmined anchors that spend one of the coins, with all that spends those: whoever
// gives the coins back has given the anchors up, and they would keep btcwallet from spending the
// coins for ever. It also removes the unmined deposits that the coins are, which would stay pending
// as long. Should any of them be mined after all, it is found like any other.
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
			continue // went with one before
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

// lost returns those of the payments that the wallet does not know any more: another transaction
// was mined that excludes them.
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

// warnOfLost tells of payments that can not be mined any more. That takes a reorganisation: a
// payment spends mined coins only.
func (w *Wallet) warnOfLost(ctx context.Context, v *vault, missing []chainhash.Hash) {
	if len(missing) == 0 {
		return
	}
	lost, err := guard(ctx, w, "look for payments", func() ([]chainhash.Hash, error) { return v.lost(missing) })
	if err != nil {
		w.log.Debug("could not look for payments", "err", err)
	}
	for _, txid := range lost {
		w.log.Error("a payment can not be mined any more, as a reorganisation undid a coin that it spent: send it again", "txid", txid)
	}
}
