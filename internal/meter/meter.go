// Package meter counts what servers answer, for an operator's graphs. It knows no metrics library:
// a room counts in plain numbers, and observes distributions through [Observer].
package meter

import (
	"slices"
	"sync/atomic"
	"time"
)

// Observer takes one measurement of a distribution, such as a latency in seconds. A histogram of
// any metrics library is one. It may be called from many goroutines.
type Observer interface{ Observe(float64) }

// Outcomes counts how often one thing, such as a method or a route, ended in each of a fixed set of
// outcomes, such as error codes or HTTP statuses. It may be used by any number of goroutines.
//
// The set is fixed so that callers cannot make up names for an operator's graphs.
type Outcomes struct {
	known   []int // the first is success
	other   int   // index of the outcome that stands for all others
	counts  []atomic.Uint64
	latency Observer // nil: not measured
}

// NewOutcomes returns counters at zero. The first of known is success. An outcome that is not among
// known is counted as other, which must be among them. If latency is nil, latency is not recorded.
func NewOutcomes(known []int, other int, latency Observer) *Outcomes {
	at := slices.Index(known, other)
	if at < 0 {
		panic("meter: the outcome for all others is not a known one")
	}
	return &Outcomes{known: known, other: at, counts: make([]atomic.Uint64, len(known)), latency: latency}
}

// Done counts one that ended with an outcome and took so long.
func (o *Outcomes) Done(outcome int, took time.Duration) {
	at := slices.Index(o.known, outcome)
	if at < 0 {
		at = o.other
	}
	o.counts[at].Add(1)
	if o.latency != nil {
		o.latency.Observe(took.Seconds())
	}
}

// Each calls f with the count of success, and with that of each other outcome that has occurred.
func (o *Outcomes) Each(f func(outcome int, n uint64)) {
	for i, outcome := range o.known {
		if n := o.counts[i].Load(); n > 0 || i == 0 {
			f(outcome, n)
		}
	}
}
