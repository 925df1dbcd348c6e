package sqlitestore

import (
	"context"
	"strings"
	"unicode/utf8"

	"ancre/register/store"
)

// Entries implements [store.Store].
func (s *Store) Entries(ctx context.Context, q store.EntryQuery) ([]store.Entry, error) {
	c, err := s.choose(ctx, q)
	if err != nil || c == nil {
		return nil, s.explain(err)
	}
	text, args := c.page(q)
	entries, err := collectEntries(s.read.QueryContext(ctx, text, args...))
	return entries, s.explain(err)
}

// CountEntries implements [store.Store].
func (s *Store) CountEntries(ctx context.Context, q store.EntryQuery) (n int, err error) {
	key := countKey(q)
	revision := s.Revision()
	if n, ok := s.counted.get(revision, key); ok {
		return n, nil
	}
	words := store.Words(q.Text)
	if len(words) == 0 && q.Text != "" {
		return 0, nil // a text of signs alone
	}
	// All that have the words are counted: there is no page that is soon full.
	c := chosen(q, words, len(words) > 0 && q.Meeting == nil && q.Digest == nil)
	if err = s.read.QueryRowContext(ctx, "SELECT count(*)"+c.from+c.whereText(), c.args...).Scan(&n); err != nil {
		return 0, s.explain(err)
	}
	s.counted.put(revision, key, n)
	return n, nil
}

// maxMatches is how many entries are found by their words at most, and then sorted. If more have
// the words, entries are read in the order of the answer, and their words are compared: with so
// many that have them, a page is soon full. Only tests change it.
var maxMatches = 1000

// choose translates what a query chooses. It returns nil if no entry can be meant.
func (s *Store) choose(ctx context.Context, q store.EntryQuery) (*choice, error) {
	words := store.Words(q.Text)
	if len(words) == 0 {
		if q.Text != "" {
			return nil, nil // a text of signs alone
		}
		return chosen(q, nil, false), nil
	}
	// A meeting and a digest are narrower than words.
	if q.Meeting != nil || q.Digest != nil {
		return chosen(q, words, false), nil
	}
	var matches int
	err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM search WHERE search MATCH ? LIMIT ?)", match(words), maxMatches).Scan(&matches)
	if err != nil || matches == 0 {
		return nil, err
	}
	return chosen(q, words, matches < maxMatches), nil
}

// choice is the part of a statement that chooses entries.
type choice struct {
	from  string
	where []string
	args  []any
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

// chosen translates what a query chooses. If byWords is true, entries are found by their words. A
// test holds the plan that SQLite makes of each.
func chosen(q store.EntryQuery, words []string, byWords bool) *choice {
	c := &choice{from: " FROM entries e"}
	if byWords {
		// CROSS JOIN has SQLite keep the order of the tables.
		c.from = " FROM search CROSS JOIN entries e ON e.id = search.rowid"
		c.add("search MATCH ?", match(words))
	}
	for _, word := range words {
		if !byWords || utf8.RuneCountInString(word) > maxPrefix {
			c.add("instr(e.words, ?)", " "+word)
		}
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

// maxPrefix is the longest beginning of a word that the index has: see the migrations.
const maxPrefix = 8

// match returns a query of FTS5: entries that have, for each of these words, one that begins with
// its first letters.
func match(words []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteString(" AND ")
		}
		if letters := []rune(word); len(letters) > maxPrefix {
			word = string(letters[:maxPrefix])
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
	limit := -1
	if q.Limit > 0 {
		limit = q.Limit
	}
	if q.Offset > 0 {
		// What is left out is not even looked at: the index has its order.
		return "SELECT " + entryColumns + " FROM (SELECT e.id AS one" + c.from + c.whereText() + order + " LIMIT ? OFFSET ?)" +
			" CROSS JOIN entries e ON e.id = one" + order, append(c.args, limit, q.Offset)
	}
	return "SELECT " + entryColumns + c.from + c.whereText() + order + " LIMIT ?", append(c.args, limit)
}
