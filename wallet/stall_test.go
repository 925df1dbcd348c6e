package wallet_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/wallet"

	"github.com/btcsuite/btcd/wire/v2"
)

// If no peer sends a block, btcwallet's rescan ends for good, and btcwallet still reports that it
// is synced.
func TestADeadRescanIsRevived(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	proxy := startProxy(t, node.P2P())
	r := start(t, node, startClient(t, proxy.addr), t.TempDir(), func(c *wallet.Config) {
		c.StallAfter = 5 * time.Second
		c.CallTimeout = 5 * time.Second
	})
	r.createFunded(deposit)

	proxy.mute.Store(true)
	r.fund(50_000)
	r.await("a rescan dies", func() string {
		if !strings.Contains(proxy.seen(), "getdata") {
			return "no block was asked for"
		}
		if r.Revivals() < 1 {
			return "no revival"
		}
		return ""
	})
	// Coins are not chosen by what the wallet knew before, though it may still call itself ready.
	if _, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 1, LockTime: 0}); !errors.Is(err, wallet.ErrSyncing) {
		t.Errorf("a wallet that stays behind builds an anchor: %v, want %v", err, wallet.ErrSyncing)
	}

	proxy.mute.Store(false)
	r.awaitBalance(wallet.Balance{Confirmed: deposit + 50_000, Spendable: deposit + 50_000})

	// It is still unlocked, and pays.
	r.await("an anchor is built", func() string {
		_, _, err := r.BuildAnchor(t.Context(), wallet.AnchorOrder{Root: [32]byte{1}, SatPerVByte: 1, LockTime: 0})
		return complaint(err)
	})
	// It goes on following blocks, old and new addresses.
	r.fund(70_000)
	r.await("a later deposit", func() string {
		b, err := r.Balance(t.Context())
		if err != nil || b.Confirmed != deposit+120_000 {
			return complaint(err) + " not there"
		}
		return ""
	})
}

// proxy is between the light client and its peer, and can drop requests for blocks and
// transactions.
type proxy struct {
	addr string
	mute atomic.Bool

	mu      sync.Mutex
	dropped []string
}

func (p *proxy) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.dropped, " ")
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			wg.Go(func() { defer out.Close(); p.forward(out, in) })
			wg.Go(func() { defer in.Close(); _, _ = io.Copy(in, out) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return p
}

// forward passes whole messages on: a header of 24 bytes (magic, command, length, checksum), then
// the payload.
func (p *proxy) forward(to io.Writer, from io.Reader) {
	header := make([]byte, wire.MessageHeaderSize)
	for {
		if _, err := io.ReadFull(from, header); err != nil {
			return
		}
		payload := make([]byte, binary.LittleEndian.Uint32(header[16:]))
		if _, err := io.ReadFull(from, payload); err != nil {
			return
		}
		command := strings.TrimRight(string(header[4:16]), "\x00")
		if p.mute.Load() && command == wire.CmdGetData {
			p.mu.Lock()
			p.dropped = append(p.dropped, command)
			p.mu.Unlock()
			continue
		}
		if _, err := to.Write(append(header[:len(header):len(header)], payload...)); err != nil {
			return
		}
	}
}
