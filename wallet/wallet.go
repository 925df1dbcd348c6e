// Package wallet is the small fee wallet of the daemon: it keeps the keys and the coins that pay
// for anchors, and builds and signs their transactions. It hides btcwallet.
//
// What it promises:
//
//   - Keys are BIP39 words and BIP84 paths (m/84'/coin'/0', coin 0 on mainnet and 1 elsewhere), so
//     that any common wallet restores the coins from the words alone. The words are returned once,
//     by [Wallet.Create], and are stored nowhere; the keys rest on disk under the passphrase only.
//   - No secret is ever in an error or a log.
//   - It chooses confirmed coins only, and none that is leased. Whatever it builds can be replaced
//     (BIP125).
//   - A version of an anchor is built, signed and forgotten: btcwallet learns of it when it is
//     mined. (btcwallet counts the change of two versions of one payment twice.) What it replaces,
//     or builds on, the caller names.
//   - It counts and spends what the active chain has: before it calls itself at the newest block,
//     the last ones that it took in have been compared with the chain.
//   - No call hangs: btcwallet's may, so each is given a time limit, and a synchronisation that has
//     died is noticed and revived.
package wallet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ancre/internal/btclogslog"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
	btcwallet "github.com/btcsuite/btcwallet/wallet"
)

// Chain is what the wallet needs of the light client.
type Chain interface {
	// WalletChain makes a new, unstarted client of btcwallet's over the light client.
	WalletChain() *chain.NeutrinoClient

	// Best returns the newest block whose header and filter are both here.
	Best() (height int32, hash chainhash.Hash, err error)

	// Synced reports whether Best is near enough to the network's newest block to act on it.
	Synced() bool

	// Broadcast offers a transaction to the peers. A nil error promises nothing.
	Broadcast(ctx context.Context, tx *wire.MsgTx) error

	// Changes returns a channel that has a value whenever the newest block may have changed since
	// the last receive.
	Changes() (changed <-chan struct{}, stop func())
}

// Config is what a wallet is opened with. Only Dir, Params and Chain have to be given.
type Config struct {
	Dir    string // the wallet's own directory, made (0700) when it is missing
	Params *chaincfg.Params
	Chain  Chain
	Logger *slog.Logger

	// RecoveryWindow is how many addresses in a row may be unused before a restore stops looking
	// further. 250 unless given.
	RecoveryWindow uint32

	// StallAfter is how long the wallet may stay behind the light client without any progress
	// before its synchronisation is taken for dead and revived. 2 minutes unless given: the light
	// client itself gives a block up after one.
	StallAfter time.Duration

	// RestoreStallAfter is the same while a restore searches for coins, which moves 2,000 blocks at
	// a time. 30 minutes unless given.
	RestoreStallAfter time.Duration

	// CallTimeout is how long one call may take, waiting for the newest block included. 30 seconds
	// unless given.
	CallTimeout time.Duration

	// StopTimeout is how long the synchronisation may take to stop. 5 minutes unless given.
	StopTimeout time.Duration
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.RecoveryWindow == 0 {
		c.RecoveryWindow = 250
	}
	if c.StallAfter == 0 {
		c.StallAfter = 2 * time.Minute
	}
	if c.RestoreStallAfter == 0 {
		c.RestoreStallAfter = 30 * time.Minute
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 30 * time.Second
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 5 * time.Minute
	}
}

// State is how far the wallet is from being able to pay.
type State string

const (
	None     State = "none"     // not created yet
	Unusable State = "unusable" // its file cannot be opened, see ErrUnusable
	Locked   State = "locked"   // waits for the passphrase; it follows the chain nevertheless
	Syncing  State = "syncing"  // has not seen the newest block yet
	Ready    State = "ready"
)

var (
	// ErrNoWallet is returned while there is no wallet.
	ErrNoWallet = errors.New("there is no wallet yet: create one with `ancre wallet create`")

	// ErrLocked is returned while keys are needed and the passphrase has not been given.
	ErrLocked = errors.New("the wallet is locked: unlock it with `ancre wallet unlock`, or name a passphrase_file" +
		" under [wallet] in the configuration, so that it is unlocked at each start")

	// ErrSyncing is wrapped while the wallet has not seen the newest block.
	ErrSyncing = errors.New("the wallet is still catching up with the chain")

	// ErrExists is returned when a wallet would be created over another.
	ErrExists = errors.New("there is a wallet already, and it is never overwritten: to use other words, stop the daemon," +
		" move the wallet directory away, and start again")

	// ErrWrongPassphrase is returned by Unlock.
	ErrWrongPassphrase = errors.New("wrong wallet passphrase")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the wallet is closed")
)

// library is btcwallet's logger, which it wants as a package variable: set once, before its first
// goroutine exists. (Its package chain belongs to the light client in this, as it makes the
// clients.)
var library struct {
	once sync.Once
	log  btclogslog.Forwarder
}

// Wallet is the fee wallet. It is safe for concurrent use.
type Wallet struct {
	cfg    Config
	log    *slog.Logger
	leases leases
	spend  semaphore // held while coins are chosen and until they are leased or stored
	kick   chan struct{}
	calls  calls

	// addressesUsed is set when blocks or payments may have used addresses since more of them were
	// derived.
	addressesUsed atomic.Bool

	creating sync.Mutex // held by Create

	mu       sync.Mutex
	vault    *vault        // nil: no wallet yet
	opened   chan struct{} // closed when vault is set
	unusable error         // not nil: the file cannot be used, whether it was opened or not
	follow   following
}

// Open opens the wallet in the directory, locked, or prepares to create one there. It starts
// nothing: see [Wallet.Run]. It fails when there is a wallet that cannot be opened.
func Open(cfg Config) (*Wallet, error) {
	w, err := OpenOrReport(cfg)
	if err == nil {
		err = w.unusable
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// OpenOrReport is [Open] for a caller who can do without: a wallet that cannot be opened is no
// error, but one in the state [Unusable], whose methods say why. Once its file has been moved away,
// [Wallet.Create] makes another in its place.
func OpenOrReport(cfg Config) (*Wallet, error) {
	if cfg.Dir == "" || cfg.Params == nil || cfg.Chain == nil {
		return nil, errors.New("wallet: Dir, Params and Chain are needed")
	}
	cfg.setDefaults()

	library.log.Set(cfg.Logger)
	library.once.Do(func() { btcwallet.UseLogger(library.log.Logger()) })

	w := &Wallet{
		cfg:    cfg,
		log:    cfg.Logger,
		leases: newLeases(),
		spend:  make(semaphore, 1),
		kick:   make(chan struct{}, 1),
		opened: make(chan struct{}),
	}
	w.calls.idle = make(chan struct{})
	if v, err := w.openDir(); err != nil {
		w.unusable = err
	} else if v != nil {
		w.adopt(v)
	}
	return w, nil
}

// openDir opens the wallet in the directory, if there is one.
func (w *Wallet) openDir() (*vault, error) {
	if err := os.MkdirAll(w.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w; make it a directory of the user that ancred runs as, and start ancred again", ErrUnusable, err)
	}
	if err := w.removeHalfMade(); err != nil {
		return nil, fmt.Errorf("%w: %w; make %s a directory that the user may read and write whom ancred runs as, and start ancred again", ErrUnusable, err, w.cfg.Dir)
	}
	path := filepath.Join(w.cfg.Dir, databaseName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	v, err := w.openVault(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	return v, nil
}

// adopt makes an opened wallet the one that all calls use.
func (w *Wallet) adopt(v *vault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.vault, w.unusable = v, nil
	close(w.opened)
}

// current returns the opened wallet, or [ErrNoWallet], or why it cannot be used.
func (w *Wallet) current() (*vault, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unusable != nil {
		return nil, w.unusable
	}
	if w.vault == nil {
		return nil, ErrNoWallet
	}
	return w.vault, nil
}

// Close closes the wallet's files. The context of Run has to be ended before; Close waits for Run.
func (w *Wallet) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), w.cfg.StopTimeout)
	defer cancel()
	w.creating.Lock() // a creation either finishes before, or finds the wallet closed
	defer w.creating.Unlock()
	if err := w.calls.close(ctx); err != nil {
		return fmt.Errorf("close wallet: %w", err)
	}

	w.mu.Lock()
	v := w.vault
	w.mu.Unlock()
	if v == nil {
		return nil
	}
	return w.closeVault(v)
}

// State says how far the wallet is from being able to pay. It never waits.
func (w *Wallet) State() State {
	v, err := w.current()
	switch {
	case errors.Is(err, ErrUnusable):
		return Unusable
	case err != nil:
		return None
	case v.locked():
		return Locked
	case w.behind() != nil:
		return Syncing
	default:
		return Ready
	}
}

// Ready returns nil when an anchor can be built, as far as keys and chain are concerned; else an
// error that tells a person what to do. It never waits.
func (w *Wallet) Ready() error {
	v, err := w.current()
	if err != nil {
		return err
	}
	if v.locked() {
		return ErrLocked
	}
	return w.behind()
}

// Unlock makes the keys usable until the process ends. It does not keep the passphrase; the caller
// should wipe it. A wrong one gives [ErrWrongPassphrase] and changes nothing, also when the wallet
// is unlocked already.
//
// It is best called before Run: while a restore searches for coins, btcwallet can not take a
// passphrase for minutes. An error that wraps [context.DeadlineExceeded] says so; the wallet
// unlocks as soon as it can.
func (w *Wallet) Unlock(ctx context.Context, passphrase []byte) error {
	v, err := w.current()
	if err != nil {
		return err
	}
	// The caller may wipe its slice when we return early, which must not garble what a slow call
	// still reads.
	own := append([]byte(nil), passphrase...)
	repaired, err := guard(ctx, w, "unlock the wallet", func() (bool, error) {
		defer clear(own)
		return v.unlock(own, &w.leases)
	})
	if err == nil {
		w.log.Info("wallet unlocked")
	}
	if repaired {
		w.log.Warn("an older ancre had encrypted the wallet with a garbled form of its passphrase, which is not UTF-8; from now on the passphrase itself is needed, byte for byte")
	}
	return err
}
