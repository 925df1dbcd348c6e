package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// check finds what is wrong with an order before anything is looked up.
func (a AnchorOrder) check() error {
	if len(a.Coins) != len(a.Prevouts) {
		return fmt.Errorf("%d coins to spend, but %d outputs that they are", len(a.Coins), len(a.Prevouts))
	}
	if len(a.Coins) > maxInputs {
		return fmt.Errorf("%d coins to spend: nodes relay no more than about %d inputs", len(a.Coins), maxInputs)
	}
	for i, c := range a.Coins {
		if slices.Contains(a.Coins[:i], c) {
			return fmt.Errorf("coin %v is to be spent twice", c)
		}
		if a.Prevouts[i] == nil || a.Prevouts[i].Value < 1 {
			return fmt.Errorf("coin %v: the output that it is, is not given", c)
		}
	}
	return nil
}

// checkOurs makes sure that what an order gives can be signed for, and that its change comes back.
// A prevout that differs from what the wallet knows would make a signature that is valid for
// nothing.
func (v *vault) checkOurs(o order) error {
	return v.view(func(tx walletdb.ReadTx) error {
		for _, c := range o.given {
			if a, err := v.ours(tx.ReadBucket(addressBucket), c.out.PkScript); err != nil {
				return fmt.Errorf("coin %v: %w", c.OutPoint, err)
			} else if a == nil {
				return fmt.Errorf("coin %v can not be spent: its script %x is none of this wallet's", c.OutPoint, c.out.PkScript)
			}
			known, err := v.btc.TxStore.TxDetails(tx.ReadBucket(txBucket), &c.Hash)
			if err != nil {
				return fmt.Errorf("coin %v: %w", c.OutPoint, err)
			}
			if known == nil {
				continue
			}
			out, err := output(known, c.OutPoint)
			if err != nil {
				return err
			}
			if out.Value != c.out.Value || string(out.PkScript) != string(c.out.PkScript) {
				return fmt.Errorf("coin %v is %d sats to script %x, not %d to %x", c.OutPoint, out.Value, out.PkScript, c.out.Value, c.out.PkScript)
			}
		}
		if o.change == nil {
			return nil
		}
		if a, err := v.ours(tx.ReadBucket(addressBucket), o.change); err != nil {
			return fmt.Errorf("change script %x: %w", o.change, err)
		} else if a == nil {
			return fmt.Errorf("change script %x is none of this wallet's", o.change)
		}
		return nil
	})
}

// output returns the output of a transaction that a coin is.
func output(d *wtxmgr.TxDetails, c wire.OutPoint) (*wire.TxOut, error) {
	if int(c.Index) >= len(d.MsgTx.TxOut) {
		return nil, fmt.Errorf("coin %v: its transaction has %d outputs", c, len(d.MsgTx.TxOut))
	}
	return d.MsgTx.TxOut[c.Index], nil
}

// TakenError says that coins which an order gives are spent already.
type TakenError struct{ Coins []wire.OutPoint }

func (e *TakenError) Error() string {
	return fmt.Sprintf("coins %v are spent already by transactions that are mined", e.Coins)
}

// TakenCoins are the coins that cannot be spent any more.
func (e *TakenError) TakenCoins() []wire.OutPoint { return e.Coins }

// beside returns the coins that can be spent together with the given ones, or a [*TakenError] where
// those are spent by what is mined. What comes from a transaction that spends a given coin is left
// out: the change of a version does not exist beside another version, though btcwallet knows it
// after a reorganisation. (What given coins come from needs no look: btcwallet lists no coin that a
// transaction it knows spends, mined or not.)
func (v *vault) beside(given, coins []coin) ([]coin, error) {
	if len(given) == 0 {
		return coins, nil
	}
	taken := make(map[wire.OutPoint]bool)
	for _, c := range given {
		taken[c.OutPoint] = true
	}
	heirs := make(map[chainhash.Hash]bool)
	var spent []wire.OutPoint // by what is mined
	note := func(details []wtxmgr.TxDetails) (bool, error) {
		for _, d := range details {
			for _, in := range d.MsgTx.TxIn {
				if d.Block.Height >= 0 && taken[in.PreviousOutPoint] {
					spent = append(spent, in.PreviousOutPoint)
				}
			}
		}
		// The unmined come in no order.
		for again := true; again; {
			again = false
			for _, d := range details {
				if !heirs[d.Hash] && slices.ContainsFunc(d.MsgTx.TxIn, func(in *wire.TxIn) bool {
					return taken[in.PreviousOutPoint] || heirs[in.PreviousOutPoint.Hash]
				}) {
					heirs[d.Hash], again = true, true
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
		return nil, fmt.Errorf("look for what spends the coins: %w", err)
	}
	if len(spent) > 0 {
		return nil, &TakenError{Coins: spent}
	}
	return slices.DeleteFunc(coins, func(c coin) bool { return heirs[c.Hash] }), nil
}

// errMoved says that blocks came or went during a look.
var errMoved = errors.New("the chain moved")

// Gone returns those of the coins that no block of the active chain creates any more: a
// reorganisation took their transactions away, and they are not mined again so far. A coin that is
// spent is not gone.
//
// So is one whose transaction the wallet does not know, as it knows all that pay to it: another one
// was mined in its place, or the coin is another wallet's. An error says that the wallet cannot
// tell: it wraps [ErrSyncing] when the newest block was not reached in time.
func (w *Wallet) Gone(ctx context.Context, coins []wire.OutPoint) (gone []wire.OutPoint, err error) {
	v, err := w.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()
	for {
		if err := w.awaitTip(ctx); err != nil {
			return nil, fmt.Errorf("look for coins: %w", err)
		}
		gone, err := guard(ctx, w, "look for coins", func() ([]wire.OutPoint, error) {
			// While the wallet steps back, transactions are unmined that the next block may have
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
