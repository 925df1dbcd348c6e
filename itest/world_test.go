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
	"ancre/proof"
	"ancre/rpc"
)

// patience bounds one test, on a machine that has other things to do.
const patience = 4 * time.Minute

// fundSats is the amount that wallets are given: enough for some anchors.
const fundSats = 50_000

const passphrase = "correct horse battery staple"

// onEachNode runs a test against btcd, and against bitcoind if it is installed.
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
	return newWorldFor(t, kind, patience)
}

// newLonelyWorld has a daemon and no node, for tests that need no chain.
func newLonelyWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	return newWorld(t, "")
}

// newWorldFor is newWorld with another time limit, and with flags for the node.
func newWorldFor(t *testing.T, kind string, patience time.Duration, settings ...string) *world {
	t.Helper()
	w := &world{T: t}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	if kind != "" {
		w.node = w.newNode(kind, settings...)
	}
	w.daemon = w.newDaemon(w.node)
	return w
}

// newNode starts a node; settings are flags of its own.
func (w *world) newNode(kind string, settings ...string) (n *harness.Node) {
	w.Helper()
	var err error
	switch kind {
	case "btcd":
		n, err = harness.StartBtcd(w.ctx, bin.Btcd, w.TempDir(), false, settings...)
	case "bitcoind":
		exe, missing := harness.FindBitcoind()
		if missing != nil {
			w.Skip(missing)
		}
		n, err = harness.StartBitcoind(w.ctx, exe, w.TempDir(), false, settings...)
	}
	w.must(err)
	w.Cleanup(func() {
		if err := n.Kill9(); err != nil {
			w.Error(err)
		}
		if w.Failed() {
			w.Logf("the end of the log of %s:\n%s", kind, n.Log(15))
		}
	})
	return n
}

// in returns the same world for a subtest, which then fails by itself. The subtest has a time limit
// of its own, because it may have waited long for its turn beside others.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.T = t
	var cancel context.CancelFunc
	sub.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &sub
}

// newDaemon prepares a daemon; the test starts it.
func (w *world) newDaemon(node *harness.Node) *harness.Daemon {
	w.Helper()
	d, err := harness.NewDaemon(bin, node, w.TempDir(), false)
	w.must(err)
	if node == nil {
		// regtest finds no peer by itself: name an address where nothing listens.
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
			w.Logf("the end of the log of ancred:\n%s", d.Log(60))
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

// call calls a method of the daemon over JSON-RPC.
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
	w.awaitBalance(fundSats)
}

// awaitBalance waits until the wallet has received an amount. An anchor may have spent some of it.
func (w *world) awaitBalance(sats int64) {
	w.Helper()
	_, err := w.daemon.AwaitInfo(w.ctx, "the wallet to have what it was sent", func(i rpc.Info) bool {
		return i.Wallet.ConfirmedSats >= sats || i.Wallet.ConfirmedSats > 0 && i.Anchors.Total > 0
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

// submit submits a digest.
func (w *world) submit(digest string) (e rpc.Entry) {
	w.Helper()
	w.call(&e, "submit", digest)
	return e
}

// status returns the state of a digest.
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

// wantValid wants the daemon to verify its own proof of a digest.
func (w *world) wantValid(digest string) {
	w.Helper()
	var p rpc.Proof
	w.call(&p, "getproof", digest)
	var v rpc.Verification
	w.call(&v, "verifyproof", digest, p.Proof)
	if v.Result != "valid" {
		w.Errorf("proof of %s: %+v, want valid", digest, v)
	}
}

// awaitInMempool waits until a transaction is in the node's mempool.
func (w *world) awaitInMempool(txid string) {
	w.Helper()
	w.must(harness.Await(w.ctx, txid+" to reach the node", func(ctx context.Context) (bool, string, error) {
		txids, err := w.node.Mempool(ctx)
		return slices.Contains(txids, txid), strings.Join(txids, " "), err
	}))
}

// mine makes blocks with what is in the mempool, and waits until the daemon sees them.
func (w *world) mine(blocks int) {
	w.Helper()
	w.must(w.node.Mine(w.ctx, blocks, ""))
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
}

// mineUntilFinal mines block after block until every batch is final. Before each block it waits
// until the daemon has done what it can: its wallet has caught up, and its broadcasts have reached
// the node.
func (w *world) mineUntilFinal() {
	w.Helper()
	for {
		_, err := w.daemon.AwaitInfo(w.ctx, "the wallet to be ready", func(i rpc.Info) bool { return i.Wallet.State == "ready" })
		w.must(err)
		w.must(harness.Await(w.ctx, "anchors to reach the node", func(ctx context.Context) (bool, string, error) {
			anchors, err := w.anchorsNow(ctx)
			if err != nil {
				return false, "", err
			}
			txids, err := w.node.Mempool(ctx)
			missing := slices.ContainsFunc(anchors, func(a rpc.Anchor) bool { return a.State == "broadcast" && !slices.Contains(txids, a.TxID) })
			return !missing, fmt.Sprintf("%+v", anchors), err
		}))
		if !slices.ContainsFunc(w.batches(), func(b rpc.Batch) bool { return b.State != "open" && b.State != "final" }) {
			return
		}
		w.mine(1)
	}
}

// payments reads the anchors' payments from the node's blocks.
func (w *world) payments() []harness.Payment {
	w.Helper()
	p, err := w.node.Payments(w.ctx)
	w.must(err)
	return p
}

// anchors returns all of them, oldest first.
func (w *world) anchors() []rpc.Anchor {
	w.Helper()
	list, err := w.anchorsNow(w.ctx)
	w.must(err)
	return list
}

func (w *world) anchorsNow(ctx context.Context) ([]rpc.Anchor, error) {
	return listed(ctx, w.daemon, "listanchors", func(a rpc.Anchor) uint64 { return a.ID })
}

// batches returns all of them, oldest first.
func (w *world) batches() []rpc.Batch {
	w.Helper()
	list, err := listed(w.ctx, w.daemon, "listbatches", func(b rpc.Batch) uint64 { return b.ID })
	w.must(err)
	return list
}

// listed reads a list to its end, and reverses it.
func listed[T any](ctx context.Context, d *harness.Daemon, method string, id func(T) uint64) (all []T, err error) {
	const most = 1000
	for before := uint64(0); ; before = id(all[len(all)-1]) {
		var part []T
		if err := d.Call(ctx, &part, method, before, most); err != nil {
			return nil, err
		}
		all = append(all, part...)
		if len(part) < most {
			slices.Reverse(all)
			return all, nil
		}
	}
}

// wantPaidOnce compares the node's blocks with what the daemon reports, once everything is final.
// Each payment in a block is the version that its anchor names as mined, and its root is that of
// its batches. Each batch was paid for exactly once. Each anchor that can be mined has its payment.
func (w *world) wantPaidOnce() {
	w.Helper()
	payments, anchors, batches := w.payments(), w.anchors(), w.batches()
	type version struct {
		rpc.Version
		anchor rpc.Anchor
	}
	stored := make(map[string]version)
	for _, a := range anchors {
		for _, v := range a.Versions {
			stored[v.TxID] = version{v, a}
		}
	}
	roots := make(map[uint64][32]byte)
	for _, b := range batches {
		if raw, err := hex.DecodeString(b.Root); err == nil && len(raw) == 32 {
			roots[b.ID] = [32]byte(raw)
		}
	}
	paidBy, mined := make(map[uint64]string), make(map[uint64]string) // batch, and anchor, to transaction
	for _, p := range payments {
		v, ok := stored[p.TxID]
		if !ok {
			w.Errorf("block %d holds payment %s, which is a version of no anchor", p.Height, p.TxID)
			continue
		}
		if other, twice := mined[v.anchor.ID]; twice || v.anchor.TxID != p.TxID {
			w.Errorf("anchor %d names %s, and %s is mined (%s)", v.anchor.ID, v.anchor.TxID, p.TxID, other)
		}
		mined[v.anchor.ID] = p.TxID
		below := make([][32]byte, len(v.Batches))
		for i, id := range v.Batches {
			below[i] = roots[id]
			if other, twice := paidBy[id]; twice {
				w.Errorf("batch %d was paid for twice: by %s and %s", id, other, p.TxID)
			}
			paidBy[id] = p.TxID
		}
		if p.Root != proof.Root(below) {
			w.Errorf("payment %s is for %x, which is not the root of its batches %v", p.TxID, p.Root, v.Batches)
		}
	}
	for _, a := range anchors {
		if a.State != "dead" && a.State != "spent" && mined[a.ID] == "" {
			w.Errorf("anchor %d is %s, and no block holds %s", a.ID, a.State, a.TxID)
		}
	}
	for _, b := range batches {
		if b.State != "open" && (paidBy[b.ID] == "" || paidBy[b.ID] != b.TxID) {
			w.Errorf("batch %d is %s and names payment %q; the blocks hold %q for it", b.ID, b.State, b.TxID, paidBy[b.ID])
		}
	}
}

// randomDigest returns 32 random bytes in hexadecimal digits.
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
