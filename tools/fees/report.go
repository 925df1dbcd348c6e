package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// The goals that the study checks.
const (
	costGoal = 0.8  // of otsd's sats a day, at most
	timeGoal = 0.99 // of the batches in time, at least
)

// tables returns the generated parts of fees.md, by name.
func tables(results []result) map[string]string {
	return map[string]string{
		"markets":  marketTable(results),
		"costs":    costTable(results, byUs, byOtsd, byEstimate, byHindsight),
		"verdict":  verdict(results),
		"patience": costTable(results, byUs, byUsIn12h, byUsIn24h, byOtsdAsShipped, byUsAmongLiars),
	}
}

// replaceBlock puts text between the two comments that mark its place in a page.
func replaceBlock(page []byte, name, text string) ([]byte, error) {
	begin, end := fmt.Appendf(nil, "<!-- %s: written by make fees -->\n", name), fmt.Appendf(nil, "<!-- end of %s -->\n", name)
	before, rest, ok := bytes.Cut(page, begin)
	_, after, ok2 := bytes.Cut(rest, end)
	if !ok || !ok2 {
		return nil, fmt.Errorf("the comments that mark the place of %q are missing: %s%s", name, begin, end)
	}
	return slices.Concat(before, begin, []byte(text), end, after), nil
}

func marketTable(results []result) string {
	var s strings.Builder
	s.WriteString("| market | what happens | a payment must bid, sat/vB: in 1 block of 10, half, 9 of 10 | estimate, mean | bitcoind's for 1008 blocks, mean |\n|---|---|---|---|---|\n")
	for _, r := range results {
		at := func(q float64) float64 { return r.marginals[int(q*float64(len(r.marginals)-1))] }
		fmt.Fprintf(&s, "| %s | %s | %.0f, %.0f, %.0f | %.1f | %.1f |\n", r.name, r.about, at(0.1), at(0.5), at(0.9), r.estimate, r.week)
	}
	return s.String()
}

func costTable(results []result, ways ...int) string {
	var s strings.Builder
	s.WriteString("| market | who pays | sats a day | of otsd's | sats a payment | payments a day | in time | half within | 99 % within | versions |\n")
	s.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range results {
		for i, w := range ways {
			name := ""
			if i == 0 {
				name = r.name
			}
			o := &r.outcomes[w]
			fmt.Fprintf(&s, "| %s | %s | %.0f | %.2f | %.0f | %.2f | %.2f %% | %.1f h | %.1f h | %.1f |\n", name, payers[w].name, o.satsADay(), r.ofOtsd(w),
				float64(o.sats)/float64(o.anchors), float64(o.anchors)/o.days, 100*o.inTime(), o.quantile(0.5)/hour, o.quantile(0.99)/hour,
				float64(o.versions)/float64(o.anchors))
		}
	}
	return s.String()
}

// ofOtsd is the cost of a way of paying, as a share of otsd's at equal interval.
func (r *result) ofOtsd(way int) float64 {
	return r.outcomes[way].satsADay() / r.outcomes[byOtsd].satsADay()
}

func verdict(results []result) string {
	var s strings.Builder
	met := map[bool]string{true: "met", false: "**not met**"}
	for _, r := range results {
		cost, inTime := r.ofOtsd(byUs), r.outcomes[byUs].inTime()
		fmt.Fprintf(&s, "- **%s**: %.2f of otsd's cost, %.2f to %.2f by seed (at most %.1f: %s); %.2f %% in time (at least %.0f %%: %s), where otsd has %.2f %%. Hindsight would pay %.2f.\n",
			r.name, cost, slices.Min(r.ratios), slices.Max(r.ratios), costGoal, met[cost <= costGoal], 100*inTime, 100*timeGoal, met[inTime >= timeGoal], 100*r.outcomes[byOtsd].inTime(), r.ofOtsd(byHindsight))
	}
	var ours, otsds, estimates int64
	for _, r := range results {
		ours += r.outcomes[byUs].sats
		otsds += r.outcomes[byOtsd].sats
		estimates += r.outcomes[byEstimate].sats
	}
	fmt.Fprintf(&s, "- **All together**: %.2f of otsd's cost, and %.2f of what paying the estimate at once costs.\n", float64(ours)/float64(otsds), float64(ours)/float64(estimates))
	return s.String()
}
