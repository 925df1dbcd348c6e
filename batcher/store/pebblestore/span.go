package pebblestore

import (
	"cmp"
	"slices"
	"sync"
)

// maxSpans is how many spans are remembered, of 24 bytes each: those of eleven years, with four
// batches a day. Then all are forgotten.
const maxSpans = 16 << 10

// span says that a batch has the leaves with the ordinals from begin to before end. That stays true
// when the batch grows.
type span struct{ begin, end, batch uint64 }

// spans remembers which batch has the leaf with an ordinal: looking that up takes as long as
// reading the leaf. It is safe for concurrent use.
type spans struct {
	mu    sync.RWMutex
	known []span // by rising begin; they do not overlap
}

func (s *spans) get(ordinal uint64) (span, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, found := s.find(ordinal)
	if !found {
		i-- // the last that begins before it
	}
	if i < 0 || ordinal >= s.known[i].end {
		return span{}, false
	}
	return s.known[i], true
}

func (s *spans) find(begin uint64) (int, bool) {
	return slices.BinarySearchFunc(s.known, begin, func(k span, begin uint64) int { return cmp.Compare(k.begin, begin) })
}

// put remembers a span. One that was known already, of a batch that was smaller then, grows.
func (s *spans) put(k span) {
	if k.end <= k.begin {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.find(k.begin)
	switch {
	case found:
		s.known[i].end = max(s.known[i].end, k.end)
	case len(s.known) == maxSpans:
		s.known = append(s.known[:0], k)
	default:
		s.known = slices.Insert(s.known, i, k)
	}
}

func (s *spans) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = nil
}
