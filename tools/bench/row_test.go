package main

import (
	"math"
	"testing"
)

func TestVerdictHoldsARowToItsOwnTarget(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"a ratio at its least is met", row{ratios: []float64{0.7}, target: atLeast(ratio, 0.7)}, met},
		{"a ratio below its least is missed", row{ratios: []float64{0.69}, target: atLeast(ratio, 0.7)}, missed},
		{"a ratio at its most is met", row{ratios: []float64{2}, target: atMost(ratio, 2)}, met},
		{"a ratio above its most is missed", row{ratios: []float64{2.01}, target: atMost(ratio, 2)}, missed},
		{"the median counts, in whatever order the rounds come", row{ratios: []float64{9, 0.1, 0.8}, target: atLeast(ratio, 0.7)}, met},
		{"a figure counts, not its ratio", row{ours: 150, ratios: []float64{9}, target: atMost(figure, 150)}, met},
		{"a figure past its bound is missed", row{ours: 151, target: atMost(figure, 150)}, missed},
		{"what was not measured is neither", row{ours: 1, target: atMost(figure, 150), absent: "no store"}, notMeasured},
		{"what was not measured and has no target says so", row{absent: "no store"}, notMeasured},
		{"a ratio without rounds was not measured", row{target: atMost(ratio, 2)}, notMeasured},
		{"a figure that is no number was not measured", row{ours: math.NaN(), target: atMost(figure, 2)}, notMeasured},
		{"without a target there is no verdict", row{ours: 5}, ""},
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRowsOfTurnsCompareNeighboursInTime(t *testing.T) {
	// The machine was twice as slow in the second round, for both. The ratio of the medians would
	// be 0.75.
	r := inTurns("x", "digests/s", []float64{100, 50, 75}, []float64{200, 100, 100}, target{})
	if r.ratio() != 0.5 || r.ours != 75 || r.floor != 100 {
		t.Errorf("ratio %v, ours %v, floor %v; want 0.5, 75, 100", r.ratio(), r.ours, r.floor)
	}
	if got := middle([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of 1 to 4 is %v", got)
	}
}
