package itest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

// patience bounds one test, on a machine that has other things to do.
const patience = 4 * time.Minute

// fundSats is what wallets are given: some anchors' worth.
const fundSats = 50_000

const passphrase = "correct horse battery staple"

// onEachNode runs a test against btcd, and against bitcoind where there is one.
func onEachNode(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	for _, kind := range []string{"btcd", "bitcoind"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind))
		})
	}
}

// world is a node, and a daemon that follows it. Everything in it ends with the test.
type world struct {
	*testing.T
	ctx    context.Context
	node   *harness.Node // nil: none
	daemon *harness.Daemon

	address string // of the wallet, once there is one
}

func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	w := &world{T: t}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	var err error
	switch kind {
	case "btcd":
		w.node, err = harness.StartBtcd(w.ctx, bin.Btcd, t.TempDir(), false)
	case "bitcoind":
		exe, missing := harness.FindBitcoind()
		if missing != nil {
			t.Skip(missing)
		}
		w.node, err = harness.StartBitcoind(w.ctx, exe, t.TempDir(), false)
	}
	w.must(err)
	if w.node != nil {
		t.Cleanup(func() {
			if err := w.node.Kill9(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("the last that %s said:\n%s", kind, w.node.Log(15))
			}
		})
	}
	w.daemon = w.newDaemon(w.node)
	return w
}

// in is the same world in a subtest, where what fails fails that.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.T = t
	return &sub
}

// newDaemon prepares a daemon; the test starts it.
func (w *world) newDaemon(node *harness.Node) *harness.Daemon {
	w.Helper()
	d, err := harness.NewDaemon(bin, node, w.TempDir(), false)
	w.must(err)
	if node == nil {
		// regtest finds no peer by itself: name one where nobody listens.
		d.Set("spv", "connect", `["127.0.0.1:9"]`)
	}
	file := filepath.Join(d.Home, "passphrase")
	w.must(os.WriteFile(file, []byte(passphrase+"\n"), 0o600))
	d.Set("wallet", "passphrase_file", fmt.Sprintf("%q", file))
	w.Cleanup(func() {
		if err := d.Kill9(); err != nil {
			w.Error(err)
		}
		if w.Failed() {
			w.Logf("the last that ancred said:\n%s", d.Log(60))
		}
	})
	return d
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) start() {
	w.Helper()
	w.must(w.daemon.Start(w.ctx))
}

// crash ends the daemon as a power cut would, and starts it again.
func (w *world) crash() {
	w.Helper()
	w.must(w.daemon.Kill9())
	w.start()
}

// call asks the daemon over JSON-RPC.
func (w *world) call(result any, method string, params ...any) {
	w.Helper()
	w.must(w.daemon.Call(w.ctx, result, method, params...))
}

// ancre runs the command and wants an exit status.
func (w *world) ancre(want int, args ...string) harness.Result {
	w.Helper()
	res, err := w.daemon.Ancre(w.ctx, args...)
	w.must(err)
	if res.Code != want {
		w.Fatalf("ancre %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), res.Code, want, res.Stdout, res.Stderr)
	}
	return res
}

// createWallet makes the daemon's wallet with the command.
func (w *world) createWallet() {
	w.Helper()
	var made rpc.CreatedWallet
	res := w.ancre(0, "--json", "wallet", "create")
	w.must(json.Unmarshal([]byte(res.Stdout), &made))
	if len(made.Words) != 24 || made.Address == "" {
		w.Fatalf("wallet create: %d words and address %q, want 24 words and an address", len(made.Words), made.Address)
	}
	w.address = made.Address
}

// fund pays the wallet, and waits until the daemon sees it.
func (w *world) fund() {
	w.Helper()
	w.must(w.node.Fund(w.ctx, w.address, fundSats))
	_, err := w.daemon.AwaitInfo(w.ctx, "the wallet to have what it was sent", func(i rpc.Info) bool {
		return i.Wallet.ConfirmedSats >= fundSats || i.Wallet.ConfirmedSats > 0 && i.Anchors.Total > 0
	})
	w.must(err)
}

// startFunded is the usual beginning: a running daemon that can pay.
func (w *world) startFunded() {
	w.Helper()
	w.start()
	w.createWallet()
	w.fund()
}

// submit hands in a digest.
func (w *world) submit(digest string) (e rpc.Entry) {
	w.Helper()
	w.call(&e, "submit", digest)
	return e
}

// status asks where a digest is.
func (w *world) status(digest string) (e rpc.Entry) {
	w.Helper()
	w.call(&e, "getstatus", digest)
	return e
}

// awaitState waits until a digest is in a state.
func (w *world) awaitState(digest, state string) (e rpc.Entry) {
	w.Helper()
	w.must(harness.Await(w.ctx, fmt.Sprintf("%s to be %s", digest, state), func(ctx context.Context) (bool, string, error) {
		e = rpc.Entry{}
		if err := w.daemon.Call(ctx, &e, "getstatus", digest); err != nil {
			return false, err.Error(), nil
		}
		return e.State == state, fmt.Sprintf("%+v", e), nil
	}))
	return e
}

// awaitInMempool waits until the node has a transaction to mine.
func (w *world) awaitInMempool(txid string) {
	w.Helper()
	w.must(harness.Await(w.ctx, txid+" to reach the node", func(ctx context.Context) (bool, string, error) {
		txids, err := w.node.Mempool(ctx)
		return slices.Contains(txids, txid), strings.Join(txids, " "), err
	}))
}

// mine makes blocks of what waits, and has the daemon see them.
func (w *world) mine(blocks int) {
	w.Helper()
	w.must(w.node.Mine(w.ctx, blocks, ""))
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
}

// mineUntilFinal mines block after block, as time does, until no batch waits. Before each it lets the daemon do what it can do:
// its wallet catches up, and what it has broadcast reaches the node.
func (w *world) mineUntilFinal() {
	w.Helper()
	for {
		_, err := w.daemon.AwaitInfo(w.ctx, "the wallet to be ready", func(i rpc.Info) bool { return i.Wallet.State == "ready" })
		w.must(err)
		w.must(harness.Await(w.ctx, "anchors to reach the node", func(ctx context.Context) (bool, string, error) {
			var anchors []rpc.Anchor
			if err := w.daemon.Call(ctx, &anchors, "listanchors"); err != nil {
				return false, "", err
			}
			txids, err := w.node.Mempool(ctx)
			missing := slices.ContainsFunc(anchors, func(a rpc.Anchor) bool { return a.State == "broadcast" && !slices.Contains(txids, a.TxID) })
			return !missing, fmt.Sprintf("%+v", anchors), err
		}))
		var batches []rpc.Batch
		w.call(&batches, "listbatches")
		if !slices.ContainsFunc(batches, func(b rpc.Batch) bool { return b.State != "open" && b.State != "final" }) {
			return
		}
		w.mine(1)
	}
}

// payments reads from the node's own blocks what was paid.
func (w *world) payments() []harness.Payment {
	w.Helper()
	p, err := w.node.Payments(w.ctx)
	w.must(err)
	return p
}

// wantPaidOnce compares what the node has mined with what the daemon tells: each anchor has exactly one mined transaction, the one
// that it names; there is no other; and no coin and no root was used twice.
func (w *world) wantPaidOnce() {
	w.Helper()
	var anchors []rpc.Anchor
	w.call(&anchors, "listanchors")
	mined := make(map[string]bool)
	roots := make(map[[32]byte]string)
	for _, p := range w.payments() {
		mined[p.TxID] = true
		if other, twice := roots[p.Root]; twice {
			w.Errorf("root %x was paid for twice: by %s and %s", p.Root, other, p.TxID)
		}
		roots[p.Root] = p.TxID
	}
	if len(anchors) != len(mined) {
		w.Errorf("the node has mined %d payments, and there are %d anchors", len(mined), len(anchors))
	}
	for _, a := range anchors {
		n := 0
		for _, v := range a.Versions {
			if mined[v.TxID] {
				n++
			}
		}
		if n != 1 || !mined[a.TxID] {
			w.Errorf("anchor %d has %d mined transactions, want exactly one, %s", a.ID, n, a.TxID)
		}
	}
}

// randomDigest is a digest of something.
func randomDigest() string {
	var d [32]byte
	_, _ = rand.Read(d[:])
	return hex.EncodeToString(d[:])
}

// writeFile makes a file in the daemon's home, where commands run.
func (w *world) writeFile(name, content string) string {
	w.Helper()
	path := filepath.Join(w.daemon.Home, name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	w.must(os.WriteFile(path, []byte(content), 0o600))
	return path
}
