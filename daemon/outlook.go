package daemon

import (
	"context"
	"time"

	"ancre/batcher"
	"ancre/internal/money"
	"ancre/internal/txsize"
	"ancre/rpc"
	"ancre/wallet"
)

const (
	// priceEvery is how often a daemon that pays for nothing looks what block space costs. It
	// downloads six blocks for that. One that pays looks at each block.
	priceEvery = 12 * time.Hour

	// priceRetry is the same after a failure.
	priceRetry = 10 * time.Minute
)

// outlook is how long the wallet's money lasts, and what to send. It reads nothing.
func (d *node) outlook(over batcher.Overview, balance wallet.Balance) money.Outlook {
	return money.Look(money.Facts{
		BalanceSats: balance.Confirmed,
		AnchorSats:  d.anchorFee(),
		Batches:     over.Lately.Batches,
		Blocks:      over.Lately.Blocks,
		Interval:    d.cfg.Batch.Interval,
		BudgetSats:  over.BudgetSats,
	})
}

// price is what the operator says that a bitcoin costs.
func (d *node) price() money.Price { return money.Price(d.cfg.Wallet.Price) }

// anchorFee returns what an anchor would pay at the last known estimate, within the caps.
func (d *node) anchorFee() int64 {
	estimate, floor := d.chain.LastFees()
	return min(max(estimate, floor), d.cfg.Anchor.MaxFeeRate, d.cfg.Anchor.MaxFeeSats/txsize.Anchor) * txsize.Anchor
}

// rpcBalance is the balance as rpc tells it, with what it pays for.
func (d *node) rpcBalance(over batcher.Overview, b wallet.Balance) rpc.Balance {
	return rpc.Balance{ConfirmedSats: b.Confirmed, PendingSats: b.Pending, SpendableSats: b.Spendable, Outlook: d.outlook(over, b)}
}

// keepPrice looks what block space costs once the chain is there, and from time to time, so that
// an outlook is of today: nothing else looks before the first batch waits for its payment.
func (d *node) keepPrice(ctx context.Context) {
	changed, stop := d.chain.Changes()
	defer stop()
	for next := time.Duration(0); ; {
		if d.chain.Synced() {
			next = priceEvery
			if _, err := d.chain.Fees(ctx); err != nil {
				next = priceRetry
				d.log.Debug("cannot look what block space costs", "err", err)
			}
		}
		var after <-chan time.Time
		unsynced := changed
		if next > 0 {
			after, unsynced = time.After(next), nil
		}
		select {
		case <-unsynced:
		case <-after:
		case <-ctx.Done():
			return
		}
	}
}
