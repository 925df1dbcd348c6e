package sqlitestore

import (
	"context"
	"strings"

	"ancre/register/store"
)

// Entries implements [store.Store].
func (s *Store) Entries(ctx context.Context, q store.EntryQuery) ([]store.Entry, error) {
	c := chosen(q)
	if c.nothing {
		return nil, nil
	}
	text, args := c.page(q)
	entries, err := collectEntries(s.read.QueryContext(ctx, text, args...))
	return entries, s.explain(err)
}

// CountEntries implements [store.Store].
func (s *Store) CountEntries(ctx context.Context, q store.EntryQuery) (n int, err error) {
	c := chosen(q)
	if c.nothing {
		return 0, nil
	}
	err = s.read.QueryRowContext(ctx, "SELECT count(*)"+c.from+c.whereText(), c.args...).Scan(&n)
	return n, s.explain(err)
}

// choice is the part of a query that chooses entries.
type choice struct {
	from    string
	where   []string
	args    []any
	nothing bool // no entry can be meant
}

func (c *choice) add(term string, values ...any) {
	c.where, c.args = append(c.where, term), append(c.args, values...)
}

func (c *choice) whereText() string {
	if len(c.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.where, " AND ")
}

// chosen translates what a query chooses. A test holds the plan that SQLite makes of each.
func chosen(q store.EntryQuery) *choice {
	c := &choice{from: " FROM entries e"}
	if q.Text != "" {
		words := store.Words(q.Text)
		if len(words) == 0 {
			c.nothing = true // a text of signs alone
			return c
		}
		// Begin with the words: CROSS JOIN has SQLite keep the order of the tables.
		c.from = " FROM search CROSS JOIN entries e ON e.id = search.rowid"
		c.add("search MATCH ?", match(words))
	}
	if q.Meeting != nil && *q.Meeting == "" {
		c.add("e.meeting IS NULL")
	} else if q.Meeting != nil {
		c.add("e.meeting = ?", *q.Meeting)
	}
	if q.Kind != "" {
		c.add("e.kind = ?", q.Kind)
	}
	if q.Digest != nil {
		c.add("e.digest = ?", q.Digest[:])
	}
	if q.FirstByte != nil {
		c.add("e.digest >= ?", []byte{*q.FirstByte})
		if *q.FirstByte < 0xff {
			c.add("e.digest < ?", []byte{*q.FirstByte + 1})
		}
	}
	if !q.From.IsZero() {
		c.add("e.at >= ?", ceilMillis(q.From))
	}
	if !q.To.IsZero() {
		c.add("e.at < ?", ceilMillis(q.To))
	}
	if q.PublishedOnly {
		c.add("e.shown > 0") // as the indexes say it
		if !q.WasPublished {
			c.add("e.shown = 2")
		}
	}
	return c
}

// match returns a query of FTS5: entries that have, for each of these words, one that begins so.
func match(words []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteString(" AND ")
		}
		b.WriteString(`"` + word + `"*`) // a word has letters and digits only
	}
	return b.String()
}

// page returns the statement that lists entries.
func (c *choice) page(q store.EntryQuery) (text string, args []any) {
	order := " ORDER BY e.id"
	switch q.Order {
	case store.ByID:
		if q.After != 0 {
			c.add("e.id > ?", q.After)
		}
	case store.ByMeeting:
		order = " ORDER BY e.at DESC, e.meeting, e.kind_place, e.number_key, e.id"
	case store.ByDigest:
		order = " ORDER BY e.digest, e.id"
	}
	text, args = "SELECT "+entryColumns+c.from+c.whereText()+order, c.args
	if q.Limit > 0 || q.Offset > 0 {
		limit := -1
		if q.Limit > 0 {
			limit = q.Limit
		}
		text, args = text+" LIMIT ? OFFSET ?", append(args, limit, q.Offset)
	}
	return text, args
}
