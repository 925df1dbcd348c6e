package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/register/store"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// explain gives an error of SQLite the sentinel of the contract, and a remedy.
func (s *Store) explain(err error) error {
	if errors.Is(err, sql.ErrConnDone) || err != nil && err.Error() == "sql: database is closed" {
		return fmt.Errorf("the register's store is closed: %w", err)
	}
	var failed *sqlite.Error
	if !errors.As(err, &failed) || errors.Is(err, context.Canceled) {
		return err
	}
	switch code := failed.Code(); code {
	case sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC:
		return fmt.Errorf("%w: %s could not be synced: look at the disk, then restart ancre-register: %w", store.ErrFailed, s.dir, err)
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMMAP:
		if free, ok := diskspace.Free(s.dir); ok && free < smallDisk {
			return s.full(err)
		}
	}
	switch failed.Code() & 0xff { // the rest says where it happened
	case sqlite3.SQLITE_FULL:
		return s.full(err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the register's database in %s is %w: restore it from a backup: %w", s.dir, store.ErrDamaged, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w; %s: %s", err, s.dir, remedyDir)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("the register's database in %s is %w, such as a browser for SQLite files: end it: %w", s.dir, store.ErrInUse, err)
	}
	return err
}

// smallDisk is so little space that a write that failed failed for want of it.
const smallDisk = 1 << 20

func (s *Store) full(err error) error {
	left := ""
	if free, ok := diskspace.Free(s.dir); ok {
		left = ", " + humanize.Bytes(int64(free)) + " are left"
	}
	return fmt.Errorf("%w: free some space on the disk of %s%s: %w", store.ErrFull, s.dir, left, err)
}
