package itest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/internal/humanize"
	"ancre/itest/harness"
	"ancre/rpc"
)

// minRelay is the flag that sets the lowest fee rate, in sat/vB, at which a node takes a
// transaction.
func minRelay(kind string, satPerVByte int64) string {
	flag := "-minrelaytxfee"
	if kind == "btcd" {
		flag = "--minrelaytxfee"
	}
	return fmt.Sprintf("%s=%.8f", flag, float64(satPerVByte)*1e-5) // BTC/kvB
}

// eachKind runs a test for each kind of node. The test makes its own world.
func eachKind(t *testing.T, test func(t *testing.T, kind string)) {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	for _, kind := range nodeKinds(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

// blockWithoutUs makes an empty block again and again until something holds: each gives the daemon
// a reason to pay more.
func (w *world) blockWithoutUs(what string, holds func() bool) {
	w.Helper()
	const wait = 8 * time.Second // for what an empty block leads to: the version before has to have been offered first
	for {
		w.must(w.node.MineEmpty(w.ctx, 1))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		ctx, cancel := context.WithTimeout(w.ctx, wait)
		err := harness.Await(ctx, what, func(context.Context) (bool, string, error) { return holds(), "", nil })
		cancel()
		if err == nil {
			return
		}
		if w.ctx.Err() != nil {
			w.Fatal(err)
		}
	}
}

// versions returns the versions of an anchor, with their transactions.
func (w *world) versions(anchor uint64) []rpc.Version {
	w.Helper()
	var a rpc.Anchor
	w.call(&a, "getanchor", anchor)
	return a.Versions
}

// awaitNewestInMempool waits until the node has the newest version of an anchor, which may be
// replaced while this waits.
func (w *world) awaitNewestInMempool(anchor uint64) {
	w.Helper()
	w.must(harness.Await(w.ctx, fmt.Sprintf("the newest version of anchor %d to reach the node", anchor), func(ctx context.Context) (bool, string, error) {
		versions := w.versions(anchor)
		newest := versions[len(versions)-1].TxID
		txids, err := w.node.Mempool(ctx)
		return slices.Contains(txids, newest), newest + " is the newest; the node has " + strings.Join(txids, " "), err
	}))
}

// inMempool reports whether a transaction is in the node's mempool.
func (w *world) inMempool(txid string) bool {
	w.Helper()
	txids, err := w.node.Mempool(w.ctx)
	w.must(err)
	return slices.Contains(txids, txid)
}

// awaitWarning waits until getinfo warns with all of the words in one sentence.
func (w *world) awaitWarning(words ...string) (warning string) {
	w.Helper()
	_, err := w.daemon.AwaitInfo(w.ctx, fmt.Sprintf("a warning with %q", words), func(i rpc.Info) bool {
		for _, text := range i.Warnings {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
				warning = text
				return true
			}
		}
		return false
	})
	w.must(err)
	return warning
}

// warnings returns those of getinfo.
func (w *world) warnings() []string {
	w.Helper()
	var i rpc.Info
	w.call(&i, "getinfo")
	return i.Warnings
}

// wantRising wants each version to pay more than the one before, to commit to everything that one
// committed to, and to keep the caps.
func (w *world) wantRising(versions []rpc.Version, maxRate, maxFee int64) {
	w.Helper()
	for i, v := range versions {
		if v.FeeSats > maxFee || v.FeeSats > maxRate*v.VSize {
			w.Errorf("version %d pays %d sats, %.2f sat/vB: over the caps of %d sats and %d sat/vB", i+1, v.FeeSats, v.SatPerVByte, maxFee, maxRate)
		}
		if i == 0 {
			continue
		}
		before := versions[i-1]
		if v.FeeSats < before.FeeSats+v.VSize || v.SatPerVByte <= before.SatPerVByte {
			w.Errorf("version %d pays %d sats for %d vB, and the one before %d: nodes take a replacement for 1 sat/vB more (BIP125)", i+1, v.FeeSats, v.VSize, before.FeeSats)
		}
		for _, b := range before.Batches {
			if !slices.Contains(v.Batches, b) {
				w.Errorf("version %d commits to %v, and the one before to batch %d too", i+1, v.Batches, b)
			}
		}
	}
}

// raiseUntilTaken seals a batch and mines an empty block, again and again, until the node takes a
// version of the anchor. It returns that version and the digests.
func (w *world) raiseUntilTaken(anchor uint64) (taken rpc.Version, digests []string) {
	w.Helper()
	for {
		before := w.versions(anchor)
		digests = append(digests, w.sealed()) // joins the version that the next block brings, or one for a block that came already
		w.blockWithoutUs("a version that pays more", func() bool { return len(w.versions(anchor)) > len(before) })
		versions := w.versions(anchor)
		newest := versions[len(versions)-1]
		// The node answers an offer at once or never: the next block is the next chance.
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		err := harness.Await(ctx, "the node to take it", func(context.Context) (bool, string, error) { return w.inMempool(newest.TxID), "", nil })
		cancel()
		if err == nil {
			return newest, digests
		}
	}
}

// The first version pays less than the node asks for. At each block a new version pays more, and
// commits to the batches that were sealed meanwhile too. The node takes one in the end: one payment
// for all of them.
func TestPaymentThatPaysTooLittleIsRaisedBlockByBlock(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		const floor = 4
		w := newWorldFor(t, kind, patience, minRelay(kind, floor))
		w.daemon.Set("anchor", "target", `"1m"`)
		w.daemon.Set("anchor", "max_feerate", "10")
		w.startQuick(fundSats)
		first := w.sealed()
		e := w.awaitState(first, "broadcast")
		taken, digests := w.raiseUntilTaken(1)
		if w.inMempool(e.TxID) {
			t.Errorf("the first version is in the mempool of a node that asks for %d sat/vB", floor)
		}
		if taken.SatPerVByte < floor || len(taken.Batches) != len(digests)+1 {
			t.Errorf("the node took a version of %.2f sat/vB for batches %v; want at least %d sat/vB, and all %d batches", taken.SatPerVByte, taken.Batches, floor, len(digests)+1)
		}
		w.wantRising(w.versions(1), 10, 50_000)
		w.must(w.node.MineOnly(w.ctx, taken.TxID))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.mineUntilFinal()
		w.wantProven(append(digests, first)...)
		if n := len(w.payments()); n != 1 {
			t.Errorf("%d payments for %d batches, want one", n, len(digests)+1)
		}
		w.wantPaidOnce()
	})
}

// A real mempool fills with payments of others, and drops ours. A version that pays more is taken
// again.
func TestPaymentThatAFullMempoolThrewOutIsRaised(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	w := newWorldFor(t, "bitcoind", patience, "-maxmempool=5")
	w.daemon.Set("anchor", "target", `"1m"`)
	w.startQuick(fundSats)
	first := w.sealed()
	e := w.awaitState(first, "broadcast")
	w.awaitInMempool(e.TxID)
	began := time.Now()
	const crowd = 2 // sat/vB that the mempool asks more than; how much more falls again while blocks come
	minimum, err := w.node.Crowd(w.ctx, crowd)
	w.must(err)
	t.Logf("the mempool was filled in %s, and asks for %d sat/vB", time.Since(began).Round(time.Millisecond), minimum)
	if w.inMempool(e.TxID) {
		t.Fatal("the full mempool still has the first version: this test shows nothing")
	}
	taken, digests := w.raiseUntilTaken(1)
	if taken.SatPerVByte <= crowd {
		t.Errorf("the mempool asked for more than %d sat/vB and took %.2f", crowd, taken.SatPerVByte)
	}
	w.wantRising(w.versions(1), 100, 50_000)
	w.must(w.node.MineOnly(w.ctx, taken.TxID))
	w.must(w.node.MineEmpty(w.ctx, 5))
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
	for _, digest := range append(digests, first) {
		w.awaitState(digest, "final")
	}
	w.wantProven(append(digests, first)...)
	w.wantPaidOnce()
}

// The node asks for more than a cap allows. No version exceeds the cap. The daemon warns, and goes
// on accepting and sealing. When the node asks for less, the version in flight is mined without a
// restart.
func TestP5CapsHoldAndTheDaemonGoesOnWhenTheMarketCalms(t *testing.T) {
	for _, c := range []struct {
		name, key, value string
		maxRate, maxFee  int64
	}{
		{"max_feerate", "max_feerate", "3", 3, 50_000},
		{"max_fee", "max_fee", "400", 100, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind string) {
				const floor = 6
				w := newWorldFor(t, kind, patience, minRelay(kind, floor))
				w.daemon.Set("anchor", "target", `"1m"`)
				w.daemon.Set("anchor", c.key, c.value)
				w.startQuick(fundSats)
				digests := []string{w.sealed()}
				w.awaitState(digests[0], "broadcast")
				atCap := func() bool {
					versions := w.versions(1)
					newest := versions[len(versions)-1]
					paidFor := newest.VSize + 2 // the daemon pays for the longest signature; most are a byte shorter
					return newest.FeeSats+newest.VSize > min(c.maxFee, c.maxRate*paidFor)
				}
				for !atCap() {
					before := len(w.versions(1))
					digests = append(digests, w.sealed())
					w.blockWithoutUs("a version that pays more", func() bool { return len(w.versions(1)) > before })
				}
				digests = append(digests, w.sealed()) // waits
				w.must(w.node.MineEmpty(w.ctx, 1))
				w.must(w.daemon.AwaitHeight(w.ctx, w.node))
				if kind == "bitcoind" || c.key != "max_feerate" { // btcd does not tell what it asks for
					t.Logf("warned: %s", w.awaitWarning("anchor."+c.key, c.value))
				}
				w.submit(randomDigest())

				w.calm()
				w.awaitNewestInMempool(1)
				w.mineUntilFinal()
				w.wantProven(digests...)
				for _, a := range w.anchors() {
					w.wantRising(a.Versions, c.maxRate, c.maxFee)
				}
				w.wantPaidOnce()
			})
		})
	}
}

// calm restarts the node without the flags that made it ask for much.
func (w *world) calm() {
	w.Helper()
	w.must(w.node.Stop())
	w.node.SetFlags()
	w.must(w.node.Restart(w.ctx))
}

// The budget is 1,000 sats a month, and one payment would cost 100,000. The blocks show that the
// budget is kept. The daemon warns and goes on serving. When the market calms, the version in
// flight is mined.
func TestP5BudgetHoldsInAMarketThatWantsAHundredTimesAsMuch(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		const budget, dear = 1000, 700 // sats, sat/vB: 107,000 sats for 153 vB
		w := newWorldFor(t, kind, patience)
		w.budget(budget)
		w.startQuick(1_000_000) // enough to pay what the market wants
		calm := w.sealed()
		w.awaitInMempool(w.awaitState(calm, "broadcast").TxID)
		w.mine(1)
		w.awaitState(calm, "mined")
		w.must(w.node.Stop())
		w.node.SetFlags(minRelay(kind, dear))
		w.must(w.node.Restart(w.ctx))
		w.awaitPeers(1)
		w.must(w.node.MineEmpty(w.ctx, 1))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))

		first := w.sealed()
		w.awaitState(first, "broadcast")
		warned := func() bool { return strings.Contains(strings.Join(w.warnings(), "\n"), "monthly_budget") }
		for !warned() {
			w.sealed()
			before := len(w.versions(2))
			w.blockWithoutUs("a version that pays more, or a warning", func() bool { return len(w.versions(2)) > before || warned() })
		}
		t.Logf("warned: %s", w.awaitWarning("monthly_budget", humanize.Sats(budget)))
		versions := w.versions(2)
		newest := versions[len(versions)-1]
		w.wantRising(versions, 10_000, budget)
		if w.inMempool(newest.TxID) {
			t.Errorf("the node asks for %d sat/vB and took %.2f: this test shows nothing", dear, newest.SatPerVByte)
		}
		w.awaitState(w.sealed(), "sealed") // it serves, and seals

		w.calm()
		w.awaitNewestInMempool(2)
		w.mine(6)
		w.awaitState(first, "final")
		w.wantProven(calm, first)
		w.wantSpent(budget)
	})
}

// Ordinary payments use the budget up. The next one waits, and the daemon says why.
func TestP5BudgetIsUsedUpByCalmPayments(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		const budget = 1000
		w := newWorldFor(t, kind, patience)
		w.budget(budget)
		w.startQuick(fundSats)
		for range budget / 153 {
			digest := w.sealed()
			w.awaitInMempool(w.awaitState(digest, "broadcast").TxID)
			w.mine(1)
			w.awaitState(digest, "mined")
		}
		last := w.sealed()
		w.awaitWarning("monthly_budget", humanize.Sats(budget))
		w.mine(6)
		if e := w.awaitState(last, "sealed"); e.TxID != "" {
			t.Errorf("with the budget used up: %+v, want it sealed", e)
		}
		w.crash() // the budget is no matter of memory
		w.awaitWarning("monthly_budget", humanize.Sats(budget))
		w.mine(1)
		w.wantSpent(budget)
	})
}

// budget is the month's limit; one anchor must not cost more.
func (w *world) budget(sats int) {
	w.daemon.Set("anchor", "monthly_budget", fmt.Sprint(sats))
	w.daemon.Set("anchor", "max_fee", fmt.Sprint(sats))
	w.daemon.Set("anchor", "max_feerate", "10000")
	w.daemon.Set("anchor", "target", `"1m"`)
}

// wantSpent adds up from the blocks what payments cost: something, and at most the limit.
func (w *world) wantSpent(most int64) {
	w.Helper()
	var sum int64
	payments := w.payments()
	for _, p := range payments {
		sum += p.FeeSats
	}
	w.Logf("%d payments cost %d sats", len(payments), sum)
	if sum > most || sum == 0 {
		w.Errorf("the blocks hold payments for %d sats, want some, and at most %d", sum, most)
	}
}
