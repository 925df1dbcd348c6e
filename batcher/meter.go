package batcher

import (
	"sync/atomic"
	"time"

	"ancre/internal/meter"
)

// The counters are for the operator's graphs. They decide nothing, are not stored, and begin at 0
// with the process. For the present state, see [Batcher.Overview].

// Meters take measurements whose distribution matters. If one is nil, it is not measured.
type Meters struct {
	GroupDigests  meter.Observer // digests of a group commit, known ones included
	CommitSeconds meter.Observer // how long a group commit took: look-up, write and sync
}

// Counts is what the batcher has done since the process began.
type Counts struct {
	New, Known uint64 // digests that were accepted: for the first time, and again

	// Submissions that were refused: because too many digests waited, and because the store took
	// no writes.
	Busy, ReadOnly uint64

	Commits uint64 // group commits
	Queue   int    // digests that wait for theirs now

	// Requests for a proof that was complete, and for one that was pending.
	ProofsComplete, ProofsPending uint64

	Versions          uint64 // of anchors, with the first one of each
	Replacements      uint64 // versions that replaced another
	Offers, Unoffered uint64 // how often a version was offered to the network, and how often no peer took it
	FeesSats          uint64 // of the anchors that became final
}

// Counts returns the counters as they are now. It does not touch the disk, or wait for it.
func (b *Batcher) Counts() Counts {
	t := &b.tally
	c := Counts{
		New: t.fresh.Load(), Known: t.known.Load(),
		Busy: t.busy.Load(), ReadOnly: t.readOnly.Load(),
		Commits:        t.commits.Load(),
		ProofsComplete: t.complete.Load(), ProofsPending: t.pending.Load(),
		Versions: t.versions.Load(), Replacements: t.replacements.Load(),
		Offers: t.offers.Load(), Unoffered: t.unoffered.Load(),
		FeesSats: t.fees.Load(),
	}
	b.committer.mu.Lock()
	c.Queue = b.committer.waiting
	b.committer.mu.Unlock()
	return c
}

// tally holds the counters of Counts.
type tally struct {
	Meters
	fresh, known, busy, readOnly atomic.Uint64
	commits                      atomic.Uint64
	complete, pending            atomic.Uint64
	versions, replacements       atomic.Uint64
	offers, unoffered, fees      atomic.Uint64

	newest time.Time // when the newest counted version was made; owned by the payer
}

func (t *tally) begin(m Meters, now time.Time) { t.Meters, t.newest = m, now }

// committed counts a group of n digests, of which fresh ones were new.
func (t *tally) committed(n, fresh int, took time.Duration) {
	t.fresh.Add(uint64(fresh))
	t.known.Add(uint64(n - fresh))
	if fresh == 0 {
		return // nothing was written
	}
	t.commits.Add(1)
	if t.GroupDigests != nil {
		t.GroupDigests.Observe(float64(n))
	}
	if t.CommitSeconds != nil {
		t.CommitSeconds.Observe(took.Seconds())
	}
}

// asked counts a request for a proof, after it was answered.
func (t *tally) asked(complete *bool, err *error) {
	switch {
	case *err != nil:
	case *complete:
		t.complete.Add(1)
	default:
		t.pending.Add(1)
	}
}

// offered counts a broadcast, and the version if this is its first broadcast. Versions are made one
// after the other, so a version counts if it was made after the newest counted one. Versions of an
// earlier process, and versions offered again after a reorganisation, are older than that.
func (t *tally) offered(made time.Time, version int, err error) {
	t.offers.Add(1)
	if err != nil {
		t.unoffered.Add(1)
	}
	if made.After(t.newest) {
		t.newest = made
		t.versions.Add(1)
		if version > 0 {
			t.replacements.Add(1)
		}
	}
}

// paid counts what a final anchor cost.
func (t *tally) paid(sats int64) { t.fees.Add(uint64(max(sats, 0))) }
