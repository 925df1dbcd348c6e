package itest

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"ancre/wallet"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/btcsuite/btcwallet/waddrmgr"
)

// weakKeys makes the derivation of wallet keys cheap in this process. Only test programs do this.
var weakKeys = sync.OnceFunc(func() { waddrmgr.DefaultScryptOptions = waddrmgr.FastScryptOptions })

// makeQuickWallet makes the daemon's wallet before the daemon first runs, for tests that start the
// daemon often. Deriving its key takes milliseconds instead of two seconds. Otherwise it is an
// ordinary wallet.
func (w *world) makeQuickWallet() {
	w.Helper()
	weakKeys()
	made, err := wallet.Open(wallet.Config{Dir: filepath.Join(w.daemon.NetDir(), "wallet"), Params: &chaincfg.RegressionNetParams, Chain: noChain{}})
	w.must(err)
	_, w.address, err = made.Create(w.ctx, []byte(passphrase), nil, time.Time{})
	w.must(errors.Join(err, made.Close()))
}

// startQuick is startFunded with such a wallet and an amount.
func (w *world) startQuick(sats int64) {
	w.Helper()
	w.makeQuickWallet()
	w.start()
	if sats > 0 {
		w.must(w.node.Fund(w.ctx, w.address, sats))
		w.awaitBalance(sats)
	}
}

// noChain is the light client of a wallet that is made and not used.
type noChain struct{}

var errNoChain = errors.New("there is no light client while a wallet is made")

func (noChain) WalletChain() *chain.NeutrinoClient              { panic(errNoChain) }
func (noChain) Best() (int32, chainhash.Hash, error)            { return 0, chainhash.Hash{}, errNoChain }
func (noChain) Synced() bool                                    { return false }
func (noChain) Broadcast(context.Context, *wire.MsgTx) error    { return errNoChain }
func (noChain) Changes() (changed <-chan struct{}, stop func()) { return nil, func() {} }
