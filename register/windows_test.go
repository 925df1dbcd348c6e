package register

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ancre/headers"
	"ancre/register/page"
	"ancre/register/store"
	"ancre/rpc"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// chainNode has a chain of real headers of regtest.
type chainNode struct {
	*fakeNode
	mu     sync.Mutex
	raw    []byte
	hashes []chainhash.Hash
	asked  int
	err    error
}

func newChainNode(t testing.TB, blocks int) *chainNode {
	n := &chainNode{fakeNode: newFakeNode(t)}
	n.extend(&chaincfg.RegressionNetParams.GenesisBlock.Header)
	for range blocks {
		n.mine(1)
	}
	return n
}

func (n *chainNode) extend(h *wire.BlockHeader) {
	var b bytes.Buffer
	if err := h.Serialize(&b); err != nil {
		panic(err)
	}
	n.raw, n.hashes = append(n.raw, b.Bytes()...), append(n.hashes, h.BlockHash())
}

// mine adds a block; fork makes it differ from others at its height.
func (n *chainNode) mine(fork byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &chaincfg.RegressionNetParams
	h := wire.BlockHeader{
		Version: 4, PrevBlock: n.hashes[len(n.hashes)-1], MerkleRoot: chainhash.Hash{fork}, Bits: p.PowLimitBits,
		Timestamp: p.GenesisBlock.Header.Timestamp.Add(time.Duration(len(n.hashes)) * time.Minute),
	}
	for target := blockchain.CompactToBig(h.Bits); ; h.Nonce++ {
		if hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			break
		}
	}
	n.extend(&h)
}

// cut drops all blocks from a height on.
func (n *chainNode) cut(height int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.raw, n.hashes = n.raw[:height*headers.Size], n.hashes[:height]
}

func (n *chainNode) setErr(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

func (n *chainNode) HeaderRange(_ context.Context, first int64, count int) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.err != nil {
		return nil, n.err
	}
	if first >= int64(len(n.hashes)) {
		return nil, &rpc.Error{Code: rpc.CodeInvalidParameter, Message: "the newest block is lower"}
	}
	end := min(int(first)+count, len(n.hashes))
	return bytes.Clone(n.raw[int(first)*headers.Size : end*headers.Size]), nil
}

func (n *chainNode) BlockHash(_ context.Context, height int32) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return "", n.err
	}
	if int(height) >= len(n.hashes) {
		return "", &rpc.Error{Code: rpc.CodeInvalidParameter, Message: "no such block"}
	}
	return n.hashes[height].String(), nil
}

func (n *chainNode) BlockchainInfo(context.Context) (rpc.BlockchainInfo, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return rpc.BlockchainInfo{}, n.err
	}
	tip := len(n.hashes) - 1
	return rpc.BlockchainInfo{Chain: "regtest", Blocks: int32(tip), BestBlockHash: n.hashes[tip].String()}, nil
}

// windowWorld is a register whose node has a real chain.
type windowWorld struct {
	*world
	chain *chainNode
}

func newWindowWorld(t *testing.T, blocks int) *windowWorld {
	w := &windowWorld{newWorld(t), newChainNode(t, blocks)}
	w.use(w.chain)
	return w
}

// use opens the register again with a node, and asks the node who it is.
func (w *windowWorld) use(n *chainNode) {
	w.Helper()
	w.close()
	w.open()
	w.Register.node, w.Register.headers.node = n, n
	_ = w.contact(w.ctx)
}

// window returns the window of a period, checked.
func (w *windowWorld) window(period int32) *headers.Window {
	w.Helper()
	data, err := w.Public().Headers(w.ctx, period)
	w.must(err)
	window, err := headers.ParseWindow(data)
	w.must(err)
	_, err = window.Check(headers.NetworkOf(&chaincfg.RegressionNetParams), time.Now())
	w.must(err)
	return window
}

func TestWindowsOfHeaders(t *testing.T) {
	w := newWindowWorld(t, 2*2016+10)
	for period, want := range map[int32][2]int64{0: {0, 2016}, 1: {2016, 4032}, 2: {4032, 4042}} {
		if got := w.window(period); got.First != want[0] || got.Last() != want[1] {
			t.Errorf("period %d is %d to %d, want %v", period, got.First, got.Last(), want)
		}
	}
	for _, period := range []int32{3, -1, 1 << 30} {
		if _, err := w.Public().Headers(w.ctx, period); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("period %d: %v", period, err)
		}
	}
	// The node is asked once for each block that is new.
	asked := w.chain.asked
	for range 5 {
		w.window(0)
		w.window(2)
	}
	if w.chain.asked != asked {
		t.Errorf("the node was asked %d times more", w.chain.asked-asked)
	}
	w.chain.mine(1)
	w.must(w.contact(w.ctx))
	if got := w.window(2).Last(); got != 4043 {
		t.Errorf("the newest window ends at %d", got)
	}

	// The node is away, and the register was restarted: what is on disk is served.
	w.chain.setErr(rpc.ErrUnreachable)
	w.use(w.chain)
	if a, b := w.window(0).Last(), w.window(2).Last(); a != 2016 || b != 4043 {
		t.Errorf("%d, %d", a, b)
	}
	if _, err := w.Public().Headers(w.ctx, 3); !errors.Is(err, page.ErrBusy) {
		t.Error(err)
	}

	// A file that is damaged is not served.
	w.must(os.WriteFile(filepath.Join(w.dir, "headers", "0.headers"), []byte("damaged"), 0o600))
	w.use(w.chain)
	if _, err := w.Public().Headers(w.ctx, 0); !errors.Is(err, page.ErrBusy) {
		t.Error(err)
	}
	w.chain.setErr(nil)
	w.use(w.chain)
	if got := w.window(0).Last(); got != 2016 {
		t.Error(got)
	}
}

func TestAWindowFollowsAReorganisation(t *testing.T) {
	w := newWindowWorld(t, 2030)
	old := [2]*headers.Window{w.window(0), w.window(1)}
	w.chain.cut(2010)
	for range 21 {
		w.chain.mine(2)
	}
	w.use(w.chain)
	for i, was := range old {
		if now := w.window(int32(i)); bytes.Equal(now.Raw, was.Raw) || now.Last() != was.Last() {
			t.Errorf("period %d is that of the dropped chain", i)
		}
	}
}

func TestFalseHeadersAreNotServed(t *testing.T) {
	w := newWindowWorld(t, 20)
	w.chain.raw[5*headers.Size] ^= 1
	if _, err := w.Public().Headers(w.ctx, 0); !errors.Is(err, page.ErrBusy) {
		t.Error(err)
	}
}
