package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "register")
	s, err := Open(dir, Options{})
	must(t, err)
	_, _, err = s.AddEntry(t.Context(), storetest.Document(1, ""))
	must(t, err)
	look := func() {
		t.Helper()
		must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode().Perm())
			}
			return err
		}))
	}
	look()
	must(t, s.Close())
	must(t, os.Chmod(filepath.Join(dir, File), 0o644))
	s, err = Open(dir, Options{})
	must(t, err)
	look()
	must(t, s.Close())
}

func TestAnyDirectoryWillDo(t *testing.T) {
	for _, name := range []string{"a b", "50%25", "a?mode=ro&b", "a#b", "été", "a[b]*", "a;b'c\""} {
		dir := filepath.Join(t.TempDir(), name)
		s, err := Open(dir, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		must(t, s.Claim(t.Context(), "regtest"))
		must(t, s.Backup(t.Context(), func(int64, io.Reader) error { return nil }))
		must(t, s.Close())
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Errorf("%s has %v (%v), want the database and the lock", name, entries, err)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	must(t, err)
	if _, err := Open(dir, Options{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("%v, want ErrInUse", err)
	}
	must(t, s.Close())
	s, err = Open(dir, Options{})
	must(t, err)
	must(t, s.Close())
}

// raw makes a database with other means than ours.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(statement, err)
		}
	}
}

func TestWhatIsNotOurDatabaseIsRefusedAndStays(t *testing.T) {
	newer := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version+1)
	for name, c := range map[string]struct {
		make func(path string)
		want string
	}{
		"a newer version":               {func(path string) { raw(t, path, "CREATE TABLE a (b)", newer) }, "use the newer ancre-register"},
		"a database without a mark":     {func(path string) { raw(t, path, "CREATE TABLE a (b)") }, "of another program"},
		"a database of another program": {func(path string) { raw(t, path, "PRAGMA application_id = 7") }, "of another program"},
		"a text":                        {func(path string) { must(t, os.WriteFile(path, []byte(strings.Repeat("a text ", 100)), 0o600)) }, "is not a SQLite database"},
		"a short text":                  {func(path string) { must(t, os.WriteFile(path, []byte("a text"), 0o600)) }, "restore the register from a backup"},
		"a directory":                   {func(path string) { must(t, os.Mkdir(path, 0o700)) }, "is a directory"},
		"a symbolic link": {func(path string) {
			raw(t, path+".real", newer)
			must(t, os.Symlink(path+".real", path))
		}, "is a symbolic link"},
		"a symbolic link for the log": {func(path string) { must(t, os.Symlink("/dev/null", path+"-wal")) }, "is a symbolic link"},
		"a symbolic link for the lock": {func(path string) {
			must(t, os.Symlink("/dev/null", filepath.Join(filepath.Dir(path), Lock)))
		}, "is a symbolic link"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, File)
		c.make(path)
		before, _ := os.ReadFile(path)
		_, err := Open(dir, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q and the path", name, err, c.want)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s was changed", name)
		}
	}
}

// A process that is killed while it makes the database leaves an empty one, or one without tables.
func TestAnUnfinishedDatabaseIsFinished(t *testing.T) {
	for name, begin := range map[string]func(path string){
		"empty":          func(path string) { must(t, os.WriteFile(path, nil, 0o600)) },
		"without tables": func(path string) { raw(t, path, "PRAGMA journal_mode = WAL") },
	} {
		dir := t.TempDir()
		begin(filepath.Join(dir, File))
		left := filepath.Join(dir, copyName+"-123")
		must(t, os.WriteFile(left, []byte("half a copy"), 0o600))
		s, err := Open(dir, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		must(t, s.Claim(t.Context(), "regtest"))
		must(t, s.Close())
		if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: half a copy is still there: %v", name, err)
		}
	}
}

// example fills a store with something of everything. Never change it: the databases in testdata
// were made with it.
func example(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	must(t, s.Claim(ctx, "regtest"))
	must(t, s.PutBodies(ctx, storetest.Bodies))
	m := storetest.Session("2026-12-15")
	m.Title, m.Published = "Budget", true
	m, _, err := s.AddMeeting(ctx, m)
	must(t, err)
	for n := range 4 {
		e := storetest.Document(n, m.ID)
		e.FileName, e.Published = fmt.Sprintf("pièce %d.pdf", n/2), n > 1
		_, _, err := s.AddEntry(ctx, e)
		must(t, err)
	}
	_, _, err = s.AddEntry(ctx, storetest.Document(9, ""))
	must(t, err)
	must(t, s.Publish(ctx, []int64{1, 5}, true, storetest.At("2026-12-01T10:00:00Z")))
	must(t, s.Withdraw(ctx, []int64{5}, storetest.At("2026-12-02T10:00:00Z")))
	must(t, s.Follow(ctx, []store.Proof{{Digest: storetest.Digest(1), State: store.Mined, Batch: 3, Height: 900_000, BlockHash: storetest.Digest(7).String()}}, "cursor"))
}

// TestEachVersionIsBroughtUp opens a database of each version that there has been. The files in
// testdata are made once for each: ANCRE_WRITE_VERSION=1 go test -run EachVersion.
func TestEachVersionIsBroughtUp(t *testing.T) {
	if os.Getenv("ANCRE_WRITE_VERSION") != "" {
		dir := t.TempDir()
		s, err := Open(dir, Options{Now: func() time.Time { return storetest.At("2026-11-30T10:00:00Z") }})
		must(t, err)
		example(t, s)
		must(t, s.Close())
		content, err := os.ReadFile(filepath.Join(dir, File))
		must(t, err)
		must(t, os.WriteFile(fmt.Sprintf("testdata/version%d.db", version), content, 0o644))
	}
	want, err := Open(t.TempDir(), Options{Now: func() time.Time { return storetest.At("2026-11-30T10:00:00Z") }})
	must(t, err)
	defer want.Close()
	example(t, want)
	for n := 1; n <= version; n++ {
		dir := t.TempDir()
		content, err := os.ReadFile(fmt.Sprintf("testdata/version%d.db", n))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, File), content, 0o600))
		for range 2 { // brought up, and opened again
			s, err := Open(dir, Options{})
			must(t, err)
			must(t, s.Check(t.Context()))
			if got, want := dump(t, s), dump(t, want); got != want {
				t.Errorf("version %d has\n%s\nwant\n%s", n, got, want)
			}
			must(t, s.Close())
		}
	}
}

// dump returns all that a store has, and its schema.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	var out strings.Builder
	rows, err := s.read.QueryContext(t.Context(), "SELECT coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'search%' ORDER BY type, name")
	schema, err := collect(rows, err, func(text *string) []any { return []any{text} })
	must(t, err)
	fmt.Fprintln(&out, schema)
	for _, table := range []string{"register", "bodies", "meetings", "proofs", "entries"} {
		rows, err := s.read.QueryContext(t.Context(), "SELECT * FROM "+table+" ORDER BY 1")
		must(t, err)
		columns, err := rows.Columns()
		must(t, err)
		for rows.Next() {
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			must(t, rows.Scan(into...))
			fmt.Fprintln(&out, table, row)
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
	}
	found, err := s.Entries(context.Background(), store.EntryQuery{Text: "budget piece"})
	must(t, err)
	fmt.Fprintln(&out, len(found), "found")
	return out.String()
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	entries, err := migrations.ReadDir("migrations")
	must(t, err)
	if len(entries) != version {
		t.Errorf("there are %d migrations, and the version is %d", len(entries), version)
	}
	for i, e := range entries {
		if want := fmt.Sprintf("%04d.sql", i+1); e.Name() != want {
			t.Errorf("migration %d is %s, want %s", i+1, e.Name(), want)
		}
	}
}

// A flipped byte is found by Check, or it is in a place that has no content.
func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	must(t, err)
	example(t, s)
	must(t, s.Close())
	path := filepath.Join(dir, File)
	whole, err := os.ReadFile(path)
	must(t, err)
	for name, damage := range map[string]func([]byte) []byte{
		"cut in the middle": func(b []byte) []byte { return b[:len(b)/2] },
		"a page of zeros":   func(b []byte) []byte { clear(b[4096*3 : 4096*4]); return b },
		"the schema":        func(b []byte) []byte { clear(b[200:4096]); return b },
		"a digest":          func(b []byte) []byte { return flip(b, storetest.Digest(1)) },
		"a title": func(b []byte) []byte {
			return []byte(strings.ReplaceAll(string(b), "Délibération 2", "Délibération 9"))
		},
		"a file name": func(b []byte) []byte { return []byte(strings.Replace(string(b), "pièce 1.pdf", "pièce 8.pdf", 1)) },
	} {
		must(t, os.WriteFile(path, damage([]byte(string(whole))), 0o600))
		s, err := Open(dir, Options{})
		if err == nil {
			err = s.Check(t.Context())
			s.Close()
		}
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
		_ = os.Remove(path + "-wal")
		_ = os.Remove(path + "-shm")
	}
}

// flip changes one bit of the first digest.
func flip(b []byte, d store.Digest) []byte {
	i := strings.Index(string(b), string(d[:]))
	b[i] ^= 1
	return b
}
