package main

import (
	"bytes"
	"fmt"
	"math"
)

// The plots are small enough to be written by hand: SVG is text.

type svg struct{ bytes.Buffer }

const (
	plotWidth, plotHeight = 900, 420
	left, right           = 70, 20
	top, bottom           = 60, 60
)

func newSVG(title string) *svg {
	s := new(svg)
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(s, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	s.text(left, 24, "start", title)
	return s
}

func (s *svg) text(x, y float64, anchor, text string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222">%s</text>`+"\n", x, y, anchor, text)
}

func (s *svg) rect(x, y, width, height float64, color string) {
	fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, color)
}

func (s *svg) line(x1, y1, x2, y2 float64, color string) {
	fmt.Fprintf(s, `<path d="M%.1f %.1fL%.1f %.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, color)
}

func (s *svg) dot(x, y float64, color string) {
	fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s" stroke="#fff"/>`+"\n", x, y, color)
}

// path draws straight lines from point to point; a point that is infinite breaks it.
func (s *svg) path(points [][2]float64, color string) {
	fmt.Fprintf(s, `<path fill="none" stroke="%s" d="`, color)
	command := byte('M')
	for _, p := range points {
		if math.IsInf(p[1], 0) {
			command = 'M'
			continue
		}
		fmt.Fprintf(s, "%c%.1f %.1f", command, p[0], p[1])
		command = 'L'
	}
	s.WriteString("\"/>\n")
}

// legend names a color, and returns where the next one goes.
func (s *svg) legend(x float64, color, name string) float64 {
	s.rect(x, 34, 12, 10, color)
	s.text(x+17, 44, "start", name)
	return x + 40 + 7*float64(len(name))
}

func (s *svg) done() []byte {
	s.WriteString("</svg>\n")
	return s.Bytes()
}

var colors = map[int]string{byUs: "#1b6ca8", byOtsd: "#e08214", byEstimate: "#999999", byHindsight: "#4dac5b"}

// plotCost draws what each way costs a day in each market.
func plotCost(results []result) []byte {
	s := newSVG("Satoshi a day for a batch every six hours")
	ways := []int{byHindsight, byUs, byOtsd, byEstimate}
	most := 0.0
	for _, r := range results {
		for _, w := range ways {
			most = max(most, r.outcomes[w].satsADay())
		}
	}
	const step = 5000
	most = math.Ceil(most/step) * step
	y := func(sats float64) float64 { return plotHeight - bottom - sats/most*(plotHeight-top-bottom) }
	for sats := 0.0; sats <= most; sats += step {
		s.line(left, y(sats), plotWidth-right, y(sats), "#ddd")
		s.text(left-8, y(sats)+4, "end", fmt.Sprintf("%.0f", sats))
	}
	group := float64(plotWidth-left-right) / float64(len(results))
	const bar = 34.0
	for i, r := range results {
		x := left + group*float64(i) + (group-bar*float64(len(ways)))/2
		s.text(x+bar*float64(len(ways))/2, plotHeight-bottom+36, "middle", r.name)
		for _, w := range ways {
			sats := r.outcomes[w].satsADay()
			s.rect(x, y(sats), bar-4, y(0)-y(sats), colors[w])
			s.text(x+bar/2-2, plotHeight-bottom+16, "middle", fmt.Sprintf("%.2f", r.ofOtsd(w)))
			x += bar
		}
	}
	x := float64(left)
	for _, w := range ways {
		x = s.legend(x, colors[w], payers[w].name)
	}
	s.text(left, plotHeight-6, "start", "Below the bars: as a share of what otsd pays.")
	return s.done()
}

// plotWeek draws one week of the market with waves: what blocks took, what they look like, and what was paid when.
func plotWeek(results []result) []byte {
	s := newSVG("A week of waves: sat/vB")
	r := results[1]
	from, to := warmUp+week, warmUp+2*week
	x := func(t float64) float64 { return left + (t-from)/week*(plotWidth-left-right) }
	const most = 128.0
	y := func(rate float64) float64 {
		return plotHeight - bottom - math.Log(rate)/math.Log(most)*(plotHeight-top-bottom)
	}
	for rate := 1.0; rate <= most; rate *= 2 {
		s.line(left, y(rate), plotWidth-right, y(rate), "#ddd")
		s.text(left-8, y(rate)+4, "end", fmt.Sprintf("%.0f", rate))
	}
	for i, name := range []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"} {
		t := from + float64(i)*day
		s.line(x(t), top, x(t), plotHeight-bottom, "#ddd")
		s.text(x(t+day/2), plotHeight-bottom+18, "middle", name)
	}
	var taken, seen [][2]float64
	for _, b := range r.example.blocks {
		if b.time >= from && b.time < to {
			taken = append(taken, [2]float64{x(b.time), y(b.marginal)})
			seen = append(seen, [2]float64{x(b.time), y(float64(b.estimate))})
		}
	}
	s.path(seen, "#999999")
	s.path(taken, "#c0392b")
	for _, w := range []int{byOtsd, byUs} {
		for _, p := range r.example.outcomes[w].paid {
			if p.time >= from && p.time < to {
				s.dot(x(p.time), y(float64(p.rate)), colors[w])
			}
		}
	}
	next := s.legend(left, "#999999", "the estimate")
	next = s.legend(next, "#c0392b", "what a payment had to reach")
	next = s.legend(next, colors[byUs], "Ancre paid")
	s.legend(next, colors[byOtsd], "otsd paid")
	return s.done()
}
