package register

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ancre/internal/printable"
	"ancre/register/law"
	"ancre/register/store"
)

// Layouts of dates and times of day.
const (
	dayLayout   = "2006-01-02"
	clockLayout = "15:04"
)

// NewMeeting is a meeting to add.
type NewMeeting struct {
	Body    string // its ID; "": the first one
	Date    string // "2026-12-15"
	Clock   string // "18:30"; "": 00:00
	Zone    string // an IANA name; "": that of the register
	Title   string
	Place   string
	State   store.MeetingState // "": planned
	Publish bool
}

// AddMeeting stores a meeting. If the body has one that starts at that time, it returns that one,
// and added is false.
func (r *Register) AddMeeting(ctx context.Context, n NewMeeting) (m store.Meeting, added bool, err error) {
	zone := r.zone
	if n.Zone != "" {
		if zone, err = loadZone(n.Zone); err != nil {
			return m, false, err
		}
	}
	body, err := r.body(n.Body)
	if err != nil {
		return m, false, err
	}
	m = store.Meeting{Body: body.ID, Title: strings.TrimSpace(n.Title), Place: strings.TrimSpace(n.Place), Zone: zone.String(), State: n.State, Published: n.Publish, CreatedAt: r.now()}
	m.ChangedAt = m.CreatedAt
	if m.Start, err = ParseStart(n.Date, n.Clock, zone); err != nil {
		return m, false, err
	}
	if m, added, err = r.store.AddMeeting(ctx, m); err != nil {
		return m, false, fmt.Errorf("write the meeting into the register: %w", err)
	}
	if added {
		r.log.Info("meeting added", "meeting", m.ID, "body", m.Body, "start", m.Start)
	}
	return m, added, nil
}

// MeetingUpdate is what to change of a meeting. What is nil stays.
type MeetingUpdate struct {
	Date, Clock, Title, Place *string
	State                     *store.MeetingState
	Publish                   *bool
}

// UpdateMeeting changes a meeting. Its ID stays, even if its date changes.
func (r *Register) UpdateMeeting(ctx context.Context, id string, u MeetingUpdate) (store.Meeting, error) {
	m, err := r.Meeting(ctx, id)
	if err != nil {
		return m, err
	}
	change := store.MeetingChange{Title: u.Title, Place: u.Place, State: u.State, Published: u.Publish}
	if u.Date != nil || u.Clock != nil {
		start, err := newStart(m, u)
		if err != nil {
			return m, err
		}
		change.Start = &start
	}
	return r.store.UpdateMeeting(ctx, m.ID, change)
}

// newStart returns when a meeting starts after a change of its date or time of day.
func newStart(m store.Meeting, u MeetingUpdate) (time.Time, error) {
	zone := law.Zone(m)
	date, clock := m.Start.In(zone).Format(dayLayout), m.Start.In(zone).Format(clockLayout)
	if u.Date != nil {
		date = *u.Date
	}
	if u.Clock != nil {
		clock = *u.Clock
	}
	return ParseStart(date, clock, zone)
}

// Meeting returns a meeting by its ID. The error for one that does not exist says how to add it.
func (r *Register) Meeting(ctx context.Context, id string) (store.Meeting, error) {
	m, err := r.store.Meeting(ctx, id)
	if !errors.Is(err, store.ErrNotFound) {
		return m, err
	}
	near := ""
	if len(id) >= len(dayLayout) {
		if day, err := ParseStart(id[:len(dayLayout)], "", r.zone); err == nil {
			near = r.meetingsNear(ctx, day)
		}
	}
	return m, fmt.Errorf("there is no meeting %q%s: add it with `ancre-register meeting add DATE`: %w", printable.Line(id), near, store.ErrNotFound)
}

// meetingsNear names the meetings of the weeks around a day.
func (r *Register) meetingsNear(ctx context.Context, day time.Time) string {
	const weeks = 2
	found, err := r.store.Meetings(ctx, store.MeetingQuery{From: day.AddDate(0, 0, -7*weeks), To: day.AddDate(0, 0, 7*weeks), Limit: 3})
	if err != nil || len(found) == 0 {
		return ""
	}
	var ids []string
	for _, m := range found {
		ids = append(ids, m.ID)
	}
	return " (near that day there is " + strings.Join(ids, ", ") + ")"
}

// body returns a configured body by its ID; "" is the first one.
func (r *Register) body(id string) (store.Body, error) {
	if id == "" {
		return r.bodies[0], nil
	}
	i := slices.IndexFunc(r.bodies, func(b store.Body) bool { return b.ID == id })
	if i < 0 {
		var ids []string
		for _, b := range r.bodies {
			ids = append(ids, b.ID)
		}
		return store.Body{}, invalid("%q is not a configured body: write one of %s, or add [body.NAME] to register.conf", id, strings.Join(ids, ", "))
	}
	return r.bodies[i], nil
}

func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, invalid("%q is not a time zone: write an IANA name, such as Europe/Paris or Indian/Reunion", name)
	}
	return zone, nil
}

// Time accepts no more than what it writes: time.Parse accepts "2026-1-2" in no layout of ours, but
// "9:05" for "15:04".
var (
	dayPattern   = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	clockPattern = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d$`)
)

// ParseStart returns the time at which clocks in a zone show that date and time of day. A time that
// they skip in spring is an error. Of one that they show twice in autumn, it returns the first.
func ParseStart(date, clock string, zone *time.Location) (time.Time, error) {
	if !dayPattern.MatchString(date) {
		return time.Time{}, invalid("%q is not a date: write it as 2026-12-15", date)
	}
	day, err := time.Parse(dayLayout, date)
	if err != nil || day.Year() < 1900 {
		return time.Time{}, invalid("there is no day %s", date)
	}
	if clock == "" {
		clock = "00:00"
	}
	if !clockPattern.MatchString(clock) {
		return time.Time{}, invalid("%q is not a time of day: write it as 18:30", clock)
	}
	at, _ := time.Parse(clockLayout, clock)
	start := time.Date(day.Year(), day.Month(), day.Day(), at.Hour(), at.Minute(), 0, 0, zone)
	// Of a time that exists twice, time.Date promises neither.
	if earlier := start.Add(-time.Hour); earlier.Format(dayLayout+clockLayout) == date+clock {
		start = earlier
	}
	if start.Format(dayLayout+clockLayout) != date+clock {
		return time.Time{}, invalid("clocks in %s do not show %s on %s: they are put forward then", zone, clock, date)
	}
	return start.UTC(), nil
}
