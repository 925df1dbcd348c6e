package sqlitestore

import (
	"fmt"
	"sync"

	"ancre/register/store"
)

// maxCounted is how many counts are kept: more than visitors ask for between two changes.
const maxCounted = 4096

// counts keeps what CountEntries answered, until the revision grows: counting reads all that is
// counted.
type counts struct {
	mu       sync.Mutex
	revision uint64
	known    map[string]int
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
	if revision < c.revision {
		return
	}
	if revision > c.revision || len(c.known) >= maxCounted {
		c.revision, c.known = revision, make(map[string]int)
	}
	c.known[key] = n
}
