package batcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore"
	"ancre/internal/txsize"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"golang.org/x/sync/errgroup"
)

// house is a batcher with a simulated chain and wallet, driven step by step. Only the loop of the
// committer runs.
type house struct {
	t      testing.TB
	chain  *simChain
	wallet *simWallet
	store  store.Store // the engine
	faults *faultyStore
	clock  time.Time
	policy decide.Policy
	b      *Batcher
	stop   func() error
}

var errPowerCut = fmt.Errorf("power cut: %w", store.ErrFailed)

func newHouse(t testing.TB) *house {
	t.Helper()
	engine, err := pebblestore.Open(t.TempDir(), pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	chain := newSimChain()
	h := &house{
		t:      t,
		chain:  chain,
		wallet: newSimWallet(chain),
		store:  engine,
		clock:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		policy: decide.DefaultPolicy(),
	}
	h.policy.MaxDigests = 1000
	chain.mine(1)
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

// start creates a batcher over the store, as a new process does.
func (h *house) start() {
	h.t.Helper()
	h.faults = &faultyStore{Store: h.store}
	b, err := New(Config{
		Store:  h.faults,
		Chain:  h.chain,
		Wallet: h.wallet,
		Policy: h.policy,
		URI:    "http://127.0.0.1:14788",
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:    func() time.Time { return h.clock },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return b.committer.run(ctx) })
	h.b = b
	h.stop = sync.OnceValue(func() error { cancel(); return g.Wait() })
	if err := b.leaseAll(ctx); err != nil {
		h.t.Fatal(err)
	}
}

// crash loses everything that is not stored, with the wallet's leases and the peers' mempools.
func (h *house) crash() {
	h.t.Helper()
	h.stop()
	h.wallet.mu.Lock()
	clear(h.wallet.leases)
	h.wallet.mu.Unlock()
	h.start()
}

// step runs the steps of both loops until nothing is left to do at this height.
func (h *house) step() error {
	for range 3 {
		if err := h.b.stepSeal(context.Background()); err != nil {
			return err
		}
		if err := h.b.stepAnchor(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) mustStep() {
	h.t.Helper()
	if err := h.step(); err != nil {
		h.t.Fatal(err)
	}
}

// mine adds blocks one by one, with the loops awake at each.
func (h *house) mine(n int) {
	h.t.Helper()
	for range n {
		h.chain.mine(1)
		h.mustStep()
	}
}

func (h *house) submit(names ...string) {
	h.t.Helper()
	if _, err := h.b.Submit(context.Background(), digests(names...)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) sealNow() {
	h.t.Helper()
	if _, err := h.b.committer.close(context.Background(), 0); err != nil {
		h.t.Fatal(err)
	}
	h.mustStep()
}

func (h *house) fund() { h.chain.give(h.wallet.scripts[0], 100_000) }

func (h *house) state(name string) State {
	h.t.Helper()
	st, err := h.b.Status(context.Background(), digest(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return st.Progress.State
}

func (h *house) wants(name string, want State) {
	h.t.Helper()
	if got := h.state(name); got != want {
		h.t.Fatalf("digest %q is %s, want %s", name, got, want)
	}
}

// verify checks a digest's proof against the chain's headers.
func (h *house) verify(name string) proof.Result {
	h.t.Helper()
	d := digest(name)
	data, st, complete, err := h.b.Proof(context.Background(), nil, d)
	if err != nil {
		h.t.Fatal(err)
	}
	f, err := proof.Parse(data)
	if err != nil {
		h.t.Fatal(err)
	}
	if f.IsComplete() != complete || complete != (st.Progress.State == Final) {
		h.t.Fatalf("the proof of digest %q, which is %s, is complete: %t; it was said: %t", name, st.Progress.State, f.IsComplete(), complete)
	}
	r, err := proof.Verify(context.Background(), f, d[:], h.chain)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func digest(name string) [32]byte { return sha256.Sum256([]byte(name)) }

func digests(names ...string) [][32]byte {
	var out [][32]byte
	for _, n := range names {
		out = append(out, digest(n))
	}
	return out
}

// faultyStore fails at one write, before or after it took effect, and at all later writes.
type faultyStore struct {
	store.Store
	mu     sync.Mutex
	failAt int // number of the write that fails; 0: none
	after  bool
	full   bool // the disk is full: no write is done, and the store stays in order
	flip   bool // the first bit of each first leaf is read wrong
	bend   int  // so is that of this step of each path, from 1; 0: of none
	writes int
}

func (f *faultyStore) write(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return fmt.Errorf("append: %w", store.ErrFull)
	}
	f.writes++
	switch {
	case f.failAt == 0 || f.writes < f.failAt:
		return do()
	case f.writes == f.failAt && f.after:
		return errors.Join(do(), errPowerCut)
	}
	return errPowerCut
}

func (f *faultyStore) Leaves(ctx context.Context, batch, start, n uint64) ([]store.Leaf, error) {
	leaves, err := f.Store.Leaves(ctx, batch, start, n)
	if err == nil && start == 0 && f.flip {
		leaves[0][0] ^= 0x80
	}
	return leaves, err
}

func (f *faultyStore) Path(ctx context.Context, dst []proof.Step, b *store.Batch, p store.Place) ([]proof.Step, proof.Waypoint, error) {
	path, way, err := f.Store.Path(ctx, dst, b, p)
	switch {
	case err != nil:
	case f.flip:
		path[len(dst)].Hash[0] ^= 0x80
	case f.bend > 0:
		path[len(dst)+f.bend-1].Hash[0] ^= 0x80
	}
	return path, way, err
}

func (f *faultyStore) Append(ctx context.Context, a *store.Append) error {
	return f.write(func() error { return f.Store.Append(ctx, a) })
}

func (f *faultyStore) Apply(ctx context.Context, u *store.Update) error {
	return f.write(func() error { return f.Store.Apply(ctx, u) })
}

// TestP1AcknowledgedDigestIsInExactlyOneBatch submits digests from many callers, the same digest
// from several of them. Batches fill up meanwhile, and there is a crash between the rounds. It
// fails if the committer forgets to look up stored digests, gives one digest two places in a group,
// or counts wrong after a restart.
func TestP1AcknowledgedDigestIsInExactlyOneBatch(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 37
	h.crash()
	at := make(map[[32]byte]store.Position)
	for round := range 4 {
		var mu sync.Mutex
		var g errgroup.Group
		for caller := range 8 {
			g.Go(func() error {
				for i := range 20 {
					batch := digests(fmt.Sprint(round, "/", i), fmt.Sprint(round, "/", caller, "/", i), fmt.Sprint("always/", i))
					sts, err := h.b.Submit(context.Background(), batch)
					if err != nil {
						return err
					}
					for _, st := range sts {
						mu.Lock()
						was, ok := at[st.Digest]
						at[st.Digest] = st.Position
						mu.Unlock()
						if ok && was != st.Position {
							return fmt.Errorf("digest %x was at %v and is at %v", st.Digest, was, st.Position)
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
	twice, err := h.b.Submit(context.Background(), digests("twice", "twice"))
	if err != nil || twice[0].Position != twice[1].Position {
		t.Fatalf("one digest twice in one call: %+v, %v", twice, err)
	}
	at[twice[0].Digest] = twice[0].Position
	taken := make(map[store.Position][32]byte)
	for d, pos := range at {
		st, err := h.b.Status(context.Background(), d)
		if err != nil || st.Position != pos {
			t.Fatalf("digest %x was acknowledged at %v and is at %v (%v)", d, pos, st.Position, err)
		}
		if other, ok := taken[pos]; ok {
			t.Fatalf("digests %x and %x are both at %v", d, other, pos)
		}
		taken[pos] = d
		leaf, err := h.store.Leaves(context.Background(), pos.Batch, pos.Index, 1)
		if err != nil || leaf[0] != proof.Leaf(d[:], st.Nonce) {
			t.Fatalf("the leaf at %v is not that of digest %x (%v)", pos, d, err)
		}
	}
	var total uint64
	all, err := h.b.Batches(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		total += b.Batch.Count
		if b.Batch.Count > 37 {
			t.Errorf("batch %d has %d digests, at most 37 are allowed", b.Batch.ID, b.Batch.Count)
		}
	}
	o, err := h.b.Overview(context.Background())
	if err != nil || total != uint64(len(at)) || o.Digests != total {
		t.Errorf("%d digests are in batches, %d are counted, %d were acknowledged (%v)", total, o.Digests, len(at), err)
	}
}

// TestP2SealedBatchBecomesFinal has no funds at first, then peers that hear nothing, then a
// reorganisation. Whatever delays an anchor, every batch becomes final once there are blocks and
// funds.
func TestP2SealedBatchBecomesFinal(t *testing.T) {
	h := newHouse(t)
	h.submit("a")
	h.sealNow()
	h.wants("a", Sealed)
	h.submit("b")
	h.sealNow()
	o, err := h.b.Overview(context.Background())
	if err != nil || len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "lacks 1306 sats") || o.Warnings[0].Kind != warning.WalletShort {
		t.Fatalf("warnings of an empty wallet: %q, %v", o.Warnings, err)
	}

	h.chain.deaf = true
	h.fund()
	h.mustStep()
	h.wants("a", Broadcast)
	h.wants("b", Broadcast)
	h.mine(2)
	h.wants("a", Broadcast)
	h.submit("c") // joins the anchor in flight, which two blocks left out
	h.sealNow()
	h.wants("c", Broadcast)

	h.chain.deaf = false
	h.mine(2) // offered at the first block, mined in the second
	h.wants("a", Mined)
	h.wants("c", Mined)
	h.chain.reorganise(2)
	h.mustStep()
	h.wants("a", Broadcast)
	h.mine(2)
	h.wants("a", Mined)
	h.mine(5)
	for _, name := range []string{"a", "b", "c"} {
		h.wants(name, Final)
		if r := h.verify(name); r.Outcome != proof.OutcomeValid {
			t.Errorf("proof of %s: %+v", name, r)
		}
	}
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) != 0 {
		t.Errorf("warnings once all is final: %q", o.Warnings)
	}
}

// scenario performs every kind of write once, for crashes at each of them. It returns at the first
// error.
func (h *house) scenario(acked map[string]bool) error {
	for _, names := range [][]string{{"a", "b", "c"}, {"a", "d"}} {
		if _, err := h.b.Submit(context.Background(), digests(names...)); err != nil {
			return err
		}
		for _, n := range names {
			acked[n] = true
		}
	}
	if err := h.step(); err != nil {
		return err
	}
	if _, err := h.b.committer.close(context.Background(), 0); err != nil {
		return err
	}
	if err := h.step(); err != nil {
		return err
	}
	if _, err := h.b.Submit(context.Background(), digests("e")); err != nil {
		return err
	}
	acked["e"] = true
	for range 3 {
		h.chain.mine(1)
		if err := h.step(); err != nil {
			return err
		}
	}
	h.clock = h.clock.Add(7 * time.Hour)
	if err := h.step(); err != nil {
		return err
	}
	h.chain.reorganise(3)
	for range 10 {
		if err := h.step(); err != nil {
			return err
		}
		h.chain.mine(1)
	}
	return h.step()
}

// TestP3NothingIsPaidTwiceAndP6ItGoesOn runs the scenario of two batches, two anchors and a
// reorganisation. It cuts the power at every single write, once before the write took effect and
// once after. Then it starts again and lets the chain go on. A batcher that broadcasts before it
// stores, or that keeps something only in memory, pays twice or never ends.
func TestP3NothingIsPaidTwiceAndP6ItGoesOn(t *testing.T) {
	for _, after := range []bool{false, true} {
		failAt := 1
		for ; cutPower(t, failAt, after); failAt++ {
		}
		if failAt < 10 {
			t.Errorf("the scenario has only %d writes: it does not do what it says", failAt-1)
		}
	}
}

// cutPower runs the scenario with a power cut at one write. It returns false if there is no such
// write.
func cutPower(t *testing.T, failAt int, after bool) (cut bool) {
	t.Run(fmt.Sprintf("power cut at write %d, which took effect: %v", failAt, after), func(t *testing.T) {
		h := newHouse(t)
		h.fund()
		h.faults.failAt, h.faults.after = failAt, after
		acked := make(map[string]bool)
		err := h.scenario(acked)
		if err == nil {
			return
		}
		cut = true
		if !errors.Is(err, store.ErrFailed) {
			t.Fatalf("the scenario ended with %v at a power cut", err)
		}
		h.stop()
		h.chain.mine(1) // goes on while the daemon is down
		h.crash()
		h.mustStep()
		h.sealNow()
		h.mine(20)
		for name := range acked {
			h.wants(name, Final)
			if r := h.verify(name); r.Outcome != proof.OutcomeValid {
				t.Errorf("proof of %s: %+v", name, r)
			}
		}
		h.nothingPaidTwice()
	})
	return cut
}

// nothingPaidTwice checks the anchors in the blocks: exactly one of them commits to each batch, and
// the store knows each of them as mined.
func (h *house) nothingPaidTwice() {
	h.t.Helper()
	anchors, err := h.store.Anchors(context.Background(), 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	known := make(map[chainhash.Hash]store.Version) // by txid
	mined := 0
	for _, a := range anchors {
		switch a.State {
		case store.Final:
			mined++
		case store.Dead:
		default:
			h.t.Errorf("anchor %d is %s", a.ID, a.State)
		}
		for _, v := range a.Versions {
			known[v.Tx.TxHash()] = v
			if v.Tx.TxIn[0].PreviousOutPoint != a.Versions[0].Tx.TxIn[0].PreviousOutPoint {
				h.t.Errorf("the versions of anchor %d share no coin", a.ID)
			}
		}
	}
	paid := make(map[uint64]int)
	txs := h.chain.anchors()
	for _, tx := range txs {
		v, ok := known[tx.TxHash()]
		if !ok {
			h.t.Errorf("transaction %s was mined, and the store knows nothing of it", tx.TxHash())
		}
		for _, id := range v.Batches {
			paid[id]++
		}
	}
	if mined != len(txs) {
		h.t.Errorf("%d anchors are final, and %d were mined", mined, len(txs))
	}
	batches, err := h.store.Batches(context.Background(), 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range batches {
		if b.State == store.Sealed && paid[b.ID] != 1 {
			h.t.Errorf("batch %d was paid for %d times", b.ID, paid[b.ID])
		}
	}
}

// TestP4CompleteProofVerifies makes batches of every awkward size, several to an anchor, and
// verifies the proof of each digest. Then a reorganisation undoes a final anchor: the proof becomes
// pending, and later complete again.
func TestP4CompleteProofVerifies(t *testing.T) {
	h := newHouse(t)
	var all []string
	for _, n := range []int{1, 2, 3, 5, 255, 256, 257, 700} {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint(n, "/", i))
		}
		h.submit(names...)
		h.sealNow()
		all = append(all, names...)
	}
	h.fund()
	h.mustStep()
	h.mine(5)
	if r := h.verify("1/0"); r.Outcome != proof.OutcomePending {
		t.Fatalf("proof after 5 confirmations: %+v", r)
	}
	h.mine(1)
	for _, name := range all {
		if r := h.verify(name); r.Outcome != proof.OutcomeValid {
			t.Fatalf("proof of %s: %+v", name, r)
		}
	}
	h.chain.reorganise(6)
	h.mustStep()
	h.wants("1/0", Broadcast)
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "was final") || o.Warnings[0].Kind != warning.Reorganisation {
		t.Errorf("warnings after a final anchor was undone: %q", o.Warnings)
	}
	h.mine(7)
	for _, name := range all[:20] {
		if r := h.verify(name); r.Outcome != proof.OutcomeValid {
			t.Fatalf("proof of %s after the reorganisation: %+v", name, r)
		}
	}
	h.nothingPaidTwice()
}

// TestP5CapsAreKept lets fees rise over each cap. The daemon does not pay above it, and a warning
// says so.
func TestP5CapsAreKept(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxFeeRate, h.policy.MaxFeeSats = 10, 1000
	h.crash()
	h.fund()
	h.chain.rate = 5000
	h.submit("a")
	h.sealNow()
	a, err := h.b.Anchor(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	v := a.Anchor.Versions[0]
	if v.SatPerVByte > 10 || v.FeeSats > 1000 {
		t.Errorf("paid %d sats at %d sat/vB, 1000 and 10 were allowed", v.FeeSats, v.SatPerVByte)
	}
	h.mine(7)
	h.wants("a", Final)

	h.policy.MaxFeeSats = 100 // not even 1 sat/vB
	h.crash()
	h.submit("b")
	h.sealNow()
	h.wants("b", Sealed)
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "anchor.max_fee allows 100 sat") || o.Warnings[0].Kind != warning.FeeCap {
		t.Errorf("warnings of a cap: %q", o.Warnings)
	}
}

// TestP5BudgetIsKept has a market that asks for a hundred times the budget. The daemon pays nothing
// beyond the budget, warns, and still accepts and seals. It pays again when the market is calm and
// the blocks of a month have passed. The test fails if the budget forgets anchors in flight,
// settled anchors, or versions that a reorganisation may let through.
func TestP5BudgetIsKept(t *testing.T) {
	h := newHouse(t)
	h.policy.BudgetSats = 1000
	h.policy.MaxFeeRate = 10_000
	h.policy.MaxFeeSats = 1_000_000
	h.crash()
	for range 5 {
		h.fund()
	}
	h.chain.rate, h.chain.floor = 650, 650 // 100,000 sats an anchor
	h.submit("a")
	h.sealNow()
	h.wants("a", Broadcast) // at what the budget allows
	h.clock = h.clock.Add(10 * time.Hour)
	h.skip(5)
	if a := h.anchor(1); len(a.Versions) != 1 || a.Versions[0].FeeSats > 1000 {
		t.Fatalf("%d versions, the first pays %d sats of a budget of 1000", len(a.Versions), a.Versions[0].FeeSats)
	}
	h.submit("b")
	h.sealNow()
	h.skip(1)
	h.wants("b", Sealed)
	o, err := h.b.Overview(context.Background())
	if err != nil || len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "anchor.monthly_budget allows 1,000 sat in 30 days") || o.Warnings[0].Kind != warning.Budget {
		t.Fatalf("warnings of a budget: %q, %v", o.Warnings, err)
	}
	h.chain.rate, h.chain.floor = 1, 1
	h.mine(7)
	h.wants("a", Final)
	h.wants("b", Sealed) // the budget is used up, whatever the price
	if o, _ = h.b.Overview(context.Background()); o.PaidSats > 1000 || o.PaidSats < 900 || o.BudgetSats != 1000 {
		t.Errorf("paid %d of %d sats", o.PaidSats, o.BudgetSats)
	}
	if want := (Activity{Batches: 1, Blocks: 7}); o.Lately != want {
		t.Errorf("anchored %+v, want %+v", o.Lately, want)
	}
	for range 41 { // settled on the way, and forgotten by what is followed
		h.chain.extend(100, false)
		h.mustStep()
	}
	h.wants("b", Sealed)
	h.chain.extend(220, false)
	h.mustStep()
	h.wants("b", Broadcast)
	h.mine(6)
	h.wants("b", Final)
	if o, _ = h.b.Overview(context.Background()); len(o.Warnings) != 0 || o.PaidSats >= 900 {
		t.Errorf("in the end: paid %d sats, warnings %q", o.PaidSats, o.Warnings)
	}
	if want := (Activity{Batches: 1, Blocks: decide.BudgetBlocks}); o.Lately != want { // the other one is older
		t.Errorf("in the end: anchored %+v, want %+v", o.Lately, want)
	}
}

// TestP5EveryVersionIsWithinTheCaps replaces an anchor block after block in a market that asks for
// more and more.
func TestP5EveryVersionIsWithinTheCaps(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxFeeRate, h.policy.MaxFeeSats = 30, 4000
	h.crash()
	h.fund()
	h.submit("a")
	h.sealNow()
	for block := range 60 {
		h.chain.rate = int64(block)
		h.clock = h.clock.Add(20 * time.Minute)
		h.skip(1)
	}
	a := h.anchor(1)
	for i, v := range a.Versions {
		if v.FeeSats > 4000 || v.SatPerVByte > 30 {
			t.Errorf("version %d pays %d sats at %d sat/vB", i, v.FeeSats, v.SatPerVByte)
		}
		if i > 0 && v.FeeSats < a.Versions[i-1].FeeSats+txsize.VSize(v.Tx) {
			t.Errorf("version %d pays %d sats, and the one before %d: no node takes that", i, v.FeeSats, a.Versions[i-1].FeeSats)
		}
	}
	if n := len(a.Versions); n < 5 || a.Versions[n-1].FeeSats < 3800 {
		t.Errorf("%d versions, the last at %d sats: it stopped below the cap", n, a.Versions[n-1].FeeSats)
	}
	if o, _ := h.b.Overview(context.Background()); len(o.Warnings) == 0 || !strings.Contains(o.Warnings[0].Text, "anchor.max_fee") {
		t.Errorf("warnings of a cap: %q", o.Warnings)
	}
}

// TestP6MinedWhileDown stops the daemon in each state and lets the chain go on meanwhile.
func TestP6MinedWhileDown(t *testing.T) {
	for _, blocks := range []int{1, 3, 200} {
		t.Run(fmt.Sprintf("%d blocks while down", blocks), func(t *testing.T) {
			h := newHouse(t)
			h.fund()
			h.submit("a")
			h.sealNow()
			h.wants("a", Broadcast)
			h.stop()
			h.chain.mine(blocks)
			h.start()
			h.mustStep()
			if blocks < 6 {
				h.wants("a", Mined)
				h.mine(6)
			}
			h.wants("a", Final)
			if r := h.verify("a"); r.Outcome != proof.OutcomeValid {
				t.Errorf("proof: %+v", r)
			}
			h.nothingPaidTwice()
		})
	}
}
