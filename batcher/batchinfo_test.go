package batcher

import (
	"context"
	"errors"
	"testing"

	"ancre/batcher/store"
	"ancre/proof"
)

// meanwhileStore does something after an anchor was read and before it is returned.
type meanwhileStore struct {
	store.Store
	meanwhile func() // called once
}

func (s *meanwhileStore) Anchor(ctx context.Context, id uint64) (store.Anchor, error) {
	a, err := s.Store.Anchor(ctx, id)
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
	return a, err
}

// TestWhatChangedWhileItWasReadIsNotRemembered would catch a cache that is filled, after a change,
// with what was read before it. The digest would stay broadcast, or its proof would point to a
// block that left the chain.
func TestWhatChangedWhileItWasReadIsNotRemembered(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.chain.deaf = true
	h.sealNow()
	h.chain.deaf = false
	slow := &meanwhileStore{Store: h.b.store, meanwhile: func() { h.mine(7) }}
	h.b.store = slow
	h.b.infos.Suspend()()
	h.state("a") // what it says is of before or of after
	h.wants("a", Final)
	slow.meanwhile = func() { h.chain.reorganise(7); h.mustStep() }
	h.b.infos.Suspend()()
	h.state("a")
	h.wants("a", Broadcast)
}

// lingeringStore does something before a change is stored, and after it was stored and told of, and
// before Apply returns.
type lingeringStore struct {
	store.Store
	storing, stored func()
}

func (s *lingeringStore) Apply(ctx context.Context, u *store.Update) error {
	s.storing()
	err := s.Store.Apply(ctx, u)
	s.stored()
	return err
}

// TestWhoHearsOfAChangeFindsIt would catch a cache that is emptied only after the feed has told of
// a change. A client that follows the feed would ask at once, be told of the state before, and hear
// nothing more.
func TestWhoHearsOfAChangeFindsIt(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	cursor, heard := "", 0
	ask := func() (Status, bool, error) {
		_, st, complete, err := h.b.Proof(t.Context(), nil, digest("a"))
		return st, complete, err
	}
	storing := func() { _, _, _ = ask() } // what it reads must not be kept
	h.b.store = &lingeringStore{Store: h.b.store, storing: storing, stored: func() {
		changes, err := h.b.WaitChanges(t.Context(), cursor, 100, 0)
		if err != nil {
			t.Fatal(err)
		}
		cursor = changes.Cursor
		if len(changes.List) == 0 {
			return
		}
		told := changes.List[len(changes.List)-1].Progress
		st, complete, err := ask()
		if err != nil || st.Progress.State != told.State || st.Progress.BlockHash != told.BlockHash || complete != (told.State == Final) {
			t.Errorf("the feed says %+v, the proof is complete: %t, of %+v (%v)", told, complete, st.Progress, err)
		}
		heard++
	}}
	h.sealNow()
	h.mine(1)
	h.wants("a", Mined)
	h.mine(6)
	h.wants("a", Final)
	h.chain.reorganise(7)
	h.mustStep()
	h.wants("a", Broadcast)
	if heard < 5 {
		t.Errorf("only %d changes were heard of", heard)
	}
}

// TestConfirmationsGoOnInWhatIsRemembered would catch confirmations that are cached with the state
// of the anchor.
func TestConfirmationsGoOnInWhatIsRemembered(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.sealNow()
	for want := int32(1); want <= 10; want++ {
		h.mine(1)
		st, err := h.b.Status(context.Background(), digest("a"))
		if err != nil || st.Progress.Confirmations != want {
			t.Fatalf("%d confirmations, %v, want %d", st.Progress.Confirmations, err, want)
		}
	}
}

// TestDamagedTreeGivesNoProof would catch a complete proof that does not verify.
func TestDamagedTreeGivesNoProof(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a", "b", "c")
	h.sealNow()
	h.mine(6)
	h.wants("b", Final)
	h.faults.flip = true // the leaf beside that of b
	_, _, complete, err := h.b.Proof(context.Background(), nil, digest("b"))
	if complete || !errors.Is(err, store.ErrDamaged) {
		t.Errorf("proof: complete %t, %v", complete, err)
	}
	if _, _, ok, err := h.b.Inclusion(context.Background(), digest("b")); ok || !errors.Is(err, store.ErrDamaged) {
		t.Errorf("for a receipt: %t, %v", ok, err)
	}
	nonce := h.b.nonces.Nonce(digests("b")[0][:])
	if ts, _, ok, err := h.b.Timestamp(context.Background(), nil, proof.Leaf(digests("b")[0][:], nonce)); ok || len(ts) > 0 || !errors.Is(err, store.ErrDamaged) {
		t.Errorf("for a calendar's client: %x, %t, %v", ts, ok, err)
	}
	h.faults.flip = false
	if r := h.verify("b"); r.Outcome != proof.OutcomeValid {
		t.Errorf("with the leaf as it was: %+v", r)
	}
}

// TestWrongStepGivesNoProof would catch a path of the store that the batcher does not check. The
// store itself checks the path from the waypoint on. So the batcher has to check each step before
// it, or all steps if there is no waypoint.
func TestWrongStepGivesNoProof(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 1 << 20
	h.crash()
	h.fund()
	const n = 16*256 + 17
	h.fill(0, n)
	h.mustStep()
	h.mine(6)
	p, err := h.store.Locate(context.Background(), proof.Leaf(digestBytes(1), h.b.nonces.Nonce(digestBytes(1))))
	if err != nil {
		t.Fatal(err)
	}
	batch, err := h.store.Batch(context.Background(), p.Position.Batch)
	if err != nil {
		t.Fatal(err)
	}
	path, way, err := h.store.Path(context.Background(), nil, &batch, p)
	if err != nil {
		t.Fatal(err)
	}
	seen := len(path)
	if way != (proof.Waypoint{}) {
		seen = way.Steps
	}
	if seen < 8 {
		t.Fatalf("the waypoint is %d steps from the leaf, want 8 at least", seen)
	}
	for step := 1; step <= seen; step++ {
		h.faults.bend = step
		data, _, complete, err := h.b.Proof(context.Background(), nil, number(1))
		if complete || len(data) > 0 || !errors.Is(err, store.ErrDamaged) {
			t.Errorf("step %d is wrong: %d bytes, complete %t, %v", step, len(data), complete, err)
		}
	}
	for step := 1; step <= len(path); step++ { // receipts are made of the path without a waypoint
		h.faults.bend = step
		if _, _, ok, err := h.b.Inclusion(context.Background(), number(1)); ok || !errors.Is(err, store.ErrDamaged) {
			t.Errorf("step %d is wrong, for a receipt: %t, %v", step, ok, err)
		}
	}
	h.faults.bend = 0
	if _, _, complete, err := h.b.Proof(context.Background(), nil, number(1)); err != nil || !complete {
		t.Errorf("with the path as it was: complete %t, %v", complete, err)
	}
}

func digestBytes(n uint64) []byte { d := number(n); return d[:] }

// TestProofsOfABatchOfManyLevelsVerify covers the levels that the store reads and those that it
// caches, at their borders.
func TestProofsOfABatchOfManyLevelsVerify(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 1 << 20
	h.crash()
	h.fund()
	const n = 256*16*2 + 17 // the tree has 514 nodes at height 4, 33 at 8, and 3 at 12
	h.fill(0, n)
	h.mustStep()
	h.mine(6)
	for range 2 { // as read, and as remembered
		for _, at := range []uint64{0, 1, 15, 16, 255, 256, 4095, 4096, 8191, 8192, n - 18, n - 17, n - 2, n - 1} {
			d := number(at)
			data, st, complete, err := h.b.Proof(context.Background(), nil, d)
			if err != nil || !complete || st.Position.Index != at {
				t.Fatalf("digest %d: %+v, complete %t, %v", at, st, complete, err)
			}
			f, err := proof.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := proof.Verify(context.Background(), f, d[:], h.chain); err != nil || r.Outcome != proof.OutcomeValid {
				t.Fatalf("digest %d: %+v, %v", at, r, err)
			}
		}
	}
}

// TestCacheIsBounded would catch a cache that grows with history.
func TestCacheIsBounded(t *testing.T) {
	m := newCache[int, int](10)
	for i := range 1000 {
		m.Put(i, -i, m.Generation())
		if v, ok := m.Get(i); !ok || v != -i {
			t.Fatalf("what was put last is %d, %t, want %d", v, ok, -i)
		}
		if len(m.entries) > 10 {
			t.Fatalf("%d are known, at most 10 should be", len(m.entries))
		}
	}
	m.Suspend()()
	if len(m.entries) != 0 {
		t.Errorf("%d are known after all was forgotten", len(m.entries))
	}
}
