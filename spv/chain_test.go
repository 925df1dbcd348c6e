package spv

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
)

func TestFollowsTheChainOfANode(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"btcd", "bitcoind"} {
		t.Run(kind, func(t *testing.T) { t.Parallel(); testFollows(t, newNode(t, kind)) })
	}
}

func testFollows(t *testing.T, n *node) {
	n.mine(200)
	c := openClient(t, t.TempDir(), n.p2p)
	if c.Synced() {
		t.Error("synced before it has a peer")
	}
	startClient(t, c)
	waitAt(t, c, n)
	wantStatus(t, c, n)
	wantHashesAndHeaders(t, c, n)
	wantFiltersAndBlocks(t, c, n.hashAt(150))
	if rate, err := c.FeeRate(t.Context()); err != nil || rate != 1 {
		t.Errorf("fee rate %d, %v", rate, err)
	}

	changed, stop := c.Changes()
	defer stop()
	n.mine(1)
	await(t, changed, "a new block")
	waitAt(t, c, n)
	wantReorganisation(t, c, n, changed)
}

// wantStatus checks the status of a client that is synced at block 200.
func wantStatus(t *testing.T, c *Client, n *node) {
	t.Helper()
	s := c.Status()
	if s.Height != 200 || s.HeadersHeight != 200 || s.FiltersHeight != 200 || s.TargetHeight != 200 {
		t.Errorf("heights: status %+v", s)
	}
	if !s.Synced || s.Progress != 1 || s.Remaining != 0 || len(s.Warnings) != 0 {
		t.Errorf("not synced: status %+v", s)
	}
	if len(s.Peers) != 1 || s.Peers[0].Address != n.p2p || s.Peers[0].Agent == "" || s.Peers[0].Height != 200 {
		t.Errorf("peers: status %+v", s)
	}
}

func wantHashesAndHeaders(t *testing.T, c *Client, n *node) {
	t.Helper()
	for name, height := range map[string]int32{"above the newest": 201, "below the first": -1} {
		if _, err := c.HashAt(height); !errors.Is(err, ErrNotFound) {
			t.Errorf("hash %s block: %v", name, err)
		}
	}
	h150, err := c.HashAt(150)
	if err != nil || h150 != n.hashAt(150) {
		t.Errorf("hash at 150: %v, %v", h150, err)
	}
	if header, height, err := c.Header(h150); err != nil || height != 150 || header.BlockHash() != h150 {
		t.Errorf("header of %s: %v at %d, %v", h150, header, height, err)
	}
}

// wantFiltersAndBlocks checks what a client knows of one block, of the first one, and of one that
// does not exist.
func wantFiltersAndBlocks(t *testing.T, c *Client, at chainhash.Hash) {
	t.Helper()
	other, err := txscript.PayToAddrScript(otherAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		name    string
		scripts [][]byte
		want    bool
	}{
		{"the miner's script", [][]byte{anyoneCanSpend}, true},
		{"one script of two", [][]byte{other, anyoneCanSpend}, true},
		{"another script", [][]byte{other}, false},
		{"no script", nil, false},
	} {
		if got, err := c.Touches(t.Context(), at, q.scripts); err != nil || got != q.want {
			t.Errorf("block touches %s: %v, %v", q.name, got, err)
		}
	}
	for _, hash := range []chainhash.Hash{at, *c.params.GenesisHash} {
		block, err := c.Block(t.Context(), hash)
		if err != nil || block.BlockHash() != hash {
			t.Errorf("block %s: %v", hash, err)
		}
		if _, err := c.Touches(t.Context(), hash, [][]byte{other}); err != nil {
			t.Errorf("touches of %s: %v", hash, err)
		}
	}
	if _, err := c.Block(t.Context(), chainhash.Hash{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown block: %v", err)
	}
	if _, err := c.Touches(t.Context(), chainhash.Hash{1}, [][]byte{other}); !errors.Is(err, ErrNotFound) {
		t.Errorf("filter of unknown block: %v", err)
	}
}

// wantReorganisation has three blocks leave the chain, and four come, from height 201 to 202.
func wantReorganisation(t *testing.T, c *Client, n *node, changed <-chan struct{}) {
	t.Helper()
	old := n.hashAt(199)
	drain(changed)
	n.call("invalidateblock", nil, old.String())
	n.mineTo(4, otherAddress(t))
	waitFor(t, "the other branch", func() bool {
		await(t, changed, "a reorganisation")
		height, hash, err := c.Best()
		return err == nil && height == 202 && hash == n.hashAt(202)
	})
	if _, _, err := c.Header(old); !errors.Is(err, ErrNotFound) {
		t.Errorf("header of a block that left the chain: %v", err)
	}
	if _, err := c.Block(t.Context(), old); !errors.Is(err, ErrNotFound) {
		t.Errorf("block that left the chain: %v", err)
	}
	if h, err := c.HashAt(199); err != nil || h == old || h != n.hashAt(199) {
		t.Errorf("hash at 199 after the reorganisation: %v, %v", h, err)
	}
}

func await(t *testing.T, changed <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatalf("%s was not told", what)
	}
}

func drain(changed <-chan struct{}) {
	select {
	case <-changed:
	default:
	}
}

func TestAPeerThatGoesComesBack(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(5)
	r := newRelay(t, n.p2p)
	c := openClient(t, newDir(t), r.addr)
	startClient(t, c)
	waitAt(t, c, n)

	for round := range int32(2) { // the second time is not slower than the first
		r.cut()
		waitFor(t, "the peer gone, and why", func() bool {
			s := c.Status()
			return len(s.Peers) == 0 && len(s.Warnings) == 1
		})
		t.Log(c.Status().Warnings)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		hash, err := c.HashAt(2 + round) // one that is not in memory
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Block(ctx, hash); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("block without peers: %v", err)
		}
		cancel()
		if !c.Synced() {
			t.Error("not synced any more as soon as the peer is gone")
		}

		n.mine(1)
		r.mend()
		start := time.Now()
		waitAt(t, c, n)
		if took := time.Since(start); took > maxRedial+20*time.Second {
			t.Errorf("came back after %v", took)
		} else {
			t.Logf("came back after %v", took)
		}
		if block, err := c.Block(t.Context(), hash); err != nil || block.BlockHash() != hash {
			t.Errorf("block from the peer that came back: %v", err)
		}
	}
}

func TestABlockThatNoPeerGivesCostsTheCallerNoMoreThanItsContext(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(3)
	dir := syncedDir(t, n)
	c := openClient(t, dir) // no peers at all
	startClient(t, c)
	// More callers than there are places for fetches, of which none gets an answer.
	for range 3 * maxFetches {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		hash, err := c.HashAt(int32(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Block(ctx, hash); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("block: %v", err)
		}
		if _, err := c.Touches(ctx, hash, [][]byte{{1}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("filter: %v", err)
		}
		cancel()
	}
	if rate, err := func() (int64, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return c.FeeRate(ctx)
	}(); err == nil || rate != 1 {
		t.Errorf("fee rate without peers: %d, %v", rate, err)
	}
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("closed with fetches hanging in %v", time.Since(start))
	if _, _, err := c.Best(); !errors.Is(err, ErrClosed) {
		t.Errorf("best of a closed client: %v", err)
	}
}
