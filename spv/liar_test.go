package spv

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
)

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
	c := openClient(t, newDir(t), liar.addr, honest.addr)
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

// A peer that stops sending in the middle of everything costs time, and nothing else.
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
	c := openClient(t, newDir(t), mute.addr, honest.addr)
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

// A server that accepts connections and is not a node of the network is named in a warning, and
// does no harm.
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
			c := openClient(t, newDir(t), l.Addr().String(), n.p2p)
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
