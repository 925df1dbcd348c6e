package main

import (
	"fmt"
	"math"

	"ancre/tools/internal/svg"
)

var colors = map[int]string{byUs: "#1b6ca8", byOtsd: "#e08214", byEstimate: "#999999", byHindsight: "#4dac5b"}

// plotCost draws the daily cost of each way of paying, in each market.
func plotCost(results []result) []byte {
	s := svg.New("Satoshi a day for a batch every six hours")
	ways := []int{byHindsight, byUs, byOtsd, byEstimate}
	most := 0.0
	for _, r := range results {
		for _, w := range ways {
			most = max(most, r.outcomes[w].satsADay())
		}
	}
	const step = 5000
	most = math.Ceil(most/step) * step
	y := func(sats float64) float64 { return svg.Height - svg.Bottom - sats/most*(svg.Height-svg.Top-svg.Bottom) }
	for sats := 0.0; sats <= most; sats += step {
		s.Line(svg.Left, y(sats), svg.Width-svg.Right, y(sats), "#ddd")
		s.Text(svg.Left-8, y(sats)+4, "end", fmt.Sprintf("%.0f", sats))
	}
	group := float64(svg.Width-svg.Left-svg.Right) / float64(len(results))
	const bar = 34.0
	for i, r := range results {
		x := svg.Left + group*float64(i) + (group-bar*float64(len(ways)))/2
		s.Text(x+bar*float64(len(ways))/2, svg.Height-svg.Bottom+36, "middle", r.name)
		for _, w := range ways {
			sats := r.outcomes[w].satsADay()
			s.Rect(x, y(sats), bar-4, y(0)-y(sats), colors[w])
			s.Text(x+bar/2-2, svg.Height-svg.Bottom+16, "middle", fmt.Sprintf("%.2f", r.ofOtsd(w)))
			x += bar
		}
	}
	x := float64(svg.Left)
	for _, w := range ways {
		x = s.Legend(x, colors[w], payers[w].name)
	}
	s.Text(svg.Left, svg.Height-6, "start", "Below the bars: as a share of what otsd pays.")
	return s.Bytes()
}

// plotWeek draws one week of the market with waves: the rate that blocks took, the estimate, and
// the payments.
func plotWeek(results []result) []byte {
	s := svg.New("A week of waves: sat/vB")
	r := results[1]
	from, to := warmUp+week, warmUp+2*week
	x := func(t float64) float64 { return svg.Left + (t-from)/week*(svg.Width-svg.Left-svg.Right) }
	const most = 128.0
	y := func(rate float64) float64 {
		return svg.Height - svg.Bottom - math.Log(rate)/math.Log(most)*(svg.Height-svg.Top-svg.Bottom)
	}
	for rate := 1.0; rate <= most; rate *= 2 {
		s.Line(svg.Left, y(rate), svg.Width-svg.Right, y(rate), "#ddd")
		s.Text(svg.Left-8, y(rate)+4, "end", fmt.Sprintf("%.0f", rate))
	}
	for i, name := range []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"} {
		t := from + float64(i)*day
		s.Line(x(t), svg.Top, x(t), svg.Height-svg.Bottom, "#ddd")
		s.Text(x(t+day/2), svg.Height-svg.Bottom+18, "middle", name)
	}
	var taken, seen [][2]float64
	for _, b := range r.example.blocks {
		if b.time >= from && b.time < to {
			taken = append(taken, [2]float64{x(b.time), y(b.marginal)})
			seen = append(seen, [2]float64{x(b.time), y(float64(b.estimate))})
		}
	}
	s.Path(seen, "#999999")
	s.Path(taken, "#c0392b")
	for _, w := range []int{byOtsd, byUs} {
		for _, p := range r.example.outcomes[w].paid {
			if p.time >= from && p.time < to {
				s.Dot(x(p.time), y(float64(p.rate)), colors[w])
			}
		}
	}
	next := s.Legend(svg.Left, "#999999", "the estimate")
	next = s.Legend(next, "#c0392b", "what a payment had to reach")
	next = s.Legend(next, colors[byUs], "Ancre paid")
	s.Legend(next, colors[byOtsd], "otsd paid")
	return s.Bytes()
}
