// Package storetest is the suite that every engine of [store.Store] must pass. It tests what the
// contract says, and nothing of how an engine does it.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Open opens the store in dir, making it if there is none, and fails the test if it cannot. It does
// not close it.
type Open func(t *testing.T, dir string) store.Store

// Run runs the suite against an engine.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"a new store is empty", testEmpty},
		{"the key is random and stays", testKey},
		{"a batch grows, closes and is sealed", testLifeOfABatch},
		{"leaves beyond the end are left out", testLeavesAtTheEnd},
		{"paths lead to the root of a sealed batch", testPaths},
		{"a root that does not follow from the leaves is noticed", testWrongRoot},
		{"any sequence of groups reads back the same", testModel},
		{"lists are newest first and cut", testLists},
		{"waiting batches follow their anchors", testWaiting},
		{"an anchor comes back as it was", testAnchors},
		{"unsettled anchors are those to follow", testUnsettled},
		{"the cursor comes back as it was", testCursor},
		{"an update is one change", testUpdateIsOne},
		{"the feed has each change of a batch", testChanges},
		{"the feed keeps the changes of one write together", testChangesOfGroups},
		{"a mark of the feed counts in its store alone", testMarks},
		{"who waits for the feed is woken", testChanged},
		{"what contradicts the store is refused and leaves no trace", testInvalid},
		{"a context that has ended begins nothing", testContext},
		{"writes and reads may overlap", testConcurrent},
		{"a closed store answers with errors", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// fixture is a store under test that can be closed and opened again.
type fixture struct {
	store.Store
	t    tb
	dir  string
	open func(dir string) store.Store
}

// tb is what a test and a run of a property have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(func())
}

func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	return newFixtureIn(t, t.TempDir(), func(dir string) store.Store { return open(t, dir) })
}

func newFixtureIn(t tb, dir string, open func(dir string) store.Store) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: dir, open: open}
	f.Store = open(f.dir)
	t.Cleanup(func() {
		if f.Store != nil {
			if err := f.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return f
}

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.Store = nil
	f.Store = f.open(f.dir)
}

// twice checks what is stored now, and again after opening anew.
func (f *fixture) twice(check func()) {
	f.t.Helper()
	check()
	f.reopen()
	check()
}

func (f *fixture) append(a *store.Append) {
	f.t.Helper()
	if err := f.Append(f.t.Context(), a); err != nil {
		f.t.Fatalf("append: %v", err)
	}
}

func (f *fixture) apply(u *store.Update) {
	f.t.Helper()
	if err := f.Apply(f.t.Context(), u); err != nil {
		f.t.Fatalf("apply: %v", err)
	}
}

// closedBatches makes batches 1 to n, closed, of one leaf each.
func (f *fixture) closedBatches(n uint64) []store.Batch {
	f.t.Helper()
	var all []store.Batch
	for id := uint64(1); id <= n; id++ {
		b := store.Batch{ID: id, State: store.Closed, Count: 1, Opened: Time(int64(id)), Closed: Time(int64(id) + 1)}
		f.append(Group([]store.Batch{b}, id, 0, 1))
		all = append(all, b)
	}
	return all
}

// Leaf is the leaf that the suite puts at a place: every one another.
func Leaf(batch, index uint64) store.Leaf {
	b := binary.BigEndian.AppendUint64([]byte("leaf"), batch)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, index))
}

// Leaves are the leaves at [start, end) of a batch.
func Leaves(batch, start, end uint64) []store.Leaf {
	leaves := make([]store.Leaf, 0, end-start)
	for i := start; i < end; i++ {
		leaves = append(leaves, Leaf(batch, i))
	}
	return leaves
}

// Group is the group that adds the leaves [start, end) of a batch.
func Group(batches []store.Batch, batch, start, end uint64) *store.Append {
	a := &store.Append{Leaves: Leaves(batch, start, end), Batches: batches}
	for i := start; i < end; i++ {
		a.At = append(a.At, store.Position{Batch: batch, Index: i})
	}
	return a
}

// Time is a moment with all its digits.
func Time(n int64) time.Time { return time.Unix(1_750_000_000+n, 123456789).UTC() }

// Node is 32 bytes that stand for a root, a hash or a node: another for each kind and index.
func Node(batch uint64, kind int, index uint64) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte("node"), batch)
	return sha256.Sum256(binary.BigEndian.AppendUint64(append(b, byte(kind)), index))
}

// Anchor is an anchor with versions that use every field. It is broadcast; [Mine] gives it a block.
func Anchor(id uint64, versions int) store.Anchor {
	a := store.Anchor{ID: id, State: store.Broadcast, Created: Time(int64(id))}
	for i := range versions {
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(&wire.TxIn{
			PreviousOutPoint: wire.OutPoint{Hash: chainhash.Hash(Node(id, 200, uint64(i))), Index: 7},
			Witness:          wire.TxWitness{make([]byte, 72), make([]byte, 33)},
			Sequence:         0xfffffffd,
		})
		root := Node(id, 201, uint64(i))
		tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, root[:]...)))
		tx.AddTxOut(wire.NewTxOut(123_456, []byte{0, 20, 1, 2, 3}))
		tx.LockTime = 840_000
		a.Versions = append(a.Versions, store.Version{
			Tx:          tx,
			Prevouts:    []*wire.TxOut{wire.NewTxOut(125_000, []byte{0, 20, 9, 8, 7})},
			Batches:     []uint64{id, id + uint64(i) + 1},
			Root:        root,
			SatPerVByte: int64(i) + 1,
			FeeSats:     153 * (int64(i) + 1),
			Created:     Time(int64(id) + int64(i)),
		})
	}
	return a
}

// Mine gives an anchor a block.
func Mine(a store.Anchor, state store.AnchorState, version int) store.Anchor {
	a.State = state
	a.Block = &store.Block{
		Height: 840_001, Hash: chainhash.Hash(Node(a.ID, 202, 0)), Version: version, TxIndex: 5,
		Header: *wire.NewBlockHeader(0x20000000, ptr(chainhash.Hash(Node(1, 203, 0))), ptr(chainhash.Hash(Node(1, 203, 1))), 0x17034219, 42),
		Branch: []chainhash.Hash{chainhash.Hash(Node(1, 204, 0)), chainhash.Hash(Node(1, 204, 1))},
	}
	a.Block.Header.Timestamp = time.Unix(1_750_000_600, 0)
	return a
}

func ptr[T any](v T) *T { return &v }

func wantEqual[T any](t tb, what string, got, want T, equal func(a, b T) bool) {
	t.Helper()
	if !equal(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func sameBatches(a, b []store.Batch) bool { return slices.EqualFunc(a, b, sameBatch) }

func sameBatch(a, b store.Batch) bool {
	opened, closed := a.Opened.Equal(b.Opened), a.Closed.Equal(b.Closed)
	a.Opened, a.Closed, b.Opened, b.Closed = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return opened && closed && a == b
}

func (f *fixture) wantBatch(want store.Batch) {
	f.t.Helper()
	got, err := f.Batch(f.t.Context(), want.ID)
	if err != nil {
		f.t.Fatalf("batch %d: %v", want.ID, err)
	}
	wantEqual(f.t, "batch", got, want, sameBatch)
}

func (f *fixture) wantLeaves(batch, start, n uint64, want []store.Leaf) {
	f.t.Helper()
	got, err := f.Leaves(f.t.Context(), batch, start, n)
	if err != nil {
		f.t.Fatalf("leaves [%d, %d) of batch %d: %v", start, start+n, batch, err)
	}
	if !slices.Equal(got, want) {
		f.t.Fatalf("leaves [%d, %d) of batch %d: %d of them, want %d, or they differ", start, start+n, batch, len(got), len(want))
	}
}

func (f *fixture) wantIDs(what string, got []store.Batch, err error, want ...uint64) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
	var ids []uint64
	for _, b := range got {
		ids = append(ids, b.ID)
	}
	wantEqual(f.t, what, ids, want, slices.Equal)
}

func (f *fixture) wantAnchorIDs(what string, got []store.Anchor, err error, want ...uint64) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
	var ids []uint64
	for _, a := range got {
		ids = append(ids, a.ID)
	}
	wantEqual(f.t, what, ids, want, slices.Equal)
}

func wantError(t tb, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want one that wraps %q", what, err, want)
	}
}
