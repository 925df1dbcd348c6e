package batcher

import "sync"

// cache is a bounded map of what was read from the store. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	limit int

	mu         sync.Mutex
	entries    map[K]V
	generation uint64 // how often Invalidate was called
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, entries: make(map[K]V)}
}

func (c *cache[K, V]) Get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.entries[k]
	return v, ok
}

// Generation must be called before a value is read that goes to Put.
func (c *cache[K, V]) Generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// Put stores a value that was read since Generation returned generation. If the cache was
// invalidated meanwhile, the value may be outdated, and Put does nothing. A full cache drops
// another entry first.
func (c *cache[K, V]) Put(k K, v V, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if len(c.entries) >= c.limit {
		for other := range c.entries {
			delete(c.entries, other)
			break
		}
	}
	c.entries[k] = v
}

// Invalidate drops all entries. It must be called after the store may have changed.
func (c *cache[K, V]) Invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.entries)
}
