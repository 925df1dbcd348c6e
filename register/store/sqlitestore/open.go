package sqlitestore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"ancre/internal/atomicfile"
	"ancre/register/store"

	"github.com/gofrs/flock"
)

// applicationID stands in the header of our databases: "ANCR".
const applicationID = 0x414e4352

const (
	dirMode  = 0o700
	fileMode = 0o600
)

const remedyDir = "it must be a directory that the user of ancre-register can read and write, on a disk that is not mounted read-only"

// prepare makes the directory and an empty database if there is none, refuses what is no database
// of ours, and takes the lock.
func prepare(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("make the directory of the register: %w; %s", err, remedyDir)
	}
	for _, name := range []string{Lock, File, File + "-wal", File + "-shm"} {
		if err := refuseStrange(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, Lock)
	lock := flock.New(path, flock.SetPermissions(fileMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the register: %w; %s: %s", err, dir, remedyDir)
	}
	if !ok {
		return nil, fmt.Errorf("the register in %s is %w: stop that one first", dir, store.ErrInUse)
	}
	if err := errors.Join(prepareFile(filepath.Join(dir, File)), sweep(dir)); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock, nil
}

// refuseStrange refuses what is not a regular file: a symbolic link could lead to a file of
// somebody else, and a named pipe would be waited for.
func refuseStrange(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the register: %w; %s", err, remedyDir)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s %w: put the register's own file there, or restore it from a backup", path, &atomicfile.KindError{Mode: info.Mode()})
	}
	return nil
}

// prepareFile makes an empty file with the right mode, which SQLite takes for a new database and
// whose mode it gives to its other files. It looks at one that exists.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("open the register's database: %w; %s", err, remedyDir)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(fileMode); err != nil {
			return fmt.Errorf("close the register's database to others: %w", err)
		}
	}
	if info.Size() == 0 {
		return nil
	}
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%s is %w: it is not a SQLite database. Move it away, and restore the register from a backup", path, store.ErrDamaged)
	}
	return checkHeader(path, header[:], info.Size())
}

// checkHeader refuses a database that is not ours, or newer, before SQLite changes anything in it.
func checkHeader(path string, header []byte, size int64) error {
	has, id := int(binary.BigEndian.Uint32(header[60:])), binary.BigEndian.Uint32(header[68:])
	pageSize := int64(binary.BigEndian.Uint16(header[16:]))
	log, err := os.Stat(path + "-wal")
	switch {
	case id == applicationID:
		return checkVersion(path, has)
	case id != 0:
		return notOurs(path)
	case size > pageSize && (err != nil || log.Size() == 0):
		return notOurs(path)
	}
	// The process was killed before it wrote its first tables, or before they were copied from the
	// log. In the second case migrate looks at them.
	return nil
}

func checkVersion(path string, has int) error {
	if has <= version {
		return nil
	}
	return fmt.Errorf("%s has schema %d, and this program knows schemas up to %d: use the newer ancre-register that made it, or a later one",
		path, has, version)
}

func notOurs(path string) error {
	return fmt.Errorf("%s is a database of another program: move it away, or give the register another directory", path)
}

// access is what a pool of connections is for.
type access int

const (
	toWrite access = iota // one connection
	toRead                // several that cannot write
	toCopy                // one that reads, and may write another file
)

// connect opens a pool of connections.
func connect(path string, use access) (*sql.DB, error) {
	query := url.Values{"mode": {"rw"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"trusted_schema(0)", "cell_size_check(1)", "temp_store(MEMORY)",
		"cache_size(-8192)",            // KiB of each connection
		"journal_size_limit(67108864)", // the log shrinks to this again after a large write
	}}
	conns := 1
	switch use {
	case toWrite:
		query.Set("_txlock", "immediate")
	case toRead:
		query.Set("_query_only", "1")
		conns = max(4, runtime.GOMAXPROCS(0))
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.Ping(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return db, nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// version is the newest schema: the number of the last file in migrations.
const version = 1

// migrate brings the database to the present schema, one version after another, each in a
// transaction of its own. A file that was released never changes again.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	var has, id, tables int
	for query, into := range map[string]*int{
		"PRAGMA user_version": &has, "PRAGMA application_id": &id, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(into); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
	}
	if id != applicationID && tables > 0 {
		return notOurs(path)
	}
	if err := checkVersion(path, has); err != nil {
		return err
	}
	for n := has + 1; n <= version; n++ {
		if err := migrateTo(ctx, db, n); err != nil {
			return fmt.Errorf("bring %s from schema %d to %d: %w", path, n-1, n, err)
		}
	}
	return nil
}

func migrateTo(ctx context.Context, db *sql.DB, n int) error {
	text, err := migrations.ReadFile(fmt.Sprintf("migrations/%04d.sql", n))
	if err != nil {
		return err
	}
	begun, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer begun.Rollback()
	if _, err := begun.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	// Both are in the header of the file, and part of the transaction.
	if _, err := begun.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, n)); err != nil {
		return err
	}
	return begun.Commit()
}
