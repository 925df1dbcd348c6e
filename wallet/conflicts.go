package wallet

import (
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// TakenError says that coins of an order are already spent.
type TakenError struct{ Coins []wire.OutPoint }

func (e *TakenError) Error() string {
	return fmt.Sprintf("coins %v are already spent by mined transactions", e.Coins)
}

// TakenCoins returns the coins that can no longer be spent.
func (e *TakenError) TakenCoins() []wire.OutPoint { return e.Coins }

// beside returns the coins that can be spent together with the given ones. It returns a
// [*TakenError] if mined transactions spend given ones. It leaves out coins that come from a
// transaction that spends a given coin: the change of a version does not exist beside another
// version, although btcwallet knows it after a reorganisation. (The transactions that create the
// given coins need no check: btcwallet lists no coin that a transaction it knows spends, mined or
// not.)
func (v *vault) beside(given, coins []coin) ([]coin, error) {
	if len(given) == 0 {
		return coins, nil
	}
	taken := make(map[wire.OutPoint]bool)
	for _, c := range given {
		taken[c.OutPoint] = true
	}
	descendants := make(map[chainhash.Hash]bool) // transactions that spend a given coin, and so on
	var spent []wire.OutPoint                    // by mined transactions
	note := func(details []wtxmgr.TxDetails) (bool, error) {
		for _, d := range details {
			for _, in := range d.MsgTx.TxIn {
				if d.Block.Height >= 0 && taken[in.PreviousOutPoint] {
					spent = append(spent, in.PreviousOutPoint)
				}
			}
		}
		// The unmined transactions come in no order.
		for again := true; again; {
			again = false
			for _, d := range details {
				if !descendants[d.Hash] && slices.ContainsFunc(d.MsgTx.TxIn, func(in *wire.TxIn) bool {
					return taken[in.PreviousOutPoint] || descendants[in.PreviousOutPoint.Hash]
				}) {
					descendants[d.Hash], again = true, true
				}
			}
		}
		return false, nil
	}
	since := max(v.btc.Manager.SyncedTo().Height-reorgDepth, 0)
	err := v.view(func(tx walletdb.ReadTx) error {
		return v.btc.TxStore.RangeTransactions(tx.ReadBucket(txBucket), since, -1, note) // oldest first, the unmined last
	})
	if err != nil {
		return nil, fmt.Errorf("cannot look for transactions that spend the coins: %w", err)
	}
	if len(spent) > 0 {
		return nil, &TakenError{Coins: spent}
	}
	return slices.DeleteFunc(coins, func(c coin) bool { return descendants[c.Hash] }), nil
}
