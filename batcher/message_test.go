package batcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"ancre/batcher/store"
	"ancre/proof"

	"golang.org/x/sync/errgroup"
)

// messages returns one message of each allowed length. The same seed gives the same messages.
func messages(seed uint64) [][]byte {
	r := rand.New(rand.NewPCG(seed, 0))
	all := make([][]byte, 0, MaxMessage+1)
	for n := range MaxMessage + 1 {
		m := make([]byte, n)
		for i := range m {
			m[i] = byte(r.Uint32())
		}
		all = append(all, m)
	}
	return all
}

// leafOf parses the timestamp that answered a message, checks that it is about that message, and
// returns the leaf to which it leads.
func leafOf(t testing.TB, message, answer []byte) store.Leaf {
	t.Helper()
	ts, err := proof.ParseTimestamp(answer, message)
	if err != nil {
		t.Fatalf("the answer to %x: %v", message, err)
	}
	if again, err := ts.Marshal(); err != nil || !bytes.Equal(again, answer) {
		t.Fatalf("the answer to %x is %x, canonical is %x (%v)", message, answer, again, err)
	}
	all := ts.All()
	if len(all) != 1 || all[0].Kind() != proof.KindPending || len(all[0].Msg) != 32 {
		t.Fatalf("the answer to %x says %v, want one promise about 32 bytes", message, all)
	}
	if uri, _ := all[0].URI(); uri != "http://127.0.0.1:14788" {
		t.Fatalf("the answer to %x points to %q", message, uri)
	}
	return store.Leaf(all[0].Msg)
}

// TestP1AcknowledgedMessageIsInExactlyOneBatch submits messages of every length from many callers,
// some of them several times and again after a crash. It fails if messages bypass the look-up of
// stored leaves or the group commit.
func TestP1AcknowledgedMessageIsInExactlyOneBatch(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 37
	h.crash()
	var mu sync.Mutex
	answers := make(map[string][]byte)
	for round := range 3 {
		var g errgroup.Group
		for caller := range 6 {
			g.Go(func() error {
				for _, seed := range []int{0, 100 + caller, 1000 + 10*round + caller} {
					for _, m := range messages(uint64(seed)) {
						answer, err := h.b.SubmitMessage(context.Background(), nil, m)
						if err != nil {
							return err
						}
						mu.Lock()
						was, ok := answers[string(m)]
						answers[string(m)] = answer
						mu.Unlock()
						if ok && !bytes.Equal(was, answer) {
							return fmt.Errorf("message %x was answered with %x and then with %x", m, was, answer)
						}
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		h.crash()
	}
	taken := make(map[store.Position]string)
	for m, answer := range answers {
		leaf := leafOf(t, []byte(m), answer)
		_, st, complete, err := h.b.Timestamp(context.Background(), nil, leaf)
		if err != nil || complete || st.Leaf != leaf || st.Position.Batch == 0 {
			t.Fatalf("message %x: %+v, complete %t, %v", m, st, complete, err)
		}
		if other, twice := taken[st.Position]; twice {
			t.Fatalf("messages %x and %x are both at %v", m, other, st.Position)
		}
		taken[st.Position] = m
		nodes, err := h.store.Leaves(context.Background(), st.Position.Batch, st.Position.Index, 1)
		if err != nil || nodes[0] != leaf {
			t.Fatalf("the leaf at %v is not that of message %x (%v)", st.Position, m, err)
		}
	}
	if n, err := h.store.NumLeaves(context.Background()); err != nil || n != uint64(len(answers)) {
		t.Errorf("%d leaves are stored for %d messages (%v)", n, len(answers), err)
	}
}

// The power fails at the write. Answered messages are stored, and the others can be submitted
// again.
func TestP1MessageIsAnsweredOnlyWhenItIsOnDisk(t *testing.T) {
	for _, after := range []bool{false, true} {
		h := newHouse(t)
		first, err := h.b.SubmitMessage(context.Background(), nil, []byte("first"))
		if err != nil {
			t.Fatal(err)
		}
		h.faults.failAt, h.faults.after = h.faults.writes+1, after
		if answer, err := h.b.SubmitMessage(context.Background(), nil, []byte("second")); err == nil {
			t.Fatalf("a message whose write failed was answered with %x", answer)
		}
		h.crash()
		if _, _, _, err := h.b.Timestamp(context.Background(), nil, leafOf(t, []byte("first"), first)); err != nil {
			t.Errorf("the message that was answered is gone: %v", err)
		}
		second, err := h.b.SubmitMessage(context.Background(), nil, []byte("second"))
		if err != nil {
			t.Fatal(err)
		}
		_, st, _, err := h.b.Timestamp(context.Background(), nil, leafOf(t, []byte("second"), second))
		if err != nil || st.Position != (store.Position{Batch: 1, Index: 1}) {
			t.Errorf("the message that was handed in again is at %v (%v), want it once, after the first", st.Position, err)
		}
	}
}

func TestMessageOf32BytesIsThatDigest(t *testing.T) {
	h := newHouse(t)
	h.submit("a")
	d := digest("a")
	answer, err := h.b.SubmitMessage(context.Background(), []byte("kept"), d[:])
	if err != nil || !bytes.HasPrefix(answer, []byte("kept")) {
		t.Fatalf("%q, %v", answer, err)
	}
	st, err := h.b.Status(context.Background(), d)
	if err != nil || st.Position.Index != 0 {
		t.Fatalf("%+v, %v", st, err)
	}
	if leaf := leafOf(t, d[:], answer[len("kept"):]); leaf != proof.Leaf(d[:], st.Nonce) {
		t.Errorf("as a message it has the leaf %x, as a digest %x", leaf, proof.Leaf(d[:], st.Nonce))
	}
	if n, _ := h.store.NumLeaves(context.Background()); n != 1 {
		t.Errorf("%d leaves are stored, want 1", n)
	}
}

func TestMessageThatIsTooLongIsRefused(t *testing.T) {
	h := newHouse(t)
	if _, err := h.b.SubmitMessage(context.Background(), nil, make([]byte, MaxMessage+1)); err == nil {
		t.Error("65 bytes were accepted")
	}
	if n, _ := h.store.NumLeaves(context.Background()); n != 0 {
		t.Errorf("%d leaves are stored, want none", n)
	}
}

// TestLeafIsFoundOnItsWayAndLeadsToItsBlock looks up the leaf of a message in each state. Once it
// is final, the answer must lead from the leaf to the block. Before, there must be no proof that
// verifies.
func TestLeafIsFoundOnItsWayAndLeadsToItsBlock(t *testing.T) {
	h := newHouse(t)
	h.fund()
	message := []byte("any text of up to 64 bytes")
	answer, err := h.b.SubmitMessage(context.Background(), nil, message)
	if err != nil {
		t.Fatal(err)
	}
	leaf := leafOf(t, message, answer)
	h.submit("beside", "it")
	want := func(state State) {
		t.Helper()
		_, st, complete, err := h.b.Timestamp(context.Background(), nil, leaf)
		if err != nil || st.Progress.State != state || complete != (state == Final) {
			t.Fatalf("%+v, complete %t, %v; want it %s", st, complete, err, state)
		}
	}
	want(Open)
	h.chain.deaf = true
	h.sealNow()
	want(Broadcast)
	h.chain.deaf = false
	h.mine(2)
	want(Mined)
	h.mine(5)
	want(Final)

	data, st, _, err := h.b.Timestamp(context.Background(), nil, leaf)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := proof.ParseTimestamp(data, leaf[:])
	if err != nil {
		t.Fatal(err)
	}
	all := rest.All()
	if len(all) != 1 || all[0].Kind() != proof.KindBitcoin {
		t.Fatalf("the leaf leads to %v", all)
	}
	header, err := h.chain.Header(context.Background(), uint64(st.Progress.Height))
	if err != nil || string(header.MerkleRoot[:]) != string(all[0].Msg) {
		t.Errorf("block %d has the root %x (%v), the proof says %x", st.Progress.Height, header.MerkleRoot, err, all[0].Msg)
	}
	if _, _, _, err := h.b.Timestamp(context.Background(), nil, store.Leaf(digest("beside"))); !errors.Is(err, ErrUnknown) {
		t.Errorf("a digest asked for as if it were a leaf: %v", err)
	}
}
