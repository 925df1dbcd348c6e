package spv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/gcs"
	"github.com/btcsuite/btcd/btcutil/v2/gcs/builder"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// falseFilter is a filter that matches nothing in the block.
func falseFilter(block chainhash.Hash) *gcs.Filter {
	f, err := builder.WithKeyHash(&block).AddEntry([]byte("nothing of this block")).Build()
	if err != nil {
		panic(err)
	}
	return f
}

// filterLies sends a false filter header for the newest block that is asked for, while it is on.
type filterLies struct {
	on, filterToo atomic.Bool // filterToo: the filter is made to fit its header

	mu    sync.Mutex
	about map[chainhash.Hash]bool // blocks that it lied about
}

func (l *filterLies) lie(f frame) []frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.on.Load():
	case f.command == wire.CmdCFHeaders:
		var m wire.MsgCFHeaders
		f.decode(&m)
		if len(m.FilterHashes) == 0 {
			break
		}
		hash, err := builder.GetFilterHash(falseFilter(m.StopHash))
		if err != nil {
			panic(err)
		}
		m.FilterHashes[len(m.FilterHashes)-1] = &hash
		if l.about == nil {
			l.about = make(map[chainhash.Hash]bool)
		}
		l.about[m.StopHash] = true
		return []frame{frameOf(&m)}
	case f.command == wire.CmdCFilter && l.filterToo.Load():
		var m wire.MsgCFilter
		f.decode(&m)
		if !l.about[m.BlockHash] {
			break
		}
		data, err := falseFilter(m.BlockHash).NBytes()
		if err != nil {
			panic(err)
		}
		m.Data = data
		return []frame{frameOf(&m)}
	}
	return []frame{f}
}

func (l *filterLies) lied() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.about)
}

// wantTrueFilters checks that the filter of the newest block is the true one.
func wantTrueFilters(t *testing.T, c *Client, n *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	other, err := txscript.PayToAddrScript(otherAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	tip := n.hashAt(n.height())
	if touches, err := c.Touches(ctx, tip, [][]byte{anyoneCanSpend}); err != nil || !touches {
		t.Errorf("the newest block touches the miner's script: %v, %v", touches, err)
	}
	if touches, err := c.Touches(ctx, tip, [][]byte{other}); err != nil || touches {
		t.Errorf("the newest block touches another script: %v, %v", touches, err)
	}
}

// Where there is one honest peer, a peer that lies about filters is not believed. It is dropped,
// and named in a warning.
func TestFalseFilterHeadersAreFoundOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		filterToo bool
		rounds    int32
	}{
		{"that the filter does not fit, again and again", false, dropsWarning},
		{"with a false filter that fits", true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, "btcd")
			n.mine(110)
			var lies filterLies
			lies.filterToo.Store(tt.filterToo)
			liar := newLiar(t, n.p2p, lies.lie, nil)
			c := openClient(t, newDir(t), n.p2p, liar.addr)
			startClient(t, c)
			waitAt(t, c, n)
			for round := range tt.rounds {
				lies.on.Store(false)
				waitFor(t, "both peers", func() bool { return len(c.connected()) == 2 })
				// The test below shows that a coinbase alone is no evidence.
				if err := c.Broadcast(t.Context(), spend(t, c, 2+round, 10_000)); err != nil {
					t.Fatal(err)
				}
				before := lies.lied()
				lies.on.Store(true)
				n.mine(1)
				waitAt(t, c, n)
				if lies.lied() == before {
					t.Fatal("nobody lied")
				}
				wantTrueFilters(t, c, n)
				waitFor(t, "a warning that names the liar and what it did", func() bool { return warned(c, liar.addr, "invalid filter header") })
				if warned(c, n.p2p) {
					t.Errorf("the honest peer is blamed: %q", c.Status().Warnings)
				}
			}
			lies.on.Store(false)
			waitFor(t, "both peers", func() bool { return len(c.connected()) == 2 })
			if again := tt.rounds >= dropsWarning; warned(c, liar.addr, "3 times", "spv.connect") != again {
				t.Errorf("after %d lies, and the peer is back: %q", tt.rounds, c.Status().Warnings)
			}
		})
	}
}

// neutrino does not use the coinbase to decide which peer is right about the filter of a block. So
// in a block with nothing else, two peers that disagree are a draw: neither is believed, the
// operator is warned, and a third peer decides.
func TestTwoPeersThatDisagreeAboutAFilterAreNotBelieved(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	var lies filterLies
	lies.filterToo.Store(true)
	liar := newLiar(t, n.p2p, lies.lie, nil)
	third := newRelay(t, n.p2p)
	third.cut()
	dir := newDir(t)
	c := openClient(t, dir, n.p2p, liar.addr, third.addr)
	k := setClock(c)
	startClient(t, c)
	waitAt(t, c, n)
	waitFor(t, "two peers", func() bool { return len(c.connected()) == 2 })
	lies.on.Store(true)
	n.mine(1)
	waitFor(t, "the header, and the lie", func() bool { return c.Status().HeadersHeight == 21 && lies.lied() > 0 })
	k.forward(stuck)
	waitFor(t, "a warning", func() bool { return warned(c, "have stopped at height 20 of 21", "disagree", "spv.add_peers") })
	if s := c.Status(); s.Height != 20 || s.FiltersHeight != 20 {
		t.Errorf("one of two was believed: %+v", s)
	}
	note := filepath.Join(dir, suspectFile)
	waitFor(t, "a note for the next start", func() bool { _, err := os.Stat(note); return err == nil })
	third.mend()
	waitAt(t, c, n)
	wantTrueFilters(t, c, n)
	waitFor(t, "no note any more", func() bool { _, err := os.Stat(note); return errors.Is(err, fs.ErrNotExist) })
	waitFor(t, "a warning that names the liar", func() bool { return warned(c, liar.addr, "invalid filter header") })
}

// The only peer lied about a filter header, and was believed. The true filter headers do not fit
// the false one, and neutrino bans all peers that send them.
func TestAFalseFilterHeaderThatWasTakenIsToldOfAndCured(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	var lies filterLies
	lies.on.Store(true)
	lies.filterToo.Store(true)
	liar := newLiar(t, n.p2p, lies.lie, nil)
	dir := newDir(t)
	c := openClient(t, dir, liar.addr)
	startClient(t, c)
	waitAt(t, c, n)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = openClient(t, dir, n.p2p)
	k := setClock(c)
	startClient(t, c)
	n.mine(1)
	waitFor(t, "the new block's header, and the truth refused", func() bool { return c.Status().HeadersHeight == 21 && warned(c, n.p2p, "invalid filter header") })
	if s := c.Status(); s.FiltersHeight != 20 || s.Synced {
		t.Errorf("filters at %d, synced %v", s.FiltersHeight, s.Synced)
	}
	if warned(c, "have stopped") {
		t.Errorf("told at once: %q", c.Status().Warnings)
	}
	var last uint64 // the connection at which the clock was set forward; without a peer, the filters are not to blame
	waitFor(t, "a warning that says what to do, and a note for the next start", func() bool {
		if peers := c.Peers(); len(c.connected()) > 0 && peers > last {
			last = peers
			k.forward(stuck)
		}
		_, err := os.Stat(filepath.Join(dir, suspectFile))
		return err == nil && warned(c, "have stopped at height 20 of 21", "disagree", "restart ancred")
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openClient(t, dir, n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	wantTrueFilters(t, c, n)
	if _, err := os.Stat(filepath.Join(dir, suspectFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note is still there: %v", err)
	}
}
