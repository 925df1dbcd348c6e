package proof

import (
	"slices"
	"strings"
	"testing"
)

// through builds a proof of a file of 9 bytes whose digest is of that kind; ops lead to a Bitcoin
// block at 10, and from there more attestations hang on the same message. Its chain has the block.
func through(t testing.TB, hash Tag, ops []Op, more ...Attestation) (*File, chain) {
	t.Helper()
	h := hash.Hash()
	h.Write([]byte("the file\n"))
	f := &File{HashOp: hash, Digest: h.Sum(nil), Timestamp: &Timestamp{Msg: h.Sum(nil)}}
	end, err := f.Timestamp.Then(append(slices.Clone(ops), Op{Tag: SHA256})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append([]Attestation{BitcoinAt(10)}, more...) {
		end.Attest(a)
	}
	return f, chainOf(Header{Height: 10, MerkleRoot: [32]byte(end.Msg)}, Header{Height: 9, MerkleRoot: [32]byte{9}})
}

// Each proof is valid by block 10. The bug that each would find: verify says "valid" without a word
// of what is false, what was not checked, or what forgers can do.
func TestAValidProofSaysWhatItDoesNotShow(t *testing.T) {
	litecoin := Attestation{Tag: tagOf(KindLitecoin), Payload: []byte{5}}
	ethereum := Attestation{Tag: tagOf(KindEthereum), Payload: []byte{6}}
	unknown := Attestation{Tag: [8]byte{1, 2}, Payload: []byte("\x1b[2Jwhat is this")}
	none := []Op{}
	for name, c := range map[string]struct {
		hash Tag
		ops  []Op
		more []Attestation
		want []string // what each warning holds, in order
	}{
		"nothing to say":                       {SHA256, none, nil, nil},
		"a promise beside the block":           {SHA256, none, []Attestation{pendingAt(t, "https://a.example")}, nil},
		"Keccak-256, which nobody broke":       {Keccak256, []Op{{Tag: Keccak256}}, nil, nil},
		"a false attestation":                  {SHA256, none, []Attestation{BitcoinAt(9)}, []string{"another attestation of the proof is false: Bitcoin block 9 has the Merkle root"}},
		"a block that is not here":             {SHA256, none, []Attestation{BitcoinAt(11)}, []string{"not checked: the proof names Bitcoin block 11, which is above the highest one known here"}},
		"Litecoin":                             {SHA256, none, []Attestation{litecoin}, []string{"not checked: litecoin block 5"}},
		"Ethereum":                             {SHA256, none, []Attestation{ethereum}, []string{"not checked: ethereum block 6"}},
		"an unknown kind, without its payload": {SHA256, none, []Attestation{unknown}, []string{"not checked: attestation 0102000000000000 is of no known kind"}},
		"all of these": {SHA256, none, []Attestation{litecoin, unknown, BitcoinAt(11), BitcoinAt(9)},
			[]string{"is false: Bitcoin block 9", "not checked: the proof names Bitcoin block 11", "not checked: attestation 0102", "not checked: litecoin block 5"}},
		"the file's SHA-1":      {SHA1, none, nil, []string{"about the file's SHA-1, not its SHA-256: two files with the same SHA-1 can be made"}},
		"the file's RIPEMD-160": {RIPEMD160, none, nil, []string{"about the file's RIPEMD-160, not its SHA-256: it has 160 bits only"}},
		"SHA-1 on the way":      {SHA256, []Op{{Append, []byte{1}}, {Tag: SHA1}}, nil, []string{"the path to Bitcoin block 10 goes through SHA-1"}},
		"RIPEMD-160 on the way": {SHA256, []Op{{Tag: RIPEMD160}}, nil, []string{"the path to Bitcoin block 10 goes through RIPEMD-160"}},
		"SHA-1 twice":           {SHA1, []Op{{Tag: SHA1}}, nil, []string{"about the file's SHA-1", "goes through SHA-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, src := through(t, c.hash, c.ops, c.more...)
			r, err := Verify(t.Context(), f, f.Digest, src)
			if err != nil || r.Outcome != OutcomeValid || r.Header.Height != 10 || r.Reason != "" {
				t.Fatalf("%+v, %v", r, err)
			}
			wantWarnings(t, r.Warnings, c.want)
		})
	}
}

func wantWarnings(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d warnings, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) || strings.Contains(got[i], "\x1b") {
			t.Errorf("warning %d is %q, want %q in it", i, got[i], want[i])
		}
	}
}

// A weak hash on one way is no weakness where another way leads to the same block without it.
func TestOnlyTheWayThatCountsIsWarnedOf(t *testing.T) {
	f, src := through(t, SHA256, []Op{{Tag: SHA1}})
	strong, err := f.Timestamp.Then(Op{Append, []byte("another way")}, Op{Tag: SHA256})
	if err != nil {
		t.Fatal(err)
	}
	strong.Attest(BitcoinAt(12))
	src.headers[12] = Header{Height: 12, MerkleRoot: [32]byte(strong.Msg)}
	r, err := Verify(t.Context(), f, f.Digest, src)
	if err != nil || r.Outcome != OutcomeValid || r.Header.Height != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	wantWarnings(t, r.Warnings, []string{"goes through SHA-1"})
	if !strings.Contains(r.Warnings[0], "Bitcoin block 12 attests to the file without this weakness") {
		t.Errorf("%q", r.Warnings[0])
	}

	// The better way leads to the lower block: nothing to say.
	strong.Attest(BitcoinAt(8))
	src.headers[8] = Header{Height: 8, MerkleRoot: [32]byte(strong.Msg)}
	r, err = Verify(t.Context(), f, f.Digest, src)
	if err != nil || r.Header.Height != 8 {
		t.Fatalf("%+v, %v", r, err)
	}
	wantWarnings(t, r.Warnings, nil)
}

func TestAPendingProofWarnsAndAnInvalidOneSaysWhy(t *testing.T) {
	litecoin := Attestation{Tag: tagOf(KindLitecoin), Payload: []byte{5}}
	f, src := through(t, SHA1, nil)
	f.Timestamp = &Timestamp{Msg: f.Digest, Attestations: []Attestation{pendingAt(t, "https://a.example"), litecoin}}
	r, err := Verify(t.Context(), f, f.Digest, src)
	if err != nil || r.Outcome != OutcomePending {
		t.Fatalf("%+v, %v", r, err)
	}
	wantWarnings(t, r.Warnings, []string{"about the file's SHA-1", "not checked: litecoin"})

	f, src = through(t, SHA1, nil, litecoin)
	src.headers[10] = Header{Height: 10}
	if r, err = Verify(t.Context(), f, f.Digest, src); err != nil || r.Outcome != OutcomeInvalid || r.Warnings != nil {
		t.Errorf("an invalid one: %+v, %v", r, err)
	}
}

// A hostile proof must not fill the terminal.
func TestWarningsOfAHostileProofAreFew(t *testing.T) {
	var more []Attestation
	for i := range 1000 {
		more = append(more, Attestation{Tag: [8]byte{1, byte(i >> 8), byte(i)}}, BitcoinAt(uint64(1000+i)))
	}
	f, src := through(t, SHA256, nil, more...)
	r, err := Verify(t.Context(), f, f.Digest, src)
	if err != nil || r.Outcome != OutcomeValid || len(r.Warnings) != 2*(maxWarnings+1) {
		t.Fatalf("%v, %d warnings, %v", r.Outcome, len(r.Warnings), err)
	}
	if last := r.Warnings[len(r.Warnings)-1]; !strings.Contains(last, "more attestations") {
		t.Errorf("the last one is %q", last)
	}
}
