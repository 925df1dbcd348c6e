package wallet_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/itest/harness"
	"ancre/spv"
	"ancre/wallet"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var (
	_ batcher.Shortage = (*wallet.ShortageError)(nil)
	_ wallet.Chain     = (*spv.Client)(nil)
)

// patience is how long a test waits for what should take a second: the machine may be busy with
// other things.
const patience = 3 * time.Minute

// recoveryWindow is more addresses than any test leaves unused. Each costs a restore some
// arithmetic, which the race detector makes slow.
const recoveryWindow = 30

var passphrase = []byte("correct horse")

// btcdPath asks the go command for the btcd that go.mod pins.
var btcdPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-n", "github.com/btcsuite/btcd").Output()
	return strings.TrimSpace(string(out)), err
})

func startBtcd(t *testing.T) *harness.Node {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real node")
	}
	exe, err := btcdPath()
	if err != nil {
		t.Fatal(err)
	}
	return startNode(t, func(ctx context.Context) (*harness.Node, error) {
		return harness.StartBtcd(ctx, exe, t.TempDir(), false)
	})
}

func startBitcoind(t *testing.T) *harness.Node {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real node")
	}
	exe, err := harness.FindBitcoind()
	if err != nil {
		t.Skip(err)
	}
	return startNode(t, func(ctx context.Context) (*harness.Node, error) {
		return harness.StartBitcoind(ctx, exe, t.TempDir(), false)
	})
}

func startNode(t *testing.T, run func(context.Context) (*harness.Node, error)) *harness.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Kill9(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func startClient(t *testing.T, peer string) *spv.Client {
	t.Helper()
	c, err := spv.Open(spv.Config{Params: &chaincfg.RegressionNetParams, Dir: clientDir(t), Connect: []string{peer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// rig is a wallet on a light client on a node.
type rig struct {
	*wallet.Wallet
	t     *testing.T
	node  *harness.Node
	chain *spv.Client
	cfg   wallet.Config
	log   *logBook
	stop  func()
}

// start opens the wallet in dir and runs it. stop ends it before the test does.
func start(t *testing.T, node *harness.Node, chain *spv.Client, dir string, change func(*wallet.Config)) *rig {
	t.Helper()
	r := &rig{t: t, node: node, chain: chain, log: &logBook{}}
	r.cfg = wallet.Config{
		Dir: dir, Params: &chaincfg.RegressionNetParams, Chain: chain,
		Logger:      slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		CallTimeout: patience, StallAfter: patience, RestoreStallAfter: patience, RecoveryWindow: recoveryWindow,
	}
	if change != nil {
		change(&r.cfg)
	}
	var err error
	if r.Wallet, err = wallet.Open(r.cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			t.Logf("the wallet's log:\n%s", r.log.last(60))
		}
	})
	t.Cleanup(r.stop)
	return r
}

// create makes a new wallet and awaits that it is ready.
func (r *rig) create() (words []string, address string) {
	r.t.Helper()
	words, address, err := r.Create(r.t.Context(), passphrase, nil, time.Time{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.await("the new wallet is ready", func() string { return complaint(r.Ready()) })
	return words, address
}

// createFunded makes a new wallet, deposits coins, and awaits that they can be spent.
func (r *rig) createFunded(sats ...int64) {
	r.t.Helper()
	r.create()
	r.fund(sats...)
	var sum int64
	for _, s := range sats {
		sum += s
	}
	r.awaitBalance(wallet.Balance{Confirmed: sum, Spendable: sum})
}

// mineVersion has a version of an anchor mined, and awaits that its change is all that the wallet
// has. It returns that.
func (r *rig) mineVersion(tx *wire.MsgTx) (left int64) {
	r.t.Helper()
	r.broadcast(tx)
	r.mine(1)
	left = tx.TxOut[1].Value
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	return left
}

// await waits until unmet, which says what is still missing, returns "".
func (r *rig) await(what string, unmet func() string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	err := harness.Await(ctx, what, func(context.Context) (bool, string, error) {
		state := unmet()
		return state == "", state, nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) awaitBalance(want wallet.Balance) {
	r.t.Helper()
	r.await(fmt.Sprintf("balance %+v", want), func() string {
		got, err := r.Balance(r.t.Context())
		if err != nil {
			return err.Error()
		}
		if got != want {
			return fmt.Sprintf("%+v", got)
		}
		return ""
	})
}

func (r *rig) address() string {
	r.t.Helper()
	a, err := r.Address(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// fund deposits coins, each with a payment of its own, and mines them.
func (r *rig) fund(sats ...int64) {
	r.t.Helper()
	to := r.address()
	for _, s := range sats {
		if _, err := r.node.SendTo(r.t.Context(), to, s); err != nil {
			r.t.Fatal(err)
		}
	}
	r.mine(1)
}

func (r *rig) mine(blocks int) {
	r.t.Helper()
	if err := r.node.Mine(r.t.Context(), blocks, ""); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) anchor(root byte, rate int64) (tx *wire.MsgTx, fee int64) {
	r.t.Helper()
	tx, prevouts, err := r.BuildAnchor(r.t.Context(), wallet.AnchorOrder{Root: [32]byte{root}, SatPerVByte: rate, LockTime: 102})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, out := range prevouts {
		fee += out.Value
	}
	for _, out := range tx.TxOut {
		fee -= out.Value
	}
	return tx, fee
}

// broadcast offers a transaction until the node has it.
func (r *rig) broadcast(tx *wire.MsgTx) {
	r.t.Helper()
	r.await("the node has "+tx.TxHash().String(), func() string {
		if err := r.chain.Broadcast(r.t.Context(), tx); err != nil {
			return err.Error()
		}
		waiting, err := r.node.Mempool(r.t.Context())
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(strings.Join(waiting, " "), tx.TxHash().String()) {
			return fmt.Sprint(waiting)
		}
		return ""
	})
}

// awaitMempool waits until the node has a transaction that is not mined.
func (r *rig) awaitMempool(txid string) {
	r.t.Helper()
	r.await("the node has "+txid, func() string {
		waiting, err := r.node.Mempool(r.t.Context())
		if err != nil || !slices.Contains(waiting, txid) {
			return fmt.Sprintf("%q %v", waiting, err)
		}
		return ""
	})
}

// history returns kind and txid of each transaction, the newest first.
func (r *rig) history() []string {
	r.t.Helper()
	list, err := r.Transactions(r.t.Context(), 100, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for _, tx := range list {
		lines = append(lines, fmt.Sprintf("%s %s", tx.Kind, tx.TxID))
	}
	return lines
}

func spent(tx *wire.MsgTx) []wire.OutPoint {
	var coins []wire.OutPoint
	for _, in := range tx.TxIn {
		coins = append(coins, in.PreviousOutPoint)
	}
	return coins
}

func complaint(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// logBook keeps what was logged.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBook) last(lines int) string {
	all := strings.Split(l.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
