package itest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"
)

// offerWarning is a warning of getinfo that peers do not take an anchor.
func offerWarning(text string) bool { return strings.HasPrefix(text, "anchor 1: ") }

// The only peer does not relay the anchor, so it would never be mined. Bitcoin Core does not report
// that: it asks for the transaction, drops it, and asks again after a block. btcd reports why.
// Either way getinfo, the command, the metrics and the log warn long before the target is over. The
// warning ends once the node takes the anchor.
func TestAPeerThatDoesNotPassAnchorsOnIsToldOf(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		rules := map[string]string{"bitcoind": "-datacarrier=0", "btcd": minRelay("btcd", 6)}[kind]
		words := map[string]string{"bitcoind": "datacarrier=0", "btcd": "the peers refuse its transaction"}[kind]
		w := newWorldFor(t, kind, patience, rules)
		w.watch()
		w.startQuick(fundSats)
		if got := w.warnings(); len(got) != 0 {
			t.Errorf("before anything is wrong: %q", got)
		}
		digest := w.sealed()
		txid := w.awaitState(digest, "broadcast").TxID
		warned := func() bool { return slices.ContainsFunc(w.warnings(), offerWarning) }
		offers := func() float64 {
			s := w.scrape()
			return s[`ancre_anchor_broadcasts_total{result="offered"}`] + s[`ancre_anchor_broadcasts_total{result="failed"}`]
		}
		for range 10 { // three blocks are enough
			before := offers()
			if warned() {
				break
			}
			w.must(w.node.MineEmpty(w.ctx, 1))
			w.must(w.daemon.AwaitHeight(w.ctx, w.node))
			_, err := w.daemon.AwaitInfo(w.ctx, "the anchor to be offered again, or a warning", func(i rpc.Info) bool {
				return slices.ContainsFunc(i.Warnings, offerWarning) || offers() > before
			})
			w.must(err)
		}
		if w.inMempool(txid) {
			t.Fatal("the node took the anchor: this test shows nothing")
		}
		text := w.awaitWarning("anchor 1: ", words, "spv.connect")
		if out := w.ancre(0, "status").Stdout; !strings.Contains(out, "WARNING: "+text) {
			t.Errorf("ancre status does not say %q:\n%s", text, out)
		}
		if got := w.scrape()[`ancre_warnings{name="offer_refused"}`]; got != 1 {
			t.Errorf("the metrics count %v warnings of refused offers, want 1", got)
		}
		w.must(harness.Await(w.ctx, "the log to tell of it", func(context.Context) (bool, string, error) {
			return strings.Contains(w.daemon.Log(500), "warning=offer_refused"), "", nil
		}))

		w.calm()
		w.mineUntilFinal()
		if got := w.warnings(); len(got) != 0 {
			t.Errorf("once all is well: %q", got)
		}
		w.wantProven(digest)
	})
}
