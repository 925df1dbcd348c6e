package page

import (
	"bytes"
	"compress/gzip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is kept in memory, whatever visitors ask.
const (
	cacheBytes    = 48 << 20
	cacheOverhead = 1 << 10 // of an answer, besides its bytes
	largestShare  = 3       // of the cache, that one answer may take: a third
	smallestZip   = 512     // shorter answers gain nothing
)

// kept is an answer that is ready to be sent.
type kept struct {
	answer   Answer
	kind     Kind
	revision uint64
	made     time.Time
	keep     time.Duration // how long it is right if the revision stays
	stale    time.Duration // how long it is sent although the revision changed
	zipped   []byte        // gzip of the body; nil: not worth it
	head     [2]header     // the headers without and with gzip
	used     atomic.Int64  // the cache's clock when it was last sent
}

func (k *kept) size() int { return len(k.answer.Body) + len(k.zipped) + cacheOverhead }

// fresh reports whether an answer may be sent.
func (k *kept) fresh(revision uint64, now time.Time) bool {
	age := now.Sub(k.made)
	return age < k.keep && (k.revision == revision || age < k.stale)
}

// cache keeps answers by their path. It holds no more than a number of bytes, and gives up those
// that were not asked for lately.
type cache struct {
	mu    sync.RWMutex
	of    map[string]*kept
	bytes int
	most  int
	clock atomic.Int64
}

func newCache(most int) *cache { return &cache{of: map[string]*kept{}, most: most} }

// get returns the answer of a path, nil if there is none that is fresh.
func (c *cache) get(path string, revision uint64, now time.Time) *kept {
	c.mu.RLock()
	k := c.of[path]
	c.mu.RUnlock()
	if k == nil || !k.fresh(revision, now) {
		return nil
	}
	k.used.Store(c.clock.Add(1))
	return k
}

// put keeps an answer.
func (c *cache) put(path string, k *kept) {
	if k.size() > c.most/largestShare {
		return
	}
	k.used.Store(c.clock.Add(1))
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.of[path]; old != nil {
		c.bytes -= old.size()
	}
	c.of[path] = k
	c.bytes += k.size()
	for c.bytes > c.most {
		c.evict(k)
	}
}

// evict gives up the answer that was not used for longest, of some that are chosen at random. It
// never chooses but, so the cache is not empty.
func (c *cache) evict(but *kept) {
	const sample = 8
	var path string
	var oldest *kept
	n := 0
	for at, k := range c.of { // Go begins anywhere
		if k == but {
			continue
		}
		if oldest == nil || k.used.Load() < oldest.used.Load() {
			path, oldest = at, k
		}
		if n++; n == sample {
			break
		}
	}
	if oldest == nil {
		c.bytes = 0 // but alone is larger than the cache, which put refuses
		return
	}
	delete(c.of, path)
	c.bytes -= oldest.size()
}

// zip compresses a body.
func zip(body []byte) []byte {
	if len(body) < smallestZip {
		return nil
	}
	var b bytes.Buffer
	b.Grow(len(body) / 3)
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return nil
	}
	if err := w.Close(); err != nil || b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// zippable reports whether a media type is worth compressing.
func zippable(mediaType string) bool {
	switch mediaType {
	case typeHTML, typeText, typeJSON, "text/css; charset=utf-8", typeScript, typeSVG,
		"text/csv; charset=utf-8", "application/atom+xml; charset=utf-8", "application/xml; charset=utf-8", typeBytes:
		return true
	}
	return false
}
