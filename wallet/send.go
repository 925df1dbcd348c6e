package wallet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ancre/internal/humanize"
	"ancre/internal/txsize"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/wallet/txrules"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/btcsuite/btcwallet/wtxmgr"
	"golang.org/x/sync/errgroup"
)

// All is the amount for [Wallet.Send] that sends all spendable coins, less the fee.
const All int64 = -1

const (
	// offerEvery is how often payments that are not mined are offered again. They are also offered
	// at each block.
	offerEvery = 10 * time.Minute

	// retryOffer is the same after an offer that failed, for example because no peer was connected.
	retryOffer = time.Minute

	// offerTimeout is how long one offer may take.
	offerTimeout = time.Minute

	// offersAtOnce is how many payments are offered at a time.
	offersAtOnce = 4
)

// Payment is a payment out of the wallet, and what it leaves there. Amounts are in satoshi.
type Payment struct {
	TxID        string // as displayed; empty: it was only quoted
	Sats        int64  // what the address receives
	FeeSats     int64
	SatPerVByte int64

	Rest        int64 // what stays in the wallet: change, and coins that are not spent
	Held        int64 // the part of it that is held for anchors in flight
	Unconfirmed int64 // the part that is not mined yet, or not spendable yet; without the change of this payment
	Small       int64 // the part in coins that cost more to spend than they are worth
}

// Quote returns what [Wallet.Send] would do now. It sends nothing.
func (w *Wallet) Quote(ctx context.Context, to string, sats int64, satPerVByte int64) (Payment, error) {
	p, err := w.pay(ctx, to, sats, satPerVByte, func(context.Context, *vault, *draft) error { return nil })
	p.TxID = ""
	return p, err
}

// Send pays sats to an address of this network, or everything that can be spent ([All]). It spends
// confirmed coins that are not leased: those of an anchor in flight stay.
//
// Once it returns nil, the payment is stored, and is offered to the network until it is mined, over
// restarts too. A failed broadcast is not an error: the network may have the payment nevertheless,
// and a person who is told that it failed pays twice.
func (w *Wallet) Send(ctx context.Context, to string, sats int64, satPerVByte int64) (Payment, error) {
	p, err := w.pay(ctx, to, sats, satPerVByte, w.store)
	if err != nil {
		return Payment{}, err
	}
	w.addressesUsed.Store(true)
	w.log.Info("payment stored", "txid", p.TxID, "sats", p.Sats, "fee_sats", p.FeeSats)
	w.offerSoon()
	return p, nil
}

// pay builds a payment, and has it stored before anything else can take its coins.
func (w *Wallet) pay(ctx context.Context, to string, sats, satPerVByte int64, store func(context.Context, *vault, *draft) error) (p Payment, err error) {
	v, err := w.current()
	if err != nil {
		return p, err
	}
	script, err := w.payTo(to)
	if err != nil {
		return p, err
	}
	dust := dustOf(script)
	if sats != All && (sats < dust || sats > btcutil.MaxSatoshi) {
		return p, fmt.Errorf("amount %s: nodes relay from %s to %s to this kind of address", humanize.Sats(sats), humanize.Sats(dust), humanize.Sats(int64(btcutil.MaxSatoshi)))
	}
	height, _, err := w.cfg.Chain.Best()
	if err != nil {
		return p, err
	}

	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()
	if err := w.spend.acquire(ctx); err != nil {
		return p, fmt.Errorf("send: %w", err)
	}
	defer w.spend.release()
	o := order{
		what:        "this payment",
		out:         wire.NewTxOut(max(sats, 0), script),
		all:         sats == All,
		satPerVByte: satPerVByte,
		lockTime:    uint32(height), // as other wallets do: so miners gain nothing by mining the last block again
	}
	d, err := w.build(ctx, v, o)
	if err != nil {
		return p, err
	}
	coins, err := withTimeout(ctx, w, "read the balance", func() ([]coin, error) { return v.coins(&w.leases) })
	if err != nil {
		return p, err
	}
	p = d.payment(coins, satPerVByte)
	if err := store(ctx, v, d); err != nil {
		return Payment{}, err
	}
	return p, nil
}

// store stores a payment. If that takes longer than its time limit, nothing else may spend its
// coins meanwhile.
func (w *Wallet) store(ctx context.Context, v *vault, d *draft) error {
	w.leases.hold(d.spent(), time.Now().Add(holdFor))
	if err := doWithTimeout(ctx, w, "store the payment", func() error { return v.storePayment(d.tx) }); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: the payment may still be stored, so look into the history before you send again", err)
		}
		w.leases.release(d.spent())
		return err
	}
	w.leases.release(d.spent())
	return nil
}

// payment says what a draft pays, and what it leaves of the wallet's coins.
func (d *draft) payment(coins []coin, satPerVByte int64) Payment {
	p := Payment{TxID: d.tx.TxHash().String(), Sats: d.tx.TxOut[0].Value, SatPerVByte: satPerVByte}
	for _, out := range d.prevouts {
		p.FeeSats += out.Value
	}
	for i, out := range d.tx.TxOut {
		p.FeeSats -= out.Value
		if i > 0 {
			p.Rest += out.Value // the change
		}
	}
	spent := d.spent()
	for _, c := range coins {
		if slices.Contains(spent, c.OutPoint) {
			continue
		}
		p.Rest += c.out.Value
		switch {
		case c.leased:
			p.Held += c.out.Value
		case !c.spendable():
			p.Unconfirmed += c.out.Value
		case c.out.Value < txsize.DustLimit || c.out.Value <= satPerVByte*txsize.Input:
			p.Small += c.out.Value
		}
	}
	return p
}

// payTo returns the script of an address of this network.
func (w *Wallet) payTo(to string) ([]byte, error) {
	refuse := func(why string) error {
		return fmt.Errorf("address %q: %s (this wallet is on %s)", to, why, w.cfg.Params.Name)
	}
	a, err := address.DecodeAddress(to, w.cfg.Params)
	if err != nil {
		return nil, refuse("it is not an address of this network, or has a typing error")
	}
	if !a.IsForNet(w.cfg.Params) {
		return nil, refuse("it belongs to another network")
	}
	if _, bare := a.(*address.AddressPubKey); bare {
		return nil, refuse("a bare public key is not an address")
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		return nil, refuse("it cannot be paid to")
	}
	return script, nil
}

// dustOf returns the smallest output to a script that nodes relay, in satoshi.
func dustOf(script []byte) int64 {
	sats, most := int64(0), int64(1000)
	for sats < most { // the library only says whether an output is dust
		mid := (sats + most) / 2
		if txrules.IsDustOutput(wire.NewTxOut(mid, script), txrules.DefaultRelayFeePerKb) {
			sats = mid + 1
		} else {
			most = mid
		}
	}
	return sats
}

// storePayment stores a payment of ours in btcwallet, in one synced transaction. btcwallet's own
// PublishTransaction does the same, but also asks the chain backend in between, which may fail
// after the payment was stored.
func (v *vault) storePayment(tx *wire.MsgTx) error {
	record, err := wtxmgr.NewTxRecordFromMsgTx(tx, time.Now())
	if err != nil {
		return err
	}
	err = walletdb.Update(v.db, func(dbtx walletdb.ReadWriteTx) error {
		txs, addrs := dbtx.ReadWriteBucket(txBucket), dbtx.ReadWriteBucket(addressBucket)
		if err := v.btc.TxStore.InsertTx(txs, record, nil); err != nil {
			return err
		}
		for i, out := range tx.TxOut {
			a, err := v.ours(addrs, out.PkScript)
			if err != nil {
				return err
			}
			if a == nil {
				continue
			}
			if err := v.btc.TxStore.AddCredit(txs, record, nil, uint32(i), a.Internal()); err != nil {
				return err
			}
			if err := v.scope.MarkUsed(addrs, a.Address()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store payment: %w", err)
	}
	return nil
}

// offerSoon makes keepOffering offer new payments.
func (w *Wallet) offerSoon() {
	select {
	case w.offerNow <- struct{}{}:
	default:
	}
}

// keepOffering offers payments that are not mined to the peers: soon after they are made, at each
// block, and from time to time. It does not offer anchors that a reorganisation took out of their
// blocks: the batcher decides which version of those is offered.
func (w *Wallet) keepOffering(ctx context.Context, v *vault) {
	changed, stop := w.cfg.Chain.Changes()
	defer stop()
	tick := time.NewTicker(offerEvery)
	defer tick.Stop()
	offered := map[chainhash.Hash]bool{} // since the start
	for {
		again := true
		select {
		case <-ctx.Done():
			return
		case <-w.offerNow:
			again = false // peers that have a payment do not ask for it, so offering it again would take seconds
		case <-changed:
		case <-tick.C:
		}
		payments, err := withTimeout(ctx, w, "list payments", v.unminedPayments)
		if err != nil {
			w.log.Debug("cannot list the payments to offer", "err", err)
			continue
		}
		known, missing := offered, maps.Clone(offered)
		offered = make(map[chainhash.Hash]bool, len(payments))
		var offers errgroup.Group
		offers.SetLimit(offersAtOnce)
		for _, tx := range payments {
			txid := tx.TxHash()
			offered[txid] = true
			delete(missing, txid)
			if known[txid] && !again {
				continue
			}
			offers.Go(func() error {
				once, cancel := context.WithTimeout(ctx, offerTimeout)
				defer cancel()
				err := w.cfg.Chain.Broadcast(once, tx)
				if err != nil && ctx.Err() == nil {
					w.log.Warn("no peer took a payment; offering it again later", "txid", txid, "err", err)
				}
				return err
			})
		}
		w.warnOfLost(ctx, v, slices.Collect(maps.Keys(missing)))
		next := offerEvery
		if offers.Wait() != nil {
			next = retryOffer
		}
		tick.Reset(next)
	}
}

// unminedPayments lists our payments that are not mined.
func (v *vault) unminedPayments() ([]*wire.MsgTx, error) {
	var payments []*wire.MsgTx
	err := v.view(func(dbtx walletdb.ReadTx) error {
		return v.btc.TxStore.RangeTransactions(dbtx.ReadBucket(txBucket), -1, 0, func(details []wtxmgr.TxDetails) (bool, error) {
			for _, d := range details {
				if d.Block.Height >= 0 {
					return true, nil // the unmined come first
				}
				if len(d.Debits) > 0 && !isAnchor(&d.MsgTx) {
					payments = append(payments, d.MsgTx.Copy())
				}
			}
			return false, nil
		})
	})
	return payments, err
}
