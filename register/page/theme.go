package page

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"regexp"

	"ancre/register/store"
)

// Theme is how the authority's page looks, and its own texts.
type Theme struct {
	Colour   string // "#1d4f7c": of links and headings; "": a dark blue
	CSS      []byte // follows our own style sheet
	Logo     []byte // SVG, PNG or JPEG; empty: none
	LogoType string // its media type
	LogoText string // what a blind visitor hears; "": the authority's name

	// Texts replace the built-in ones, by kind (Method, Accessibility, Legal, Privacy) and
	// language. They are in the small part of Markdown that [FormatText] knows.
	Texts map[Kind]map[Lang]string
}

//go:embed page.css
var pageCSS []byte

var colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// style returns the style sheet.
func (t Theme) style() ([]byte, error) {
	css := append([]byte(nil), pageCSS...)
	if t.Colour != "" {
		if !colourForm.MatchString(t.Colour) {
			return nil, fmt.Errorf("the colour of the page is %q: it has to be as #1d4f7c", t.Colour)
		}
	}
	if len(t.CSS) > 0 {
		css = append(append(css, '\n'), t.CSS...)
	}
	return css, nil
}

// styleSheet makes the style sheet.
func (p *Page) styleSheet(context.Context, Address, Links) (Answer, error) {
	return Answer{Type: "text/css; charset=utf-8", Body: p.style, MaxAge: keepAssets}, nil
}

// iconSVG is what browsers show in the tab.
const iconSVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" rx="10" fill="#1b3a5c"/><g fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"><circle cx="24" cy="13" r="3.5"/><path d="M24 16.500v20M16 22h16M11 27c.5 7 6 10.500 13 10.500S36.500 34 37 27"/></g></svg>
`

// icon makes the icon of the tab.
func (p *Page) icon(context.Context, Address, Links) (Answer, error) {
	return Answer{Type: "image/svg+xml", Body: []byte(iconSVG), MaxAge: keepAssets}, nil
}

// logo makes the authority's logo.
func (p *Page) logo(context.Context, Address, Links) (Answer, error) {
	if len(p.theme.Logo) == 0 {
		return Answer{}, fmt.Errorf("logo: %w", store.ErrNotFound)
	}
	return Answer{Status: http.StatusOK, Type: p.theme.LogoType, Body: p.theme.Logo, MaxAge: keepAssets}, nil
}
