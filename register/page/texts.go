package page

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"ancre/internal/printable"
	"ancre/register/store"
)

//go:embed texts
var builtinTexts embed.FS

// textKinds are the pages whose text the authority can replace, by the name of the file.
var textKinds = map[Kind]string{Method: "method", Accessibility: "accessibility", Legal: "legal", Privacy: "privacy"}

// text makes a page of one of the texts.
func (p *Page) text(ctx context.Context, a Address, l Links) (Answer, error) {
	v := &view{Page: p, Address: a, Links: l, Title: say(a.Lang, "nav."+a.Kind.String())}
	v.trail()
	own := p.theme.Texts[a.Kind]
	d := struct {
		Text template.HTML
		Lang Lang // of the text, if it is not that of the page
	}{}
	switch {
	case own[a.Lang] != "":
		d.Text = FormatText(own[a.Lang])
	case own[a.Lang.Other()] != "":
		d.Text, d.Lang = FormatText(own[a.Lang.Other()]), a.Lang.Other()
	default:
		raw, err := builtinTexts.ReadFile("texts/" + textKinds[a.Kind] + "." + string(a.Lang) + ".md")
		if err != nil {
			return Answer{}, err
		}
		d.Text = FormatText(p.fill(string(raw), a.Lang))
	}
	v.Description, v.Data = v.Title, d
	return p.html(ctx, v, "text")
}

// fill puts the authority's name into a built-in text.
func (p *Page) fill(text string, l Lang) string {
	name := printable.Line(p.name(l))
	if name == "" {
		name = say(l, "authority.none")
	}
	return strings.ReplaceAll(text, "{authority}", name)
}

// check makes the page of the check tool.
func (p *Page) check(ctx context.Context, a Address, l Links) (Answer, error) {
	v := &view{Page: p, Address: a, Links: l, Title: say(a.Lang, "nav.check"), Description: say(a.Lang, "check.intro")}
	return p.html(ctx, v, "check")
}

// siteMap makes the plan of the site.
func (p *Page) siteMap(ctx context.Context, a Address, l Links) (Answer, error) {
	years, err := p.source.Years(ctx, p.zone)
	if err != nil {
		return Answer{}, err
	}
	months, err := p.documentMonths(ctx, a)
	if err != nil {
		return Answer{}, err
	}
	v := &view{Page: p, Address: a, Links: l, Title: say(a.Lang, "nav.map"), Description: say(a.Lang, "nav.map")}
	v.trail()
	d := struct {
		Years  []yearLink
		Months []yearOfMonths
	}{Months: months}
	for _, y := range years {
		d.Years = append(d.Years, yearLink{Year: y.Year, Count: y.Meetings, Address: a.With(Year, itoa(y.Year))})
	}
	v.Data = d
	return p.html(ctx, v, "map")
}

// missingPage says that there is nothing at an address.
func (p *Page) missingPage(ctx context.Context, a Address, l Links) (Answer, error) {
	v := &view{Page: p, Address: a, Links: l, Title: say(a.Lang, "missing.title"), NoIndex: true}
	answer, err := p.html(ctx, v, "missing")
	answer.Status = http.StatusNotFound
	return answer, err
}

// choice is a page that leads to the same address in each language. An export has it where the
// server redirects.
func (p *Page) choice(ctx context.Context, a Address, l Links, of func(Lang) Address) (Answer, error) {
	here := a
	v := &view{Page: p, Address: here, Links: l, Title: p.siteName(p.lang)}
	for _, lang := range Langs {
		v.Trail = append(v.Trail, link{Text: say(lang, "language"), URL: l.To(a, of(lang)), Lang: lang})
	}
	return p.htmlIn(ctx, p.lang, v, "choice")
}

// root makes the first page of an export.
func (p *Page) root(ctx context.Context, a Address, l Links) (Answer, error) {
	return p.choice(ctx, a, l, func(lang Lang) Address { return Address{Kind: Home, Lang: lang} })
}

// permalink makes the page of a permalink in an export.
func (p *Page) permalink(ctx context.Context, a Address, l Links) (Answer, error) {
	d, ok := a.Digest()
	if !ok {
		return Answer{}, store.ErrNotFound
	}
	if to, err := p.digestPage(ctx, Address{Kind: Document, Lang: p.lang}, d); err != nil || to == (Address{}) {
		return Answer{}, errors.Join(err, store.ErrNotFound)
	}
	return p.choice(ctx, a, l, func(lang Lang) Address { return Address{Kind: Document, Lang: lang, ID: a.ID} })
}
