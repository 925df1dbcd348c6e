// Package spv is the embedded light client: it follows Bitcoin's headers and compact filters
// (BIP157, BIP158) over the peer-to-peer network, fetches single blocks, and offers transactions to
// peers. It asks no third party for anything.
//
// What it promises: each header that it returns has the work and the ancestors that the network's
// rules demand. Each filter fits the chain of filter headers. Each block fits its header.
//
// What no light client can promise: that a block obeys all rules of Bitcoin, that the peers
// announce every block, and that the filter headers are true. The remedy is to have several peers,
// and to wait for more blocks. One honest peer is enough to find out those that lie about filters,
// but a single peer is believed. So a client with only one peer should have one that its owner
// runs.
//
// Package spv hides neutrino, which is the only user of its data directory. One thing cannot be
// hidden: neutrino panics in its own goroutines when it can no longer write its files ("rollback
// failed"), and that ends the process. No state is only in memory, so a restarted process continues
// where it was.
//
// A client with [Config.HeadersOnly] only downloads headers. Package verify/lightclient uses it as
// one of the sources of headers by which proofs are verified. A new source of headers belongs
// beside that package.
package spv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
	// ErrNotFound is wrapped when a block or a height is not on the active chain, as far as this
	// client knows that chain.
	ErrNotFound = errors.New("not on the active chain")

	// ErrNoPeers is wrapped when something must be sent and no peer is connected. The caller may
	// try again later.
	ErrNoPeers = errors.New("no peer is connected")

	// ErrClosed is wrapped by every method of a client that is closed or being closed.
	ErrClosed = errors.New("the light client is closed")

	// ErrDamaged is wrapped when the data directory cannot be used and Open cannot repair it. The
	// error says what the operator can do.
	ErrDamaged = errors.New("damaged data of the light client")

	// ErrInUse is wrapped when another process has the data directory open.
	ErrInUse = errors.New("in use by another process")
)

// Config is the configuration for [Open]. Params and Dir are needed, the rest may be left out.
type Config struct {
	Params *chaincfg.Params // of one of [Networks]
	Dir    string           // the light client's own data directory; created if it is missing

	Connect  []string // HOST or HOST:PORT: connect only to these and AddPeers, without discovery
	AddPeers []string // HOST or HOST:PORT: connect to these besides discovered peers
	Proxy    string   // HOST:PORT of a SOCKS5 proxy for all connections and all names; empty: none

	// HeadersImport is empty, or names the block header file and the filter header file that
	// [Client.ExportHeaders] wrote. Start reads them if they reach higher than the stored headers.
	HeadersImport []string

	// HeadersOnly is for a client that only downloads headers, by SyncHeaders. It asks no peer for
	// filters.
	HeadersOnly bool

	Logger           *slog.Logger // nil: silent
	UserAgentVersion string       // what peers are told; empty: "0"
}

const (
	// maxFetches bounds how many blocks and filters are fetched at once. neutrino's calls take no
	// context. So a call whose caller has gone keeps its place until a peer answers or neutrino
	// gives up.
	maxFetches = 8

	// stopTimeout is how long Close waits for neutrino. It stops in about a second, unless the disk
	// hangs.
	stopTimeout = 30 * time.Second
)

// Client is a light client on one data directory. Several goroutines may call its methods at once.
// All methods that need no peers may be called before Start.
type Client struct {
	cfg    Config
	params chaincfg.Params // without DNS seeds if none may be asked
	public bool            // a public network, on which blocks come by the clock: not regtest or simnet
	now    func() time.Time
	log    *slog.Logger

	db    walletdb.DB
	peers *dialer

	// reading is the neutrino service that Open made. It has no peers, and so no goroutines: it
	// reads what is on disk. running is the service that Start made. There are two of them because
	// neutrino's Stop hangs on a service that was never started.
	reading *neutrino.ChainService
	running atomic.Pointer[neutrino.ChainService]

	// ctx ends when Close begins. wg counts the calls that use the database or neutrino, and their
	// goroutines. They are counted by begin.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	starting sync.Mutex     // held by Start, and by Close from when Start may no longer begin
	watching sync.WaitGroup // the goroutines that Start began
	closing  sync.Once
	closeErr error // set by closing

	mu        sync.Mutex // guards closed and listeners
	closed    bool
	listeners map[chan struct{}]struct{}

	fetching singleflight.Group // callers that want the same block or filter share one fetch
	fetches  chan struct{}      // has a value for each running fetch

	broadcasts chan struct{} // has a value for each transaction that is being offered
	offers     offers        // how peers responded to them
	fees       feeCache
	state      monitor
	limits     headersLimits
}

// Open checks the data directory, repairs header files that a crash or a full disk has damaged, and
// opens it. Nothing is sent before Start, but everything on disk can be asked for.
func Open(cfg Config) (*Client, error) {
	peers, err := checkConfig(&cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("light client's data directory: %w; it must be a directory that the user that ancred runs as can read and write", err)
	}
	db, err := openDatabase(cfg.Dir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg, db)
	if err := c.openFiles(peers); err != nil {
		c.cancel()
		db.Close()
		return nil, err
	}
	return c, nil
}

// checkConfig checks a configuration and fills in what may be left out. It returns the configured
// peers, each with a port.
func checkConfig(cfg *Config) (peers []string, err error) {
	if cfg.Params == nil {
		return nil, errors.New("spv: no network given")
	}
	if cfg.Dir == "" {
		return nil, errors.New("spv: no data directory given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.UserAgentVersion == "" {
		cfg.UserAgentVersion = "0"
	}
	peers, err = peerAddresses(slices.Concat(cfg.Connect, cfg.AddPeers), cfg.Params.DefaultPort)
	if err != nil {
		return nil, err
	}
	if cfg.Proxy != "" {
		if err := checkProxy(cfg.Proxy); err != nil {
			return nil, err
		}
	}
	return peers, checkImport(cfg.HeadersImport, cfg.Params)
}

// newClient makes a client on an opened database.
func newClient(cfg Config, db walletdb.DB) *Client {
	c := &Client{
		cfg: cfg, params: *cfg.Params, public: !isDevelopment(cfg.Params), now: time.Now, log: cfg.Logger, db: db,
		listeners:  make(map[chan struct{}]struct{}),
		fetches:    make(chan struct{}, maxFetches),
		broadcasts: make(chan struct{}, maxBroadcasts),
		fees:       newFeeCache(),
		limits:     headersLimits{secondPeer: secondPeer, findPeers: findPeers, stall: headersStall},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if len(cfg.Connect) > 0 || !c.public {
		// neutrino asks the seeds even when it may connect to configured peers only.
		c.params.DNSSeeds = nil
	}
	if cfg.Proxy != "" {
		c.limits.findPeers = findPeersProxy
	}
	c.state.opened = c.now()
	c.state.clocks = newClocks()
	c.state.distrusted = make(map[string]time.Time)
	return c
}

// openFiles checks and repairs the header files, and has neutrino open them.
func (c *Client) openFiles(peers []string) (err error) {
	dir := c.cfg.Dir
	if err := removeSuspects(dir, c.log); err != nil {
		return err
	}
	if err := checkSums(dir, c.log); err != nil {
		return err
	}
	if err := repairHeaders(dir, c.db, &c.params, c.log); err != nil {
		return err
	}
	if c.peers, err = newDialer(c.ctx, c.db, c.log, c.params.Net, peers, c.cfg.Proxy); err != nil {
		return err
	}
	c.peers.headersOnly = c.cfg.HeadersOnly
	c.peers.now = func() time.Time { return c.now() } // tests replace c.now later
	if c.reading, err = newChainService(c, nil); err == nil {
		return nil
	}
	// The checks above know the damage that has been seen so far. The cure is the same for any
	// other damage that neutrino finds.
	c.log.Error("the header files cannot be opened: removing them, all headers will be downloaded again", "dir", dir, "err", err)
	if err := removeHeaders(dir); err != nil {
		return err
	}
	if c.reading, err = newChainService(c, nil); err != nil {
		return fmt.Errorf("%w in %s: %w; remove this directory, its contents will be downloaded again", ErrDamaged, dir, err)
	}
	return nil
}

// Start imports header files if it has to (see [Config.HeadersImport]; ctx can end that). Then it
// begins to connect and to follow the chain, until Close. From then on WalletChain may be used.
func (c *Client) Start(ctx context.Context) error {
	c.starting.Lock() // Close waits for it, since neutrino must not be stopped while it starts
	defer c.starting.Unlock()
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if c.running.Load() != nil || c.cfg.HeadersOnly {
		return errors.New("the light client has been started before, or is for headers only")
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
		return fmt.Errorf("cannot follow new blocks: %w", err)
	}
	c.watching.Add(2)
	go func() { defer c.watching.Done(); c.followBlocks(sub) }()
	go func() { defer c.watching.Done(); c.watch() }()
	return nil
}

// startNeutrino begins to connect and to sync. The caller holds starting.
func (c *Client) startNeutrino(ctx context.Context) error {
	cs, err := newChainService(c, c.peers.names())
	if err == nil {
		err = cs.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot start the light client: %w", err)
	}
	c.running.Store(cs)
	return nil
}

// Close disconnects, waits for all calls and goroutines, and closes the database. A second call
// does nothing.
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

	// The goroutines that ask neutrino's peer handler end first, because it leaves them waiting
	// when it ends. The fetches end with neutrino.
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
		// The database stays open: if it were closed while neutrino uses it, a hanging disk would
		// become a panic.
		return fmt.Errorf("the light client did not stop within %v", stopTimeout)
	}
}

// begin makes Close wait for the caller, unless Close has begun. If it returns true, the caller
// must call wg.Done.
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

// service returns neutrino's service: the running one, or before Start the one that only reads.
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

// genesis reports whether block is the first one. It has no filter header before it, and peers do
// not serve it.
func (c *Client) genesis(block chainhash.Hash) bool { return block == *c.params.GenesisHash }
