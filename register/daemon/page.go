package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/httpserve"
	"ancre/register/page"
)

// pageLimits are those of the public page. A visitor may download a large file over a slow line.
var pageLimits = httpserve.Limits{
	Connections: 1024,
	Reserve:     64, // for the proxy in front
	PerAddress:  64,
	HeaderBytes: 16 << 10,
	ReadHeader:  10 * time.Second,
	Read:        15 * time.Second,
	Write:       6 * time.Hour,
	Stall:       30 * time.Second,
	Idle:        2 * time.Minute,
	Grace:       5 * time.Second,
}

// openPage makes the public page, and opens its address.
func (d *daemon) openPage() error {
	c := d.cfg.Page
	if c.Listen == "" {
		return nil
	}
	settings, err := pageConfig(d.cfg)
	if err != nil {
		return err
	}
	settings.Source, settings.Zone, settings.Log = d.register.Public(), d.zone, d.log
	if d.page, err = page.New(settings); err != nil {
		return fmt.Errorf("the public page: %w", err)
	}
	if d.pageListener, err = d.listenOn("page.listen", c.Listen, "if another register is running, give one of them another address"); err != nil {
		return err
	}
	d.pageAddr = d.pageListener.Addr().String()
	return nil
}

// listenOn opens a configured address. key and remedy are for the error.
func (d *daemon) listenOn(key, address, remedy string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w: %s", key, address, err, remedy)
	}
	// This is for a listener that is never served: a server closes its own.
	d.onClose(func() error { ln.Close(); return nil })
	return ln, nil
}

func (d *daemon) servePage(ctx context.Context) error {
	if d.page == nil {
		return nil
	}
	limits := pageLimits
	proxies := make([]netip.Prefix, 0, len(d.cfg.Page.TrustedProxies))
	for _, text := range d.cfg.Page.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("page.trusted_proxies: %w", err)
		}
		proxies = append(proxies, p)
	}
	limits.Unlimited = func(a netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return httpserve.Serve(ctx, d.pageListener, d.counted(d.page), limits, d.log)
}

// pageConfig returns the settings of the page as far as they are in the configuration and in the
// files that it names.
func pageConfig(cfg config.Register) (page.Config, error) {
	c := cfg.Page
	p := page.Config{
		Authority: page.Authority{Name: c.Name, NameEN: c.NameEN, Number: c.SIRET, Site: c.Site,
			Conformity: map[string]string{"none": "non", "partial": "partielle", "full": "totale"}[c.Accessibility]},
		Theme: page.Theme{Colour: c.Colour},
		URL:   c.URL, Lang: page.Lang(c.Language), FrameAncestors: c.Embed,
	}
	for _, link := range c.Footer {
		at := strings.LastIndexByte(link, ' ')
		p.Authority.Links = append(p.Authority.Links, page.FooterLink{Text: link[:at], URL: link[at+1:]})
	}
	var err error
	if p.Theme.CSS, err = pageFile("page.css", c.CSS); err != nil {
		return p, err
	}
	if p.Theme.Logo, err = pageFile("page.logo", c.Logo); err != nil {
		return p, err
	}
	if len(p.Theme.Logo) > 0 {
		if p.Theme.LogoType, err = logoType(c.Logo, p.Theme.Logo); err != nil {
			return p, err
		}
	}
	p.Theme.Texts, err = pageTexts(c.Texts)
	return p, err
}

// maxPageFile is far more than a logo, a style sheet or a text has.
const maxPageFile = 2 << 20

// pageFile reads a file that the configuration names; none if it names none.
func pageFile(key, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := atomicfile.ReadInput(path, maxPageFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, atomicfile.Denied(err))
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: %s is empty", key, path)
	}
	return data, nil
}

// logoType returns the media type of a picture.
func logoType(path string, data []byte) (string, error) {
	if strings.EqualFold(filepath.Ext(path), ".svg") {
		return "image/svg+xml", nil
	}
	switch kind := http.DetectContentType(data); kind {
	case "image/png", "image/jpeg":
		return kind, nil
	default:
		return "", fmt.Errorf("page.logo: %s must be a PNG, a JPEG or an SVG, and is %s", path, kind)
	}
}

// textFiles are the names of the authority's texts, without language and ".md".
var textFiles = map[string]page.Kind{"method": page.Method, "accessibility": page.Accessibility, "legal": page.Legal, "privacy": page.Privacy}

// pageTexts reads the authority's texts: legal.fr.md, legal.en.md, and so on. Another name in the
// directory would be a typing error.
func pageTexts(dir string) (map[page.Kind]map[page.Lang]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("page.texts: %w", atomicfile.Denied(err))
	}
	texts := make(map[page.Kind]map[page.Lang]string)
	for _, entry := range entries {
		name, isText := strings.CutSuffix(entry.Name(), ".md")
		if !isText || strings.HasPrefix(name, ".") {
			continue
		}
		stem, lang, _ := strings.Cut(name, ".")
		kind, ok := textFiles[stem]
		if !ok || lang != string(page.French) && lang != string(page.English) {
			return nil, fmt.Errorf("page.texts: %s in %s is no text of the page: they are method.fr.md, accessibility.fr.md, legal.fr.md, privacy.fr.md, and the same with .en.md", entry.Name(), dir)
		}
		data, err := pageFile("page.texts", filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		if texts[kind] == nil {
			texts[kind] = make(map[page.Lang]string)
		}
		texts[kind][page.Lang(lang)] = string(data)
	}
	return texts, nil
}
