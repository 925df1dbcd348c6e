package rpc

import "testing"

func TestANetworkHasOneName(t *testing.T) {
	for chain, want := range map[string]string{"main": "mainnet", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"} {
		if got := (BlockchainInfo{Chain: chain}).Network(); got != want {
			t.Errorf("the chain %q is the network %q, want %q", chain, got, want)
		}
	}
}
