package server

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// mine puts the digest into a block of its own.
func (b *memBatcher) mine(t *testing.T, digest [32]byte) {
	t.Helper()
	st := b.status(digest)
	leaf := proof.Leaf(digest[:], st.Nonce)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, leaf[:]...)))
	var raw bytes.Buffer
	if err := tx.SerializeNoWitness(&raw); err != nil {
		t.Fatal(err)
	}
	coinbase := [32]byte{7}
	b.final = &proof.Inclusion{Tx: raw.Bytes(), TxIndex: 1, Branch: [][32]byte{coinbase}, Height: 17}
	b.final.MerkleRoot = proof.BlockRootFromBranch(tx.TxHash(), b.final.Branch, 1)
}

// The bugs that it catches: a script that asks too early gets an error, or something that looks
// like a receipt; the receipt is text inside JSON, which no script expects; the receipt is that of
// another digest, or does not verify.
func TestReceiptsAreThereOnceADigestIsFinal(t *testing.T) {
	r := newRig(t)
	digest := [32]byte(mustHex(someDigest))
	c := r.client(t, rpc.RoleSubmit)
	if _, err := c.Submit(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	for format, version := range map[string]int{rpc.FormatChainpoint: 2, rpc.FormatChainpoint4: 4} {
		r.batcher.final = nil
		raw, refused := r.call(t, rpc.RoleSubmit, "getproof", `["`+someDigest+`","`+format+`"]`)
		if want := `{"digest":"` + someDigest + `","state":"open","batch":1,"index":0,"format":"` + format + `","complete":false}`; refused != nil || string(raw) != want {
			t.Errorf("%s of a digest that is not final: %v, %s", format, refused, raw)
		}

		r.batcher.mine(t, digest)
		p, err := c.Proof(t.Context(), digest, format)
		if err != nil || !p.Complete || p.Format != format || p.State != "final" || p.Proof != "" {
			t.Errorf("%s: %+v, %v", format, p, err)
		}
		if !bytes.HasPrefix(p.Receipt, []byte(`{"@context":`)) {
			t.Errorf("%s is no object: %s", format, p.Receipt)
		}
		got, err := receipt.Parse(p.Receipt)
		if err != nil {
			t.Fatal(err)
		}
		if got.Version() != version || got.Digest() != digest {
			t.Errorf("%s: version %d about %x", format, got.Version(), got.Digest())
		}
		if v4, ok := got.(*receipt.V4); ok && v4.Received.Unix() != testTime.Unix() {
			t.Errorf("it says that the hash was received at %s, the block's time is %s", v4.Received, testTime)
		}
		header := oneBlock{Height: 17, MerkleRoot: r.batcher.final.MerkleRoot}
		if result, err := receipt.Verify(t.Context(), got, digest, header); err != nil || result.Outcome != proof.OutcomeValid {
			t.Errorf("%s: %+v, %v", format, result, err)
		}
	}
	_, refused := r.call(t, rpc.RoleSubmit, "getproof", `["`+someDigest[:63]+`0","chainpoint"]`)
	if refused == nil || refused.Code != rpc.CodeNotFound {
		t.Errorf("of a digest that never came: %v", refused)
	}
}

// The bug that it catches: a receipt that would not verify is handed out, instead of an error in
// the log.
func TestAReceiptThatWouldNotVerifyIsNotHandedOut(t *testing.T) {
	r := newRig(t)
	digest := [32]byte(mustHex(someDigest))
	if _, err := r.client(t, rpc.RoleSubmit).Submit(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	r.batcher.mine(t, digest)
	r.batcher.final.MerkleRoot[0] ^= 1
	for _, format := range []string{rpc.FormatChainpoint, rpc.FormatChainpoint4} {
		raw, refused := r.call(t, rpc.RoleSubmit, "getproof", `["`+someDigest+`","`+format+`"]`)
		if refused == nil {
			t.Errorf("got %s", raw)
		}
	}
}

// The bug that it catches: the receipt of a digest changes from one call to the next.
func TestAReceiptIsTheSameEachTime(t *testing.T) {
	r := newRig(t)
	digest := [32]byte(mustHex(someDigest))
	c := r.client(t, rpc.RoleSubmit)
	if _, err := c.Submit(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	r.batcher.mine(t, digest)
	for _, format := range []string{rpc.FormatChainpoint, rpc.FormatChainpoint4} {
		var before json.RawMessage
		for range 2 {
			p, err := c.Proof(t.Context(), digest, format)
			if err != nil || before != nil && !bytes.Equal(before, p.Receipt) {
				t.Errorf("%v: first\n%s\nthen\n%s", err, before, p.Receipt)
			}
			before = p.Receipt
		}
	}
}

// oneBlock is a chain with one known block.
type oneBlock proof.Header

func (b oneBlock) Header(_ context.Context, height uint64) (proof.Header, error) {
	if height != b.Height {
		return proof.Header{}, proof.ErrNoHeader
	}
	return proof.Header(b), nil
}
