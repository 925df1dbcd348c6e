package page

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ancre/register/store"
)

// Bounds of a search.
const (
	maxQuery   = 1024 // bytes of the query of an address, as the browser encodes it
	maxText    = 100  // characters
	maxWords   = 10
	perPage    = 25
	lastPage   = 40 // whoever needs more narrows the search
	dateLength = len("2026-12-15")
)

// searchForm is what a visitor searches for.
type searchForm struct {
	Text, From, To, Kind string
	Page                 int    // from 1 on
	Wrong                string // the field that is wrong: "text", "from", "to", "order"; "": none
	asked                bool   // there is something to search for
	from, to             time.Time
}

// searchData is what the page of the search shows.
type searchData struct {
	searchForm
	Kinds         []store.Kind
	Asked         bool
	Rows          []row
	Before, After string // links to the pages before and after this one; "": there is none
	First, Last   int    // numbers of the results that are shown
	More          bool   // there are more results than pages
	UnknownDigest bool   // a digest was searched for, and is not in the register
}

// readSearch reads the query of an address.
func (p *Page) readSearch(query string) (f searchForm) {
	if len(query) > maxQuery {
		f.Wrong = "text"
		return f
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		f.Wrong = "text"
		return f
	}
	f.Text = strings.Join(strings.FieldsFunc(values.Get("q"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) // characters that show nothing
	}), " ")
	f.Kind = values.Get("kind")
	f.Page = 1
	if n, err := strconv.Atoi(values.Get("page")); err == nil && n >= 1 && n <= lastPage {
		f.Page = n
	}
	if !utf8.ValidString(f.Text) || utf8.RuneCountInString(f.Text) > maxText || len(strings.Fields(f.Text)) > maxWords {
		f.Text, f.Wrong = "", "text"
	}
	if !slices.Contains(store.Kinds, store.Kind(f.Kind)) {
		f.Kind = ""
	}
	var ok bool
	if f.From, f.from, ok = p.readDate(values.Get("from")); !ok {
		f.Wrong = "from"
	}
	if f.To, f.to, ok = p.readDate(values.Get("to")); !ok {
		f.Wrong = "to"
	}
	if !f.to.IsZero() {
		if f.Wrong == "" && !f.from.IsZero() && f.to.Before(f.from) {
			f.Wrong = "order"
		}
		f.to = f.to.AddDate(0, 0, 1) // the whole of that day
	}
	f.asked = f.Wrong == "" && (f.Text != "" || f.Kind != "" || f.From != "" || f.To != "")
	return f
}

// readDate reads a date as browsers send it, or as people in France write it.
func (p *Page) readDate(s string) (text string, t time.Time, ok bool) {
	if s = strings.TrimSpace(s); s == "" {
		return "", t, true
	}
	if len(s) != dateLength {
		return "", t, false
	}
	for _, form := range []string{time.DateOnly, "02/01/2006"} {
		if t, err := time.ParseInLocation(form, s, p.zone); err == nil && t.Year() > 0 {
			return t.Format(time.DateOnly), t, true
		}
	}
	return "", time.Time{}, false
}

// encode returns the query of a page of the results.
func (f searchForm) encode(page int) string {
	values := url.Values{}
	for name, value := range map[string]string{"q": f.Text, "from": f.From, "to": f.To, "kind": f.Kind} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if page > 1 {
		values.Set("page", strconv.Itoa(page))
	}
	return values.Encode()
}

// search makes the page of the search. A digest leads to its document.
func (p *Page) search(ctx context.Context, a Address, l Links) (Answer, error) {
	f := p.readSearch(a.Query)
	d := searchData{searchForm: f, Kinds: store.Kinds, Asked: f.asked}
	here := a
	here.Query = ""
	v := &view{Page: p, Address: here, Links: l, Data: &d, Title: say(a.Lang, "nav.search"), NoIndex: a.Query != ""}
	v.Description = v.T("search.intro")
	if digest, err := store.ParseDigest(strings.ToLower(f.Text)); err == nil && f.asked {
		to, err := p.digestPage(ctx, here, digest)
		if err != nil {
			return Answer{}, err
		}
		if to != (Address{}) {
			return Answer{Status: http.StatusSeeOther, Location: l.To(here, to)}, nil
		}
		d.UnknownDigest, d.Asked = true, false
	}
	if d.Asked {
		if err := p.find(ctx, here, &d); err != nil {
			return Answer{}, err
		}
		if f.Page > 1 {
			d.Before = "?" + f.encode(f.Page-1)
		}
		if d.More && f.Page < lastPage {
			d.After = "?" + f.encode(f.Page+1)
		}
		v.Title = v.T("search.title")
	}
	answer, err := p.html(ctx, v, "search")
	if a.Query != "" {
		answer.MaxAge = 0 // it holds what the visitor sent
	}
	return answer, err
}

// digestPage returns the address of the page of a digest, the zero Address if there is none.
func (p *Page) digestPage(ctx context.Context, a Address, d store.Digest) (Address, error) {
	n, err := p.source.CountEntries(ctx, store.EntryQuery{Digest: &d, PublishedOnly: true, WasPublished: true})
	if err != nil || n == 0 {
		return Address{}, err
	}
	return a.DocumentOf(d), nil
}

// find looks the results up.
func (p *Page) find(ctx context.Context, a Address, d *searchData) error {
	offset := (d.Page - 1) * perPage
	entries, err := p.source.Entries(ctx, store.EntryQuery{
		Text: d.Text, Kind: store.Kind(d.Kind), From: d.from, To: d.to, PublishedOnly: true,
		Order: store.ByMeeting, Offset: offset, Limit: perPage + 1,
	})
	if err != nil {
		return err
	}
	if d.More = len(entries) > perPage; d.More {
		entries = entries[:perPage]
	}
	if d.Rows, err = p.rows(ctx, a, entries); err != nil {
		return err
	}
	d.First, d.Last = offset+1, offset+len(d.Rows)
	return p.addMeetings(ctx, a, d.Rows)
}
