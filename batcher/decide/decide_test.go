package decide

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func point(height int32) store.Point { return branch(height, 0) }

// branch is the block at height on a branch of the chain; branch 0 is the one that a test begins
// on.
func branch(height int32, which byte) store.Point {
	return store.Point{Height: height, Hash: chainhash.Hash{byte(height), byte(height >> 8), which, 1}}
}

func points(from, to int32) []store.Point {
	var out []store.Point
	for h := from; h <= to; h++ {
		out = append(out, point(h))
	}
	return out
}

// anchorOf is an anchor of one version that was made at block 110, of 1 sat/vB and 153 sats, with
// one coin and change.
func anchorOf(id uint64, state store.AnchorState, height int32, batches ...uint64) store.Anchor {
	a := store.Anchor{ID: id, State: state, Versions: []store.Version{versionOf(wire.OutPoint{Hash: chainhash.Hash{0xc0 + byte(id)}}, 110, 1, batches...)}}
	if height > 0 {
		a.Block = &store.Block{Height: height, Hash: point(height).Hash}
	}
	return a
}

// versionOf is a version that spends a coin, made when the block at that height was the newest.
func versionOf(coin wire.OutPoint, made uint32, rate int64, batches ...uint64) store.Version {
	tx := wire.NewMsgTx(2)
	tx.LockTime = made
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: coin})
	tx.AddTxOut(wire.NewTxOut(0, []byte{txscript.OP_RETURN}))
	tx.AddTxOut(wire.NewTxOut(10_000-153*rate, []byte("change")))
	return store.Version{Tx: tx, Prevouts: []*wire.TxOut{wire.NewTxOut(10_000, []byte("coin"))}, Batches: batches, SatPerVByte: rate, FeeSats: 153 * rate}
}

// raised adds a version to an anchor that replaces its newest.
func raised(a store.Anchor, made uint32, rate int64, batches ...uint64) store.Anchor {
	a.Versions = append(slices.Clone(a.Versions), versionOf(a.Versions[0].Tx.TxIn[0].PreviousOutPoint, made, rate, batches...))
	return a
}

// childOf is an anchor that spends the change of a version.
func childOf(v store.Version, a store.Anchor) store.Anchor {
	a.Versions = slices.Clone(a.Versions)
	coin, _, _ := Change(v)
	for i := range a.Versions {
		a.Versions[i].Tx = a.Versions[i].Tx.Copy()
		a.Versions[i].Tx.TxIn[0].PreviousOutPoint = coin
	}
	return a
}

// names writes actions in words that a table can hold.
func names(actions []Action) []string {
	var out []string
	for _, a := range actions {
		switch a := a.(type) {
		case CloseBatch:
			out = append(out, fmt.Sprintf("close %d", a.ID))
		case SealBatch:
			out = append(out, fmt.Sprintf("seal %d", a.Batch.ID))
		case Follow:
			p := a.Cursor.Points
			out = append(out, fmt.Sprintf("follow %d-%d", p[0].Height, p[len(p)-1].Height))
		case Unmine:
			out = append(out, fmt.Sprintf("unmine %d from %s", a.Anchor.ID, a.Was))
		case MarkMined:
			out = append(out, fmt.Sprintf("mined %d at %d", a.Anchor.ID, a.Anchor.Block.Height))
		case MarkSpent:
			out = append(out, fmt.Sprintf("spent %d at %d", a.Anchor.ID, a.Anchor.Block.Height))
		case MarkFinal:
			out = append(out, fmt.Sprintf("final %d", a.Anchor.ID))
		case Settle:
			out = append(out, fmt.Sprintf("settle %d", a.Anchor.ID))
		case Abandon:
			out = append(out, fmt.Sprintf("abandon %d", a.Anchor.ID))
		case Assign:
			out = append(out, fmt.Sprintf("assign %d to %d", a.Batch, a.Anchor))
		case OfferAnchor:
			out = append(out, fmt.Sprintf("offer %d", a.Anchor.ID))
			if a.Version != len(a.Anchor.Versions)-1 {
				out[len(out)-1] += fmt.Sprintf(" version %d", a.Version)
			}
		case Pay:
			out = append(out, fmt.Sprintf("pay %v at %d", ids(a.Batches), a.SatPerVByte))
			if len(a.Coins) > 0 {
				out[len(out)-1] += " from " + short(a.Coins)
			}
		case Replace:
			out = append(out, fmt.Sprintf("replace %d with %v at %d from %s, over %d up to %d sats", a.Anchor.ID, ids(a.Batches), a.SatPerVByte,
				short(a.Coins), a.MinFeeSats, a.MaxFeeSats))
		case Hold:
			out = append(out, "hold: "+a.Text)
		}
	}
	return out
}

func ids(batches []store.Batch) (out []uint64) {
	for _, b := range batches {
		out = append(out, b.ID)
	}
	return out
}

// txidOf is how short writes the transaction of a version.
func txidOf(v store.Version) string {
	txid := v.Tx.TxHash()
	return fmt.Sprintf("%x", txid[:1])
}

// twoCoins adds a version that spends a second coin.
func twoCoins(a store.Anchor) store.Anchor {
	a = raised(a, 109, 2, a.Versions[0].Batches...)
	v := &a.Versions[1]
	v.Tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: chainhash.Hash{0xee}}})
	v.Prevouts = append(v.Prevouts, wire.NewTxOut(10_000, []byte("coin")))
	return a
}

// alsoSpending adds a version that spends the change of another anchor's version too, and commits
// to these batches.
func alsoSpending(of store.Version, a store.Anchor, batches ...uint64) store.Anchor {
	a = raised(a, 109, 2, batches...)
	coin, out, _ := Change(of)
	v := &a.Versions[len(a.Versions)-1]
	v.Tx.AddTxIn(&wire.TxIn{PreviousOutPoint: coin})
	v.Prevouts = append(v.Prevouts, out)
	return a
}

// short writes coins by the first bytes of their transactions.
func short(coins []wire.OutPoint) string {
	var out []string
	for _, c := range coins {
		out = append(out, fmt.Sprintf("%x:%d", c.Hash[:1], c.Index))
	}
	return strings.Join(out, " ")
}

func TestNext(t *testing.T) {
	policy := DefaultPolicy()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sealed := func(id uint64) store.Batch { return store.Batch{ID: id, State: store.Sealed, Count: 1} }
	following := func(active int, next ...BlockSeen) *ChainFacts {
		c := &ChainFacts{Tip: point(110), Active: active, Next: next}
		if len(next) > 0 {
			c.Tip = next[len(next)-1].Point
		}
		return c
	}
	cursor := store.Cursor{Points: points(100, 110)}
	two := raised(anchorOf(1, store.Broadcast, 0, 1), 110, 2, 1, 2)
	mined := func(a store.Anchor, height int32, version int) store.Anchor {
		a.State, a.Block = store.Mined, &store.Block{Height: height, Hash: point(height).Hash, Version: version}
		return a
	}
	owned := func(id, anchor uint64) store.Batch {
		return store.Batch{ID: id, State: store.Sealed, Count: 1, Anchor: anchor}
	}
	fresh := map[uint64]Offer{1: {At: now, Tip: point(110), Since: point(110)}, 2: {At: now, Tip: point(110), Since: point(110)}} // offered at this block
	stale := map[uint64]Offer{1: {At: now, Tip: point(109), Since: point(109)}, 2: {At: now, Tip: point(110), Since: point(110)}} // the first was left out by it
	made := func(a store.Anchor, height uint32) store.Anchor {
		a.Versions = slices.Clone(a.Versions)
		for i := range a.Versions {
			a.Versions[i].Tx = a.Versions[i].Tx.Copy()
			a.Versions[i].Tx.LockTime = height
		}
		return a
	}
	late := func(id, anchor uint64, age time.Duration) store.Batch {
		b := owned(id, anchor)
		b.Closed = now.Add(-age)
		return b
	}
	lost := func(a store.Anchor, height int32) store.Anchor {
		a.State, a.Block = store.Spent, &store.Block{Height: height, Hash: point(height).Hash}
		return a
	}
	long := store.Cursor{Points: points(1, store.CursorDepth)}

	for _, c := range []struct {
		name string
		s    Stored
		f    Facts
		want []string
	}{
		{"an open batch before its time is left open",
			Stored{Batches: []store.Batch{{ID: 1, State: store.Open, Count: 1}}}, Facts{OpenFor: policy.Interval - 1}, nil},
		{"an open batch at its time is closed",
			Stored{Batches: []store.Batch{{ID: 1, State: store.Open, Count: 1}}}, Facts{OpenFor: policy.Interval}, []string{"close 1"}},
		{"an empty batch is never closed",
			Stored{Batches: []store.Batch{{ID: 1, State: store.Open}}}, Facts{OpenFor: policy.Interval}, nil},
		{"a closed batch is sealed, whatever the chain does",
			Stored{Batches: []store.Batch{{ID: 1, State: store.Closed, Count: 1}}}, Facts{}, []string{"seal 1"}},
		{"nothing is paid without a look at the chain",
			Stored{Batches: []store.Batch{sealed(1)}, Cursor: cursor}, Facts{}, nil},
		{"a new store begins at the tip and pays",
			Stored{Batches: []store.Batch{sealed(1)}}, Facts{Chain: following(0, BlockSeen{Point: point(110)})},
			[]string{"follow 110-110", "pay [1] at 1"}},
		{"all sealed batches go to one anchor",
			Stored{Batches: []store.Batch{sealed(1), sealed(2), {ID: 3, State: store.Open, Count: 1}}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"pay [1 2] at 1"}},
		{"nothing is paid before the tip is reached",
			Stored{Batches: []store.Batch{sealed(1)}, Cursor: cursor},
			Facts{Chain: &ChainFacts{Tip: point(112), Active: 11, Next: []BlockSeen{{Point: point(111)}}}}, []string{"follow 100-111"}},
		{"nothing is paid while an anchor is in flight",
			Stored{Batches: []store.Batch{sealed(2)}, Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: fresh}, nil},
		{"the next is paid once the one before is mined",
			Stored{Batches: []store.Batch{sealed(2)}, Anchors: []store.Anchor{anchorOf(1, store.Mined, 108, 1)}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"pay [2] at 1"}},
		{"after a start what is in flight is offered again",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor}, Facts{Now: now, Chain: following(11)},
			[]string{"offer 1"}},
		{"at each block what is in flight is offered again",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: map[uint64]Offer{1: {At: now, Tip: point(109)}}}, []string{"offer 1"}},
		{"at intervals what is in flight is offered again",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Now: now.Add(policy.Rebroadcast), Chain: following(11), Offered: map[uint64]Offer{1: {At: now, Tip: point(110)}}},
			[]string{"offer 1"}},
		{"what nobody took is offered again soon",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Now: now.Add(retryOffer), Chain: following(11), Offered: map[uint64]Offer{1: {At: now, Tip: point(110), Failed: true}}},
			[]string{"offer 1"}},
		{"a clock that was set back does not end the offers",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Now: now.AddDate(-1, 0, 0), Chain: following(11), Offered: map[uint64]Offer{1: {At: now, Tip: point(110)}}},
			[]string{"offer 1"}},
		{"a version in a block makes the anchor mined and frees what it left out",
			Stored{Anchors: []store.Anchor{two}, Owned: []store.Batch{owned(1, 1), owned(2, 1)}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: 0, Block: store.Block{Height: 111}}}})},
			[]string{"mined 1 at 111", "follow 100-111", "assign 2 to 0", "pay [2] at 1 from " + txidOf(two.Versions[0]) + ":1"}},
		{"a newer version in a block frees nothing",
			Stored{Anchors: []store.Anchor{two}, Owned: []store.Batch{owned(1, 1), owned(2, 1)}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: 1, Block: store.Block{Height: 111}}}})},
			[]string{"mined 1 at 111", "follow 100-111"}},
		{"a foreign spend of the coin stops the offers",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: -1, Block: store.Block{Height: 111}}}})},
			[]string{"spent 1 at 111", "follow 100-111"}},
		{"a foreign spend under twelve blocks frees all batches",
			Stored{Anchors: []store.Anchor{lost(two, 99)}, Owned: []store.Batch{owned(1, 1), owned(2, 1)}, Cursor: cursor}, Facts{Chain: following(11)},
			[]string{"abandon 1", "assign 1 to 0", "assign 2 to 0", "pay [1 2] at 1"}},
		{"a foreign spend under eleven blocks frees nothing, and holds nothing else up",
			Stored{Anchors: []store.Anchor{lost(two, 100)}, Owned: []store.Batch{owned(1, 1), owned(2, 1)}, Batches: []store.Batch{sealed(3)}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"pay [3] at 1"}},

		// Replacement.
		{"what is in flight is not replaced before a block had its chance",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Owned: []store.Batch{late(1, 1, 24*time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: fresh, Market: Market{50, 50}}, nil},
		{"at the floor what is in flight is left alone",
			Stored{Anchors: []store.Anchor{made(anchorOf(1, store.Broadcast, 0, 1), 109)}, Owned: []store.Batch{late(1, 1, time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: fresh, Market: Market{1, 1}}, nil},
		{"after a start what is in flight gets its chance first",
			Stored{Anchors: []store.Anchor{made(anchorOf(1, store.Broadcast, 0, 1), 109)}, Owned: []store.Batch{late(1, 1, 5*time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Market: Market{10, 10}}, []string{"offer 1"}},
		{"a block that leaves it out lets it pay more, from the same coin",
			Stored{Anchors: []store.Anchor{made(anchorOf(1, store.Broadcast, 0, 1), 109)}, Owned: []store.Batch{late(1, 1, 5*time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{10, 10}},
			[]string{fmt.Sprintf("replace 1 with [] at %d from c1:0, over 153 up to 50000 sats", policy.Rate(5*time.Hour, Market{10, 10}))}},
		{"batches that wait join at the next block, for one sat/vB more",
			Stored{Anchors: []store.Anchor{made(anchorOf(1, store.Broadcast, 0, 1), 109)}, Owned: []store.Batch{late(1, 1, 0)}, Batches: []store.Batch{sealed(2), sealed(3)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{1, 1}},
			[]string{"replace 1 with [2 3] at 2 from c1:0, over 153 up to 50000 sats"}},
		{"nothing pays more than the rate that is allowed, and a person is told",
			Stored{Anchors: []store.Anchor{raised(anchorOf(1, store.Broadcast, 0, 1), 109, 100, 1)}, Owned: []store.Batch{late(1, 1, 5*time.Hour)}, Batches: []store.Batch{sealed(2)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{200, 200}},
			[]string{fmt.Sprintf("hold: anchor 1 is not mined yet: it pays 100 sat/vB, the network asks for about %d, and anchor.max_feerate allows no more than 100: raise it, or wait for lower fees", policy.Rate(5*time.Hour, Market{200, 200})),
				"offer 1"}},
		{"after a reorganisation the parent is replaced, and pays for the child that it throws out",
			Stored{Anchors: []store.Anchor{made(anchorOf(1, store.Broadcast, 0, 1), 105), childOf(made(anchorOf(1, store.Broadcast, 0, 1), 105).Versions[0], made(anchorOf(2, store.Broadcast, 0, 2), 107))},
				Owned: []store.Batch{late(1, 1, 5*time.Hour), late(2, 2, 5*time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{10, 10}},
			[]string{fmt.Sprintf("replace 1 with [] at %d from c1:0, over 306 up to 50000 sats", policy.Rate(5*time.Hour, Market{10, 10}))}},
		{"a coin that was added on the way and is gone is left out of the next version",
			Stored{Anchors: []store.Anchor{twoCoins(made(anchorOf(1, store.Broadcast, 0, 1), 109))}, Owned: []store.Batch{late(1, 1, 5*time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{10, 10}, Missing: map[uint64]Missing{1: {Coins: []wire.OutPoint{{Hash: chainhash.Hash{0xee}}}}}},
			[]string{fmt.Sprintf("replace 1 with [] at %d from c1:0, over 153 up to 50000 sats", policy.Rate(5*time.Hour, Market{10, 10}))}},
		{"so is one that the payment of a later anchor took",
			Stored{Anchors: []store.Anchor{twoCoins(made(anchorOf(1, store.Broadcast, 0, 1), 108)), mined(twoCoins(anchorOf(2, store.Broadcast, 0, 2)), 110, 1)},
				Owned: []store.Batch{late(1, 1, 5*time.Hour), owned(2, 2)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{10, 10}},
			[]string{fmt.Sprintf("replace 1 with [] at %d from c1:0, over 153 up to 50000 sats", policy.Rate(5*time.Hour, Market{10, 10}))}},
		{"and one that the wallet says is spent",
			Stored{Anchors: []store.Anchor{twoCoins(made(anchorOf(1, store.Broadcast, 0, 1), 109))}, Owned: []store.Batch{late(1, 1, 5*time.Hour)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: stale, Market: Market{10, 10}, Taken: map[wire.OutPoint]bool{{Hash: chainhash.Hash{0xee}}: true}},
			[]string{fmt.Sprintf("replace 1 with [] at %d from c1:0, over 153 up to 50000 sats", policy.Rate(5*time.Hour, Market{10, 10}))}},

		{"a batch that joined with a coin which is gone, and went elsewhere, is not committed to again",
			Stored{Anchors: []store.Anchor{mined(two, 108, 1), alsoSpending(two.Versions[0], made(anchorOf(2, store.Broadcast, 0, 3), 109), 3, 2, 4)},
				Owned: []store.Batch{owned(1, 1), owned(2, 1), late(3, 2, 5*time.Hour), owned(4, 2)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: map[uint64]Offer{2: {At: now, Tip: point(109), Since: point(109)}}, Market: Market{10, 10}},
			[]string{fmt.Sprintf("replace 2 with [4] at %d from c2:0, over 153 up to 50000 sats", policy.Rate(5*time.Hour, Market{10, 10}))}},

		// What reorganisations do to chained anchors.
		{"the version that was mined is offered again when a later anchor is built on it",
			Stored{Anchors: []store.Anchor{raised(made(anchorOf(1, store.Broadcast, 0, 1), 100), 101, 2, 1, 2), childOf(made(anchorOf(1, store.Broadcast, 0, 1), 100).Versions[0], anchorOf(2, store.Broadcast, 0, 2))},
				Owned: []store.Batch{owned(1, 1), owned(2, 2)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Market: Market{1, 1}}, []string{"offer 1 version 0", "offer 2"}},
		{"a child is lost when its parent is mined in another version, and a parent gets what its mined version commits to",
			Stored{Anchors: []store.Anchor{two, childOf(two.Versions[0], anchorOf(2, store.Broadcast, 0, 2, 3))}, Owned: []store.Batch{owned(1, 1), owned(2, 2), owned(3, 2)}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: 1, Block: store.Block{Height: 111}}}})},
			[]string{"mined 1 at 111", "follow 100-111", "spent 2 at 111", "assign 2 to 1"}},
		{"it lives again when that block leaves the chain",
			Stored{Anchors: []store.Anchor{mined(two, 110, 1), lost(childOf(two.Versions[0], anchorOf(2, store.Broadcast, 0, 2, 3)), 110)}, Owned: []store.Batch{owned(1, 1), owned(2, 1), owned(3, 2)}, Cursor: cursor},
			Facts{Now: now, Offered: map[uint64]Offer{1: {At: now, Tip: branch(110, 1)}, 2: {At: now, Tip: branch(110, 1)}},
				Chain: following(10, BlockSeen{Point: branch(110, 1)})},
			[]string{"unmine 1 from mined", "unmine 2 from spent", "follow 100-110"}},
		{"what a mined version left out is paid for from its change while that is not deep",
			Stored{Anchors: []store.Anchor{mined(two, 99+1, 0)}, Owned: []store.Batch{owned(1, 1), owned(2, 0)}, Batches: []store.Batch{sealed(2), sealed(3)}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"final 1", "pay [2 3] at 1 from " + txidOf(two.Versions[0]) + ":1"}},
		{"and from any coin when it is",
			Stored{Anchors: []store.Anchor{mined(two, 99, 0)}, Owned: []store.Batch{owned(1, 1), owned(2, 0)}, Batches: []store.Batch{sealed(2)}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"final 1", "pay [2] at 1"}},
		{"a batch of an anchor that was settled long ago stays there",
			Stored{Anchors: []store.Anchor{mined(two, 105, 0)}, Owned: []store.Batch{owned(1, 1), owned(2, 77)}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"final 1"}},
		{"an anchor whose coin is in no block is neither replaced nor in the way of others",
			Stored{Anchors: []store.Anchor{made(anchorOf(1, store.Broadcast, 0, 1), 109)}, Owned: []store.Batch{owned(1, 1)}, Batches: []store.Batch{late(2, 0, 0)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: fresh, Market: Market{9, 9}, Missing: map[uint64]Missing{1: {Coins: Inputs(anchorOf(1, store.Broadcast, 0, 1)), Since: 11}}},
			[]string{"pay [2] at 9"}},
		{"after a hundred blocks it is given up",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Owned: []store.Batch{late(1, 1, 0)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: fresh, Missing: map[uint64]Missing{1: {Coins: Inputs(anchorOf(1, store.Broadcast, 0, 1)), Since: 10}}},
			[]string{"abandon 1", "assign 1 to 0", "pay [1] at 1"}},
		{"peers that came since are offered what is in flight",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor}, Facts{Now: now, Chain: following(11), Offered: fresh, Peers: 1},
			[]string{"offer 1"}},
		{"six blocks make an anchor final",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Mined, 105, 1)}, Cursor: cursor}, Facts{Chain: following(11)}, []string{"final 1"}},
		{"five blocks do not",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Mined, 106, 1)}, Cursor: cursor}, Facts{Chain: following(11)}, nil},
		{"a final anchor is settled a hundred blocks later",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Final, 5, 1)}, Cursor: cursor}, Facts{Chain: following(11)}, []string{"settle 1"}},
		{"a reorganisation returns what was mined above the fork, and only that",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Mined, 107, 1), anchorOf(2, store.Mined, 108, 2)}, Cursor: cursor},
			Facts{Chain: following(8, BlockSeen{Point: branch(108, 1)}, BlockSeen{Point: branch(109, 1)})},
			[]string{"unmine 2 from mined", "follow 100-109", "offer 2"}},
		{"a reorganisation returns also what was final",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Final, 103, 1)}, Cursor: cursor},
			Facts{Chain: following(2, BlockSeen{Point: branch(102, 1)})}, []string{"unmine 1 from final", "follow 100-102", "offer 1"}},
		{"a reorganisation that mines it again leaves it mined in the new block",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Mined, 109, 1)}, Cursor: cursor},
			Facts{Chain: following(9,
				BlockSeen{Point: branch(109, 1)},
				BlockSeen{Point: branch(110, 1), Spends: []Spend{{Anchor: 1, Block: store.Block{Height: 110}}}})},
			[]string{"unmine 1 from mined", "mined 1 at 110", "follow 100-110"}},
		{"a reorganisation below all that is remembered doubts everything",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Final, 100, 1)}, Cursor: cursor},
			Facts{Chain: following(0, BlockSeen{Point: branch(100, 1)})}, []string{"unmine 1 from final", "follow 100-100", "offer 1"}},
		{"the cursor remembers no more than it should",
			Stored{Cursor: long}, Facts{Chain: following(store.CursorDepth, BlockSeen{Point: point(store.CursorDepth + 1)})},
			[]string{fmt.Sprintf("follow 2-%d", store.CursorDepth+1)}},
		{"a stretch that was skipped is not remembered as followed",
			Stored{Cursor: cursor}, Facts{Chain: following(11, BlockSeen{Point: point(500)}, BlockSeen{Point: point(501)})},
			[]string{"follow 500-501"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.f.Market == (Market{}) {
				c.f.Market = Market{1, 1}
			}
			before := fmt.Sprintf("%+v", c.s)
			got := names(Next(c.s, c.f, policy))
			if !slices.Equal(got, c.want) {
				t.Errorf("decided %q, want %q", got, c.want)
			}
			if again := names(Next(c.s, c.f, policy)); !reflect.DeepEqual(got, again) {
				t.Errorf("decided %q at first and %q then", got, again)
			}
			if after := fmt.Sprintf("%+v", c.s); after != before {
				t.Errorf("what is stored was changed from %s to %s", before, after)
			}
		})
	}
}

// What is freed in a step in which nothing seemed to be due is not paid for before prices and
// budget were looked at.
func TestNothingIsPaidBeforePricesWereLookedAt(t *testing.T) {
	lost := anchorOf(1, store.Spent, 99, 1)
	s := Stored{Anchors: []store.Anchor{lost}, Owned: []store.Batch{{ID: 1, State: store.Sealed, Anchor: 1}}, Cursor: store.Cursor{Points: points(100, 110)}}
	f := Facts{Chain: &ChainFacts{Tip: point(110), Active: 11}}
	if got, want := names(Next(s, f, DefaultPolicy())), []string{"abandon 1", "assign 1 to 0"}; !slices.Equal(got, want) {
		t.Errorf("decided %q, want %q", got, want)
	}
}

// A batch that a mined version left out, without change to pay the next one from, waits for blocks.
func TestABatchThatWasLeftOutIsAWarning(t *testing.T) {
	a := raised(anchorOf(1, store.Mined, 0, 1), 108, 2, 1, 2)
	a.Block = &store.Block{Height: 109, Hash: point(109).Hash}
	a.Versions[0].Tx.TxOut = a.Versions[0].Tx.TxOut[:1]
	s := Stored{
		Cursor:  store.Cursor{Points: points(100, 110)},
		Anchors: []store.Anchor{a},
		Owned:   []store.Batch{{ID: 1, State: store.Sealed, Count: 1, Anchor: 1}, {ID: 2, State: store.Sealed, Count: 1, Anchor: 1}},
	}
	f := Facts{Chain: &ChainFacts{Tip: point(110), Active: 11}, Market: Market{2, 2}}
	var kinds []*warning.Kind
	for _, action := range Next(s, f, DefaultPolicy()) {
		if hold, ok := action.(Hold); ok {
			kinds = append(kinds, hold.Kind)
		}
	}
	if !slices.Contains(kinds, warning.LeftOut) {
		t.Errorf("%d kinds, and none is %s", len(kinds), warning.LeftOut.Name())
	}
}
