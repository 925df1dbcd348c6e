package verifier_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"ancre/headers"
	"ancre/itest/harness/browser"
	"ancre/proof"
	"ancre/register/page/verifier"
)

// core is the core of the verifier in Chromium, as testdata/core.js gives it to tests.
type core struct{ tab *browser.Tab }

// newCore opens a tab. The tests that have one run in parallel, so that they share a browser.
func newCore(t *testing.T) *core {
	t.Helper()
	t.Parallel()
	return openCore(t)
}

func openCore(t testing.TB) *core {
	t.Helper()
	page, err := os.ReadFile("testdata/core.js")
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string][]byte{"/core.js": page, "/verifier.js": verifier.Script(verifier.Core)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if script, ok := scripts[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/javascript")
			w.Write(script)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>core</title><link rel="icon" href="data:,"><script type="module" src="/core.js"></script>`)
	}))
	t.Cleanup(server.Close)
	c := &core{browser.Start(t).Open(t, browser.Wide)}
	c.tab.Go(server.URL + "/")
	return c
}

// call calls a function of core.js.
func call[T any](c *core, function string, args ...any) T {
	c.tab.Helper()
	expression := function + "("
	for i, arg := range args {
		b, err := json.Marshal(arg)
		if err != nil {
			c.tab.Fatal(err)
		}
		if i > 0 {
			expression += ","
		}
		expression += string(b)
	}
	return browser.Eval[T](c.tab, expression+")")
}

// question is what the core is asked to judge.
type question struct {
	Digest  []byte          `json:"digest"`
	Proof   []byte          `json:"proof"`
	Windows [][]byte        `json:"windows"`
	Now     int64           `json:"now"`
	Network json.RawMessage `json:"network"`
}

// verdict is what the core says.
type verdict struct {
	Result, Reason, Height, TxID, ProofDigest string
	TestNetwork                               bool
	Fault                                     *fault
	Trust                                     *trust
	Block                                     *struct {
		Height     int64
		Hash, Root string
		Time       int64
		Header     string
	}
	Checks   []struct{ Outcome, Reason string }
	Warnings []struct{ Warning, Reason, Height, Hash, Strong string }
}

type fault struct {
	Fault       string
	At          int64
	Unsupported bool
	Member      string
}

type trust struct {
	Checkpoint, Base *int64
	Blocks           int64
	Difficulty       float64
	Bits             uint32
}

func (c *core) judge(questions ...question) []verdict {
	c.tab.Helper()
	for i := range questions {
		if questions[i].Windows == nil {
			questions[i].Windows = [][]byte{}
		}
	}
	return call[[]verdict](c, "judgeAll", questions)
}

// network is one of networks.json.
func network(t testing.TB, name string) json.RawMessage {
	t.Helper()
	b, err := os.ReadFile("networks.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		var named struct{ Name string }
		if err := json.Unmarshal(n, &named); err == nil && named.Name == name {
			return n
		}
	}
	t.Fatalf("no network %q", name)
	return nil
}

// claim is a proof that says, of a digest, that it is the Merkle root of blocks.
func claim(t *testing.T, root []byte, heights ...uint64) []byte {
	t.Helper()
	f := &proof.File{HashOp: proof.SHA256, Digest: root, Timestamp: &proof.Timestamp{Msg: root}}
	for _, height := range heights {
		f.Timestamp.Attest(proof.BitcoinAt(height))
	}
	b, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// chain is a chain of regtest's headers that tests make.
type chain struct {
	first int64
	raw   []byte
	prev  chainhash.Hash
}

const chainTime = 1_700_000_000 // of the first header

// newChain mines blocks from a height on. Each has its height as its Merkle root: see rootAt.
func newChain(first int64, blocks int) *chain {
	return (&chain{first: first, prev: chainhash.Hash{byte(first), 1}}).mine(blocks)
}

func (c *chain) mine(blocks int) *chain {
	for range blocks {
		height := c.first + int64(len(c.raw)/headers.Size)
		c.add(&wire.BlockHeader{Version: 4, Timestamp: timeAt(height - c.first), Bits: chaincfg.RegressionNetParams.PowLimitBits, MerkleRoot: chainhash.Hash(rootAt(height))})
	}
	return c
}

// add mines a header on top.
func (c *chain) add(h *wire.BlockHeader) *chain {
	h.PrevBlock = c.prev
	for target := blockchain.CompactToBig(h.Bits); ; h.Nonce++ {
		if c.prev = h.BlockHash(); blockchain.HashToBig(&c.prev).Cmp(target) <= 0 {
			break
		}
	}
	c.raw = append(c.raw, headers.Raw(h)...)
	return c
}

// window returns the headers of the blocks from one height to another as a window.
func (c *chain) window(from, to int64) []byte {
	w := headers.Window{Genesis: *chaincfg.RegressionNetParams.GenesisHash, First: from, Raw: c.raw[(from-c.first)*headers.Size : (to+1-c.first)*headers.Size]}
	return w.Encode()
}

func timeAt(block int64) time.Time { return time.Unix(chainTime+600*block, 0) }

// rootAt is the Merkle root of a block of newChain.
func rootAt(height int64) []byte {
	root := sha256.Sum256([]byte(fmt.Sprint("block ", height)))
	return root[:]
}
