package verify

import (
	"encoding/binary"
	"strings"
	"testing"

	"ancre/proof"
)

// A stranger's proof may hold the message that a calendar answers for more than a hundred times,
// each above all the others and above thousands of attestations. Taking the answer in costs about
// what reading the proof costs, not that for each time.
func TestGraftOfAMessageThatComesBack(t *testing.T) {
	const leaves = 8000
	last := &proof.Timestamp{Msg: make([]byte, 32)}
	last.Msg[0] = 1
	for i := range uint32(leaves) {
		op := proof.Op{Tag: proof.Append, Arg: binary.BigEndian.AppendUint32(nil, i)}
		msg, err := op.Apply(last.Msg)
		if err != nil {
			t.Fatal(err)
		}
		last.Branches = append(last.Branches, proof.Branch{Op: op, Next: &proof.Timestamp{Msg: msg, Attestations: []proof.Attestation{{Tag: [8]byte{1}}}}})
	}
	top := last
	reversed := proof.Op{Tag: proof.Reverse}
	for range proof.MaxDepth/2 - 2 {
		for range 2 {
			msg, err := reversed.Apply(top.Msg)
			if err != nil {
				t.Fatal(err)
			}
			top = &proof.Timestamp{Msg: msg, Branches: []proof.Branch{{Op: reversed, Next: top}}}
		}
	}
	data, err := (&proof.File{HashOp: proof.SHA256, Digest: top.Msg, Timestamp: top}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	// Work is counted in allocations, which no other program on the machine changes.
	var f, better *proof.File
	reading := testing.AllocsPerRun(1, func() { f, err = proof.Parse(data) })
	if err != nil {
		t.Fatal(err)
	}
	took := testing.AllocsPerRun(1, func() {
		better, err = graft(f, &proof.Timestamp{Msg: last.Msg, Attestations: []proof.Attestation{proof.BitcoinAt(7)}})
	})
	if err != nil {
		t.Fatal(err)
	}
	const factor = 10
	if took > factor*reading {
		t.Errorf("%.0f allocations for a proof that is read with %.0f", took, reading)
	}
	t.Logf("%.0f allocations, %.0f to read it", took, reading)
	if n := len(better.Attestations()) - leaves; n != proof.MaxDepth/2-1 {
		t.Errorf("the answer was taken in %d times", n)
	}
}

// A proof takes in no answer that it could not be written with.
func TestGraftRefusesWhatDoesNotFit(t *testing.T) {
	f, leaves := promised(t, "a", alice)
	deep := &proof.Timestamp{Msg: leaves[0]}
	next := deep
	for range proof.MaxDepth - 1 {
		var err error
		if next, err = next.Then(proof.Op{Tag: proof.SHA256}); err != nil {
			t.Fatal(err)
		}
	}
	next.Attest(proof.BitcoinAt(1))
	if _, err := deep.Marshal(); err != nil {
		t.Fatal(err) // alone it is one that a calendar may send
	}
	if _, err := graft(f, deep); err == nil || !strings.Contains(err.Error(), "more than 255 operations") {
		t.Errorf("%v", err)
	}
}

func TestCommitmentsAreFew(t *testing.T) {
	uris := make([]string, 2*maxPromises)
	for i := range uris {
		uris[i] = alice
	}
	f, _ := promised(t, "a", uris...)
	got := Commitments(f)
	if len(got) != maxPromises {
		t.Errorf("%d commitments, want %d", len(got), maxPromises)
	}
	f, leaves := promised(t, "a", alice, bob)
	if got = Commitments(f); len(got) != 2 || !IsPending(f) {
		t.Errorf("%d commitments, want 2", len(got))
	}
	if _, answered := got, map[promise]bool{{bob, string(leaves[1])}: true}; len(commitments(f, answered)) != 1 || len(answered) != 1 {
		t.Error("what is answered is asked for again, or what was given is changed")
	}
	if IsPending(attested("a", proof.BitcoinAt(1))) {
		t.Error("a proof without a promise is pending")
	}
}
