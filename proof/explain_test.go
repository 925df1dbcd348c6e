package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func explain(t *testing.T, f *File) *Explanation {
	t.Helper()
	e, err := Explain(f)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnExplanationShowsTheTransactionAndTheBlock(t *testing.T) {
	a := anchor(5, 11, 1, 3, 3, 8)
	f, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	e := explain(t, f)
	if e.HashOp != "sha256" || e.Digest != hex.EncodeToString(a.digest[:]) || !e.Complete {
		t.Errorf("got %s %s, complete %v", e.HashOp, e.Digest, e.Complete)
	}
	last := e.Lines[len(e.Lines)-1]
	if last.Attestation != KindBitcoin || last.Height != a.Height || last.MerkleRoot != reversedHex(a.MerkleRoot) {
		t.Errorf("got %+v", last)
	}
	var ids []string
	for i, l := range e.Lines {
		if l.TxID == "" {
			continue
		}
		ids = append(ids, l.TxID)
		if before := e.Lines[i-1]; before.Op != "sha256" || l.Op != "sha256" || !strings.Contains(before.Note, "a Bitcoin transaction of 125 bytes") {
			t.Errorf("the id stands after %+v", before)
		}
	}
	if want := reversedHex(TxID(a.Tx)); len(ids) != 1 || ids[0] != want {
		t.Errorf("got the ids %v, want %s", ids, want)
	}

	text := e.Text(false)
	for _, want := range []string{"# transaction id " + ids[0], "attested by Bitcoin block 820001, if its Merkle root is " + last.MerkleRoot} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, hex.EncodeToString(a.MerkleRoot[:])) {
		t.Error("results are shown although nobody asked for them")
	}
	if verbose := e.Text(true); !strings.Contains(verbose, "= "+hex.EncodeToString(a.MerkleRoot[:])) {
		t.Errorf("results are not shown in\n%s", verbose)
	}
}

func TestAnExplanationShortensLongValuesUnlessVerbose(t *testing.T) {
	f, err := Parse(vector(t, "at-the-limits"))
	if err != nil {
		t.Fatal(err)
	}
	e := explain(t, f)
	long := strings.Repeat("55", 4064)
	if text := e.Text(false); strings.Contains(text, long) || !strings.Contains(text, "(4064 bytes)") {
		t.Error("a long argument is not shortened")
	}
	if !strings.Contains(e.Text(true), "append "+long) {
		t.Error("a long argument is shortened though all was asked for")
	}
}

func TestAnExplanationForProgramsNamesEverything(t *testing.T) {
	f, err := Parse(vector(t, "several-attestations"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(explain(t, f))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"hash":"sha256"`, `"complete":true`, `"branch":"4/4"`, `"op":"prepend","argument":"01"`,
		`{"level":1,"attestation":"bitcoin","height":127,"merkle_root":"fc8240a6a076ee3261a06a0960260325f5504da445e6a09d5a5f2a973d588c04"}`,
		`"attestation":"pending","uri":"https://b.example.org","commitment":"568aa1818212c148b3e040a5d19b9e29c9dfd20be0b868e00d1a5cd9414e780f"`,
		`"attestation":"unknown","tag":"ffffffffffffffff","payload":"667574757265"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in\n%s", want, b)
		}
	}
}

func TestAPairOfHashesIsNoTransaction(t *testing.T) {
	f, err := Parse(vector(t, "pending"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range explain(t, f).Lines {
		if l.TxID != "" || strings.Contains(l.Note, "transaction") {
			t.Errorf("got %+v", l)
		}
	}
}

func TestOnlyTwiceSHA256OfATransactionIsItsID(t *testing.T) {
	for _, first := range []Tag{SHA256, SHA1, RIPEMD160, Keccak256, Reverse} {
		digest := bytes.Repeat([]byte{1}, 32)
		ts := &Timestamp{Msg: digest}
		tx := testTx(5, opReturn(digest))
		at, err := commitmentAt(tx)
		if err != nil {
			t.Fatal(err)
		}
		end, err := ts.Then(Op{Prepend, tx[:at]}, Op{Append, tx[at+32:]}, Op{Tag: first}, Op{Tag: SHA256}, Op{Tag: RIPEMD160}, Op{Tag: SHA256}, Op{Tag: SHA256})
		if err != nil {
			t.Fatal(err)
		}
		end.Attest(BitcoinAt(1))
		for i, l := range explain(t, &File{SHA256, digest, ts}).Lines {
			if (l.TxID != "") != (first == SHA256 && i == 3) {
				t.Errorf("%v and sha256 of a transaction: line %d is %+v", first, i, l)
			}
		}
	}
}

func TestNothingIsExplainedThatIsNoProof(t *testing.T) {
	if _, err := Explain(&File{}); err == nil {
		t.Error("an empty file is explained")
	}
}

// What reading a proof may cost is bounded, and so its explanation is.
func TestAHostileProofIsExplainedInBoundedMemory(t *testing.T) {
	end := Attestation{Tag: [8]byte{1}}.append(nil)
	fork := func(i, argument, reversals int) []byte {
		arg := make([]byte, argument)
		arg[0], arg[1], arg[2] = byte(i), byte(i>>8), byte(i>>16)
		b := append([]byte{0xff, byte(Append)}, appendVarbytes(nil, arg)...)
		return append(append(b, bytes.Repeat([]byte{byte(Reverse)}, reversals)...), end...)
	}
	for name, f := range map[string]struct{ forks, argument, reversals int }{
		"a megabyte of forks":                             {50_000, 3, 0},
		"the longest messages, reversed again and again":  {15, MaxMessage - 32, 250},
		"short messages, reversed as often as is allowed": {490, 3, 250},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte(magic), 1, byte(SHA256))
			b = append(b, make([]byte, 32)...)
			for i := range f.forks {
				b = append(b, fork(i, f.argument, f.reversals)...)
			}
			p, err := Parse(append(b, end...))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			e := explain(t, p)
			size := len(e.Text(true))
			runtime.ReadMemStats(&after)
			if size > 64<<20 {
				t.Errorf("%d bytes of text", size)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
				t.Errorf("%d bytes of memory used", n)
			}
			t.Logf("%d bytes of proof: %d lines, %d bytes of text, %d MiB of memory used and freed", len(b), len(e.Lines), size, (after.TotalAlloc-before.TotalAlloc)>>20)
		})
	}
}
