package sqlitestore

import (
	"database/sql"
	"fmt"
	"time"

	"ancre/register/store"
)

// millis returns a time as it is kept: NULL for the zero time.
func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// timeColumn scans a time.
type timeColumn struct{ t *time.Time }

func (c timeColumn) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*c.t = time.Time{}
	case int64:
		*c.t = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("%w: a time is %T", store.ErrDamaged, value)
	}
	return nil
}

// digestColumn scans a digest.
type digestColumn struct{ d *store.Digest }

func (c digestColumn) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok || len(b) != len(c.d) {
		return fmt.Errorf("%w: a digest is %T of %d bytes", store.ErrDamaged, value, len(b))
	}
	copy(c.d[:], b)
	return nil
}

// textOrNull is NULL for the empty text, and an integer that is 0 for none.
func textOrNull(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
func idOrNull(id int64) sql.NullInt64    { return sql.NullInt64{Int64: id, Valid: id != 0} }

// collect scans all rows.
func collect[T any](rows *sql.Rows, err error, scan func(*T) []any) (all []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one T
		if err := rows.Scan(scan(&one)...); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
