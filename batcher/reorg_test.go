package batcher

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// confirm adds a block with these transactions and no others.
func (c *simChain) confirm(txs ...*wire.MsgTx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tip := c.active[len(c.active)-1]
	c.active = append(c.active, c.block(tip.BlockHash(), txs))
	c.mempool = slices.DeleteFunc(c.mempool, func(tx *wire.MsgTx) bool {
		return slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool {
			return slices.ContainsFunc(txs, func(other *wire.MsgTx) bool {
				return slices.ContainsFunc(other.TxIn, func(x *wire.TxIn) bool { return x.PreviousOutPoint == in.PreviousOutPoint })
			})
		})
	})
	c.notify()
}

// skip adds blocks that leave everything out. The loops run at each.
func (h *house) skip(n int) {
	h.t.Helper()
	for range n {
		h.chain.confirm()
		h.mustStep()
	}
}

func (h *house) anchor(id uint64) store.Anchor {
	h.t.Helper()
	a, err := h.b.Anchor(context.Background(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return a.Anchor
}

// twoVersions leaves an anchor in flight whose first version commits to batch 1 ("a"), and whose
// second to batches 1 and 2 ("b").
func (h *house) twoVersions() (first, second *wire.MsgTx) {
	h.t.Helper()
	h.fund()
	h.skip(15) // the coin is older than any reorganisation here
	h.submit("a")
	h.sealNow()
	h.submit("b")
	h.sealNow()
	h.skip(1)
	a := h.anchor(1)
	if len(a.Versions) != 2 {
		h.t.Fatalf("anchor 1 has %d versions, want 2", len(a.Versions))
	}
	return a.Versions[0].Tx, a.Versions[1].Tx
}

// TestReorganisations has a reorganisation of each depth hit an anchor in each state, with each
// outcome. In the end both batches are final, their proofs verify, and one transaction of the chain
// commits to each batch. The test fails if the batcher forgets a version, does not walk back,
// leaves a batch with an anchor that does not commit to it, or pays for a batch again beside a
// version that may return.
func TestReorganisations(t *testing.T) {
	states := []string{"before it is mined", "when it is mined", "when it is final"}
	outcomes := []string{"the same version returns", "the other version is mined", "none is mined for 20 blocks"}
	for _, depth := range []int{1, 3, 6, 10} {
		for _, state := range states {
			for _, outcome := range outcomes {
				for _, newest := range []bool{true, false} {
					name := fmt.Sprintf("%d blocks %s, then %s, newest first %v", depth, state, outcome, newest)
					t.Run(name, func(t *testing.T) { reorganise(t, depth, state, outcome, newest) })
				}
			}
		}
	}
}

func reorganise(t *testing.T, depth int, state, outcome string, newest bool) {
	h := newHouse(t)
	first, second := h.twoVersions()
	mined, other := first, second
	if newest {
		mined, other = second, first
	}
	confirmations := 0 // of the anchor when the reorganisation comes
	switch state {
	case "when it is mined":
		confirmations = min(depth, 5)
	case "when it is final":
		confirmations = max(depth, 6)
	}
	if confirmations > 0 {
		h.chain.confirm(mined)
		h.mustStep()
		h.skip(confirmations - 1)
	}
	undone := confirmations > 0 && depth >= confirmations
	wasFinal := h.state("a") == Final
	if wasFinal != (state == "when it is final") {
		t.Fatalf("final before the reorganisation: %v", wasFinal)
	}
	if wasFinal && h.verify("a").Outcome != proof.OutcomeValid {
		t.Fatal("the proof was not valid before the reorganisation")
	}

	// On the other branch a version may be mined only if none is mined below it.
	var txs []*wire.MsgTx
	if undone || confirmations == 0 {
		switch outcome {
		case "the same version returns":
			txs = []*wire.MsgTx{mined}
		case "the other version is mined":
			txs = []*wire.MsgTx{other}
		}
	}
	h.branchOff(depth, txs)
	stays := len(txs) > 0 && depth+1 >= 6 // final again at once
	h.wantsUndoneFinal(wasFinal && undone, stays)
	if wasFinal && undone && len(txs) == 0 {
		if r := h.verify("a"); r.Outcome != proof.OutcomePending {
			t.Errorf("proof of an anchor that was undone: %+v", r)
		}
	}
	h.skip(20)
	if undone && outcome == "none is mined for 20 blocks" {
		h.wants("a", Broadcast)
	}
	h.crash()
	h.mine(30)
	h.wantsAllFinal("a", "b")
}

// branchOff replaces the newest blocks by a branch that is one block longer. The first of its
// blocks has the transactions.
func (h *house) branchOff(depth int, txs []*wire.MsgTx) {
	h.t.Helper()
	h.chain.mu.Lock()
	h.chain.active = h.chain.active[:len(h.chain.active)-depth]
	h.chain.mempool = nil
	h.chain.mu.Unlock()
	h.chain.confirm(txs...)
	for range depth {
		h.chain.confirm()
	}
	h.mustStep()
}

// wantsUndoneFinal checks that there is a warning exactly if a final anchor was undone and does not
// stay final.
func (h *house) wantsUndoneFinal(undone, stays bool) {
	h.t.Helper()
	o, err := h.b.Overview(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	warned := slices.ContainsFunc(o.Warnings, func(w warning.Warning) bool { return strings.Contains(w.Text, "was final") })
	if warned != (undone && !stays) {
		h.t.Errorf("warnings after a reorganisation that undid a final anchor (%v), which is final again (%v): %q", undone, stays, o.Warnings)
	}
}

// wantsAllFinal checks that these digests have valid proofs, that nothing was paid twice, and that
// no warning is left.
func (h *house) wantsAllFinal(names ...string) {
	h.t.Helper()
	for _, name := range names {
		h.wants(name, Final)
		if r := h.verify(name); r.Outcome != proof.OutcomeValid {
			h.t.Errorf("proof of %s: %+v", name, r)
		}
	}
	h.nothingPaidTwice()
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) != 0 {
		h.t.Errorf("warnings once all is final: %q", o.Warnings)
	}
}

// A reorganisation undoes a parent and its child, and another version of the parent is mined. The
// coin of the child is lost. Its batches get another anchor once that is certain, and not before.
func TestChildOfALostVersionIsBuiltAnew(t *testing.T) {
	h := newHouse(t)
	first, second := h.twoVersions()
	h.chain.confirm(first) // leaves b out
	h.mustStep()
	h.submit("c")
	h.sealNow()
	h.skip(1)
	child := h.anchor(2)
	if got := child.Versions[0].Tx.TxIn[0].PreviousOutPoint.Hash; got != first.TxHash() {
		t.Fatalf("the anchor of what was left out spends %v, not the change of the version that left it out", got)
	}
	h.chain.mine(1)
	h.mustStep()
	h.wants("c", Mined)

	h.chain.mu.Lock()
	h.chain.active = h.chain.active[:len(h.chain.active)-3]
	h.chain.mempool = nil
	h.chain.mu.Unlock()
	h.chain.confirm(second)
	h.skip(3)
	if a := h.anchor(2); a.State != store.Spent {
		t.Fatalf("the child is %s", a.State)
	}
	h.wants("b", Mined) // by the second version
	h.wants("c", Broadcast)
	h.skip(6)
	h.wants("b", Final)
	h.crash()
	h.mine(30)
	h.wants("c", Final)
	if a := h.anchor(2); a.State != store.Dead {
		t.Errorf("the child is %s in the end", a.State)
	}
	for _, name := range []string{"a", "b", "c"} {
		if r := h.verify(name); r.Outcome != proof.OutcomeValid {
			t.Errorf("proof of %s: %+v", name, r)
		}
	}
	h.nothingPaidTwice()
}

// A reorganisation returns a parent and its child to the mempools. The parent is offered in the
// version whose change the child spends. If blocks still leave both out, the parent is replaced by
// a version that pays more than both.
func TestParentThatIsRaisedPaysForItsChild(t *testing.T) {
	h := newHouse(t)
	first, _ := h.twoVersions()
	h.chain.confirm(first)
	h.mustStep()
	h.chain.mine(1) // the child
	h.mustStep()
	child := h.anchor(2)
	h.chain.reorganise(2)
	h.chain.rate = 20
	h.clock = h.clock.Add(h.policy.Target)
	h.mustStep()
	h.chain.mu.Lock()
	var offered []chainhash.Hash
	for _, tx := range h.chain.mempool {
		offered = append(offered, tx.TxHash())
	}
	h.chain.mu.Unlock()
	if want := []chainhash.Hash{first.TxHash(), child.Versions[0].Tx.TxHash()}; !slices.Equal(offered, want) {
		t.Fatalf("offered after the reorganisation: %v, want the mined version and its child: %v", offered, want)
	}
	h.skip(1)
	a := h.anchor(1)
	newest := a.Versions[len(a.Versions)-1]
	if len(a.Versions) != 3 || newest.FeeSats < a.Versions[1].FeeSats+child.Versions[0].FeeSats+txsize.VSize(newest.Tx) {
		t.Errorf("the parent has %d versions, and its newest pays %d sats", len(a.Versions), newest.FeeSats)
	}
	h.chain.mu.Lock()
	n := len(h.chain.mempool)
	h.chain.mu.Unlock()
	if n != 1 {
		t.Errorf("%d transactions wait, want the replacement alone", n)
	}
	h.mine(40)
	h.wants("a", Final)
	h.wants("b", Final)
	h.nothingPaidTwice()
}

// A store that was restored beside a newer wallet does not know the anchors after the backup. At
// the start their coins are released, like all other coins that no stored anchor needs.
func TestLeasesAreThoseOfTheStoredAnchorsAtTheStart(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.sealNow()
	flying := decide.Inputs(h.anchor(1))
	h.crash()
	unknown := []wire.OutPoint{{Hash: chainhash.Hash{1}}, {Hash: chainhash.Hash{2}, Index: 7}}
	if err := h.wallet.Lease(context.Background(), unknown); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.start()
	if len(h.wallet.leases) != len(flying) || !h.wallet.leases[flying[0]] {
		t.Errorf("leased after the start: %v, want %v and nothing else", h.wallet.leases, flying)
	}

	// An anchor that is mined and not final keeps them: its block may have left the chain while the
	// process was down.
	h.mine(2)
	h.crash()
	h.stop()
	h.start()
	if len(h.wallet.leases) != len(flying) || !h.wallet.leases[flying[0]] {
		t.Errorf("leased after the start with a mined anchor: %v, want %v and nothing else", h.wallet.leases, flying)
	}
	h.mine(5)
	h.wants("a", Final)
	if len(h.wallet.leases) != 0 {
		t.Errorf("leased when all is done: %v", h.wallet.leases)
	}
}

// If a crash comes after an anchor was stored as done and before its coins were released, they stay
// leased. The next start releases them, except those that an anchor in flight spends.
func TestCoinsOfWhatIsDoneAreReleasedAtTheNextStart(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.sealNow()
	h.mine(6)
	h.wants("a", Final)
	h.submit("b")
	h.sealNow()
	done, flying := decide.Inputs(h.anchor(1)), decide.Inputs(h.anchor(2))
	h.crash()
	if err := h.wallet.Lease(context.Background(), done); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.start()
	if h.wallet.leases[done[0]] || !h.wallet.leases[flying[0]] {
		t.Errorf("leased after the start: %v, want %v and nothing else", h.wallet.leases, flying)
	}
}

// A reorganisation removes the deposit that an anchor spends. While the deposit may come back the
// anchor waits for it, and others go on. If it does not come back, the batches get another anchor.
func TestAnchorOfADepositThatVanishes(t *testing.T) {
	for _, returns := range []bool{true, false} {
		t.Run(fmt.Sprintf("the deposit returns %v", returns), func(t *testing.T) {
			h := newHouse(t)
			h.fund()
			h.chain.mu.Lock()
			deposit := h.chain.active[len(h.chain.active)-1].Transactions[1]
			h.chain.mu.Unlock()
			h.chain.deaf = true
			h.submit("a")
			h.sealNow()
			h.wants("a", Broadcast)
			h.chain.reorganise(1)
			h.fund() // another one
			h.mustStep()
			h.chain.deaf = false
			if returns {
				h.skip(50)
				h.chain.confirm(deposit)
			} else {
				h.skip(90)
				h.submit("b")
				h.sealNow()
				h.mine(7)
				h.wants("b", Final)
				h.wants("a", Broadcast)
			}
			h.mine(30)
			h.wants("a", Final)
			if a := h.anchor(1); (a.State == store.Dead) == returns {
				t.Errorf("the anchor is %s", a.State)
			}
			h.nothingPaidTwice()
		})
	}
}

// A store that was restored from an old backup does not know the versions that were made after it.
// If one of them is mined it is recognised, with the batches that joined since. They are not paid
// for again.
func TestVersionThatTheStoreDoesNotKnowIsAdopted(t *testing.T) {
	for _, joined := range []bool{false, true} {
		t.Run(fmt.Sprintf("a batch joined %v", joined), func(t *testing.T) {
			h := newHouse(t)
			h.fund()
			h.chain.deaf = true
			h.submit("a")
			h.sealNow()
			a := h.anchor(1)
			batches, err := h.store.Batches(context.Background(), 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			order := Order{Root: batches[0].Root, SatPerVByte: 9, LockTime: 2, Coins: decide.Inputs(a), Prevouts: a.Versions[0].Prevouts}
			if joined {
				h.submit("b", "c")
				h.sealNow()
				second, err := h.store.Batch(context.Background(), 2)
				if err != nil {
					t.Fatal(err)
				}
				order.Root = proof.Root([][32]byte{batches[0].Root, second.Root})
			}
			tx, _, err := h.wallet.BuildAnchor(context.Background(), order)
			if err != nil {
				t.Fatal(err)
			}
			h.chain.confirm(tx)
			h.mustStep()
			h.wants("a", Mined)
			h.chain.deaf = false
			h.mine(10)
			h.wants("a", Final)
			if r := h.verify("a"); r.Outcome != proof.OutcomeValid {
				t.Errorf("proof: %+v", r)
			}
			if joined {
				h.wants("c", Final)
			}
			if n := len(h.chain.anchors()); n != 1 {
				t.Errorf("%d transactions were paid", n)
			}
			h.nothingPaidTwice()
		})
	}
}
