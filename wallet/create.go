package wallet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"ancre/internal/atomicfile"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/tyler-smith/go-bip39"
)

const (
	// MinPassphrase is the shortest passphrase that is taken, in characters. There is no wallet
	// without one: its keys would lie open on the disk and in each of its backups. Who wants to
	// type nothing puts a random one into a file for passphrase_file.
	MinPassphrase = 8

	// entropyBits gives 24 words.
	entropyBits = 256

	// halfMade is how the directories begin in which a wallet is made before it takes its place.
	halfMade = ".new-"
)

// segwitActivation is when BIP84 coins became possible on mainnet (block 481,824): nothing older
// can be ours.
var segwitActivation = time.Date(2017, 8, 24, 0, 0, 0, 0, time.UTC)

// Create makes the wallet and unlocks it. With nil words it makes 24 new ones and returns them;
// with words it restores, beginning the search for coins at birthday (zero: as early as there can
// be any), and returns no words. The address is the first to be funded.
//
// The wallet is on disk, whole and synced, or not at all, when Create returns; a crash in the
// middle leaves nothing. One step remains that nothing can make atomic: the words have to reach a
// person. When they did not, the wallet has no coins yet: see [Wallet.Replace].
func (w *Wallet) Create(ctx context.Context, passphrase []byte, words []string, birthday time.Time) (newWords []string, address string, err error) {
	return w.create(ctx, passphrase, words, birthday, false)
}

// Replace is Create where there may be a wallet that was never used: whose words nobody has, for
// one. A wallet that any transaction ever touched gives an error that wraps [ErrUsed]. The file of
// the old one is kept beside the new one: with its passphrase, nothing that is sent to it later is
// lost.
func (w *Wallet) Replace(ctx context.Context, passphrase []byte, words []string, birthday time.Time) (newWords []string, address string, err error) {
	return w.create(ctx, passphrase, words, birthday, true)
}

func (w *Wallet) create(ctx context.Context, passphrase []byte, words []string, birthday time.Time, replace bool) (newWords []string, address string, err error) {
	if !w.creating.TryLock() {
		return nil, "", errors.New("a wallet is being created already, which takes some seconds: try again when that has ended")
	}
	defer w.creating.Unlock()
	if err := w.calls.begin(); err != nil {
		return nil, "", err
	}
	defer w.calls.end()

	old, err := w.mayCreate(ctx, replace)
	if err != nil {
		return nil, "", err
	}
	if n := utf8.RuneCount(passphrase); n < MinPassphrase {
		return nil, "", fmt.Errorf("the passphrase has %d characters, at least %d are needed", n, MinPassphrase)
	}
	restoring := words != nil
	if restoring {
		if words, err = checkWords(words); err != nil {
			return nil, "", err
		}
	} else if words, err = makeWords(w.cfg.Params); err != nil {
		return nil, "", err
	}
	seed, err := deriveMaster(words, w.cfg.Params)
	if err != nil {
		return nil, "", err
	}
	defer seed.wipe()

	// Everything that can fail or take long happens aside.
	aside, err := os.MkdirTemp(w.cfg.Dir, halfMade)
	if err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	defer func() { _ = os.RemoveAll(aside) }()
	half, whole := filepath.Join(aside, databaseName), filepath.Join(w.cfg.Dir, databaseName)
	err = makeVault(half, w.cfg.Params.Name, seed, passphrase, birthdayOf(w.cfg.Params, restoring, birthday), restoring)
	if err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	if err := ctx.Err(); err != nil { // nobody would see the words
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	if old != nil {
		bringBack, err := w.retire(ctx, old)
		if err != nil {
			return nil, "", err
		}
		defer func() {
			if newWords == nil && address == "" {
				bringBack()
			}
		}()
	}
	if _, err := os.Lstat(whole); !errors.Is(err, fs.ErrNotExist) {
		return nil, "", ErrExists
	}
	if err := os.Rename(half, whole); err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}

	// From here on, until the words can be returned, whatever fails takes the wallet away again: no
	// address of it is known.
	var v *vault
	defer func() {
		if err != nil {
			if v != nil {
				_ = v.close()
			}
			_ = os.Remove(whole)
		}
	}()
	if err := atomicfile.SyncDir(w.cfg.Dir); err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	if v, err = w.openVault(whole); err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	if _, err := v.unlock(passphrase, &w.leases); err != nil {
		return nil, "", err
	}
	if _, err := v.topUp(); err != nil {
		return nil, "", err
	}
	if address, err = v.nextAddress(external, 0); err != nil {
		return nil, "", err
	}
	if err := ctx.Err(); err != nil { // gone meanwhile: it took seconds
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}

	w.adopt(v)
	w.log.Info("wallet created", "restored", restoring, "address", address)
	if restoring {
		return nil, address, nil
	}
	return words, address, nil
}

// removeHalfMade removes what a crash left of a creation.
func (w *Wallet) removeHalfMade() error {
	left, err := filepath.Glob(filepath.Join(w.cfg.Dir, halfMade+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove what is left of an interrupted creation: %w", err)
		}
	}
	return nil
}

// birthdayOf says from when on blocks are looked at. btcwallet takes two days off.
//
// The clock of a development network is what its miner says it is; blocks older than the birthday
// would be skipped, coins in them included. Such a chain is short: it is read from its beginning.
func birthdayOf(params *chaincfg.Params, restoring bool, birthday time.Time) time.Time {
	genesis := params.GenesisBlock.Header.Timestamp
	switch {
	case params.Net == chaincfg.RegressionNetParams.Net, params.Net == chaincfg.SimNetParams.Net:
		return genesis
	case !restoring:
		return time.Now()
	case params.Net == chaincfg.MainNetParams.Net && birthday.Before(segwitActivation):
		return segwitActivation
	case birthday.Before(genesis):
		return genesis
	case birthday.After(time.Now()):
		return time.Now()
	default:
		return birthday
	}
}

// makeWords makes the words of a new wallet.
func makeWords(params *chaincfg.Params) ([]string, error) {
	for {
		entropy, err := bip39.NewEntropy(entropyBits) // crypto/rand
		if err != nil {
			return nil, fmt.Errorf("make words: %w", err)
		}
		mnemonic, err := bip39.NewMnemonic(entropy)
		clear(entropy)
		if err != nil {
			return nil, fmt.Errorf("make words: %w", err)
		}
		words := strings.Fields(mnemonic)
		seed, err := deriveMaster(words, params)
		if errors.Is(err, errUnusual) {
			continue
		}
		if err != nil {
			return nil, err
		}
		seed.wipe()
		return words, nil
	}
}

// checkWords returns the words as BIP39 writes them. Its errors name places, never words: they end
// up in logs.
func checkWords(given []string) ([]string, error) {
	words := strings.Fields(strings.ToLower(strings.Join(given, " ")))
	switch len(words) {
	case 12, 15, 18, 21, 24:
	default:
		return nil, fmt.Errorf("%d words given, a wallet has 12, 15, 18, 21 or 24", len(words))
	}
	for i, word := range words {
		if _, known := bip39.GetWordIndex(word); !known {
			return nil, fmt.Errorf("word %d of %d is not in the BIP39 English list: check its spelling", i+1, len(words))
		}
	}
	entropy, err := bip39.EntropyFromMnemonic(strings.Join(words, " "))
	if err != nil {
		return nil, errors.New("the words do not belong together (wrong checksum): one is wrong, or they are in another order")
	}
	clear(entropy)
	return words, nil
}

// masterKey is m of BIP32, as long as a wallet is made of it.
type masterKey struct {
	key    *hdkeychain.ExtendedKey
	params *chaincfg.Params
}

// errUnusual is returned for the words, one set in 128, of which btcwallet makes other keys than
// BIP32 says.
var errUnusual = errors.New("these words (one set in 128) can not be used here: of them the wallet library would make" +
	" other keys than every other wallet. Make a wallet of new words, and send the coins to it")

// deriveMaster follows BIP39 (without a passphrase of its own) and BIP32, and refuses words that
// give [errUnusual].
//
// btcwallet derives hardened keys as btcd once did (its issue 172): a parent key that begins with a
// zero byte is used without that byte. Parents here are the keys of m/84' and m/84'/coin'. New
// words are drawn until they avoid that, so whatever this wallet makes can be restored anywhere.
func deriveMaster(words []string, params *chaincfg.Params) (*masterKey, error) {
	seed := bip39.NewSeed(strings.Join(words, " "), "")
	defer clear(seed)
	master, err := hdkeychain.NewMaster(seed, params)
	if err != nil {
		return nil, errors.New("these words give no usable key (one set in 2^127): take others")
	}
	scope := keyScope(params)
	parent := master
	for _, step := range []uint32{scope.Purpose, scope.Coin} {
		parent, err = parent.Derive(hdkeychain.HardenedKeyStart + step)
		if err != nil || parent.IsAffectedByIssue172() {
			master.Zero()
			return nil, errUnusual
		}
		defer parent.Zero()
	}
	return &masterKey{master, params}, nil
}

func (m *masterKey) wipe() { m.key.Zero() }
