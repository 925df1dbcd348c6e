package page

import (
	"context"
	"fmt"
	"strconv"

	"ancre/register/store"
)

// meetingData is what the page of a meeting shows.
type meetingData struct {
	Meeting   meetingView
	Groups    []group
	Documents int // how many are on line
	Withdrawn []row
	Needs     []Requirement
}

// meeting makes the page of one meeting.
func (p *Page) meeting(ctx context.Context, a Address, l Links) (Answer, error) {
	m, err := p.source.Meeting(ctx, a.ID)
	if err != nil {
		return Answer{}, err
	}
	views, err := p.meetingViews(ctx, a, []store.Meeting{m})
	if err != nil {
		return Answer{}, err
	}
	if len(views) == 0 {
		return Answer{}, fmt.Errorf("meeting %s: %w", a.ID, store.ErrNotFound)
	}
	entries, err := p.source.Entries(ctx, store.EntryQuery{Meeting: &m.ID, PublishedOnly: true, WasPublished: true, Order: store.ByMeeting})
	if err != nil {
		return Answer{}, err
	}
	rows, err := p.rows(ctx, a, entries)
	if err != nil {
		return Answer{}, err
	}
	d := meetingData{Meeting: views[0]}
	shown, gone := split(rows)
	d.Groups, d.Documents, d.Withdrawn = byKind(shown), len(shown), gone

	if d.Needs, err = p.source.Completeness(ctx, m.ID); err != nil {
		return Answer{}, err
	}

	v := &view{Page: p, Address: a, Links: l, Data: &d}
	v.Title = v.T("meeting.title", d.Meeting.Name(), d.Meeting.DayText())
	v.Description = v.T("meeting.description", d.Meeting.Name(), d.Meeting.WhenText())
	v.trail(Meetings)
	year := strconv.Itoa(m.Start.In(p.zone).Year())
	v.Trail = append(v.Trail, link{Text: year, URL: v.To(a.With(Year, year))})
	return p.html(ctx, v, "meeting")
}

// split parts documents that are on line from those that were withdrawn.
func split(rows []row) (shown, gone []row) {
	for _, r := range rows {
		if r.Withdrawn {
			gone = append(gone, r)
		} else {
			shown = append(shown, r)
		}
	}
	return shown, gone
}
