package main

import (
	"context"

	"ancre/internal/money"
	"ancre/rpc"
)

// onceMined explains to a person who has just sent money why it is not there: a light client sees
// no payment before a block has it.
const onceMined = "A payment shows up in \"ancre wallet balance\" once a block has it: usually within an hour."

// price returns what a bitcoin costs by the configuration. It is only for display, so a
// configuration that cannot be read means that there is none.
func (a *app) price() money.Price {
	cfg, err := a.flags.Load()
	if err != nil {
		return ""
	}
	return money.Price(cfg.Wallet.Price)
}

// proposal says how much to send to the wallet, and how long that lasts.
func (a *app) proposal(o money.Outlook) string {
	if p := o.Proposal(a.price()); p != "" {
		return p
	}
	return "what some months of anchors cost"
}

// outlook asks the daemon how long money lasts. Without an answer it is empty: this is only told
// beside something else.
func outlook(ctx context.Context, client *rpc.Client) money.Outlook {
	balance, err := client.Balance(ctx)
	if err != nil {
		return money.Outlook{}
	}
	return balance.Outlook
}
