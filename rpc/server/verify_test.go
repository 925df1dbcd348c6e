package server

import (
	"context"
	"strings"
	"testing"

	"ancre/rpc"
)

// nodeOf is a node of a network, synced or not.
type nodeOf struct {
	network string
	synced  bool
}

func (n nodeOf) TestNotify(context.Context) (rpc.NotifyTest, error) { return rpc.NotifyTest{}, nil }

func (n nodeOf) Info(context.Context) (rpc.Info, error) {
	return rpc.Info{Network: n.network, Chain: rpc.ChainInfo{Synced: n.synced, Height: 19, TargetHeight: 1000}}, nil
}

// A proof that this node cannot check is not a false one: the answer says which it is, and what is
// needed.
func TestVerifyProofTellsWhatItCannotCheckFromWhatIsFalse(t *testing.T) {
	r := newRig(t)
	c, err := rpc.NewClient(r.http.URL, string(rpc.RoleAdmin), r.pass[rpc.RoleAdmin])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	root := r.chain[7].MerkleRoot
	const magic = "\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
	const block = "\x00\x05\x88\x96\x0d\x73\xd7\x19\x01\x01"
	header := magic + "\x01\x08" + string(root[:])
	for name, v := range map[string]struct {
		node           nodeOf
		ots            string
		result, needed string
	}{
		"a block above the tip":                {nodeOf{"regtest", true}, header + block + "\x63", "unverifiable", "block headers up to block 99"},
		"a block above the tip, while syncing": {nodeOf{"regtest", false}, header + block + "\x63", "unverifiable", "still syncing (block 19 of 1000)"},
		"a block that may be there by now":     {nodeOf{"mainnet", true}, header + block + "\x15", "unverifiable", "block headers up to block 21"},
		"a block that nobody can have mined":   {nodeOf{"mainnet", true}, header + "\x00\x05\x88\x96\x0d\x73\xd7\x19\x01\x04\x80\x80\x80\x10", "invalid", ""},
		"a later version of the format":        {nodeOf{"mainnet", true}, magic + "\x02\x08" + string(root[:]) + block + "\x07", "unverifiable", "a newer version"},
		"an unknown operation":                 {nodeOf{"mainnet", true}, header + "\x09" + block + "\x07", "unverifiable", "a newer version"},
		"an unknown kind of hash":              {nodeOf{"mainnet", true}, magic + "\x01\x09" + string(root[:]) + block + "\x07", "unverifiable", "a newer version"},
		"Litecoin alone":                       {nodeOf{"mainnet", true}, header + "\x00\x06\x86\x9a\x0d\x73\xd7\x1b\x45\x01\x07", "unverifiable", "Litecoin"},
		"another block":                        {nodeOf{"mainnet", true}, header + block + "\x08", "invalid", ""},
		"a proof that is cut short":            {nodeOf{"mainnet", true}, header + block, "invalid", ""},
	} {
		r.server.Provide(Services{Batcher: r.batcher, Chain: r.chain, Wallet: r.wallet, Node: v.node})
		got, err := c.VerifyProof(t.Context(), root[:], []byte(v.ots))
		if err != nil || got.Result != v.result || got.Reason == "" || !strings.Contains(got.Needed, v.needed) || (got.Needed != "") != (v.result == "unverifiable") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
