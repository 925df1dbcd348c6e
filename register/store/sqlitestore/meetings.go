package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ancre/register/store"
)

// PutBodies implements [store.Store].
func (s *Store) PutBodies(ctx context.Context, bodies []store.Body) error {
	bodies = slices.Clone(bodies)
	seen := make(map[string]bool)
	for i := range bodies {
		b := &bodies[i]
		if err := b.Check(); err != nil {
			return err
		}
		if seen[b.ID] {
			return fmt.Errorf("%w: the body %s is named twice", store.ErrInvalid, b.ID)
		}
		seen[b.ID] = true
	}
	return s.update(ctx, func(t tx) (bool, error) {
		had, err := bodiesIn(t.ctx, t)
		if err != nil {
			return false, err
		}
		all := slices.Clone(bodies)
		for _, b := range had {
			if !seen[b.ID] {
				all = append(all, b)
			}
		}
		var configured int
		if err := t.QueryRowContext(t.ctx, "SELECT count(*) FROM bodies WHERE configured").Scan(&configured); err != nil {
			return false, err
		}
		if slices.Equal(had, all) && configured == len(bodies) {
			return false, nil
		}
		for i, b := range all {
			_, err := t.exec(`INSERT INTO bodies (id, place, configured, name, name_en, clear_days) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET place = excluded.place, configured = excluded.configured,
				name = excluded.name, name_en = excluded.name_en, clear_days = excluded.clear_days`,
				b.ID, i, i < len(bodies), b.Name, b.NameEN, b.ClearDays)
			if err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// Bodies implements [store.Store].
func (s *Store) Bodies(ctx context.Context) ([]store.Body, error) {
	bodies, err := bodiesIn(ctx, s.read)
	return bodies, s.explain(err)
}

func bodiesIn(ctx context.Context, q queryer) ([]store.Body, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, name, name_en, clear_days FROM bodies ORDER BY place")
	return collect(rows, err, func(b *store.Body) []any { return []any{&b.ID, &b.Name, &b.NameEN, &b.ClearDays} })
}

const meetingColumns = "id, body, title, start, zone, place, state, published, created_at, changed_at"

func scanMeeting(m *store.Meeting) []any {
	return []any{&m.ID, &m.Body, &m.Title, timeColumn{&m.Start}, &m.Zone, &m.Place, &m.State, &m.Published,
		timeColumn{&m.CreatedAt}, timeColumn{&m.ChangedAt}}
}

// AddMeeting implements [store.Store].
func (s *Store) AddMeeting(ctx context.Context, m store.Meeting) (stored store.Meeting, added bool, err error) {
	if m.ID != "" {
		return store.Meeting{}, false, fmt.Errorf("%w: the store gives a meeting its ID, and this one has %q", store.ErrInvalid, m.ID)
	}
	if err := m.Check(); err != nil {
		return store.Meeting{}, false, err
	}
	if m.CreatedAt.IsZero() {
		m.CreatedAt = store.Milliseconds(s.now())
	}
	m.ChangedAt = m.CreatedAt
	err = s.update(ctx, func(t tx) (bool, error) {
		stored, err = oneMeeting(t.ctx, t, "body = ? AND start = ?", m.Body, millis(m.Start))
		if !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		if m.ID, err = newMeetingID(t, &m); err != nil {
			return false, err
		}
		stored, added = m, true
		_, err = t.exec("INSERT INTO meetings ("+meetingColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			m.ID, m.Body, m.Title, millis(m.Start), m.Zone, m.Place, m.State, m.Published, millis(m.CreatedAt), millis(m.ChangedAt))
		return true, err
	})
	if err != nil {
		return store.Meeting{}, false, err
	}
	return stored, added, nil
}

// newMeetingID returns the first ID that is free.
func newMeetingID(t tx, m *store.Meeting) (string, error) {
	bodies, err := bodiesIn(t.ctx, t)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(bodies, func(b store.Body) bool { return b.ID == m.Body })
	if i < 0 {
		return "", fmt.Errorf("the body %q is %w: it must be one of the configuration", m.Body, store.ErrNotFound)
	}
	id, err := m.Date()
	if err != nil {
		return "", err
	}
	if i > 0 {
		id += "-" + m.Body
	}
	for n := 1; ; n++ {
		candidate := id
		if n > 1 {
			candidate = fmt.Sprintf("%s-%d", id, n)
		}
		var taken int
		if err := t.QueryRowContext(t.ctx, "SELECT count(*) FROM meetings WHERE id = ?", candidate).Scan(&taken); err != nil || taken == 0 {
			return candidate, err
		}
	}
}

// UpdateMeeting implements [store.Store].
func (s *Store) UpdateMeeting(ctx context.Context, id string, change store.MeetingChange) (m store.Meeting, err error) {
	err = s.update(ctx, func(t tx) (bool, error) {
		was, err := meetingIn(t.ctx, t, id)
		if err != nil {
			return false, err
		}
		m = was
		set(&m.Title, change.Title)
		set(&m.Start, change.Start)
		set(&m.Place, change.Place)
		set(&m.State, change.State)
		set(&m.Published, change.Published)
		if err := m.Check(); err != nil || m == was {
			return false, err
		}
		m.ChangedAt = store.Milliseconds(s.now())
		if m.Start != was.Start {
			other, err := oneMeeting(t.ctx, t, "body = ? AND start = ?", m.Body, millis(m.Start))
			if err == nil {
				return false, fmt.Errorf("the meeting %s of the body %s at that time %w", other.ID, m.Body, store.ErrExists)
			} else if !errors.Is(err, sql.ErrNoRows) {
				return false, err
			}
		}
		_, err = t.exec("UPDATE meetings SET title = ?, start = ?, place = ?, state = ?, published = ?, changed_at = ? WHERE id = ?",
			m.Title, millis(m.Start), m.Place, m.State, m.Published, millis(m.ChangedAt), id)
		if err != nil {
			return false, err
		}
		return true, followMeeting(t, &was, &m)
	})
	if err != nil {
		return store.Meeting{}, err
	}
	return m, nil
}

func set[T any](field *T, change *T) {
	if change != nil {
		*field = *change
	}
}

// followMeeting updates what the rows of a meeting's entries have of the meeting.
func followMeeting(t tx, was, m *store.Meeting) error {
	if m.Start != was.Start || m.Published != was.Published {
		if _, err := t.exec("UPDATE entries SET at = ?1, shown = CASE WHEN NOT ?2 THEN 0 WHEN published THEN 2 ELSE online_since IS NOT NULL END WHERE meeting = ?3",
			millis(m.Start), m.Published, m.ID); err != nil {
			return err
		}
	}
	if m.Title == was.Title {
		return nil
	}
	entries, err := entriesWhere(t.ctx, t, "meeting = ?", m.ID)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := putWords(t, &entries[i], m.Title); err != nil {
			return err
		}
	}
	return nil
}

// Meeting implements [store.Store].
func (s *Store) Meeting(ctx context.Context, id string) (store.Meeting, error) {
	m, err := meetingIn(ctx, s.read, id)
	return m, s.explain(err)
}

func meetingIn(ctx context.Context, q queryer, id string) (store.Meeting, error) {
	m, err := oneMeeting(ctx, q, "id = ?", id)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("the meeting %q is %w", id, store.ErrNotFound)
	}
	return m, err
}

func oneMeeting(ctx context.Context, q queryer, where string, args ...any) (m store.Meeting, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+meetingColumns+" FROM meetings WHERE "+where, args...).Scan(scanMeeting(&m)...)
	return m, err
}

// Meetings implements [store.Store].
func (s *Store) Meetings(ctx context.Context, q store.MeetingQuery) ([]store.Meeting, error) {
	text, args := meetingQuery(q)
	rows, err := s.read.QueryContext(ctx, text, args...)
	meetings, err := collect(rows, err, scanMeeting)
	return meetings, s.explain(err)
}

func meetingQuery(q store.MeetingQuery) (text string, args []any) {
	where := []string{"TRUE"}
	add := func(term string, value ...any) { where, args = append(where, term), append(args, value...) }
	if q.Body != "" {
		add("body = ?", q.Body)
	}
	if !q.From.IsZero() {
		add("start >= ?", ceilMillis(q.From))
	}
	if !q.To.IsZero() {
		add("start < ?", ceilMillis(q.To))
	}
	if q.PublishedOnly {
		add("published")
	}
	order := " ORDER BY start DESC, id DESC"
	if q.OldestFirst {
		order = " ORDER BY start, id"
	}
	text = "SELECT " + meetingColumns + " FROM meetings WHERE " + strings.Join(where, " AND ") + order
	if q.Limit > 0 {
		text, args = text+" LIMIT ?", append(args, q.Limit)
	}
	return text, args
}

// ceilMillis returns the first millisecond that is not before t.
func ceilMillis(t time.Time) int64 {
	if m := t.UnixMilli(); time.UnixMilli(m).Before(t) {
		return m + 1
	} else {
		return m
	}
}

const yearsQuery = "SELECT max(start) FROM meetings WHERE start < ?"

// Years implements [store.Store].
func (s *Store) Years(ctx context.Context, zone *time.Location, publishedOnly bool) (years []store.YearCount, err error) {
	where := ""
	if publishedOnly {
		where = " AND published"
	}
	// From year to year: each question is answered from a part of an index.
	before := int64(1<<63 - 1)
	for {
		var newest sql.NullInt64
		err := s.read.QueryRowContext(ctx, yearsQuery+where, before).Scan(&newest)
		if err != nil || !newest.Valid {
			return years, s.explain(err)
		}
		year := time.UnixMilli(newest.Int64).In(zone).Year()
		begin := time.Date(year, 1, 1, 0, 0, 0, 0, zone).UnixMilli()
		count := store.YearCount{Year: year}
		err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM meetings WHERE start >= ? AND start < ?"+where, begin, before).Scan(&count.Meetings)
		if err != nil {
			return nil, s.explain(err)
		}
		years, before = append(years, count), begin
	}
}
