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

const entryColumns = "e.id, e.digest, e.meeting, e.kind, e.title, e.number, e.file_name, e.media_type, e.size, e.added_at, " +
	"e.published, e.download, e.online_since, e.withdrawn_at, e.replaces, e.replaced_by, e.replaced_at"

// entryRow is an entry with what can be NULL in its row.
type entryRow struct {
	store.Entry
	meeting              sql.NullString
	replaces, replacedBy sql.NullInt64
}

func scanEntry(r *entryRow) []any {
	e := &r.Entry
	return []any{&e.ID, digestColumn{&e.Digest}, &r.meeting, &e.Kind, &e.Title, &e.Number, &e.FileName, &e.MediaType, &e.Size, timeColumn{&e.AddedAt},
		&e.Published, &e.Download, timeColumn{&e.OnlineSince}, timeColumn{&e.WithdrawnAt}, &r.replaces, &r.replacedBy, timeColumn{&e.ReplacedAt}}
}

func (r *entryRow) entry() store.Entry {
	r.Meeting, r.Replaces, r.ReplacedBy = r.meeting.String, r.replaces.Int64, r.replacedBy.Int64
	return r.Entry
}

func collectEntries(rows *sql.Rows, err error) ([]store.Entry, error) {
	all, err := collect(rows, err, scanEntry)
	entries := make([]store.Entry, len(all))
	for i := range all {
		entries[i] = all[i].entry()
	}
	return entries, err
}

func entriesWhere(ctx context.Context, q queryer, where string, args ...any) ([]store.Entry, error) {
	return collectEntries(q.QueryContext(ctx, "SELECT "+entryColumns+" FROM entries e WHERE "+where+" ORDER BY e.id", args...))
}

// AddEntry implements [store.Store].
func (s *Store) AddEntry(ctx context.Context, e store.Entry) (stored store.Entry, added bool, err error) {
	if e.ID != 0 || e.ReplacedBy != 0 || !e.ReplacedAt.IsZero() || !e.WithdrawnAt.IsZero() {
		return store.Entry{}, false, fmt.Errorf("%w: the entry %q is not new", store.ErrInvalid, e.FileName)
	}
	if e.AddedAt.IsZero() {
		e.AddedAt = s.now()
	}
	if e.OnlineSince.IsZero() && e.Published {
		e.OnlineSince = e.AddedAt
	}
	if !e.Published {
		e.OnlineSince, e.Download = time.Time{}, false
	}
	if err := e.Check(); err != nil {
		return store.Entry{}, false, err
	}
	err = s.update(ctx, func(t tx) (bool, error) {
		same, err := entriesWhere(t.ctx, t, "coalesce(e.meeting, '') = ? AND e.digest = ?", e.Meeting, e.Digest[:])
		if err != nil {
			return false, err
		}
		if len(same) > 0 {
			stored = same[0]
			return false, nil
		}
		stored, added = e, true
		return true, insertEntry(t, &stored)
	})
	if err != nil {
		return store.Entry{}, false, err
	}
	return stored, added, nil
}

// insertEntry stores an entry whose digest the meeting does not have yet.
func insertEntry(t tx, e *store.Entry) error {
	m := store.Meeting{Start: e.AddedAt, Published: true} // stands for none
	if e.Meeting != "" {
		var err error
		if m, err = meetingIn(t.ctx, t, e.Meeting); err != nil {
			return err
		}
	}
	replaced, err := replacedBy(t, e)
	if err != nil {
		return err
	}
	if len(replaced) > 0 && e.Replaces == 0 {
		e.Replaces = replaced[len(replaced)-1]
	}
	if _, err := t.exec("INSERT INTO proofs (digest, state, added_at, batch, height, block_hash) VALUES (?, 'waiting', ?, 0, 0, '') ON CONFLICT DO NOTHING",
		e.Digest[:], millis(e.AddedAt)); err != nil {
		return err
	}
	words := wordsOf(e, m.Title)
	result, err := t.ExecContext(t.ctx, `INSERT INTO entries (digest, meeting, kind, title, number, file_name, media_type, size, added_at,
		published, download, online_since, replaces, at, shown, kind_place, number_key, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Digest[:], textOrNull(e.Meeting), e.Kind, e.Title, e.Number, e.FileName, e.MediaType, e.Size, millis(e.AddedAt),
		e.Published, e.Download, millis(e.OnlineSince), idOrNull(e.Replaces),
		millis(m.Start), shown(e, &m), slices.Index(store.Kinds, e.Kind), store.NumberKey(e.Number), words)
	if err != nil {
		return err
	}
	if e.ID, err = result.LastInsertId(); err != nil {
		return err
	}
	for _, id := range replaced {
		if _, err := t.exec("UPDATE entries SET replaced_by = ?, replaced_at = ? WHERE id = ?", e.ID, millis(e.AddedAt), id); err != nil {
			return err
		}
	}
	_, err = t.exec("INSERT INTO search (rowid, words) VALUES (?, ?)", e.ID, words)
	return err
}

// replacedBy returns the entries that a new one replaces, in their order.
func replacedBy(t tx, e *store.Entry) (ids []int64, err error) {
	if e.Meeting != "" {
		same, err := entriesWhere(t.ctx, t, "e.meeting = ? AND e.kind_place = ? AND e.file_name = ? AND e.replaced_by IS NULL",
			e.Meeting, slices.Index(store.Kinds, e.Kind), e.FileName)
		if err != nil {
			return nil, err
		}
		for i := range same {
			ids = append(ids, same[i].ID)
		}
	}
	if e.Replaces == 0 {
		return ids, nil
	}
	was, err := entryIn(t.ctx, t, e.Replaces)
	if err != nil {
		return nil, fmt.Errorf("the entry to replace: %w", err)
	}
	if was.ReplacedBy != 0 {
		return nil, fmt.Errorf("the entry %d is replaced by the entry %d, and a replacement %w: replace that one", was.ID, was.ReplacedBy, store.ErrExists)
	}
	if !slices.Contains(ids, was.ID) {
		ids = append(ids, was.ID)
	}
	return ids, nil
}

// shown returns what the column of that name has.
func shown(e *store.Entry, m *store.Meeting) int {
	switch {
	case !m.Published || e.OnlineSince.IsZero():
		return 0
	case e.Published:
		return 2
	}
	return 1
}

// wordsOf returns the words of an entry, with a space before each.
func wordsOf(e *store.Entry, meetingTitle string) string {
	words := store.Words(strings.Join([]string{e.Title, e.Number, e.FileName, meetingTitle}, " "))
	slices.Sort(words)
	words = slices.Compact(words)
	return " " + strings.Join(words, " ")
}

// putWords replaces the words of an entry.
func putWords(t tx, e *store.Entry, meetingTitle string) error {
	words := wordsOf(e, meetingTitle)
	if _, err := t.exec("UPDATE entries SET words = ? WHERE id = ?", words, e.ID); err != nil {
		return err
	}
	_, err := t.exec("INSERT OR REPLACE INTO search (rowid, words) VALUES (?, ?)", e.ID, words)
	return err
}

// Publish implements [store.Store].
func (s *Store) Publish(ctx context.Context, ids []int64, download bool, at time.Time) error {
	return s.updateEntries(ctx, ids, func(e *store.Entry) {
		if e.OnlineSince.IsZero() {
			e.OnlineSince = store.Milliseconds(at)
		}
		e.Published, e.Download, e.WithdrawnAt = true, download, time.Time{}
	})
}

// Withdraw implements [store.Store].
func (s *Store) Withdraw(ctx context.Context, ids []int64, at time.Time) error {
	return s.updateEntries(ctx, ids, func(e *store.Entry) {
		if e.Published {
			e.Published, e.Download, e.WithdrawnAt = false, false, store.Milliseconds(at)
		}
	})
}

// updateEntries changes what is published of entries: of all, or of none.
func (s *Store) updateEntries(ctx context.Context, ids []int64, change func(*store.Entry)) error {
	return s.update(ctx, func(t tx) (changed bool, err error) {
		for _, id := range ids {
			e, err := entryIn(t.ctx, t, id)
			if err != nil {
				return false, err
			}
			was := e
			if change(&e); e == was {
				continue
			}
			m := store.Meeting{Published: true}
			if e.Meeting != "" {
				if m, err = meetingIn(t.ctx, t, e.Meeting); err != nil {
					return false, err
				}
			}
			changed = true
			_, err = t.exec("UPDATE entries SET published = ?, download = ?, online_since = ?, withdrawn_at = ?, shown = ? WHERE id = ?",
				e.Published, e.Download, millis(e.OnlineSince), millis(e.WithdrawnAt), shown(&e, &m), id)
			if err != nil {
				return false, err
			}
		}
		return changed, nil
	})
}

// Entry implements [store.Store].
func (s *Store) Entry(ctx context.Context, id int64) (store.Entry, error) {
	e, err := entryIn(ctx, s.read, id)
	return e, s.explain(err)
}

func entryIn(ctx context.Context, q queryer, id int64) (store.Entry, error) {
	var r entryRow
	err := q.QueryRowContext(ctx, "SELECT "+entryColumns+" FROM entries e WHERE e.id = ?", id).Scan(scanEntry(&r)...)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("the entry %d is %w", id, store.ErrNotFound)
	}
	return r.entry(), err
}
