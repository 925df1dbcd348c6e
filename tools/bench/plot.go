package main

import (
	"fmt"
	"math"
	"slices"

	"ancre/tools/internal/svg"
)

// ends are the speeds of the first and the last tenth of a build.
func ends(all []pace) (first, last float64) {
	if len(all) == 0 {
		return math.NaN(), math.NaN()
	}
	speeds := make([]float64, len(all))
	for i, p := range all {
		speeds[i] = p.PerSecond
	}
	n := (len(all) + 9) / 10
	return middle(speeds[:n]), middle(speeds[len(all)-n:])
}

const (
	blue, orange, grey, red = "#1b6ca8", "#e08214", "#999999", "#c0392b"
)

// plotRatios draws each figure that has a floor, as a part of its target: a bar that reaches the
// line has met the target.
func plotRatios(rows []row) []byte {
	var shown []*row
	for i := range rows {
		if r := &rows[i]; r.verdict() == met || r.verdict() == missed {
			shown = append(shown, r)
		}
	}
	const labels = 330.0
	const most = 3.0
	x := func(times float64) float64 { return labels + min(times, most)/most*(svg.Width-svg.Right-labels-40) }
	const height = 20.0 // of a bar and its room
	bottom := svg.Top + height*float64(len(shown))
	p := svg.NewTall("How far each figure is from its target: right of the line is better", int(bottom)+20)
	for i, r := range shown {
		got := r.ours
		if r.target.of == ratio {
			got = r.ratio()
		}
		times := got / r.target.bound
		if r.target.most {
			times = r.target.bound / got
		}
		color := blue
		if r.verdict() == missed {
			color = red
		}
		y := svg.Top + height*float64(i)
		p.Text(labels-8, y+height/2+4, "end", r.name)
		p.Rect(labels, y+1, x(times)-labels, height-3, color)
		text := fmt.Sprintf("%.2f", times)
		if times >= 10 {
			text = fmt.Sprintf("%.0f", times)
		}
		p.Text(x(times)+6, y+height/2+4, "start", text)
	}
	p.Line(x(1), svg.Top-6, x(1), bottom+6, "#222")
	next := p.Legend(labels, blue, "met")
	p.Legend(next, red, "missed")
	return p.Bytes()
}

// plotLatencies draws p50, p99 and p99.9 beside the floor's, on a logarithmic scale.
func plotLatencies(all []latency) []byte {
	p := svg.New("How long a call takes, in ms")
	var values []float64
	each := func(do func(series, quantile int, ours, floor float64)) {
		for i, l := range all {
			for q, quantile := range quantiles {
				do(i, q, l.ours.milliseconds(quantile.of), l.floor.milliseconds(quantile.of))
			}
		}
	}
	each(func(_, _ int, ours, floor float64) { values = append(values, ours, floor) })
	if len(values) == 0 {
		return p.Bytes()
	}
	low, high := math.Pow(10, math.Floor(math.Log10(slices.Min(values)*0.9))), math.Pow(10, math.Ceil(math.Log10(slices.Max(values))))
	if low == high {
		high *= 10
	}
	y := func(ms float64) float64 {
		return svg.Height - svg.Bottom - math.Log(ms/low)/math.Log(high/low)*(svg.Height-svg.Top-svg.Bottom)
	}
	for decade := low; decade <= high*1.001; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if at := decade * step; at <= high*1.001 {
				p.Line(svg.Left, y(at), svg.Width-svg.Right, y(at), "#ddd")
				p.Text(svg.Left-8, y(at)+4, "end", fmt.Sprintf("%g", at))
			}
		}
	}
	wide := float64(svg.Width-svg.Left-svg.Right) / float64(len(all))
	bar := wide / 9
	each(func(series, quantile int, ours, floor float64) {
		x := svg.Left + wide*float64(series) + bar*(0.7+2.7*float64(quantile))
		bottom := float64(svg.Height - svg.Bottom)
		p.Rect(x, y(ours), bar-2, bottom-y(ours), blue)
		p.Rect(x+bar, y(floor), bar-2, bottom-y(floor), grey)
		p.Text(x+bar, bottom+16, "middle", quantiles[quantile].name)
		if quantile == 0 {
			p.Text(svg.Left+wide*(float64(series)+0.5), bottom+38, "middle", all[series].name)
		}
	})
	next := p.Legend(svg.Left, blue, "ancred")
	p.Legend(next, grey, "the floor")
	return p.Bytes()
}

// plotPace draws the speed of a build against the number of stored digests.
func plotPace(all []pace) []byte {
	p := svg.New("Building a store: thousand digests a second, beside millions stored")
	if len(all) == 0 {
		return p.Bytes()
	}
	high, wide := 0.0, float64(all[len(all)-1].Stored)/1e6
	for _, a := range all {
		high = max(high, a.PerSecond/1000)
	}
	step := niceStep(high)
	high = math.Ceil(high/step) * step
	y := func(k float64) float64 { return svg.Height - svg.Bottom - k/high*(svg.Height-svg.Top-svg.Bottom) }
	x := func(millions float64) float64 { return svg.Left + millions/wide*(svg.Width-svg.Left-svg.Right) }
	for k := 0.0; k <= high; k += step {
		p.Line(svg.Left, y(k), svg.Width-svg.Right, y(k), "#ddd")
		p.Text(svg.Left-8, y(k)+4, "end", fmt.Sprintf("%g", k))
	}
	for m, step := 0.0, niceStep(wide); m <= wide; m += step {
		p.Text(x(m), svg.Height-svg.Bottom+18, "middle", fmt.Sprintf("%.4g", m))
	}
	var points [][2]float64
	for _, a := range all {
		points = append(points, [2]float64{x(float64(a.Stored) / 1e6), y(a.PerSecond / 1000)})
	}
	p.Path(points, blue)
	p.Legend(svg.Left, blue, "submitbatch of 1,000 on 16 connections, batches sealed and anchored meanwhile")
	return p.Bytes()
}

// niceStep divides a scale into five to ten parts.
func niceStep(high float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(high)))
	for _, part := range []float64{0.1, 0.2, 0.5} {
		if high/(step*part) <= 10 {
			return step * part
		}
	}
	return step
}
