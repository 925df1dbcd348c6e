package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"ancre/batcher/store"
	"ancre/proof"
)

// TestTreeIsThatOfProofs builds trees of many sizes from pieces of any length. It would catch a
// group that is taken at the wrong place, an odd last node that is doubled or lost, and a run that
// is given away twice, out of place, or not at all.
func TestTreeIsThatOfProofs(t *testing.T) {
	sizes := []int{4095, 4096, 4097, 16*4096 - 1, 16 * 4096, 16*4096 + 1, 70_003}
	for n := 1; n <= 300; n++ {
		sizes = append(sizes, n)
	}
	dice := rand.New(rand.NewPCG(5, 5))
	all := make([][32]byte, slices.Max(sizes))
	for i := range all {
		all[i] = sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
	}
	for _, n := range sizes {
		leaves := all[:n]
		heights := map[int][][32]byte{}
		tree := New(7, func(r store.Nodes) error {
			if err := r.Check(uint64(n)); err != nil || r.Batch != 7 {
				t.Fatalf("%d leaves: nodes of batch %d, want 7: %v", n, r.Batch, err)
			}
			if r.Height%HeightStep != 0 || r.Start%RunSize != 0 || r.Start != uint64(len(heights[r.Height])) || len(r.Hashes) > RunSize {
				t.Fatalf("%d leaves: run of %d nodes from %d of height %d, which has %d so far", n, len(r.Hashes), r.Start, r.Height, len(heights[r.Height]))
			}
			heights[r.Height] = append(heights[r.Height], r.Hashes...)
			return nil
		})
		for rest := leaves; len(rest) > 0; {
			piece := rest[:min(1+dice.IntN(100), len(rest))]
			rest = rest[len(piece):]
			if err := tree.Add(piece); err != nil {
				t.Fatal(err)
			}
		}
		root, err := tree.Root()
		if err != nil || root != proof.Root(leaves) {
			t.Fatalf("%d leaves: root %x, %v, want %x", n, root, err, proof.Root(leaves))
		}
		below := leaves
		for height := HeightStep; store.Width(uint64(n), height-HeightStep) > Fanout; height += HeightStep {
			var want [][32]byte
			for group := range slices.Chunk(below, Fanout) {
				want = append(want, proof.Root(group))
			}
			if !slices.Equal(heights[height], want) || uint64(len(want)) != store.Width(uint64(n), height) {
				t.Fatalf("%d leaves: height %d has %d nodes, want %d, or not those", n, height, len(heights[height]), len(want))
			}
			delete(heights, height)
			below = want
		}
		if len(heights) > 0 {
			t.Fatalf("%d leaves: also heights %v", n, heights)
		}
	}
}

// TestTreeEndsAtTheFirstFailure would catch a height that is missing in a store because writing it
// failed unseen.
func TestTreeEndsAtTheFirstFailure(t *testing.T) {
	failure := errors.New("no")
	for _, n := range []int{RunSize * Fanout, 17} {
		tree := New(1, func(store.Nodes) error { return failure })
		err := tree.Add(make([][32]byte, n))
		if err == nil {
			_, err = tree.Root()
		}
		if !errors.Is(err, failure) {
			t.Errorf("%d leaves: %v", n, err)
		}
	}
}

// TestRowsGiveThePathsOfTheirGroups would catch a row that is hashed or walked wrong in a run of
// some length.
func TestRowsGiveThePathsOfTheirGroups(t *testing.T) {
	var nodes [][32]byte
	for n := range uint64(RunSize) {
		nodes = append(nodes, [32]byte{byte(n), byte(n >> 8)})
	}
	for size := 1; size <= len(nodes); size++ {
		r := NewRows(nodes[:size])
		for at := range size {
			start := at - at%Fanout
			want := proof.Path(nodes[start:min(start+Fanout, size)], at-start)
			if got := r.AppendPath(nil, uint64(at)); !slices.Equal(got, want) {
				t.Fatalf("node %d of %d: %v, want %v", at, size, got, want)
			}
		}
		for i, got := range r.Above() {
			if want := proof.Root(nodes[i*Fanout : min((i+1)*Fanout, size)]); got != want {
				t.Fatalf("above group %d of %d nodes is %x, want %x", i, size, got, want)
			}
		}
	}
}
