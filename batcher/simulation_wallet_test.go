package batcher

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"ancre/internal/txsize"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const (
	headroomFees = 20               // how many times its fee a coin should be worth to be taken alone
	holdFor      = 10 * time.Minute // how long the coins of what was built are kept
)

// purse is the fee wallet. It pays from what the chain of the client holds for its scripts, chooses
// coins as the real wallet does, and learns of a transaction only from blocks. It signs nothing,
// but every transaction has its real size.
type purse struct {
	l      *life
	at     []*link // the chain that it has seen
	coins  []purseCoin
	made   map[wire.OutPoint]bool // by a block of that chain
	spent  map[wire.OutPoint]bool // by a block of that chain
	ours   map[string]bool        // scripts
	leases map[wire.OutPoint]time.Time
	sent   map[wire.OutPoint]bool // by the operator, mined or not: the wallet remembers what it sent itself
	ready  error
}

// purseCoin is an unspent output.
type purseCoin struct {
	wire.OutPoint
	out *wire.TxOut
}

// forEver is a lease that only Release, or a crash, ends.
var forEver = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func newPurse(l *life) *purse {
	return &purse{
		l: l, at: slices.Clone(ancient), made: make(map[wire.OutPoint]bool), spent: make(map[wire.OutPoint]bool),
		ours: make(map[string]bool), leases: make(map[wire.OutPoint]time.Time), sent: make(map[wire.OutPoint]bool),
	}
}

// script makes a P2WPKH script of ours.
func (w *purse) script() []byte {
	h := sha256.Sum256(fmt.Append(nil, "script", len(w.ours)))
	s := append([]byte{txscript.OP_0, txscript.OP_DATA_20}, h[:20]...)
	w.ours[string(s)] = true
	return s
}

// follow updates the wallet to the chain that the client shows.
func (w *purse) follow() {
	view := w.l.client.view
	for len(w.at) > len(view) || w.at[len(w.at)-1] != view[len(w.at)-1] {
		k := w.at[len(w.at)-1]
		w.at = w.at[:len(w.at)-1]
		for i, p := range slices.Backward(k.txs) {
			for j := range p.TxOut {
				at := wire.OutPoint{Hash: p.txid, Index: uint32(j)}
				delete(w.made, at)
				w.drop(at)
			}
			for j, in := range p.TxIn {
				delete(w.spent, in.PreviousOutPoint)
				if out := k.undo[i][j]; out != nil && w.ours[string(out.PkScript)] {
					w.coins = append(w.coins, purseCoin{in.PreviousOutPoint, out})
				}
			}
		}
	}
	for _, k := range view[len(w.at):] {
		w.at = append(w.at, k)
		for _, p := range k.txs {
			for _, in := range p.TxIn {
				w.drop(in.PreviousOutPoint)
				w.spent[in.PreviousOutPoint] = true
			}
			for j, out := range p.TxOut {
				if at := (wire.OutPoint{Hash: p.txid, Index: uint32(j)}); w.ours[string(out.PkScript)] {
					w.coins = append(w.coins, purseCoin{at, out})
					w.made[at] = true
				}
			}
		}
	}
}

func (w *purse) drop(at wire.OutPoint) {
	w.coins = slices.DeleteFunc(w.coins, func(c purseCoin) bool { return c.OutPoint == at })
}

// spendable returns the coins that nothing else needs, in the order in which they came.
func (w *purse) spendable() []purseCoin {
	var free []purseCoin
	for _, c := range w.coins {
		if until, leased := w.leases[c.OutPoint]; (!leased || !until.After(w.l.clock)) && !w.sent[c.OutPoint] {
			free = append(free, c)
		}
	}
	return free
}

func (w *purse) Ready() error { return w.ready }

func (w *purse) BuildAnchor(_ context.Context, o Order) (tx *wire.MsgTx, prevouts []*wire.TxOut, err error) {
	dead := w.l.outside("build", func() { tx, prevouts, err = w.build(o) })
	if dead != nil {
		return nil, nil, dead
	}
	return tx, prevouts, err
}

func (w *purse) build(o Order) (*wire.MsgTx, []*wire.TxOut, error) {
	if w.ready != nil {
		return nil, nil, w.ready
	}
	w.follow()
	if o.SatPerVByte < 1 {
		return nil, nil, fmt.Errorf("fee rate %d sat/vB", o.SatPerVByte)
	}
	if len(o.Coins) != len(o.Prevouts) {
		return nil, nil, fmt.Errorf("%d coins and %d outputs", len(o.Coins), len(o.Prevouts))
	}
	change := o.Change
	if change == nil {
		change = w.script()
	}
	var taken takenCoins
	d := draftOf(o, change)
	for i, at := range o.Coins {
		if !w.ours[string(o.Prevouts[i].PkScript)] {
			return nil, nil, fmt.Errorf("coin %s is not ours", at)
		}
		if w.spent[at] {
			taken = append(taken, at)
		}
		d.add(purseCoin{at, o.Prevouts[i]})
	}
	var usable []purseCoin
	for _, c := range w.spendable() {
		if c.out.Value > o.SatPerVByte*txsize.Input && c.out.Value >= txsize.DustLimit && !slices.Contains(o.Coins, c.OutPoint) {
			usable = append(usable, c)
		}
	}
	slices.SortStableFunc(usable, func(a, b purseCoin) int { return cmp.Compare(b.out.Value, a.out.Value) })
	if taken != nil {
		return nil, nil, taken
	}
	bare := d.finished()
	if bare != nil && len(bare.tx.TxOut) > 1 {
		return w.hold(bare)
	}
	// Usually one coin is taken: the smallest that is ample.
	ample := headroomFees*o.SatPerVByte*(txsize.Anchor+txsize.Input*int64(len(o.Coins))) - d.sum
	i := slices.IndexFunc(usable, func(c purseCoin) bool { return c.out.Value < ample })
	switch {
	case i > 0:
		usable = usable[i-1:]
	case i < 0 && len(usable) > 0:
		usable = usable[len(usable)-1:]
	}
	for _, c := range usable {
		d.add(c)
		f := d.finished()
		if f != nil && len(f.tx.TxOut) > 1 {
			return w.hold(f)
		}
		bare = cmp.Or(bare, f)
	}
	if bare != nil {
		return w.hold(bare)
	}
	return nil, nil, shortage(max(o.SatPerVByte*d.size(false)+o.SatPerVByte*txsize.Input-d.sum, txsize.DustLimit))
}

// takenCoins says which of the given coins are spent.
type takenCoins []wire.OutPoint

func (e takenCoins) Error() string {
	return fmt.Sprintf("coins %v are spent already", []wire.OutPoint(e))
}
func (e takenCoins) TakenCoins() []wire.OutPoint { return e }

func (w *purse) hold(d *purseDraft) (*wire.MsgTx, []*wire.TxOut, error) {
	for i, in := range d.tx.TxIn {
		if w.l.rng.IntN(2) == 0 { // one signature in two is a byte shorter
			in.Witness[0] = in.Witness[0][:71]
		}
		if _, leased := w.leases[in.PreviousOutPoint]; !leased || i >= d.given {
			w.leases[in.PreviousOutPoint] = w.l.clock.Add(holdFor)
		}
	}
	return d.tx, d.prevouts, nil
}

// purseDraft is a transaction that is being built.
type purseDraft struct {
	o        Order
	change   []byte
	tx       *wire.MsgTx
	prevouts []*wire.TxOut
	sum      int64
	given    int
}

func draftOf(o Order, change []byte) *purseDraft {
	d := &purseDraft{o: o, change: change, tx: wire.NewMsgTx(2), given: len(o.Coins)}
	d.tx.LockTime = o.LockTime
	d.tx.AddTxOut(wire.NewTxOut(0, append([]byte{txscript.OP_RETURN, txscript.OP_DATA_32}, o.Root[:]...)))
	return d
}

func (d *purseDraft) add(c purseCoin) {
	d.tx.AddTxIn(&wire.TxIn{PreviousOutPoint: c.OutPoint, Sequence: 0xfffffffd, Witness: wire.TxWitness{make([]byte, 72), make([]byte, 33)}})
	d.prevouts = append(d.prevouts, c.out)
	d.sum += c.out.Value
}

// size is that of the transaction with all it has and perhaps change, in vB.
func (d *purseDraft) size(withChange bool) int64 {
	n := len(d.tx.TxIn)
	stripped := 10 + 41*n + 43
	if withChange {
		stripped += 9 + len(d.change)
	}
	return int64(4*stripped+2+108*n+3) / 4
}

// finished returns the transaction, with change unless that would be dust. It returns nil if the
// coins are not enough.
func (d *purseDraft) finished() *purseDraft {
	rest := d.sum - d.o.SatPerVByte*d.size(true)
	if rest < txsize.DustLimit && d.sum < d.o.SatPerVByte*d.size(false) || len(d.prevouts) == 0 {
		return nil
	}
	f := *d
	f.tx, f.prevouts = d.tx.Copy(), slices.Clone(d.prevouts)
	if rest >= txsize.DustLimit {
		f.tx.AddTxOut(wire.NewTxOut(rest, d.change))
	}
	return &f
}

func (w *purse) Gone(_ context.Context, coins []wire.OutPoint) (gone []wire.OutPoint, err error) {
	if w.ready != nil {
		return nil, w.ready
	}
	w.follow()
	for _, c := range coins {
		if !w.made[c] {
			gone = append(gone, c)
		}
	}
	return gone, nil
}

func (w *purse) Lease(_ context.Context, coins []wire.OutPoint) error {
	return w.l.outside("lease", func() {
		for _, c := range coins {
			w.leases[c] = forEver
		}
	})
}

func (w *purse) LeaseOnly(_ context.Context, coins []wire.OutPoint) error {
	return w.l.outside("lease", func() {
		clear(w.leases)
		for _, c := range coins {
			w.leases[c] = forEver
		}
	})
}

func (w *purse) Release(_ context.Context, coins []wire.OutPoint) error {
	return w.l.outside("release", func() {
		for _, c := range coins {
			delete(w.leases, c)
		}
	})
}

// send is a payment of the operator to someone else. Without money to spare it sends nothing.
func (w *purse) send() *payment {
	w.follow()
	free := w.spendable()
	if w.ready != nil || len(free) == 0 {
		return nil
	}
	c := free[w.l.rng.IntN(len(free))]
	fee := 150 * max(w.l.net.market, w.l.net.minRate, 2)
	if c.out.Value < fee+1000 {
		return nil
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: c.OutPoint, Sequence: 0xfffffffd, Witness: wire.TxWitness{make([]byte, 72), make([]byte, 33)}})
	tx.AddTxOut(wire.NewTxOut(c.out.Value-fee, []byte{txscript.OP_0, txscript.OP_DATA_20, 19: 9, 21: 9}))
	w.sent[c.OutPoint] = true
	return w.l.net.payment(tx)
}

var errLocked = errors.New("the wallet is locked")
