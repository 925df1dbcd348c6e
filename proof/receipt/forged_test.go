package receipt

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"ancre/proof"
)

// What a forger may try with a receipt of version 2. The bug that each would find: a receipt is
// accepted that proves nothing, or another thing than it says.
func TestForgedReceiptsOfVersion2AreRefusedWithTheReason(t *testing.T) {
	s := usual()
	good := write(t, s.v2(t))
	if r := judge(t, good, s.digest, s.chain()); r.Outcome != proof.OutcomeValid {
		t.Fatalf("the unchanged one: %+v", r)
	}
	hexOf := func(b []byte) string { return hex.EncodeToString(b) }
	root := s.v2(t).MerkleRoot
	other := [32]byte{0x5a}
	txid := displayed(proof.TxID(s.Tx))
	step := hexOf(s.Path[1].Hash[:])
	sibling := hexOf(s.Branch[2][:])

	// withTx puts another transaction into the receipt and into the block, so that only its outputs
	// are wrong.
	withTx := func(tx []byte) func(*sample) string {
		return func(s *sample) string {
			s.mine(tx, 5, 9)
			r := usual().v2(t)
			r.Anchors[0].TxID = proof.TxID(tx)
			r.Anchors[1].Tx, r.Anchors[1].BlockProof = tx, blockSteps(s.Branch, s.TxIndex)
			return write(t, r)
		}
	}
	small := transaction(1, []byte{1, 2, 3, 4})
	if len(small) != 64 {
		t.Fatalf("the small transaction has %d bytes", len(small))
	}

	for name, c := range map[string]struct {
		forge any // of the good text, or of the sample
		want  string
	}{
		"a changed step":           {func(x string) string { return edit(t, x, step, flip(step)) }, "the path leads from"},
		"a step on the other side": {func(x string) string { return edit(t, x, `"left": "`+step, `"right": "`+step) }, "the path leads from"},
		"a step too few":           {func(x string) string { return edit(t, x, "    {\n      \"left\": \""+step+"\"\n    },\n", "") }, "the path leads from"},
		"another file's hash":      {func(x string) string { return edit(t, x, hexOf(s.digest[:]), hexOf(other[:])) }, "the receipt is about another file: one with sha256 5a00"},
		"another root": {func(x string) string {
			return edit(t, x, `"merkleRoot": "`+hexOf(root[:]), `"merkleRoot": "`+hexOf(other[:]))
		}, "the receipt says that it leads to 5a00"},
		"another block's height":                {func(x string) string { return edit(t, x, `"820001"`, `"820000"`) }, "Bitcoin block 820000 has the Merkle root"},
		"a changed block path":                  {func(x string) string { return edit(t, x, sibling, flip(sibling)) }, "Bitcoin block 820001 has the Merkle root"},
		"the block path on the other side":      {func(x string) string { return edit(t, x, `"left": "`+sibling, `"right": "`+sibling) }, "Bitcoin block 820001 has the Merkle root"},
		"another transaction's id":              {func(x string) string { return edit(t, x, txid, flip(txid)) }, "its two anchors contradict each other: one names transaction " + flip(txid) + ", the other holds transaction " + txid},
		"a transaction with another lock time":  {func(x string) string { return edit(t, x, "20830c00\"", "21830c00\"") }, "its two anchors contradict each other"},
		"the OP_RETURN of another transaction":  {withTx(transaction(1, opReturn(other[:]), change)), "commits to 5a00"},
		"ours is the second OP_RETURN":          {withTx(transaction(1, opReturn(other[:]), opReturn(root[:]))), "commits to 5a00"},
		"a short OP_RETURN before ours":         {withTx(transaction(1, opReturn([]byte("hi")), opReturn(root[:]))), "the script of output 0 is 6a026869"},
		"a prefix in the OP_RETURN":             {withTx(transaction(1, opReturn(append([]byte("x"), root[:]...)), change)), "it must be OP_RETURN and a push of 32 bytes"},
		"no OP_RETURN":                          {withTx(transaction(1, change)), "none of the 1 outputs"},
		"the root in an ordinary output":        {withTx(transaction(1, append([]byte{0x00, 0x20}, root[:]...))), "none of the 1 outputs"},
		"a transaction of 64 bytes":             {withTx(small), "64 bytes cannot be told from a node"},
		"bytes after the transaction":           {withTx(append(transaction(1, opReturn(root[:])), 0)), "bytes follow after the transaction"},
		"a node of the block for a transaction": {withTx(bytes.Repeat([]byte{2}, 96)), "transaction"},
		"a seal without a signature": {func(x string) string {
			return seal(t, x, `{"signedHash": "`+hexOf(s.digest[:])+`", "pubKey": "1", "signature": "AA=="}`)
		}, "the seal is not right"},
	} {
		t.Run(name, func(t *testing.T) {
			text, mined := "", usual()
			switch forge := c.forge.(type) {
			case func(string) string:
				text = forge(good)
			case func(*sample) string:
				text = forge(&mined)
			}
			r := judge(t, text, s.digest, mined.chain())
			if r.Outcome != proof.OutcomeInvalid || !strings.Contains(r.Reason, c.want) {
				t.Errorf("got %+v, want invalid with %q", r, c.want)
			}
			if r.Header != (proof.Header{}) || r.Anchor != "" || r.Seal != nil {
				t.Errorf("it still tells of a block: %+v", r)
			}
		})
	}
}

// The bug that it catches: a transaction's OP_RETURN is looked for in output 0 only, where Woleet's
// tools take the first of all.
func TestTheCommitmentMayStandInAnyOutput(t *testing.T) {
	s := usual()
	r := s.v2(t)
	s.mine(transaction(1, change, opReturn(r.MerkleRoot[:]), opReturn([]byte("later"))), 5, 9)
	r.Anchors[0].TxID = proof.TxID(s.Tx)
	r.Anchors[1].Tx, r.Anchors[1].BlockProof = s.Tx, blockSteps(s.Branch, s.TxIndex)
	if got := judge(t, write(t, r), s.digest, s.chain()); got.Outcome != proof.OutcomeValid {
		t.Errorf("got %+v", got)
	}
}

func TestForgedReceiptsOfVersion4AreRefusedWithTheReason(t *testing.T) {
	s := usual()
	root := s.v2(t).MerkleRoot
	other := [32]byte{0x5a}
	ops := func(r *V4) []Op { return r.Branches[0].Ops }
	place := func(r *V4) int { // of the l before the transaction
		return slices.IndexFunc(ops(r), func(op Op) bool { return op.Hash == "sha-256-x2" }) - 2
	}
	// withTx has the block hold a transaction that is put together of these parts around the root.
	withTx := func(prefix, suffix []byte) func(*V4, *sample) {
		return func(r *V4, s *sample) {
			i := place(r)
			ops(r)[i].L, ops(r)[i+1].R = hex.EncodeToString(prefix), hex.EncodeToString(suffix)
			s.mine(slices.Concat(prefix, root[:], suffix), 5, 9)
			for j, step := range blockSteps(s.Branch, s.TxIndex) {
				ops(r)[i+3+2*j] = beside(step)
			}
		}
	}
	tx := transaction(1, opReturn(root[:]), change)
	at, err := proof.FirstCommitment(tx)
	if err != nil {
		t.Fatal(err)
	}
	second := transaction(1, opReturn(other[:]), opReturn(root[:]))
	at2 := bytes.Index(second, root[:])
	if r := judge(t, write(t, s.v4(t)), s.digest, s.chain()); r.Outcome != proof.OutcomeValid {
		t.Fatalf("the unchanged one: %+v", r)
	}

	for name, c := range map[string]struct {
		forge func(*V4, *sample)
		want  string
	}{
		"the good transaction once more": {withTx(tx[:at], tx[at+32:]), ""},
		"a changed step":                 {func(r *V4, _ *sample) { ops(r)[2].L = flip(ops(r)[2].L) }, "Bitcoin block 820001 has the Merkle root"},
		"a step on the other side":       {func(r *V4, _ *sample) { ops(r)[2].R, ops(r)[2].L = ops(r)[2].L, "" }, "Bitcoin block 820001 has the Merkle root"},
		"another hash in the path":       {func(r *V4, _ *sample) { ops(r)[1].Hash = "sha3-256" }, "Bitcoin block 820001 has the Merkle root"},
		"another file's hash":            {func(r *V4, _ *sample) { r.Hash[0] ^= 1 }, "the receipt is about another file"},
		"another block's height":         {func(r *V4, _ *sample) { ops(r)[len(ops(r))-1].Anchors[0].ID = "820000" }, "Bitcoin block 820000 has the Merkle root"},
		"ours is the second OP_RETURN":   {withTx(second[:at2], second[at2+32:]), "commits to 5a00"},
		"no OP_RETURN":                   {withTx(tx[:at-2], tx[at+32:]), "transaction"},
		"no transaction at all": {func(r *V4, s *sample) {
			r.Branches[0].Ops = slices.Delete(ops(r), place(r), len(ops(r))-1)
			s.MerkleRoot = root
		}, "nothing leads through a Bitcoin transaction"},
		"64 bytes for a transaction": {func(r *V4, s *sample) {
			i := place(r)
			r.Branches[0].Ops = slices.Concat(ops(r)[:i], []Op{{R: strings.Repeat("ab", 32)}}, ops(r)[i+2:])
		}, "64 bytes cannot be told from a node"},
		"a sibling of 31 bytes": {func(r *V4, _ *sample) { i := place(r) + 3; ops(r)[i].L = ops(r)[i].L[2:] }, "step 1 from the transaction to the block has 31 bytes on the left"},
		"a sibling in two halves": {func(r *V4, _ *sample) {
			i := place(r) + 3
			h := ops(r)[i].L
			ops(r)[i].L = h[32:]
			r.Branches[0].Ops = slices.Insert(ops(r), i+1, Op{R: h[:32]})
		}, "has 16 bytes on the left and 16 on the right"},
		"no sibling":                 {func(r *V4, _ *sample) { i := place(r) + 3; r.Branches[0].Ops = slices.Delete(ops(r), i, i+1) }, "has 0 bytes on the left and 0 on the right"},
		"a single hash in the block": {func(r *V4, _ *sample) { ops(r)[place(r)+4].Hash = "sha-256" }, "only sha-256-x2 belongs there"},
		"a block 33 levels high": {func(r *V4, _ *sample) {
			step := Op{L: strings.Repeat("ab", 32)}
			i := place(r) + 3
			r.Branches[0].Ops = slices.Concat(ops(r)[:i], slices.Repeat([]Op{step, {Hash: "sha-256-x2"}}, 33), ops(r)[len(ops(r))-1:])
		}, "more than 32 steps"},
		"something put beside the last hash": {func(r *V4, _ *sample) { r.Branches[0].Ops = slices.Insert(ops(r), len(ops(r))-1, Op{R: "00"}) }, "a Merkle root has 32"},
		"a second anchor that is false": {func(r *V4, _ *sample) {
			last := ops(r)[len(ops(r))-1]
			last.Anchors[0].ID = "820001"
			ops(r)[len(ops(r))-1].Anchors = append(last.Anchors, AnchorV4{Type: "btc", ID: "820000"})
		}, "Bitcoin block 820000 has the Merkle root"},
		"a second branch that is false": {func(r *V4, _ *sample) {
			r.Branches = append(r.Branches, Branch{Ops: []Op{{Anchors: []AnchorV4{{Type: "btc", ID: "820001"}}}}})
		}, "nothing leads through a Bitcoin transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			mined := usual()
			r := mined.v4(t)
			c.forge(r, &mined)
			got := judge(t, write(t, r), s.digest, mined.chain())
			if c.want == "" {
				if got.Outcome != proof.OutcomeValid {
					t.Errorf("got %+v", got)
				}
				return
			}
			if got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, c.want) {
				t.Errorf("got %+v, want invalid with %q", got, c.want)
			}
		})
	}
}

func TestABlockAboveTheTipIsNoVerdictOnTheReceipt(t *testing.T) {
	s := usual()
	c := s.chain()
	delete(c, s.Height)
	for _, r := range []Receipt{s.v2(t), s.v4(t)} {
		got := judge(t, write(t, r), s.digest, c)
		if got.Outcome != proof.OutcomeNoBlock || !strings.Contains(got.Reason, "block 820001, which is above the highest one known here") {
			t.Errorf("got %+v", got)
		}
	}
}

// The bug that it catches: a source that fails makes receipts invalid, or valid.
func TestASourceThatFailsIsNoVerdictOnTheReceipt(t *testing.T) {
	s := usual()
	broken := errors.New("the line is cut")
	for _, r := range []Receipt{s.v2(t), s.v4(t)} {
		if _, err := Verify(t.Context(), r, s.digest, failing{broken}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	r := s.v2(t)
	r.Anchors = r.Anchors[:1]
	n := s.node()
	n.err = broken
	if _, err := Verify(t.Context(), r, s.digest, n); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// Woleet's receipts name their transaction and nothing else.
func TestAReceiptThatOnlyNamesItsTransaction(t *testing.T) {
	s := usual()
	r := s.v2(t)
	r.Anchors = r.Anchors[:1]
	text := write(t, r)

	got := judge(t, text, s.digest, s.chain())
	if got.Outcome != proof.OutcomeUnchecked || !strings.Contains(got.Reason, "block headers alone cannot tell") || !strings.Contains(got.Reason, "txindex=1") {
		t.Errorf("from headers alone: %+v", got)
	}
	got = judge(t, text, s.digest, s.node())
	if got.Outcome != proof.OutcomeValid || got.Anchor != BTCOpReturn || got.TxID != proof.TxID(s.Tx) || got.Header.Height != s.Height {
		t.Errorf("with a node: %+v", got)
	}

	n := s.node()
	n.err = ErrUnmined
	if got := judge(t, text, s.digest, n); got.Outcome != proof.OutcomePending || !strings.Contains(got.Reason, "waits to be mined") {
		t.Errorf("before it is mined: %+v", got)
	}

	txid := proof.TxID(s.Tx)
	for name, c := range map[string]struct {
		spoil   func(*node)
		outcome proof.Outcome
		want    string
	}{
		"a transaction that is nowhere": {func(n *node) { delete(n.txs, txid) }, proof.OutcomeNoBlock, "which is in no block known here"},
		"one that commits to something else": {func(n *node) {
			other := transaction(1, opReturn(bytes.Repeat([]byte{9}, 32)))
			n.txs[txid] = Tx{Raw: other, Height: s.Height}
		}, "", "asked for transaction"},
		"a false branch":               {func(n *node) { tx := n.txs[txid]; tx.Index ^= 1; n.txs[txid] = tx }, proof.OutcomeInvalid, "Bitcoin block 820001 has the Merkle root"},
		"another block":                {func(n *node) { tx := n.txs[txid]; tx.Height--; n.txs[txid] = tx }, proof.OutcomeInvalid, "Bitcoin block 820000 has the Merkle root"},
		"a block that is not here yet": {func(n *node) { delete(n.chain, s.Height) }, proof.OutcomeNoBlock, "above the highest one"},
	} {
		n := s.node()
		c.spoil(&n)
		got, err := Verify(t.Context(), r, s.digest, n)
		if c.outcome == "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			continue
		}
		if err != nil || got.Outcome != c.outcome || !strings.Contains(got.Reason, c.want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}

	// The commitment of the transaction that the receipt names is another one.
	other := usual()
	other.mine(transaction(1, opReturn(bytes.Repeat([]byte{9}, 32))), 5, 9)
	r.Anchors[0].TxID = proof.TxID(other.Tx)
	if got := judge(t, write(t, r), s.digest, other.node()); got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, "commits to 0909") {
		t.Errorf("the OP_RETURN of another transaction: %+v", got)
	}
}

func TestReceiptsWithoutAnAnchorInBitcoin(t *testing.T) {
	s := usual()
	v2 := s.v2(t)
	v2.Anchors = []AnchorV2{{Type: ETHData, TxID: [32]byte{1}}}
	calendar := s.v4(t)
	last := &calendar.Branches[0].Ops[len(calendar.Branches[0].Ops)-1]
	last.Anchors = []AnchorV4{{Type: "cal", ID: "abc", URIs: []string{"https://calendar.example/abc"}}, {Type: "tbtc", ID: "5"}}
	none := s.v4(t)
	none.Branches[0].Ops = none.Branches[0].Ops[:3]
	for want, r := range map[string]Receipt{"only one of type ETHData": v2, "only of type cal, tbtc": calendar, "has no anchor": none} {
		if got := judge(t, write(t, r), s.digest, s.node()); got.Outcome != proof.OutcomeUnchecked || !strings.Contains(got.Reason, want) {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
}

// flip changes the first digit.
func flip(s string) string {
	if s[0] == '0' {
		return "1" + s[1:]
	}
	return "0" + s[1:]
}

// seal adds a member "signature".
func seal(t testing.TB, text, signature string) string {
	t.Helper()
	return strings.TrimSuffix(text, "\n}\n") + ",\n  \"signature\": " + signature + "\n}\n"
}

// failing is a source that cannot answer.
type failing struct{ err error }

func (f failing) Header(context.Context, uint64) (proof.Header, error) { return proof.Header{}, f.err }
