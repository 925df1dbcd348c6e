package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ancre/register/store"
)

// maxFindings is how many damages an error of Check names.
const maxFindings = 20

// Check implements [store.Store]. SQLite compares the pages of the file with each other, and the
// indexes with their tables. Beyond that, what the engine derives from a row, such as its words,
// must follow from it: that finds most changed bytes in texts.
func (s *Store) Check(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		return s.explain(err)
	}
	// On a connection that has searched before, FTS5 checks its table against what it remembers of
	// it, and takes what other connections have written since for damage.
	db, err := connect(filepath.Join(s.dir, File), toCopy)
	if err != nil {
		return s.explain(err)
	}
	found, err := checkPages(ctx, db)
	if err == nil && len(found) == 0 { // rows of a broken file say nothing
		found, err = checkRows(ctx, db)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return s.explain(err)
	}
	if len(found) == 0 {
		return nil
	}
	if more := len(found) - maxFindings; more > 0 {
		found = append(found[:maxFindings], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("the register's database in %s is %w: restore it from a backup: %s", s.dir, store.ErrDamaged, strings.Join(found, "; "))
}

// checkPages has SQLite look at the file.
func checkPages(ctx context.Context, db *sql.DB) (found []string, err error) {
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check")
	lines, err := collect(rows, err, func(line *string) []any { return []any{line} })
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(lines, func(line string) bool { return line == "ok" })
	rows, err = db.QueryContext(ctx, `SELECT "table", rowid, parent FROM pragma_foreign_key_check`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var table, parent string
		var id sql.NullInt64
		if err := rows.Scan(&table, &id, &parent); err != nil {
			return nil, err
		}
		found = append(found, fmt.Sprintf("row %d of %s has no row of %s", id.Int64, table, parent))
	}
	return found, rows.Err()
}

// derivedRow is an entry with what follows from it and from its meeting.
type derivedRow struct {
	entryRow
	at, shown, kindPlace int64
	numberKey, words     string
	start                sql.NullInt64
	title                sql.NullString
	published            sql.NullBool
	indexed              bool
}

// checkRows compares what is derived with what it is derived from.
func checkRows(ctx context.Context, db *sql.DB) (found []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+entryColumns+`, e.at, e.shown, e.kind_place, e.number_key, e.words, m.start, m.title, m.published,
		EXISTS (SELECT 1 FROM search_docsize d WHERE d.id = e.id) FROM entries e LEFT JOIN meetings m ON m.id = e.meeting ORDER BY e.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r derivedRow
		into := append(scanEntry(&r.entryRow), &r.at, &r.shown, &r.kindPlace, &r.numberKey, &r.words, &r.start, &r.title, &r.published, &r.indexed)
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		if err := r.check(); err != nil {
			found = append(found, fmt.Sprintf("entry %d: %v", r.ID, err))
		}
	}
	return found, rows.Err()
}

func (r *derivedRow) check() error {
	e := r.entry()
	m := store.Meeting{Start: e.AddedAt, Published: true}
	if e.Meeting != "" {
		if err := (timeColumn{&m.Start}).Scan(r.start.Int64); err != nil {
			return err
		}
		m.Title, m.Published = r.title.String, r.published.Bool
	}
	same := e
	if err := same.Check(); err != nil {
		return err
	}
	switch {
	case same != e:
		return errors.New("its texts are not as they were stored")
	case r.words != wordsOf(&e, m.Title) || !r.indexed:
		return errors.New("its words are not those of its title, number, name and meeting")
	case r.at != m.Start.UnixMilli():
		return errors.New("its time is not that of its meeting")
	case r.shown != int64(shown(&e, &m)):
		return errors.New("whether it is shown does not follow from when it was published")
	case r.kindPlace != int64(slices.Index(store.Kinds, e.Kind)) || r.numberKey != store.NumberKey(e.Number):
		return errors.New("its place in the order is not that of its kind and number")
	}
	return nil
}
