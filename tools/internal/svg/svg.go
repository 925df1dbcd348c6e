// Package svg draws small plots, as SVG is text. The programs in tools draw their plots for docs/
// with it. The same figures give the same bytes.
package svg

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The plane, in units of the drawing, and the margins around what is plotted in it.
const (
	Width, Height = 900, 420
	Left, Right   = 70, 20
	Top, Bottom   = 60, 60
)

// Plot is a drawing that is being made. Each method draws over what is there.
type Plot struct{ buf bytes.Buffer }

// New begins a drawing on a white ground, with a title above.
func New(title string) *Plot { return NewTall(title, Height) }

// NewTall is New for a drawing of another height.
func NewTall(title string, height int) *Plot {
	p := new(Plot)
	fmt.Fprintf(&p.buf, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", Width, height)
	fmt.Fprintf(&p.buf, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", Width, height)
	p.Text(Left, 24, "start", title)
	return p
}

// Text writes at a point; anchor is SVG's: start, middle or end.
func (p *Plot) Text(x, y float64, anchor, text string) {
	fmt.Fprintf(&p.buf, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}

// Rect fills a rectangle.
func (p *Plot) Rect(x, y, width, height float64, color string) {
	fmt.Fprintf(&p.buf, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, color)
}

// Line draws from one point to another.
func (p *Plot) Line(x1, y1, x2, y2 float64, color string) {
	fmt.Fprintf(&p.buf, `<path d="M%.1f %.1fL%.1f %.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, color)
}

// Dot marks a point.
func (p *Plot) Dot(x, y float64, color string) {
	fmt.Fprintf(&p.buf, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s" stroke="#fff"/>`+"\n", x, y, color)
}

// Path draws straight lines from point to point. An infinite point interrupts the path.
func (p *Plot) Path(points [][2]float64, color string) {
	fmt.Fprintf(&p.buf, `<path fill="none" stroke="%s" d="`, color)
	command := byte('M')
	for _, at := range points {
		if math.IsInf(at[1], 0) {
			command = 'M'
			continue
		}
		fmt.Fprintf(&p.buf, "%c%.1f %.1f", command, at[0], at[1])
		command = 'L'
	}
	p.buf.WriteString("\"/>\n")
}

// Legend names a color, and returns where the next one goes.
func (p *Plot) Legend(x float64, color, name string) float64 {
	p.Rect(x, 34, 12, 10, color)
	p.Text(x+17, 44, "start", name)
	return x + 40 + 7*float64(len(name))
}

// Bytes ends the drawing and returns it.
func (p *Plot) Bytes() []byte {
	p.buf.WriteString("</svg>\n")
	return p.buf.Bytes()
}
