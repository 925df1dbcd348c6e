package wallet

import (
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// check finds what is wrong with an order without looking anything up.
func (a AnchorOrder) check() error {
	if len(a.Coins) != len(a.Prevouts) {
		return fmt.Errorf("%d coins to spend, but %d outputs for them", len(a.Coins), len(a.Prevouts))
	}
	if len(a.Coins) > maxInputs {
		return fmt.Errorf("%d coins to spend: nodes relay no more than about %d inputs", len(a.Coins), maxInputs)
	}
	for i, c := range a.Coins {
		if slices.Contains(a.Coins[:i], c) {
			return fmt.Errorf("coin %v is to be spent twice", c)
		}
		if a.Prevouts[i] == nil || a.Prevouts[i].Value < 1 {
			return fmt.Errorf("coin %v: its output is missing", c)
		}
	}
	return nil
}

// checkOurs checks that the wallet can sign for the coins of an order, and that the change comes
// back to it. An output that differs from what the wallet knows would give an invalid signature.
func (v *vault) checkOurs(o order) error {
	return v.view(func(tx walletdb.ReadTx) error {
		for _, c := range o.given {
			if a, err := v.ours(tx.ReadBucket(addressBucket), c.out.PkScript); err != nil {
				return fmt.Errorf("coin %v: %w", c.OutPoint, err)
			} else if a == nil {
				return fmt.Errorf("coin %v cannot be spent: its script %x is not one of this wallet", c.OutPoint, c.out.PkScript)
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
			return fmt.Errorf("change script %x is not one of this wallet", o.change)
		}
		return nil
	})
}

// output returns the output of a coin, from the transaction that created it.
func output(d *wtxmgr.TxDetails, c wire.OutPoint) (*wire.TxOut, error) {
	if int(c.Index) >= len(d.MsgTx.TxOut) {
		return nil, fmt.Errorf("coin %v: its transaction has %d outputs", c, len(d.MsgTx.TxOut))
	}
	return d.MsgTx.TxOut[c.Index], nil
}
