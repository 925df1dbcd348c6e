package batcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
	"go.uber.org/goleak"
)

func TestTimedSealing(t *testing.T) {
	h := newHouse(t)
	h.mustStep()
	if all, _ := h.b.Batches(context.Background(), 0, 10); len(all) != 0 {
		t.Fatalf("an empty batch was sealed: %+v", all)
	}
	h.submit("a")
	h.clock = h.clock.Add(6*time.Hour - time.Second)
	h.mustStep()
	h.wants("a", Open)
	h.clock = h.clock.Add(time.Second)
	h.mustStep()
	h.wants("a", Sealed)
}

func TestTimedSealingCountsTheTimeBeforeARestart(t *testing.T) {
	h := newHouse(t)
	h.submit("a")
	h.clock = h.clock.Add(5 * time.Hour)
	h.crash()
	h.clock = h.clock.Add(time.Hour)
	h.mustStep()
	h.wants("a", Sealed)
}

func TestClockThatJumpsBackDoesNotHoldABatchOpen(t *testing.T) {
	h := newHouse(t)
	h.submit("a")
	h.clock = h.clock.AddDate(-10, 0, 0) // a machine without a battery, before it asks for the time
	h.crash()
	h.mustStep()
	h.wants("a", Open)
	h.clock = h.clock.Add(6 * time.Hour)
	h.mustStep()
	h.wants("a", Sealed)
}

func TestFullDiskRefusesDigestsAndGoesOnReading(t *testing.T) {
	h := newHouse(t)
	h.submit("a")
	h.faults.full = true
	_, err := h.b.Submit(context.Background(), digests("b"))
	if !errors.Is(err, ErrReadOnly) || !errors.Is(err, store.ErrFull) {
		t.Fatalf("submit on a full disk: %v", err)
	}
	h.wants("a", Open)
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "no space left") || o.Warnings[0].Kind != warning.Store {
		t.Errorf("warnings of a full disk: %q", o.Warnings)
	}
	h.faults.full = false
	h.submit("b")
	h.wants("b", Open)
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) != 0 || o.Digests != 2 {
		t.Errorf("after room was made: %+v", o)
	}
}

func TestFullQueueIsRefusedWhole(t *testing.T) {
	h := newHouse(t)
	h.stop() // nobody takes from the queue
	c := newCommitter(h.b, store.Batch{ID: 1, State: store.Open}, 10)
	if err := c.enqueue(&submission{leaves: make([]store.Leaf, 8)}); err != nil {
		t.Fatal(err)
	}
	if err := c.enqueue(&submission{leaves: make([]store.Leaf, 3)}); !errors.Is(err, ErrBusy) {
		t.Errorf("3 digests beside 8 in a queue of 10: %v", err)
	}
	if err := c.enqueue(&submission{leaves: make([]store.Leaf, 2)}); err != nil {
		t.Errorf("2 digests beside 8 in a queue of 10: %v", err)
	}
}

func TestSpendOfAnAnchorsCoinElsewhereGivesItsBatchesAnotherAnchor(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.chain.deaf = true
	h.sealNow()
	h.wants("a", Broadcast)
	a, err := h.b.Anchor(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	foreign := wire.NewMsgTx(2)
	foreign.AddTxIn(&wire.TxIn{PreviousOutPoint: a.Anchor.Versions[0].Tx.TxIn[0].PreviousOutPoint})
	foreign.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	h.chain.deaf = false
	h.chain.mempool = []*wire.MsgTx{foreign}
	h.fund()
	h.chain.mempool = []*wire.MsgTx{foreign}
	h.mine(11)
	h.wants("a", Broadcast) // it may still be undone: paying again now could pay twice
	h.mine(1)
	if a, err = h.b.Anchor(context.Background(), 1); err != nil || a.Anchor.State != store.Dead {
		t.Fatalf("the anchor is %s (%v)", a.Anchor.State, err)
	}
	h.mustStep()
	h.mine(7)
	h.wants("a", Final)
}

func TestDamagedLeafIsNotPaidFor(t *testing.T) {
	h := newHouse(t)
	h.submit("a", "b")
	h.sealNow()
	h.faults.flip = true
	h.fund()
	h.mustStep()
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "batch 1: the store is damaged") || o.Warnings[0].Kind != warning.Damage {
		t.Errorf("warnings of a damaged batch: %q", o.Warnings)
	}
	if h.chain.offered != 0 {
		t.Error("a damaged batch was paid for")
	}
	if len(h.wallet.leases) != 0 {
		t.Error("its coins were not given back")
	}
	h.faults.flip = false
	h.submit("c")
	h.sealNow()
	h.mine(6)
	h.wants("c", Final) // others go on without it
	h.wants("a", Sealed)
}

func TestReorganisationThatMinesItAgainIsSeenInOneStep(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.sealNow()
	h.mine(3)
	before, err := h.b.Status(context.Background(), digest("a"))
	if err != nil || before.Progress.State != Mined {
		t.Fatalf("%+v, %v", before, err)
	}
	h.chain.shuffle(3)
	h.mustStep()
	after, err := h.b.Status(context.Background(), digest("a"))
	if err != nil || after.Progress.State != Mined || after.Progress.BlockHash == before.Progress.BlockHash {
		t.Fatalf("after a reorganisation that mined it in another block: %+v, %v", after, err)
	}
	h.mine(3)
	h.wants("a", Final)
	if r := h.verify("a"); r.Outcome != proof.OutcomeValid {
		t.Errorf("proof: %+v", r)
	}
}

// TestReorganisationWhileBlocksAreReadIsNotStored changes the chain between two reads of it: blocks
// read before the change must not be stored below blocks read after it.
func TestReorganisationWhileBlocksAreReadIsNotStored(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.chain.deaf = true
	h.sealNow()
	h.chain.mine(6)
	questions := 0
	h.chain.touched = func() {
		if questions++; questions == 2 {
			h.chain.reorganise(5)
		}
	}
	h.mustStep()
	c, err := h.store.Cursor(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Points {
		if at, err := h.chain.HashAt(p.Height); err != nil || at != p.Hash {
			t.Errorf("the block followed at height %d is not on the chain (%v)", p.Height, err)
		}
	}
}

// TestClientThatIsBehindIsNoReorganisation has a light client that lost its headers and fetches
// them again.
func TestClientThatIsBehindIsNoReorganisation(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.sealNow()
	h.mine(6)
	h.wants("a", Final)
	all := h.chain.active
	h.chain.active = all[:len(all)-6]
	h.mustStep()
	h.wants("a", Final)
	h.chain.active = all
	h.mine(1)
	h.wants("a", Final)
}

func TestCoinsInFlightAreLeasedAgainAtStart(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.chain.deaf = true
	h.submit("a")
	h.sealNow()
	a, err := h.b.Anchor(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	h.crash()
	if coin := a.Anchor.Versions[0].Tx.TxIn[0].PreviousOutPoint; !h.wallet.leases[coin] {
		t.Error("after a start the wallet may spend the coin of an anchor in flight")
	}
}

func TestUnknownThingsAreNamed(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	_, err := h.b.Status(ctx, digest("never"))
	_, err2 := h.b.Batch(ctx, 7)
	_, err3 := h.b.Anchor(ctx, 9)
	for what, err := range map[string]error{fmt.Sprintf("%x", digest("never")): err, "batch 7": err2, "anchor 9": err3} {
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRunAloneDoesItAll lets the loops run by themselves. Only a closed batch and blocks wake them.
func TestRunAloneDoesItAll(t *testing.T) {
	h := newHouse(t)
	h.stop()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // the engine's own goroutines end with the test
	b, err := New(Config{
		Store: h.store, Chain: h.chain, Wallet: h.wallet, Policy: h.policy, URI: "http://127.0.0.1:14788",
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Tick: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.b = b
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	h.fund()
	h.submit("a")
	if st, closed, err := b.CloseBatch(ctx); err != nil || !closed || st.Batch.State != store.Sealed || st.Batch.ID != 1 {
		t.Fatalf("closebatch: %+v, %v, %v", st, closed, err)
	}
	if _, closed, err := b.CloseBatch(ctx); err != nil || closed {
		t.Fatalf("closebatch with nothing open: %v, %v", closed, err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); h.state("a") != Final; {
		select {
		case <-tick.C:
			h.chain.mine(1)
		case <-deadline:
			t.Fatalf("the digest is %s after a minute of blocks", h.state("a"))
		}
	}
	if err := b.Stalled(time.Minute); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	if _, err := b.Submit(context.Background(), digests("late")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("submit after the stop: %v", err)
	}
	if _, _, err := b.CloseBatch(context.Background()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("closebatch after the stop: %v", err)
	}
}
