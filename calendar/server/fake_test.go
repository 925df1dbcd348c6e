package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/headers"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const testURI = "https://calendar.example"

// fakeBatcher accepts messages as the batcher does. All of them have the same state.
type fakeBatcher struct {
	mu       sync.Mutex
	messages map[string]bool
	leaves   map[[32]byte]batcher.Progress
	anchors  []batcher.AnchorStatus
	batches  []batcher.BatchStatus
	anchored proof.Inclusion
	err      error // of every call
	panics   any   // what a message makes it do
	asked    int   // for batches
}

func (b *fakeBatcher) SubmitMessage(_ context.Context, dst, message []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.panics != nil {
		panic(fmt.Sprintf("%v %x", b.panics, message))
	}
	if b.err != nil {
		return dst, b.err
	}
	nonce := proof.Nonce([32]byte{}, message)
	w, err := proof.NewPendingWriter(testURI)
	b.messages[string(message)] = true
	b.leaves[proof.Leaf(message, nonce)] = batcher.Progress{State: batcher.Open}
	return w.AppendTimestamp(dst, nonce), err
}

func (b *fakeBatcher) Timestamp(_ context.Context, dst []byte, leaf [32]byte) (ts []byte, st batcher.LeafStatus, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	where, known := b.leaves[leaf]
	switch {
	case b.err != nil:
		return dst, st, false, b.err
	case !known:
		return dst, st, false, fmt.Errorf("leaf %x: %w", leaf, batcher.ErrUnknown)
	}
	st = batcher.LeafStatus{Leaf: leaf, Position: store.Position{Batch: 1}, Progress: where}
	if where.State != batcher.Final {
		return dst, st, false, nil
	}
	t, err := proof.LeafTimestamp(leaf, b.anchored)
	if err != nil {
		return dst, st, false, err
	}
	rest, err := t.Marshal()
	return append(dst, rest...), st, err == nil, err
}

func (b *fakeBatcher) Batches(context.Context, uint64, int) ([]batcher.BatchStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.batches, b.err
}

func (b *fakeBatcher) Anchors(context.Context, uint64, int) ([]batcher.AnchorStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.anchors, b.err
}

// fakeChain is a chain of empty headers on the genesis block of regtest.
type fakeChain struct {
	headers []wire.BlockHeader
	behind  bool // there are more, which it does not know yet
}

func newFakeChain(blocks int) *fakeChain {
	c := &fakeChain{headers: []wire.BlockHeader{chaincfg.RegressionNetParams.GenesisBlock.Header}}
	for range blocks {
		last := c.headers[len(c.headers)-1]
		c.headers = append(c.headers, wire.BlockHeader{Version: 4, PrevBlock: last.BlockHash(), Timestamp: last.Timestamp.Add(10 * time.Minute), Bits: last.Bits})
	}
	return c
}

func (c *fakeChain) best() int32  { return int32(len(c.headers)) - 1 }
func (c *fakeChain) Synced() bool { return !c.behind }
func (c *fakeChain) Best() (int32, chainhash.Hash, error) {
	return c.best(), c.headers[c.best()].BlockHash(), nil
}
func (c *fakeChain) HashAt(height int32) (chainhash.Hash, error) {
	return c.headers[height].BlockHash(), nil
}
func (c *fakeChain) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	for height, h := range c.headers {
		if h.BlockHash() == hash {
			return h, int32(height), nil
		}
	}
	return wire.BlockHeader{}, 0, fmt.Errorf("block %s: %w", hash, headers.ErrNotFound)
}

// fakeNode answers getinfo.
type fakeNode struct{ info rpc.Info }

func (n *fakeNode) Info(context.Context) (rpc.Info, error) { return n.info, nil }

// rig is a server with all its services.
type rig struct {
	*Server
	t       *testing.T
	batcher *fakeBatcher
	chain   *fakeChain
	node    *fakeNode
	log     *bytes.Buffer // all that was logged, at every level
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	r := &rig{
		t:       t,
		batcher: &fakeBatcher{messages: make(map[string]bool), leaves: make(map[[32]byte]batcher.Progress)},
		chain:   newFakeChain(20),
		node:    &fakeNode{info: rpc.Info{Version: "test", Network: "regtest", Ready: true, Chain: rpc.ChainInfo{Synced: true, Height: 20}}},
		log:     new(bytes.Buffer),
	}
	c.URI = testURI
	c.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Server = New(c)
	r.Provide(Services{Batcher: r.batcher, Chain: r.chain, Node: r.node, Confirmations: 6})
	return r
}

// ask makes one request without a listener.
func (r *rig) ask(method, path, body string, headers ...string) *http.Response {
	r.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" || method == http.MethodPost {
		req.Header.Set("Content-Length", fmt.Sprint(len(body))) // as net/http has it of real requests
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "from" {
			req.RemoteAddr = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Result()
}

// listen lets the server answer on a port until the test ends.
func (r *rig) listen() (addr string) {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, ln) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// text reads an answer.
func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return b.String()
}

// submitted submits a message and returns its commitment.
func (r *rig) submitted(message string) [32]byte {
	r.t.Helper()
	resp := r.ask("POST", "/digest", message)
	ts, err := proof.ParseTimestamp([]byte(text(r.t, resp)), []byte(message))
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	all := ts.All()
	uri, pending := all[0].URI()
	if len(all) != 1 || !pending || uri != testURI || len(all[0].Msg) != 32 {
		r.t.Fatalf("%q was answered with %v", message, all)
	}
	return [32]byte(all[0].Msg)
}

// anchor puts a leaf into a block. It is alone in its batch, and its transaction is alone in the
// block.
func (r *rig) anchor(leaf [32]byte, where batcher.Progress) {
	r.t.Helper()
	tx := anchorTx(leaf)
	var raw bytes.Buffer
	if err := tx.SerializeNoWitness(&raw); err != nil {
		r.t.Fatal(err)
	}
	where.TxID = tx.TxHash()
	r.batcher.anchored = proof.Inclusion{Tx: raw.Bytes(), Height: uint64(where.Height), MerkleRoot: where.TxID}
	r.batcher.leaves[leaf] = where
}

func anchorTx(root [32]byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{Sequence: 0xfffffffd})
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, root[:]...)))
	return tx
}

// anchorStatus is an anchor of one version.
func anchorStatus(id uint64, state store.AnchorState, root [32]byte) batcher.AnchorStatus {
	a := store.Anchor{ID: id, State: state, Versions: []store.Version{{Tx: anchorTx(root), Root: root}}, Created: time.Unix(1_700_000_000, 0)}
	if state != store.Broadcast {
		a.Block = &store.Block{Height: 7}
	}
	return batcher.AnchorStatus{Anchor: a, Confirmations: 3}
}

func hexOf(leaf [32]byte) string { return hex.EncodeToString(leaf[:]) }
