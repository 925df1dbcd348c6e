package daemon

import (
	"context"

	"ancre/batcher/decide"
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
		Anchoring: rpc.Anchoring{IntervalSeconds: int64(d.cfg.Batch.Interval.Seconds()), TargetSeconds: int64(d.cfg.Anchor.Target.Seconds()),
			Confirmations: d.cfg.Anchor.Confirmations},
		Calendar: rpc.CalendarInfo{Listen: d.calendarAddr, URI: d.cfg.Calendar.URI},
		Metrics:  rpc.MetricsInfo{Listen: d.metricsAddr},
		Wallet:   rpc.WalletInfo{State: string(d.wallet.State()), Revivals: d.wallet.Revivals()},
	}
	info.LastBackup, info.BackupFailure = d.backups.reported()
	if chain.Remaining < 0 {
		info.Chain.RemainingSeconds = -1
	}
	for _, p := range chain.Peers {
		info.Chain.Peers = append(info.Chain.Peers, rpc.Peer{Address: p.Address, Agent: p.Agent, Height: p.Height, Filters: p.Filters})
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
	info.Wallet.Balance = d.rpcBalance(over, balance)
	return info, nil
}
