package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ancre/internal/txsize"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Transactions are put together here rather than by btcwallet's FundPsbt, which burns a change
// address at each call, places the change at random, knows neither our leases nor what a coin is
// worth at the fee rate, and asks the chain backend from inside a database transaction. btcwallet
// signs.

const (
	// replaceable is the sequence of every input: BIP125, and lock times are in force.
	replaceable = 0xfffffffd

	// signatureSize is the longest low-S DER signature with its hash type. One in two is a byte
	// shorter: a quarter of a vB.
	signatureSize = 72

	// maxInputs keeps a transaction under the 100 kvB that nodes relay.
	maxInputs = 1000

	// headroom is how many times its fee a coin should be worth to be taken alone: a later version
	// of the same anchor spends the same coin and pays more.
	headroom = 20

	// maxFeeRate, in sat/vB, only guards the arithmetic: 1 BTC for an anchor. Caps are the
	// caller's.
	maxFeeRate = 1_000_000
)

// anchorOutput returns the output that commits to a root.
func anchorOutput(root [32]byte) *wire.TxOut {
	return wire.NewTxOut(0, append([]byte{txscript.OP_RETURN, txscript.OP_DATA_32}, root[:]...))
}

// isAnchor reports whether a transaction that we paid is an anchor.
func isAnchor(tx *wire.MsgTx) bool {
	s := tx.TxOut[0].PkScript
	return tx.TxOut[0].Value == 0 && len(s) == 34 && s[0] == txscript.OP_RETURN && s[1] == txscript.OP_DATA_32
}

// ShortageError says that the wallet can not pay.
type ShortageError struct {
	For     string // what could not be paid
	Missing int64  // the least deposit that would do; satoshi, as all below
	Cost    int64  // what it costs with the coins that can be spent now and that deposit
	Have    int64  // in coins that can be spent on it now
	Waiting int64  // in coins that may be spent later: not mined, or held for anchors in flight
	Address string // where to send the deposit; may be empty
}

// MissingSats is how much has to be deposited.
func (e *ShortageError) MissingSats() int64 { return e.Missing }

func (e *ShortageError) Error() string {
	s := fmt.Sprintf("the wallet lacks %d sats for %s (%d can be spent on it now)", e.Missing, e.For, e.Have)
	if e.Waiting > 0 {
		s += fmt.Sprintf(": wait until the %d sats of transactions in flight are mined, or", e.Waiting)
	} else {
		s += ":"
	}
	to := e.Address
	if to == "" {
		to = "the address that `ancre wallet address` shows"
	}
	return s + " send bitcoin to " + to
}

// AnchorOrder is what a version of an anchor is to be.
type AnchorOrder struct {
	Root        [32]byte // for its OP_RETURN
	SatPerVByte int64
	LockTime    uint32 // the newest block's height

	// Coins have to be spent, leased or not, as the first inputs and in this order; others are
	// added where they are not enough. Prevouts are the outputs that they are. That they are there
	// is the caller's word: after a reorganisation the wallet may take a coin for spent by a
	// version that is to be replaced, and it may not have seen a change that was just mined. One
	// that a mined transaction spends is refused with a [*TakenError].
	Coins    []wire.OutPoint
	Prevouts []*wire.TxOut

	Change []byte // script for the change, one of the wallet's; nil: an address that was not used yet
}

// what names the order in a shortage.
func (a AnchorOrder) what() string {
	if a.Change != nil {
		return fmt.Sprintf("replacing an anchor in flight at %d sat/vB", a.SatPerVByte)
	}
	return fmt.Sprintf("an anchor at %d sat/vB", a.SatPerVByte)
}

// BuildAnchor builds and signs a version of an anchor: output 0 is OP_RETURN <root>, output 1 the
// change unless it would be dust, inputs are P2WPKH coins with sequence 0xfffffffd: those of the
// order, then confirmed ones that nothing holds. The fee is what SatPerVByte asks for the size with
// signatures of the longest kind (one in two is a quarter of a vB shorter), plus what would have
// been dust as change. The coins are held for ten minutes. It broadcasts nothing and remembers
// nothing else: a version that is thrown away costs no address either.
//
// prevouts are what the inputs spend. A [*ShortageError] says that coins are missing.
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

// order is what a transaction is to be.
type order struct {
	what        string
	out         *wire.TxOut
	all         bool // everything that can be spent goes to out, whose value is set then
	satPerVByte int64
	lockTime    uint32
	given       []coin // the first inputs
	change      []byte // nil: an address that was not used yet
}

// draft is a transaction and what it spends.
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

// build chooses coins, once the wallet has seen the newest block, and signs. The caller holds
// w.spend until it has leased or stored them.
func (w *Wallet) build(ctx context.Context, v *vault, o order) (*draft, error) {
	if o.satPerVByte < 1 || o.satPerVByte > maxFeeRate {
		return nil, fmt.Errorf("fee rate %d sat/vB: 1 to %d are allowed", o.satPerVByte, maxFeeRate)
	}
	if v.locked() {
		return nil, ErrLocked
	}
	if err := w.awaitTip(ctx); err != nil {
		return nil, err
	}
	return guard(ctx, w, "build a transaction", func() (*draft, error) {
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
				w.log.Warn("no address to name for a deposit", "err", err)
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

// inputFee is what spending one more coin costs at the rate: 68 vB.
func (o *order) inputFee() int64 { return o.satPerVByte * txsize.Input }

// fund chooses coins for the order and sets inputs, outputs and fee. It is a pure function.
//
// What the order gives comes first. Where that is not enough, one coin more is the rule: the
// smallest that makes the sum [headroom] times the fee, else the largest that is enough. Where none
// is, the largest are combined, the fewest that do. A coin that costs more to spend than it is
// worth is left alone.
func (o *order) fund(coins []coin, change []byte) (*draft, error) {
	var usable []coin
	var waiting int64
	for _, c := range coins {
		switch {
		case slices.ContainsFunc(o.given, func(g coin) bool { return g.OutPoint == c.OutPoint }):
		case c.out.Value <= o.inputFee() || c.out.Value < txsize.DustLimit:
		case c.spendable():
			usable = append(usable, c)
		default:
			waiting += c.out.Value
		}
	}
	slices.SortStableFunc(usable, func(a, b coin) int { return cmp.Compare(b.out.Value, a.out.Value) }) // largest first
	if most := maxInputs - len(o.given); len(usable) > most {
		usable = usable[:most]
	}
	if o.all {
		return o.spendAll(usable, waiting)
	}
	// An anchor that leaves no change is the last resort: nodes of the Bitcoin Knots kind do not
	// relay an OP_RETURN that stands alone ("bare-datacarrier").
	lone := o.out.Value == 0
	bare := o.assemble(nil, change)
	if bare != nil && (!lone || len(bare.tx.TxOut) > 1) {
		return bare, nil
	}

	// The smallest that is ample.
	ample := o.out.Value + headroom*o.fee(len(o.given)+1, change) - sum(o.given)
	if i := slices.IndexFunc(usable, func(c coin) bool { return c.out.Value < ample }); i > 0 {
		usable = usable[i-1:]
	} else if i < 0 && len(usable) > 0 {
		usable = usable[len(usable)-1:] // all are
	}
	for n := 1; n <= len(usable); n++ {
		d := o.assemble(usable[:n], change)
		if d != nil && (!lone || len(d.tx.TxOut) > 1) {
			return d, nil
		}
		bare = cmp.Or(bare, d)
	}
	if bare != nil {
		return bare, nil
	}
	return nil, o.shortage(usable, waiting)
}

func sum(coins []coin) (sats int64) {
	for _, c := range coins {
		sats += c.out.Value
	}
	return sats
}

// fee is what the transaction costs with n inputs, and with change unless that is nil.
func (o *order) fee(n int, change []byte) int64 {
	tx := wire.NewMsgTx(2)
	for range n {
		tx.AddTxIn(&wire.TxIn{Witness: wire.TxWitness{make([]byte, signatureSize), make([]byte, 33)}})
	}
	tx.AddTxOut(o.out)
	if change != nil {
		tx.AddTxOut(wire.NewTxOut(0, change))
	}
	return o.satPerVByte * txsize.VSize(tx)
}

// assemble makes the unsigned transaction, of what is given and some coins more, or returns nil
// when they are not enough.
func (o *order) assemble(more []coin, change []byte) *draft {
	coins := slices.Concat(o.given, more)
	d := &draft{tx: wire.NewMsgTx(2)}
	d.tx.LockTime = o.lockTime
	for _, c := range coins {
		d.tx.AddTxIn(&wire.TxIn{PreviousOutPoint: c.OutPoint, Sequence: replaceable})
		d.prevouts = append(d.prevouts, c.out)
	}
	d.tx.AddTxOut(o.out)

	have := sum(coins) - o.out.Value
	if rest := have - o.fee(len(coins), change); rest >= txsize.DustLimit {
		d.tx.AddTxOut(wire.NewTxOut(rest, change))
		return d
	}
	if have >= o.fee(len(coins), nil) {
		return d
	}
	return nil
}

// spendAll sends everything, less the fee.
func (o *order) spendAll(coins []coin, waiting int64) (*draft, error) {
	dust := dustOf(o.out.PkScript)
	rest := sum(coins) - o.fee(len(coins), nil)
	if len(coins) == 0 || rest < dust {
		o.out = wire.NewTxOut(dust, o.out.PkScript)
		return nil, o.shortage(coins, waiting)
	}
	o.out = wire.NewTxOut(rest, o.out.PkScript)
	return o.assemble(coins, nil), nil
}

// shortage tells what is missing, given the coins that are not enough besides the order's own: one
// deposit, which is an input more.
func (o *order) shortage(coins []coin, waiting int64) error {
	e := &ShortageError{
		For:     o.what,
		Cost:    o.out.Value + o.fee(len(o.given)+len(coins)+1, nil),
		Have:    sum(o.given) + sum(coins),
		Waiting: waiting,
	}
	e.Missing = max(e.Cost-e.Have, txsize.DustLimit, o.inputFee()+1)
	return e
}

// sign signs all inputs and proves each to be valid as a node would.
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
