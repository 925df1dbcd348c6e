package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ancre/batcher"
	"ancre/batcher/decide"
	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/datadir"
	"ancre/metrics"
	"ancre/notify"
	"ancre/spv"
	"ancre/wallet"
)

// open opens the rooms, each after those that it needs. Nothing runs yet.
func (d *node) open(ctx context.Context) error {
	params, err := spv.Params(d.cfg.Network)
	if err != nil {
		return err
	}
	if err := usableDir(filepath.Join(d.dir, datadir.Store)); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	store, err := pebblestore.OpenContext(ctx, filepath.Join(d.dir, datadir.Store), pebblestore.Options{Log: d.log})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	d.onClose(store.Close)
	d.store, d.disk = store, store.Disk
	d.chain, err = spv.Open(spv.Config{
		Params:           params,
		Dir:              filepath.Join(d.dir, datadir.SPV),
		Connect:          d.cfg.SPV.Connect,
		AddPeers:         d.cfg.SPV.AddPeers,
		Proxy:            d.cfg.SPV.Proxy,
		HeadersImport:    d.cfg.SPV.HeadersImport,
		Logger:           d.log,
		UserAgentVersion: d.version,
	})
	if err != nil {
		return fmt.Errorf("open the light client: %w", err)
	}
	d.onClose(d.chain.Close)
	// ancred accepts digests even if the wallet cannot be opened: see warnings.
	d.wallet, err = wallet.OpenOrReport(wallet.Config{
		Dir:    filepath.Join(d.dir, datadir.Wallet),
		Params: params,
		Chain:  d.chain,
		Logger: d.log,
	})
	if err != nil {
		return fmt.Errorf("open the wallet: %w", err)
	}
	d.onClose(d.wallet.Close)
	if err := d.wallet.Ready(); errors.Is(err, wallet.ErrUnusable) {
		d.log.Error("cannot pay for anchors; ancred still accepts and seals digests", "err", err)
	}

	d.notifier = notify.New(notify.Config{
		Command: d.cfg.Notify.Command,
		File:    filepath.Join(d.dir, datadir.Notify),
		Network: d.cfg.Network,
		Version: d.version,
		Log:     d.log,
	})
	d.batcher, err = batcher.New(batcher.Config{
		Store:  store,
		Chain:  d.chain,
		Wallet: payer{d.wallet},
		Policy: policy(d.cfg),
		URI:    d.cfg.Calendar.URI,
		Logger: d.log,
		Meters: batcher.Meters{GroupDigests: d.metrics.Observer(metrics.GroupDigests), CommitSeconds: d.metrics.Observer(metrics.CommitSeconds)},
	})
	if err != nil {
		return err
	}
	first := func() (time.Time, error) {
		b, err := store.Batch(ctx, 1)
		return b.Opened, err
	}
	d.backups = openBackupRecord(d.dir, first, d.log)
	return nil
}

// usableDir returns an error if something other than a directory is at path. If nothing is there,
// the directory will be made.
func usableDir(path string) error {
	info, err := os.Stat(path)
	if _, lerr := os.Lstat(path); errors.Is(lerr, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		err = errors.New("it is a file")
	}
	return fmt.Errorf("%s: %w; it must be a directory that the user of ancred can read and write", path, err)
}

// policy returns what the configuration says about batches and anchors. The rest is the batcher's
// default.
func policy(cfg config.Config) decide.Policy {
	p := decide.DefaultPolicy()
	p.Interval = cfg.Batch.Interval
	p.MaxDigests = uint64(cfg.Batch.MaxDigests)
	p.Confirmations = cfg.Anchor.Confirmations
	p.Target = cfg.Anchor.Target
	p.MaxFeeRate = cfg.Anchor.MaxFeeRate
	p.MaxFeeSats = cfg.Anchor.MaxFeeSats
	p.BudgetSats = cfg.Anchor.MonthlyBudget
	return p
}
