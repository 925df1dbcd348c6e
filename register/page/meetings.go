package page

import (
	"context"
	"fmt"
	"html/template"
	"strconv"
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

// yearData is what the pages of a year, and of all years, show.
type yearData struct {
	Year     int // whose meetings are shown; 0: there are none
	Years    []yearLink
	Meetings []meetingView
}

// yearLink is a year in a list of years.
type yearLink struct {
	Year, Count int
	Address     Address
	Current     bool
}

// meetings makes the page of all years, with the meetings of the newest one.
func (p *Page) meetings(ctx context.Context, a Address, l Links) (Answer, error) {
	return p.yearPage(ctx, a, l, 0)
}

// year makes the page of a year.
func (p *Page) year(ctx context.Context, a Address, l Links) (Answer, error) {
	y, err := strconv.Atoi(a.ID)
	if err != nil {
		return Answer{}, err
	}
	return p.yearPage(ctx, a, l, y)
}

// yearPage makes the page of a year; 0 stands for the newest one.
func (p *Page) yearPage(ctx context.Context, a Address, l Links, year int) (Answer, error) {
	years, err := p.source.Years(ctx, p.zone)
	if err != nil {
		return Answer{}, err
	}
	d := yearData{Year: year}
	if year == 0 && len(years) > 0 {
		d.Year = years[0].Year
	}
	known := year == 0
	for _, y := range years {
		known = known || y.Year == year
		d.Years = append(d.Years, yearLink{y.Year, y.Meetings, a.With(Year, strconv.Itoa(y.Year)), y.Year == d.Year})
	}
	if !known {
		return Answer{}, fmt.Errorf("meetings of %d: %w", year, store.ErrNotFound)
	}
	if d.Year != 0 {
		from, to := p.yearSpan(d.Year)
		list, err := p.source.Meetings(ctx, store.MeetingQuery{From: from, To: to, PublishedOnly: true})
		if err != nil {
			return Answer{}, err
		}
		if d.Meetings, err = p.meetingViews(ctx, a, list); err != nil {
			return Answer{}, err
		}
	}
	v := &view{Page: p, Address: a, Links: l, Data: &d, Title: say(a.Lang, "meetings.title")}
	if year != 0 {
		v.Title = say(a.Lang, "meetings.year", year)
		v.trail(Meetings)
	}
	v.Description = v.Title
	return p.html(ctx, v, "meetings")
}

// yearSpan returns when a year begins and ends.
func (p *Page) yearSpan(year int) (from, to time.Time) {
	return time.Date(year, 1, 1, 0, 0, 0, 0, p.zone), time.Date(year+1, 1, 1, 0, 0, 0, 0, p.zone)
}
