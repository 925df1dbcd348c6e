package spv

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
)

func openHeadersOnly(t *testing.T, dir string, peers ...string) *Client {
	t.Helper()
	return openConfig(t, Config{Dir: dir, Connect: peers, HeadersOnly: true})
}

// syncHeaders syncs headers only, in a client of its own, which is closed again.
func syncHeaders(t *testing.T, dir string, peers ...string) {
	t.Helper()
	c := openHeadersOnly(t, dir, peers...)
	if err := c.SyncHeaders(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantHeaders checks that the file holds the node's chain.
func wantHeaders(t *testing.T, dir string, n *node) {
	t.Helper()
	tip := int64(n.height())
	info, err := os.Stat(HeadersFile(dir))
	if err != nil || info.Size() != (tip+1)*headerSize {
		t.Fatalf("%v, %v; want %d headers", info, err, tip+1)
	}
	headers, err := readHeaders(HeadersFile(dir), 0, tip+1)
	if err != nil {
		t.Fatal(err)
	}
	if got := headers[tip].BlockHash(); got != n.hashAt(int32(tip)) {
		t.Errorf("block %d is %s, the node has %s", tip, got, n.hashAt(int32(tip)))
	}
}

// Headers come without any filter, are kept from run to run, and follow a reorganisation between
// two runs.
func TestHeadersAreKeptBetweenRuns(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(2500)
	var asked atomic.Int32
	noFilters := newLiar(t, n.p2p, nil, func(f frame) []frame {
		if f.command == wire.CmdGetCFHeaders || f.command == wire.CmdGetCFCheckpt || f.command == wire.CmdGetCFilters {
			asked.Add(1)
		}
		return []frame{f}
	})
	dir := t.TempDir()
	var have, want int32
	c := openHeadersOnly(t, dir, noFilters.addr)
	if err := c.SyncHeaders(t.Context(), func(h, w int32) { have, want = h, w }); err != nil {
		t.Fatal(err)
	}
	if have != 2500 || want != 2500 {
		t.Errorf("told of %d headers of %d", have, want)
	}
	if err := c.SyncHeaders(t.Context(), nil); err == nil {
		t.Error("synced twice")
	}
	if err := c.Start(t.Context()); err == nil {
		t.Error("started, though it is for headers only")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, dir, n)

	syncHeaders(t, dir, noFilters.addr) // nothing is new
	wantHeaders(t, dir, n)

	for round := range 2 {
		n.call("invalidateblock", nil, n.hashAt(2498).String())
		n.mine(4 + round) // more than there were
		syncHeaders(t, dir, noFilters.addr)
		wantHeaders(t, dir, n)
	}

	if n := asked.Load(); n > 0 {
		t.Errorf("asked for filters %d times", n)
	}
	if err := c.SyncHeaders(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
}

func TestHeadersWithoutAPeer(t *testing.T) {
	t.Parallel()
	c := openHeadersOnly(t, newDir(t))
	if err := c.SyncHeaders(t.Context(), nil); !errors.Is(err, ErrNoPeers) || !strings.Contains(err.Error(), "spv.connect") {
		t.Errorf("none configured: %v", err)
	}
	nobody := freePort(t)
	c = openHeadersOnly(t, newDir(t), nobody)
	c.limits.findPeers = 2 * minRedial
	if err := c.SyncHeaders(t.Context(), nil); !errors.Is(err, ErrNoPeers) || !strings.Contains(err.Error(), "peer "+nobody+" cannot be reached") {
		t.Errorf("nobody there: %v", err)
	}
	c = openHeadersOnly(t, newDir(t), nobody)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.SyncHeaders(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("interrupted: %v", err)
	}
}

// SyncHeaders does not wait endlessly for a peer that announces blocks and sends no headers, or
// false ones.
func TestHeadersThatDoNotCome(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	for name, lie := range map[string]func(f frame) []frame{
		"it sends none": func(f frame) []frame { return []frame{frameOf(wire.NewMsgHeaders())} },
		"it sends some without work": func(f frame) []frame {
			var m wire.MsgHeaders
			f.decode(&m)
			for _, h := range m.Headers {
				h.Nonce++
			}
			return []frame{frameOf(&m)}
		},
		"it sends some of another chain": func(f frame) []frame {
			var m wire.MsgHeaders
			f.decode(&m)
			m.Headers = m.Headers[min(3, len(m.Headers)):]
			return []frame{frameOf(&m)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			liar := newLiar(t, n.p2p, func(f frame) []frame {
				if f.command != wire.CmdHeaders || bytes.Equal(f.payload, []byte{0}) {
					return []frame{f}
				}
				return lie(f)
			}, nil)
			dir := newDir(t)
			c := openHeadersOnly(t, dir, liar.addr)
			c.limits.stall, c.limits.findPeers = 3*time.Second, 20*time.Second
			if err := c.SyncHeaders(t.Context(), nil); !errors.Is(err, ErrStalled) && !errors.Is(err, ErrNoPeers) {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			syncHeaders(t, dir, n.p2p)
			wantHeaders(t, dir, n)
		})
	}
}

// The headers are not up to date if the peer that is ahead is not connected yet.
func TestHeadersWaitForASecondOpinion(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(30)
	behind := newLiar(t, n.p2p, func(f frame) []frame {
		switch f.command {
		case wire.CmdVersion:
			var m wire.MsgVersion
			f.decode(&m)
			m.LastBlock = 10
			return []frame{frameOf(&m)}
		case wire.CmdHeaders:
			var m wire.MsgHeaders
			f.decode(&m)
			m.Headers = m.Headers[:min(10, len(m.Headers))]
			return []frame{frameOf(&m)}
		}
		return []frame{f}
	}, nil)
	ahead := newRelay(t, n.p2p)
	ahead.cut()
	dir := newDir(t)
	c := openHeadersOnly(t, dir, behind.addr, ahead.addr)
	c.limits.secondPeer = patience
	mended := false
	if err := c.SyncHeaders(t.Context(), func(have, _ int32) {
		if have == 10 && !mended {
			mended = true
			ahead.mend()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, dir, n)
}

// On a public network an old tip means that the peers are cut off, or that the clock is wrong.
func TestAnOldTipOfStrangersIsNotTakenForTheNewest(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	c := openHeadersOnly(t, newDir(t), n.p2p)
	k := strangers(c)
	k.forward(freshTip + time.Hour)
	c.limits.findPeers = 3 * time.Second
	if err := c.SyncHeaders(t.Context(), nil); !errors.Is(err, ErrStale) {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	dir := newDir(t)
	c = openHeadersOnly(t, dir, n.p2p)
	strangers(c)
	if err := c.SyncHeaders(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := Open(Config{Params: c.cfg.Params, Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}
