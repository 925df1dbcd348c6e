// Package spv is the embedded light client: it follows Bitcoin's headers and compact filters
// (BIP157, BIP158) over the peer-to-peer network, fetches single blocks, and offers transactions to
// peers. It asks no third party for anything.
//
// What it promises: every header it names has the work and the ancestors that the network's rules
// demand; every filter fits the chain of filter headers; every block fits its header. What no light
// client can promise: that a block obeys all rules of Bitcoin, that peers tell it of every block,
// and that filter headers are true. Several peers, and blocks on top, are the answer: one honest
// peer unmasks those that lie about filters, while a peer that is alone is believed. So a client
// that is meant to have one peer only should have one that its owner runs.
//
// It hides neutrino, which is the only user of its data directory. One thing cannot be hidden:
// neutrino panics in its own goroutines when it cannot write its files any more ("rollback
// failed"), and that ends the process. Nothing here keeps truth in memory, so the process starts
// again where it was.
package spv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/lightninglabs/neutrino"
	"golang.org/x/sync/singleflight"
)

var (
	// ErrNotFound is wrapped when a block or a height is not on the active chain, as far as it is
	// known here.
	ErrNotFound = errors.New("not on the active chain")

	// ErrNoPeers is wrapped when something must be sent and no peer is connected. Trying again
	// later helps.
	ErrNoPeers = errors.New("no peer is connected")

	// ErrClosed is wrapped by everything that is asked of a client that is being closed.
	ErrClosed = errors.New("the light client is closed")

	// ErrDamaged is wrapped when the data directory cannot be used and is not repaired without
	// being asked.
	ErrDamaged = errors.New("damaged data of the light client")

	// ErrInUse is wrapped when another process has the data directory open.
	ErrInUse = errors.New("in use by another process")
)

// Config is what [Open] needs to know. Params and Dir are needed, the rest may be left out.
type Config struct {
	Params *chaincfg.Params // of one of [Networks]
	Dir    string           // the light client's own data directory; made when it is missing

	Connect  []string // HOST or HOST:PORT: only these and AddPeers, no discovery
	AddPeers []string // HOST or HOST:PORT: these besides those that are discovered
	Proxy    string   // SOCKS5 HOST:PORT for all connections and all names; empty: none

	// HeadersImport is empty, or names the block header file and the filter header file that
	// [Client.ExportHeaders] made. They are read by Start when they reach higher than what is here
	// already.
	HeadersImport []string

	// HeadersOnly is for a client that only ever calls SyncHeaders. No peer is asked for filters.
	HeadersOnly bool

	Logger           *slog.Logger // nil: silent
	UserAgentVersion string       // what peers are told; empty: "0"
}

// Networks returns the names that [Params] knows.
func Networks() []string { return []string{"mainnet", "testnet4", "signet", "regtest", "simnet"} }

// Params returns the rules of a network by its name.
func Params(network string) (*chaincfg.Params, error) {
	var p chaincfg.Params
	switch network {
	case "mainnet":
		p = chaincfg.MainNetParams
	case "testnet4":
		p = chaincfg.TestNet4Params
	case "signet":
		p = chaincfg.SigNetParams
	case "regtest":
		p = chaincfg.RegressionNetParams
	case "simnet":
		p = chaincfg.SimNetParams
	default:
		return nil, fmt.Errorf("unknown network %q: it must be one of %s", network, strings.Join(Networks(), ", "))
	}
	return &p, nil
}

// isDevelopment says whether the network is one that a developer runs alone: nobody is discovered
// there, and its chain may stand still for days.
func isDevelopment(p *chaincfg.Params) bool {
	return p.Net == chaincfg.RegressionNetParams.Net || p.Net == chaincfg.SimNetParams.Net
}

const (
	// maxFetches bounds how many blocks and filters are asked for at once. neutrino's calls take no
	// context, so one that nobody waits for any more keeps its place until a peer answers or
	// neutrino gives up.
	maxFetches = 8

	// stopTimeout is how long Close waits for neutrino. It stops in about a second, unless the disk
	// hangs.
	stopTimeout = 30 * time.Second
)

// Client is a light client on one data directory. Its methods may be called from several goroutines
// at once, and, but for what needs peers, also before Start.
type Client struct {
	cfg    Config
	params chaincfg.Params // without seeds where none may be asked
	public bool            // a network of strangers, on which blocks come by the clock: none of the developers' ones
	now    func() time.Time
	log    *slog.Logger

	db    walletdb.DB
	peers *dialer

	// reading is neutrino's service as Open made it: without peers, and so without goroutines, for
	// what is on disk. running is the one that Start made. neutrino's Stop hangs on a service that
	// was never started, hence two of them.
	reading *neutrino.ChainService
	running atomic.Pointer[neutrino.ChainService]

	// ctx ends when Close begins. wg counts the calls that use the database or neutrino, and their
	// goroutines; begin is the way in.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	starting sync.Mutex     // held by Start, and by Close from when it must not run any more
	watching sync.WaitGroup // the goroutines that Start began
	closing  sync.Once
	closeErr error // set by closing

	mu        sync.Mutex // guards the next ones
	closed    bool
	listeners map[chan struct{}]struct{}

	fetching singleflight.Group // one fetch for all who want the same block or filter
	fetches  chan struct{}      // a place for each fetch that runs

	broadcasts chan struct{} // a place for each transaction that is being offered
	offers     offers        // how peers took them
	fees       feeCache
	state      monitor
	limits     headersLimits
}

// Open checks the data directory, repairs header files that a crash or a full disk has damaged, and
// opens it. Nothing is sent before Start, but all that is on disk can be asked for.
func Open(cfg Config) (_ *Client, err error) {
	if cfg.Params == nil {
		return nil, errors.New("spv: no network given")
	}
	if cfg.Dir == "" {
		return nil, errors.New("spv: no data directory given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	if cfg.UserAgentVersion == "" {
		cfg.UserAgentVersion = "0"
	}
	configured, err := peerAddresses(append(append([]string(nil), cfg.Connect...), cfg.AddPeers...), cfg.Params.DefaultPort)
	if err != nil {
		return nil, err
	}
	if cfg.Proxy != "" {
		if err := checkProxy(cfg.Proxy); err != nil {
			return nil, err
		}
	}
	if err := checkImport(cfg.HeadersImport, cfg.Params); err != nil {
		return nil, err
	}

	params := *cfg.Params
	if len(cfg.Connect) > 0 || isDevelopment(&params) {
		// neutrino asks the seeds even when it may connect to configured peers only.
		params.DNSSeeds = nil
	}

	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("light client's data directory: %w; it must be a directory that the user may read and write whom ancred runs as", err)
	}
	db, err := openDatabase(cfg.Dir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			cancel()
			db.Close()
		}
	}()
	if err := removeSuspects(cfg.Dir, cfg.Logger); err != nil {
		return nil, err
	}
	if err := checkSums(cfg.Dir, cfg.Logger); err != nil {
		return nil, err
	}
	if err := repairHeaders(cfg.Dir, db, &params, cfg.Logger); err != nil {
		return nil, err
	}
	peers, err := newDialer(ctx, db, cfg.Logger, params.Net, configured, cfg.Proxy)
	if err != nil {
		return nil, err
	}
	peers.headersOnly = cfg.HeadersOnly

	c := &Client{
		cfg: cfg, params: params, public: !isDevelopment(&params), now: time.Now, log: cfg.Logger, db: db, peers: peers, ctx: ctx, cancel: cancel,
		listeners:  make(map[chan struct{}]struct{}),
		fetches:    make(chan struct{}, maxFetches),
		broadcasts: make(chan struct{}, maxBroadcasts),
		fees:       newFeeCache(),
		limits:     headersLimits{settle, findPeers, headersStall},
	}
	if cfg.Proxy != "" {
		c.limits.findPeers = findPeersProxy
	}
	c.reading, err = newChainService(c, nil)
	if err != nil {
		// The checks above know the damage that was seen so far. For any other that neutrino finds,
		// the cure is the same.
		c.log.Error("the header files cannot be opened; removing them, all headers will be downloaded again", "dir", cfg.Dir, "err", err)
		if err := removeHeaders(cfg.Dir); err != nil {
			return nil, err
		}
		if c.reading, err = newChainService(c, nil); err != nil {
			return nil, fmt.Errorf("%w in %s: %w; remove this directory, its contents will be downloaded again", ErrDamaged, cfg.Dir, err)
		}
	}
	peers.now = func() time.Time { return c.now() }
	c.state.opened = c.now()
	c.state.clocks = newClocks()
	c.state.distrusted = make(map[string]time.Time)
	return c, nil
}

// Start reads header files that are to be imported (see [Config.HeadersImport]; ctx can end that),
// then begins to connect and to follow the chain, until Close. WalletChain may be used from then
// on.
func (c *Client) Start(ctx context.Context) error {
	c.starting.Lock() // Close waits for it, since neutrino must not be stopped while it starts
	defer c.starting.Unlock()
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if c.running.Load() != nil || c.cfg.HeadersOnly {
		return errors.New("the light client was started already, or is for headers only")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	if err := c.importHeaders(ctx); err != nil {
		return err
	}

	if err := c.startNeutrino(ctx); err != nil {
		return err
	}
	sub, err := c.source().Subscribe(0)
	if err != nil {
		return fmt.Errorf("following new blocks: %w", err)
	}
	c.watching.Add(2)
	go func() { defer c.watching.Done(); c.followBlocks(sub) }()
	go func() { defer c.watching.Done(); c.watch() }()
	return nil
}

// startNeutrino begins to connect and to sync, with starting held.
func (c *Client) startNeutrino(ctx context.Context) error {
	cs, err := newChainService(c, c.peers.names())
	if err == nil {
		err = cs.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("starting the light client: %w", err)
	}
	c.running.Store(cs)
	return nil
}

// Close disconnects, waits for all that runs, and closes the database. Calling it again does
// nothing.
func (c *Client) Close() error {
	c.closing.Do(func() { c.closeErr = c.close() })
	return c.closeErr
}

func (c *Client) close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.starting.Lock()
	defer c.starting.Unlock()

	// Those who ask neutrino's peer handler go first, for it leaves them waiting when it ends. The
	// fetches end with neutrino.
	c.watching.Wait()
	if c.running.Load() == nil {
		c.wg.Wait()
		return c.closeFiles()
	}
	stopped := make(chan error, 1)
	go func() { // ends before this call, or else with the process
		err := c.running.Load().Stop()
		c.peers.closeAll()
		c.wg.Wait()
		stopped <- err
	}()
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case err := <-stopped:
		if err != nil { // neutrino may still write
			return errors.Join(err, c.db.Close())
		}
		return c.closeFiles()
	case <-timeout.C:
		// The database stays open: closing it under neutrino's feet would turn a hanging disk into
		// a panic.
		return fmt.Errorf("the light client did not stop within %v", stopTimeout)
	}
}

// begin counts the caller among those whom Close waits for, unless that has begun. A true must be
// followed by wg.Done.
func (c *Client) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Add(1)
	return true
}

// run runs f in a goroutine that Close waits for.
func (c *Client) run(f func()) bool {
	if !c.begin() {
		return false
	}
	go func() {
		defer c.wg.Done()
		f()
	}()
	return true
}

// service returns neutrino's service: the running one, or before Start the one that reads only.
func (c *Client) service() *neutrino.ChainService {
	if cs := c.running.Load(); cs != nil {
		return cs
	}
	return c.reading
}

// source returns the service as a source of headers by height.
func (c *Client) source() *neutrino.RescanChainSource {
	return &neutrino.RescanChainSource{ChainService: c.service()}
}

// genesis reports whether block is the first one, which neither has a filter header before it nor
// is served by peers.
func (c *Client) genesis(block chainhash.Hash) bool { return block == *c.params.GenesisHash }
