// Package daemon puts ancre-register together. It opens the data directory and starts what the
// register is made of, in an order in which each finds what it needs: the store, the files, the
// client of the node, the register, the watched folder, the public page, the socket of the verbs,
// the metrics. It stops them in the reverse order. It also restores a data directory from a backup.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ancre/config"
	"ancre/internal/service"
	"ancre/internal/warning"
	"ancre/metrics"
	"ancre/notify"
	"ancre/register"
	"ancre/register/control"
	"ancre/register/files"
	"ancre/register/page"
	"ancre/register/store"
	"ancre/register/store/sqlitestore"
	"ancre/register/watch"
	"ancre/rpc"

	"golang.org/x/sync/errgroup"
)

// What lies in the data directory, beside what sqlitestore keeps there.
const (
	filesDir   = "files"   // documents, proofs and receipts
	windowsDir = "headers" // windows of block headers; the node has them
	recordFile = "backups.json"
	notifyFile = "notify.json"
	memoryFile = "watched.json" // which files of the watched folder were taken
)

// daemon is the running register.
type daemon struct {
	cfg     config.Register
	version string
	dir     string
	log     *slog.Logger
	started time.Time
	zone    *time.Location
	closers []func() error // see onClose

	nodeURL  string
	node     *rpc.Client
	files    *files.Dir
	register *register.Register
	backups  *backupRecord

	control      net.Listener
	page         *page.Page // nil: there is none
	pageListener net.Listener
	pageAddr     string // HOST:PORT; empty: there is no page
	requests     requestCounts

	metrics         *metrics.Server // nil: there are none
	metricsListener net.Listener
	notifier        *notify.Notifier

	mu        sync.Mutex    // guards what the warnings remember
	diskLevel warning.Level // is the disk nearly full?
	first     time.Time     // when the first document came; zero: it is not known
}

// Run is the register's life. It returns nil after ctx ended, and an error if the register could
// not start or must not go on. version is what it says of itself. The log goes to w.
func Run(ctx context.Context, cfg config.Register, version string, w io.Writer) (err error) {
	log, err := service.NewLogger(w, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	defer service.OutliveHangups(log, "ancre-register")()
	dir, err := cfg.Dir()
	if err != nil {
		return err
	}
	d := &daemon{cfg: cfg, version: version, dir: dir, log: log, started: time.Now()}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx); err != nil {
		if ctx.Err() != nil { // stopped meanwhile: nothing is wrong
			return nil
		}
		return err
	}
	log.Info("ancre-register starts", "version", version, "datadir", dir, "node", d.nodeURL, "page", cmp.Or(d.pageAddr, "off"), "control", d.control.Addr().String())
	if err := d.run(ctx); err != nil {
		return err
	}
	log.Info("ancre-register stops")
	return nil
}

// open opens what lasts, and the addresses.
func (d *daemon) open(ctx context.Context) (err error) {
	if d.zone, err = time.LoadLocation(d.cfg.Page.TimeZone); err != nil {
		return fmt.Errorf("page.time_zone: %w", err)
	}
	if d.node, err = newNode(d.cfg); err != nil {
		return err
	}
	d.nodeURL = d.node.URL()
	d.onClose(func() error { d.node.Close(); return nil })
	// The store has the lock of the directory.
	engine, err := sqlitestore.Open(d.dir, sqlitestore.Options{})
	if err != nil {
		return err
	}
	d.onClose(engine.Close)
	if d.files, err = files.Open(filepath.Join(d.dir, filesDir), files.Options{}); err != nil {
		return err
	}
	d.onClose(d.files.Close)
	d.register, err = register.Open(ctx, register.Config{
		Store: engine, Files: d.files, Node: d.node, Bodies: bodies(d.cfg), Zone: d.zone, Publish: kinds(d.cfg.Publish),
		WindowsDir: filepath.Join(d.dir, windowsDir), Log: d.log,
	})
	if err != nil {
		return err
	}
	d.backups = openBackupRecord(filepath.Join(d.dir, recordFile), d.log)
	d.notifier = notify.New(notify.Config{Command: d.cfg.Notify.Command, File: filepath.Join(d.dir, notifyFile), Network: d.cfg.Network, Version: d.version,
		Program: "ancre-register", Status: "ancre-register status", Log: d.log})
	if err := d.openPage(); err != nil {
		return err
	}
	if err := d.openMetrics(); err != nil {
		return err
	}
	return d.openControl()
}

// openControl makes the socket of the verbs.
func (d *daemon) openControl() error {
	socket, err := d.cfg.Socket()
	if err != nil {
		return err
	}
	if d.control, err = control.Listen(socket); err != nil {
		return err
	}
	d.onClose(func() error { d.control.Close(); return nil }) // for one that is never served
	return nil
}

// run starts what was opened. It returns when ctx ends or a part fails, after all of it has
// stopped.
func (d *daemon) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.register.Run(ctx) })
	group.Go(func() error { return d.watchFolder(ctx) })
	group.Go(func() error { return d.servePage(ctx) })
	group.Go(func() error { return d.serveControl(ctx) })
	group.Go(func() error { return d.serveMetrics(ctx) })
	group.Go(func() error { d.keepBackups(ctx); return nil })
	group.Go(func() error { d.watchWarnings(ctx); return nil })
	group.Go(func() error { d.notifier.Run(ctx); return nil })
	group.Go(func() error { service.Tell(ctx, d.log, d.alive, d.statusLine); return nil })
	return group.Wait()
}

// watchFolder takes what is put into the watched folder.
func (d *daemon) watchFolder(ctx context.Context) error {
	w := d.cfg.Watch
	if w.Dir == "" {
		return nil
	}
	return watch.New(watch.Config{Dir: w.Dir, Register: d.register, Settle: w.Settle, Sweep: w.Sweep, Memory: filepath.Join(d.dir, memoryFile), Log: d.log}).Run(ctx)
}

func (d *daemon) serveControl(ctx context.Context) error {
	return control.New(control.Config{Register: d.register, Status: d.status, Export: d.exporter(), Backup: d.backup, Reported: d.backups.done, Log: d.log}).Serve(ctx, d.control)
}

// alive checks that the store answers.
func (d *daemon) alive(ctx context.Context) error {
	_, err := d.register.Store().Counts(ctx)
	return err
}

// statusLine is what "systemctl status" shows of the register.
func (d *daemon) statusLine() string {
	n := d.register.NodeStatus()
	switch {
	case n.Since.IsZero():
		return "asking the node"
	case !n.Reachable:
		return "the node is away: " + n.Err
	}
	return fmt.Sprintf("node at block %d of %s", n.Height, n.Network)
}

// onClose registers a function that close calls, before those that were registered earlier.
func (d *daemon) onClose(c func() error) { d.closers = append(d.closers, c) }

func (d *daemon) close() error {
	var errs []error
	for _, c := range slices.Backward(d.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// bodies returns the configured bodies as the store keeps them.
func bodies(cfg config.Register) (all []store.Body) {
	for _, b := range cfg.Bodies {
		all = append(all, store.Body{ID: b.ID, Name: b.Name, NameEN: b.NameEN, ClearDays: b.ClearDays})
	}
	return all
}

func kinds(names []string) (all []store.Kind) {
	for _, name := range names {
		all = append(all, store.Kind(name))
	}
	return all
}
