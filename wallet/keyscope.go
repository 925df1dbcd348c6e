package wallet

import (
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcwallet/waddrmgr"
)

// BIP84 derives m/84'/0' on mainnet and m/84'/1' on every other network. btcwallet knows only the
// first: it uses coin 0 on all networks. It follows only addresses of the scopes in its package
// variable DefaultKeyScopes. AccountProperties, which its recovery needs, refuses a default scope
// that is not one of its four named ones. So the second scope takes the name of a scope that this
// wallet never uses (BIP86, taproot). The unused scopes are removed from the list, which also saves
// a recovery three quarters of its work.
//
// This is set once, before anything can run, and is the same on every network. So nothing in the
// process sees it change.
func init() {
	waddrmgr.KeyScopeBIP0086 = waddrmgr.KeyScope{Purpose: 84, Coin: 1}

	p2wpkh := waddrmgr.ScopeAddrSchema{
		ExternalAddrType: waddrmgr.WitnessPubKey,
		InternalAddrType: waddrmgr.WitnessPubKey,
	}
	waddrmgr.DefaultKeyScopes = []waddrmgr.KeyScope{waddrmgr.KeyScopeBIP0084, waddrmgr.KeyScopeBIP0086}
	waddrmgr.ScopeAddrMap = map[waddrmgr.KeyScope]waddrmgr.ScopeAddrSchema{
		waddrmgr.KeyScopeBIP0084: p2wpkh,
		waddrmgr.KeyScopeBIP0086: p2wpkh,
	}
}

// account is the only account that is used: m/84'/coin'/0'.
const account = waddrmgr.DefaultAccountNum

// keyScope returns the scope of this network's keys. By SLIP-44, coin 0 is Bitcoin, and coin 1
// stands for all test networks.
func keyScope(params *chaincfg.Params) waddrmgr.KeyScope {
	if params.Net == chaincfg.MainNetParams.Net {
		return waddrmgr.KeyScopeBIP0084
	}
	return waddrmgr.KeyScope{Purpose: 84, Coin: 1}
}
