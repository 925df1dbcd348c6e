package daemon

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"ancre/batcher"
	calserver "ancre/calendar/server"
	"ancre/internal/datadir"
	"ancre/internal/meter"
	"ancre/internal/warning"
	"ancre/metrics"
	"ancre/spv"
	"ancre/wallet"
)

func (d *node) callSeconds(method string) meter.Observer {
	return d.metrics.Observer(metrics.CallSeconds, method)
}

func (d *node) calendarSeconds(route string) meter.Observer {
	return d.metrics.Observer(metrics.CalendarSeconds, route)
}

// scrape tells everything that the metrics' table has, but for histograms. It reads what getinfo
// reads, and the sizes of files.
func (d *node) scrape(ctx context.Context, emit metrics.Emit) {
	count := d.batcher.Counts()
	d.scrapeServers(emit, count)
	d.scrapeBatcher(emit, count)
	chain := d.chain.Status()
	d.scrapeChain(emit, chain)

	over, err := d.batcher.Overview(ctx)
	emit(metrics.ScrapeOK, d.read("batcher", err), "batcher")
	if err == nil {
		d.scrapeOverview(ctx, emit, chain, over)
	}
	emit(metrics.ScrapeOK, d.read("wallet", d.scrapeWallet(ctx, emit)), "wallet")
	emit(metrics.ScrapeOK, d.read("disk", d.scrapeDisk(emit)), "disk")
	emit(metrics.Ready, metrics.Truth(chain.Synced && d.wallet.Ready() == nil))
}

// read says whether a part could be read, and logs why not, once a minute: scrapes come more often.
func (d *node) read(part string, err error) float64 {
	if err != nil {
		d.metricsLog.Do(func() { d.log.Warn("metrics are missing", "part", part, "err", err) })
	}
	return metrics.Truth(err == nil)
}

func (d *node) scrapeServers(emit metrics.Emit, count batcher.Counts) {
	calls, requests := d.servers.rpc.Counts(), d.servers.calendar.Counts()
	for _, c := range calls.Calls {
		emit(metrics.Calls, float64(c.Calls), c.Method, strconv.Itoa(c.Code))
	}
	emit(metrics.RefusedLogins, float64(calls.RefusedLogins))
	for _, c := range calls.Digests {
		emit(metrics.DigestsAccepted, float64(c.Digests), c.Method)
	}
	var accepted, limited uint64
	for _, r := range requests.Requests {
		emit(metrics.CalendarRequests, float64(r.Requests), r.Route, strconv.Itoa(r.Status))
		if r.Route == calserver.RouteDigest {
			switch r.Status {
			case 200:
				accepted = r.Requests
			case 429:
				limited = r.Requests
			}
		}
	}
	emit(metrics.DigestsAccepted, float64(accepted), "calendar")
	emit(metrics.SubmitsRefused, float64(limited), "rate_limit")
	emit(metrics.SubmitsRefused, float64(requests.Crowded), "intake")
	emit(metrics.SubmitsRefused, float64(d.quota.Refused()), "quota")
	emit(metrics.SubmitsRefused, float64(count.Busy), "busy")
	emit(metrics.SubmitsRefused, float64(count.ReadOnly), "read_only")
}

func (d *node) scrapeBatcher(emit metrics.Emit, c batcher.Counts) {
	emit(metrics.DigestsNew, float64(c.New))
	emit(metrics.DigestsKnown, float64(c.Known))
	emit(metrics.QueueDigests, float64(c.Queue))
	emit(metrics.QueueLimit, batcher.DefaultQueue)
	emit(metrics.ProofRequests, float64(c.ProofsComplete), "complete")
	emit(metrics.ProofRequests, float64(c.ProofsPending), "pending")
	emit(metrics.Versions, float64(c.Versions))
	emit(metrics.Replaced, float64(c.Replacements))
	emit(metrics.Broadcasts, float64(c.Offers-c.Unoffered), "offered")
	emit(metrics.Broadcasts, float64(c.Unoffered), "failed")
	emit(metrics.FeesFinal, float64(c.FeesSats))

	emit(metrics.AnchorFee, float64(d.anchorFee()))
	emit(metrics.Target, d.cfg.Anchor.Target.Seconds())
	emit(metrics.FeesBudget, float64(d.cfg.Anchor.MonthlyBudget))
}

func (d *node) scrapeChain(emit metrics.Emit, s spv.Status) {
	emit(metrics.Height, float64(s.Height))
	emit(metrics.Headers, float64(s.HeadersHeight))
	emit(metrics.Filters, float64(s.FiltersHeight))
	emit(metrics.TargetBlock, float64(s.TargetHeight))
	emit(metrics.Synced, metrics.Truth(s.Synced))
	if !s.BlockTime.IsZero() {
		emit(metrics.TipAge, max(time.Since(s.BlockTime).Seconds(), 0))
	}
	emit(metrics.Peers, float64(len(s.Peers)))
	c := d.chain.Counts()
	emit(metrics.Connections, float64(c.Connections))
	emit(metrics.PeersLost, float64(c.Stallers), "stalled")
	emit(metrics.PeersLost, float64(c.Bans), "banned")
	emit(metrics.PeersLost, float64(c.Abusers), "abusive")
}

func (d *node) scrapeOverview(ctx context.Context, emit metrics.Emit, chain spv.Status, o batcher.Overview) {
	open := 0.0
	if o.Open != nil {
		open = float64(o.Open.Batch.Count)
	}
	emit(metrics.OpenDigests, open)
	emit(metrics.Batches, float64(o.Batches.Open), string(batcher.Open))
	emit(metrics.Batches, float64(o.Batches.Sealed), string(batcher.Sealed))
	emit(metrics.Batches, float64(o.Batches.Broadcast), string(batcher.Broadcast))
	emit(metrics.Batches, float64(o.Batches.Mined), string(batcher.Mined))
	emit(metrics.Batches, float64(o.Batches.Final), string(batcher.Final))
	emit(metrics.Anchors, float64(o.Broadcast), string(batcher.Broadcast))
	emit(metrics.Anchors, float64(o.Mined), string(batcher.Mined))
	emit(metrics.Anchors, float64(o.Final), string(batcher.Final))
	emit(metrics.AnchorsMade, float64(o.Anchors))
	emit(metrics.Flying, float64(o.Versions))
	unmined := age(o.OldestUnmined)
	emit(metrics.UnminedAge, unmined)
	emit(metrics.PendingAge, age(o.OldestPending))
	emit(metrics.Overdue, metrics.Truth(unmined > d.cfg.Anchor.Target.Seconds()))
	emit(metrics.FeesMonth, float64(o.PaidSats))
	emit(metrics.Stored, float64(o.Digests))
	backups := d.backups.look()
	emit(metrics.Backup, age(backups.taken()))
	emit(metrics.Unsaved, float64(backups.missing(o.Digests)))

	raised := make(map[*warning.Kind]int)
	balance, balanceErr := d.balance(ctx)
	for _, w := range d.warnings(chain, o, balance, balanceErr) {
		raised[w.Kind]++
	}
	for _, kind := range warning.Table() {
		emit(metrics.Warnings, float64(raised[kind]), kind.Name())
	}
}

// age is how long ago something was, in seconds; 0 when there is nothing.
func age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(time.Since(t).Seconds(), 0)
}

func (d *node) scrapeWallet(ctx context.Context, emit metrics.Emit) error {
	now := d.wallet.State()
	for _, state := range []wallet.State{wallet.None, wallet.Unusable, wallet.Locked, wallet.Syncing, wallet.Ready} {
		emit(metrics.WalletState, metrics.Truth(now == state), string(state))
	}
	emit(metrics.Revivals, float64(d.wallet.Revivals()))
	balance, err := d.balance(ctx)
	if err != nil {
		return err
	}
	emit(metrics.Balance, float64(balance.Confirmed), "confirmed")
	emit(metrics.Balance, float64(balance.Pending), "pending")
	emit(metrics.Balance, float64(balance.Spendable), "spendable")
	return nil
}

func (d *node) scrapeDisk(emit metrics.Emit) error {
	disk, err := d.disk()
	emit(metrics.ReadOnly, metrics.Truth(disk.ReadOnly))
	emit(metrics.Reserve, float64(disk.ReserveBytes))
	if disk.FreeBytes > 0 {
		emit(metrics.DiskFree, float64(disk.FreeBytes))
	}
	for _, part := range []string{datadir.Store, datadir.SPV, datadir.Wallet} {
		size, sizeErr := size(filepath.Join(d.dir, part))
		err = errors.Join(err, sizeErr)
		emit(metrics.DiskUsed, float64(size), part)
	}
	return err
}

// size returns how much the files of a directory hold together. There are some hundreds at most,
// however much is stored. What is not there has no size: files come and go.
func size(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	return bytes, err
}
