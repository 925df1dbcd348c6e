package page

import (
	"context"
	"fmt"
	"html/template"
	"time"

	"ancre/internal/printable"
	"ancre/register/store"
)

// meetingView is a meeting as pages show it.
type meetingView struct {
	store.Meeting
	Address Address
	Body    string // its name
	start   time.Time
}

// meetingViews adds to meetings what pages show.
func (p *Page) meetingViews(ctx context.Context, at Address, meetings []store.Meeting) ([]meetingView, error) {
	bodies, err := p.source.Bodies(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]meetingView, 0, len(meetings))
	for _, m := range meetings {
		if !m.Published {
			continue // the Source should have left it out
		}
		list = append(list, meetingView{
			Meeting: m, Address: at.With(Meeting, m.ID), Body: bodyName(bodies, m.Body, at.Lang), start: m.Start.In(p.zoneOf(m)),
		})
	}
	return list, nil
}

// bodyName returns the name of a body in a language.
func bodyName(bodies []store.Body, id string, l Lang) string {
	for _, b := range bodies {
		if b.ID != id {
			continue
		}
		if l == English && b.NameEN != "" {
			return printable.Line(b.NameEN)
		}
		return printable.Line(b.Name)
	}
	return printable.Line(id)
}

// Name is the meeting's own title, or else its body.
func (m meetingView) Name() string {
	if m.Title != "" {
		return printable.Line(m.Title)
	}
	return m.Body
}

// PlaceText is the place, as text.
func (m meetingView) PlaceText() string { return printable.Line(m.Place) }

// When shows when a meeting begins: day and time.
func (m meetingView) When() template.HTML {
	return timeTag(m.start.Format(time.RFC3339), momentText(m.Address.Lang, m.start, dayText))
}

// WhenText is When as text.
func (m meetingView) WhenText() string { return momentText(m.Address.Lang, m.start, dayText) }

// DayText is the day of a meeting, without its name.
func (m meetingView) DayText() string { return shortDay(m.Address.Lang, m.start) }

// meeting makes the page of one meeting.
func (p *Page) meeting(ctx context.Context, a Address, l Links) (Answer, error) {
	m, err := p.source.Meeting(ctx, a.ID)
	if err != nil {
		return Answer{}, err
	}
	if !m.Published {
		return Answer{}, fmt.Errorf("meeting %s: %w", a.ID, store.ErrNotFound)
	}
	views, err := p.meetingViews(ctx, a, []store.Meeting{m})
	if err != nil {
		return Answer{}, err
	}
	entries, err := p.source.Entries(ctx, store.EntryQuery{Meeting: &m.ID, PublishedOnly: true, WasPublished: true, Order: store.ByMeeting})
	if err != nil {
		return Answer{}, err
	}
	rows, err := p.rows(ctx, a, entries)
	if err != nil {
		return Answer{}, err
	}
	needs, err := p.source.Completeness(ctx, m.ID)
	if err != nil {
		return Answer{}, err
	}
	var shown, gone []row
	for _, r := range rows {
		if r.Withdrawn {
			gone = append(gone, r)
		} else {
			shown = append(shown, r)
		}
	}
	v := &view{Address: a, Links: l}
	mv := views[0]
	v.Title = v.T("meeting.title", mv.Name(), mv.DayText())
	v.Description = v.T("meeting.description", mv.Name(), mv.WhenText())
	v.Data = struct {
		Meeting   meetingView
		Groups    []group
		Documents int
		Withdrawn []row
		Needs     []Requirement
	}{mv, byKind(shown), len(shown), gone, needs}
	return p.html(ctx, v, "meeting")
}
