// Package checktool tests the check tool of the public page in Debian's Chromium: <ancre-verify>,
// verifier.html and the page for frames. Its register is a small server of its own, over a chain of
// regtest that is mined here, so that it can lie in every way.
package checktool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"ancre/headers"
	"ancre/proof"
	"ancre/proof/receipt"
)

// document is a file of the register.
type document struct {
	name   string
	bytes  []byte
	path   string // where it lies for the browser to pick
	digest [32]byte
	proof  []byte // nil: none yet
	place  proof.Inclusion
	height int64 // of its block; 0: none
	state  string
}

func (d *document) hex() string { return hex.EncodeToString(d.digest[:]) }

// world is a chain and the documents that are anchored in it.
type world struct {
	dir     string
	chain   []wire.BlockHeader // by height
	minutes *document          // anchored, under many blocks
	budget  *document          // anchored in the same block
	news    *document          // in a block, under one more
	draft   *document          // its proof is a promise
	waiting *document          // no proof yet
}

const (
	anchoredAt = 120
	newsAt     = 150
	tip        = 151
)

// newWorld mines the chain and writes the documents.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := newChain(t)
	w.minutes = w.document(t, "procès-verbal du 15 décembre.pdf", "The minutes of the meeting.\n")
	w.budget = w.document(t, "budget.pdf", "The budget.\n")
	w.news = w.document(t, "news.pdf", "What is new.\n")
	w.draft = w.document(t, "draft.pdf", "A draft.\n")
	w.waiting = w.document(t, "waiting.pdf", "It waits.\n")
	w.mineTo(anchoredAt - 1)
	w.anchor(t, w.minutes, w.budget)
	w.mineTo(newsAt - 1)
	w.anchor(t, w.news)
	w.mineTo(tip)
	f, err := proof.Pending(w.draft.digest, [32]byte{1}, "https://calendar.example.org")
	must(t, err)
	w.draft.proof, err = f.Marshal()
	must(t, err)
	w.draft.state, w.waiting.state = "pending", "waiting"
	return w
}

// newChain begins a chain without documents.
func newChain(t testing.TB) *world {
	t.Helper()
	return &world{dir: t.TempDir(), chain: []wire.BlockHeader{chaincfg.RegressionNetParams.GenesisBlock.Header}}
}

func (w *world) documents() []*document {
	all := []*document{w.minutes, w.budget, w.news, w.draft, w.waiting}
	return slices.DeleteFunc(all, func(d *document) bool { return d == nil })
}

// period has the headers of a period of 2016 blocks and the first one of the next, as the register
// serves them; nil: it has not begun.
func (w *world) period(n int) *headers.Window {
	if n*2016 >= len(w.chain) {
		return nil
	}
	return w.window(n*2016, min((n+1)*2016, len(w.chain)-1))
}

func (w *world) document(t testing.TB, name, content string) *document {
	t.Helper()
	d := &document{name: name, bytes: []byte(content), digest: sha256.Sum256([]byte(content))}
	d.path = w.file(t, name, d.bytes)
	return d
}

// file writes a file that the browser can pick.
func (w *world) file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	must(t, os.WriteFile(path, content, 0o644))
	return path
}

// mineTo mines empty blocks up to a height.
func (w *world) mineTo(height int) {
	for len(w.chain) <= height {
		w.chain = append(w.chain, nextBlock(w.chain[len(w.chain)-1], sha256.Sum256(fmt.Append(nil, len(w.chain)))))
	}
}

// nextBlock mines a block of regtest.
func nextBlock(before wire.BlockHeader, root [32]byte) wire.BlockHeader {
	h := wire.BlockHeader{
		Version: 0x20000000, PrevBlock: before.BlockHash(), MerkleRoot: root, Bits: chaincfg.RegressionNetParams.PowLimitBits,
		Timestamp: before.Timestamp.Add(10 * time.Minute),
	}
	if recent := time.Now().Add(-30 * 24 * time.Hour); h.Timestamp.Before(recent) {
		h.Timestamp = time.Unix(recent.Unix(), 0)
	}
	for !hasWork(&h) {
		h.Nonce++
	}
	return h
}

func hasWork(h *wire.BlockHeader) bool {
	hash := h.BlockHash()
	return blockchain.HashToBig(&hash).Cmp(blockchain.CompactToBig(h.Bits)) <= 0
}

// anchor mines a block whose second transaction commits to the documents.
func (w *world) anchor(t testing.TB, docs ...*document) {
	t.Helper()
	leaves := make([][32]byte, len(docs))
	for i, d := range docs {
		leaves[i] = proof.Leaf(d.digest[:], nonceOf(d))
	}
	root := proof.Root(leaves)
	script, err := txscript.NewScriptBuilder().AddOp(txscript.OP_RETURN).AddData(root[:]).Script()
	must(t, err)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{1}, 0), nil, nil))
	tx.AddTxOut(wire.NewTxOut(0, script))
	tx.AddTxOut(wire.NewTxOut(100_000, make([]byte, 22)))
	raw := serialized(t, tx)
	txids := [][32]byte{{2}, proof.TxID(raw), {3}}
	const index = 1
	branch := proof.BlockBranch(txids, index)
	height := len(w.chain)
	w.chain = append(w.chain, nextBlock(w.chain[height-1], proof.BlockRootFromBranch(txids[index], branch, index)))
	for i, d := range docs {
		d.place = proof.Inclusion{
			Path: proof.Path(leaves, i), Tx: raw, TxIndex: index, Branch: branch, Height: uint64(height), MerkleRoot: w.chain[height].MerkleRoot,
		}
		f, err := proof.Complete(d.digest, nonceOf(d), d.place)
		must(t, err)
		d.proof, err = f.Marshal()
		must(t, err)
		d.height, d.state = int64(height), "complete"
	}
}

func nonceOf(d *document) [32]byte { return proof.Nonce([32]byte{7}, d.digest[:]) }

// receipt is a document's Chainpoint receipt.
func (d *document) receipt(t testing.TB) []byte {
	t.Helper()
	r, err := receipt.NewV2(d.digest, nonceOf(d), d.place)
	must(t, err)
	text, err := r.Marshal()
	must(t, err)
	return text
}

// window has the headers from first to last.
func (w *world) window(first, last int) *headers.Window {
	win := &headers.Window{Genesis: *chaincfg.RegressionNetParams.GenesisHash, First: int64(first)}
	for i := first; i <= last; i++ {
		win.Raw = append(win.Raw, headers.Raw(&w.chain[i])...)
	}
	return win
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
