package server

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/rpc"

	"github.com/btcsuite/btcd/wire/v2"
)

// promised are the methods that people and scripts rely on: none may disappear.
var promised = []string{
	"submit", "submitbatch", "getproof", "getstatus", "listbatches", "getbatch", "closebatch", "getinfo", "getnewaddress", "getbalance", "listtransactions",
	"sendtoaddress", "createwallet", "unlockwallet", "changepassphrase", "estimatefee", "listanchors", "getanchor", "getblockcount", "getblockhash", "getblockheader",
	"getbestblockhash", "getblockchaininfo", "getnetworkinfo", "verifyproof", "help", "stop", "uptime", "backupdone", "backupfailed",
	"testnotify", "waitchanges",
}

func TestTheTableIsComplete(t *testing.T) {
	var names []string
	sentence := regexp.MustCompile(`(?s)^[A-Zn0].*[.]$`)
	for _, m := range methods() {
		names = append(names, m.Name)
		if m.Name != strings.ToLower(m.Name) || strings.ContainsAny(m.Name, "_- ") {
			t.Errorf("%s: names are lower case, without separators", m.Name)
		}
		if m.Group == "" || m.run == nil {
			t.Errorf("%s: has no group or nothing to run", m.Name)
		}
		if !sentence.MatchString(m.About) || !sentence.MatchString(m.Result) {
			t.Errorf("%s: about and result are sentences: %q, %q", m.Name, m.About, m.Result)
		}
		if _, err := parseParams(&m, []byte(m.Example)); err != nil {
			t.Errorf("%s: its example %s is refused: %v", m.Name, m.Example, err)
		}
		optional := false
		for _, p := range m.Params {
			if p.Name == "" || p.About == "" {
				t.Errorf("%s: a parameter without a name or an explanation: %+v", m.Name, p)
			}
			if optional && !p.Optional {
				t.Errorf("%s: the required parameter %s follows an optional one", m.Name, p.Name)
			}
			optional = p.Optional
			if p.Kind == rpc.KindInteger && p.Max <= p.Min {
				t.Errorf("%s: %s has no range", m.Name, p.Name)
			}
			if p.Default != "" {
				if err := parseParam(&p, p.JSON(p.Default), new(arg)); err != nil || !p.Optional {
					t.Errorf("%s: the default of %s is refused: %v", m.Name, p.Name, err)
				}
			}
		}
	}
	want := slices.Sorted(slices.Values(promised))
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("the table has\n%q\nwant\n%q", names, want)
	}
}

// goodCalls are two ways to call each method with all its parameters, and a regular expression of
// the result.
func goodCalls(r *rig) map[string][3]string {
	digest := `"` + someDigest + `"`
	block := `"` + r.chain[3].BlockHash().String() + `"`
	raw, _ := r.batcher.Pending(batcher.Status{Digest: [32]byte(mustHex(someDigest))})
	ots := `"` + base64.StdEncoding.EncodeToString(raw) + `"`
	entry := `"digest":"` + someDigest + `","state":"open","batch":1,"index":0`
	return map[string][3]string{
		"submit":            {`[` + digest + `]`, `{"digest":` + digest + `}`, `^\{` + entry + `,"proof":"AE9wZW5[^"]+"\}$`},
		"submitbatch":       {`[[` + digest + `]]`, `{"digests":[` + digest + `]}`, `^\[\{` + entry + `,"proof":"AE9wZW5[^"]+"\}\]$`},
		"getstatus":         {`[` + digest + `]`, `{"digest":` + digest + `}`, `^\{` + entry + `\}$`},
		"getproof":          {`[` + digest + `,"ots"]`, `{"format":"ots","digest":` + digest + `}`, `^\{` + entry + `,"proof":` + ots + `,"format":"ots","complete":false\}$`},
		"verifyproof":       {`[` + digest + `,` + ots + `]`, `{"digest":` + digest + `,"proof":` + ots + `}`, `^\{"result":"pending","reason":".+"\}$`},
		"waitchanges":       {`["",0,5]`, `{"limit":5,"cursor":"","timeout":0}`, `^\{"changes":\[\{"batch":1,"state":"final","anchor":1,"height":100,"blockhash":"0{62}01"\}\],"cursor":"1"\}$`},
		"listbatches":       {`[0,5]`, `{"before":0,"limit":5}`, `^\[\{"id":1,"state":"open","digests":1,"opened":"2026-01-02T03:04:05.0000006Z","closes":"2026-01-02T04:04:05.0000006Z"\}\]$`},
		"getbatch":          {`[1]`, `{"id":1}`, `^\{"id":1,"state":"open","digests":1,`},
		"closebatch":        {`[]`, `{}`, `^(null|\{"id":1,"state":"sealed","digests":1,"opened":"[^"]+","closed":"[^"]+","root":"01(00){31}"\})$`},
		"listanchors":       {`[0,5]`, `{"before":0,"limit":5}`, `^\[\{"id":1,"state":"mined","batches":\[1\].*"fee_sats":369,"height":18,.*"vsize":153,"sat_per_vbyte":2.41,"created":"[^"]+"\},\{[^}]*\}\]\}\]$`},
		"getanchor":         {`[1]`, `{"id":1}`, `^\{"id":1,"state":"mined",.*"hex":"02000000000101`},
		"createwallet":      {`["a b","one two","2026-01-31"]`, `{"passphrase":"a b","birthday":"2026-01-31T00:00:00Z","words":" one  two "}`, `^\{"words":\["abandon","zoo"\],"restored":false,"address":"bcrt1qq"\}$`},
		"unlockwallet":      {`["a b"]`, `{"passphrase":"a b"}`, `^null$`},
		"changepassphrase":  {`["a b","c d"]`, `{"new_passphrase":"c d","old_passphrase":"a b","passphrase_encoding":"text"}`, `^\{"unlock_file":"/pass","credential":false,"update_file":true\}$`},
		"getnewaddress":     {`[]`, `{"verbose":true}`, `^("bcrt1qq"|\{"address":"bcrt1qq",.*"deposit_sats":50000,"deposit_days":81\})$`},
		"getbalance":        {`[]`, `{}`, `^\{"confirmed_sats":3,"pending_sats":2,"spendable_sats":1,"anchor_sats":153,"anchors_per_day":1.63,"anchors_left":4,"days_left":5,"deposit_sats":20000,"deposit_days":80\}$`},
		"listtransactions":  {`[5,1]`, `{"skip":1,"count":5}`, `^\[\]$`},
		"sendtoaddress":     {`["bcrt1qq",50000,7]`, `{"address":"bcrt1qq","amount_sats":"all","fee_rate":7,"verbose":true,"dry_run":true}`, `^("(ab){32}"|\{"amount_sats":-1,"fee_sats":141,.*\})$`},
		"estimatefee":       {`[]`, `{}`, `^\{"sat_per_vbyte":3,"anchor_sats":459,"floor_sat_per_vbyte":1,"floor_peers":0,"blocks":\[\],"next_anchor":\[\]\}$`},
		"getblockcount":     {`[]`, `{}`, `^19$`},
		"getbestblockhash":  {`[]`, `{}`, `^"` + r.chain[19].BlockHash().String() + `"$`},
		"getblockhash":      {`[3]`, `{"height":3}`, `^` + block + `$`},
		"getblockheader":    {`[` + block + `,true]`, `{"verbose":true,"blockhash":` + block + `}`, `^\{"hash":` + block + `,"confirmations":17,"height":3,"version":536870912,"versionHex":"20000000",.*"nextblockhash":"`},
		"getblockchaininfo": {`[]`, `{}`, `^\{"chain":"regtest","blocks":19,.*"pruned":true,"warnings":\[\]\}$`},
		"getnetworkinfo":    {`[]`, `{}`, `^\{"version":100,"subversion":"/ancred:0.1/",.*"connections":0,"connections_in":0,.*"networks":\[\],"relayfee":0.00001,.*"warnings":\[\]\}$`},
		"testnotify":        {`[]`, `{}`, `^\{"ok":false,"program":"/bin/mail","seconds":1.5,"output":"550 no","error":"exit status 1"\}$`},
		"getinfo":           {`[]`, `{}`, `^\{"version":"0.1","network":"regtest",.*"peers":\[\].*"warning_details":\[\],"warnings":\[\]\}$`},
		"backupdone":        {`["2026-01-31",3,"a",true,false]`, `{"digests":3,"taken":"2026-01-31T00:00:00Z","file":"a","rehearsed":true,"copied":false}`, `^null$`},
		"backupfailed":      {`["no space"]`, `{"reason":"no space"}`, `^null$`},
		"help":              {`["submit"]`, `{"method":"submit"}`, `^"submit \\"digest\\"\\n\\nAccepts one digest`},
		"stop":              {`[]`, `{}`, `^"ancred stopping"$`},
		"uptime":            {`[]`, `{}`, `^\d+$`},
	}
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// withAnchor gives the batcher one mined anchor of two versions.
func (r *rig) withAnchor() {
	version := func(fee int64) store.Version {
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(&wire.TxIn{Sequence: 0xfffffffd, Witness: wire.TxWitness{make([]byte, 72), make([]byte, 33)}})
		tx.AddTxOut(wire.NewTxOut(0, make([]byte, 34)))
		tx.AddTxOut(wire.NewTxOut(fee, make([]byte, 22)))
		return store.Version{Tx: tx, Batches: []uint64{1}, FeeSats: fee, Created: testTime}
	}
	r.batcher.anchors = []batcher.AnchorStatus{{Confirmations: 2, Anchor: store.Anchor{ID: 1, State: store.Mined, Created: testTime,
		Versions: []store.Version{version(369), version(500)},
		Block:    &store.Block{Height: 18, Hash: r.chain[18].BlockHash(), Version: 0},
	}}}
}

func TestEachVersionOfAnAnchorSaysWhatItIs(t *testing.T) {
	r := newRig(t)
	r.withAnchor()
	for _, c := range []struct {
		state store.AnchorState
		block bool
		mined int // index of the version in the block
		want  []string
		fee   int64 // the anchor's own
	}{
		{store.Broadcast, false, 0, []string{rpc.VersionReplaced, rpc.VersionNewest}, 500},
		{store.Mined, true, 0, []string{rpc.VersionMined, rpc.VersionReplaced}, 369},
		{store.Final, true, 1, []string{rpc.VersionReplaced, rpc.VersionMined}, 500},
		{store.Spent, true, 0, []string{rpc.VersionReplaced, rpc.VersionNewest}, 500}, // the block is that of another transaction
		{store.Dead, true, 0, []string{rpc.VersionReplaced, rpc.VersionNewest}, 500},
	} {
		st := r.batcher.anchors[0]
		st.Anchor.State, st.Anchor.Block = c.state, nil
		if c.block {
			st.Anchor.Block = &store.Block{Height: 18, Version: c.mined}
		}
		a := anchorOf(&st, false)
		got := []string{a.Versions[0].State, a.Versions[1].State}
		if !slices.Equal(got, c.want) || a.FeeSats != c.fee || a.TxID != a.Versions[slices.IndexFunc(got, func(s string) bool { return s != rpc.VersionReplaced })].TxID {
			t.Errorf("%s, version %d in the block: %q, want %q; fee %d, want %d", c.state, c.mined, got, c.want, a.FeeSats, c.fee)
		}
	}
}

func TestEveryMethodWorksByPositionAndByName(t *testing.T) {
	r := newRig(t)
	r.withAnchor()
	calls := goodCalls(r)
	for _, m := range methods() { // in the order of the table: submit comes first
		good, ok := calls[m.Name]
		if !ok {
			t.Errorf("%s is not called here", m.Name)
			continue
		}
		for _, params := range good[:2] {
			result, err := r.call(t, rpc.RoleAdmin, m.Name, params)
			if err != nil {
				t.Errorf("%s %s: %v", m.Name, params, err)
			} else if !regexp.MustCompile(good[2]).Match(result) {
				t.Errorf("%s %s answers\n%s\nwant\n%s", m.Name, params, result, good[2])
			}
		}
	}
	select {
	case <-r.stopped:
	default:
		t.Error("stop did not call Stop")
	}
}

// TestEveryParameterIsUsed runs the handlers and checks that they read every parameter that is
// documented.
func TestEveryParameterIsUsed(t *testing.T) {
	r := newRig(t)
	r.withAnchor()
	calls := goodCalls(r)
	for _, m := range r.server.table {
		a, refused := parseParams(&m, []byte(calls[m.Name][0]))
		if refused != nil {
			t.Fatal(refused)
		}
		c := &call{ctx: t.Context(), server: r.server, Services: r.server.services.Load(), method: &m, args: a}
		result, err := m.run(c)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		if write, ok := result.(resultWriter); ok {
			if _, err := write(nil); err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
		}
		for i, p := range m.Params {
			if !a.values[i].set || !a.values[i].read {
				t.Errorf("%s: parameter %s: given %v, asked for %v", m.Name, p.Name, a.values[i].set, a.values[i].read)
			}
		}
	}
}

func TestParametersReachTheWallet(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, params, want string }{
		{"createwallet", `["a b"]`, "create a b [] 0001-01-01"},
		{"createwallet", `["a b"," one\ttwo ","2026-01-31T23:00:00-02:00"]`, "create a b [one two] 2026-01-31"},
		{"createwallet", `["a b",null,null]`, "create a b [] 0001-01-01"},
		{"unlockwallet", `["a b"]`, "unlock a b"},
		{"listtransactions", `[]`, "transactions 10 0"},
		{"listtransactions", `[null,3]`, "transactions 10 3"},
		{"sendtoaddress", `["x",1]`, "send x 1 0"},
		{"sendtoaddress", `["x","all"]`, "send x -1 0"},
		{"sendtoaddress", `{"fee_rate":9,"amount_sats":2100000000000000,"address":"x"}`, "send x 2100000000000000 9"},
	} {
		if _, err := r.call(t, rpc.RoleAdmin, c.method, c.params); err != nil || r.wallet.asked != c.want {
			t.Errorf("%s %s: the wallet was asked %q, want %q; %v", c.method, c.params, r.wallet.asked, c.want, err)
		}
	}
}

func TestHelpTellsEverything(t *testing.T) {
	r := newRig(t)
	var list string
	result, err := r.call(t, rpc.RoleRead, "help", `[]`)
	if err != nil || json.Unmarshal(result, &list) != nil {
		t.Fatal(err)
	}
	for _, m := range methods() {
		if !strings.Contains("\n"+list+"\n", "\n"+m.usage()+"\n") {
			t.Errorf("the list lacks %q", m.usage())
		}
		var text string
		result, err := r.call(t, rpc.RoleSubmit, "help", fmt.Sprintf(`[%q]`, m.Name))
		if err != nil || json.Unmarshal(result, &text) != nil {
			t.Fatal(err)
		}
		want := []string{m.usage(), m.About, m.Result, m.Roles.AnyOf(), "> ancre rpc " + m.Name, `"params": ` + m.Example}
		for _, p := range m.Params {
			want = append(want, p.Name+"    ("+p.Kind.String(), p.About)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("help %s lacks %q:\n%s", m.Name, w, text)
			}
		}
	}
	if want := "== Digests and proofs ==\nsubmit \"digest\"\nsubmitbatch [\"digest\",...]\n"; !strings.HasPrefix(list, want) {
		t.Errorf("the list begins\n%s\nwant\n%s", list, want)
	}
	if strings.Count(list, "==\n") != 5 {
		t.Errorf("the list has a heading twice:\n%s", list)
	}
	if _, err := r.call(t, rpc.RoleRead, "help", `["get-status"]`); err == nil || !strings.Contains(err.Message, "did you mean getstatus?") {
		t.Errorf("help get-status: %v", err)
	}
}

func TestEachRoleMayCallWhatItIsForAndNothingElse(t *testing.T) {
	r := newRig(t)
	r.withAnchor()
	calls := goodCalls(r)
	may := map[rpc.Role]string{
		rpc.RoleSubmit: "submit submitbatch getstatus getproof waitchanges help verifyproof getblockcount getbestblockhash getblockhash getblockheader getblockchaininfo getnetworkinfo",
		rpc.RoleVerify: "verifyproof getblockcount getbestblockhash getblockhash getblockheader getblockchaininfo getnetworkinfo help",
		rpc.RoleRead: "getstatus getproof waitchanges verifyproof listbatches getbatch listanchors getanchor getbalance listtransactions estimatefee getblockcount " +
			"getbestblockhash getblockhash getblockheader getblockchaininfo getnetworkinfo getinfo help uptime",
		rpc.RoleAdmin: strings.Join(promised, " "),
	}
	r.post(t, rpc.RoleAdmin, `{"method":"submit","params":["`+someDigest+`"]}`)
	for role, allowed := range may {
		for _, m := range methods() {
			for _, version := range []string{"1.0", "2.0"} {
				status, answer := r.post(t, role, fmt.Sprintf(`{"jsonrpc":%q,"id":1,"method":%q,"params":%s}`, version, m.Name, calls[m.Name][0]))
				if slices.Contains(strings.Fields(allowed), m.Name) {
					if status != 200 || strings.Contains(answer, `"code"`) {
						t.Errorf("%s may not call %s: %d %s", role, m.Name, status, answer)
					}
					continue
				}
				want := fmt.Sprintf(`{"code":-2,"message":"%s is for the role %s; the user %s has the role %s"}`, m.Name, m.Roles.AnyOf(), role, role)
				if status != 403 || !strings.Contains(answer, want) {
					t.Errorf("%s calls %s: %d %s\nwant 403 and %s", role, m.Name, status, answer, want)
				}
			}
		}
	}
}

// A string that holds a number or an array is taken for it: bitcoin-cli writes all parameters of
// methods that it does not know as strings.
func TestAStringMayHoldTheValue(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, plain, quoted string }{
		{"submitbatch", `[["` + someDigest + `"]]`, `["[\"` + someDigest + `\"]"]`},
		{"submitbatch", `{"digests":["` + someDigest + `"]}`, `{"digests":" [ \"` + someDigest + `\" ] "}`},
		{"getbatch", `[1]`, `["1"]`},
		{"listbatches", `[0,5]`, `["0","5"]`},
		{"sendtoaddress", `["bcrt1qq",50000,7]`, `["bcrt1qq","50000","7"]`},
	} {
		want, err := r.call(t, rpc.RoleAdmin, c.method, c.plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.call(t, rpc.RoleAdmin, c.method, c.quoted); err != nil || string(got) != string(want) {
			t.Errorf("%s %s: %s, %v; want the answer to %s: %s", c.method, c.quoted, got, err, c.plain, want)
		}
	}
}

// warnedNode is a node with a warning.
type warnedNode struct{ fixedNode }

func (n warnedNode) Info(ctx context.Context) (rpc.Info, error) {
	info, err := n.fixedNode.Info(ctx)
	info.Warnings = []string{"the wallet holds 3 sat"}
	return info, err
}

func TestWarningsAreForWhoMayRead(t *testing.T) {
	r := newRig(t)
	r.server.Provide(Services{Batcher: r.batcher, Chain: r.chain, Wallet: r.wallet, Node: warnedNode{}})
	for _, method := range []string{"getblockchaininfo", "getnetworkinfo"} {
		for role, want := range map[rpc.Role]string{rpc.RoleSubmit: `"warnings":[]`, rpc.RoleVerify: `"warnings":[]`,
			rpc.RoleRead: `"warnings":["the wallet holds 3 sat"]`, rpc.RoleAdmin: `"warnings":["the wallet holds 3 sat"]`} {
			if got, err := r.call(t, role, method, `[]`); err != nil || !strings.Contains(string(got), want) {
				t.Errorf("%s as %s: %s, %v; want %s", method, role, got, err, want)
			}
		}
	}
}

func TestVersionsAreNumberedAsBitcoindDoes(t *testing.T) {
	for version, want := range map[string]int{"0.2.0": 200, "1.12.3": 11203, "0.2.0+0123456789ab.modified": 200, "": 0} {
		if got := versionNumber(version); got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
}
