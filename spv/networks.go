package spv

import (
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// Networks returns the names that [Params] knows.
func Networks() []string { return []string{"mainnet", "testnet4", "signet", "regtest", "simnet"} }

// Params returns the rules of the network with this name.
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

// isDevelopment reports whether the network is one that a developer runs alone. Peers cannot be
// discovered there, and its chain may stand still for days.
func isDevelopment(p *chaincfg.Params) bool {
	return p.Net == chaincfg.RegressionNetParams.Net || p.Net == chaincfg.SimNetParams.Net
}
