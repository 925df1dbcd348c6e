package spv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/internal/warning"
)

// socks is a SOCKS5 server that records its requests, and connects to where the test wants.
type socks struct {
	listener net.Listener
	resolves bool              // Tor's extension
	routes   map[string]string // host:port as asked for, to where it leads

	mu    sync.Mutex
	asked []string // "connect HOST:PORT", "resolve HOST"; names and addresses as they came
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func newSocks(t *testing.T, resolves bool, routes map[string]string) *socks {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socks{listener: l, resolves: resolves, routes: routes, conns: make(map[net.Conn]struct{})}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Add(1)
			go func() {
				defer s.wg.Done()
				defer conn.Close()
				s.mu.Lock()
				s.conns[conn] = struct{}{}
				s.mu.Unlock()
				_ = s.serve(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *socks) addr() string { return s.listener.Addr().String() }

func (s *socks) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *socks) serve(conn net.Conn) error {
	var hello [2]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, hello[1])); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{5, 0}); err != nil {
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	size := map[byte]int{1: 4, 4: 16}[head[3]]
	if head[3] == 3 {
		var n [1]byte
		if _, err := io.ReadFull(conn, n[:]); err != nil {
			return err
		}
		size = int(n[0])
	}
	raw := make([]byte, size+2)
	if _, err := io.ReadFull(conn, raw); err != nil {
		return err
	}
	host, port := string(raw[:size]), binary.BigEndian.Uint16(raw[size:])
	if head[3] != 3 {
		host = net.IP(raw[:size]).String()
	}

	reply := func(code byte, ip net.IP) error {
		_, err := conn.Write(append(append([]byte{5, code, 0, 1}, ip.To4()...), 0, 0))
		return err
	}
	switch head[1] {
	case 0xf0:
		s.note("resolve " + host)
		if !s.resolves {
			return reply(7, net.IPv4zero)
		}
		return reply(0, net.IPv4(203, 0, 113, 9))
	case 1:
		target := net.JoinHostPort(host, fmt.Sprint(port))
		s.note("connect " + target)
		out, err := net.Dial("tcp", s.routes[target])
		if err != nil {
			return reply(5, net.IPv4zero)
		}
		defer out.Close()
		if err := reply(0, net.IPv4zero); err != nil {
			return err
		}
		both(conn, out)
		return nil
	}
	return reply(7, net.IPv4zero)
}

func (s *socks) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

func TestEverythingGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(30)
	// A listener at the address of one of the peers. No connection may reach it: the proxy leads
	// elsewhere.
	trap := newRelay(t, n.p2p)
	const named = "node.example.invalid:18444"
	const onion = "v7ajjeirttkbnt32wpy3c6w3emwnfr3fkla7hpxcfokr3ysd3kqtzmqd.onion:38333"
	s := newSocks(t, true, map[string]string{named: n.p2p, onion: n.p2p, trap.addr: n.p2p})
	c := openConfig(t, Config{Dir: newDir(t), Proxy: s.addr(), Connect: []string{"node.example.invalid", onion}, AddPeers: []string{trap.addr}})
	startClient(t, c)
	waitAt(t, c, n)
	waitFor(t, "three peers, by the names they were configured with", func() bool {
		var got []string
		for _, p := range c.Status().Peers {
			got = append(got, p.Address)
		}
		want := []string{named, onion, trap.addr}
		slices.Sort(want)
		return slices.Equal(got, want)
	})
	if _, err := c.Block(t.Context(), n.hashAt(7)); err != nil {
		t.Error(err)
	}
	if trap.count() != 0 {
		t.Error("a peer was dialed directly")
	}
	for _, want := range []string{"connect " + named, "connect " + onion, "connect " + trap.addr} {
		if !slices.Contains(s.requests(), want) {
			t.Errorf("the proxy was asked %q, not %q", s.requests(), want)
		}
	}

	// Names of seeds are looked up by the proxy too.
	ips, err := c.peers.resolve("seed.example.invalid")
	if err != nil || len(ips) != 1 || !ips[0].Equal(net.IPv4(203, 0, 113, 9)) {
		t.Errorf("resolved to %v, %v", ips, err)
	}
	if !slices.Contains(s.requests(), "resolve seed.example.invalid") {
		t.Errorf("the proxy was asked %q", s.requests())
	}
	if _, err := c.peers.resolve("x.onion"); err == nil {
		t.Error("an onion service was looked up")
	}
}

func TestAProxyThatLooksUpNoNamesIsNotGoneAround(t *testing.T) {
	t.Parallel()
	s := newSocks(t, false, nil)
	c := openConfig(t, Config{Dir: newDir(t), Proxy: s.addr(), Connect: []string{"localhost"}})
	if ips, err := c.peers.resolve("localhost"); !errors.Is(err, errNoResolve) {
		t.Errorf("resolved to %v, %v", ips, err)
	}
	startClient(t, c)
	waitFor(t, "a warning that names the peer", func() bool {
		w := warning.Texts(c.Status().Warnings)
		return len(w) == 1 && strings.Contains(w[0], "localhost:18444")
	})
}

func TestAProxyThatSaysNothingCostsNoMoreThanTheContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if ip, err := resolveThrough(ctx, l.Addr().String(), "seed.example.invalid"); err == nil {
		t.Errorf("resolved to %v", ip)
	}
}

func TestAPeerIsKnownByItsName(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(3)
	_, port, err := net.SplitHostPort(n.p2p)
	if err != nil {
		t.Fatal(err)
	}
	name := net.JoinHostPort("localhost", port)
	c := openClient(t, newDir(t), name)
	startClient(t, c)
	waitAt(t, c, n)
	if p := c.Status().Peers; len(p) != 1 || p[0].Address != name {
		t.Errorf("peers %v", p)
	}
}
