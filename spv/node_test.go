package spv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
)

// patience is how long a test waits for something that should take a second: the machine may be
// busy.
const patience = 90 * time.Second

// node is a real Bitcoin node on regtest.
type node struct {
	t        *testing.T
	kind     string // btcd or bitcoind
	exe, dir string
	p2p, rpc string // host:port
	args     []string
	stop     func()
}

// anyoneCanSpend is the script of the address that blocks are mined to: P2WSH of OP_TRUE, so that
// spending needs no key.
var anyoneCanSpend = func() []byte {
	script, err := txscript.PayToAddrScript(minerAddress())
	if err != nil {
		panic(err)
	}
	return script
}()

func minerAddress() address.Address {
	hash := chainhash.HashB([]byte{txscript.OP_TRUE})
	a, err := address.NewAddressWitnessScriptHash(hash, &chaincfg.RegressionNetParams)
	if err != nil {
		panic(err)
	}
	return a
}

// otherAddress is an address to which no other blocks are mined.
func otherAddress(t *testing.T) address.Address {
	t.Helper()
	a, err := address.NewAddressWitnessPubKeyHash(bytes.Repeat([]byte{7}, 20), &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// btcdPath asks the go command for the btcd that go.mod pins.
var btcdPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-n", "github.com/btcsuite/btcd").Output()
	return strings.TrimSpace(string(out)), err
})

func newNode(t *testing.T, kind string, args ...string) *node {
	t.Helper()
	n := &node{t: t, kind: kind, dir: t.TempDir(), p2p: freePort(t), rpc: freePort(t), args: args}
	var err error
	if kind == "btcd" {
		n.exe, err = btcdPath()
	} else if n.exe, err = exec.LookPath(kind); err != nil {
		t.Skipf("%s is not on PATH", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *node) start() {
	n.t.Helper()
	_, rpcPort, _ := net.SplitHostPort(n.rpc)
	args := []string{"--regtest", "--datadir=" + n.dir, "--logdir=" + n.dir, "--listen=" + n.p2p, "--rpclisten=" + n.rpc, "--rpcuser=u", "--rpcpass=p",
		"--notls", "--txindex", "--nobanning", "--nostalldetect", "--nodnsseed", "--trickleinterval=100ms", "--miningaddr=" + minerAddress().String(), "--debuglevel=warn"}
	if n.kind == "bitcoind" {
		args = []string{"-regtest", "-datadir=" + n.dir, "-blockfilterindex=1", "-peerblockfilters=1", "-listen=1", "-bind=" + n.p2p, "-rpcport=" + rpcPort,
			"-rpcuser=u", "-rpcpassword=p", "-printtoconsole=0", "-dnsseed=0", "-fixedseeds=0"}
	}
	cmd := exec.Command(n.exe, append(args, n.args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			select {
			case <-done:
			case <-time.After(patience):
				_ = cmd.Process.Kill()
				<-done
			}
		})
	}
	ready := false
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && !ready; {
		select {
		case err := <-done:
			done <- err
			n.t.Fatalf("%s ended: %v\n%s", n.kind, err, out.String())
		case <-time.After(50 * time.Millisecond):
			ready = n.try("getblockcount", nil) == nil
		}
	}
	if !ready {
		n.t.Fatalf("%s does not answer", n.kind)
	}
}

// try calls a method of the node.
func (n *node) try(method string, result any, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+n.rpc, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth("u", "p")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", method, resp.Status, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", method, answer.Error.Message)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

func (n *node) call(method string, result any, params ...any) {
	n.t.Helper()
	if err := n.try(method, result, params...); err != nil {
		n.t.Fatalf("%s: %v", n.kind, err)
	}
}

// mine makes blocks and returns the hash of the last.
func (n *node) mine(blocks int) chainhash.Hash { n.t.Helper(); return n.mineTo(blocks, minerAddress()) }

// mineTo makes bitcoind mine to an address. Its coinbases contain no random number, so in the same
// second only another address makes other blocks. btcd always mines to the address with which it
// was started.
func (n *node) mineTo(blocks int, to address.Address) chainhash.Hash {
	n.t.Helper()
	var hashes []string
	if n.kind == "btcd" {
		n.call("generate", &hashes, blocks)
	} else {
		n.call("generatetoaddress", &hashes, blocks, to.String())
	}
	return parseHash(n.t, hashes[len(hashes)-1])
}

func (n *node) height() int32 {
	n.t.Helper()
	var h int32
	n.call("getblockcount", &h)
	return h
}

func (n *node) hashAt(height int32) chainhash.Hash {
	n.t.Helper()
	var h string
	n.call("getblockhash", &h, height)
	return parseHash(n.t, h)
}

func parseHash(t *testing.T, s string) chainhash.Hash {
	t.Helper()
	h, err := chainhash.NewHashFromStr(s)
	if err != nil {
		t.Fatal(err)
	}
	return *h
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// testLog writes a client's log to the test's, until the test ends.
func testLog(t *testing.T) *slog.Logger {
	w := &testWriter{t: t}
	t.Cleanup(func() { w.mu.Lock(); w.t = nil; w.mu.Unlock() })
	level := slog.LevelInfo
	if os.Getenv("ANCRE_TEST_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

type testWriter struct {
	mu sync.Mutex
	t  *testing.T
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// madeOnce makes the directory of a client that was closed before it had any peer. That takes some
// computing, which the race detector makes slow: neutrino's index begins with 65,536 buckets.
var madeOnce = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "ancre-spv-test")
	if err != nil {
		return err
	}
	madeDir = dir
	c, err := Open(Config{Params: &chaincfg.RegressionNetParams, Dir: dir})
	if err != nil {
		return err
	}
	return c.Close()
})

var madeDir string // set by madeOnce, removed by TestMain

// newDir returns a directory in which a client was opened and closed. Tests about directories that
// are empty at first use t.TempDir instead.
func newDir(t *testing.T) string {
	t.Helper()
	if err := madeOnce(); err != nil {
		t.Fatal(err)
	}
	return copyDir(t, madeDir)
}

// openClient opens a client on regtest; the test closes it at its end, if not before.
func openClient(t *testing.T, dir string, peers ...string) *Client {
	t.Helper()
	return openConfig(t, Config{Dir: dir, Connect: peers})
}

func openConfig(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.Params == nil {
		cfg.Params = &chaincfg.RegressionNetParams
	}
	cfg.Logger = testLog(t)
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return c
}

func startClient(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waitAt waits until the client is synced and at the node's newest block.
func waitAt(t *testing.T, c *Client, n *node) {
	t.Helper()
	want := n.hashAt(n.height())
	waitFor(t, "the client at the node's newest block", func() bool {
		_, hash, err := c.Best()
		return err == nil && hash == want && c.Synced()
	})
}

// syncedClient starts a node with some blocks, and a client that has followed it.
func syncedClient(t *testing.T, blocks int) (*node, *Client) {
	t.Helper()
	n, c, _ := syncedWithClock(t, blocks, func(*Client) *clock { return nil })
	return n, c
}

// syncedWithClock is syncedClient with a clock, which setClock or strangers gives the client before
// it is started.
func syncedWithClock(t *testing.T, blocks int, set func(*Client) *clock) (*node, *Client, *clock) {
	t.Helper()
	n := newNode(t, "btcd")
	n.mine(blocks)
	c := openClient(t, newDir(t), n.p2p)
	k := set(c)
	startClient(t, c)
	waitAt(t, c, n)
	return n, c, k
}

// syncedDir returns a directory of a client that was closed after it followed a node.
func syncedDir(t *testing.T, n *node) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spv")
	c := openClient(t, dir, n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
