package sqlitestore

import (
	"database/sql"
	"testing"
	"time"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

func openForTest(t testing.TB, dir string, now func() time.Time) store.Store {
	t.Helper()
	s, err := Open(dir, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) { storetest.Run(t, openForTest) }

// The same for words that many entries have.
func TestStoreWithCommonWords(t *testing.T) {
	defer func(was int) { maxMatches = was }(maxMatches)
	maxMatches = 1
	storetest.Run(t, openForTest)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What a crash, and a loss of power, cannot undo rests on these settings: a process that is killed
// does not show that one of them is missing.
func TestConnectionsAreSafe(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	must(t, err)
	defer s.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "busy_timeout": "10000"} {
		for name, db := range map[string]*sql.DB{"writing": s.write, "reading": s.read} {
			var got string
			must(t, db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			if got != want {
				t.Errorf("%s: %s is %s, want %s", name, pragma, got, want)
			}
		}
	}
	if _, err := s.read.ExecContext(t.Context(), "UPDATE register SET revision = 7"); err == nil {
		t.Error("a connection that reads can write")
	}
}
