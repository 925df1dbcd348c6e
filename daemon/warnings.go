package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ancre/batcher"
	"ancre/batcher/store/pebblestore"
	"ancre/internal/datadir"
	"ancre/internal/money"
	"ancre/internal/warning"
	"ancre/spv"
	"ancre/wallet"
)

const (
	// lowDisk is what should be free on the disk, in the store's reserve. A person is told below
	// it, until enoughDisk is free.
	lowDisk    = datadir.LowSpace / datadir.Reserve
	enoughDisk = 10

	// lowBudget and enoughBudget are the same for what is left of anchor.monthly_budget.
	lowBudget    = 0.1
	enoughBudget = 0.15

	// walletWait is how long the wallet may be behind the chain before a person is told. It takes
	// some seconds at each start. A restore takes hours, and nothing is paid meanwhile.
	walletWait = 10 * time.Minute

	// walletBrief is how long a batch may wait for a wallet that follows a new block without a
	// warning.
	walletBrief = time.Minute

	// slowDisk is how long the disk may take for one write before a person is told.
	slowDisk = 10 * time.Second

	// warnEvery is how often the log is told of warnings that begin and end.
	warnEvery = 5 * time.Second
)

// levels is what the daemon remembers from one look at its warnings to the next.
type levels struct {
	balance, disk, budget warning.Level

	mu     sync.Mutex
	behind time.Time // since when the wallet is behind the chain; zero: it is not
}

// walletBehind returns how long the wallet has been behind the chain.
func (l *levels) walletBehind(now time.Time, behind bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !behind:
		l.behind = time.Time{}
		return 0
	case l.behind.IsZero():
		l.behind = now
	}
	return now.Sub(l.behind)
}

// looks is what the warnings are made of.
type looks struct {
	now        time.Time
	chain      spv.Status
	over       batcher.Overview
	ready      error // of the wallet
	balance    wallet.Balance
	balanceErr error
	outlook    money.Outlook
	price      money.Price
	disk       diskLook
	stalled    error
	calendar   string
	exposed    []warning.Warning // what other machines reach and use up
	backups    backupLook
}

type diskLook struct {
	pebblestore.Disk
	err error
}

// warnings are those of the rooms, and the daemon's own.
func (d *node) warnings(chain spv.Status, over batcher.Overview, balance wallet.Balance, balanceErr error) []warning.Warning {
	now := time.Now()
	forwarded, unnamed := d.forwarded().recently(now)
	l := looks{now: now, chain: chain, over: over, ready: d.wallet.Ready(), balance: balance, balanceErr: balanceErr,
		outlook: d.outlook(over, balance), price: d.price(), stalled: d.batcher.Stalled(stallLimit), calendar: calendarWarning(d.cfg.Calendar, forwarded), exposed: exposureWarnings(d.cfg)}
	if unnamed {
		l.exposed = append(l.exposed, warning.Warning{Kind: warning.CalendarProxy, Text: proxyWarning})
	}
	l.exposed = append(l.exposed, d.notifier.Warnings()...)
	for _, text := range []string{d.quota.Warning(), d.servers.calendar.Warning()} {
		if text != "" {
			l.exposed = append(l.exposed, warning.Warning{Kind: warning.MaxDigests, Text: text})
		}
	}
	disk, err := d.disk()
	l.disk = diskLook{disk, err}
	l.backups = d.backups.look()
	return d.levels.warnings(l)
}

// forwarded returns what the calendar noticed of proxies in front of it.
func (d *node) forwarded() (f forwarded) {
	f.last, f.unnamed = d.servers.calendar.Forwarded()
	return f
}

// warnings decides what an operator is told.
func (s *levels) warnings(l looks) []warning.Warning {
	all := slices.Concat(l.chain.Warnings, l.over.Warnings)
	for i := range all {
		all[i].Text = l.price.Annotate(all[i].Text)
	}
	add := func(kind *warning.Kind, format string, args ...any) {
		all = append(all, warning.New(kind, format, args...))
	}
	all = s.walletWarnings(l, all)

	switch {
	case l.disk.err != nil:
		add(warning.DiskUnreadable, "cannot read how much disk space is free: %v", l.disk.err)
	case warning.Has(all, warning.Store):
	case l.disk.ReadOnly:
		add(warning.Store, "ancred will refuse the next digest: the disk is full, or a write failed. Free disk space; if the log names a failed write, check the disk and restart ancred")
	case l.disk.FreeBytes > 0 && s.disk.Low(float64(l.disk.FreeBytes), lowDisk*float64(l.disk.ReserveBytes), enoughDisk*float64(l.disk.ReserveBytes)):
		add(warning.DiskLow, "the disk under the store has %d MB left, and ancred refuses digests with less than %d MB: free disk space", l.disk.FreeBytes>>20, l.disk.ReserveBytes>>20)
	}
	if d := l.disk; d.Waits >= slowDisk {
		add(warning.DiskSlow, "the disk has not completed a write to %s for %d seconds, and digests wait for it: check the disk (dmesg, SMART), or ask your hosting provider", d.File, int(d.Waits.Seconds()))
	}

	o := l.over
	low := o.BudgetSats > 0 && s.budget.Low(float64(o.BudgetSats-o.PaidSats), lowBudget*float64(o.BudgetSats), enoughBudget*float64(o.BudgetSats))
	if low && !warning.Has(all, warning.Budget) {
		add(warning.BudgetLow, "%s of the %s of anchor.monthly_budget are spent: raise it, or batches will wait until older payments are more than 30 days old", l.price.Sats(o.PaidSats), l.price.Sats(o.BudgetSats))
	}
	if l.stalled != nil {
		add(warning.Stalled, "%v: restart ancred", l.stalled)
	}
	if l.calendar != "" {
		add(warning.CalendarURI, "%s", l.calendar)
	}
	return slices.Concat(all, l.exposed, backupWarnings(l))
}

// walletWarnings adds what is to be told of the wallet, before the first batch waits for it.
func (s *levels) walletWarnings(l looks, all []warning.Warning) []warning.Warning {
	add := func(kind *warning.Kind, format string, args ...any) {
		all = append(all, warning.New(kind, format, args...))
	}
	syncing := errors.Is(l.ready, wallet.ErrSyncing)
	behind := s.walletBehind(l.now, syncing && l.chain.Synced)
	if (l.ready == nil || syncing && behind < walletBrief) && !warning.Has(all, warning.Overdue) {
		// It follows the newest block within seconds. A batch that waits for that is not late.
		all = slices.DeleteFunc(all, func(w warning.Warning) bool { return w.Kind == warning.Wallet })
	}
	switch {
	case syncing && behind >= walletWait:
		add(warning.WalletSyncing, "the wallet has been behind the chain for %d minutes, and cannot pay until it has caught up. After a restore that takes up to some hours; otherwise check the peers and the disk, and restart ancred",
			int(behind.Minutes()))
	case l.ready != nil && !syncing && !warning.Has(all, warning.Wallet):
		then := ""
		if errors.Is(l.ready, wallet.ErrNoWallet) {
			then = ", and send it " + l.outlook.Proposal(l.price)
		}
		add(warning.Wallet, "anchors cannot be paid: %v%s", l.ready, then)
	}
	if l.balanceErr != nil {
		add(warning.BalanceUnreadable, "cannot read the balance: %v", l.balanceErr)
	}
	if i := slices.IndexFunc(all, func(w warning.Warning) bool { return w.Kind == warning.WalletShort }); i >= 0 {
		all[i].Text += ", for example " + l.outlook.Proposal(l.price) // not only what one version lacks
		return all
	}
	if l.ready != nil || l.balanceErr != nil {
		return all
	}
	fee, confirmed := float64(l.outlook.AnchorSats), l.balance.Confirmed
	if s.balance.Low(float64(confirmed), money.FewAnchors*fee, money.EnoughAnchors*fee) {
		pending := ""
		if l.balance.Pending > 0 {
			pending = " (more is unconfirmed)"
		}
		add(warning.BalanceLow, "the wallet has %s%s: %s at today's price of %s. Send it %s. \"ancre wallet address\" shows where",
			l.price.Sats(confirmed), pending, l.outlook.Lasts(), l.price.Sats(l.outlook.AnchorSats), l.outlook.Proposal(l.price))
	}
	return all
}

// balance returns the wallet's, or nothing when there is no wallet that can be opened.
func (d *node) balance(ctx context.Context) (wallet.Balance, error) {
	if s := d.wallet.State(); s == wallet.None || s == wallet.Unusable {
		return wallet.Balance{}, nil
	}
	return d.wallet.Balance(ctx)
}

// watchWarnings writes each warning into the log when it begins, and when it is over, and shows
// them to the notifier, until ctx ends.
func (d *node) watchWarnings(ctx context.Context) {
	ticker := time.NewTicker(warnEvery)
	defer ticker.Stop()
	var raised []warning.Warning
	for {
		if over, err := d.batcher.Overview(ctx); err == nil {
			balance, balanceErr := d.balance(ctx)
			now := d.warnings(d.chain.Status(), over, balance, balanceErr)
			d.logChanges(raised, now)
			d.notifier.Look(now)
			raised = now
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// logChanges logs which kinds of warnings began, and which are over. A text may change while its
// kind stays: it counts minutes.
func (d *node) logChanges(before, now []warning.Warning) {
	for _, w := range now {
		if !warning.Has(before, w.Kind) {
			d.log.Warn(w.Text, "warning", w.Kind.Name())
		}
	}
	var ended []*warning.Kind
	for _, w := range before {
		if !warning.Has(now, w.Kind) && !slices.Contains(ended, w.Kind) {
			ended = append(ended, w.Kind)
			d.log.Info("a warning is over", "warning", w.Kind.Name())
		}
	}
}
