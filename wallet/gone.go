package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
)

// errMoved says that the chain changed during a look.
var errMoved = errors.New("the chain moved")

// Gone returns those of the coins that no block of the active chain creates any longer: a
// reorganisation took their transactions out of the chain, and they have not been mined again. A
// spent coin is not gone.
//
// A coin whose transaction the wallet does not know is gone too, because the wallet knows all
// transactions that pay to it. Either a conflicting one was mined, or the coin is another wallet's.
// An error says that the wallet cannot tell. It wraps [ErrSyncing] if the wallet did not reach the
// newest block in time.
func (w *Wallet) Gone(ctx context.Context, coins []wire.OutPoint) (gone []wire.OutPoint, err error) {
	v, err := w.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()
	for {
		if err := w.awaitTip(ctx); err != nil {
			return nil, fmt.Errorf("cannot look for coins: %w", err)
		}
		gone, err := withTimeout(ctx, w, "look for coins", func() ([]wire.OutPoint, error) {
			// While the wallet steps back, transactions are unmined that the next block may contain
			// again.
			tip := v.btc.Manager.SyncedTo().Hash
			if !w.stillAt(v, tip) {
				return nil, errMoved
			}
			gone, err := v.gone(coins)
			if !w.stillAt(v, tip) {
				return nil, errMoved
			}
			return gone, err
		})
		if !errors.Is(err, errMoved) {
			return gone, err
		}
	}
}

func (v *vault) gone(coins []wire.OutPoint) (gone []wire.OutPoint, err error) {
	err = v.view(func(tx walletdb.ReadTx) error {
		for _, c := range coins {
			d, err := v.btc.TxStore.TxDetails(tx.ReadBucket(txBucket), &c.Hash)
			if err != nil {
				return fmt.Errorf("coin %v: %w", c, err)
			}
			if d == nil || d.Block.Height < 0 {
				gone = append(gone, c)
				continue
			}
			if _, err := output(d, c); err != nil {
				return err
			}
		}
		return nil
	})
	return gone, err
}
