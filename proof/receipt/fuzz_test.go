package receipt

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ancre/proof"
)

// FuzzParse holds of any bytes: reading them ends, and what was read is written so that it is read
// as the same again; and whatever is found valid, the verifier of .ots files finds valid as well,
// wherever it can be said as one.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) < 4 {
		f.Fatal(files, err)
	}
	headers := usual().chain()
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(bytes.Join(bytes.Fields(b), nil))
		// Its block is one that the fuzzer's chain has.
		if r, err := Parse(b); err == nil {
			claims, err := r.claims(f.Context(), headers)
			if err == nil && r.Version() == 2 && len(claims.bitcoin) > 0 {
				headers[claims.bitcoin[0].height-1] = proof.Header{MerkleRoot: claims.bitcoin[0].merkleRoot, Time: blockTime}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		text := write(t, r)
		again, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("it is not read again: %v\n%s", err, text)
		}
		if write(t, again) != text {
			t.Fatalf("it is written in another way the second time:\n%s\n%s", text, write(t, again))
		}
		before, err := Verify(t.Context(), r, r.Digest(), headers)
		if err != nil {
			t.Fatal(err)
		}
		after, err := Verify(t.Context(), again, r.Digest(), headers)
		if err != nil || after.Outcome != before.Outcome || after.Reason != before.Reason || after.Header != before.Header {
			t.Fatalf("first %+v, then %+v, %v", before, after, err)
		}
		if before.Outcome != proof.OutcomeValid {
			return
		}
		ots, err := Proof(r)
		if err != nil {
			return
		}
		result, err := proof.Verify(t.Context(), ots, ots.Digest, headers)
		if err != nil || result.Outcome != proof.OutcomeValid || result.Header.Height != before.Header.Height {
			t.Fatalf("as a proof it is %+v, %v; as a receipt %+v", result, err, before)
		}
	})
}

// edited judges a good receipt of which some bytes were replaced: it is no longer valid, unless it
// says the same of the file as before.
func edited(t testing.TB, text []byte, s sample, want []byte) {
	t.Helper()
	r, err := Parse(text)
	if err != nil {
		return
	}
	result, err := Verify(t.Context(), r, s.digest, s.chain())
	if err != nil {
		t.Fatal(err)
	}
	if result.Outcome != proof.OutcomeValid {
		return
	}
	f, err := Proof(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Marshal(); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("valid, with another path to the block (error %v):\n%s", err, text)
	}
}

// goods are receipts of the usual sample, and what they say as a proof.
func goods(t testing.TB) (s sample, texts [][]byte, ots []byte) {
	t.Helper()
	s = usual()
	f, err := proof.Complete(s.digest, s.nonce, s.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	if ots, err = f.Marshal(); err != nil {
		t.Fatal(err)
	}
	return s, [][]byte{[]byte(write(t, s.v2(t))), []byte(write(t, s.v4(t)))}, ots
}

// FuzzEdit replaces a run of bytes of a good receipt.
func FuzzEdit(f *testing.F) {
	s, texts, want := goods(f)
	for _, edit := range []string{"", "0", "A", `"`, "}", `,"left":"00"`, `{"op":"sha-256"},`, `"signature":{},`} {
		f.Add(uint8(0), uint16(300), uint16(1), edit)
		f.Add(uint8(1), uint16(900), uint16(40), edit)
	}
	f.Fuzz(func(t *testing.T, which uint8, at, n uint16, with string) {
		text := texts[int(which)%len(texts)]
		start := int(at) % len(text)
		end := min(start+int(n), len(text))
		edited(t, slices.Concat(text[:start], []byte(with), text[end:]), s, want)
	})
}

// The bug that it catches: a byte that nobody looks at, or that is read over.
func TestNoSingleByteCanBeChangedUnnoticed(t *testing.T) {
	s, texts, want := goods(t)
	for _, text := range texts {
		for i := range text {
			for _, with := range []string{"", "7", "F"} {
				edited(t, slices.Concat(text[:i], []byte(with), text[i+1:]), s, want)
			}
		}
	}
}
