package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"ancre/proof"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
)

// realBitcoind starts a bitcoind, if it is installed, and returns a client for it.
func realBitcoind(ctx context.Context, t *testing.T) *Client {
	t.Helper()
	binary, err := exec.LookPath("bitcoind")
	if err != nil {
		t.Skip("bitcoind is not on PATH")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	dir := t.TempDir()
	node := exec.Command(binary, "-regtest", "-datadir="+dir, "-rpcport="+strconv.Itoa(port), "-listen=0", "-printtoconsole=0", "-disablewallet")
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		node.Process.Kill()
		node.Wait()
	})

	c, err := NewCookieClient("127.0.0.1:"+strconv.Itoa(port), filepath.Join(dir, "regtest", ".cookie"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for retry := time.NewTicker(100 * time.Millisecond); ; <-retry.C {
		if _, err = c.BlockCount(ctx); err == nil {
			break // until then: no cookie, nobody there, -28
		}
		if ctx.Err() != nil {
			t.Fatalf("bitcoind does not come up: %v", err)
		}
	}
	return c
}

// A real node answers as the client expects. It is asked with the credentials of its cookie.
func TestTheClientReadsARealBitcoind(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := realBitcoind(ctx, t)
	const coins = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	if err := c.Call(ctx, "generatetoaddress", nil, 3, coins); err != nil {
		t.Fatal(err)
	}
	genesis, err := c.Header(ctx, 0)
	if want := chaincfg.RegressionNetParams.GenesisBlock.Header; err != nil || genesis.Hash != want.BlockHash() || genesis.MerkleRoot != want.MerkleRoot {
		t.Errorf("%+v, %v", genesis, err)
	}
	best, err := c.BestBlockHash(ctx)
	if err != nil {
		t.Fatal(err)
	}
	top, err := c.Header(ctx, 3)
	if err != nil || chainhash.Hash(top.Hash).String() != best {
		t.Errorf("block 3 is %s, want %s; %v", chainhash.Hash(top.Hash).String(), best, err)
	}
	if _, err := c.Header(ctx, 4); !errors.Is(err, proof.ErrNoHeader) {
		t.Errorf("block 4: %v", err)
	}
	if err := c.Call(ctx, "nosuch", nil); !HasCode(err, CodeUnknownMethod) {
		t.Errorf("an unknown method: %v", err)
	}

	// What we compute of a header is what bitcoind says of it.
	var theirs, ours map[string]any
	if err := c.Call(ctx, "getblockheader", &theirs, best); err != nil {
		t.Fatal(err)
	}
	info, err := c.BlockHeader(ctx, best)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ours); err != nil {
		t.Fatal(err)
	}
	for name, value := range ours {
		if theirs[name] != value {
			t.Errorf("%s: %v, bitcoind says %v", name, value, theirs[name])
		}
	}
}
