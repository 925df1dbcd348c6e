package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fileContent is what the digest of [anchor] is of.
var fileContent = []byte("the file\n")

// line takes a proof apart that has no forks: its operations, and the attestation at the end.
func line(t testing.TB, f *File) (ops []Op, end Attestation) {
	t.Helper()
	ts := f.Timestamp
	for ; len(ts.Branches) == 1 && len(ts.Attestations) == 0; ts = ts.Branches[0].Next {
		ops = append(ops, ts.Branches[0].Op)
	}
	if len(ts.Branches) > 0 || len(ts.Attestations) != 1 {
		t.Fatal("the proof of the test is no line")
	}
	return ops, ts.Attestations[0]
}

// forge puts a proof of digest together, as a forger would: with messages that follow from one
// another, since readers compute them.
func forge(t testing.TB, digest []byte, ops []Op, end Attestation) *File {
	t.Helper()
	ts := &Timestamp{Msg: digest}
	last, err := ts.Then(ops...)
	if err != nil {
		t.Fatal(err)
	}
	last.Attest(end)
	return &File{SHA256, digest, ts}
}

// TestForgedProofsAreRefused has what a forger may try who holds a true proof, and what a person is
// told.
func TestForgedProofsAreRefused(t *testing.T) {
	a := anchor(5, 11, 1, 3, 3, 8)
	f, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	ops, end := line(t, f)
	digest := a.digest[:]
	const height = 820_001
	other := sha256.Sum256([]byte("another file\n"))
	below := Header{Height: height - 1, MerkleRoot: [32]byte{7}, Time: time.Unix(1_699_999_000, 0)}
	src := chainOf(a.header(), below)

	// Where in the proof what begins: 2 operations to the leaf, 2 for each step of the batch and of
	// the anchor.
	tx := 2 + 2*(len(a.Path)+len(a.RootPath))
	if ops[tx].Tag != Prepend || ops[tx+1].Tag != Append || len(ops) != tx+4+3*len(a.Branch) {
		t.Fatalf("the transaction is elsewhere: %v", ops)
	}
	edit := func(change func(ops []Op) []Op) *File { return forge(t, digest, change(slices.Clone(ops)), end) }
	another := fmt.Sprintf("Bitcoin block %d has the Merkle root %s, the proof leads to ", height, reversedHex(a.MerkleRoot))

	// A whole anchor of somebody else, in another block.
	theirs := anchor(2, 4, 0, 1, 1, 2)
	theirs.Height = height - 1

	for name, c := range map[string]struct {
		f      *File
		digest []byte
		src    HeaderSource
		want   string
	}{
		"a changed file": {f, other[:], src, fmt.Sprintf("the proof is about another file: one with sha256 %x, this one has %x", digest, other)},
		"a changed file, its digest written into the proof": {forge(t, other[:], ops, end), other[:], src, another},
		"another nonce":                      {edit(func(ops []Op) []Op { ops[0].Arg = other[:]; return ops }), digest, src, another},
		"a changed sibling":                  {edit(func(ops []Op) []Op { ops[2].Arg = other[:]; return ops }), digest, src, another},
		"a sibling on the other side":        {edit(func(ops []Op) []Op { ops[2].Tag ^= Append ^ Prepend; return ops }), digest, src, another},
		"a step left out":                    {edit(func(ops []Op) []Op { return slices.Delete(ops, 2, 4) }), digest, src, another},
		"a step twice":                       {edit(func(ops []Op) []Op { return slices.Insert(ops, 4, ops[2], ops[3]) }), digest, src, another},
		"two steps swapped":                  {edit(func(ops []Op) []Op { ops[2], ops[4] = ops[4], ops[2]; return ops }), digest, src, another},
		"another hash":                       {edit(func(ops []Op) []Op { ops[3].Tag = Keccak256; return ops }), digest, src, another},
		"an OP_RETURN of another root":       {edit(func(ops []Op) []Op { return slices.Insert(ops, tx, Op{Append, []byte{1}}, Op{Tag: SHA256}) }), digest, src, another},
		"a changed transaction":              {edit(func(ops []Op) []Op { ops[tx+1].Arg = bytes.Repeat([]byte{1}, 40); return ops }), digest, src, another},
		"the block's path left out":          {edit(func(ops []Op) []Op { return ops[:tx+4] }), digest, src, another},
		"the leaf passed off as the root":    {edit(func(ops []Op) []Op { return ops[:2] }), digest, src, another},
		"the file passed off as the root":    {edit(func(ops []Op) []Op { return nil }), digest, src, another},
		"the root as people read it":         {edit(func(ops []Op) []Op { return append(ops, Op{Tag: Reverse}) }), digest, src, another},
		"a root of another length":           {edit(func(ops []Op) []Op { return append(ops, Op{Append, []byte{1}}) }), digest, src, "the proof claims a Merkle root of 33 bytes for Bitcoin block 820001, one has 32"},
		"a root of 20 bytes":                 {edit(func(ops []Op) []Op { return append(ops, Op{Tag: RIPEMD160}) }), digest, src, "the proof claims a Merkle root of 20 bytes"},
		"a lower block":                      {forge(t, digest, ops, BitcoinAt(height-1)), digest, src, "Bitcoin block 820000 has the Merkle root 00"},
		"a block above the highest":          {forge(t, digest, ops, BitcoinAt(height+1)), digest, src, "the proof names Bitcoin block 820002, which is above the highest one known here"},
		"a block above all that can be":      {forge(t, digest, ops, BitcoinAt(1<<64-1)), digest, src, "block 18446744073709551615, which is above"},
		"a block that left the main chain":   {f, digest, chainOf(below, Header{Height: height, MerkleRoot: [32]byte{8}}), "Bitcoin block 820001 has the Merkle root 00"},
		"a chain that does not reach it":     {f, digest, chainOf(below), "which is above the highest one known here"},
		"a block of another chain":           {forge(t, digest, ops, Attestation{tagOf(KindLitecoin), end.Payload}), digest, src, "litecoin block 820001 is not verified here, only Bitcoin blocks are"},
		"a promise in the place of a block":  {forge(t, digest, ops, pendingAt(t, "https://a.example")), digest, src, "waiting for the calendar at https://a.example"},
		"what nobody knows":                  {forge(t, digest, ops, Attestation{[8]byte{5, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x02}, end.Payload}), digest, src, "is of no known kind"},
		"a kind of hash that is not SHA-256": {&File{SHA1, digest[:20], forge(t, digest[:20], ops, end).Timestamp}, digest[:20], src, another},

		"another's way from the leaf on": {func() *File {
			b, err := Complete(theirs.digest, theirs.nonce, theirs.Inclusion)
			if err != nil {
				t.Fatal(err)
			}
			rest, at := line(t, b)
			return forge(t, other[:], rest, at)
		}(), other[:], chainOf(theirs.header()), "Bitcoin block 820000 has the Merkle root"},
		"messages that do not follow from one another": {
			&File{SHA256, digest, &Timestamp{Msg: digest, Branches: []Branch{{Op{Tag: SHA256}, &Timestamp{Msg: a.MerkleRoot[:], Attestations: []Attestation{end}}}}}},
			digest, src, "a timestamp is about the message"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Verify(t.Context(), c.f, c.digest, c.src)
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome == OutcomeValid || !strings.Contains(r.Reason, c.want) {
				t.Errorf("%v at %d: %s\nwant the reason %s", r.Outcome, r.Header.Height, r.Reason, c.want)
			}
		})
	}

	// The proof that all this was made of is true, and stays true beside any forgery.
	lower := forge(t, digest, ops, BitcoinAt(height-1))
	merged, err := Merge(f.Timestamp, lower.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(t.Context(), &File{SHA256, digest, merged}, digest, src)
	if err != nil || r.Outcome != OutcomeValid || r.Header.Height != height {
		t.Errorf("the true proof, a lower block forged beside it: %v at %d, %s, error %v", r.Outcome, r.Header.Height, r.Reason, err)
	}
}

// A proof says that a message existed before a block, and hashes alone say so: whoever has them
// knew the message. It does not matter what the bytes between were meant to be, so these are no
// forgeries, and other clients take them too. What names a transaction (receipts) must look closer:
// there, bytes that were never a transaction could be passed off as one.
func TestAProofNeedsNoTransactionThatLooksLikeOurs(t *testing.T) {
	digest := sha256.Sum256(fileContent)
	twice := []Op{{Tag: SHA256}, {Tag: SHA256}}
	around := func(before, after []byte) []Op { return append([]Op{{Prepend, before}, {Append, after}}, twice...) }
	elsewhere := testTx(7, p2wpkh, opReturn(digest[:]))
	at := bytes.Index(elsewhere, digest[:])

	// A transaction of 64 bytes looks like a node of the block's tree, and a node like such a
	// transaction (CVE-2017-12842).
	small := testTx(7, []byte{0x6a, 2, 0, 0}) // 64 bytes, the outpoint from byte 5 on
	if len(small) != 64 {
		t.Fatalf("the small transaction has %d bytes", len(small))
	}

	for name, ops := range map[string][]Op{
		"committed to by output 1":                 around(elsewhere[:at], elsewhere[at+32:]),
		"in a script, not even an OP_RETURN":       around([]byte{1, 2, 3}, []byte{4}),
		"in the outpoint of a 64-byte transaction": around(small[:5], small[37:]),
		"a node of the block's tree itself":        append([]Op{{Append, bytes.Repeat([]byte{9}, 32)}}, twice...),
		"a transaction's id":                       nil,
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t, digest[:], ops, BitcoinAt(5))
			root := f.Attestations()[0].Msg
			r, err := Verify(t.Context(), f, digest[:], chainOf(Header{Height: 5, MerkleRoot: [32]byte(root)}))
			if err != nil || r.Outcome != OutcomeValid {
				t.Errorf("got %v, %s, %v", r.Outcome, r.Reason, err)
			}
			for _, l := range explain(t, f).Lines {
				if strings.Contains(name, "64-byte") && l.TxID != "" {
					t.Errorf("64 bytes are explained as transaction %s", l.TxID)
				}
			}
		})
	}
	if _, err := Commitment(small); err == nil {
		t.Error("64 bytes are taken for a transaction")
	}
}

// verdict of bytes that may be a proof of content, by one who has that content.
type verdict int

const (
	unreadable verdict = iota
	refused
	same    // it verifies, and is written as the original
	changed // it verifies, and is another proof: must not be
)

// judge verifies b for the content of the file, and for whatever digest b itself claims to be
// about.
func judge(b, original []byte, src HeaderSource) (verdict, error) {
	f, err := Parse(b)
	if err != nil {
		return unreadable, nil
	}
	h := f.HashOp.Hash()
	h.Write(fileContent)
	claimed := f.Digest
	if f.HashOp != SHA256 {
		claimed = nil // a digest of 32 bytes may be said to be of another hash; whose file it is, only that hash can tell
	}
	for _, digest := range [][]byte{h.Sum(nil), claimed} {
		r, err := Verify(context.Background(), f, digest, src)
		if err != nil {
			return changed, err
		}
		if r.Outcome != OutcomeValid {
			continue
		}
		if again, err := f.Marshal(); err != nil || !bytes.Equal(again, original) {
			return changed, err
		}
		return same, nil
	}
	return refused, nil
}

// TestNoChangedByteVerifies tries every value of every byte, every byte left out, and at every
// place each byte put in that means something.
func TestNoChangedByteVerifies(t *testing.T) {
	a := anchor(1, 2, 0, 1, 1, 2)
	f, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	good, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	src := chainOf(a.header())
	if v, err := judge(good, good, src); v != same {
		t.Fatalf("the proof of the test is not valid: %v, %v", v, err)
	}
	var count [changed + 1]int
	try := func(b []byte, what string, place int, value byte) {
		v, err := judge(b, good, src)
		if count[v]++; v == changed {
			t.Fatalf("byte %d %s %02x: verifies as another proof (error %v)\n%x", place, what, value, err, b)
		}
	}
	for i := range len(good) + 1 {
		for value := range 256 {
			if i < len(good) && byte(value) != good[i] {
				b := bytes.Clone(good)
				b[i] = byte(value)
				try(b, "changed to", i, byte(value))
			}
		}
		for _, value := range meaning {
			try(slices.Insert(bytes.Clone(good), i, value), "put in:", i, value)
		}
		if i < len(good) {
			try(slices.Delete(bytes.Clone(good), i, i+1), "left out, was", i, good[i])
		}
	}
	t.Logf("%d bytes: %d changes are unreadable, %d are refused, %d are the same proof in other bytes", len(good), count[unreadable], count[refused], count[same])
	if count[unreadable] == 0 || count[refused] == 0 || count[same] != 0 {
		// No single byte makes a padded number: that takes a bit and a further byte.
		t.Errorf("unreadable, refused, same: %v", count)
	}
}

// TestAChangedProofNeverVerifies changes bits of a proof with all that proofs have, and several
// bytes at once.
func TestAChangedProofNeverVerifies(t *testing.T) {
	a := anchor(5, 11, 1, 3, 3, 8)
	f, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	good, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	src := chainOf(a.header())
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			if v, err := judge(b, good, src); v == changed {
				t.Fatalf("bit %d of byte %d changed: verifies as another proof (error %v)\n%x", bit, i, err, b)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(good)
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			i := rapid.IntRange(0, len(b)-1).Draw(t, "place")
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				b[i] = rapid.Byte().Draw(t, "byte")
			case 1:
				b = append(b[:i:i], b[i+1:]...)
			case 2:
				b = append(b[:i:i], append([]byte{rapid.Byte().Draw(t, "byte")}, b[i:]...)...)
			}
		}
		if v, err := judge(b, good, src); v == changed {
			t.Fatalf("verifies as another proof (error %v)\n%x", err, b)
		}
	})
}
