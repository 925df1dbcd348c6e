package pebblestore

import (
	"strings"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"

	"go.uber.org/goleak"
)

// Pebble leaves this goroutine behind when it cannot open a database. Ours all have to end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

func openForTest(t *testing.T, dir string) store.Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) { storetest.Run(t, openForTest) }

func TestSnapshots(t *testing.T) { storetest.RunSnapshots(t, openForTest) }

// A restored store has the key of the one that was backed up, or none of its digests would be found
// again.
func TestKeyCanBeGivenToANewStoreOnly(t *testing.T) {
	dir := t.TempDir()
	key := [32]byte{1, 2, 3}
	for range 2 { // made, and opened again
		s, err := Open(dir, Options{Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if s.Key() != key {
			t.Errorf("key %x, want %x", s.Key(), key)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, Options{Key: &[32]byte{4}}); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key for a store that exists: %v", err)
	}
}
