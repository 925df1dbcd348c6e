package page

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Config configures a [Page].
type Config struct {
	Source    Source
	Authority Authority
	Theme     Theme

	// URL is the public address, without a slash at its end: "https://registre.ville.example". It
	// stands in QR codes, feeds and sitemaps, and in nothing that needs it. "": not known.
	URL string
	// Lang is the language of visitors who prefer neither, and of what has one language only: feed
	// and CSV. "": French.
	Lang Lang
	// Zone is the time zone in which dates are shown. nil: Europe/Paris.
	Zone *time.Location
	// FrameAncestors are the sites that may show the check tool in a frame:
	// "https://www.ville.example". Empty: none.
	FrameAncestors []string

	Log *slog.Logger // nil: nothing is logged
}

// Authority is whose register it is.
type Authority struct {
	Name   string // "Ville de Saint-Exemple"; "": a general title is shown
	NameEN string // "": Name
	Number string // SIRET, for the CSV
	Site   string // its web site
	Links  []FooterLink

	// Conformity is what the footer says of accessibility: "non", "partielle" or "totale". Only the
	// authority can know. "": not audited, which the law counts as non.
	Conformity string
}

// FooterLink is a link at the foot of each page.
type FooterLink struct{ Text, TextEN, URL string }

// Page makes the answers. Several goroutines use it at once.
type Page struct {
	source    Source
	authority Authority
	theme     Theme
	url       string
	lang      Lang
	zone      *time.Location
	frames    []string
	log       *slog.Logger
	templates map[Lang]*template.Template
	style     []byte
	server    *server
	now       func() time.Time // tests set it
}

// New returns a page. An error names the setting that is wrong.
func New(c Config) (*Page, error) {
	p := &Page{
		source: c.Source, authority: c.Authority, url: strings.TrimSuffix(c.URL, "/"),
		lang: c.Lang, zone: c.Zone, frames: c.FrameAncestors, log: c.Log, now: time.Now,
		server: newServer(),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.lang == "" {
		p.lang = French
	}
	if p.lang != French && p.lang != English {
		return nil, fmt.Errorf("the language of the page is %q: it can be %q or %q", p.lang, French, English)
	}
	if p.zone == nil {
		zone, err := time.LoadLocation("Europe/Paris")
		if err != nil {
			return nil, fmt.Errorf("the time zone of the page: %w", err)
		}
		p.zone = zone
	}
	if err := checkURL(p.url); err != nil {
		return nil, fmt.Errorf("the public address of the page, %q: %w", c.URL, err)
	}
	for _, link := range append([]FooterLink{{URL: c.Authority.Site}}, c.Authority.Links...) {
		if err := checkLink(link.URL); err != nil {
			return nil, fmt.Errorf("the link %q: %w", link.URL, err)
		}
	}
	for _, site := range c.FrameAncestors {
		if err := checkURL(site); err != nil || strings.ContainsAny(site, ";, ") {
			return nil, fmt.Errorf("the site %q, which may show the check tool, is not as https://www.example.org", site)
		}
	}
	switch c.Authority.Conformity {
	case "", "non", "partielle", "totale":
	default:
		return nil, fmt.Errorf("the conformity is %q: it can be \"non\", \"partielle\" or \"totale\"", c.Authority.Conformity)
	}
	var err error
	if p.theme, err = c.Theme.check(); err != nil {
		return nil, err
	}
	p.style = p.theme.style()
	p.templates, err = parseTemplates()
	return p, err
}

// checkURL refuses what is no address of a site.
func checkURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return errors.New("it has to begin with https:// and name a host")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("it may have neither user nor query nor fragment")
	}
	return nil
}

// checkLink refuses links that are not safe to follow.
func checkLink(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "https", "http", "mailto", "tel":
		return nil
	case "":
		if s == "" || strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") {
			return nil
		}
	}
	return errors.New("it has to begin with https://, http://, mailto:, tel: or /")
}

// name returns the authority's name.
func (p *Page) name(l Lang) string {
	if l == English && p.authority.NameEN != "" {
		return p.authority.NameEN
	}
	return p.authority.Name
}

// ServerLinks are the links of the pages on the server.
func (p *Page) ServerLinks() Links { return Links{Base: p.url} }

// StaticLinks are the links of the pages in an export.
func (p *Page) StaticLinks() Links { return Links{Base: p.url, Static: true} }
