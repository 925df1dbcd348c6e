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

// client is btcwallet's client over the light client, corrected in four points.
type client struct {
	*chain.NeutrinoClient
	vault *vault
	log   *slog.Logger
	offer func()

	notes   chan any // what btcwallet is told
	forward sync.WaitGroup
	stop    func()        // closes stopped
	stopped chan struct{} // btcwallet listens no more
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

// Start also begins to tell btcwallet what happens. A client is started once.
func (c *client) Start(ctx context.Context) error {
	if err := c.NeutrinoClient.Start(ctx); err != nil {
		return err
	}
	c.forward.Go(func() {
		defer close(c.notes)
		for n := range c.NeutrinoClient.Notifications() {
			if !c.tell(n) {
				return
			}
		}
	})
	return nil
}

// Notifications is what btcwallet listens to.
func (c *client) Notifications() <-chan any { return c.notes }

// tell passes a notification on, and steps back from blocks that left the chain in btcwallet's
// place. That forgets the hash of the block it steps back to, and so takes the next one, on a
// reorganisation of several blocks, for one that it does not know; it asks for headers that are
// gone by then; and while it is catching up it does not step back at all.
func (c *client) tell(n any) bool {
	gone, yes := n.(chain.BlockDisconnected)
	if yes {
		n = nothing{}
	}
	select {
	case c.notes <- n:
	case <-c.stopped:
		return false
	}
	if yes { // btcwallet took nothing, so it has done what it was told before
		if err := c.vault.stepBack(c.NeutrinoClient, gone.Height); err != nil {
			c.log.Warn("the wallet did not step back from a block that left the chain", "height", gone.Height, "err", err)
		}
	}
	return true
}

// nothing is a notification that btcwallet passes over.
type nothing struct{}

// WaitForShutdown may be called once the client is stopped, several times.
func (c *client) WaitForShutdown() {
	c.stop()
	c.NeutrinoClient.WaitForShutdown()
	c.forward.Wait()
}

// NotifyBlocks is called once the wallet has stepped back from reorganised blocks and, on a
// restore, found its coins; and before it lists the addresses to follow from there on: the moment
// to derive those that must be among them.
func (c *client) NotifyBlocks() error {
	if _, err := c.vault.topUp(); err != nil {
		return err
	}
	return c.NeutrinoClient.NotifyBlocks()
}

// Rescan watches coins besides those that btcwallet names: those that were spent lately.
func (c *client) Rescan(from *chainhash.Hash, addrs []address.Address, coins map[wire.OutPoint]address.Address) error {
	spent, err := c.vault.recentlySpent()
	if err != nil {
		return err
	}
	maps.Copy(spent, coins)
	return c.NeutrinoClient.Rescan(from, addrs, spent)
}

// SendRawTransaction never fails: btcwallet deletes a payment whose broadcast failed for whatever
// reason, such as a broadcaster that is being stopped, although it may be on its way. Payments are
// offered by keepOffering instead.
func (c *client) SendRawTransaction(tx *wire.MsgTx, _ bool) (*chainhash.Hash, error) {
	c.offer()
	txid := tx.TxHash()
	return &txid, nil
}
