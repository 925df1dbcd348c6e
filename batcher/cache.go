package batcher

import "sync"

// cache is a bounded map of what was read from the store. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	limit int

	mu         sync.Mutex
	entries    map[K]V
	generation uint64 // how often the store began or ended a change
	changing   int    // changes of the store that are under way
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

// Put stores a value that was read since Generation returned generation. If the store changes, or
// has changed meanwhile, the value may be outdated, and Put does nothing. A full cache drops
// another entry first.
func (c *cache[K, V]) Put(k K, v V, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation || c.changing > 0 {
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

// Suspend drops all entries, and keeps none until resume is called. It must be called before the
// store may change, and resume after that. In between everything is read from the store: whoever
// hears of a change before the writer goes on, in the feed of changes, then finds that change.
func (c *cache[K, V]) Suspend() (resume func()) {
	c.change(1)
	return func() { c.change(-1) }
}

func (c *cache[K, V]) change(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.changing += by
	clear(c.entries)
}
