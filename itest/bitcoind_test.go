package itest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ancre/internal/datadir"
	"ancre/itest/harness"
	"ancre/rpc"
)

// headersTell are the members of bitcoind's answers that can be computed from block headers. Our
// answers must have them where bitcoind's have. Other members need a full node (nTx, size_on_disk),
// or only one kind of node has them.
var headersTell = []string{
	"hash", "confirmations", "height", "version", "versionHex", "merkleroot", "time", "mediantime", "nonce", "bits", "difficulty",
	"previousblockhash", "nextblockhash",
	"chain", "blocks", "headers", "bestblockhash", "verificationprogress", "initialblockdownload", "pruned", "warnings",
}

// Programs that were written for bitcoind get what they would get from it. Of the same chain our
// answers are the same, member by member. Where bitcoind refuses, we refuse with the same code and
// HTTP status.
func TestBitcoindsCallsAnswerAsBitcoindDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	w := newWorld(t, "bitcoind")
	w.start()
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
	stale, err := w.node.HashAt(w.ctx, 101)
	w.must(err)
	w.must(w.node.Reorg(w.ctx, 1))
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
	hash := w.hash
	const unknown = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f" // mainnet's genesis block
	const tip = 102

	type params = []any
	for _, c := range []callOfBitcoind{
		{method: "getblockcount"},
		{method: "getbestblockhash"},
		{method: "getblockchaininfo"},
		{method: "getblockhash", params: params{0}},
		{method: "getblockhash", params: params{1}},
		{method: "getblockhash", params: params{tip}},
		{method: "getblockheader", params: params{hash(0)}},
		{method: "getblockheader", params: params{hash(0), false}},
		{method: "getblockheader", params: params{hash(50)}},
		{method: "getblockheader", params: params{hash(50), nil}},
		{method: "getblockheader", params: params{hash(50), true}},
		{method: "getblockheader", params: params{hash(50), false}},
		{method: "getblockheader", params: params{strings.ToUpper(hash(50)), false}},
		{method: "getblockheader", params: params{hash(tip)}},
		{method: "getblockheader", params: params{hash(tip), false}},
		{method: "getblockheader", params: params{stale.String()}, not: "a light client forgets the blocks that were replaced", code: rpc.CodeNotFound},

		{method: "getblockhash", params: params{tip + 1}},
		{method: "getblockhash", params: params{math.MaxInt32}},
		{method: "getblockheader", params: params{unknown}},
		{method: "getblockheader", params: params{unknown, false}},
		{method: "getblockhash", params: params{-1}, not: "the message says what is allowed", code: rpc.CodeInvalidParameter},
		{method: "getblockheader", params: params{"0f91"}, not: "the message names the parameter", code: rpc.CodeInvalidParameter},
		{method: "getblockheader", params: params{"z" + unknown[1:]}, not: "the message names the parameter", code: rpc.CodeInvalidParameter},
		{method: "getblockhash", params: params{"0"}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockhash", params: params{true}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockhash", params: params{params{0}}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockheader", params: params{5}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockheader", params: params{hash(50), 0}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockheader", params: params{hash(50), 1}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockheader", params: params{hash(50), "false"}, not: "the message is in words", code: rpc.CodeType},
		{method: "getblockhash", not: "the message is one line", code: rpc.CodeMisc},
		{method: "getblockheader", not: "the message is one line", code: rpc.CodeMisc},
		{method: "getblockhash", params: params{0, 1}, not: "the message is one line", code: rpc.CodeMisc},
		{method: "getblockcount", params: params{1}, not: "the message is one line", code: rpc.CodeMisc},
		{method: "getblockchaininfo", params: params{1}, not: "the message is one line", code: rpc.CodeMisc},
	} {
		asked, err := json.Marshal(c.params)
		w.must(err)
		t.Run(fmt.Sprintf("%s %s", c.method, asked), func(t *testing.T) { w.in(t).compare(c) })
	}
	t.Run("bitcoin-cli", func(t *testing.T) { w.in(t).askWithBitcoinCLI() })
}

// askWithBitcoinCLI calls our daemon with bitcoind's command line. It writes the parameters of our
// methods as strings, because it does not know them.
func (w *world) askWithBitcoinCLI() {
	w.Helper()
	bitcoind, err := harness.FindBitcoind()
	w.must(err)
	cli := filepath.Join(filepath.Dir(bitcoind), "bitcoin-cli")
	if _, err := os.Stat(cli); err != nil {
		w.Skip("bitcoin-cli is not beside bitcoind")
	}
	host, port, err := net.SplitHostPort(w.daemon.Addr())
	w.must(err)
	digest := randomDigest()
	for _, c := range []struct {
		args []string
		want string // in its output
	}{
		{[]string{"-getinfo"}, "Blocks: 102"},
		{[]string{"submitbatch", `["` + digest + `"]`}, `"digest": "` + digest + `"`},
		{[]string{"getstatus", digest}, `"state": "open"`},
		{[]string{"getbatch", "1"}, `"digests": 1`},
		{[]string{"-named", "getbatch", "id=1"}, `"digests": 1`},
		{[]string{"listbatches", "0", "5"}, `"id": 1`},
		{[]string{"getblockheader", w.hash(0), "false"}, "0100000000"},
		{[]string{"getblockhash", "0"}, w.hash(0)},
		{[]string{"help", "getbatch"}, "Returns one batch."},
	} {
		cmd := exec.CommandContext(w.ctx, cli, append([]string{"-regtest", "-datadir=" + w.TempDir(), "-rpcconnect=" + host, "-rpcport=" + port,
			"-rpccookiefile=" + filepath.Join(w.daemon.NetDir(), datadir.Cookie)}, c.args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			w.Errorf("bitcoin-cli %q: %v, %s; want %s", c.args, err, out, c.want)
		}
	}
}

// hash returns the hash of the node's block at a height.
func (w *world) hash(height int32) string {
	w.Helper()
	h, err := w.node.HashAt(w.ctx, height)
	w.must(err)
	return h.String()
}

// callOfBitcoind is a call that bitcoind and our daemon both know.
type callOfBitcoind struct {
	method string
	params []any
	not    string // why we refuse with another code or message than bitcoind; "": we do not
	code   int    // ours then
}

// compare makes a call at the daemon and at the node, and wants the same answer or refusal.
func (w *world) compare(c callOfBitcoind) {
	w.Helper()
	var ours, theirs any
	ourErr := w.daemon.Call(w.ctx, &ours, c.method, c.params...)
	theirErr := w.node.Call(w.ctx, &theirs, c.method, c.params...)
	refused, as := refusal(ourErr), refusal(theirErr)
	switch {
	case c.not == "" && theirErr == nil:
		w.must(ourErr)
		wantAnswerOfBitcoind(w.T, ours, theirs)
	case refused == nil:
		w.Errorf("got %v and %v, want to be refused as by bitcoind: %v", ours, ourErr, theirErr)
	case c.not == "":
		if as == nil || refused.Code != as.Code || refused.Status != as.Status || !strings.HasPrefix(refused.Message, as.Message) {
			w.Errorf("refused with %+v, and by bitcoind with %+v", refused, as)
		}
	case refused.Code != c.code:
		w.Errorf("refused with %+v, want code %d", refused, c.code)
	case as != nil && (refused.Code != as.Code || refused.Status != as.Status):
		w.Errorf("refused with %+v, and by bitcoind with %+v; the table only says that %s", refused, as, c.not)
	case as != nil && strings.HasPrefix(refused.Message, as.Message):
		w.Errorf("both say %q: there is no such difference (%s)", as.Message, c.not)
	}
}

// refusal is the error object in the answer to a call, or nil.
func refusal(err error) (refused *harness.RPCError) {
	errors.As(err, &refused)
	return refused
}

// wantAnswerOfBitcoind wants equal answers. If they are objects, each of our members must be in
// bitcoind's with the same value, and we must have all of headersTell.
func wantAnswerOfBitcoind(t *testing.T, ours, theirs any) {
	t.Helper()
	their, isObject := theirs.(map[string]any)
	our, _ := ours.(map[string]any)
	if !isObject {
		if ours != theirs {
			t.Errorf("got %v, and from bitcoind %v", ours, theirs)
		}
		return
	}
	for _, name := range headersTell {
		value, told := their[name]
		if _, ok := our[name]; told && !ok {
			t.Errorf("no member %q; bitcoind says %v", name, value)
		}
	}
	for name, value := range our {
		want, ok := their[name]
		switch a, number := value.(float64); {
		case name == "pruned":
			want = true // the blocks are elsewhere, as with a pruned node
		case name == "warnings":
			want, value = reflect.TypeOf(want), reflect.TypeOf(value)
		case number && ok:
			if b, _ := want.(float64); math.Abs(a-b) <= 1e-15*math.Abs(b) {
				want = value // bitcoind writes 16 digits
			}
		}
		if !reflect.DeepEqual(value, want) {
			t.Errorf("%s is %v, and bitcoind says %v", name, value, want)
		}
	}
}
