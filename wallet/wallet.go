// Package wallet is the small fee wallet of the daemon: it keeps the keys and the coins that pay
// for anchors, and builds and signs their transactions. It hides btcwallet.
//
// What it promises:
//
//   - The keys come from BIP39 words by BIP84 paths (m/84'/coin'/0', coin 0 on mainnet and 1
//     elsewhere), so any common wallet restores the coins from the words alone. [Wallet.Create]
//     returns the words once, and they are not stored. The keys are stored encrypted under the
//     passphrase.
//   - No error and no log contains a secret.
//   - It chooses only confirmed coins, and none that is leased. All its transactions can be
//     replaced (BIP125).
//   - It builds and signs a version of an anchor and then forgets it. btcwallet learns of the
//     version when it is mined, because btcwallet counts the change of two versions of one payment
//     twice. So the caller names the coins of a version that is replaced or built upon.
//   - It counts and spends what the active chain has. Before it reports that it has reached the
//     newest block, it has compared the newest blocks that it processed with the chain.
//   - No call hangs. Calls of btcwallet may hang, so each has a time limit. A synchronisation that
//     has died is noticed and restarted.
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

// Chain is the light client, as the wallet uses it.
type Chain interface {
	// WalletChain makes a new, unstarted client of btcwallet's over the light client.
	WalletChain() *chain.NeutrinoClient

	// Best returns the newest block whose header and filter header are both stored.
	Best() (height int32, hash chainhash.Hash, err error)

	// Synced reports whether Best is near enough to the network's newest block to act on it.
	Synced() bool

	// Broadcast offers a transaction to the peers. A nil error promises nothing.
	Broadcast(ctx context.Context, tx *wire.MsgTx) error

	// Changes returns a channel that has a value when the newest block may have changed since the
	// last receive.
	Changes() (changed <-chan struct{}, stop func())
}

// Config is the configuration for [Open]. Dir, Params and Chain are needed, the rest may be left
// out.
type Config struct {
	Dir    string // the wallet's own directory; created (0700) if it is missing
	Params *chaincfg.Params
	Chain  Chain
	Logger *slog.Logger

	// RecoveryWindow is how many unused addresses in a row end the search of a restore.
	// Default: 250.
	RecoveryWindow uint32

	// StallAfter is how long the wallet may be behind the light client without any progress before
	// its synchronisation counts as dead and is restarted. Default: 2 minutes. The light client
	// itself gives up on a block after one minute.
	StallAfter time.Duration

	// RestoreStallAfter is the same while a restore searches for coins, 2,000 blocks at a time.
	// Default: 30 minutes.
	RestoreStallAfter time.Duration

	// CallTimeout is how long one call may take, including the time to wait for the newest block.
	// Default: 30 seconds.
	CallTimeout time.Duration

	// StopTimeout is how long the synchronisation may take to stop. Default: 5 minutes.
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
	Locked   State = "locked"   // needs the passphrase; it follows the chain nevertheless
	Syncing  State = "syncing"  // has not processed the newest block yet
	Ready    State = "ready"
)

var (
	// ErrNoWallet is returned while there is no wallet.
	ErrNoWallet = errors.New("there is no wallet yet: create one with `ancre wallet create`")

	// ErrLocked is returned while keys are needed and the passphrase has not been given.
	ErrLocked = errors.New("the wallet is locked: unlock it with `ancre wallet unlock`, or set passphrase_file" +
		" under [wallet] in the configuration to have it unlocked at each start")

	// ErrSyncing is wrapped while the wallet has not processed the newest block.
	ErrSyncing = errors.New("the wallet is still catching up with the chain")

	// ErrExists is returned when a wallet would be created in the place of another.
	ErrExists = errors.New("there is a wallet already, and it is never overwritten: to use other words, stop the daemon," +
		" move the wallet directory away, and start the daemon again")

	// ErrWrongPassphrase is returned by Unlock.
	ErrWrongPassphrase = errors.New("wrong wallet passphrase")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the wallet is closed")
)

// library holds btcwallet's logger. It is a package variable of btcwallet, so it is set once,
// before its first goroutine exists. (The light client sets the logger of btcwallet's package
// chain.)
var library struct {
	once sync.Once
	log  btclogslog.Forwarder
}

// Wallet is the fee wallet. It is safe for concurrent use.
type Wallet struct {
	cfg    Config
	log    *slog.Logger
	leases leases
	spend  semaphore // held from when coins are chosen until they are leased or stored
	calls  calls

	offerNow chan struct{} // has a value when payments should be offered soon

	// addressesUsed is set when blocks or payments may have used addresses since the last ones were
	// derived.
	addressesUsed atomic.Bool

	creating sync.Mutex // held by Create

	mu       sync.Mutex
	vault    *vault        // nil: there is no wallet yet
	opened   chan struct{} // closed when vault is set
	unusable error         // not nil: why the file cannot be used, even if it is open
	follow   following
}

// Open opens the wallet in the directory, which is then locked, or prepares to create one there. It
// fails if there is a wallet that cannot be opened. It starts nothing: see [Wallet.Run].
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

// OpenOrReport is [Open] for a caller that can do without a wallet. A wallet that cannot be opened
// is not an error: it has the state [Unusable], and its methods return why. Once its file has been
// moved away, [Wallet.Create] creates another in its place.
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
		opened: make(chan struct{}),

		offerNow: make(chan struct{}, 1),
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
		return nil, fmt.Errorf("%w: %w; make it a directory that the user that ancred runs as can read and write, and start ancred again", ErrUnusable, err)
	}
	if err := w.removeHalfMade(); err != nil {
		return nil, fmt.Errorf("%w: %w; make %s a directory that the user that ancred runs as can read and write, and start ancred again", ErrUnusable, err, w.cfg.Dir)
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

// adopt makes all calls use an opened wallet.
func (w *Wallet) adopt(v *vault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.vault, w.unusable = v, nil
	close(w.opened)
}

// current returns the opened wallet. The error is [ErrNoWallet], or says why it cannot be used.
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

// Close closes the wallet's file. The caller ends the context of Run before. Close waits for Run.
func (w *Wallet) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), w.cfg.StopTimeout)
	defer cancel()
	w.creating.Lock() // a creation either finishes first, or finds the wallet closed
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

// State returns how far the wallet is from being able to pay. It never waits.
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

// Ready returns nil if keys and chain allow to build an anchor. Otherwise the error says what the
// operator can do. Ready never waits.
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

// Unlock makes the keys usable until the process ends. It does not keep the passphrase, and the
// caller should wipe it. For a wrong passphrase it returns [ErrWrongPassphrase] and changes
// nothing, even if the wallet is unlocked already.
//
// It should be called before Run: while a restore searches for coins, btcwallet cannot take a
// passphrase for minutes. Then the error wraps [context.DeadlineExceeded], and the wallet unlocks
// as soon as it can.
func (w *Wallet) Unlock(ctx context.Context, passphrase []byte) error {
	v, err := w.current()
	if err != nil {
		return err
	}
	// The caller may wipe its slice when Unlock returns early, while a slow call still reads it. So
	// the call gets a copy.
	own := append([]byte(nil), passphrase...)
	repaired, err := withTimeout(ctx, w, "unlock the wallet", func() (bool, error) {
		defer clear(own)
		return v.unlock(own, &w.leases)
	})
	if err == nil {
		w.log.Info("wallet unlocked")
	}
	if repaired {
		w.log.Warn("an older ancre encrypted the wallet with a garbled form of its passphrase, which is not UTF-8: from now on the exact bytes of the passphrase are needed")
	}
	return err
}
