package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ancre/batcher"
	"ancre/batcher/decide"
	"ancre/batcher/store/backup"
	"ancre/headers"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"
	"ancre/spv"
	"ancre/wallet"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// coded is an error of a room with the sentinel of rpc that decides the code of the answer. Its
// text is the room's own.
type coded struct{ err, sentinel error }

func (c coded) Error() string   { return c.err.Error() }
func (c coded) Unwrap() []error { return []error{c.err, c.sentinel} }

// chainService is the light client as rpc sees it.
type chainService struct {
	*spv.Client
	policy decide.Policy // for what anchors would pay
}

func (c chainService) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	header, height, err := c.Client.Header(hash)
	if errors.Is(err, spv.ErrNotFound) {
		err = coded{err, headers.ErrNotFound}
	}
	return header, height, err
}

// payer is the wallet as the batcher sees it.
type payer struct{ *wallet.Wallet }

func (p payer) BuildAnchor(ctx context.Context, o batcher.Order) (*wire.MsgTx, []*wire.TxOut, error) {
	return p.Wallet.BuildAnchor(ctx, wallet.AnchorOrder(o))
}

// walletService is the wallet as rpc sees it.
type walletService struct{ d *node }

// walletCodes maps the wallet's errors to those of rpc, the first that fits.
var walletCodes = []coded{
	{wallet.ErrNoWallet, rpcserver.ErrNoWallet},
	{wallet.ErrExists, rpcserver.ErrWalletExists},
	{wallet.ErrUsed, rpcserver.ErrWalletExists},
	{wallet.ErrLocked, rpcserver.ErrWalletLocked},
	{wallet.ErrWrongPassphrase, rpcserver.ErrWrongPassphrase},
	{wallet.ErrPassphrase, rpcserver.ErrInvalidValue},
	{wallet.ErrSyncing, rpcserver.ErrStarting},
}

func walletError(err error) error {
	if err == nil {
		return nil
	}
	var short batcher.Shortage
	if errors.As(err, &short) {
		return coded{err, rpcserver.ErrInsufficientFunds}
	}
	for _, c := range walletCodes {
		if errors.Is(err, c.err) {
			return coded{err, c.sentinel}
		}
	}
	return coded{err, rpcserver.ErrWallet}
}

func (s walletService) Create(ctx context.Context, passphrase string, words []string, birthday time.Time) (rpc.CreatedWallet, error) {
	if len(words) == 0 {
		words = nil // the wallet makes new ones
	}
	made, address, err := s.d.wallet.Create(ctx, []byte(passphrase), words, birthday)
	return createdWallet(made, address, words, err)
}

// Replace also refuses while anchors are in flight: the wallet that paid for them has their change.
func (s walletService) Replace(ctx context.Context, passphrase string, words []string, birthday time.Time) (rpc.CreatedWallet, error) {
	over, err := s.d.batcher.Overview(ctx)
	if err != nil {
		return rpc.CreatedWallet{}, err
	}
	if n := over.Broadcast + over.Mined; n > 0 {
		return rpc.CreatedWallet{}, walletError(fmt.Errorf("%w: %d anchors are in flight", wallet.ErrUsed, n))
	}
	if len(words) == 0 {
		words = nil // the wallet makes new ones
	}
	made, address, err := s.d.wallet.Replace(ctx, []byte(passphrase), words, birthday)
	return createdWallet(made, address, words, err)
}

func createdWallet(made []string, address string, given []string, err error) (rpc.CreatedWallet, error) {
	if err != nil {
		return rpc.CreatedWallet{}, walletError(err)
	}
	return rpc.CreatedWallet{Words: made, Restored: len(given) > 0, Address: address}, nil
}

func (s walletService) Unlock(ctx context.Context, passphrase string) error {
	return walletError(s.d.wallet.Unlock(ctx, []byte(passphrase)))
}

func (s walletService) ChangePassphrase(ctx context.Context, old, new string) (rpc.ChangedPassphrase, error) {
	if err := s.d.wallet.ChangePassphrase(ctx, []byte(old), []byte(new)); err != nil {
		return rpc.ChangedPassphrase{}, walletError(err)
	}
	return s.d.changedPassphrase(new), nil
}

func (s walletService) NewAddress(ctx context.Context) (rpc.Address, error) {
	address, err := s.d.wallet.Address(ctx)
	if err != nil {
		return rpc.Address{}, walletError(err)
	}
	b, err := s.Balance(ctx)
	return rpc.Address{Address: address, Outlook: b.Outlook}, err
}

func (s walletService) Balance(ctx context.Context) (rpc.Balance, error) {
	b, err := s.d.wallet.Balance(ctx)
	if err != nil {
		return rpc.Balance{}, walletError(err)
	}
	over, err := s.d.batcher.Overview(ctx)
	return s.d.rpcBalance(over, b), err
}

func (s walletService) Transactions(ctx context.Context, count, skip int) ([]rpc.Transaction, error) {
	list, err := s.d.wallet.Transactions(ctx, count, skip)
	if err != nil {
		return nil, walletError(err)
	}
	out := make([]rpc.Transaction, len(list))
	for i, t := range list {
		out[i] = rpc.Transaction{
			TxID:          t.TxID.String(),
			Time:          t.Time.UTC(),
			AmountSats:    t.Sats,
			FeeSats:       t.FeeSats,
			Kind:          string(t.Kind),
			Height:        t.Height,
			BlockTime:     moment(t.BlockTime),
			Confirmations: t.Confirmations,
		}
	}
	return out, nil
}

// Send pays the light client's estimate when no fee rate is given, within the cap for anchors.
func (s walletService) Send(ctx context.Context, address string, sats, satPerVByte int64, dry bool) (rpc.Payment, error) {
	if satPerVByte == 0 {
		rate, err := s.d.chain.FeeRate(ctx)
		if err != nil {
			return rpc.Payment{}, fmt.Errorf("no fee estimate, name a fee rate: %w", err)
		}
		satPerVByte = min(rate, s.d.cfg.Anchor.MaxFeeRate)
	}
	amount := sats
	if sats == rpc.All {
		amount = wallet.All
	}
	send := s.d.wallet.Send
	if dry {
		send = s.d.wallet.Quote
	}
	p, err := send(ctx, address, amount, satPerVByte)
	if err != nil {
		return rpc.Payment{}, walletError(err)
	}
	out := rpc.Payment{TxID: p.TxID, AmountSats: p.Sats, FeeSats: p.FeeSats, SatPerVByte: p.SatPerVByte,
		RestSats: p.Rest, HeldSats: p.Held, UnconfirmedSats: p.Unconfirmed, SmallSats: p.Small}
	over, err := s.d.batcher.Overview(ctx)
	if err != nil { // it is sent
		s.d.log.Debug("cannot say what the rest of the wallet is enough for", "err", err)
		return out, nil
	}
	o := s.d.outlook(over, wallet.Balance{Confirmed: p.Rest})
	out.AnchorsLeft, out.DaysLeft = o.AnchorsLeft, o.DaysLeft
	return out, nil
}

// moment is a time for an answer; none for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// TestNotify implements rpcserver.Node.
func (d *node) TestNotify(ctx context.Context) (rpc.NotifyTest, error) {
	r, err := d.notifier.Test(ctx)
	if err != nil {
		return rpc.NotifyTest{}, err
	}
	t := rpc.NotifyTest{OK: r.Err == nil, Program: r.Program, Seconds: float64(r.Took.Milliseconds()) / 1000, Output: r.Output}
	if r.Err != nil {
		t.Error = r.Err.Error()
	}
	return t, nil
}

// backup writes the store as it is at one moment. The daemon goes on meanwhile.
func (d *node) backup(ctx context.Context, w io.Writer) error {
	snapshot, err := d.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	_, err = backup.Write(ctx, w, snapshot, d.cfg.Network, time.Now())
	return errors.Join(err, snapshot.Close())
}
