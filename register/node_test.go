package register

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// fakeNode is a node with a chain of its own, for what a real one does not do at will: it is cut
// off, lies, is restored from a backup, and drops final blocks. Its proofs are real ones.
type fakeNode struct {
	t       testing.TB
	network string

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	synced  bool
	fail    func(method string) error // nil: nothing fails
	lie     func(*rpc.Proof)          // changes answers of Proof; nil: it tells the truth
	onSend  func()                    // called when a submission was taken, before it is answered
	calls   map[string]int
	state   nodeState
	tags    uint64 // of the feed: grows with each write, over restores too
}

// nodeState is what a backup of the node holds, and its chain.
type nodeState struct {
	digests map[[32]byte]place
	batches []fakeBatch // batch n is at n-1
	feed    []feedEntry
	blocks  []proof.Header
	forks   int // makes the blocks of each fork differ
}

type place struct{ batch, index int }

type fakeBatch struct {
	digests [][32]byte
	leaves  [][32]byte // of the digests
	state   string
	height  int // of its block
}

type feedEntry struct {
	tag    uint64
	change rpc.Change
}

func newFakeNode(t testing.TB) *fakeNode {
	n := &fakeNode{t: t, network: "regtest", changed: make(chan struct{}), synced: true, calls: make(map[string]int)}
	n.state.digests = make(map[[32]byte]place)
	n.addBlock(sha256.Sum256([]byte("no transaction")))
	return n
}

// do runs something with the lock, and tells those who wait.
func (n *fakeNode) do(what func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	what()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *fakeNode) called(method string) error {
	n.calls[method]++
	if n.fail != nil {
		return n.fail(method)
	}
	return nil
}

func (n *fakeNode) addBlock(root [32]byte) int {
	height := len(n.state.blocks)
	hash := sha256.Sum256(fmt.Appendf(nil, "block %d of fork %d with %x", height, n.state.forks, root))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(height) * 10 * time.Minute)
	n.state.blocks = append(n.state.blocks, proof.Header{Height: uint64(height), Hash: hash, MerkleRoot: root, Time: at})
	return height
}

// setState changes the state of a batch, and tells the feed.
func (n *fakeNode) setState(batch int, state string) {
	b := &n.state.batches[batch-1]
	b.state = state
	c := rpc.Change{Batch: uint64(batch), State: state}
	if state == nodeMined || state == nodeFinal {
		c.Height, c.BlockHash = int32(b.height), n.hashAt(b.height)
	}
	n.tags++
	n.state.feed = append(n.state.feed, feedEntry{n.tags, c})
}

func (n *fakeNode) hashAt(height int) string {
	return chainhash.Hash(n.state.blocks[height].Hash).String()
}

// backup returns a copy of the state.
func (n *fakeNode) backup() (s nodeState) {
	n.do(func() {
		s = n.state
		s.digests = maps.Clone(s.digests)
		s.batches = slices.Clone(s.batches)
		for i := range s.batches {
			s.batches[i].digests, s.batches[i].leaves = slices.Clone(s.batches[i].digests), slices.Clone(s.batches[i].leaves)
		}
		s.feed, s.blocks = slices.Clone(s.feed), slices.Clone(s.blocks)
	})
	return s
}

// restore goes back to a backup. The chain stays, as it does for a real node.
func (n *fakeNode) restore(s nodeState) {
	n.do(func() {
		blocks, forks := n.state.blocks, n.state.forks
		n.state = s
		n.state.blocks, n.state.forks = blocks, forks
	})
}

// mine seals the open batch and mines all that wait, and blocks on top.
func (n *fakeNode) mine(onTop int) {
	n.do(func() {
		for i := range n.state.batches {
			if b := &n.state.batches[i]; b.state != nodeMined && b.state != nodeFinal {
				for _, state := range []string{"sealed", "broadcast"} {
					n.setState(i+1, state)
				}
				b.height = n.addBlock(proof.TxID(fakeTx(b.root())))
				n.setState(i+1, nodeMined)
			}
		}
		for range onTop {
			n.addBlock(sha256.Sum256([]byte("no transaction")))
		}
		for i := range n.state.batches {
			if b := &n.state.batches[i]; b.state == nodeMined && len(n.state.blocks)-b.height >= 6 {
				n.setState(i+1, nodeFinal)
			}
		}
	})
}

// reorganise drops all blocks from a height on, and mines as many empty ones and one more.
func (n *fakeNode) reorganise(from int) {
	n.do(func() {
		dropped := len(n.state.blocks) - from
		n.state.blocks, n.state.forks = n.state.blocks[:from], n.state.forks+1
		for range dropped + 1 {
			n.addBlock(sha256.Sum256([]byte("no transaction")))
		}
		for i, b := range n.state.batches {
			if b.height >= from && (b.state == nodeMined || b.state == nodeFinal) {
				n.state.batches[i].height = 0
				n.setState(i+1, "broadcast")
			}
		}
	})
}

var fakeKey = [32]byte{1, 2, 3}

func leafOf(d [32]byte) [32]byte { return proof.Leaf(d[:], proof.Nonce(fakeKey, d[:])) }

func (b *fakeBatch) root() [32]byte { return proof.Root(b.leaves) }

// fakeTx is a transaction that commits to a root.
func fakeTx(root [32]byte) []byte {
	tx := []byte{2, 0, 0, 0, 1}
	tx = append(tx, make([]byte, 36)...)
	tx = append(tx, 0, 0xff, 0xff, 0xff, 0xff, 1)
	tx = binary.LittleEndian.AppendUint64(tx, 0)
	tx = append(tx, 34, 0x6a, 32)
	tx = append(tx, root[:]...)
	return append(tx, 0, 0, 0, 0)
}

// entry is where a digest is.
func (n *fakeNode) entry(d [32]byte) (e rpc.Entry, ok bool) {
	at, ok := n.state.digests[d]
	if !ok {
		return e, false
	}
	b := n.state.batches[at.batch-1]
	e = rpc.Entry{Digest: fmt.Sprintf("%x", d), State: b.state, Batch: uint64(at.batch), Index: uint64(at.index)}
	if b.state == nodeMined || b.state == nodeFinal {
		e.Height, e.BlockHash = int32(b.height), n.hashAt(b.height)
	}
	return e, true
}

func (n *fakeNode) ots(d [32]byte, complete bool) string {
	nonce := proof.Nonce(fakeKey, d[:])
	var f *proof.File
	var err error
	if at := n.state.digests[d]; complete {
		b := n.state.batches[at.batch-1]
		root := b.root()
		f, err = proof.Complete(d, nonce, proof.Inclusion{
			Path: proof.Path(b.leaves, at.index), Tx: fakeTx(root), Height: uint64(b.height), MerkleRoot: n.state.blocks[b.height].MerkleRoot,
		})
	} else {
		f, err = proof.Pending(d, nonce, "http://127.0.0.1:14788")
	}
	if err != nil {
		panic(err)
	}
	raw, err := f.Marshal()
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func (n *fakeNode) SubmitBatch(ctx context.Context, digests [][32]byte) (out []rpc.Entry, err error) {
	var hook func()
	n.do(func() {
		if err = n.called("submitbatch"); err != nil {
			return
		}
		for _, d := range digests {
			if _, known := n.state.digests[d]; !known {
				last := len(n.state.batches)
				if last == 0 || n.state.batches[last-1].state != "open" {
					n.state.batches = append(n.state.batches, fakeBatch{})
					last++
					n.setState(last, "open")
				}
				b := &n.state.batches[last-1]
				n.state.digests[d] = place{last, len(b.digests)}
				b.digests, b.leaves = append(b.digests, d), append(b.leaves, leafOf(d))
			}
			e, _ := n.entry(d)
			e.Proof = n.ots(d, false)
			out = append(out, e)
		}
		hook = n.onSend
	})
	if hook != nil {
		hook()
	}
	return out, err
}

func (n *fakeNode) Proof(ctx context.Context, d [32]byte, format string) (p rpc.Proof, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.called("getproof"); err != nil {
		return p, err
	}
	e, ok := n.entry(d)
	if !ok {
		return p, &rpc.Error{Code: rpc.CodeNotFound, Message: "never submitted"}
	}
	p = rpc.Proof{Entry: e, Format: format, Complete: e.State == nodeFinal}
	p.Proof = n.ots(d, p.Complete)
	if n.lie != nil {
		n.lie(&p)
	}
	return p, nil
}

func (n *fakeNode) WaitChanges(ctx context.Context, cursor string, timeout time.Duration, limit int) (c rpc.Changes, err error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		n.mu.Lock()
		err, changed := n.called("waitchanges"), n.changed
		if err == nil {
			c = n.changes(cursor, limit)
		}
		n.mu.Unlock()
		if err != nil || len(c.Changes) > 0 || c.Reset {
			return c, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return c, nil
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

func (n *fakeNode) changes(cursor string, limit int) (c rpc.Changes) {
	at := 0
	if cursor != "" {
		var tag uint64
		_, err := fmt.Sscanf(cursor, "%d-%d", &at, &tag)
		if c.Reset = err != nil || at > len(n.state.feed) || at < 1 || n.state.feed[at-1].tag != tag; c.Reset {
			at = 0
		}
	}
	for ; at < len(n.state.feed) && len(c.Changes) < limit; at++ {
		c.Changes = append(c.Changes, n.state.feed[at].change)
	}
	if at > 0 {
		c.Cursor = fmt.Sprintf("%d-%d", at, n.state.feed[at-1].tag)
	}
	return c
}

func (n *fakeNode) Header(ctx context.Context, height uint64) (h proof.Header, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.called("header"); err != nil {
		return h, err
	}
	if height >= uint64(len(n.state.blocks)) {
		return h, fmt.Errorf("%w: %d", proof.ErrNoHeader, height)
	}
	return n.state.blocks[height], nil
}

func (n *fakeNode) BlockHash(ctx context.Context, height int32) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.called("getblockhash"); err != nil {
		return "", err
	}
	if int(height) >= len(n.state.blocks) {
		return "", &rpc.Error{Code: rpc.CodeInvalidParameter, Message: "no such block"}
	}
	return n.hashAt(int(height)), nil
}

func (n *fakeNode) BlockchainInfo(ctx context.Context) (i rpc.BlockchainInfo, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.called("getblockchaininfo"); err != nil {
		return i, err
	}
	tip := len(n.state.blocks) - 1
	return rpc.BlockchainInfo{Chain: n.network, Blocks: int32(tip), BestBlockHash: n.hashAt(tip), Time: n.state.blocks[tip].Time.Unix(), InitialBlockDownload: !n.synced}, nil
}

func (n *fakeNode) Info(ctx context.Context) (i rpc.Info, err error) {
	return i, &rpc.Error{Code: rpc.CodeForbidden, Message: "not for this user"}
}

func (n *fakeNode) BlockCount(ctx context.Context) (int32, error) {
	i, err := n.BlockchainInfo(ctx)
	return i.Blocks, err
}

func (n *fakeNode) HeaderRange(ctx context.Context, first int64, count int) ([]byte, error) {
	return nil, &rpc.Error{Code: rpc.CodeInternal, Message: "its headers are invented"}
}
