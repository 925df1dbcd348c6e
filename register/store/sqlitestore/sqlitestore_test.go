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
