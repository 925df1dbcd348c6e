package pebblestore

import (
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"

	"go.uber.org/goleak"
)

// Pebble leaves this goroutine behind when it cannot open a database. Ours all have to end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store {
		t.Helper()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
