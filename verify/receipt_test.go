package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"ancre/proof"
	"ancre/proof/receipt"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// txChain is a chain that finds transactions too.
type txChain struct {
	*fakeChain
	err error
}

func (c txChain) Transaction(context.Context, [32]byte) (receipt.Tx, error) {
	return receipt.Tx{}, c.err
}

func TestVerdictsOnReceipts(t *testing.T) {
	chain := newFakeChain(1)
	digest := sha256.Sum256([]byte("a"))
	chain.mine([32]byte{7})
	var nonce [32]byte
	leaf := proof.Leaf(digest[:], nonce)
	ts := chain.anchored(t, leaf[:])
	next := &proof.Timestamp{Msg: digest[:]}
	end, err := next.Then(proof.Op{Tag: proof.Append, Arg: nonce[:]}, proof.Op{Tag: proof.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	end.Branches, end.Attestations = ts.Branches, ts.Attestations
	found, err := receipt.Inclusions(&proof.File{HashOp: proof.SHA256, Digest: digest[:], Timestamp: next})
	if err != nil || len(found) != 1 {
		t.Fatal(len(found), err)
	}
	rec, err := receipt.NewV2(found[0].Digest, found[0].Nonce, found[0].Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	verdict := func(src Source, rec receipt.Receipt, digest [32]byte) Verdict {
		t.Helper()
		got, err := New(Config{Source: src, Params: nil, Hints: testHints}).Receipt(t.Context(), rec, digest)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := verdict(chain, rec, digest)
	if got.Outcome != proof.OutcomeValid || !got.Complete || got.Block.Height != 2 || got.Anchor != receipt.BTCBlockHeader || got.TxID == (chainhash.Hash{}) || got.Seal != nil || got.Proof != nil {
		t.Errorf("%+v", got)
	}
	if got = verdict(chain, rec, [32]byte{1}); got.Outcome != proof.OutcomeInvalid {
		t.Errorf("another digest: %+v", got)
	}
	short := newFakeChain(2)
	if got = verdict(short, rec, digest); got.Outcome != proof.OutcomeUnverifiable || got.Needed != "block headers up to block 2: mine more" || len(short.lacked) != 1 || short.lacked[0] != 2 {
		t.Errorf("%+v; asked about blocks %v", got, short.lacked)
	}
	if got = verdict(newFakeChain(3), rec, digest); got.Outcome != proof.OutcomeInvalid {
		t.Errorf("another chain: %+v", got)
	}
	chain.err = errors.New("the line is dead")
	if got = verdict(chain, rec, digest); !got.SourceFailed || got.Needed != "block headers from a source that answers: ask somebody else" {
		t.Errorf("%+v", got)
	}
	chain.err = nil

	// A receipt that names its transaction and does not hold it needs a source that finds it.
	rec.Anchors = []receipt.AnchorV2{{Type: receipt.BTCOpReturn, TxID: [32]byte{1}}}
	if got = verdict(chain, rec, digest); got.Outcome != proof.OutcomeUnverifiable || got.SourceFailed || got.Needed == "" {
		t.Errorf("%+v", got)
	}
	for err, want := range map[error]proof.Outcome{receipt.ErrNoTx: proof.OutcomeInvalid, receipt.ErrUnmined: proof.OutcomePending, errors.New("dead"): proof.OutcomeUnverifiable} {
		got = verdict(txChain{chain, err}, rec, digest)
		if got.Outcome != want || want == proof.OutcomeUnverifiable && (!got.SourceFailed || !strings.HasSuffix(got.Needed, "(txindex=1), named below")) {
			t.Errorf("%v: %+v", err, got)
		}
	}
}
