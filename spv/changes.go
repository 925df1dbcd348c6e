package spv

import (
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/lightninglabs/neutrino/blockntfns"
)

// lookInterval is how often the tip is compared with the last one, in case neutrino did not report
// a change.
const lookInterval = 30 * time.Second

// Changes returns a channel that receives a value when the newest block may have changed (blocks
// were connected or disconnected), and when [Client.Peers] has grown. Several changes since the
// last receive make one value. stop releases the channel, and does not close it.
func (c *Client) Changes() (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	c.listeners[ch] = struct{}{}
	c.mu.Unlock()
	return ch, func() {
		c.mu.Lock()
		delete(c.listeners, ch)
		c.mu.Unlock()
	}
}

func (c *Client) notifyChange() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.listeners {
		select {
		case ch <- struct{}{}:
		default: // it already has a value
		}
	}
}

// followBlocks reports neutrino's notifications of blocks to the listeners, until the client is
// closed. neutrino queues them without a bound, so followBlocks does nothing else.
func (c *Client) followBlocks(sub *blockntfns.Subscription) {
	defer sub.Cancel()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	var last chainhash.Hash
	news := sub.Notifications
	for {
		select {
		case _, ok := <-news:
			if !ok {
				news = nil
				continue
			}
			c.notifyChange()
		case <-look.C:
			if _, hash, err := c.Best(); err == nil && hash != last {
				last = hash
				c.notifyChange()
			}
		case <-c.ctx.Done():
			return
		}
	}
}
