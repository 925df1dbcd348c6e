package wallet

import (
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcwallet/waddrmgr"
)

// BIP84 derives m/84'/0' on mainnet and m/84'/1' on every other network. btcwallet knows the first
// alone: it uses coin 0 on all networks, follows no addresses outside of its package variable
// DefaultKeyScopes, and refuses (in AccountProperties, which its recovery needs) a default scope
// that is not one of its named four. So the second takes the name of one that this wallet never
// uses (BIP86, taproot), and the unused ones leave the list, which also spares a recovery three
// quarters of its work.
//
// This is set once, before anything can run, and to the same on every network: nothing in the
// process ever sees it change.
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

// account is the only one that is used: m/84'/coin'/0'.
const account = waddrmgr.DefaultAccountNum

// keyScope returns where this network's keys are (SLIP-44: coin 0 is Bitcoin, coin 1 all test
// networks).
func keyScope(params *chaincfg.Params) waddrmgr.KeyScope {
	if params.Net == chaincfg.MainNetParams.Net {
		return waddrmgr.KeyScopeBIP0084
	}
	return waddrmgr.KeyScope{Purpose: 84, Coin: 1}
}
