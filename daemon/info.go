package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"ancre/batcher"
	"ancre/config"
	"ancre/rpc"
	"ancre/spv"
	"ancre/wallet"
)

// Info implements rpc.Node: what a person asks first. It waits for nothing and reads little.
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
		Spending: rpc.Spending{PaidSats: over.PaidSats, BudgetSats: over.BudgetSats, Blocks: batcher.BudgetBlocks},
		Calendar: rpc.CalendarInfo{Listen: d.public, URI: d.cfg.Calendar.URI},
		Metrics:  rpc.MetricsInfo{Listen: d.watched},
		Wallet:   rpc.WalletInfo{State: string(d.wallet.State()), Revivals: d.wallet.Revivals()},
	}
	if chain.Remaining < 0 {
		info.Chain.RemainingSeconds = -1
	}
	for _, p := range chain.Peers {
		info.Chain.Peers = append(info.Chain.Peers, rpc.Peer{Address: p.Address, Agent: p.Agent, Height: p.Height})
	}
	if over.Open != nil {
		open := rpc.BatchOf(over.Open)
		info.Batch = &open
	}
	for _, w := range d.warnings(chain, over) {
		info.Warnings = append(info.Warnings, w.text)
		if w.isCaution() {
			info.Cautions++
		}
	}
	if s := d.wallet.State(); s == wallet.None || s == wallet.Unusable {
		return info, nil
	}
	balance, err := d.wallet.Balance(ctx)
	if err != nil {
		info.Warnings = append(info.Warnings, fmt.Sprintf("the balance cannot be read: %v", err))
	}
	info.Wallet.Balance = rpcBalance(balance)
	return info, nil
}

// warning is something that a person should know, with the name that metrics have for it.
type warning struct{ name, text string }

// The names of warnings that are the daemon's own.
const (
	warnCalendar = "calendar_uri"
	warnWallet   = "wallet"
)

// warnings are those of the rooms, and the daemon's own.
func (d *node) warnings(chain spv.Status, over batcher.Overview) (all []warning) {
	for i, text := range chain.Warnings {
		all = append(all, warning{warningName(chain.Alarms[i]), text})
	}
	for i, text := range over.Warnings {
		all = append(all, warning{warningName(over.Worries[i]), text})
	}
	if text := calendarWarning(d.cfg.Calendar); text != "" {
		all = append(all, warning{warnCalendar, text})
	}
	all = append(all, exposureWarnings(d.cfg)...)
	for _, text := range []string{d.quota.Warning(), d.doors.calendar.Warning()} {
		if text != "" {
			all = append(all, warning{warnQuota, text})
		}
	}
	// One question: the wallet may be created or unlocked at any time.
	if err := d.wallet.Ready(); errors.Is(err, wallet.ErrNoWallet) || errors.Is(err, wallet.ErrLocked) || errors.Is(err, wallet.ErrUnusable) {
		// Said before the first batch waits for it, and once.
		why := err.Error()
		if !slices.ContainsFunc(over.Warnings, func(w string) bool { return strings.Contains(w, why) }) {
			all = append(all, warning{warnWallet, "anchors cannot be paid: " + why})
		}
	}
	return all
}

// calendarWarning says when the calendar is there for other machines, and the proofs that it hands out can be completed on this one
// alone. That cannot be put right later: a proof keeps the address that it was given.
func calendarWarning(c config.Calendar) string {
	host, _, err := net.SplitHostPort(c.Listen)
	uri, uriErr := url.Parse(c.URI)
	if err != nil || uriErr != nil || !rpc.IsLoopback(uri.Hostname()) || rpc.IsLoopback(host) && len(c.TrustedProxies) == 0 {
		return ""
	}
	return fmt.Sprintf("proofs point to %s, where only this machine finds them, and the calendar is there for others too: set calendar.uri to the public "+
		"address of this server before more proofs are handed out", c.URI)
}
