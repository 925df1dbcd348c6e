package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// seed makes an endless series of digests. Each can be computed again: SHA256(seed ‖ number).
type seed [32]byte

func newSeed() (s seed, err error) {
	_, err = rand.Read(s[:])
	return s, err
}

func (s *seed) digest(n uint64) [32]byte {
	var b [40]byte
	copy(b[:], s[:])
	binary.BigEndian.PutUint64(b[32:], n)
	return sha256.Sum256(b[:])
}

// supply hands out the numbers of digests to the workers that submit them. It knows the number
// below which all are acknowledged.
type supply struct {
	mu    sync.Mutex
	next  uint64
	limit uint64             // hand out none from here on; 0: no limit
	out   map[*worker]uint64 // the first number of the call that each is making
}

// take returns a first number and a count of at most most, or 0 if the limit is reached. Worker w
// thereby reports that the digests it took before are acknowledged.
func (s *supply) take(w *worker, most int) (first uint64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		s.out = make(map[*worker]uint64)
	}
	delete(s.out, w)
	if s.limit > 0 {
		most = int(min(uint64(most), s.limit-min(s.next, s.limit)))
	}
	if most == 0 {
		return 0, 0
	}
	first = s.next
	s.next += uint64(most)
	s.out[w] = first
	return first, most
}

// done reports that the digests that w took last are acknowledged, and that w takes no more.
func (s *supply) done(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.out, w)
}

// acknowledged returns the number below which every digest is acknowledged.
func (s *supply) acknowledged() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	low := s.next
	for _, first := range s.out {
		low = min(low, first)
	}
	return low
}
