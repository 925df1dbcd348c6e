package batcher

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/internal/wake"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// wantKinds checks that there are warnings of these kinds, in this order, and no others.
func (h *house) wantKinds(want ...*warning.Kind) []warning.Warning {
	h.t.Helper()
	all := h.overview().Warnings
	var got []*warning.Kind
	for _, w := range all {
		got = append(got, w.Kind)
	}
	if !slices.Equal(got, want) {
		var names []string
		for _, k := range want {
			names = append(names, k.Name())
		}
		h.t.Fatalf("warnings %q, want the kinds %q", all, names)
	}
	return all
}

// late advances the clock until the target of sealed batches has passed.
func (h *house) late() { h.clock = h.clock.Add(h.policy.Target + time.Minute) }

// lost is a chain whose newest block cannot be read.
type lost struct{ *simChain }

func (lost) Best() (height int32, hash chainhash.Hash, err error) {
	return 0, hash, errors.New("input/output error")
}

// strange is a wallet that fails with an error of no known kind.
type strange struct{ *simWallet }

func (strange) BuildAnchor(context.Context, Order) (*wire.MsgTx, []*wire.TxOut, error) {
	return nil, nil, errors.New("a riddle")
}

// There is a warning for everything that makes a batch wait, at once, and another one when the
// batch is late.
func TestWhateverDelaysABatchIsAWarning(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause func(h *house)
		kind  *warning.Kind
		words string
	}{
		{"no money", func(*house) {}, warning.WalletShort, "lacks 1306 sats"},
		{"a locked wallet", func(h *house) { h.fund(); h.wallet.ready = errors.New("it is locked") }, warning.Wallet, "it is locked"},
		{"a wallet that fails", func(h *house) { h.fund(); h.b.wallet = strange{h.wallet} }, warning.Payment, "a riddle"},
		{"a cap", func(h *house) { h.fund(); h.b.policy.MaxFeeSats = 100 }, warning.FeeCap, "anchor.max_fee allows 100 sat"},
		{"a cap that its size exceeds", func(h *house) { h.fund(); h.b.policy.MaxFeeSats = txsize.SmallestAnchor }, warning.FeeCap, "anchor.max_fee"},
		{"a budget", func(h *house) { h.fund(); h.b.policy.BudgetSats = 100 }, warning.Budget, "anchor.monthly_budget allows 100 sat"},
		{"a damaged batch", func(h *house) { h.sealNow(); h.fund(); h.faults.flip = true }, warning.Damage, "batch 1: the store is damaged"},
		{"a chain that cannot be read", func(h *house) { h.fund(); h.b.chain = lost{h.chain} }, warning.Chain, "input/output error"},
		{"peers that refuse", func(h *house) {
			h.fund()
			h.chain.deaf = true
			h.chain.judge = func(txids []chainhash.Hash, rate int64, isNew bool) (warning.Warning, bool) {
				return warning.New(warning.OfferRefused, "they refuse %d, new %v, at %d", len(txids), isNew, rate), true
			}
		}, warning.OfferRefused, "anchor 1: they refuse 1, new true, at 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			h.wantKinds()
			h.submit("a")
			tt.cause(h)
			if _, err := h.b.committer.close(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			_ = h.step() // fails where the chain cannot be read
			_ = h.step()
			if w := h.wantKinds(tt.kind); !strings.Contains(w[0].Text, tt.words) {
				t.Errorf("%q, want %q", w[0].Text, tt.words)
			}
			h.late()
			w := h.overview().Warnings
			if !warning.Has(w, tt.kind) || w[len(w)-1].Kind != warning.Overdue || !strings.Contains(w[len(w)-1].Text, "the other warnings name the cause") {
				t.Errorf("late: %q", w)
			}
		})
	}
}

// A batch that is late without a known cause has a warning too, which names the likely causes.
func TestALateBatchIsAWarningWithItsLikelyCauses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause func(h *house)
		words []string
	}{
		{"the chain is not synced", func(h *house) { h.chain.unsyncd = true }, []string{"not at the newest block"}},
		{"no block was found", func(h *house) { h.fund(); h.mustStep() }, []string{"no block was found since anchor 1", "spv.add_peers"}},
		{"blocks leave it out", func(h *house) { h.fund(); h.chain.deaf = true; h.mustStep(); h.mine(3) },
			[]string{"3 blocks were found", "datacarrier=0", "blocksonly=1", "anchor.max_feerate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			h.submit("a")
			if _, err := h.b.committer.close(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			if err := h.b.stepSeal(context.Background()); err != nil {
				t.Fatal(err)
			}
			h.wantKinds()
			tt.cause(h)
			h.wantKinds()
			h.late()
			text := h.wantKinds(warning.Overdue)[0].Text
			for _, word := range append(tt.words, "a batch that was sealed 6 hours ago is in no block, and anchor.target is 6 hours") {
				if !strings.Contains(text, word) {
					t.Errorf("%q does not say %q", text, word)
				}
			}
			h.chain.deaf, h.chain.unsyncd = false, false
			h.fund()
			h.mine(4)
			h.wants("a", Mined)
			h.wantKinds()
		})
	}
}

func TestACoinThatWentElsewhereIsAWarning(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.chain.deaf = true
	h.sealNow()
	foreign := wire.NewMsgTx(2)
	foreign.AddTxIn(&wire.TxIn{PreviousOutPoint: h.anchor(1).Versions[0].Tx.TxIn[0].PreviousOutPoint})
	foreign.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	h.chain.deaf = false
	h.chain.mempool = []*wire.MsgTx{foreign}
	h.mine(1)
	if text := h.wantKinds(warning.CoinSpent)[0].Text; !strings.Contains(text, "anchor 1 cannot be mined") || !strings.Contains(text, "in about 11 blocks") {
		t.Error(text)
	}
	h.fund()
	h.mine(12)
	h.wants("a", Mined)
	h.wantKinds()
}

func TestACoinThatAReorganisationTookIsAWarning(t *testing.T) {
	h := newHouse(t)
	h.fund()
	h.submit("a")
	h.chain.deaf = true
	h.sealNow()
	h.wantKinds()
	h.chain.reorganise(1) // the deposit is gone
	h.mustStep()
	if text := h.wantKinds(warning.CoinMissing)[0].Text; !strings.Contains(text, "anchor [1]") {
		t.Error(text)
	}
}

// There is a warning for a batch that cannot be sealed, and for any other step that fails, until it
// works again.
func TestAStepThatFailsIsAWarning(t *testing.T) {
	h := newHouse(t)
	ctx, stop := context.WithCancel(t.Context())
	wakes := make(chan struct{}, 1)
	round := 0
	err := h.b.loop(ctx, sealer, wakes, nil, func(context.Context) error {
		round++
		wake.Up(wakes)
		switch round {
		case 1:
			return errors.New("a riddle")
		case 2:
			if text := h.wantKinds(warning.Step)[0].Text; !strings.Contains(text, "sealing batches failed and is tried again: a riddle") {
				t.Error(text)
			}
			return nil
		}
		h.wantKinds()
		stop()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestABatchThatCannotBeSealedIsAWarning(t *testing.T) {
	h := newHouse(t)
	h.submit("a")
	h.faults.flip = true // the leaves do not have the sum that they were stored with
	if _, err := h.b.committer.close(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if err := h.b.seal(context.Background(), store.Batch{ID: 9, Count: 5}); err == nil {
		t.Fatal("a batch without leaves was sealed")
	}
	h.wantKinds(warning.Sealing)
	h.faults.flip = false
	h.mustStep()
	h.wantKinds(warning.WalletShort)
}
