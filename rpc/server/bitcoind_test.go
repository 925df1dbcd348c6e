package server

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"ancre/rpc"
)

// stricter are the requests whose answer differs from bitcoind's on purpose: our code (0: only the
// spelling differs), and why.
var stricter = map[string]struct {
	code int
	why  string
}{
	`{"jsonrpc":"3.0","method":"getblockcount","id":7}`:       {rpc.CodeInvalidRequest, "there is no version 3.0"},
	`{"jsonrpc":2,"method":"getblockcount","id":7}`:           {rpc.CodeInvalidRequest, "the version is a string"},
	`{"jsonrpc":"1.5","method":"getblockcount","id":1}`:       {rpc.CodeInvalidRequest, "there is no version 1.5"},
	`{"method":"getblockcount","id":1,"id":2}`:                {rpc.CodeInvalidRequest, "duplicate members are refused"},
	`{"method":"getblockhash","id":1,"params":[0.5]}`:         {rpc.CodeType, "the type is wrong, so the code says type"},
	`{"method":"getblockhash","id":1,"params":[99999999999]}`: {rpc.CodeInvalidParameter, "out of range as any other height"},
	`{"method":"getblockhash","id":1,"params":[]}`:            {rpc.CodeMisc, "the message is one line"},
	`{"method":"getblockhash","id":1,"params":[0,1]}`:         {rpc.CodeMisc, "the message is one line"},
	`{"method":"getblockcount","id":1,"params":[5]}`:          {rpc.CodeMisc, "the message is one line"},
	`{"method":"getblockhash","id":1,"params":{"args":[0]}}`:  {rpc.CodeInvalidParameter, "no args member inside named parameters"},
	`{"method":"getblockcount","id":"\u00e9\"\\ü"}`:           {0, "an id is given back as it came, escapes and all"},
	`[{"method":"getblockcount","id":1},{"jsonrpc":"2.0","method":"getblockcount","id":2},{"method":"nope","id":3},{"jsonrpc":"2.0","method":"nope","id":4},` +
		`{"jsonrpc":"2.0","method":"getblockcount"},7]`: {0, "bitcoind takes what is no call for a notification when it follows one; we answer it"},
	`{"Method":"getblockcount","id":1}`:                    {rpc.CodeInvalidRequest, "the message says how to write it"},
	`{"method":"getblockheader","id":1,"params":["0f91"]}`: {rpc.CodeInvalidParameter, "the message names our parameter"},
	`{"method":"getblockhash","id":1,"params":[-1]}`:       {rpc.CodeInvalidParameter, "the message names what is allowed"},
	`[]`: {rpc.CodeInvalidRequest, "JSON-RPC 2.0 makes it an error"},
	`{"method":"getblockhash","id":1,"params":["0"]}`:                                                                    {rpc.CodeType, "another message"},
	`{"method":"getblockheader","id":1,"params":[5]}`:                                                                    {rpc.CodeType, "another message"},
	`{"method":"getblockheader","id":1,"params":["zz9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2207"]}`:   {rpc.CodeInvalidParameter, "the message names our parameter"},
	`{"method":"getblockheader","id":1,"params":["0F9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",1]}`: {rpc.CodeType, "another message"},
}

// TestAnswersAreThoseOfBitcoind sends the requests that bitcoind 29 was sent on a new regtest
// chain. The HTTP status and the bytes of the answer must be the same, with two exceptions: our
// message may go on after bitcoind's, and our object may have fewer members.
func TestAnswersAreThoseOfBitcoind(t *testing.T) {
	f, err := os.Open("testdata/bitcoind.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := newRig(t)
	r.server.Provide(Services{Batcher: r.batcher, Chain: newChain(1), Wallet: r.wallet, Node: fixedNode{}})
	met := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var v struct {
			Request, Answer string
			Status          int
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		t.Run(v.Request, func(t *testing.T) {
			status, answer := r.post(t, rpc.RoleAdmin, v.Request)
			if s, ok := stricter[v.Request]; ok {
				met++
				if s.code == 0 && status == v.Status {
					return
				}
				var a struct{ Error rpc.Error }
				if err := json.Unmarshal([]byte(answer), &a); err != nil || a.Error.Code != s.code {
					t.Errorf("got %d %s\nwant code %d: %s", status, answer, s.code, s.why)
				}
				return
			}
			want := strings.TrimSuffix(v.Answer, "\n")
			if status != v.Status {
				t.Errorf("status %d, bitcoind's is %d", status, v.Status)
			}
			if !sameAnswer(answer, want) {
				t.Errorf("got\n%s\nbitcoind answers\n%s", answer, want)
			}
		})
	}
	if met != len(stricter) {
		t.Errorf("%d of %d listed differences were met: the list is stale", met, len(stricter))
	}
}

// sameAnswer compares byte for byte, except the end of messages and members that only a full node
// has.
func sameAnswer(got, want string) bool {
	if got == want {
		return true
	}
	const message = `"message":"`
	if _, b, ok := strings.Cut(want, message); ok {
		text, _, _ := strings.Cut(b, `"`)
		i := strings.Index(got, message+text)
		if i < 0 {
			return false
		}
		// Our message goes on to its closing quote.
		end := i + len(message)
		for ; got[end] != '"'; end++ {
			if got[end] == '\\' {
				end++
			}
		}
		head := i + len(message) + len(text)
		if head >= len(want) || got[:head] != want[:head] {
			return false
		}
		return sameAnswer(got[end:], want[head:])
	}
	var g, w struct{ Result map[string]any }
	if json.Unmarshal([]byte(got), &g) != nil || json.Unmarshal([]byte(want), &w) != nil || len(g.Result) == 0 {
		return false
	}
	for name, value := range g.Result {
		a, ok1 := value.(float64)
		b, ok2 := w.Result[name].(float64)
		if ok1 && ok2 && math.Abs(a-b) <= 1e-15*math.Abs(b) {
			continue // bitcoind writes 16 digits
		}
		if w.Result[name] != value {
			return false
		}
	}
	return true
}
