package batcher

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func point(height int32) store.Point { return branch(height, 0) }

// branch is the block at height on a branch of the chain; branch 0 is the one that a test begins on.
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

func anchorOf(id uint64, state store.AnchorState, height int32, batches ...uint64) store.Anchor {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: chainhash.Hash{byte(id)}}})
	a := store.Anchor{ID: id, State: state, Versions: []store.Version{{Tx: tx, Batches: batches}}}
	if height > 0 {
		a.Block = &store.Block{Height: height, Hash: point(height).Hash}
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
			out = append(out, fmt.Sprintf("mined %d at %d frees %v", a.Anchor.ID, a.Anchor.Block.Height, a.Freed))
		case MarkSpent:
			out = append(out, fmt.Sprintf("spent %d at %d", a.Anchor.ID, a.Anchor.Block.Height))
		case MarkFinal:
			out = append(out, fmt.Sprintf("final %d", a.Anchor.ID))
		case Settle:
			out = append(out, fmt.Sprintf("settle %d", a.Anchor.ID))
		case Bury:
			out = append(out, fmt.Sprintf("bury %d frees %v", a.Anchor.ID, a.Freed))
		case OfferAnchor:
			out = append(out, fmt.Sprintf("offer %d", a.Anchor.ID))
		case Pay:
			var ids []uint64
			for _, b := range a.Batches {
				ids = append(ids, b.ID)
			}
			out = append(out, fmt.Sprintf("pay %v", ids))
		}
	}
	return out
}

func TestDecide(t *testing.T) {
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
	two := anchorOf(1, store.Broadcast, 0, 1)
	two.Versions = append(two.Versions, store.Version{Tx: two.Versions[0].Tx, Batches: []uint64{1, 2}})
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
			[]string{"follow 110-110", "pay [1]"}},
		{"all sealed batches go to one anchor",
			Stored{Batches: []store.Batch{sealed(1), sealed(2), {ID: 3, State: store.Open, Count: 1}}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"pay [1 2]"}},
		{"nothing is paid before the tip is reached",
			Stored{Batches: []store.Batch{sealed(1)}, Cursor: cursor},
			Facts{Chain: &ChainFacts{Tip: point(112), Active: 11, Next: []BlockSeen{{Point: point(111)}}}}, []string{"follow 100-111"}},
		{"nothing is paid while an anchor is in flight",
			Stored{Batches: []store.Batch{sealed(2)}, Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Now: now, Chain: following(11), Offered: map[uint64]Offer{1: {At: now, Tip: point(110)}}}, nil},
		{"the next is paid once the one before is mined",
			Stored{Batches: []store.Batch{sealed(2)}, Anchors: []store.Anchor{anchorOf(1, store.Mined, 108, 1)}, Cursor: cursor},
			Facts{Chain: following(11)}, []string{"pay [2]"}},
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
			Stored{Anchors: []store.Anchor{two}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: 0, Block: store.Block{Height: 111}}}})},
			[]string{"mined 1 at 111 frees [2]", "follow 100-111"}},
		{"a newer version in a block frees nothing",
			Stored{Anchors: []store.Anchor{two}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: 1, Block: store.Block{Height: 111}}}})},
			[]string{"mined 1 at 111 frees []", "follow 100-111"}},
		{"a foreign spend of the coin stops the offers",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Broadcast, 0, 1)}, Cursor: cursor},
			Facts{Chain: following(11, BlockSeen{Point: point(111), Spends: []Spend{{Anchor: 1, Version: -1, Block: store.Block{Height: 111}}}})},
			[]string{"spent 1 at 111", "follow 100-111"}},
		{"a foreign spend under six blocks frees all batches",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Spent, 105, 1, 2)}, Cursor: cursor}, Facts{Chain: following(11)},
			[]string{"bury 1 frees [1 2]"}},
		{"a foreign spend under five blocks frees nothing",
			Stored{Anchors: []store.Anchor{anchorOf(1, store.Spent, 106, 1, 2)}, Batches: []store.Batch{sealed(3)}, Cursor: cursor},
			Facts{Chain: following(11)}, nil},
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
			[]string{"unmine 1 from mined", "mined 1 at 110 frees []", "follow 100-110"}},
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
			before := fmt.Sprintf("%+v", c.s)
			got := names(Decide(c.s, c.f, policy))
			if !slices.Equal(got, c.want) {
				t.Errorf("decided %q, want %q", got, c.want)
			}
			if again := names(Decide(c.s, c.f, policy)); !reflect.DeepEqual(got, again) {
				t.Errorf("decided %q at first and %q then", got, again)
			}
			if after := fmt.Sprintf("%+v", c.s); after != before {
				t.Errorf("what is stored was changed from %s to %s", before, after)
			}
		})
	}
}
