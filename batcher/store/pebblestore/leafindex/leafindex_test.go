package leafindex

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestMergesKeepSegmentsFew follows the sizes of segments as a hundred million leaves come, and
// what is written for them.
func TestMergesKeepSegmentsFew(t *testing.T) {
	var segments []*segment
	tables, written, most := 200, uint64(0), 0
	for range tables {
		segments = append(segments, &segment{count: tableLeaves - uint64(len(segments)%7)*2000})
		for {
			window := mergeable(segments)
			if window == nil {
				break
			}
			merged := &segment{}
			for _, g := range window {
				merged.count += g.count
			}
			written += merged.count
			at := slices.Index(segments, window[0])
			segments = slices.Replace(segments, at, at+len(window), merged)
		}
		most = max(most, len(segments))
	}
	if most > 12 {
		t.Errorf("up to %d segments, want a dozen at most", most)
	}
	if times := float64(written) / float64(tables*tableLeaves); times > 4 {
		t.Errorf("each leaf was written %.1f times more, want 4 at most", times)
	}

	// Segments of no pattern, as groups larger than tables make them, are not kept for ever.
	segments = nil
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		segments = append(segments, &segment{count: 1 << rng.IntN(20)})
		for window := mergeable(segments); window != nil; window = mergeable(segments) {
			at := slices.Index(segments, window[0])
			merged := &segment{}
			for _, g := range window {
				merged.count += g.count
			}
			segments = slices.Replace(segments, at, at+len(window), merged)
		}
		if len(segments) > maxSegments {
			t.Fatalf("%d segments", len(segments))
		}
	}
}

// TestNoSegmentOutgrowsItsNumbers has segments that would have more leaves than 32 bits count.
func TestNoSegmentOutgrowsItsNumbers(t *testing.T) {
	var segments []*segment
	for range maxSegments + 8 {
		segments = append(segments, &segment{count: maxSegment / 2})
	}
	if w := mergeable(segments); w != nil {
		t.Errorf("%d segments of %d leaves would become one", len(w), w[0].count)
	}
}

// TestFilterKnowsWhatWasAddedAndLittleElse holds the sizes of filters to what their comment says.
func TestFilterKnowsWhatWasAddedAndLittleElse(t *testing.T) {
	const n = 500_000
	for i, atMost := range []int{130, 350, 1700} { // vain reads of 10,000
		size := filterSizes[i]
		f, err := newFilter(n*size.bits/(blockBytes*8), size.probes)
		if err != nil {
			t.Fatal(err)
		}
		defer f.free()
		key := func(i uint64) uint64 {
			leaf := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
			return leafKey(&leaf) >> (64 - keyBits)
		}
		for i := range uint64(n) {
			f.add(key(i))
		}
		for i := range uint64(n) {
			if f.has(key(i)) != 1 {
				t.Fatalf("leaf %d was added and is not there", i)
			}
		}
		wrong := 0
		for i := range uint64(10_000) {
			if f.has(key(n+i)) != 0 {
				wrong++
			}
		}
		t.Logf("%d bits a leaf: %d of 10,000 that were never added seem to be there", size.bits, wrong)
		if wrong > atMost || wrong == 0 {
			t.Errorf("%d bits a leaf: %d of 10,000 leaves that were never added seem to be there, want 1 to %d", size.bits, wrong, atMost)
		}
	}
}

// TestFiltersKeepToTheirBudget has a segment for which no memory is left.
func TestFiltersKeepToTheirBudget(t *testing.T) {
	huge := &segment{filterBlocks: filterBudget / blockBytes}
	x := &Index{view: &View{segments: []*segment{huge}}}
	if x.filterFits(1000, nil) {
		t.Error("a filter fits where the budget is used up")
	}
	if !x.filterFits(1000, []*segment{huge}) {
		t.Error("a filter does not fit in the place of the one that is replaced")
	}

	fs := failfs.New(vfs.NewMem(), slog.New(slog.DiscardHandler), failfs.Kinds{})
	x = New(Options{FS: fs, Dir: "", Log: slog.New(slog.DiscardHandler)})
	leaves := storetest.Leaves(1, 0, 360)
	g, err := x.writeSegment(90, 0, uint64(len(leaves)), false, sorted(keysOf(leaves)))
	if err != nil {
		t.Fatal(err)
	}
	defer g.discard()
	for i := range leaves {
		by := &oneLeaf{want: uint64(i)}
		if _, err := g.find(prefixOf(&leaves[i]), nil, i, by); err != nil || !by.found {
			t.Fatalf("leaf %d in a segment without a filter: %t, %v", i, by.found, err)
		}
	}
	if g.filter.Load() != nil {
		t.Error("it has a filter")
	}
}

// oneLeaf looks for one leaf.
type oneLeaf struct {
	want  uint64 // its ordinal
	found bool
}

func (o *oneLeaf) Known(int) bool { return false }

func (o *oneLeaf) Check(_ int, ordinal uint64) error {
	o.found = o.found || ordinal == o.want
	return nil
}

func keysOf(leaves []store.Leaf) (keys []uint64) {
	for i := range leaves {
		keys = append(keys, binary.BigEndian.Uint64(leaves[i][:]))
	}
	return keys
}
