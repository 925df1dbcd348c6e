package wallet

import (
	"cmp"
	"slices"

	"ancre/internal/txsize"

	"github.com/btcsuite/btcd/wire/v2"
)

// inputFee is the cost of one more input at the order's fee rate.
func (o *order) inputFee() int64 { return o.satPerVByte * txsize.Input }

// fund chooses coins for the order and sets inputs, outputs and fee. It is a pure function.
//
// The order's own coins come first. If they are not enough, usually one coin is added: the smallest
// that makes the sum [headroom] times the fee, or else the largest. If that is not enough, the
// largest coins are added, as few as possible. A coin that costs more to spend than it is worth is
// never added.
func (o *order) fund(coins []coin, change []byte) (*draft, error) {
	usable, waiting := o.usable(coins)
	if o.all {
		return o.spendAll(usable, waiting)
	}
	ample := o.out.Value + headroom*o.fee(len(o.given)+1, change) - sum(o.given)
	usable = fromSmallest(usable, ample)
	// An anchor without change is the last resort: nodes such as Bitcoin Knots do not relay a
	// transaction whose only output is an OP_RETURN ("bare-datacarrier").
	isAnchor := o.out.Value == 0
	var bare *draft
	for n := 0; n <= len(usable); n++ {
		d := o.assemble(usable[:n], change)
		if d != nil && (!isAnchor || len(d.tx.TxOut) > 1) {
			return d, nil
		}
		bare = cmp.Or(bare, d)
	}
	if bare != nil {
		return bare, nil
	}
	return nil, o.shortage(usable, waiting)
}

// usable returns the coins that may be added to the order's own, the largest first. waiting is the
// sum of those that may be added later.
func (o *order) usable(coins []coin) (usable []coin, waiting int64) {
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
	slices.SortStableFunc(usable, func(a, b coin) int { return cmp.Compare(b.out.Value, a.out.Value) })
	if most := maxInputs - len(o.given); len(usable) > most {
		usable = usable[:most]
	}
	return usable, waiting
}

// fromSmallest leaves out the coins that are larger than the smallest one of at least this value.
// The coins are sorted, the largest first.
func fromSmallest(coins []coin, atLeast int64) []coin {
	i := slices.IndexFunc(coins, func(c coin) bool { return c.out.Value < atLeast })
	if i < 0 {
		i = len(coins)
	}
	return coins[max(i-1, 0):]
}

func sum(coins []coin) (sats int64) {
	for _, c := range coins {
		sats += c.out.Value
	}
	return sats
}

// fee is the fee of the transaction with n inputs, and with change unless that is nil.
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

// assemble makes the unsigned transaction from the order's own coins and some more. It returns nil
// if they are not enough.
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

// spendAll sends all coins, less the fee.
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

// shortage says what is missing when these coins, besides the order's own, are not enough: one
// deposit, which is spent by one more input.
func (o *order) shortage(coins []coin, waiting int64) error {
	e := &ShortageError{
		For:     o.what,
		Cost:    o.out.Value + o.fee(len(o.given)+len(coins)+1, nil),
		Have:    sum(o.given) + sum(coins),
		Waiting: waiting,
		All:     o.all,
	}
	e.Missing = max(e.Cost-e.Have, txsize.DustLimit, o.inputFee()+1)
	return e
}
