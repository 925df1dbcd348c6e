package wallet

import (
	"context"
	"log/slog"
	"maps"
	"sync"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
)

// client is btcwallet's client over the light client. It corrects four of its methods.
type client struct {
	*chain.NeutrinoClient
	vault *vault
	log   *slog.Logger
	offer func()

	notes   chan any // the notifications to btcwallet
	forward sync.WaitGroup
	stop    func()        // closes stopped
	stopped chan struct{} // closed when btcwallet no longer listens
}

func newClient(c *chain.NeutrinoClient, v *vault, log *slog.Logger, offer func()) *client {
	stopped := make(chan struct{})
	return &client{
		NeutrinoClient: c,
		vault:          v, log: log, offer: offer,
		notes:   make(chan any),
		stopped: stopped,
		stop:    sync.OnceFunc(func() { close(stopped) }),
	}
}

// Start also begins to pass notifications on to btcwallet. A client is started once.
func (c *client) Start(ctx context.Context) error {
	if err := c.NeutrinoClient.Start(ctx); err != nil {
		return err
	}
	c.forward.Go(func() {
		defer close(c.notes)
		for n := range c.NeutrinoClient.Notifications() {
			if !c.pass(n) {
				return
			}
		}
	})
	return nil
}

// Notifications returns the channel on which btcwallet listens.
func (c *client) Notifications() <-chan any { return c.notes }

// pass passes a notification on to btcwallet. When a block has left the chain, it makes the wallet
// step back itself, because btcwallet does that wrong in three ways. It forgets the hash of the
// block to which it steps back, so in a reorganisation of several blocks it does not know the next
// one. It asks for headers that no longer exist. While it is catching up, it does not step back at
// all.
func (c *client) pass(n any) bool {
	gone, stepBack := n.(chain.BlockDisconnected)
	if stepBack {
		n = nothing{}
	}
	select {
	case c.notes <- n:
	case <-c.stopped:
		return false
	}
	if stepBack { // btcwallet has received n, so it has processed all earlier notifications
		if err := c.vault.stepBack(c.NeutrinoClient, gone.Height); err != nil {
			c.log.Warn("the wallet could not step back from a block that left the chain", "height", gone.Height, "err", err)
		}
	}
	return true
}

// nothing is a notification that btcwallet ignores.
type nothing struct{}

// WaitForShutdown may be called once the client is stopped, and several times.
func (c *client) WaitForShutdown() {
	c.stop()
	c.NeutrinoClient.WaitForShutdown()
	c.forward.Wait()
}

// NotifyBlocks derives addresses first, so that btcwallet follows them. btcwallet calls it after it
// has stepped back from reorganised blocks and, in a restore, found its coins, and before it lists
// the addresses to follow.
func (c *client) NotifyBlocks() error {
	if _, err := c.vault.topUp(); err != nil {
		return err
	}
	return c.NeutrinoClient.NotifyBlocks()
}

// Rescan also watches the coins that were spent lately, besides those that btcwallet names.
func (c *client) Rescan(from *chainhash.Hash, addrs []address.Address, coins map[wire.OutPoint]address.Address) error {
	spent, err := c.vault.recentlySpent()
	if err != nil {
		return err
	}
	maps.Copy(spent, coins)
	return c.NeutrinoClient.Rescan(from, addrs, spent)
}

// SendRawTransaction never fails. btcwallet would delete a payment whose broadcast failed for any
// reason, even because the broadcaster was being stopped, although peers may have it. Payments are
// offered by keepOffering instead.
func (c *client) SendRawTransaction(tx *wire.MsgTx, _ bool) (*chainhash.Hash, error) {
	c.offer()
	txid := tx.TxHash()
	return &txid, nil
}
