package receipt

import (
	"strings"
	"testing"
	"time"

	"ancre/proof"

	"pgregory.net/rapid"
)

// The bug that it catches: bytes that change from one version of this program to the next, so that
// a receipt differs from itself.
func TestReceiptsAreTheSameBytesForGood(t *testing.T) {
	s := usual()
	golden(t, "v2.json", write(t, s.v2(t)))
	golden(t, "v4.json", write(t, s.v4(t)))
}

func TestReceiptsOfAnyShapeVerify(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		place := func(what string, most int) (int, int) {
			n := rapid.IntRange(1, most).Draw(rt, what)
			return rapid.IntRange(0, n-1).Draw(rt, "place among "+what), n
		}
		leaf, leaves := place("leaves", 300)
		batch, batches := place("batches", 9)
		tx, txs := place("transactions", 40)
		s := anchored(leaf, leaves, batch, batches, tx, txs)
		for _, r := range []Receipt{s.v2(t), s.v4(t)} {
			text := write(t, r)
			again, err := Parse([]byte(text))
			if err != nil {
				rt.Fatal(err)
			}
			if write(t, again) != text {
				rt.Errorf("reading and writing changes\n%s", text)
			}
			result, err := Verify(t.Context(), again, s.digest, s.chain())
			if err != nil || result.Outcome != proof.OutcomeValid || result.TxID != proof.TxID(s.Tx) || result.Header.Time != blockTime || result.Header.Height != s.Height {
				rt.Fatalf("version %d: %+v, %v", r.Version(), result, err)
			}
		}
	})
}

func TestTheResultNamesTheAnchorThatWasProven(t *testing.T) {
	s := usual()
	for want, r := range map[string]Receipt{BTCBlockHeader: s.v2(t), "btc": s.v4(t)} {
		if got := judge(t, write(t, r), s.digest, s.chain()); got.Anchor != want || got.Seal != nil {
			t.Errorf("got %+v, want anchor %s", got, want)
		}
	}
}

// The bug that it catches: a receipt is handed out that nobody can verify.
func TestNothingIsBuiltThatWouldNotVerify(t *testing.T) {
	for name, spoil := range map[string]func(*sample){
		"another nonce":           func(s *sample) { s.nonce[0] ^= 1 },
		"a changed step":          func(s *sample) { s.Path[1].Hash[31] ^= 1 },
		"a step on another side":  func(s *sample) { s.RootPath[0].Left = !s.RootPath[0].Left },
		"a changed branch":        func(s *sample) { s.Branch[0][0] ^= 1 },
		"another place":           func(s *sample) { s.TxIndex ^= 1 },
		"another Merkle root":     func(s *sample) { s.MerkleRoot[5] ^= 1 },
		"another transaction":     func(s *sample) { s.Tx[len(s.Tx)-1] ^= 1 },
		"a height of no block":    func(s *sample) { s.Height = 1 << 40 },
		"no transaction":          func(s *sample) { s.Tx = nil },
		"a transaction cut short": func(s *sample) { s.Tx = s.Tx[:len(s.Tx)-1] },
	} {
		s := usual()
		spoil(&s)
		if r, err := NewV2(s.digest, s.nonce, s.Inclusion); err == nil {
			t.Errorf("%s: version 2 is built: %+v", name, r)
		}
		if r, err := NewV4(s.digest, s.nonce, s.Inclusion, blockTime); err == nil {
			t.Errorf("%s: version 4 is built: %+v", name, r)
		}
	}
}

// Chainpoint's parser looks for the commitment in front of the last two operations before the
// transaction's hash. A transaction that does not fit into those is one that it would misread.
func TestATransactionOfManyInputsFitsIntoVersion2Only(t *testing.T) {
	s := usual()
	r := s.v2(t)
	for inputs, fits := range map[int]bool{5: true, 6: false} {
		s.mine(transaction(inputs, opReturn(r.MerkleRoot[:]), change), 5, 9)
		s.v2(t)
		_, err := NewV4(s.digest, s.nonce, s.Inclusion, blockTime)
		if fits && err != nil || !fits && (err == nil || !strings.Contains(err.Error(), "take a receipt of version 2")) {
			t.Errorf("%d inputs: %v", inputs, err)
		}
	}
}

func TestTheTimeOfAVersion4ReceiptIsThatOfABlock(t *testing.T) {
	s := usual()
	r, err := NewV4(s.digest, s.nonce, s.Inclusion, time.Date(2026, 1, 2, 4, 4, 5, 999, time.FixedZone("CET", 3600)))
	if err != nil || write(t, r) != write(t, s.v4(t)) {
		t.Errorf("a time in another zone, with nanoseconds, makes another receipt: %v", err)
	}
	for _, when := range []time.Time{{}, time.Unix(0, 0), time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, err := NewV4(s.digest, s.nonce, s.Inclusion, when); err == nil || !strings.Contains(err.Error(), "from 2009 on") {
			t.Errorf("%s: %v", when, err)
		}
	}
}

// RFC 9562, appendix A.1, has a UUID of version 1 with its time: 2022-02-22T19:22:22Z is
// C232AB00-9414-11EC.
func TestAProofIDHoldsTheTimeAsUUIDsDo(t *testing.T) {
	when := time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC)
	got := proofID(when, [32]byte{0xff, 0xc8, 1, 2, 3, 4, 5, 6})
	if want := "c232ab00-9414-11ec-bfc8-010102030405"; got != want || !idV4.MatchString(got) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAReceiptIsMadeOfACompleteProof(t *testing.T) {
	for _, s := range []sample{usual(), anchored(0, 1, 0, 1, 0, 1), anchored(6, 7, 2, 3, 8, 9)} {
		f, err := proof.Complete(s.digest, s.nonce, s.Inclusion)
		if err != nil {
			t.Fatal(err)
		}
		// Another calendar's attestations stand in the same file.
		other := proof.Op{Tag: proof.Append, Arg: []byte("0123456789abcdef")}
		next, err := f.Timestamp.Then(other)
		if err != nil {
			t.Fatal(err)
		}
		next.Attest(proof.BitcoinAt(7))
		digest, nonce, a, err := InclusionOf(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewV2(digest, nonce, a)
		if err != nil || write(t, r) != write(t, s.v2(t)) {
			t.Errorf("got %v, %v", r, err)
		}
	}
}

func TestAReceiptIsMadeOfNoOtherProof(t *testing.T) {
	s := usual()
	pending, err := proof.Pending(s.digest, s.nonce, "https://calendar.example")
	if err != nil {
		t.Fatal(err)
	}
	foreign := &proof.Timestamp{Msg: s.digest[:]}
	next, err := foreign.Then(proof.Op{Tag: proof.Append, Arg: []byte("0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	if next, err = next.Then(proof.Op{Tag: proof.SHA256}); err != nil {
		t.Fatal(err)
	}
	next.Attest(proof.BitcoinAt(7))
	// Ancre's, but for the side of the nonce.
	turned := &proof.Timestamp{Msg: s.digest[:]}
	end, err := turned.Then([]proof.Op{{Tag: proof.Prepend, Arg: s.nonce[:]}, {Tag: proof.SHA256}, {Tag: proof.Prepend, Arg: s.Tx[:58]}, {Tag: proof.Append, Arg: s.Tx[90:]}, {Tag: proof.SHA256}, {Tag: proof.SHA256}}...)
	if err != nil {
		t.Fatal(err)
	}
	end.Attest(proof.BitcoinAt(7))
	if _, _, _, err := InclusionOf(&proof.File{HashOp: proof.SHA256, Digest: s.digest[:], Timestamp: turned}); err == nil || !strings.Contains(err.Error(), "was not made by Ancre") {
		t.Errorf("with the nonce on the left: %v", err)
	}
	for want, f := range map[string]*proof.File{
		"the proof is pending: complete it first": pending,
		"there is no proof":                       nil,
		"was not made by Ancre":                   {HashOp: proof.SHA256, Digest: s.digest[:], Timestamp: foreign},
		"about sha1":                              {HashOp: proof.SHA1, Digest: s.digest[:20], Timestamp: foreign},
	} {
		if _, _, _, err := InclusionOf(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// The bug that it catches: what is shown of a receipt is not what is in it.
func TestAReceiptSaysWhatTheProofSays(t *testing.T) {
	s := usual()
	want, err := proof.Complete(s.digest, s.nonce, s.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	before, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Receipt{s.v2(t), s.v4(t)} {
		f, err := Proof(r)
		if err != nil {
			t.Fatal(err)
		}
		if after, err := f.Marshal(); err != nil || string(after) != string(before) {
			t.Errorf("version %d: %x, %v, want %x", r.Version(), after, err, before)
		}
	}
	named := s.v2(t)
	named.Anchors = named.Anchors[:1]
	other := s.v4(t)
	other.Branches[0].Ops[1].Hash = "sha3-256"
	for _, r := range []Receipt{named, other} {
		if f, err := Proof(r); err == nil {
			t.Errorf("got %+v", f)
		}
	}
}
