package page

import (
	"bytes"
	"context"
	"encoding/xml"
	"strconv"
	"time"

	"ancre/internal/printable"
	"ancre/register/store"
)

// feedMeetings is how many meetings the feed holds.
const feedMeetings = 30

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang    string      `xml:"xml:lang,attr"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  atomAuthor  `xml:"author"`
	Links   []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomAuthor struct {
	Name string `xml:"name"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID      string     `xml:"id"`
	Title   string     `xml:"title"`
	Updated string     `xml:"updated"`
	Links   []atomLink `xml:"link"`
	Summary string     `xml:"summary"`
}

// feed makes the Atom feed of the meetings. An entry changes when its meeting or a document of it
// does.
func (p *Page) feed(ctx context.Context, a Address, l Links) (Answer, error) {
	meetings, err := p.source.Meetings(ctx, store.MeetingQuery{PublishedOnly: true, Limit: feedMeetings})
	if err != nil {
		return Answer{}, err
	}
	home := Address{Kind: Home, Lang: p.lang}
	views, err := p.meetingViews(ctx, home, meetings)
	if err != nil {
		return Answer{}, err
	}
	f := atomFeed{
		Lang: string(p.lang), ID: p.iri(l, home, "registre"), Title: p.siteName(p.lang), Author: atomAuthor{p.siteName(p.lang)},
		Links: []atomLink{
			{"self", "application/atom+xml", p.linkOf(a, l, a)},
			{"alternate", "text/html", p.linkOf(a, l, home)},
		},
	}
	newest := time.Unix(0, 0)
	for _, m := range views {
		e, updated, err := p.feedEntry(ctx, a, l, m)
		if err != nil {
			return Answer{}, err
		}
		if updated.After(newest) {
			newest = updated
		}
		f.Entries = append(f.Entries, e)
	}
	f.Updated = newest.UTC().Format(time.RFC3339)
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(f); err != nil {
		return Answer{}, err
	}
	b.WriteByte('\n')
	return Answer{Type: "application/atom+xml; charset=utf-8", Body: b.Bytes(), MaxAge: keepData, AnyOrigin: true}, nil
}

// iri returns an identifier that stays: the address, or a name if the public address is not known.
func (p *Page) iri(l Links, a Address, name string) string {
	if whole := l.Absolute(a); whole != "" {
		return whole
	}
	return "urn:ancre:" + name
}

// feedEntry makes the entry of a meeting, and returns when it changed.
func (p *Page) feedEntry(ctx context.Context, a Address, l Links, m meetingView) (atomEntry, time.Time, error) {
	entries, err := p.source.Entries(ctx, store.EntryQuery{Meeting: &m.ID, PublishedOnly: true, WasPublished: true, Order: store.ByMeeting})
	if err != nil {
		return atomEntry{}, time.Time{}, err
	}
	updated, shown := m.ChangedAt, 0
	for _, e := range entries {
		for _, t := range []time.Time{e.OnlineSince, e.WithdrawnAt} {
			if t.After(updated) {
				updated = t
			}
		}
		if e.Published {
			shown++
		}
	}
	summary := say(p.lang, "meeting."+string(m.State)) + ". " + say(p.lang, "documents.count", shown)
	if place := m.PlaceText(); place != "" {
		summary = place + ". " + summary
	}
	return atomEntry{
		ID: p.iri(l, m.Address, "seance:"+m.ID), Title: printable.Line(m.Name() + ", " + m.WhenText()), Updated: updated.UTC().Format(time.RFC3339),
		Links: []atomLink{{"alternate", "text/html", p.linkOf(a, l, m.Address)}}, Summary: summary,
	}, updated, nil
}

// A sitemap names the pages to search engines.
type sitemapURL struct {
	Loc   string        `xml:"loc"`
	Links []sitemapLink `xml:"xhtml:link"`
}

type sitemapLink struct {
	Rel  string `xml:"rel,attr"`
	Lang string `xml:"hreflang,attr"`
	Href string `xml:"href,attr"`
}

// sitemapLimit is how many addresses a sitemap may have (sitemaps.org).
const sitemapLimit = 50_000

// sitemap names the sitemaps of the years. The first of them has the pages that belong to no year.
func (p *Page) sitemap(ctx context.Context, a Address, l Links) (Answer, error) {
	type ref struct {
		Loc string `xml:"loc"`
	}
	index := struct {
		XMLName xml.Name `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 sitemapindex"`
		Maps    []ref    `xml:"sitemap"`
	}{}
	years, err := p.sitemapYears(ctx)
	if err != nil {
		return Answer{}, err
	}
	for _, y := range years {
		index.Maps = append(index.Maps, ref{p.linkOf(a, l, Address{Kind: SitemapYear, ID: strconv.Itoa(y)})})
	}
	return xmlAnswer(index)
}

// sitemapYears are the years that have a sitemap: those with meetings or documents, and this one.
func (p *Page) sitemapYears(ctx context.Context) ([]int, error) {
	newest := p.now().In(p.zone).Year()
	oldest := newest
	years, err := p.source.Years(ctx, p.zone)
	if err != nil {
		return nil, err
	}
	for _, y := range years {
		oldest, newest = min(oldest, y.Year), max(newest, y.Year)
	}
	first, err := p.source.Entries(ctx, store.EntryQuery{Meeting: &none, PublishedOnly: true, Order: store.ByID, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(first) > 0 {
		oldest = min(oldest, first[0].AddedAt.In(p.zone).Year())
	}
	var list []int
	for y := newest; y >= oldest && len(list) < 1000; y-- {
		list = append(list, y)
	}
	return list, nil
}

// sitemapYear makes the sitemap of a year.
func (p *Page) sitemapYear(ctx context.Context, a Address, l Links) (Answer, error) {
	year, err := strconv.Atoi(a.ID)
	if err != nil {
		return Answer{}, err
	}
	set := struct {
		XMLName xml.Name     `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		XHTML   string       `xml:"xmlns:xhtml,attr"`
		URLs    []sitemapURL `xml:"url"`
	}{XHTML: "http://www.w3.org/1999/xhtml"}
	add := func(to Address) {
		if len(set.URLs)+len(Langs) > sitemapLimit {
			return // the pages of the meetings lead to the others
		}
		var links []sitemapLink
		for _, lang := range Langs {
			links = append(links, sitemapLink{"alternate", string(lang), p.linkOf(a, l, to.In(lang))})
		}
		for _, link := range links {
			set.URLs = append(set.URLs, sitemapURL{link.Href, links})
		}
	}
	if year == p.now().In(p.zone).Year() {
		for k := Home; k <= Map; k++ {
			if routeOf[k].id == nil && l.Has(k) {
				add(Address{Kind: k, Lang: French})
			}
		}
	}
	from, to := p.yearSpan(year)
	meetings, err := p.source.Meetings(ctx, store.MeetingQuery{From: from, To: to, PublishedOnly: true})
	if err != nil {
		return Answer{}, err
	}
	if len(meetings) > 0 {
		add(Address{Kind: Year, Lang: French, ID: a.ID})
	}
	for _, m := range meetings {
		add(Address{Kind: Meeting, Lang: French, ID: m.ID})
	}
	if err := p.eachRow(ctx, a, store.EntryQuery{From: from, To: to}, func(r row) error {
		add(Address{Kind: Document, Lang: French, ID: r.Entry.Digest.String()})
		return nil
	}); err != nil {
		return Answer{}, err
	}
	return xmlAnswer(set)
}

func xmlAnswer(v any) (Answer, error) {
	b, err := xml.Marshal(v)
	return Answer{Type: "application/xml; charset=utf-8", Body: append([]byte(xml.Header), append(b, '\n')...), MaxAge: keepData}, err
}

// robots makes robots.txt. The search is left out: its pages have no end.
func (p *Page) robots(_ context.Context, a Address, l Links) (Answer, error) {
	text := "User-agent: *\nDisallow: /fr/recherche?\nDisallow: /en/search?\n"
	if whole := l.Absolute(Address{Kind: Sitemap}); whole != "" {
		text += "Sitemap: " + whole + "\n"
	}
	return Answer{Type: typeText, Body: []byte(text), MaxAge: keepAssets}, nil
}
