// Package daemon puts the rooms together: it reads what is configured, opens the data directory,
// starts the light client, the wallet, the batcher and the JSON-RPC in an order in which each finds
// what it needs, and stops them in the reverse one.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"ancre/batcher"
	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	calserver "ancre/calendar/server"
	"ancre/config"
	"ancre/internal/datadir"
	"ancre/internal/quota"
	"ancre/metrics"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"
	"ancre/spv"
	"ancre/wallet"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// node is the running daemon.
type node struct {
	cfg          config.Config
	version      string
	dir          string // of the network
	log          *slog.Logger
	store        store.Snapshotter
	chain        *spv.Client
	wallet       *wallet.Wallet
	batcher      *batcher.Batcher
	started      time.Time
	disk         func() (pebblestore.Disk, error) // the state of the store's disk
	servers      servers
	quota        *quota.Quota // of the digests that users with the role submit may submit
	metrics      *metrics.Server
	metricsLog   rate.Sometimes // limits how often the log says that metrics are missing
	calendarAddr string         // HOST:PORT of the calendar; empty: it is off
	metricsAddr  string         // HOST:PORT of the metrics; empty: they are off
	levels       levels         // of the warnings about figures
	closers      []func() error // see onClose
}

// Run runs the daemon. It returns nil after ctx ended or a client called stop, and an error if the
// daemon could not start or must not continue. version is the version that it reports; the log goes
// to w.
func Run(ctx context.Context, cfg config.Config, version string, w io.Writer) (err error) {
	log, err := newLogger(w, cfg.Log)
	if err != nil {
		return err
	}
	defer outliveHangups(log)()
	users, err := parseUsers(cfg.RPC.Auth)
	if err != nil {
		return err
	}
	proxies, err := calendarProxies(cfg.Calendar.TrustedProxies)
	if err != nil {
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
		return fmt.Errorf("the data directory %s is in use by another ancred, or being restored: stop that one, or give this one its own --datadir", dir)
	}
	if err != nil {
		return err
	}
	d.onClose(release)
	listeners, err := d.listenAll()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopServers, err := d.startServers(listeners, users, proxies, stop)
	if err != nil {
		return err
	}
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
	d.onClose(stopServers) // before the rooms that they speak for are closed
	if err := d.run(ctx); err != nil {
		return err
	}
	log.Info("ancred stops")
	return nil
}

// listeners are those of the servers; nil for one that is off.
type listeners struct{ rpc, calendar, metrics net.Listener }

// listenAll opens all configured addresses. If one is taken, nothing else has been started yet.
func (d *node) listenAll() (l listeners, err error) {
	l.rpc, err = d.listen("rpc.listen", d.cfg.RPC.Listen, "if another ancred is running, give one of them another address")
	if err != nil {
		return l, err
	}
	l.calendar, err = d.listenUnlessOff("calendar.listen", d.cfg.Calendar.Listen, &d.calendarAddr,
		"if another ancred or an otsd is running, give one of them another address, or set calendar.listen to \"off\"")
	if err != nil {
		return l, err
	}
	l.metrics, err = d.listenUnlessOff("metrics.listen", d.cfg.Metrics.Listen, &d.metricsAddr,
		"if another program uses the port, give metrics.listen another one, or set it to \"off\"")
	if err != nil {
		return l, err
	}
	d.log.Info("ancred starts", "version", d.version, "network", d.cfg.Network, "datadir", d.dir, "calendar", cmp.Or(d.calendarAddr, "off"),
		"metrics", cmp.Or(d.metricsAddr, "off"), "rpc", l.rpc.Addr().String())
	return l, nil
}

// startServers has all servers answer that the daemon is starting, until provide is called. The
// returned function stops them; it is called at the end in any case.
func (d *node) startServers(l listeners, users []rpc.User, proxies []netip.Prefix, stop func()) (stopAll func() error, err error) {
	cookiePath := filepath.Join(d.dir, datadir.Cookie)
	cookie, err := rpc.WriteCookie(cookiePath)
	if err != nil {
		return nil, err
	}
	d.onClose(func() error { return rpc.RemoveCookie(cookiePath, cookie) })
	cfg := &d.cfg
	d.metrics = metrics.NewServer(metrics.Config{Version: d.version, Network: cfg.Network, Profile: cfg.Metrics.Pprof,
		Hosts: hosts(*cfg, cfg.Metrics.Listen), Log: d.log})
	d.quota = callerQuota(*cfg)
	d.servers.rpc = rpcserver.New(rpcserver.Config{Users: append(users, cookie), Log: d.log, Stop: stop, Started: d.started, Hosts: hosts(*cfg, cfg.RPC.Listen),
		Quota: d.quota, Latency: d.callSeconds})
	d.servers.calendar = calserver.New(calserver.Config{URI: cfg.Calendar.URI, Log: d.log, RateLimit: cfg.Calendar.RateLimit, Proxies: proxies,
		Digests: cfg.Calendar.MaxDigests, Interval: cfg.Batch.Interval, Strangers: refusesStrangers(*cfg), Latency: d.calendarSeconds})
	const phase = "opening the data directory"
	d.servers.rpc.SetPhase(phase)
	d.servers.calendar.SetPhase(phase)

	stopMetrics := d.serve(d.metrics, l.metrics, stop)
	stopRPC := d.serve(d.servers.rpc, l.rpc, stop)
	stopCalendar := d.serve(d.servers.calendar, l.calendar, stop)
	stopAll = func() error { return errors.Join(stopCalendar(), stopRPC(), stopMetrics()) }
	d.onClose(stopAll)
	return stopAll, nil
}

// provide gives the servers what they speak for.
func (d *node) provide() {
	chain := chainService{d.chain, policy(d.cfg)}
	d.servers.rpc.Provide(rpcserver.Services{Batcher: d.batcher, Chain: chain, Wallet: walletService{d}, Node: d, Backup: d.backup, Headers: d.chain.WriteHeaders,
		CalendarURI: d.cfg.Calendar.URI})
	d.servers.calendar.Provide(calserver.Services{Batcher: d.batcher, Chain: chain, Node: d, Confirmations: d.cfg.Anchor.Confirmations})
	d.metrics.Provide(d.scrape)
}

// listen opens a configured address. key and remedy are for the error.
func (d *node) listen(key, address, remedy string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w: %s", key, address, err, remedy)
	}
	// For when it is never served; where it is, the server has closed it before.
	d.onClose(func() error { ln.Close(); return nil })
	return ln, nil
}

// listenUnlessOff opens a configured address and notes where that is, unless none is configured:
// the listener is nil then.
func (d *node) listenUnlessOff(key, address string, where *string, remedy string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := d.listen(key, address, remedy)
	if err != nil {
		return nil, err
	}
	*where = ln.Addr().String()
	return ln, nil
}

// serve lets a server answer until the returned function is called, which waits for the requests
// that run. A server that fails ends the daemon. Without a listener there is nothing to do.
func (d *node) serve(server interface {
	Serve(context.Context, net.Listener) error
}, listener net.Listener, failed func()) (stop func() error) {
	if listener == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		defer failed()
		done <- server.Serve(ctx, listener)
	}()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

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
	// A wallet that cannot be opened keeps no digest from being taken: see warnings.
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

	d.batcher, err = batcher.New(batcher.Config{
		Store:  store,
		Chain:  d.chain,
		Wallet: payer{d.wallet},
		Policy: policy(d.cfg),
		URI:    d.cfg.Calendar.URI,
		Logger: d.log,
		Meters: batcher.Meters{GroupDigests: d.metrics.Observer(metrics.GroupDigests), CommitSeconds: d.metrics.Observer(metrics.CommitSeconds)},
	})
	return err
}

// usableDir refuses what stands in the place of a directory. One that is missing will be made.
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

// policy is what the configuration says about batches and anchors; the rest is the batcher's
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

// run starts what was opened, and returns when ctx ends or a room fails. All of it has stopped
// then.
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
		d.settle(below)
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
	upper.Go(func() error { d.notify(ctx, d.alive); return nil })
	upper.Go(func() error { d.logWarnings(ctx); return nil })
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

// settle gives memory back to the operating system when what needs it once has ended. Go keeps what
// it freed until it collects again, which may take minutes in a daemon that has little to do, and
// the process is counted as that much larger: 40 MB after a new data directory was made, more after
// headers were imported or a chain was synced. (What a passphrase takes, the wallet's library gives
// back.)
//
// Each time costs one collection, which nobody waits for.
func (d *node) settle(ctx context.Context) {
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

// onClose has something closed when the daemon ends, before all that was named earlier.
func (d *node) onClose(c func() error) { d.closers = append(d.closers, c) }

func (d *node) close() error {
	var errs []error
	for _, c := range slices.Backward(d.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

func parseUsers(lines []string) ([]rpc.User, error) {
	var users []rpc.User
	for i, line := range lines {
		u, err := rpc.ParseUser(line)
		if err != nil {
			return nil, fmt.Errorf("rpc.auth, entry %d: %w", i+1, err)
		}
		users = append(users, u)
	}
	return users, nil
}

// backup writes one moment of the store, while everything goes on.
func (d *node) backup(ctx context.Context, w io.Writer) error {
	snapshot, err := d.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	_, err = backup.Write(ctx, w, snapshot, d.cfg.Network, time.Now())
	return errors.Join(err, snapshot.Close())
}

// alive checks that the daemon does its work, not only that it runs.
func (d *node) alive(ctx context.Context) error {
	if err := d.batcher.Stalled(stallLimit); err != nil {
		return err
	}
	_, err := d.batcher.Overview(ctx)
	return err
}

// credential is the name under which a systemd unit passes the wallet's passphrase
// (LoadCredential=).
const credential = "passphrase"

// unlock opens the wallet with the configured passphrase, if there is one. What goes wrong is said
// and is no reason to stop: digests are accepted and sealed without a wallet.
func (d *node) unlock(ctx context.Context) {
	path := d.cfg.Wallet.PassphraseFile
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		path = filepath.Join(dir, credential)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	if s := d.wallet.State(); path == "" || s == wallet.None || s == wallet.Unusable {
		return
	}
	passphrase, err := readPassphrase(path, d.log)
	if err == nil {
		err = d.wallet.Unlock(ctx, passphrase)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Error("the wallet could not be unlocked with the configured passphrase", "file", path, "err", err)
		return
	}
}

// readPassphrase reads the configured file, and says so when others may read it too.
func readPassphrase(path string, log *slog.Logger) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		log.Warn("other users of this machine can read the wallet's passphrase: run chmod 600 on the file", "file", path)
	}
	passphrase, err := config.ReadPassphrase(path)
	if note := config.PassphraseNote(passphrase); note != "" {
		log.Warn(note, "file", path)
	}
	return passphrase, err
}

// statusLine says in a few words how the daemon stands.
func (d *node) statusLine() string {
	s := d.chain.Status()
	if !s.Synced {
		return fmt.Sprintf("syncing, %.1f %%, block %d of %d", 100*s.Progress, s.Height, s.TargetHeight)
	}
	return fmt.Sprintf("synced to block %d, wallet %s", s.Height, d.wallet.State())
}
