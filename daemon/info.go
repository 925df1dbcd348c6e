package daemon

import (
	"context"
	"fmt"
	"net"
	"net/url"

	"ancre/batcher/decide"
	"ancre/config"
	"ancre/internal/loopback"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"
)

// Info implements rpcserver.Node: what a person asks first. It waits for nothing and reads little.
func (d *node) Info(ctx context.Context) (rpc.Info, error) {
	chain := d.chain.Status()
	over, err := d.batcher.Overview(ctx)
	if err != nil {
		return rpc.Info{}, err
	}
	info := rpc.Info{
		Version: d.version,
		Network: d.cfg.Network,
		DataDir: d.dir,
		Ready:   chain.Synced && d.wallet.Ready() == nil,
		Chain: rpc.ChainInfo{
			Synced:           chain.Synced,
			Height:           chain.Height,
			BlockHash:        chain.Hash.String(),
			BlockTime:        moment(chain.BlockTime),
			HeadersHeight:    chain.HeadersHeight,
			FiltersHeight:    chain.FiltersHeight,
			TargetHeight:     chain.TargetHeight,
			Progress:         chain.Progress,
			BlocksPerSecond:  chain.BlocksPerSecond,
			RemainingSeconds: int64(chain.Remaining.Seconds()),
			Peers:            []rpc.Peer{},
		},
		Digests:  over.Digests,
		Waiting:  over.Waiting,
		Anchors:  rpc.AnchorCounts{Broadcast: over.Broadcast, Mined: over.Mined, Final: over.Final, Total: over.Anchors},
		Spending: rpc.Spending{PaidSats: over.PaidSats, BudgetSats: over.BudgetSats, Blocks: decide.BudgetBlocks},
		Calendar: rpc.CalendarInfo{Listen: d.calendarAddr, URI: d.cfg.Calendar.URI},
		Metrics:  rpc.MetricsInfo{Listen: d.metricsAddr},
		Wallet:   rpc.WalletInfo{State: string(d.wallet.State()), Revivals: d.wallet.Revivals()},
	}
	if chain.Remaining < 0 {
		info.Chain.RemainingSeconds = -1
	}
	for _, p := range chain.Peers {
		info.Chain.Peers = append(info.Chain.Peers, rpc.Peer{Address: p.Address, Agent: p.Agent, Height: p.Height})
	}
	if over.Open != nil {
		open := rpcserver.BatchOf(over.Open)
		info.Batch = &open
	}
	balance, balanceErr := d.balance(ctx)
	for _, w := range d.warnings(chain, over, balance, balanceErr) {
		info.Details = append(info.Details, rpc.Warning{Kind: w.Kind.Name(), Severity: string(w.Kind.Severity()), Text: w.Text})
		info.Warnings = append(info.Warnings, w.Text)
		info.Held = info.Held || w.Kind.HoldsAnchors()
	}
	info.Wallet.Balance = rpcBalance(balance)
	return info, nil
}

// calendarWarning says when the calendar is there for other machines, and the proofs that it hands
// out can be completed on this one alone. That cannot be put right later: a proof keeps the address
// that it was given.
func calendarWarning(c config.Calendar) string {
	host, _, err := net.SplitHostPort(c.Listen)
	uri, uriErr := url.Parse(c.URI)
	if err != nil || uriErr != nil || !loopback.IsHost(uri.Hostname()) || loopback.IsHost(host) && len(c.TrustedProxies) == 0 {
		return ""
	}
	return fmt.Sprintf("pending proofs point to %s, which only this machine can reach, but the calendar serves other machines too: set calendar.uri to "+
		"the public address of this server before it issues more proofs", c.URI)
}
