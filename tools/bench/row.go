package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// row is one line of the table: a figure, and the floor of the same run if it has one.
type row struct {
	name string // what was measured, with the size it was measured at

	// ours and floor are the medians of the rounds, in unit ("digests/s", "ms", "MB"). A floor of
	// 0: there is none.
	ours, floor float64
	unit        string

	// ratios are ours ÷ floor, one a round, in any order. Both are measured one after the other, so
	// that other work of the machine affects both.
	ratios []float64

	target target
	detail string // what else is worth knowing, a few words: the floor's name, latencies, the CPU of a digest
	absent string // why it was not measured; empty: it was
}

// target is the bound of a row. The zero target is no bound.
type target struct {
	of    quantity
	bound float64
	most  bool // the bound is the most that is allowed; else the least
}

// quantity is what a target bounds.
type quantity int

const (
	nothing quantity = iota
	ratio            // the median of the rounds' ratios
	figure           // ours, in the row's unit
)

func atLeast(of quantity, bound float64) target { return target{of: of, bound: bound} }
func atMost(of quantity, bound float64) target  { return target{of: of, bound: bound, most: true} }

// The verdicts on a row.
const (
	met         = "met"
	missed      = "MISSED"
	notMeasured = "not measured"
)

// ratio returns the median of the rounds' ratios, or NaN if there are none.
func (r *row) ratio() float64 { return middle(r.ratios) }

// verdict says whether the row has met its target; "" if it has no target.
func (r *row) verdict() string {
	got := math.NaN()
	switch r.target.of {
	case nothing:
		if r.absent != "" {
			return notMeasured
		}
		return ""
	case ratio:
		got = r.ratio()
	case figure:
		got = r.ours
	}
	switch {
	case r.absent != "" || math.IsNaN(got):
		return notMeasured
	case r.target.most && got <= r.target.bound, !r.target.most && got >= r.target.bound:
		return met
	}
	return missed
}

// wants is the target in words, or "" if there is none.
func (r *row) wants() string {
	sign := "≥"
	if r.target.most {
		sign = "≤"
	}
	switch r.target.of {
	case ratio:
		return fmt.Sprintf("%s %.2g × floor", sign, r.target.bound)
	case figure:
		return fmt.Sprintf("%s %g %s", sign, r.target.bound, r.unit)
	}
	return ""
}

// middle returns the median: of an even number of values the mean of the two in the middle, of none
// NaN.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// inTurns makes the row of a figure and a floor that were measured in the same rounds.
func inTurns(name, unit string, ours, floor []float64, t target) row {
	r := row{name: name, unit: unit, ours: middle(ours), floor: middle(floor), target: t}
	for i := range ours {
		r.ratios = append(r.ratios, ours[i]/floor[i])
	}
	return r
}
