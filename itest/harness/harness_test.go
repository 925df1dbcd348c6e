package harness_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
)

func TestAwaitSaysWhatDidNotComeAndHowItStood(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err := harness.Await(ctx, "the moon", func(context.Context) (bool, string, error) { return false, "half", nil })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the moon") || !strings.Contains(err.Error(), "half") {
		t.Fatalf("got %v, want a deadline error that names what was awaited and the last state", err)
	}
}

func TestAwaitEndsAtOnceOnAnError(t *testing.T) {
	gone := errors.New("gone")
	err := harness.Await(context.Background(), "it", func(context.Context) (bool, string, error) { return false, "", gone })
	if !errors.Is(err, gone) {
		t.Fatalf("got %v, want %v", err, gone)
	}
}

// The end-to-end tests rely on this: both kinds of nodes mine, pay, reorganise and restart alike.
func TestNodesMinePayReorganiseAndComeBack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real nodes")
	}
	for _, kind := range []string{"btcd", "bitcoind"} {
		t.Run(kind, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			n := startNode(ctx, t, kind)

			before, err := n.Height(ctx)
			if err != nil {
				t.Fatal(err)
			}
			const to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080" // BIP173's example key
			txid, err := n.SendTo(ctx, to, 12345)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.MineEmpty(ctx, 1); err != nil {
				t.Fatal(err)
			}
			wantInMempool(ctx, t, n, txid, true)
			if err := n.Mine(ctx, 1, ""); err != nil {
				t.Fatal(err)
			}
			wantInMempool(ctx, t, n, txid, false)
			wantInBlock(ctx, t, n, before+2, txid, true)

			if err := n.Reorg(ctx, 3); err != nil {
				t.Fatal(err)
			}
			wantInBlock(ctx, t, n, before+2, txid, false)
			wantInMempool(ctx, t, n, txid, true)

			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := n.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			if height, err := n.Height(ctx); err != nil || height != before+3 {
				t.Fatalf("after a restart the height is %d (%v), want %d", height, err, before+3)
			}
		})
	}
}

// The benchmark builds a store for minutes and may be interrupted. Afterwards the daemon must find
// its chain again, and the miner its coins.
func TestAChainThatWasKeptGoesOnInAnotherProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real nodes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	exe, err := harness.BuildBtcd(ctx, ".", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := harness.StartBtcd(ctx, exe, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Kill9()
	const to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080" // BIP173's example key
	if err := n.Fund(ctx, to, 12345); err != nil {
		t.Fatal(err)
	}
	height, err := n.Height(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := n.HashAt(ctx, height)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "chain")
	if err := n.Keep(path); err != nil {
		t.Fatal(err)
	}
	if err := n.Kill9(); err != nil {
		t.Fatal(err)
	}

	again, err := harness.KeepOn(ctx, exe, t.TempDir(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Kill9()
	if got, err := again.HashAt(ctx, height); err != nil || got != hash {
		t.Fatalf("block %d is %s (%v), want %s", height, got, err, hash)
	}
	if err := again.Fund(ctx, to, 23456); err != nil { // of the change of the first payment, or of a coin that is ripe: never of one that is spent
		t.Fatal(err)
	}
	if now, err := again.Height(ctx); err != nil || now != height+1 {
		t.Fatalf("the height is %d (%v), want %d", now, err, height+1)
	}
}

func startNode(ctx context.Context, t *testing.T, kind string) (n *harness.Node) {
	t.Helper()
	var err error
	if kind == "btcd" {
		exe, failed := harness.BuildBtcd(ctx, ".", t.TempDir())
		if failed != nil {
			t.Fatal(failed)
		}
		n, err = harness.StartBtcd(ctx, exe, t.TempDir(), false)
	} else {
		exe, missing := harness.FindBitcoind()
		if missing != nil {
			t.Skip(missing)
		}
		n, err = harness.StartBitcoind(ctx, exe, t.TempDir(), false)
	}
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

func wantInMempool(ctx context.Context, t *testing.T, n *harness.Node, txid string, want bool) {
	t.Helper()
	err := harness.Await(ctx, "the mempool", func(ctx context.Context) (bool, string, error) {
		txids, err := n.Mempool(ctx)
		has := strings.Contains(strings.Join(txids, " "), txid)
		return has == want, strings.Join(txids, " "), err
	})
	if err != nil {
		t.Fatalf("%s in the mempool: want %t: %v", txid, want, err)
	}
}

func wantInBlock(ctx context.Context, t *testing.T, n *harness.Node, height int32, txid string, want bool) {
	t.Helper()
	block, err := n.BlockAt(ctx, height)
	if err != nil {
		t.Fatal(err)
	}
	has := false
	for _, tx := range block.Transactions {
		has = has || tx.TxHash().String() == txid
	}
	if has != want {
		t.Fatalf("%s in block %d: %t, want %t", txid, height, has, want)
	}
}
