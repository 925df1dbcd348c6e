package budget

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const long = time.Minute // no test waits for it

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()+1) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func withClock(size int64, maxWait time.Duration) (*Budget, *clock) {
	b, c := New(size, maxWait), new(clock)
	b.now = c.now
	return b, c
}

func mustAcquire(t *testing.T, b *Budget, user string, n int64, cut func()) *Hold {
	t.Helper()
	h, err := b.Acquire(t.Context(), user, n, cut)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// acquires starts an Acquire and returns once it waits.
func acquires(t *testing.T, b *Budget, user string, n int64) <-chan *Hold {
	t.Helper()
	b.mu.Lock()
	before := len(b.waiting)
	b.mu.Unlock()
	got := make(chan *Hold, 1)
	go func() {
		h, err := b.Acquire(context.Background(), user, n, nil)
		if err != nil {
			t.Error(err)
		}
		got <- h
	}()
	for {
		b.mu.Lock()
		waits := len(b.waiting) > before
		b.mu.Unlock()
		if waits {
			return got
		}
		time.Sleep(time.Millisecond) // polls for the condition
	}
}

func TestAPartIsFreeAgainOnceItIsReleased(t *testing.T) {
	b := New(10, long)
	first := mustAcquire(t, b, "a", 7, nil)
	second := acquires(t, b, "a", 4)
	first.Release()
	first.Release() // does nothing
	(*Hold)(nil).Release()
	(<-second).Release()
	if b.free != 10 || len(b.held) != 0 || len(b.holds) != 0 {
		t.Errorf("in the end %d of 10 are free; held: %v", b.free, b.held)
	}
	all := mustAcquire(t, b, "a", 11, nil) // counts as all there is
	all.GrowTo(15)
	if b.free != -5 {
		t.Errorf("%d are free, want -5", b.free)
	}
	all.Release()
	b.Take("a", 12, nil).Release()
	if b.free != 10 {
		t.Errorf("in the end %d of 10 are free", b.free)
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	b := New(1, 20*time.Millisecond)
	defer mustAcquire(t, b, "a", 1, nil).Release()
	if _, err := b.Acquire(t.Context(), "b", 1, nil); !errors.Is(err, ErrFull) {
		t.Errorf("a budget that is used up: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Acquire(ctx, "b", 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who went away: %v", err)
	}
	if len(b.waiting) != 0 {
		t.Error("those who gave up still wait")
	}
}

func TestAFreePartGoesToTheUserWhoHoldsLeast(t *testing.T) {
	b := New(2, long)
	first, second := mustAcquire(t, b, "greedy", 1, nil), mustAcquire(t, b, "greedy", 1, nil)
	third := acquires(t, b, "greedy", 1)
	other := acquires(t, b, "modest", 1)
	first.Release()
	got := <-other // before the one that came first
	select {
	case <-third:
		t.Error("more was granted than there is")
	default:
	}
	second.Release()
	(<-third).Release()
	got.Release()
}

func TestALargePartIsNotOvertakenForEver(t *testing.T) {
	b := New(4, long)
	a, c := mustAcquire(t, b, "a", 2, nil), mustAcquire(t, b, "b", 2, nil)
	large := acquires(t, b, "c", 4)
	a.Release()
	small := acquires(t, b, "d", 1)
	select {
	case <-small:
		t.Error("a small part overtook the large one that waits")
	default:
	}
	c.Release()
	(<-large).Release()
	(<-small).Release()
}

// Only a holder that keeps the server waiting is displaced, and only while another caller waits.
func TestAHolderThatKeepsTheServerWaitingIsDisplaced(t *testing.T) {
	b, now := withClock(3, long)
	var mu sync.Mutex
	cut := make(map[string]bool)
	hold := func(name string) *Hold {
		return mustAcquire(t, b, name, 1, func() { mu.Lock(); defer mu.Unlock(); cut[name] = true })
	}
	works, moves, stuck := hold("works"), hold("moves"), hold("stuck")
	moves.Waits()
	stuck.Waits()
	now.advance(10 * Grace)
	moves.Moved(MinRate * int(10*Grace/time.Second))
	b.displace()
	if len(cut) != 0 {
		t.Errorf("%v lost their parts while nobody needs them", cut)
	}
	waits := acquires(t, b, "new", 1)
	b.displace()
	b.displace()
	mu.Lock()
	if !cut["stuck"] || len(cut) != 1 || !stuck.Cut() || moves.Cut() || works.Cut() {
		t.Errorf("displaced were %v, want the one that is stuck", cut)
	}
	mu.Unlock()
	stuck.Release()
	(<-waits).Release()
	moves.Works()
	if moves.late(now.now()) > 0 {
		t.Error("a holder that the server does not wait for is late")
	}
	moves.Release()
	works.Release()
}

func TestFewCallersOfOneUserWait(t *testing.T) {
	b := New(1, long)
	first := mustAcquire(t, b, "a", 1, nil)
	var all []<-chan *Hold
	for range MaxWaiting {
		all = append(all, acquires(t, b, "a", 1))
	}
	if _, err := b.Acquire(t.Context(), "a", 1, nil); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	other := acquires(t, b, "b", 1)
	first.Release()
	(<-other).Release() // of the other user, who holds nothing
	for _, h := range all {
		(<-h).Release()
	}
}
