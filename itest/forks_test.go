package itest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"
)

// fork is two nodes, both followed by the daemon. Apart, each has a branch of its own. Together,
// the branch with more work wins.
type fork struct {
	*world
	other *harness.Node
}

// newFork starts the second node and the daemon, which can pay.
func newFork(w *world) fork {
	w.Helper()
	f := fork{world: w, other: w.newNode(w.node.Kind)}
	w.must(w.node.Mine(w.ctx, 1, "")) // one more than the other has: that one gives its own chain up
	w.must(f.other.Connect(w.ctx, w.node))
	w.daemon.Set("spv", "connect", fmt.Sprintf("[%q, %q]", w.node.P2P(), f.other.P2P()))
	w.startQuick(fundSats)
	w.must(f.other.AwaitSame(w.ctx, w.node))
	_, err := w.daemon.AwaitInfo(w.ctx, "both nodes to be peers", func(i rpc.Info) bool { return len(i.Chain.Peers) == 2 })
	w.must(err)
	return f
}

func (f fork) apart() {
	f.Helper()
	f.must(f.other.Disconnect(f.ctx, f.node))
}

// together connects the nodes again. The other node's branch has to be the longer one.
func (f fork) together() {
	f.Helper()
	f.must(f.other.Connect(f.ctx, f.node))
	f.must(f.daemon.AwaitHeight(f.ctx, f.node))
}

// sealed makes a batch of one digest.
func (w *world) sealed() (digest string) {
	w.Helper()
	digest = randomDigest()
	w.submit(digest)
	w.call(nil, "closebatch")
	return digest
}

// wantProven wants a digest final, with a complete proof that names the same block and that each of
// our verifiers accepts.
func (w *world) wantProven(digests ...string) {
	w.Helper()
	for _, digest := range digests {
		e := w.status(digest)
		hash, err := w.node.HashAt(w.ctx, e.Height)
		w.must(err)
		var p rpc.Proof
		w.call(&p, "getproof", digest)
		var v rpc.Verification
		w.call(&v, "verifyproof", digest, p.Proof)
		if e.State != "final" || e.BlockHash != hash.String() || !p.Complete || p.Height != e.Height || v.Result != "valid" || v.Height != e.Height {
			w.Errorf("%s is %s in block %d %s; its proof is complete: %t, and %s for block %d; the node has %s there",
				digest, e.State, e.Height, e.BlockHash, p.Complete, v.Result, v.Height, hash)
		}
	}
}

// One side of a split network mines the payment, the other does not, and wins.
func TestP4SplitNetworkWhereThePaymentIsOnTheLosingSide(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		f := newFork(w)
		digest := w.sealed()
		e := w.awaitState(digest, "broadcast")
		w.awaitInMempool(e.TxID)
		f.apart()
		w.mine(4)
		before := w.awaitState(digest, "mined")
		w.must(f.other.MineEmpty(w.ctx, 6))
		f.together()
		dropped := w.awaitState(digest, "broadcast")
		if dropped.BlockHash != "" || len(w.payments()) != 0 {
			t.Errorf("after the network came together: %+v and %d payments in the chain, want none", dropped, len(w.payments()))
		}
		w.mineUntilFinal()
		if after := w.status(digest); after.BlockHash == before.BlockHash || after.TxID != e.TxID {
			t.Errorf("mined again: %+v, want %s in another block than %s", after, e.TxID, before.BlockHash)
		}
		w.wantProven(digest)
		w.wantPaidOnce()
	})
}

// The two sides mine different versions of one payment. The daemon first follows the side that will
// lose, and pays for the batches that its version left out. Then the network comes together.
func TestP3SplitNetworkWhereEachSideMinesAnotherVersion(t *testing.T) {
	for _, c := range []struct {
		name         string
		first, other int // the versions that this side and the winning side mine
	}{
		{"the older version wins", 1, 0},
		{"the newer version wins", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachNode(t, func(t *testing.T, w *world) {
				f := newFork(w)
				one := w.sealed()
				w.awaitInMempool(w.awaitState(one, "broadcast").TxID)
				two := w.sealed()
				w.awaitState(two, "sealed")
				w.must(w.node.MineEmpty(w.ctx, 1))
				w.must(f.other.AwaitSame(w.ctx, w.node))
				a := w.awaitVersions(1, 2)
				if !slices.Equal(a.Versions[1].Batches, []uint64{1, 2}) {
					t.Fatalf("the second version commits to %v, want the batch that waited, too", a.Versions[1].Batches)
				}
				f.apart()

				w.must(w.node.MineThis(w.ctx, a.Versions[c.first].Hex))
				w.must(w.node.MineEmpty(w.ctx, 2))
				w.must(w.daemon.AwaitHeight(w.ctx, w.node))
				if e := w.awaitState(one, "mined"); e.TxID != a.Versions[c.first].TxID {
					t.Errorf("on this side: %+v, want %s mined", e, a.Versions[c.first].TxID)
				}
				if c.first == 0 { // what that version left out is paid for anew
					if e := w.awaitState(two, "broadcast"); e.TxID == a.Versions[1].TxID {
						t.Errorf("left out by the mined version: %+v, want another payment than %s", e, a.Versions[1].TxID)
					}
				}

				w.must(f.other.MineThis(w.ctx, a.Versions[c.other].Hex))
				w.must(f.other.MineEmpty(w.ctx, 4))
				f.together()
				w.must(harness.Await(w.ctx, "the other version to be mined", func(ctx context.Context) (bool, string, error) {
					var e rpc.Entry
					err := w.daemon.Call(ctx, &e, "getstatus", one)
					return (e.State == "mined" || e.State == "final") && e.TxID == a.Versions[c.other].TxID, fmt.Sprintf("%+v", e), err
				}))
				w.mineUntilFinal()
				w.wantProven(one, two)
				w.wantPaidOnce()
			})
		})
	}
}

// awaitVersions waits until an anchor has a number of versions, and returns it with their
// transactions.
func (w *world) awaitVersions(anchor uint64, versions int) (a rpc.Anchor) {
	w.Helper()
	w.must(harness.Await(w.ctx, fmt.Sprintf("anchor %d to have %d versions", anchor, versions), func(ctx context.Context) (bool, string, error) {
		a = rpc.Anchor{}
		err := w.daemon.Call(ctx, &a, "getanchor", anchor)
		return len(a.Versions) >= versions, fmt.Sprintf("%d versions", len(a.Versions)), err
	}))
	return a
}

// A reorganisation undoes a payment that was final. The daemon warns, serves no complete proof any
// more, and anchors again.
func TestFinalPaymentIsUndoneByADeeperReorganisation(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.daemon.Set("anchor", "confirmations", "3")
		f := newFork(w)
		digest := w.sealed()
		w.awaitInMempool(w.awaitState(digest, "broadcast").TxID)
		f.apart()
		w.mine(4)
		w.awaitState(digest, "final")
		w.wantProven(digest)
		before := w.status(digest)

		w.must(f.other.MineEmpty(w.ctx, 6))
		f.together()
		w.awaitState(digest, "broadcast")
		wantAlarm := func(want bool) {
			w.Helper()
			_, err := w.daemon.AwaitInfo(w.ctx, fmt.Sprintf("alarm: %t", want), func(i rpc.Info) bool {
				return want == slices.ContainsFunc(i.Warnings, func(s string) bool {
					return strings.Contains(s, "reorganisation") && strings.Contains(s, fmt.Sprint(before.Height))
				})
			})
			w.must(err)
		}
		wantAlarm(true)
		var p rpc.Proof
		w.call(&p, "getproof", digest)
		if p.Complete || p.State != "broadcast" {
			t.Errorf("proof of an undone payment: %s, complete %t; want it pending", p.State, p.Complete)
		}

		w.mineUntilFinal()
		wantAlarm(false)
		if after := w.status(digest); after.BlockHash == before.BlockHash {
			t.Errorf("final again in block %s, which is not in the chain any more", after.BlockHash)
		}
		w.wantProven(digest)
		w.wantPaidOnce()
	})
}
