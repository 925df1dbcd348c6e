package page

import (
	"context"

	"ancre/register/store"
)

// How many meetings the home page shows.
const (
	nextMeetings = 3
	lastMeetings = 5
)

// homeData is what the home page shows.
type homeData struct {
	Next, Last []meetingView
	Documents  int
	Network    string
	Node       *Node // nil in an export
}

// home makes the home page.
func (p *Page) home(ctx context.Context, a Address, l Links) (Answer, error) {
	var d homeData
	now := p.now()
	next, err := p.source.Meetings(ctx, store.MeetingQuery{From: now, PublishedOnly: true, OldestFirst: true, Limit: nextMeetings})
	if err != nil {
		return Answer{}, err
	}
	if d.Next, err = p.meetingViews(ctx, a, next); err != nil {
		return Answer{}, err
	}
	last, err := p.source.Meetings(ctx, store.MeetingQuery{To: now, PublishedOnly: true, Limit: lastMeetings})
	if err != nil {
		return Answer{}, err
	}
	if d.Last, err = p.meetingViews(ctx, a, last); err != nil {
		return Answer{}, err
	}
	if d.Documents, err = p.source.CountEntries(ctx, store.EntryQuery{PublishedOnly: true}); err != nil {
		return Answer{}, err
	}
	if d.Network, err = p.source.Network(ctx); err != nil {
		return Answer{}, err
	}
	if !l.Static {
		node := p.source.Node(ctx)
		d.Node = &node
	}
	v := &view{Page: p, Address: a, Links: l, Data: &d}
	v.Title, v.Description = v.T("home.title"), v.T("home.what")
	return p.html(ctx, v, "home")
}
