package spv

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"go.uber.org/goleak"
)

func TestNetworksHaveTheirParams(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, name := range Networks() {
		p, err := Params(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if genesis := p.GenesisHash.String(); seen[genesis] {
			t.Errorf("%s has the first block of another network", name)
		} else {
			seen[genesis] = true
		}
	}
	for _, name := range []string{"", "testnet", "Mainnet", "bitcoin"} {
		if _, err := Params(name); err == nil || !strings.Contains(err.Error(), "mainnet, testnet4, signet, regtest, simnet") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestBadConfigurationIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"a peer without a host", Config{Connect: []string{":18444"}}, `peer ":18444"`},
		{"a peer with an URL", Config{Connect: []string{"http://node"}}, `peer "http://node"`},
		{"a peer with a space", Config{AddPeers: []string{"my node"}}, `peer "my node"`},
		{"an empty peer", Config{AddPeers: []string{""}}, `peer ""`},
		{"a port that is none", Config{Connect: []string{"node:bitcoin"}}, "from 1 to 65535"},
		{"port 0", Config{Connect: []string{"node:0"}}, "from 1 to 65535"},
		{"a port too high", Config{Connect: []string{"node:70000"}}, "from 1 to 65535"},
		{"the address of all", Config{Connect: []string{"0.0.0.0"}}, "0.0.0.0"},
		{"an onion service without Tor", Config{Connect: []string{"v7ajjeirttkbnt32wpy3c6w3emwnfr3fkla7hpxcfokr3ysd3kqtzmqd.onion"}}, "proxy"},
		{"a proxy without a port", Config{Proxy: "127.0.0.1"}, `proxy "127.0.0.1"`},
		{"a proxy with an URL", Config{Proxy: "socks5://127.0.0.1:9050"}, "proxy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			cfg.Params, cfg.Dir = &chaincfg.RegressionNetParams, filepath.Join(t.TempDir(), "spv")
			c, err := Open(cfg)
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v lacks %q", err, tt.want)
			}
			if entries, err := os.ReadDir(cfg.Dir); err == nil && len(entries) > 0 && !strings.Contains(tt.name, "onion") {
				t.Errorf("left %v", entries)
			}
		})
	}
	if _, err := Open(Config{Dir: t.TempDir()}); err == nil {
		t.Error("opened without a network")
	}
	if _, err := Open(Config{Params: &chaincfg.RegressionNetParams}); err == nil {
		t.Error("opened without a directory")
	}
}

func TestPeersGetTheNetworksPort(t *testing.T) {
	t.Parallel()
	got, err := peerAddresses([]string{"node", "Node:8333", "10.0.0.1", "10.0.0.1:18444", "::1", "[::1]:5", "2001:db8::2", "[2001:db8::3]", "node"}, "18444")
	if err != nil {
		t.Fatal(err)
	}
	want := "node:18444 node:8333 10.0.0.1:18444 [::1]:18444 [::1]:5 [2001:db8::2]:18444 [2001:db8::3]:18444"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s\nwant %s", s, want)
	}
}

func TestNoPeersOnADevelopersNetworkIsAWarning(t *testing.T) {
	t.Parallel()
	c := openClient(t, newDir(t))
	startClient(t, c)
	waitFor(t, "a warning that no peers are configured", func() bool {
		w := warning.Texts(c.Status().Warnings)
		return len(w) == 1 && strings.Contains(w[0], "spv.connect")
	})
	if err := c.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	n := newNode(t, "btcd")
	n.mine(20)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // its queue takes connections, and nobody answers them
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	before := goleak.IgnoreCurrent()
	for _, tt := range []struct {
		name string
		use  func(c *Client)
	}{
		{"opened only", func(c *Client) {}},
		{"synced", func(c *Client) { startClient(t, c); waitAt(t, c, n) }},
		{"closed while it starts", func(c *Client) { startClient(t, c) }},
		{"while a transaction is offered", func(c *Client) {
			startClient(t, c)
			waitAt(t, c, n)
			if err := c.Broadcast(t.Context(), c.params.GenesisBlock.Transactions[0]); err != nil {
				t.Log(err)
			}
		}},
		{"while a peer does not answer", func(c *Client) {
			startClient(t, c)
			waitFor(t, "both connections", func() bool { c.peers.mu.Lock(); defer c.peers.mu.Unlock(); return len(c.peers.open) == 2 })
		}},
	} {
		peers := []string{n.p2p}
		if tt.name == "while a peer does not answer" {
			peers = append(peers, mute.Addr().String())
		}
		c := openClient(t, newDir(t), peers...)
		tt.use(c)
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s, closed again: %v", tt.name, err)
		}
		if _, _, err := c.Best(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s, used after it was closed: %v", tt.name, err)
		}
		if err := c.Start(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%s, started after it was closed: %v", tt.name, err)
		}
		c.Status()
		goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
	}
}
