package spv

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// said returns the fee filters in bytes that come in pieces of a size.
func said(stream []byte, size int) (found []int64, lost bool) {
	f := frameScanner{magic: chaincfg.RegressionNetParams.Net}
	for piece := range slices.Chunk(stream, size) {
		f.scan(piece, func(v int64) { found = append(found, v) })
	}
	return found, f.lost
}

func TestFeeFiltersAreFoundInPiecesOfAnySize(t *testing.T) {
	t.Parallel()
	block := frameOf(wire.NewMsgBlock(&wire.BlockHeader{}))
	block.payload = append(block.payload, bytes.Repeat(frameOf(wire.NewMsgFeeFilter(7)).bytes(), 30)...)
	var stream []byte
	for _, f := range []frame{
		frameOf(wire.NewMsgVerAck()), // has no payload
		frameOf(wire.NewMsgFeeFilter(1000)),
		block,
		frameOf(wire.NewMsgFeeFilter(0)),
		frameOf(wire.NewMsgFeeFilter(-1)),
		{"feefilter", make([]byte, 9)}, // not of its size: neutrino hangs up
		frameOf(wire.NewMsgFeeFilter(math.MaxInt64)),
		{"feefilterxyz", []byte("12345678")},
	} {
		stream = append(stream, f.bytes()...)
	}
	for size := 1; size <= len(stream); size++ {
		if got, lost := said(stream, size); lost || !slices.Equal(got, []int64{1000, 0, -1, math.MaxInt64}) {
			t.Fatalf("in pieces of %d: %v, lost %v", size, got, lost)
		}
	}
}

func TestWhatIsNoMessageEndsTheSearchForFeeFilters(t *testing.T) {
	t.Parallel()
	good := frameOf(wire.NewMsgFeeFilter(1000)).bytes()
	spoil := func(at int, b byte) []byte {
		s := slices.Clone(good)
		s[at] ^= b
		return s
	}
	long := slices.Clone(good)
	binary.LittleEndian.PutUint32(long[16:], wire.MaxMessagePayload+1)
	for _, tt := range []struct {
		name   string
		stream []byte
	}{
		{"another network", spoil(0, 1)},
		{"an encrypted connection", bytes.Repeat([]byte{0x5a, 0x13, 0xc7}, 30)},
		{"a payload that is too long", long},
		{"a wrong checksum", spoil(20, 1)},
		{"a value that the checksum does not fit", spoil(24, 1)},
	} {
		if got, lost := said(append(tt.stream, good...), 5); len(got) > 0 || !lost {
			t.Errorf("%s: %v, lost %v", tt.name, got, lost)
		}
	}
}

// Any bytes, in any pieces: the same is found as in one piece, and all of it was in the bytes.
func FuzzFeeFilters(f *testing.F) {
	f.Add(frameOf(wire.NewMsgFeeFilter(1000)).bytes(), 3)
	f.Add(append(frameOf(wire.NewMsgPing(5)).bytes(), frameOf(wire.NewMsgFeeFilter(2)).bytes()...), 7)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		whole, lost := said(stream, max(len(stream), 1))
		pieces, lostToo := said(stream, max(size, 1))
		if !slices.Equal(whole, pieces) || lost != lostToo {
			t.Errorf("whole: %v, %v; in pieces of %d: %v, %v", whole, lost, size, pieces, lostToo)
		}
		for _, v := range whole {
			if !bytes.Contains(stream, frameOf(wire.NewMsgFeeFilter(v)).bytes()) {
				t.Errorf("%d was not said", v)
			}
		}
	})
}

// A node sends its fee filter once, right after the handshake. Later ones come after ten minutes,
// if at all.
func TestTheFirstFeeFilterOfANodeIsHeard(t *testing.T) {
	t.Parallel()
	n := newNode(t, "bitcoind", "-minrelaytxfee=0.00003", "-incrementalrelayfee=0.00003")
	r := newRelay(t, n.p2p)
	c := openClient(t, newDir(t), r.addr)
	startClient(t, c)
	known := c.peers.configured[0].known

	// A node that syncs itself wants no transactions. That is no price.
	heard := func() int64 {
		c.peers.mu.Lock()
		defer c.peers.mu.Unlock()
		for h := range c.peers.open {
			return h.satPerKvB.Load()
		}
		return noFeeFilter
	}
	waitFor(t, "a fee filter that is no price", func() bool { return heard() >= noRelay })
	waitFor(t, "the peer", func() bool { return len(c.connected()) == 1 })
	if f, err := c.Fees(t.Context()); err != nil || f.Floor != 1 || f.FloorPeers != 0 || f.Estimate != 1 || len(f.Blocks) != 0 {
		t.Errorf("while the node syncs: %+v, %v", f, err)
	}
	// It asks for 3 sat/vB, or, since it blurs what it says, for a little more.
	floorIsKnown := func() bool {
		f, err := c.Fees(t.Context())
		return err == nil && f.FloorPeers == 1 && (f.Floor == 3 || f.Floor == 4)
	}
	n.mine(30)
	waitAt(t, c, n)
	waitFor(t, "the floor, when the node has synced", floorIsKnown)

	for range 5 {
		r.cut()
		waitFor(t, "the peer gone", func() bool { return len(c.connected()) == 0 })
		if f, _ := c.Fees(t.Context()); f.FloorPeers != 0 || f.Floor != 1 {
			t.Errorf("the peer is gone, and its floor stays: %+v", f)
		}
		if v, told := c.peers.feeFilter(known); told {
			t.Errorf("fee filter of a lost peer: %d", v)
		}
		r.mend()
		waitFor(t, "the first fee filter on a new connection", floorIsKnown)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if len(c.peers.open) != 0 {
		t.Errorf("%d connections are still listened to", len(c.peers.open))
	}
}

func TestOnePeerCannotMoveTheFloorOfThree(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(10)
	says := func(satPerKvB int64) *relay {
		return newLiar(t, n.p2p, func(f frame) []frame {
			if f.command == wire.CmdVerAck {
				return []frame{f, frameOf(wire.NewMsgFeeFilter(satPerKvB))}
			}
			return []frame{f}
		}, nil)
	}
	for _, tt := range []struct {
		name   string
		values []int64
		floor  int64
		told   int
	}{
		{"nobody says a thing", nil, 1, 0},
		{"one", []int64{12_000}, 12, 1},
		{"rounded up", []int64{12_001}, 13, 1},
		{"less than a satoshi", []int64{100}, 1, 1},
		{"nothing", []int64{0}, 1, 1},
		{"two, the lower one", []int64{30_000, 2000}, 2, 2},
		{"three, one of which asks for too much", []int64{2000, 8_999_000, 3000}, 3, 3},
		{"three, one of which asks for nothing", []int64{2000, 0, 3000}, 2, 3},
		{"one that wants no transactions", []int64{9_170_997, 2_100_000_000_000_000, 2000}, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			peers := []string{n.p2p} // says none
			for _, v := range tt.values {
				peers = append(peers, says(v).addr)
			}
			c := openClient(t, newDir(t), peers...)
			startClient(t, c)
			waitAt(t, c, n)
			waitFor(t, "all peers, and what they say", func() bool {
				_, told := c.floor()
				return len(c.connected()) == len(peers) && told == tt.told
			})
			f, err := c.Fees(t.Context())
			if err != nil || f.Floor != tt.floor || f.FloorPeers != tt.told {
				t.Errorf("%+v, %v; want floor %d of %d peers", f, err, tt.floor, tt.told)
			}
			if estimate, floor, err := c.FeeRates(t.Context()); estimate != 1 || floor != tt.floor || err != nil {
				t.Errorf("rates %d, %d, %v", estimate, floor, err)
			}
		})
	}
}

// An impossible value counts as none. neutrino disconnects from a peer that sends one.
func TestAFeeFilterThatCannotBeIsIgnored(t *testing.T) {
	t.Parallel()
	for _, v := range []int64{-1, math.MinInt64, math.MaxInt64, 21_000_000*1e8 + 1} {
		d := &dialer{ctx: t.Context(), magic: chaincfg.RegressionNetParams.Net, open: make(map[*peerConn]struct{}), limits: defaultPeerLimits()}
		h := d.wrap(nil, "peer").(*peerConn)
		h.frames.scan(frameOf(wire.NewMsgFeeFilter(v)).bytes(), h.satPerKvB.Store)
		if got, told := d.feeFilter("peer"); told {
			t.Errorf("%d is taken for %d", v, got)
		}
		h.frames.scan(frameOf(wire.NewMsgFeeFilter(5)).bytes(), h.satPerKvB.Store)
		if got, told := d.feeFilter("peer"); !told || got != 5 {
			t.Errorf("a good value after a bad one: %d, %v", got, told)
		}
	}
}
