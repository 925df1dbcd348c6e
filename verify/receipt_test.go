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

// receiptOn returns a receipt of version 2 of content that is in the newest block of the chain.
func receiptOn(t *testing.T, chain *fakeChain, content string) (*receipt.V2, [32]byte) {
	t.Helper()
	digest, nonce := sha256.Sum256([]byte(content)), [32]byte{}
	leaf := proof.Leaf(digest[:], nonce)
	top := &proof.Timestamp{Msg: digest[:]}
	end, err := top.Then(proof.Op{Tag: proof.Append, Arg: nonce[:]}, proof.Op{Tag: proof.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	rest := chain.anchored(t, leaf[:])
	end.Branches, end.Attestations = rest.Branches, rest.Attestations
	found, err := receipt.Inclusions(&proof.File{HashOp: proof.SHA256, Digest: digest[:], Timestamp: top})
	if err != nil || len(found) != 1 {
		t.Fatal(len(found), err)
	}
	rec, err := receipt.NewV2(found[0].Digest, found[0].Nonce, found[0].Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	return rec, digest
}

// receiptVerdict is that of a receipt of the file with this digest.
func receiptVerdict(t *testing.T, src Source, rec receipt.Receipt, digest [32]byte) Verdict {
	t.Helper()
	got, err := New(Config{Source: src, Hints: testHints}).Receipt(t.Context(), rec, digest)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestVerdictsOnReceipts(t *testing.T) {
	chain := newFakeChain(2)
	rec, digest := receiptOn(t, chain, "a")
	got := receiptVerdict(t, chain, rec, digest)
	if got.Outcome != proof.OutcomeValid || !got.Complete || got.Block.Height != 2 || got.Anchor != receipt.BTCBlockHeader || got.TxID == (chainhash.Hash{}) || got.Seal != nil {
		t.Errorf("%+v", got)
	}
	if got = receiptVerdict(t, chain, rec, [32]byte{1}); got.Outcome != proof.OutcomeInvalid {
		t.Errorf("another digest: %+v", got)
	}
	if got = receiptVerdict(t, newFakeChain(3), rec, digest); got.Outcome != proof.OutcomeInvalid {
		t.Errorf("another chain: %+v", got)
	}
	chain.err = errors.New("the line is dead")
	if got = receiptVerdict(t, chain, rec, digest); !got.SourceFailed || got.Needed != "block headers from a source that answers: ask somebody else" {
		t.Errorf("%+v", got)
	}
}

// Whether a block that is not here may come yet depends on its height, of receipts as of proofs.
func TestASourceIsAskedWhetherTheBlockOfAReceiptMayCome(t *testing.T) {
	rec, digest := receiptOn(t, newFakeChain(2), "a")
	short := newFakeChain(2)
	got := receiptVerdict(t, short, rec, digest)
	if got.Outcome != proof.OutcomeUnverifiable || got.Needed != "block headers up to block 2: mine more" || len(short.lacked) != 1 || short.lacked[0] != 2 {
		t.Errorf("%+v; asked about blocks %v", got, short.lacked)
	}
}

// A receipt that names its transaction and does not hold it needs a source that finds it.
func TestReceiptsWithoutTheirTransaction(t *testing.T) {
	chain := newFakeChain(2)
	rec, digest := receiptOn(t, chain, "a")
	rec.Anchors = []receipt.AnchorV2{{Type: receipt.BTCOpReturn, TxID: [32]byte{1}}}
	if got := receiptVerdict(t, chain, rec, digest); got.Outcome != proof.OutcomeUnverifiable || got.SourceFailed || got.Needed != "a full node with all transactions: bitcoind with txindex=1, named below" {
		t.Errorf("%+v", got)
	}
	other := *rec
	other.Anchors = []receipt.AnchorV2{{Type: receipt.ETHData, TxID: [32]byte{1}}}
	if got := receiptVerdict(t, chain, &other, digest); got.Outcome != proof.OutcomeUnverifiable || got.Needed != "a program that verifies anchors of these types" {
		t.Errorf("%+v", got)
	}
	for err, want := range map[error]proof.Outcome{receipt.ErrNoTx: proof.OutcomeInvalid, receipt.ErrUnmined: proof.OutcomePending} {
		if got := receiptVerdict(t, txChain{chain, err}, rec, digest); got.Outcome != want || got.SourceFailed {
			t.Errorf("%v: %+v", err, got)
		}
	}
	dead := txChain{chain, errors.New("dead")}
	if got := receiptVerdict(t, dead, rec, digest); !got.SourceFailed || !strings.HasSuffix(got.Needed, "(txindex=1), named below") {
		t.Errorf("%+v", got)
	}
}
