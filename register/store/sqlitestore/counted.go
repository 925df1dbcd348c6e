package sqlitestore

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"ancre/register/store"
)

// maxCounted is how many counts are kept: more than visitors ask for between two changes.
const maxCounted = 4096

// counts keeps what CountEntries and Counts answered, until the revision grows: counting reads all
// that is counted.
type counts struct {
	mu       sync.Mutex
	revision uint64
	known    map[string]int
	all      *store.Counts
}

// countKey is what an answer depends on.
func countKey(q store.EntryQuery) string {
	q.Order, q.After, q.Offset, q.Limit = 0, 0, 0, 0
	var meeting, first, digest any
	if q.Meeting != nil {
		meeting = *q.Meeting
	}
	if q.FirstByte != nil {
		first = *q.FirstByte
	}
	if q.Digest != nil {
		digest = *q.Digest
	}
	return fmt.Sprintf("%q %q %v %v %q %d %d %v %v", meeting, q.Kind, digest, first, store.Words(q.Text), q.From.UnixNano(), q.To.UnixNano(), q.PublishedOnly, q.WasPublished) +
		map[bool]string{true: " text"}[q.Text != ""]
}

func (c *counts) get(revision uint64, key string) (n int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revision != revision {
		return 0, false
	}
	n, ok = c.known[key]
	return n, ok
}

// put keeps a count that was read when, or after, the revision was that one.
func (c *counts) put(revision uint64, key string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin(revision) {
		c.known[key] = n
	}
}

// begin forgets what belongs to an older revision, and reports whether the given one is not older.
// The caller holds the lock.
func (c *counts) begin(revision uint64) bool {
	if revision < c.revision {
		return false
	}
	if revision > c.revision || c.known == nil || len(c.known) >= maxCounted {
		c.revision, c.known, c.all = revision, make(map[string]int), nil
	}
	return true
}

// Counts implements [store.Store].
func (s *Store) Counts(ctx context.Context) (store.Counts, error) {
	c := &s.counted
	c.mu.Lock()
	defer c.mu.Unlock()
	revision := s.Revision()
	current := c.begin(revision)
	if current && c.all != nil {
		all := *c.all
		all.Proofs = maps.Clone(all.Proofs)
		return all, nil
	}
	all, err := s.count(ctx)
	if err == nil && current {
		kept := all
		kept.Proofs = maps.Clone(all.Proofs)
		c.all = &kept
	}
	return all, s.explain(err)
}

// countQuery counts everything in one moment. Most proofs of a register are complete: only the
// others are read, and the number of rows of a table is known without reading them.
const countQuery = `SELECT (SELECT count(*) FROM meetings), (SELECT count(*) FROM entries),
	(SELECT count(*) FROM entries WHERE shown > 0 AND shown = 2), (SELECT count(*) FROM proofs),
	(SELECT count(*) FROM proofs WHERE state = 'waiting'), (SELECT count(*) FROM proofs WHERE state = 'pending'),
	(SELECT count(*) FROM proofs WHERE state = 'mined'),
	(SELECT min(added_at) FROM proofs INDEXED BY proofs_waiting WHERE state = 'waiting')`

func (s *Store) count(ctx context.Context) (all store.Counts, err error) {
	var proofs, waiting, pending, mined int
	err = s.read.QueryRowContext(ctx, countQuery).
		Scan(&all.Meetings, &all.Entries, &all.Published, &proofs, &waiting, &pending, &mined, timeColumn{&all.OldestWaiting})
	all.Proofs = make(map[store.ProofState]int)
	for state, n := range map[store.ProofState]int{
		store.Waiting: waiting, store.Pending: pending, store.Mined: mined, store.Complete: proofs - waiting - pending - mined,
	} {
		if n > 0 {
			all.Proofs[state] = n
		}
	}
	return all, err
}
