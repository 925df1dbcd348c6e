package headers

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// ErrLittleWork is wrapped when a chain has less work than the network's true chain is known to
// have.
var ErrLittleWork = errors.New("too little work")

// minimumWork is the least work of the true chain of each public network: the defaults of
// -minimumchainwork in Bitcoin Knots 29.4.3 (bitcoind -help-debug; nMinimumChainWork in Bitcoin
// Core's src/kernel/chainparams.cpp). Every file that this program has ever written has more, so
// there is no need to raise these numbers. Raising them would refuse files that were archived with
// the proofs that they verify. Private networks have no minimum.
var minimumWork = map[wire.BitcoinNet]*big.Int{
	chaincfg.MainNetParams.Net:  hexInt("13e00277374c9f9eeadc70200"),
	chaincfg.TestNet4Params.Net: hexInt("1d6dce8651b6094e4c1"),
	chaincfg.SigNetParams.Net:   hexInt("2b517f3d1a1"),
}

func hexInt(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("headers: not a hexadecimal number: " + s)
	}
	return n
}

// Enough returns an error if the chain has less work than the network's true chain is known to
// have: the chain is old, or was made cheaply.
func (c *Chain) Enough() error {
	least := minimumWork[c.params.Net]
	if c.height < 0 {
		return errors.New("there are no headers")
	}
	if least == nil || c.work.Cmp(least) >= 0 {
		return nil
	}
	percent := new(big.Int).Div(new(big.Int).Mul(c.work, big.NewInt(100)), least)
	return fmt.Errorf("%w: the headers up to block %d have %d %% of the work that the true chain of %s had in 2026: they are old, not downloaded to the end, or a forgery",
		ErrLittleWork, c.height, percent, c.params.Name)
}
