package sqlitestore

import (
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
