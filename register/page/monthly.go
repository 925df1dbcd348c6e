package page

import (
	"context"
	"fmt"
	"time"

	"ancre/register/store"
)

// Documents that belong to no meeting, such as the mayor's acts, are listed by month.

// monthLink is a month in a list of months.
type monthLink struct {
	Text    string
	Count   int
	Address Address
}

// yearOfMonths is a year in a list of months.
type yearOfMonths struct {
	Year   int
	Months []monthLink
}

// none chooses the entries of no meeting.
var none = ""

// documents makes the list of months.
func (p *Page) documents(ctx context.Context, a Address, l Links) (Answer, error) {
	years, err := p.documentMonths(ctx, a)
	if err != nil {
		return Answer{}, err
	}
	v := &view{Page: p, Address: a, Links: l, Data: years, Title: say(a.Lang, "nav.documents")}
	v.Description = v.T("monthly.intro")
	return p.html(ctx, v, "monthly")
}

// documentMonths returns the months that have documents of no meeting, the newest first.
func (p *Page) documentMonths(ctx context.Context, a Address) ([]yearOfMonths, error) {
	first, err := p.source.Entries(ctx, store.EntryQuery{Meeting: &none, PublishedOnly: true, Order: store.ByID, Limit: 1})
	if err != nil || len(first) == 0 {
		return nil, err
	}
	var years []yearOfMonths
	for year := p.now().In(p.zone).Year(); year >= first[0].AddedAt.In(p.zone).Year(); year-- {
		from, to := p.yearSpan(year)
		n, err := p.countDocuments(ctx, from, to)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		y := yearOfMonths{Year: year}
		for month := time.December; month >= time.January; month-- {
			from := time.Date(year, month, 1, 0, 0, 0, 0, p.zone)
			n, err := p.countDocuments(ctx, from, from.AddDate(0, 1, 0))
			if err != nil {
				return nil, err
			}
			if n > 0 {
				y.Months = append(y.Months, monthLink{monthText(a.Lang, from), n, a.With(DocumentsMonth, from.Format(monthForm))})
			}
		}
		years = append(years, y)
	}
	return years, nil
}

func (p *Page) countDocuments(ctx context.Context, from, to time.Time) (int, error) {
	return p.source.CountEntries(ctx, store.EntryQuery{Meeting: &none, From: from, To: to, PublishedOnly: true})
}

// documentsMonth makes the list of a month.
func (p *Page) documentsMonth(ctx context.Context, a Address, l Links) (Answer, error) {
	from, err := time.ParseInLocation(monthForm, a.ID, p.zone)
	if err != nil {
		return Answer{}, err
	}
	entries, err := p.source.Entries(ctx, store.EntryQuery{
		Meeting: &none, From: from, To: from.AddDate(0, 1, 0), PublishedOnly: true, WasPublished: true, Order: store.ByID,
	})
	if err != nil {
		return Answer{}, err
	}
	rows, err := p.rows(ctx, a, entries)
	if err != nil {
		return Answer{}, err
	}
	if len(rows) == 0 {
		return Answer{}, fmt.Errorf("documents of %s: %w", a.ID, store.ErrNotFound)
	}
	shown, gone := split(rows)
	v := &view{Page: p, Address: a, Links: l, Title: say(a.Lang, "monthly.month", monthText(a.Lang, from))}
	v.Description = v.Title
	v.trail(Documents)
	v.Data = struct {
		Groups    []group
		Documents int
		Withdrawn []row
	}{byKind(shown), len(shown), gone}
	return p.html(ctx, v, "month")
}
