package storetest

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func (f *fixture) wantAnchor(want store.Anchor) {
	f.t.Helper()
	got, err := f.Anchor(f.t.Context(), want.ID)
	if err != nil {
		f.t.Fatalf("anchor %d: %v", want.ID, err)
	}
	wantEqual(f.t, "anchor", normal(got), normal(want), func(a, b store.Anchor) bool { return reflect.DeepEqual(a, b) })
}

// throughWire returns what the wire format keeps of a transaction, which is all that counts.
func throughWire(tx *wire.MsgTx) *wire.MsgTx {
	var buf bytes.Buffer
	again := new(wire.MsgTx)
	if tx.Serialize(&buf) != nil || again.Deserialize(&buf) != nil {
		return tx
	}
	return again
}

// normal brings times to UTC and empty slices to nil, copying what it changes.
func normal(a store.Anchor) store.Anchor {
	a.Created = a.Created.UTC()
	a.Versions = slices.Clone(a.Versions)
	for i := range a.Versions {
		v := &a.Versions[i]
		v.Tx = throughWire(v.Tx)
		v.Created = v.Created.UTC()
		if len(v.Prevouts) == 0 {
			v.Prevouts = nil
		}
		if len(v.Batches) == 0 {
			v.Batches = nil
		}
	}
	if a.Block != nil {
		block := *a.Block
		block.Header.Timestamp = block.Header.Timestamp.UTC()
		if len(block.Branch) == 0 {
			block.Branch = nil
		}
		a.Block = &block
	}
	return a
}

func testAnchors(t *testing.T, open Open) {
	f := newFixture(t, open)
	mined := Mine(Anchor(2, 3), store.Mined, 1)
	final := Mine(Anchor(3, 1), store.Final, 0)
	final.Settled = true
	final.Block.Branch = nil // the only transaction of its block
	dead := Mine(Anchor(4, 2), store.Dead, 0)
	spent := Mine(Anchor(6, 2), store.Spent, 0)
	bare := Anchor(5, 1)
	bare.Versions[0].Prevouts, bare.Versions[0].Batches, bare.Versions[0].Created = nil, nil, time.Time{}
	all := []store.Anchor{Anchor(1, 1), mined, final, dead, bare, spent}
	f.apply(&store.Update{Anchors: all})
	f.twice(func() {
		for _, a := range all {
			f.wantAnchor(a)
		}
	})
	// A reorganisation takes the block away again; a version comes to it.
	again := Anchor(2, 4)
	f.apply(&store.Update{Anchors: []store.Anchor{again}})
	f.twice(func() { f.wantAnchor(again); f.wantAnchor(all[0]) })
}

func testUnsettled(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	unsettled := func(want ...uint64) {
		t.Helper()
		f.twice(func() {
			t.Helper()
			got, err := f.Unsettled(ctx)
			f.wantAnchorIDs("unsettled", got, err, want...)
		})
	}
	f.apply(&store.Update{Anchors: []store.Anchor{Anchor(1, 1), Anchor(2, 1), Anchor(3, 1)}})
	unsettled(1, 2, 3)
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(Anchor(1, 1), store.Final, 0)}})
	unsettled(1, 2, 3)
	settled := Mine(Anchor(1, 1), store.Final, 0)
	settled.Settled = true
	f.apply(&store.Update{Anchors: []store.Anchor{settled, Mine(Anchor(2, 1), store.Spent, 0)}})
	unsettled(2, 3)
	f.apply(&store.Update{Anchors: []store.Anchor{Mine(Anchor(2, 1), store.Dead, 0)}})
	unsettled(3)
	f.apply(&store.Update{Anchors: []store.Anchor{Anchor(2, 2)}}) // followed again
	unsettled(2, 3)
}

func cursorAt(first int32, n int) *store.Cursor {
	c := new(store.Cursor)
	for i := range n {
		c.Points = append(c.Points, store.Point{Height: first + int32(i), Hash: chainhash.Hash(Node(0, 205, uint64(first)+uint64(i)))})
	}
	return c
}

func (f *fixture) wantCursor(want *store.Cursor) {
	f.t.Helper()
	got, err := f.Cursor(f.t.Context())
	if err != nil {
		f.t.Fatalf("cursor: %v", err)
	}
	wantEqual(f.t, "cursor", got.Points, want.Points, slices.Equal)
}

func testCursor(t *testing.T, open Open) {
	f := newFixture(t, open)
	for _, c := range []*store.Cursor{cursorAt(0, 1), cursorAt(840_000, store.CursorDepth), cursorAt(7, 3), {}} {
		f.apply(&store.Update{Cursor: c})
		f.apply(&store.Update{}) // absent parts stay as they are
		f.twice(func() { f.wantCursor(c) })
	}
}

func testUpdateIsOne(t *testing.T, open Open) {
	f := newFixture(t, open)
	closed := f.closedBatches(1)[0]
	b := closed
	b.State, b.Root, b.Anchor = store.Sealed, Node(1, 9, 0), 1
	a, c := Anchor(1, 1), cursorAt(100, 2)
	run := nodesOf(1, 0, 1)

	// The last part is wrong: none of the others may be there.
	wrong := &store.Update{Batches: []store.Batch{b}, Anchors: []store.Anchor{a}, Cursor: c, Nodes: []store.Nodes{run, nodesOf(9, 0, 1)}}
	wantError(t, "apply", f.Apply(t.Context(), wrong), store.ErrInvalid)
	f.twice(func() {
		f.wantCursor(&store.Cursor{})
		_, err := f.Anchor(t.Context(), 1)
		wantError(t, "anchor", err, store.ErrNotFound)
		f.wantBatch(closed)
	})
	f.apply(&store.Update{Batches: []store.Batch{b}, Anchors: []store.Anchor{a}, Cursor: c, Nodes: []store.Nodes{run}})
	f.twice(func() {
		f.wantBatch(b)
		f.wantAnchor(a)
		f.wantCursor(c)
	})
}
