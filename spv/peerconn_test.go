package spv

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/peer"
	"github.com/btcsuite/btcd/wire/v2"
)

// testDialer returns a dialer that knows one configured peer, "stranger:1", and small limits.
func testDialer(t *testing.T) *dialer {
	t.Helper()
	cp := &configuredPeer{addr: "stranger:1", known: "stranger:1"}
	limits := defaultPeerLimits()
	limits.writeTimeout = 200 * time.Millisecond
	d := &dialer{ctx: t.Context(), log: slog.New(slog.DiscardHandler), magic: chaincfg.RegressionNetParams.Net, now: time.Now,
		open: make(map[*peerConn]struct{}), limits: limits, byAddr: map[string]*configuredPeer{cp.known: cp}}
	t.Cleanup(d.closeAll)
	return d
}

// stranger is the far side of a connection whose near side is btcd's peer. The two have shaken
// hands. Nothing is buffered between them: if one does not read, the other cannot write.
type stranger struct {
	net.Conn
	near *peer.Peer
}

func newStranger(t *testing.T, d *dialer) *stranger {
	t.Helper()
	// The first client sets the logger of btcd's peers, which must not be running yet.
	if err := madeOnce(); err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	t.Cleanup(func() { there.Close() })
	ready := make(chan struct{})
	tx := wire.NewMsgTx(2)
	p, err := peer.NewOutboundPeer(&peer.Config{
		ChainParams: &chaincfg.RegressionNetParams, UserAgentName: "test", UserAgentVersion: "0",
		Listeners: peer.MessageListeners{
			OnVerAck: func(*peer.Peer, *wire.MsgVerAck) { close(ready) },
			// As neutrino does.
			OnInv: func(p *peer.Peer, m *wire.MsgInv) {
				_ = p.PushGetHeadersMsg([]*chainhash.Hash{&m.InvList[0].Hash}, &m.InvList[0].Hash)
			},
			OnGetData: func(p *peer.Peer, m *wire.MsgGetData) {
				for range m.InvList {
					p.QueueMessage(tx, nil)
				}
			},
		},
	}, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Disconnect)
	p.AssociateConnection(d.wrap(here, "stranger:1"))
	s := &stranger{there, p}
	read := func() wire.Message {
		m, _, err := wire.ReadMessage(there, wire.ProtocolVersion, wire.TestNet)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	version := *read().(*wire.MsgVersion)
	version.Nonce++ // else it looks like a connection to oneself
	for _, m := range []wire.Message{&version, wire.NewMsgVerAck()} {
		if m.Command() == wire.CmdVerAck {
			for read().Command() != wire.CmdVerAck {
			}
		}
		if err := s.say(frameOf(m)); err != nil {
			t.Fatal(err)
		}
	}
	<-ready
	return s
}

func (s *stranger) say(f frame) error {
	_, err := s.Write(f.bytes())
	return err
}

// wantHungUp has the stranger say something again and again until the connection is closed.
func (s *stranger) wantHungUp(t *testing.T, d *dialer, say func(i int) frame) {
	t.Helper()
	const most = 30_000 // far more than the allowance; each costs the near side some hundred bytes
	for i := range most {
		if s.say(say(i)) != nil {
			<-s.near.Done()
			if n := d.abusers.Load(); n != 1 {
				t.Errorf("%d peers were counted as abusive, want 1", n)
			}
			if drops := d.byAddr["stranger:1"].drops; drops != 1 {
				t.Errorf("the configured peer was noted as dropped %d times, want 1", drops)
			}
			return
		}
	}
	t.Fatalf("a peer that reads nothing could send %d messages", most)
}

// numbered returns a different hash for each number.
func numbered(i int) *chainhash.Hash {
	h := chainhash.HashH([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	return &h
}

// Each of these has btcd or neutrino queue an answer. The stranger reads none.
func TestAPeerThatAsksAndNeverReadsIsHungUpOn(t *testing.T) {
	t.Parallel()
	manyTimes := wire.NewMsgGetData()
	for range 50 {
		_ = manyTimes.AddInvVect(wire.NewInvVect(wire.InvTypeTx, numbered(1)))
	}
	for _, tt := range []struct {
		name string
		say  func(i int) frame
	}{
		{"pings", func(i int) frame { return frameOf(wire.NewMsgPing(uint64(i))) }},
		{"announced blocks", func(i int) frame {
			inv := wire.NewMsgInv()
			_ = inv.AddInvVect(wire.NewInvVect(wire.InvTypeBlock, numbered(i)))
			return frameOf(inv)
		}},
		{"questions for one transaction", func(int) frame { return frameOf(manyTimes) }},
	} {
		for _, headersOnly := range []bool{false, true} {
			name := tt.name + map[bool]string{true: ", headers only"}[headersOnly]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := testDialer(t)
				d.headersOnly = headersOnly
				newStranger(t, d).wantHungUp(t, d, tt.say)
			})
		}
	}
}

// It reads a byte now and then, so its connection is never stuck for long.
func TestAPeerThatReadsTooSlowlyIsHungUpOn(t *testing.T) {
	t.Parallel()
	d := testDialer(t)
	d.limits.maxUnsent = 64 << 10
	d.limits.writeTimeout = time.Hour
	d.limits.allowance = allowance{messages: 1 << 20, messagesPerSecond: 1 << 20, bytes: 1 << 30, bytesPerSecond: 1 << 30}
	s := newStranger(t, d)
	s.wantHungUp(t, d, func(i int) frame {
		if i%100 == 99 {
			_, _ = s.Read(make([]byte, 1))
		}
		return frameOf(wire.NewMsgPing(uint64(i)))
	})
}

// A large message that was not asked for is refused by its header, before its payload is read.
func TestALargeMessageThatWasNotAskedForIsNotRead(t *testing.T) {
	t.Parallel()
	for _, command := range []string{wire.CmdBlock, wire.CmdInv, wire.CmdGetData, wire.CmdTx, "unknown"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			d := testDialer(t)
			s := newStranger(t, d)
			header := frame{command, make([]byte, 1<<20)}.bytes()[:frameHeader]
			if _, err := s.Write(header); err == nil {
				<-s.near.Done()
			}
			if n := d.abusers.Load(); n != 1 {
				t.Errorf("%d peers were counted as abusive, want 1", n)
			}
		})
	}
}

// A peer that reads is answered, however much it sends. It is slowed down, and not disconnected.
func TestAPeerThatReadsIsAnswered(t *testing.T) {
	t.Parallel()
	d := testDialer(t)
	d.limits.allowance.messagesPerSecond = 10_000
	d.limits.writeTimeout = patience // it reads at once, on a machine that is not busy
	s := newStranger(t, d)
	const pings = 5000 // more than the allowance
	pongs := make(chan int, 1)
	go func() { // ends when the connection is closed
		n := 0
		defer func() { pongs <- n }()
		for n < pings {
			m, _, err := wire.ReadMessage(s, wire.ProtocolVersion, wire.TestNet)
			if err != nil {
				return
			}
			if m.Command() == wire.CmdPong {
				n++
			}
		}
	}()
	for i := range pings {
		if err := s.say(frameOf(wire.NewMsgPing(uint64(i)))); err != nil {
			t.Fatalf("ping %d: %v", i, err)
		}
	}
	if n := <-pongs; n != pings {
		t.Errorf("%d pings got %d pongs", pings, n)
	}
}

func TestAnswersAreTakenAsOftenAsTheyWereAskedFor(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	blocks := wire.NewMsgGetData()
	for i := range 3 {
		_ = blocks.AddInvVect(wire.NewInvVect(wire.InvTypeWitnessBlock, numbered(i)))
	}
	for _, tt := range []struct {
		ask    wire.Message
		answer string
		length uint32
		times  int
	}{
		{wire.NewMsgGetHeaders(), wire.CmdHeaders, 2000*81 + 3, 1},
		{&wire.MsgGetCFHeaders{}, wire.CmdCFHeaders, 2000*32 + 68, 1},
		{&wire.MsgGetCFCheckpt{}, wire.CmdCFCheckpt, 1000*32 + 36, 1},
		{&wire.MsgGetCFilters{}, wire.CmdCFilter, wire.MaxCFilterDataSize, 1000},
		{blocks, wire.CmdBlock, wire.MaxBlockPayload, 3},
	} {
		g := newInboundLimit(allowance{messages: 1, bytes: 100}) // nothing comes back
		f := frameOf(tt.ask)
		g.asked(f.command, uint32(len(f.payload)))
		for i := range tt.times {
			if wait, err := g.admit(now, tt.answer, tt.length); wait != 0 || err != nil {
				t.Fatalf("%s, answer %d of %d: wait %v, %v", tt.answer, i+1, tt.times, wait, err)
			}
		}
		if _, err := g.admit(now, tt.answer, tt.length); err == nil {
			t.Errorf("%s: one more than was asked for is taken", tt.answer)
		}
		for range 10_000 {
			g.asked(f.command, uint32(len(f.payload)))
		}
		if owed := g.owed[tt.answer]; owed > 4*wire.MaxGetCFiltersReqRange {
			t.Errorf("%s: %d answers are owed by a peer that never answers", tt.answer, owed)
		}
	}
}

func TestWhatWasNotAskedForIsTakenFromTheAllowance(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	g := newInboundLimit(allowance{messages: 10, messagesPerSecond: 2, bytes: 1000, bytesPerSecond: 100})
	take := func(length uint32, want time.Duration) {
		t.Helper()
		if wait, err := g.admit(now, wire.CmdPing, length); wait != want || err != nil {
			t.Errorf("wait %v, %v; want %v", wait, err, want)
		}
	}
	for range 10 {
		take(8, 0)
	}
	take(8, time.Second/2)
	take(8, time.Second)
	now = now.Add(time.Hour)
	take(1000-frameHeader, 0)
	take(100-frameHeader, time.Second)
}

// Bytes that are not a message of the network use up the allowance too.
func TestWhatIsNoMessageIsTakenFromTheAllowanceToo(t *testing.T) {
	t.Parallel()
	d := testDialer(t)
	here, there := net.Pipe()
	defer there.Close()
	d.limits.allowance = allowance{messages: 1 << 20, messagesPerSecond: 1, bytes: 10_000, bytesPerSecond: 1}
	conn := d.wrap(here, "stranger:1")
	go func() { _, _ = io.Copy(there, bytes.NewReader(bytes.Repeat([]byte{0x5a}, 1<<20))) }() // ends with there
	got := make([]byte, 0, 1<<20)
	for len(got) <= 10_000 {
		b := make([]byte, 4096)
		now := time.Now()
		d.now = func() time.Time { return now }
		h := conn.(*peerConn)
		if len(got) >= 8192 {
			h.cancel() // so that the wait, of more than an hour, ends
		}
		n, err := conn.Read(b)
		if err != nil {
			break
		}
		got = append(got, b[:n]...)
	}
	if len(got) > 10_000 {
		t.Errorf("%d bytes were taken, and the allowance is 10,000", len(got))
	}
	if !slices.Contains(got, 0x5a) {
		t.Error("nothing was taken")
	}
}
