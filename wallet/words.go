package wallet

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/tyler-smith/go-bip39"
)

// entropyBits gives 24 words.
const entropyBits = 256

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
		if errors.Is(err, errNonstandard) {
			continue
		}
		if err != nil {
			return nil, err
		}
		seed.wipe()
		return words, nil
	}
}

// checkWords returns the words as BIP39 writes them. Its errors name the positions of words, never
// the words themselves, because errors end up in logs.
func checkWords(given []string) ([]string, error) {
	words := strings.Fields(strings.ToLower(strings.Join(given, " ")))
	switch len(words) {
	case 12, 15, 18, 21, 24:
	default:
		return nil, fmt.Errorf("%d words given: a wallet has 12, 15, 18, 21 or 24", len(words))
	}
	for i, word := range words {
		if _, known := bip39.GetWordIndex(word); !known {
			return nil, fmt.Errorf("word %d of %d is not in the BIP39 English list: check its spelling", i+1, len(words))
		}
	}
	entropy, err := bip39.EntropyFromMnemonic(strings.Join(words, " "))
	if err != nil {
		return nil, errors.New("the words have a wrong checksum: one of them is wrong, or they are in the wrong order")
	}
	clear(entropy)
	return words, nil
}

// masterKey is the key m of BIP32. It exists only while a wallet is created from it.
type masterKey struct {
	key    *hdkeychain.ExtendedKey
	params *chaincfg.Params
}

// errNonstandard is returned for words, one set in 128, from which btcwallet derives other keys
// than BIP32 does.
var errNonstandard = errors.New("these words (one set in 128) cannot be used here: the wallet library would derive other keys" +
	" from them than other wallets do. Create a wallet with new words, and send the coins to it")

// deriveMaster derives the master key by BIP39 (without BIP39's own passphrase) and BIP32. It
// refuses words from which btcwallet would derive nonstandard keys.
//
// btcwallet derives hardened keys as btcd once did (its issue 172): if a parent key begins with a
// zero byte, it leaves that byte out. The parents here are the keys of m/84' and m/84'/coin'.
// Create draws new words until they avoid that, so any other wallet can restore what this wallet
// makes.
func deriveMaster(words []string, params *chaincfg.Params) (*masterKey, error) {
	seed := bip39.NewSeed(strings.Join(words, " "), "")
	defer clear(seed)
	return masterOf(seed, params)
}

// masterOf is deriveMaster for a BIP39 seed.
func masterOf(seed []byte, params *chaincfg.Params) (*masterKey, error) {
	master, err := hdkeychain.NewMaster(seed, params)
	if err != nil {
		return nil, errors.New("these words give no usable key (one set in 2^127): use others")
	}
	scope := keyScope(params)
	parent := master
	for _, step := range []uint32{scope.Purpose, scope.Coin} {
		parent, err = parent.Derive(hdkeychain.HardenedKeyStart + step)
		if err != nil || parent.IsAffectedByIssue172() {
			master.Zero()
			return nil, errNonstandard
		}
		defer parent.Zero()
	}
	return &masterKey{master, params}, nil
}

func (m *masterKey) wipe() { m.key.Zero() }
