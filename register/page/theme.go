package page

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"

	"ancre/register/store"
)

// Theme is how the authority's page looks, and its own texts.
type Theme struct {
	Colour   string // "#1d4f7c": of the bar at the top and, as far as it can be read, of links; "": a dark blue
	CSS      []byte // follows our own style sheet
	Logo     []byte // SVG, PNG or JPEG; empty: none
	LogoType string // its media type; "": what its bytes look like
	LogoText string // what a blind visitor hears; "": nothing, because the authority's name stands beside it

	// Texts replace the built-in ones, by kind (Method, Accessibility, Legal, Privacy) and
	// language. They are in the small part of Markdown that [FormatText] knows.
	Texts map[Kind]map[Lang]string
}

//go:embed page.css
var pageCSS []byte

var colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// maxLogo is more than a logo has.
const maxLogo = 2 << 20

// check returns the theme with what was left out, and an error that names what is wrong.
func (t Theme) check() (Theme, error) {
	if t.Colour != "" && !colourForm.MatchString(t.Colour) {
		return t, fmt.Errorf("the colour of the page is %q: it has to be as #1d4f7c", t.Colour)
	}
	if len(t.Logo) > maxLogo {
		return t, fmt.Errorf("the logo of the page has %d bytes, at most %d are allowed", len(t.Logo), maxLogo)
	}
	if len(t.Logo) > 0 && t.LogoType == "" {
		if t.LogoType = http.DetectContentType(t.Logo); t.LogoType == "text/xml; charset=utf-8" || t.LogoType == "text/plain; charset=utf-8" {
			t.LogoType = typeSVG
		}
	}
	switch t.LogoType {
	case "", "image/png", "image/jpeg", typeSVG:
	default:
		return t, fmt.Errorf("the logo of the page is of the type %q: it has to be PNG, JPEG or SVG", t.LogoType)
	}
	for kind := range t.Texts {
		if textKinds[kind] == "" {
			return t, fmt.Errorf("the page has no text of its own at %q", kind)
		}
	}
	return t, nil
}

const typeSVG = "image/svg+xml"

// logoExt is the extension of the logo in an export.
func (t Theme) logoExt() string {
	return map[string]string{"image/png": ".png", "image/jpeg": ".jpg", typeSVG: ".svg"}[t.LogoType]
}

// style returns the style sheet.
func (t Theme) style() []byte {
	css := append([]byte(nil), pageCSS...)
	if t.Colour != "" {
		css = append(css, colourCSS(parseColour(t.Colour))...)
	}
	if len(t.CSS) > 0 {
		css = append(append(css, '\n'), t.CSS...)
	}
	return css
}

// colour is red, green and blue, each from 0 to 1.
type colour [3]float64

func parseColour(s string) (c colour) {
	for i := range c {
		n, _ := strconv.ParseUint(s[1+2*i:3+2*i], 16, 8) // the form was checked
		c[i] = float64(n) / 255
	}
	return c
}

func (c colour) String() string {
	s := "#"
	for _, part := range c {
		s += fmt.Sprintf("%02x", int(math.Round(part*255)))
	}
	return s
}

// luminance is the relative luminance of WCAG 2.
func (c colour) luminance() float64 {
	var of [3]float64
	for i, part := range c {
		if of[i] = part / 12.92; part > 0.04045 {
			of[i] = math.Pow((part+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*of[0] + 0.7152*of[1] + 0.0722*of[2]
}

// contrast is the contrast of two colours as WCAG 2 counts it: from 1 to 21.
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

// mix returns a colour on the way from one to another.
func mix(from, to colour, part float64) (c colour) {
	for i := range c {
		c[i] = from[i] + (to[i]-from[i])*part
	}
	return c
}

// readable returns the colour next to c, on the way to another, that has enough contrast to all
// grounds.
func readable(c, to colour, grounds ...colour) colour {
	const enough = 5 // WCAG asks for 4.5
	for step := range 101 {
		at := mix(c, to, float64(step)/100)
		ok := true
		for _, g := range grounds {
			ok = ok && contrast(parseColour(at.String()), g) >= enough
		}
		if ok {
			return at
		}
	}
	return to
}

var black, white = colour{0, 0, 0}, colour{1, 1, 1}

// The lightest and darkest grounds on which page.css puts links.
var (
	lightGrounds = []colour{parseColour("#fbfaf7"), parseColour("#eef2f6"), parseColour("#fbf2e0"), parseColour("#fbeaea"), parseColour("#e9f4ec")}
	darkGrounds  = []colour{parseColour("#14181e"), parseColour("#222a34"), parseColour("#2c2413"), parseColour("#321a1a"), parseColour("#16291d")}
)

// colourCSS makes the rules of the authority's colour. It is darkened or lightened where a text
// could not be read.
func colourCSS(c colour) string {
	bar, text := c, white
	if contrast(c, white) < 4.5 {
		if text = black; contrast(c, black) < 4.5 {
			bar, text = readable(c, black, white), white
		}
	}
	night := readable(mix(c, black, 0.4), black, white)
	return fmt.Sprintf("\n:root { --accent: %s; --on-accent: %s; --link: %s; }\n@media (prefers-color-scheme: dark) { :root { --accent: %s; --on-accent: #ffffff; --link: %s; } }\n"+
		"@media print { :root { --accent: #fff; --on-accent: #000; --link: #000; } }\n",
		bar, text, readable(c, black, lightGrounds...), night, readable(c, white, darkGrounds...))
}

// styleSheet makes the style sheet.
func (p *Page) styleSheet(context.Context, Address, Links) (Answer, error) {
	return Answer{Type: "text/css; charset=utf-8", Body: p.style, MaxAge: keepAssets, AnyOrigin: true}, nil
}

// iconSVG is what browsers show in the tab.
const iconSVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" rx="10" fill="#1b3a5c"/><g fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"><circle cx="24" cy="13" r="3.5"/><path d="M24 16.500v20M16 22h16M11 27c.5 7 6 10.500 13 10.500S36.500 34 37 27"/></g></svg>
`

// icon makes the icon of the tab.
func (p *Page) icon(context.Context, Address, Links) (Answer, error) {
	return Answer{Type: typeSVG, Body: []byte(iconSVG), MaxAge: keepAssets}, nil
}

// logo makes the authority's logo.
func (p *Page) logo(context.Context, Address, Links) (Answer, error) {
	if len(p.theme.Logo) == 0 {
		return Answer{}, fmt.Errorf("logo: %w", store.ErrNotFound)
	}
	return Answer{Type: p.theme.LogoType, Body: p.theme.Logo, MaxAge: keepAssets}, nil
}
