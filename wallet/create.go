package wallet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ancre/internal/atomicfile"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

const (
	// MinPassphrase is the shortest passphrase, in characters. Every wallet has a passphrase:
	// without it, anybody could read the keys on the disk and in each backup. An operator who does
	// not want to type it puts a random one into a file for passphrase_file.
	MinPassphrase = 8

	// halfMade begins the names of the directories in which a wallet is prepared.
	halfMade = ".new-"
)

// segwitActivation is when BIP84 coins became possible on mainnet (block 481,824). No older block
// can have coins of ours.
var segwitActivation = time.Date(2017, 8, 24, 0, 0, 0, 0, time.UTC)

// Create creates the wallet and unlocks it. If words is nil, it makes 24 new words and returns
// them. Otherwise it restores a wallet from words, and returns none; the search for coins begins at
// birthday (zero: as early as there can be coins). It also returns the first address to be funded.
//
// When Create returns, the wallet is on disk as a whole, or not at all. A crash leaves nothing. One
// step cannot be made atomic: the words have to reach a person. If they did not, the wallet has no
// coins yet, and [Wallet.Replace] replaces it.
func (w *Wallet) Create(ctx context.Context, passphrase []byte, words []string, birthday time.Time) (newWords []string, address string, err error) {
	return w.create(ctx, passphrase, words, birthday, false)
}

// Replace is Create for when there may be a wallet that was never used, for example because its
// words were lost. For a wallet that any transaction ever touched, the error wraps [ErrUsed]. The
// old file is kept beside the new one: with its passphrase, nothing that is sent to it later is
// lost.
func (w *Wallet) Replace(ctx context.Context, passphrase []byte, words []string, birthday time.Time) (newWords []string, address string, err error) {
	return w.create(ctx, passphrase, words, birthday, true)
}

func (w *Wallet) create(ctx context.Context, passphrase []byte, words []string, birthday time.Time, replace bool) (newWords []string, address string, err error) {
	if !w.creating.TryLock() {
		return nil, "", errors.New("a wallet is being created already, which takes some seconds: try again later")
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
	if err := checkPassphrase(passphrase); err != nil {
		return nil, "", err
	}
	restoring := words != nil
	words, seed, err := wordsAndKey(words, w.cfg.Params)
	if err != nil {
		return nil, "", err
	}
	defer seed.wipe()

	// Everything that can fail or takes long happens in a directory of its own.
	aside, err := os.MkdirTemp(w.cfg.Dir, halfMade)
	if err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	defer func() { _ = os.RemoveAll(aside) }()
	half := filepath.Join(aside, databaseName)
	err = makeVault(half, w.cfg.Params.Name, seed, passphrase, birthdayOf(w.cfg.Params, restoring, birthday), restoring)
	if err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	if err := ctx.Err(); err != nil { // the caller has gone, and nobody would see the words
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
	bringBack := func() {}
	if old != nil {
		if bringBack, err = w.retire(ctx, old); err != nil {
			return nil, "", err
		}
	}
	v, address, err := w.putInPlace(ctx, half, passphrase)
	if err != nil {
		bringBack()
		return nil, "", err
	}

	w.adopt(v)
	w.log.Info("wallet created", "restored", restoring, "address", address)
	if restoring {
		return nil, address, nil
	}
	return words, address, nil
}

// wordsAndKey returns the words as BIP39 writes them, new ones if none are given, and their master
// key.
func wordsAndKey(given []string, params *chaincfg.Params) (words []string, key *masterKey, err error) {
	if given != nil {
		words, err = checkWords(given)
	} else {
		words, err = makeWords(params)
	}
	if err != nil {
		return nil, nil, err
	}
	key, err = deriveMaster(words, params)
	return words, key, err
}

// putInPlace gives a new wallet file its final name, and opens and unlocks it. If anything fails
// before the caller can return the words, the file is removed again: no address of it is known.
func (w *Wallet) putInPlace(ctx context.Context, half string, passphrase []byte) (v *vault, address string, err error) {
	whole := filepath.Join(w.cfg.Dir, databaseName)
	if _, err := os.Lstat(whole); !errors.Is(err, fs.ErrNotExist) {
		return nil, "", ErrExists
	}
	if err := os.Rename(half, whole); err != nil {
		return nil, "", fmt.Errorf("create wallet: %w", err)
	}
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
		return v, "", err
	}
	if _, err := v.topUp(); err != nil {
		return v, "", err
	}
	if address, err = v.nextAddress(external, 0); err != nil {
		return v, "", err
	}
	if err := ctx.Err(); err != nil { // the caller has gone meanwhile: it took seconds
		return v, "", fmt.Errorf("create wallet: %w", err)
	}
	return v, address, nil
}

// removeHalfMade removes what a crash during a creation left.
func (w *Wallet) removeHalfMade() error {
	left, err := filepath.Glob(filepath.Join(w.cfg.Dir, halfMade+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("cannot remove what an interrupted creation left: %w", err)
		}
	}
	return nil
}

// birthdayOf returns the time from which blocks are searched for coins. btcwallet begins two days
// earlier.
//
// On a development network the miner chooses the time of blocks. Blocks older than the birthday
// would be skipped, with the coins in them. Such a chain is short, so it is searched from its
// beginning.
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
