package decide

import (
	"slices"
	"testing"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// The helpers on an anchor of two versions: the first commits to batch 1, the second also to batch
// 2 and spends a second coin.
func TestWhatAnAnchorTellsInEachState(t *testing.T) {
	a := raised(anchorOf(1, store.Broadcast, 0, 1), 110, 2, 1, 2)
	first, second := a.Versions[0], a.Versions[1]
	one, two := first.Tx.TxIn[0].PreviousOutPoint, wire.OutPoint{Hash: chainhash.Hash{0xee}}
	second.Tx.AddTxIn(&wire.TxIn{PreviousOutPoint: two})
	change, _, _ := Change(first)
	in := func(state store.AnchorState, version int) store.Anchor {
		b := a
		b.State, b.Block = state, &store.Block{Height: 111, Version: version}
		return b
	}
	for _, c := range []struct {
		name    string
		a       store.Anchor
		mined   bool
		current store.Version
		leased  []wire.OutPoint
	}{
		{"in flight it is its newest version, and keeps all coins", a, false, second, []wire.OutPoint{one, two}},
		{"mined in its first version it keeps the change for the batch that it left out", in(store.Mined, 0), true, first, []wire.OutPoint{change}},
		{"final in its first version it still does", in(store.Final, 0), true, first, []wire.OutPoint{change}},
		{"mined in its newest version it keeps nothing", in(store.Mined, 1), true, second, nil},
		{"lost it is its newest version, and keeps nothing", in(store.Spent, 0), false, second, nil},
		{"abandoned it keeps nothing", in(store.Dead, 0), false, second, nil},
	} {
		if got := IsMined(c.a); got != c.mined {
			t.Errorf("%s: mined %t", c.name, got)
		}
		if got := Current(c.a); got.Tx != c.current.Tx {
			t.Errorf("%s: the current version pays %d sat/vB, want %d", c.name, got.SatPerVByte, c.current.SatPerVByte)
		}
		if got := Leased(c.a); !slices.Equal(got, c.leased) {
			t.Errorf("%s: leased are %v, want %v", c.name, got, c.leased)
		}
		if got := AllBatches(c.a); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("%s: it commits to %v", c.name, got)
		}
		if got := CommonInputs(c.a); !slices.Equal(got, []wire.OutPoint{one}) {
			t.Errorf("%s: its versions have %v in common", c.name, got)
		}
	}
}

func TestAVersionWithoutChangeHasNone(t *testing.T) {
	v := anchorOf(1, store.Broadcast, 0, 1).Versions[0]
	if coin, out, ok := Change(v); !ok || coin != (wire.OutPoint{Hash: v.Tx.TxHash(), Index: 1}) || out != v.Tx.TxOut[1] {
		t.Errorf("change %v, %v, %t", coin, out, ok)
	}
	v.Tx.TxOut = v.Tx.TxOut[:1]
	if coin, out, ok := Change(v); ok || out != nil {
		t.Errorf("change %v of a version that has none", coin)
	}
}
