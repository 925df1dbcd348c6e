package proof

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// grow builds a proof of 32 zero bytes; each way is a list of operations, at its end an
// attestation.
func grow(t testing.TB, ways ...way) *File {
	t.Helper()
	ts := &Timestamp{Msg: make([]byte, 32)}
	for _, w := range ways {
		end, err := ts.Then(w.ops...)
		if err != nil {
			t.Fatal(err)
		}
		end.Attest(w.end)
	}
	return &File{SHA256, ts.Msg, ts}
}

type way struct {
	ops []Op
	end Attestation
}

// hashed is so many times SHA-256.
func hashed(times int) (ops []Op) {
	for range times {
		ops = append(ops, Op{Tag: SHA256})
	}
	return ops
}

func appended(b byte) []Op { return []Op{{Append, []byte{b}}, {Tag: SHA256}} }

func TestPromisesThatWereKeptAreLeftOut(t *testing.T) {
	a, b := pendingAt(t, "https://a.example"), pendingAt(t, "https://b.example")
	unknown := Attestation{Tag: [8]byte{1}}
	litecoin := Attestation{Tag: tagOf(KindLitecoin), Payload: []byte{5}}
	for name, c := range map[string]struct{ before, after *File }{
		"a promise whose block is below": {
			grow(t, way{hashed(1), a}, way{hashed(3), BitcoinAt(5)}),
			grow(t, way{hashed(3), BitcoinAt(5)})},
		"a promise beside its block": {
			grow(t, way{hashed(1), a}, way{hashed(1), BitcoinAt(5)}),
			grow(t, way{hashed(1), BitcoinAt(5)})},
		"a promise of another calendar in another branch stays": {
			grow(t, way{appended(1), a}, way{append(appended(1), hashed(1)...), BitcoinAt(5)}, way{appended(2), b}),
			grow(t, way{append(appended(1), hashed(1)...), BitcoinAt(5)}, way{appended(2), b})},
		"a promise below a block stays": { // what follows from what a block attests may still be awaited
			grow(t, way{hashed(1), BitcoinAt(5)}, way{hashed(2), a}),
			grow(t, way{hashed(1), BitcoinAt(5)}, way{hashed(2), a})},
		"other kinds stay, and keep no promise": {
			grow(t, way{hashed(1), a}, way{hashed(1), unknown}, way{hashed(2), litecoin}),
			grow(t, way{hashed(1), a}, way{hashed(1), unknown}, way{hashed(2), litecoin})},
		"every block stays": {
			grow(t, way{nil, a}, way{hashed(1), BitcoinAt(5)}, way{hashed(2), BitcoinAt(4)}),
			grow(t, way{hashed(1), BitcoinAt(5)}, way{hashed(2), BitcoinAt(4)})},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := c.before.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := DropFulfilled(c.before.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			want, err := union(c.after.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("want %v\n got %v", facts(want), facts(got))
			}
			if after, err := c.before.Marshal(); err != nil || !bytes.Equal(before, after) {
				t.Errorf("what was given was changed (error %v)", err)
			}
		})
	}
	if _, err := DropFulfilled(&Timestamp{Msg: thirtyTwo}); err == nil {
		t.Error("a timestamp of nothing lost something")
	}
}

func TestAPrunedProofKeepsTheLowestBlockThatHolds(t *testing.T) {
	a, unknown := pendingAt(t, "https://a.example"), Attestation{Tag: [8]byte{1}}
	root := func(height uint64, w way) Header {
		end, err := (&Timestamp{Msg: make([]byte, 32)}).Then(w.ops...)
		if err != nil {
			t.Fatal(err)
		}
		return Header{Height: height, MerkleRoot: [32]byte(end.Msg)}
	}
	late, early := way{append(appended(1), hashed(1)...), BitcoinAt(9)}, way{appended(2), BitcoinAt(7)}
	forged := way{appended(3), BitcoinAt(3)} // names the lowest block, and does not lead to its root
	future := way{appended(4), BitcoinAt(99)}
	src := chainOf(root(9, late), root(7, early), Header{Height: 3, MerkleRoot: [32]byte{1}})
	f := grow(t, late, early, forged, future, way{appended(1), a}, way{appended(5), a}, way{appended(2), unknown})

	r, err := Verify(t.Context(), f, f.Digest, src)
	if err != nil || r.Header.Height != 7 {
		t.Fatalf("valid at %d, %v", r.Header.Height, err)
	}
	got, err := Prune(f, r)
	if err != nil {
		t.Fatal(err)
	}
	want, err := union(grow(t, early, way{appended(2), unknown}).Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Timestamp, want) {
		t.Errorf("want %v\n got %v", facts(want), facts(got.Timestamp))
	}
	if n := len(f.Attestations()); n != 7 {
		t.Errorf("the proof that was given has %d attestations left, had 7", n)
	}
}

func TestWhatDoesNotVerifyIsNotPruned(t *testing.T) {
	f, other := tree(t, BitcoinAt(5), BitcoinAt(6)), grow(t, way{hashed(1), BitcoinAt(5)})
	valid, err := Verify(t.Context(), f, f.Digest, chainOf(Header{Height: 5}))
	if err != nil {
		t.Fatal(err)
	}
	invalid, err := Verify(t.Context(), f, f.Digest, chainOf())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    *File
		r    Result
		want string
	}{
		"a proof whose block is not known":   {f, invalid, "only a proof that verifies can be pruned"},
		"a proof that was not looked at":     {f, Result{}, "only a proof that verifies can be pruned"},
		"a verdict without checks":           {f, Result{Outcome: OutcomeValid}, "only a proof that verifies can be pruned"},
		"the verification of another proof":  {other, valid, "the verification of another proof"},
		"the verification of a shorter one":  {tree(t, BitcoinAt(5), BitcoinAt(6), BitcoinAt(7)), valid, "the verification of another proof"},
		"the verification of another height": {tree(t, BitcoinAt(6), BitcoinAt(7)), valid, "the verification of another proof"},
		"no proof":                           {nil, valid, "there is no proof"},
	} {
		if _, err := Prune(c.f, c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// Clients merge what calendars answer in whatever order the answers come.
func TestMergingIsAssociativeCommutativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		merge := func(a, b *Timestamp) *Timestamp {
			m, err := Merge(a, b)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		a, b, c := anyTimestamp(t, thirtyTwo, 1), anyTimestamp(t, thirtyTwo, 1), anyTimestamp(t, thirtyTwo, 1)
		if !reflect.DeepEqual(merge(merge(a, b), c), merge(a, merge(b, c))) {
			t.Fatal("it matters which two are merged first")
		}
		if !reflect.DeepEqual(merge(a, b), merge(b, a)) {
			t.Fatal("it matters which comes first")
		}
		once := merge(a, a)
		if !reflect.DeepEqual(merge(once, once), once) || !reflect.DeepEqual(facts(once), facts(a)) {
			t.Fatal("merging with itself changes it")
		}
		one, err := once.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if other, err := a.Marshal(); err != nil || !bytes.Equal(one, other) {
			t.Fatalf("merged with itself it is written differently (error %v)\n%x\n%x", err, one, other)
		}
	})
}

func TestCompleteProofsOfEachKindVerifyAndLoseWhatIsNeedless(t *testing.T) {
	message := []byte("Convocation: the council meets on Monday at 19:00.\n") // as testdata/vectors.py has it
	twoCalendars := vector(t, "two-calendars-complete")
	for name, c := range map[string]struct {
		digest       []byte // nil: the hash of the message
		height       uint64
		attestations []int // as read, after DropFulfilled, after Prune
	}{
		"complete":               {nil, 400_000, []int{2, 1, 1}},
		"complete-sha1":          {nil, 400_000, []int{2, 1, 1}},
		"complete-ripemd160":     {nil, 400_000, []int{2, 1, 1}},
		"complete-keccak256":     {nil, 400_000, []int{2, 1, 1}},
		"two-calendars-complete": {twoCalendars[33:65], 449_397, []int{4, 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(vector(t, name))
			if err != nil {
				t.Fatal(err)
			}
			digest := c.digest
			if digest == nil {
				h := f.HashOp.Hash()
				h.Write(message)
				digest = h.Sum(nil)
			}
			var headers []Header
			for _, a := range f.Attestations() {
				if height, _ := a.Height(); a.Kind() == KindBitcoin {
					headers = append(headers, Header{Height: height, MerkleRoot: [32]byte(a.Msg)})
				}
			}
			verify := func(f *File) Result {
				r, err := Verify(t.Context(), f, digest, chainOf(headers...))
				if err != nil || r.Outcome != OutcomeValid || r.Header.Height != c.height {
					t.Fatalf("%v at %d, %s, error %v", r.Outcome, r.Header.Height, r.Reason, err)
				}
				return r
			}
			r := verify(f)
			dropped, err := DropFulfilled(f.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			pruned, err := Prune(f, r)
			if err != nil {
				t.Fatal(err)
			}
			verify(&File{f.HashOp, f.Digest, dropped})
			verify(pruned)
			got := []int{len(f.Attestations()), len(dropped.All()), len(pruned.Attestations())}
			if !reflect.DeepEqual(got, c.attestations) {
				t.Errorf("%v attestations as read, after DropFulfilled, after Prune; want %v", got, c.attestations)
			}
		})
	}
}
