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

func (s *Store) count(ctx context.Context) (store.Counts, error) {
	all := store.Counts{Proofs: make(map[store.ProofState]int)}
	err := s.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM meetings), (SELECT count(*) FROM entries),
		(SELECT count(*) FROM entries WHERE shown > 0 AND shown = 2), (SELECT min(added_at) FROM proofs WHERE state = 'waiting')`).
		Scan(&all.Meetings, &all.Entries, &all.Published, timeColumn{&all.OldestWaiting})
	if err != nil {
		return all, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT state, count(*) FROM proofs GROUP BY state")
	if err != nil {
		return all, err
	}
	defer rows.Close()
	for rows.Next() {
		var state store.ProofState
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return all, err
		}
		all.Proofs[state] = n
	}
	return all, rows.Err()
}
