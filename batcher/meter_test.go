package batcher

import (
	"ancre/batcher/decide"
	"context"
	"testing"
	"time"

	"ancre/internal/warning"
)

func (h *house) overview() Overview {
	h.t.Helper()
	o, err := h.b.Overview(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

// Each event counts once: not again when a version is offered again, after a reorganisation or
// after a restart.
func TestVersionsAreCountedOnceHoweverOftenTheyAreOffered(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.submit("a", "b")
	if c := h.b.Counts(); c.New != 2 || c.Known != 1 || c.Commits != 2 || c.Queue != 0 {
		t.Errorf("after 2 digests, one of them twice: %+v", c)
	}
	h.clock = h.clock.Add(time.Minute)
	h.sealNow()
	h.wants("a", Broadcast)
	if c := h.b.Counts(); c.Versions != 1 || c.Replacements != 0 || c.Offers == 0 {
		t.Fatalf("the first version: %+v", c)
	}
	h.submit("c") // joins the next one
	h.sealNow()
	h.clock = h.clock.Add(time.Minute)
	h.chain.extend(1, false)
	h.mustStep()
	if c, o := h.b.Counts(), h.overview(); c.Versions != 2 || c.Replacements != 1 || o.Versions != 2 {
		t.Fatalf("the second version: %+v; %d in flight", c, o.Versions)
	}

	h.mine(1)
	h.wants("a", Mined)
	offers := h.b.Counts().Offers
	h.chain.reorganise(1)
	h.mustStep()
	h.wants("a", Broadcast)
	if c := h.b.Counts(); c.Offers == offers || c.Versions != 2 {
		t.Errorf("offered again after a reorganisation: %d offers before, then %+v", offers, c)
	}
	h.crash()
	h.mustStep()
	if c := h.b.Counts(); c.Offers == 0 || c.Versions != 0 || c.New != 0 {
		t.Errorf("after a restart, which offers what is stored: %+v", c)
	}
	h.mine(8)
	h.wants("c", Final)
	a, err := h.b.Anchor(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := h.b.Counts(); c.FeesSats != uint64(decide.Current(a.Anchor).FeeSats) || c.FeesSats == 0 {
		t.Errorf("final anchors paid %d sats, and %d are counted", decide.Current(a.Anchor).FeeSats, c.FeesSats)
	}
	h.verify("a")
	if _, _, _, err := h.b.Proof(context.Background(), nil, digest("never")); err == nil {
		t.Error("a digest that never came has a proof")
	}
	if c := h.b.Counts(); c.ProofsComplete != 1 || c.ProofsPending != 0 {
		t.Errorf("one complete proof was asked for, and one that there is not: %+v", c)
	}
}

// Each batch is counted in one state, and the age of the oldest waiting batch is known, however it
// came to wait.
func TestOverviewCountsEachBatchOnceWithTheAgeOfTheOldest(t *testing.T) {
	h := newHouse(t)
	if o := h.overview(); o.Batches != (BatchCounts{}) || !o.OldestUnmined.IsZero() || !o.OldestPending.IsZero() {
		t.Errorf("an empty store: %+v", o)
	}
	h.submit("a")
	first := h.clock
	h.sealNow() // and no money to pay with
	h.clock = h.clock.Add(time.Hour)
	h.submit("b")
	h.sealNow()
	h.submit("c")
	if o := h.overview(); o.Batches != (BatchCounts{Open: 1, Sealed: 2}) || !o.OldestUnmined.Equal(first) || !o.OldestPending.Equal(first) {
		t.Errorf("before there is money: %+v, since %v and %v, want %v", o.Batches, o.OldestUnmined, o.OldestPending, first)
	}
	h.fund()
	h.mustStep()
	if o := h.overview(); o.Batches != (BatchCounts{Open: 1, Broadcast: 2}) || !o.OldestUnmined.Equal(first) {
		t.Errorf("in flight: %+v, since %v, want %v", o.Batches, o.OldestUnmined, first)
	}
	h.mine(1)
	if o := h.overview(); o.Batches != (BatchCounts{Open: 1, Mined: 2}) || !o.OldestUnmined.IsZero() || !o.OldestPending.Equal(first) {
		t.Errorf("mined: %+v, in no block since %v, not final since %v", o.Batches, o.OldestUnmined, o.OldestPending)
	}
	h.mine(5)
	final := BatchCounts{Open: 1, Final: 2}
	if o := h.overview(); o.Batches != final || !o.OldestPending.IsZero() {
		t.Errorf("final: %+v, since %v", o.Batches, o.OldestPending)
	}
	h.mine(decide.WatchDepth + 1) // nobody looks at that anchor any more
	if o := h.overview(); o.Batches != final || len(o.Warnings) > 0 {
		t.Errorf("settled: %+v, warnings %q", o.Batches, warning.Texts(o.Warnings))
	}
	h.sealNow()
	h.mine(6 + decide.WatchDepth + 1)
	if o := h.overview(); o.Batches != (BatchCounts{Final: 3}) {
		t.Errorf("all settled, and none open: %+v", o.Batches)
	}
}
