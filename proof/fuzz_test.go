package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// addVectors seeds with every vector, from byte skip on.
func addVectors(f *testing.F, skip int) {
	for _, dir := range []string{"valid", "loose", "invalid"} {
		for _, b := range vectors(f, dir) {
			f.Add(b[min(skip, len(b)):])
		}
	}
}

// FuzzParse: whatever is read can be written, and what is written is read as the same and written
// the same.
func FuzzParse(f *testing.F) {
	addVectors(f, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := Parse(b)
		if err != nil {
			return
		}
		written, err := first.Marshal()
		if err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		if len(written) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(written))
		}
		second, err := Parse(written)
		if err != nil {
			t.Fatalf("written, but not read: %v\n%x", err, written)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%x and %x are read differently", b, written)
		}
		if again, err := second.Marshal(); err != nil || !bytes.Equal(again, written) {
			t.Fatalf("written differently the second time (error %v)", err)
		}
	})
}

// FuzzParseTimestamp is the same without a file's header, for any message: the answers of
// calendars.
func FuzzParseTimestamp(f *testing.F) {
	for _, dir := range []string{"valid", "loose", "invalid"} {
		for _, b := range vectors(f, dir) {
			f.Add(b[min(65, len(b)):], thirtyTwo)
		}
	}
	f.Add(hostile(3), thirtyTwo)
	f.Add([]byte{byte(Hexlify)}, []byte{})
	f.Fuzz(func(t *testing.T, b, msg []byte) {
		first, err := ParseTimestamp(b, msg)
		if err != nil {
			return
		}
		written, err := first.Marshal()
		if err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		second, err := ParseTimestamp(written, msg)
		if err != nil {
			t.Fatalf("written, but not read: %v\n%x", err, written)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%x and %x are read differently", b, written)
		}
	})
}

// FuzzMerge: a merge says what both say, in whichever order, and merging it with a part changes
// nothing.
func FuzzMerge(f *testing.F) {
	for _, b := range vectors(f, "valid") {
		f.Add(b[min(65, len(b)):], b[min(65, len(b)):])
	}
	f.Add(vector(f, "pending")[65:], vector(f, "several-attestations")[65:])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := ParseTimestamp(a, thirtyTwo)
		if err != nil {
			return
		}
		y, err := ParseTimestamp(b, thirtyTwo)
		if err != nil {
			return
		}
		merged, err := Merge(x, y)
		if err != nil {
			if err.Error() == errWork { // two halves of what may be read are allowed, their sum is not
				return
			}
			t.Fatal(err)
		}
		other, err := Merge(y, x)
		if err != nil || !reflect.DeepEqual(merged, other) {
			t.Fatalf("the order matters (error %v)", err)
		}
		again, err := Merge(merged, x)
		if err != nil && err.Error() != errWork {
			t.Fatal(err)
		}
		if err == nil && !reflect.DeepEqual(again, merged) {
			t.Fatal("merging a part once more changes it")
		}
		want := facts(x)
		for fact := range facts(y) {
			want[fact] = true
		}
		if !reflect.DeepEqual(facts(merged), want) {
			t.Fatal("something was lost or added")
		}
	})
}

// FuzzExplain: whatever is read can be explained, in words that do nothing to a terminal.
func FuzzExplain(f *testing.F) {
	addVectors(f, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		e, err := Explain(p)
		if err != nil {
			t.Fatalf("read, but not explained: %v", err)
		}
		attested := 0
		for _, l := range e.Lines {
			if l.Attestation != "" {
				attested++
			}
			if (l.Attestation == "") == (l.Op == "") {
				t.Fatalf("neither a step nor an attestation, or both: %+v", l)
			}
		}
		canonical, err := p.checked()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(canonical.All()); attested != n {
			t.Fatalf("%d attestations, %d of them explained", n, attested)
		}
		for _, text := range []string{e.Text(false), e.Text(true)} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '…' && (r < ' ' || r > '~') }); i >= 0 {
				t.Fatalf("%q is no text for a terminal", text[i:])
			}
		}
		var back Explanation
		if j, err := json.Marshal(e); err != nil || json.Unmarshal(j, &back) != nil || !reflect.DeepEqual(*e, back) {
			t.Fatalf("it does not survive JSON (error %v)", err)
		}
	})
}

// fickle answers of each height differently: one third are above its tip, one third have another
// root, one third have the root that the proof claims.
type fickle map[uint64][32]byte

func (f fickle) Header(_ context.Context, height uint64) (Header, error) {
	switch height % 3 {
	case 0:
		return Header{}, ErrNoHeader
	case 1:
		return Header{MerkleRoot: [32]byte{1}}, nil
	}
	return Header{MerkleRoot: f[height]}, nil
}

// FuzzVerify: a verdict follows from the checks of the attestations, depends on nothing that is not
// canonical, holds for no other digest, and outlives the pruning of the proof.
func FuzzVerify(f *testing.F) {
	addVectors(f, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		src := fickle{}
		for _, a := range p.Attestations() {
			if height, _ := a.Height(); a.Kind() == KindBitcoin && len(a.Msg) == 32 {
				src[height] = [32]byte(a.Msg)
			}
		}
		r, err := Verify(t.Context(), p, p.Digest, src)
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, r)
		if n := len(p.Attestations()); len(r.Checks) != n {
			t.Fatalf("%d attestations, %d checks", n, len(r.Checks))
		}
		other := bytes.Clone(p.Digest)
		other[0] ^= 1
		if r, err := Verify(t.Context(), p, other, src); err != nil || r.Outcome != OutcomeInvalid {
			t.Fatalf("of another digest it is %v, error %v", r.Outcome, err)
		}

		pruned, err := Prune(p, r)
		if (err == nil) != (r.Outcome == OutcomeValid) {
			t.Fatalf("%v, and pruned with error %v", r.Outcome, err)
		}
		if err != nil {
			return
		}
		again, err := Verify(t.Context(), pruned, p.Digest, src)
		if err != nil || again.Outcome != OutcomeValid || again.Header != r.Header {
			t.Fatalf("once pruned it is %v at %d, was valid at %d (error %v)", again.Outcome, again.Header.Height, r.Header.Height, err)
		}
		if twice, err := Prune(pruned, again); err != nil || !reflect.DeepEqual(twice, pruned) {
			t.Fatalf("pruning it again changes it (error %v)", err)
		}
	})
}

// checkResult says whether a result follows from its checks.
func checkResult(t testing.TB, r Result) {
	t.Helper()
	lowest, valid := uint64(0), false
	for _, c := range r.Checks {
		if (c.Reason == "") != (c.Outcome == OutcomeValid) {
			t.Fatalf("%v is %v with the reason %q", c.Attestation, c.Outcome, c.Reason)
		}
		if c.Outcome == OutcomeValid && (!valid || c.Header.Height < lowest) {
			valid, lowest = true, c.Header.Height
		}
	}
	if valid != (r.Outcome == OutcomeValid) || valid && r.Header.Height != lowest || valid != (r.Reason == "") {
		t.Fatalf("%v at %d, reason %q; the lowest check that holds is at %d (%v)", r.Outcome, r.Header.Height, r.Reason, lowest, valid)
	}
}

// FuzzDropFulfilled: only promises are left out, only where a block is below, and none of them is
// left there.
func FuzzDropFulfilled(f *testing.F) {
	addVectors(f, 65)
	promise := append([]byte{0xff}, pendingAt(f, "https://a.example").append(nil)...)
	f.Add(append(promise, vector(f, "built-complete")[65:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseTimestamp(b, thirtyTwo)
		if err != nil {
			return
		}
		before := fmt.Sprint(facts(x))
		y, err := DropFulfilled(x)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(facts(x)) != before {
			t.Fatal("what was given was changed")
		}
		if _, err := y.Marshal(); err != nil {
			t.Fatalf("what is left cannot be written: %v", err)
		}
		kept := facts(y)
		var look func(ts *Timestamp)
		look = func(ts *Timestamp) {
			isKind := func(k Kind) func(Attested) bool { return func(a Attested) bool { return a.Kind() == k } }
			here := (&Timestamp{Msg: ts.Msg, Attestations: ts.Attestations}).All()
			if slices.ContainsFunc(here, isKind(KindPending)) && slices.ContainsFunc(ts.All(), isKind(KindBitcoin)) {
				t.Fatalf("a promise that was kept is still there: %v", here)
			}
			for _, br := range ts.Branches {
				look(br.Next)
			}
		}
		look(y)
		for fact := range facts(x) {
			pending := strings.Contains(fact, fmt.Sprintf(" %x ", tagOf(KindPending)))
			if !kept[fact] && !pending {
				t.Fatalf("%q was lost", fact)
			}
			delete(kept, fact)
		}
		if len(kept) > 0 {
			t.Fatalf("%v came from nowhere", kept)
		}
		if again, err := DropFulfilled(y); err != nil || !reflect.DeepEqual(again, y) {
			t.Fatalf("doing it twice changes it (error %v)", err)
		}
	})
}
