package spv

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/btcutil/v2/gcs"
	"github.com/btcsuite/btcd/btcutil/v2/gcs/builder"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// clock is the true one, and can be set forward.
type clock struct{ ahead atomic.Int64 }

// setClock gives a client that is not started yet a clock that can be set forward.
func setClock(c *Client) *clock {
	k := new(clock)
	c.now = func() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }
	return k
}

func (k *clock) forward(d time.Duration) { k.ahead.Add(int64(d)) }

// warned reports whether there is a warning with all the words.
func warned(c *Client, words ...string) bool {
	return slices.ContainsFunc(warning.Texts(c.Status().Warnings), func(w string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(w, word) })
	})
}

// falseFilter is one that matches nothing of the block.
func falseFilter(block chainhash.Hash) *gcs.Filter {
	f, err := builder.WithKeyHash(&block).AddEntry([]byte("nothing of this block")).Build()
	if err != nil {
		panic(err)
	}
	return f
}

// filterLies lies about the filter of the newest block that is asked for, while it is on.
type filterLies struct {
	on, filterToo atomic.Bool // filterToo: the filter is made to fit its header

	mu   sync.Mutex
	told map[chainhash.Hash]bool // blocks that it lied about
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
		if l.told == nil {
			l.told = make(map[chainhash.Hash]bool)
		}
		l.told[m.StopHash] = true
		return []frame{frameOf(&m)}
	case f.command == wire.CmdCFilter && l.filterToo.Load():
		var m wire.MsgCFilter
		f.decode(&m)
		if !l.told[m.BlockHash] {
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
	return len(l.told)
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

// Against one honest peer, one that lies about filters gets nowhere, is dropped, and is named.
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
			c := openClient(t, t.TempDir(), n.p2p, liar.addr)
			startClient(t, c)
			waitAt(t, c, n)
			for round := range tt.rounds {
				lies.on.Store(false)
				waitFor(t, "both peers", func() bool { return len(c.connected()) == 2 })
				// What the coinbase alone is worth as evidence, the test below shows.
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

// neutrino does not look at the coinbase to see who is right about the filter of a block. So where
// there is nothing else, two peers that disagree are a draw: neither is believed, a person is told,
// and a third peer decides.
func TestTwoPeersThatDisagreeAboutAFilterAreNotBelieved(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	var lies filterLies
	lies.filterToo.Store(true)
	liar := newLiar(t, n.p2p, lies.lie, nil)
	third := newRelay(t, n.p2p)
	third.cut()
	dir := t.TempDir()
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

// The only peer lied about a filter header, and that was taken. The truth does not fit it any more,
// and neutrino bans all who tell it.
func TestAFalseFilterHeaderThatWasTakenIsToldOfAndCured(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	var lies filterLies
	lies.on.Store(true)
	lies.filterToo.Store(true)
	liar := newLiar(t, n.p2p, lies.lie, nil)
	dir := t.TempDir()
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
	var last uint64 // the connection at which the clock was set forward: without any peer, it is not the filters' fault
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

// A false answer to a question about one block is no answer. From an honest peer the true one comes
// within seconds, and from the liar alone none comes, for as long as the caller waits.
func TestFalseAnswersAreNotTaken(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(120)
	dir := syncedDir(t, n)
	// A block with a transaction that has a witness.
	c := openClient(t, copyDir(t, dir), n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	if err := c.Broadcast(t.Context(), spend(t, c, 2, 10_000)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the transaction in the mempool", func() bool {
		var ids []string
		n.call("getrawmempool", &ids)
		return len(ids) == 1
	})
	hash := n.mine(1)
	waitAt(t, c, n)
	truth, err := c.Block(t.Context(), hash)
	if err != nil || len(truth.Transactions) != 2 {
		t.Fatalf("block %v, %v", truth, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// falseBlock answers with a block that was changed.
	falseBlock := func(change func(b *wire.MsgBlock)) func(f frame) []frame {
		return func(f frame) []frame {
			if f.command != wire.CmdBlock {
				return []frame{f}
			}
			var b wire.MsgBlock
			f.decode(&b)
			change(&b)
			return []frame{frameOf(&b)}
		}
	}
	// instead answers with other messages.
	instead := func(command string, frames ...frame) func(f frame) []frame {
		return func(f frame) []frame {
			if f.command == command {
				return frames
			}
			return []frame{f}
		}
	}
	getBlock := func(ctx context.Context, c *Client) error {
		b, err := c.Block(ctx, hash)
		if err == nil && (b.BlockHash() != hash || b.Transactions[0].WitnessHash() != truth.Transactions[0].WitnessHash() ||
			b.Transactions[1].WitnessHash() != truth.Transactions[1].WitnessHash()) {
			t.Error("a false block was taken")
		}
		return err
	}
	touches := func(ctx context.Context, c *Client) error {
		yes, err := c.Touches(ctx, hash, [][]byte{anyoneCanSpend})
		if err == nil && !yes {
			t.Error("a false filter was taken")
		}
		return err
	}
	notFound := wire.NewMsgNotFound()
	_ = notFound.AddInvVect(wire.NewInvVect(wire.InvTypeWitnessBlock, &hash))
	for _, tt := range []struct {
		name                 string
		fromNode, fromClient func(f frame) []frame
		ask                  func(ctx context.Context, c *Client) error
		blame                string // what a person is told that the liar did
	}{
		{"a block with another output", falseBlock(func(b *wire.MsgBlock) { b.Transactions[1].TxOut[0].Value-- }), nil, getBlock, "invalid block"},
		{"a block with another coinbase", falseBlock(func(b *wire.MsgBlock) { b.Transactions[0].TxOut[0].PkScript = nil }), nil, getBlock, "invalid block"},
		{"a block with another witness", falseBlock(func(b *wire.MsgBlock) { b.Transactions[1].TxIn[0].Witness = wire.TxWitness{{1}, {2}} }), nil, getBlock, "invalid block"},
		{"a block without a transaction", falseBlock(func(b *wire.MsgBlock) { b.Transactions = b.Transactions[:1] }), nil, getBlock, "invalid block"},
		{"a block with a transaction twice", falseBlock(func(b *wire.MsgBlock) { b.Transactions = append(b.Transactions, b.Transactions[1]) }), nil, getBlock, "invalid block"},
		{"a block without witnesses", falseBlock(func(b *wire.MsgBlock) { b.Transactions[1].TxIn[0].Witness = nil }), nil, getBlock, "invalid block"},
		{"another block", falseBlock(func(b *wire.MsgBlock) { b.Header.Nonce++ }), nil, getBlock, ""},
		{"that it has no such block", instead(wire.CmdBlock, frameOf(notFound)), nil, getBlock, ""},
		{"no block", instead(wire.CmdBlock), nil, getBlock, ""},
		{"no ear for questions", nil, instead(wire.CmdGetData), getBlock, ""},
		{"a block that is garbage", instead(wire.CmdBlock, frame{wire.CmdBlock, []byte("garbage")}), nil, getBlock, ""},
		{"a false filter", func(f frame) []frame {
			if f.command == wire.CmdCFilter {
				data, _ := falseFilter(hash).NBytes()
				return []frame{frameOf(wire.NewMsgCFilter(wire.GCSFilterRegular, &hash, data))}
			}
			return []frame{f}
		}, nil, touches, ""},
		{"a filter that is garbage", func(f frame) []frame {
			if f.command == wire.CmdCFilter {
				return []frame{frameOf(wire.NewMsgCFilter(wire.GCSFilterRegular, &hash, []byte{0xff, 1, 2}))}
			}
			return []frame{f}
		}, nil, touches, ""},
		{"no filter", nil, instead(wire.CmdGetCFilters), touches, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			liar := newLiar(t, n.p2p, tt.fromNode, tt.fromClient)
			honest := newRelay(t, n.p2p)
			honest.cut()
			c := openClient(t, copyDir(t, dir), liar.addr, honest.addr)
			startClient(t, c)
			waitAt(t, c, n)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := tt.ask(ctx, c); err == nil {
				t.Error("the liar alone gave an answer")
			}
			cancel()
			if tt.blame != "" {
				waitFor(t, "a warning that names the liar and what it did", func() bool { return warned(c, liar.addr, tt.blame) })
			}
			honest.mend()
			waitFor(t, "the honest peer", func() bool {
				return slices.ContainsFunc(c.Status().Peers, func(p Peer) bool { return p.Address == honest.addr })
			})
			start := time.Now()
			ctx, cancel = context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := tt.ask(ctx, c); err != nil {
				t.Errorf("beside an honest peer: %v", err)
			}
			t.Logf("answered after %v", time.Since(start).Round(time.Millisecond))
		})
	}
}

// neutrino takes headers only from the peer that claims the most blocks, until it is where that
// peer claims to be.
func TestAPeerThatClaimsBlocksThatDoNotExistIsDropped(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	liar := newLiar(t, n.p2p, func(f frame) []frame {
		switch f.command {
		case wire.CmdVersion:
			var m wire.MsgVersion
			f.decode(&m)
			m.LastBlock = 1_000_000
			return []frame{frameOf(&m)}
		case wire.CmdHeaders:
			return []frame{frameOf(wire.NewMsgHeaders())}
		}
		return []frame{f}
	}, nil)
	honest := newRelay(t, n.p2p)
	honest.cut()
	c := openClient(t, t.TempDir(), liar.addr, honest.addr)
	k := setClock(c)
	startClient(t, c)
	waitFor(t, "the liar", func() bool { return len(c.connected()) == 1 && c.Status().TargetHeight == 1_000_000 })
	honest.mend()
	waitFor(t, "both peers", func() bool { return len(c.connected()) == 2 })
	k.forward(stalled)
	waitAt(t, c, n) // though the liar is connected again, and claims the same
	for range 2 {
		n.mine(1)
		waitAt(t, c, n)
	}
	waitFor(t, "both peers", func() bool { return len(c.connected()) == 2 })
	if s := c.Status(); s.TargetHeight != n.height() {
		t.Errorf("the liar is believed again: %d", s.TargetHeight)
	}
}

// A peer that stops talking in the middle of everything costs time, and nothing else.
func TestAPeerThatFallsSilentIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	var silent atomic.Bool
	swallow := func(f frame) []frame {
		if silent.Load() {
			return nil
		}
		return []frame{f}
	}
	mute := newLiar(t, n.p2p, swallow, swallow)
	honest := newRelay(t, n.p2p)
	honest.cut()
	c := openClient(t, t.TempDir(), mute.addr, honest.addr)
	k := setClock(c)
	startClient(t, c)
	waitAt(t, c, n)
	silent.Store(true)
	honest.mend()
	waitFor(t, "both peers", func() bool { return len(c.connected()) == 2 })

	start := time.Now()
	for height := int32(1); height <= 5; height++ {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, err := c.Block(ctx, n.hashAt(height)); err != nil {
			t.Errorf("block at %d: %v", height, err)
		}
		if _, err := c.Touches(ctx, n.hashAt(height), [][]byte{anyoneCanSpend}); err != nil {
			t.Errorf("filter at %d: %v", height, err)
		}
		cancel()
	}
	t.Logf("five blocks and filters in %v", time.Since(start).Round(time.Millisecond))
	start = time.Now()
	n.mine(1)
	waitFor(t, "the next block", func() bool {
		_, hash, err := c.Best()
		return err == nil && hash == n.hashAt(21)
	})
	t.Logf("the next block after %v", time.Since(start).Round(time.Millisecond))
	k.forward(stalled)
	n.mine(1)
	waitAt(t, c, n)
}

// What takes connections and is no node of the network is told of by its address, and harms nobody.
func TestAPeerThatIsNoNodeIsNamed(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	for _, tt := range []struct {
		name  string
		greet []byte
		hold  bool
	}{
		{"it speaks another protocol", []byte("SSH-2.0-OpenSSH_9.6\r\n"), true},
		{"it is of another network", append([]byte{0xf9, 0xbe, 0xb4, 0xd9}, frameOf(wire.NewMsgVerAck()).bytes()[4:]...), true},
		{"it says nothing", nil, true},
		{"it hangs up", nil, false},
		{"it sends zeros", make([]byte, 100_000), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			defer l.Close()
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write(tt.greet)
					if !tt.hold {
						conn.Close()
						continue
					}
					wg.Add(1)
					go func() { // until the client hangs up
						defer wg.Done()
						_, _ = conn.Read(make([]byte, 1))
						for {
							if _, err := conn.Read(make([]byte, 1<<16)); err != nil {
								conn.Close()
								return
							}
						}
					}()
				}
			}()
			c := openClient(t, t.TempDir(), l.Addr().String(), n.p2p)
			k := setClock(c)
			startClient(t, c)
			waitAt(t, c, n)
			k.forward(handshakeWarning)
			waitFor(t, "a warning that names the peer", func() bool { return warned(c, l.Addr().String(), "regtest", "check its host and port") })
			if warned(c, n.p2p) {
				t.Errorf("the good peer is blamed: %q", c.Status().Warnings)
			}
			if _, err := c.Block(t.Context(), n.hashAt(3)); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
