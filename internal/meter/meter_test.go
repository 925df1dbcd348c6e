package meter

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

type sum struct {
	mu      sync.Mutex
	n       int
	seconds float64
}

func (s *sum) Observe(v float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.seconds += v
}

// Whatever outcomes occur, only the known ones are counted by name, so the number of graphs is
// fixed.
func TestUnknownOutcomesAreCountedAsOther(t *testing.T) {
	var latency sum
	o := NewOutcomes([]int{200, 404, 500, 503}, 500, &latency)
	list := func() (got string) {
		o.Each(func(outcome int, n uint64) { got += fmt.Sprintf("%d:%d ", outcome, n) })
		return got
	}
	if got := list(); got != "200:0 " {
		t.Errorf("before the first: %q; success is always listed", got)
	}
	var wg sync.WaitGroup
	for _, outcome := range []int{404, 500, 418, -1, 404} {
		wg.Go(func() { o.Done(outcome, 2*time.Second) })
	}
	wg.Wait()
	if got := list(); got != "200:0 404:2 500:3 " {
		t.Errorf("after five: %q", got)
	}
	if latency.n != 5 || latency.seconds != 10 {
		t.Errorf("%d latencies of %v seconds in all, want 5 of 10", latency.n, latency.seconds)
	}
	NewOutcomes([]int{0}, 0, nil).Done(0, time.Second) // without an observer
}
