package batcher

import (
	"context"
	"errors"
	"testing"

	"ancre/batcher/store"
	"ancre/proof"
)

// meanwhileStore lets something happen between the reading of an anchor and its arrival.
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

// TestWhatChangedWhileItWasReadIsNotRemembered would catch a memory that is put together from
// before a change and filled after it: the digest would be offered for ever, or its proof point to
// a block that is gone.
func TestWhatChangedWhileItWasReadIsNotRemembered(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.chain.deaf = true
	h.sealNow()
	h.chain.deaf = false
	slow := &meanwhileStore{Store: h.b.store, meanwhile: func() { h.mine(7) }}
	h.b.store = slow
	h.b.standings.forget()
	h.state("a") // what it says is of before or of after
	h.wants("a", Final)
	slow.meanwhile = func() { h.chain.reorganise(7); h.mustStep() }
	h.b.standings.forget()
	h.state("a")
	h.wants("a", Broadcast)
}

// TestConfirmationsGoOnInWhatIsRemembered would catch a count that stands still as long as the
// anchor's state does.
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

// TestDamagedTreeGivesNoProof would catch a proof that verifies nowhere being handed out as
// complete.
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

// TestDamagedUpperLevelsGiveNoProof would catch a run that is remembered before it was seen that it
// leads to the root: what is behind the waypoint is not climbed for each proof.
func TestDamagedUpperLevelsGiveNoProof(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 1 << 20
	h.crash()
	h.fund()
	const n = store.RunSize*store.Fanout + 17 // level 1 has 258 nodes, level 2 has 17, level 3 has 2
	h.fill(0, n)
	h.mustStep()
	h.mine(6)
	for level := 1; level <= 3; level++ {
		h.faults.bend = level
		for _, at := range []uint64{1, 16, 256} { // whose siblings are the node that is wrong, or stand beside it
			data, _, complete, err := h.b.Proof(context.Background(), nil, number(at))
			if complete || len(data) > 0 || !errors.Is(err, store.ErrDamaged) {
				if f, perr := proof.Parse(data); complete && perr == nil {
					d := number(at)
					if r, err := proof.Verify(context.Background(), f, d[:], h.chain); err == nil && r.Outcome == proof.OutcomeValid {
						continue // the wrong node is not on its way
					}
				}
				t.Errorf("level %d, digest %d: %d bytes, complete %t, %v", level, at, len(data), complete, err)
			}
		}
		if _, _, complete, err := h.b.Proof(context.Background(), nil, number(0)); level > 1 && (complete || !errors.Is(err, store.ErrDamaged)) {
			t.Errorf("level %d: complete %t, %v", level, complete, err)
		}
		h.faults.bend = 0
		if _, _, complete, err := h.b.Proof(context.Background(), nil, number(0)); err != nil || !complete {
			t.Errorf("with level %d as it was: complete %t, %v", level, complete, err)
		}
		h.b.runs.forget()
	}
}

// TestProofsOfABatchOfManyLevelsVerify goes through levels that are read and levels that are
// remembered, at their borders.
func TestProofsOfABatchOfManyLevelsVerify(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 1 << 20
	h.crash()
	h.fund()
	const n = store.RunSize*store.Fanout*2 + 17 // level 1 has 514 nodes, level 2 has 33, level 3 has 3
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

// TestMemoryIsBounded would catch one that grows with history.
func TestMemoryIsBounded(t *testing.T) {
	m := newMemory[int, int](10)
	for i := range 1000 {
		m.put(i, -i, m.now())
		if v, ok := m.get(i); !ok || v != -i {
			t.Fatalf("what was put last is %d, %t, want %d", v, ok, -i)
		}
		if len(m.known) > 10 {
			t.Fatalf("%d are known, at most 10 should be", len(m.known))
		}
	}
	m.forget()
	if len(m.known) != 0 {
		t.Errorf("%d are known after all was forgotten", len(m.known))
	}
}
