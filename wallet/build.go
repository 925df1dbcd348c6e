package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// This package assembles transactions itself; btcwallet only signs them. btcwallet's FundPsbt uses
// up a change address at each call, and places the change at random. It does not know our leases,
// nor whether a coin is worth its fee. It asks the chain backend from inside a database
// transaction.

const (
	// replaceable is the sequence of every input. It allows replacement (BIP125) and lock times.
	replaceable = 0xfffffffd

	// signatureSize is the length of the longest low-S DER signature with its hash type. One in two
	// is a byte shorter, which is a quarter of a vB.
	signatureSize = 72

	// maxInputs keeps a transaction under the 100 kvB that nodes relay.
	maxInputs = 1000

	// headroom is how many times the fee a coin should be worth to be spent alone. A later version
	// of the same anchor spends the same coin and pays more.
	headroom = 20

	// maxFeeRate, in sat/vB, only protects the arithmetic: an anchor would cost more than 1 BTC.
	// The caller has the real caps.
	maxFeeRate = 1_000_000
)

// anchorOutput returns the output that commits to a root.
func anchorOutput(root [32]byte) *wire.TxOut {
	return wire.NewTxOut(0, append([]byte{txscript.OP_RETURN, txscript.OP_DATA_32}, root[:]...))
}

// isAnchor reports whether a transaction of ours is an anchor.
func isAnchor(tx *wire.MsgTx) bool {
	s := tx.TxOut[0].PkScript
	return tx.TxOut[0].Value == 0 && len(s) == 34 && s[0] == txscript.OP_RETURN && s[1] == txscript.OP_DATA_32
}

// AnchorOrder describes a version of an anchor.
type AnchorOrder struct {
	Root        [32]byte // for its OP_RETURN
	SatPerVByte int64
	LockTime    uint32 // the newest block's height

	// Coins are spent in any case, leased or not, as the first inputs and in this order. Others are
	// added if they are not enough. Prevouts are their outputs. The wallet trusts the caller that
	// they exist: after a reorganisation it may count a coin as spent by a version that is to be
	// replaced, and it may not have processed a block whose change is to be spent. If a mined
	// transaction spends one of them, the order fails with a [*TakenError].
	Coins    []wire.OutPoint
	Prevouts []*wire.TxOut

	Change []byte // script for the change, one of the wallet's; nil: an unused address
}

// what names the order in a shortage.
func (a AnchorOrder) what() string {
	if a.Change != nil {
		return fmt.Sprintf("replacing an anchor in flight at %d sat/vB", a.SatPerVByte)
	}
	return fmt.Sprintf("an anchor at %d sat/vB", a.SatPerVByte)
}

// BuildAnchor builds and signs a version of an anchor. Output 0 is OP_RETURN <root>. Output 1 is
// the change, unless it would be dust. The inputs are P2WPKH coins with sequence 0xfffffffd: those
// of the order, then confirmed ones that are not leased. The fee is SatPerVByte times the size with
// the longest signatures (one in two is a quarter of a vB shorter), plus the change if it would be
// dust.
//
// The coins are held for ten minutes. Nothing is broadcast, and nothing else is remembered: a
// version that is thrown away does not use up an address either.
//
// The second result are the outputs that the inputs spend. If the coins are not enough, the error
// is a [*ShortageError].
func (w *Wallet) BuildAnchor(ctx context.Context, a AnchorOrder) (*wire.MsgTx, []*wire.TxOut, error) {
	if err := a.check(); err != nil {
		return nil, nil, fmt.Errorf("build anchor: %w", err)
	}
	v, err := w.current()
	if err != nil {
		return nil, nil, err
	}
	// One limit for waiting and working together.
	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()
	if err := w.spend.acquire(ctx); err != nil {
		return nil, nil, fmt.Errorf("build anchor: %w", err)
	}
	defer w.spend.release()

	order := order{
		what:        a.what(),
		out:         anchorOutput(a.Root),
		satPerVByte: a.SatPerVByte,
		lockTime:    a.LockTime,
		change:      a.Change,
	}
	for i, c := range a.Coins {
		order.given = append(order.given, coin{OutPoint: c, out: a.Prevouts[i]})
	}
	d, err := w.build(ctx, v, order)
	if err != nil {
		return nil, nil, err
	}
	w.leases.hold(d.spent(), time.Now().Add(holdFor))
	return d.tx, d.prevouts, nil
}

// order describes a transaction.
type order struct {
	what        string
	out         *wire.TxOut
	all         bool // all spendable coins go to out, whose value is set then
	satPerVByte int64
	lockTime    uint32
	given       []coin // the first inputs
	change      []byte // script; nil: an unused address
}

// draft is a transaction and the outputs that it spends.
type draft struct {
	tx       *wire.MsgTx
	prevouts []*wire.TxOut
}

func (d *draft) spent() []wire.OutPoint {
	var coins []wire.OutPoint
	for _, in := range d.tx.TxIn {
		coins = append(coins, in.PreviousOutPoint)
	}
	return coins
}

// build chooses coins, once the wallet has processed the newest block, and signs. The caller holds
// w.spend until it has leased or stored the coins.
func (w *Wallet) build(ctx context.Context, v *vault, o order) (*draft, error) {
	if o.satPerVByte < 1 || o.satPerVByte > maxFeeRate {
		return nil, fmt.Errorf("fee rate %d sat/vB: from 1 to %d are allowed", o.satPerVByte, maxFeeRate)
	}
	if v.locked() {
		return nil, ErrLocked
	}
	if err := w.awaitTip(ctx); err != nil {
		return nil, err
	}
	return withTimeout(ctx, w, "build a transaction", func() (*draft, error) {
		if err := v.checkOurs(o); err != nil {
			return nil, err
		}
		coins, err := v.coins(&w.leases)
		if err != nil {
			return nil, err
		}
		if coins, err = v.beside(o.given, coins); err != nil {
			return nil, err
		}
		change := o.change
		if change == nil {
			if change, err = v.changeScript(o.given); err != nil {
				return nil, err
			}
		}
		d, err := o.fund(coins, change)
		if short := (*ShortageError)(nil); errors.As(err, &short) {
			if short.Address, err = v.nextAddress(external, 0); err != nil {
				w.log.Warn("cannot name an address for a deposit", "err", err)
			}
			return nil, short
		}
		if err != nil {
			return nil, err
		}
		if err := v.sign(d); err != nil {
			return nil, err
		}
		return d, nil
	})
}

// sign signs all inputs, and checks each signature as a node would.
func (v *vault) sign(d *draft) error {
	prevouts := make(map[wire.OutPoint]*wire.TxOut, len(d.prevouts))
	for i, in := range d.tx.TxIn {
		prevouts[in.PreviousOutPoint] = d.prevouts[i]
	}
	fetcher := txscript.NewMultiPrevOutFetcher(prevouts)
	hashes := txscript.NewTxSigHashes(d.tx, fetcher)
	for i, out := range d.prevouts {
		witness, _, err := v.btc.ComputeInputScript(d.tx, out, i, hashes, txscript.SigHashAll, nil)
		if err != nil {
			return fmt.Errorf("sign input %d: %w", i, err)
		}
		d.tx.TxIn[i].Witness = witness
	}
	for i, out := range d.prevouts {
		engine, err := txscript.NewEngine(out.PkScript, d.tx, i, txscript.StandardVerifyFlags, nil, hashes, out.Value, fetcher)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return fmt.Errorf("signature of input %d is not valid: %w", i, err)
		}
	}
	return nil
}
