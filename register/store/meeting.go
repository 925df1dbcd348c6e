package store

import "time"

// Body is who meets. Bodies come from the configuration, and are kept for those who read a backup.
type Body struct {
	ID        string // "conseil": in the configuration, in addresses
	Name      string // "Conseil municipal"
	NameEN    string // "" if it has none: Name is shown
	ClearDays int    // between the day of the convocation and that of the meeting, neither counted
}

// MeetingState is how far a meeting is.
type MeetingState string

// The states of a meeting.
const (
	Planned   MeetingState = "planned"
	Convoked  MeetingState = "convoked"
	Held      MeetingState = "held"
	Cancelled MeetingState = "cancelled"
)

// MeetingStates are all states, in their usual order.
var MeetingStates = []MeetingState{Planned, Convoked, Held, Cancelled}

// Meeting is one séance of a body.
type Meeting struct {
	ID        string // "2026-12-15": see [Store.AddMeeting]
	Body      string // the ID of a Body
	Title     string // "" if it has none of its own: body and date are shown
	Start     time.Time
	Zone      string // IANA name of the time zone in which the date of the ID was read: "Europe/Paris"
	Place     string
	State     MeetingState
	Published bool // shown on the public page
	CreatedAt time.Time
	ChangedAt time.Time
}

// MeetingChange is what to change of a meeting. What is nil stays.
type MeetingChange struct {
	Title     *string
	Start     *time.Time
	Place     *string
	State     *MeetingState
	Published *bool
}

// MeetingQuery chooses meetings. Zero fields choose nothing.
type MeetingQuery struct {
	Body          string
	From, To      time.Time // From <= start < To
	PublishedOnly bool
	OldestFirst   bool
	Limit         int // 0: no limit
}

// YearCount is the number of meetings in a year.
type YearCount struct{ Year, Meetings int }
