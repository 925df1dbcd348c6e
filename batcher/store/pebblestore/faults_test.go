package pebblestore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCrashLosesNothing stops the world before every so manyth change of the file system, keeps
// none, some or all of what was not synced, and opens what is left.
func TestCrashLosesNothing(t *testing.T) {
	steps, every := 64, int64(23)
	if testing.Short() {
		steps, every = 24, 19
	}
	mem := vfs.NewCrashableMem()
	var p progress
	var ops, crashes atomic.Int64
	rng := rand.New(rand.NewPCG(1, 2))
	var crash sync.Mutex
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if n := ops.Add(1); n%every == 0 {
			crash.Lock()
			defer crash.Unlock()
			for _, kept := range []int{0, 50, 100} {
				if err := p.crash(mem, kept, rng); err != nil {
					t.Errorf("crash before change %d (%s %s), %d%% of what was not synced kept: %v", n, op, name, kept, err)
				}
				crashes.Add(1)
			}
		}
		return change()
	}}
	s, err := p.run(fs, steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes, %d crashes", ops.Load(), crashes.Load())
}

var errInjected = errors.New("injected")

// TestFaultEndsWriting makes changes of the file system fail once, each before or after it took
// effect.
func TestFaultEndsWriting(t *testing.T) {
	any := func(op, name string) bool { return true }
	manifest := func(op, name string) bool { return strings.Contains(name, "MANIFEST") }
	for _, c := range []struct {
		name   string
		match  func(op, name string) bool
		steps  int
		stride int64
	}{
		{"each change of one batch", any, stepsPerBatch + 1, 1},
		{"any change", any, 28, 11},
		// Each flush and each compaction writes it, and what it replaces is deleted: much has to
		// happen.
		{"the manifest", manifest, 90, 3},
		{"the index", isOfIndex, 40, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() {
				c.stride *= 11
			}
			failures := 0
			for _, took := range []bool{false, true} {
				at := int64(1)
				for ; !t.Failed(); at += c.stride {
					hit, failed := faultAt(t, c.steps, at, took, c.match)
					if failed {
						failures++
					}
					if !hit {
						break
					}
				}
				t.Logf("took effect: %t: %d changes", took, at)
			}
			t.Logf("%d faults ended the writing", failures)
			if failures == 0 {
				t.Error("no fault ended the writing")
			}
		})
	}
}

// faultAt runs the workload with one fault, at the given one of the changes that match. It says
// whether the fault came to pass and whether it ended the writing.
func faultAt(t *testing.T, steps int, at int64, took bool, match func(op, name string) bool) (hit, failed bool) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	var p progress
	var ops atomic.Int64
	var what atomic.Pointer[string]
	fs := &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if !match(op, name) || ops.Add(1) != at {
			return change()
		}
		what.Store(ptr(op + " " + name))
		if took || op == "close" {
			_ = change()
		}
		return fmt.Errorf("%s: %w", op, errInjected)
	}}
	fail := func(format string, args ...any) {
		t.Helper()
		name := "none"
		if w := what.Load(); w != nil {
			name = *w
		}
		t.Errorf("fault at change %d (%s), took effect: %t: %s", at, name, took, fmt.Sprintf(format, args...))
	}

	s, err := p.run(fs, steps)
	key, acked := p.get()
	if s == nil {
		failed = true
		if !errors.Is(err, errInjected) && !errors.Is(err, store.ErrFailed) {
			fail("open: %v, want the fault", err)
		}
	} else {
		if err != nil {
			failed = true
			if !errors.Is(err, store.ErrFailed) {
				fail("%v, want one that wraps ErrFailed", err)
			}
			for n := range 2 * stepsPerBatch { // appends and updates
				if err := step(s, acked+n); !errors.Is(err, store.ErrFailed) {
					fail("a write after the failure: %v, want one that wraps ErrFailed", err)
					break
				}
			}
		}
		n, err := stepsIn(s)
		if err != nil || n != acked && n != acked+1 {
			fail("reads after the failure: as after %d steps, %d were acknowledged: %v", n, acked, err)
		}
		acked = n // the write that failed may have happened, but what was read must stay
		if err := within(s.Close); errors.Is(err, errHangs) || !failed && err != nil && !errors.Is(err, store.ErrFailed) {
			fail("close: %v", err)
		}
	}
	// The process starts again, after a power cut or as it is. (A crash clone never shows deletions
	// that were not synced.)
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := recovered(clone, key, acked, acked); err != nil {
		fail("started again after a power cut: %v", err)
	}
	if err := recovered(mem, key, acked, acked); err != nil {
		fail("started again: %v", err)
	}
	return what.Load() != nil, failed
}

func ptr[T any](v T) *T { return &v }

var errHangs = errors.New("it hangs")

// within calls f, and gives up on it after a generous while. On a machine that has much else to do
// a start may take a minute, because Pebble looks for the bit that makes a checksum wrong.
func within(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Minute):
		return errHangs
	}
}

// TestAcknowledgementWaitsForSync holds the sync of the log back: until it is through, nothing is
// acknowledged, and nothing of the write can be read.
func TestAcknowledgementWaitsForSync(t *testing.T) {
	var hold atomic.Bool
	reached, through := make(chan struct{}, 100), make(chan struct{})
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		if hold.Load() && op == "sync" && strings.HasSuffix(name, ".log") {
			reached <- struct{}{}
			<-through
		}
		return change()
	}}
	s, err := Open(testDir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := step(s, 0); err != nil {
		t.Fatal(err)
	}
	hold.Store(true)
	acked := make(chan error, 1)
	go func() { acked <- step(s, 1) }()
	<-reached
	if n, err := stepsIn(s); err != nil || n != 1 {
		t.Errorf("while the sync is held back: as after %d steps, %v; want 1", n, err)
	}
	select {
	case err := <-acked:
		t.Errorf("acknowledged (%v) before the sync", err)
	default:
	}
	hold.Store(false)
	close(through)
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	if n, err := stepsIn(s); err != nil || n != 2 {
		t.Errorf("after the sync: as after %d steps, %v; want 2", n, err)
	}
}
