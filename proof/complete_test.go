package proof

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCompleteWriterWritesWhatCompleteMarshals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAnchor(t)

		f, err := Complete(a.digest, a.nonce, a.Inclusion)
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		node := Leaf(a.digest[:], a.nonce)
		w, err := NewCompleteWriter(RootFromPath(node, a.Path), a.Inclusion)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.Append([]byte("before"), a.digest, a.nonce, a.Path, Waypoint{})
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("wrote %x, %v, want %x behind what was there", got, err, want)
		}
		if w.Size(len(a.Path)) != len(want) {
			t.Errorf("said %d bytes, wrote %d", w.Size(len(a.Path)), len(want))
		}

		rest, err := LeafTimestamp(node, a.Inclusion)
		if err != nil {
			t.Fatal(err)
		}
		if want, err = rest.Marshal(); err != nil {
			t.Fatal(err)
		}
		if got, err = w.AppendTimestamp(nil, node, a.Path, Waypoint{}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("wrote the timestamp %x, %v, want %x", got, err, want)
		}
	})
}

// A writer that did not check would hand out proofs that verify nowhere, of damage that nobody
// noticed.
func TestCompleteWriterRefusesWhatWouldNotVerify(t *testing.T) {
	a := anchor(3, 100, 1, 3, 2, 9)
	node := Leaf(a.digest[:], a.nonce)
	root := RootFromPath(node, a.Path)
	w, err := NewCompleteWriter(root, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	wrong := slices.Clone(a.Path)
	wrong[4].Hash[0] ^= 1
	if got, err := w.Append(nil, a.digest, a.nonce, wrong, Waypoint{}); err == nil || len(got) > 0 {
		t.Errorf("took a path with a flipped bit: %x", got)
	}
	if got, err := w.Append(nil, a.digest, [32]byte{}, a.Path, Waypoint{}); err == nil || len(got) > 0 {
		t.Errorf("took another nonce: %x", got)
	}
	if got, err := w.AppendTimestamp(nil, node, a.Path[1:], Waypoint{}); err == nil || len(got) > 0 {
		t.Errorf("took a path that lacks a step: %x", got)
	}
	for steps := 1; steps <= len(a.Path); steps++ {
		way := Waypoint{steps, RootFromPath(node, a.Path[:steps])}
		want, _ := w.Append(nil, a.digest, a.nonce, a.Path, Waypoint{})
		if got, err := w.Append(nil, a.digest, a.nonce, a.Path, way); err != nil || !bytes.Equal(got, want) {
			t.Errorf("with a waypoint after %d steps wrote %x, %v, want %x", steps, got, err, want)
		}
		astray := slices.Clone(a.Path)
		astray[steps-1].Hash[31] ^= 1
		if got, err := w.Append(nil, a.digest, a.nonce, astray, way); err == nil || len(got) > 0 {
			t.Errorf("took a path that misses the waypoint after %d steps: %x", steps, got)
		}
		if got, err := w.AppendTimestamp(nil, node, astray, way); err == nil || len(got) > 0 {
			t.Errorf("took a path of a timestamp that misses the waypoint after %d steps: %x", steps, got)
		}
	}
	for _, steps := range []int{-1, len(a.Path) + 1} {
		if got, err := w.Append(nil, a.digest, a.nonce, a.Path, Waypoint{steps, root}); err == nil || len(got) > 0 {
			t.Errorf("took a waypoint after %d steps of %d: %x", steps, len(a.Path), got)
		}
	}
	if _, err := NewCompleteWriter(node, a.Inclusion); err == nil {
		t.Error("took a root that the anchor does not commit to")
	}
	moved := a.Inclusion
	moved.TxIndex++
	if _, err := NewCompleteWriter(root, moved); err == nil {
		t.Error("took another place in the block")
	}

	// 2 operations lead to the leaf, 2 are of each step: what Marshal refuses, the writer refuses,
	// and no other.
	for steps := 100; steps < 130; steps++ {
		path := make([]Step, steps)
		node := Leaf(a.digest[:], a.nonce)
		whole := a.Inclusion
		whole.Path, whole.RootPath = path, nil
		r := RootFromPath(node, path)
		whole.Tx = testTx(820_000, opReturn(r[:]), p2wpkh)
		whole.Branch, whole.TxIndex, whole.MerkleRoot = nil, 0, TxID(whole.Tx)
		w, err := NewCompleteWriter(r, whole)
		if err != nil {
			t.Fatal(err)
		}
		_, got := w.Append(nil, a.digest, a.nonce, path, Waypoint{})
		_, want := Complete(a.digest, a.nonce, whole)
		if (got == nil) != (want == nil) || got != nil && !strings.Contains(got.Error(), "at most 255") {
			t.Errorf("a path of %d steps: %v, of Complete: %v", steps, got, want)
		}
	}
}
