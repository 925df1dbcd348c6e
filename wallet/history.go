package wallet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// Kind is the purpose of a transaction.
type Kind string

const (
	Received Kind = "received" // no input is ours
	Sent     Kind = "sent"
	Anchor   Kind = "anchor" // we paid it, and its first output commits to 32 bytes
)

// Transaction is a line of the history. Anchors appear when they are mined.
type Transaction struct {
	TxID          chainhash.Hash
	Kind          Kind
	Sats          int64     // the change of the balance, fee included
	FeeSats       *int64    // nil: not known, as not all inputs are ours
	Time          time.Time // when we made it, or the time of its block
	Height        int32     // 0: not mined
	BlockTime     time.Time // zero: not mined
	Confirmations int32
}

// Transactions lists at most limit transactions, newest first, after leaving out the first skip.
func (w *Wallet) Transactions(ctx context.Context, limit, skip int) ([]Transaction, error) {
	if limit < 0 || skip < 0 {
		return nil, fmt.Errorf("limit %d, skip %d: neither may be negative", limit, skip)
	}
	v, err := w.current()
	if err != nil {
		return nil, err
	}
	return withTimeout(ctx, w, "list transactions", func() ([]Transaction, error) { return v.history(limit, skip) })
}

func (v *vault) history(limit, skip int) ([]Transaction, error) {
	tip := v.btc.Manager.SyncedTo().Height
	var list []Transaction
	err := v.view(func(tx walletdb.ReadTx) error {
		newestFirst := func(details []wtxmgr.TxDetails) (bool, error) {
			// The transactions of one block come in the order of their arrival, the unmined ones in
			// the order of their txids.
			if details[0].Block.Height < 0 {
				slices.SortStableFunc(details, func(a, b wtxmgr.TxDetails) int { return a.Received.Compare(b.Received) })
			}
			for i := len(details) - 1; i >= 0 && len(list) < limit; i-- {
				if skip > 0 {
					skip--
					continue
				}
				list = append(list, line(&details[i], tip))
			}
			return len(list) >= limit, nil
		}
		// -1 stands for the unmined ones. From -1 to 0 means from the newest to the oldest.
		return v.btc.TxStore.RangeTransactions(tx.ReadBucket(txBucket), -1, 0, newestFirst)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list transactions: %w", err)
	}
	return list, nil
}

func line(d *wtxmgr.TxDetails, tip int32) Transaction {
	t := Transaction{TxID: d.Hash, Kind: Received, Time: d.Received}
	for _, c := range d.Credits {
		t.Sats += int64(c.Amount)
	}
	var paid int64
	for _, c := range d.Debits {
		paid += int64(c.Amount)
	}
	t.Sats -= paid
	if len(d.Debits) > 0 {
		t.Kind = Sent
		if isAnchor(&d.MsgTx) {
			t.Kind = Anchor
		}
	}
	if len(d.Debits) == len(d.MsgTx.TxIn) { // else the fee is not known
		fee := paid
		for _, out := range d.MsgTx.TxOut {
			fee -= out.Value
		}
		t.FeeSats = &fee
	}
	if d.Block.Height >= 0 {
		t.Height, t.BlockTime = d.Block.Height, d.Block.Time
		t.Confirmations = max(tip-d.Block.Height+1, 0)
	}
	return t
}
