// Package daemon puts the rooms together. It opens the data directory and starts the servers, the
// light client, the wallet and the batcher, in an order in which each finds what it needs. It stops
// them in the reverse order. It also restores a data directory from a backup.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/datadir"
	"ancre/internal/quota"
	"ancre/internal/service"
	"ancre/metrics"
	"ancre/notify"
	"ancre/spv"
	"ancre/wallet"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// node is the running daemon.
type node struct {
	cfg     config.Config
	version string
	dir     string // of the network
	log     *slog.Logger
	started time.Time
	closers []func() error // see onClose

	// The interfaces: set by listen and serve.
	calendarAddr string // HOST:PORT; empty: the calendar is off
	metricsAddr  string // HOST:PORT; empty: the metrics are off
	servers      servers
	metrics      *metrics.Server
	metricsLog   rate.Sometimes // limits how often the log is told that metrics are missing
	quota        *quota.Quota   // of what users with the role submit may submit

	// The rooms: set by open.
	store   store.Snapshotter
	disk    func() (pebblestore.Disk, error) // the state of the disk under the store
	chain   *spv.Client
	wallet  *wallet.Wallet
	batcher *batcher.Batcher
	backups *backupRecord
	levels  levels // what the warnings remember

	notifier *notify.Notifier // tells the operator; set by open
}

// Run is the daemon's life. It returns nil after ctx ended or a client called stop, and an error if
// the daemon could not start or must not go on. version is what the daemon says of itself. The log
// goes to w.
func Run(ctx context.Context, cfg config.Config, version string, w io.Writer) (err error) {
	log, err := newLogger(w, cfg.Log)
	if err != nil {
		return err
	}
	defer service.OutliveHangups(log, "ancred")()
	who, err := parseAccess(cfg)
	if err != nil {
		return err
	}
	if err := refuseOldConfig(cfg); err != nil {
		return err
	}
	dir, err := cfg.NetworkDir()
	if err != nil {
		return err
	}
	d := &node{cfg: cfg, version: version, dir: dir, log: log, started: time.Now(), metricsLog: rate.Sometimes{Interval: time.Minute}}
	defer func() { err = errors.Join(err, d.close()) }()

	release, err := datadir.Open(dir, cfg.Network)
	if errors.Is(err, datadir.ErrInUse) {
		return fmt.Errorf("the data directory %s is in use by another ancred, or by ancred restore: stop that one, or give this one its own --datadir", dir)
	}
	if err != nil {
		return err
	}
	d.onClose(release)
	// The addresses next: if one is taken, nothing else needs to begin.
	on, err := d.listen()
	if err != nil {
		return err
	}
	log.Info("ancred starts", "version", version, "network", cfg.Network, "datadir", dir, "calendar", cmp.Or(d.calendarAddr, "off"),
		"metrics", cmp.Or(d.metricsAddr, "off"), "rpc", on.rpc.Addr().String())

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopServers, err := d.serve(on, who, stop)
	if err != nil {
		return err
	}
	d.onClose(stopServers) // if open fails
	if err := datadir.Restrict(dir); err != nil {
		log.Warn("other users of this machine can read files of the data directory: run chmod -R go= on it as its owner", "dir", dir, "err", err)
	}
	if err := d.open(ctx); err != nil {
		if ctx.Err() != nil { // stopped meanwhile: nothing is wrong
			return nil
		}
		return err
	}
	d.provide()
	log.Info("ancred accepts digests", "wallet", string(d.wallet.State()))
	d.onClose(stopServers) // before the rooms that they speak for are closed
	if err := d.run(ctx); err != nil {
		return err
	}
	log.Info("ancred stops")
	return nil
}

// run starts what was opened. It returns when ctx ends or a room fails, after all of it has
// stopped.
func (d *node) run(ctx context.Context) error {
	// The light client and the wallet outlive the batcher, which uses them while it stops.
	below, stopBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBelow()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var lower errgroup.Group
	lower.Go(func() error {
		// Not waited for: importing headers takes minutes, and digests are accepted meanwhile.
		if err := d.chain.Start(below); err != nil && below.Err() == nil {
			stop(fmt.Errorf("start the light client: %w", err))
			return nil
		}
		d.freeMemory(below)
		return nil
	})
	lower.Go(func() error {
		d.unlock(below) // before it follows the chain: while a restore searches for coins, it would wait for minutes
		err := d.wallet.Run(below)
		if below.Err() == nil {
			stop(fmt.Errorf("the wallet stopped by itself: %w", err))
		}
		return nil
	})
	upper, ctx := errgroup.WithContext(ctx)
	upper.Go(func() error { return d.batcher.Run(ctx) })
	upper.Go(func() error { service.Tell(ctx, d.log, d.alive, d.statusLine); return nil })
	upper.Go(func() error { d.watchWarnings(ctx); return nil })
	upper.Go(func() error { d.notifier.Run(ctx); return nil })
	upper.Go(func() error { d.keepPrice(ctx); return nil })
	err := upper.Wait()
	stopBelow()
	if lowerErr := lower.Wait(); err == nil {
		err = lowerErr
	}
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// freeMemory gives memory back to the operating system when work has ended that is done once. Go
// keeps freed memory until it collects again, which may take minutes in a daemon that has little to
// do. Until then the process counts as larger: by 40 MB after a new data directory was made, by
// more after headers were imported or a chain was synced. (The wallet's library gives back what a
// passphrase takes.)
//
// Each call of FreeOSMemory costs one collection, which nothing waits for.
func (d *node) freeMemory(ctx context.Context) {
	changed, stop := d.chain.Changes()
	defer stop()
	debug.FreeOSMemory() // the store is open, headers are imported
	for !d.chain.Synced() {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
	debug.FreeOSMemory() // the chain is there
}

// onClose registers a function that close calls, before those that were registered earlier.
func (d *node) onClose(c func() error) { d.closers = append(d.closers, c) }

func (d *node) close() error {
	var errs []error
	for _, c := range slices.Backward(d.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
