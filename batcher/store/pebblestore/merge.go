package pebblestore

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// mergeWidth is how many neighbouring segments of one size become one: so each leaf is written
	// once more each time that there are four times as many, and at a hundred million there are a
	// dozen segments.
	mergeWidth = 4

	// sameSize: the largest of them is less than so many times the smallest.
	sameSize = 3

	// maxSegments is how many segments there may be, of whatever sizes: then the smallest
	// neighbours become one.
	maxSegments = 32

	// mergeChunk is after how many records a merge looks whether the store is being closed.
	mergeChunk = 4096
)

// mergeLoop reads the filters, then merges segments. It ends with the store.
func (s *Store) mergeLoop() {
	defer s.indexers.Done()
	if !s.loadFilters() {
		return
	}
	waits := false
	for {
		c := s.acquireCatalog()
		window := mergeable(c.segments)
		var err error
		if window != nil {
			err = s.merge(window)
		}
		s.releaseCatalog(c)
		switch {
		case err != nil:
			if !s.tryAgain(err, &waits, retryPause, "store: segments of the index are not merged for now; look-ups become slower the longer that lasts") {
				return
			}
		case window != nil:
			if waits {
				s.log.Info("store: segments of the index are merged again")
			}
			waits = false
		default:
			select {
			case <-s.merging:
			case <-s.closing:
				return
			}
		}
	}
}

// loadFilters reads the filters of the segments that were there at the start, the newest first.
// What cannot be read is told by those who ask for it.
func (s *Store) loadFilters() bool {
	defer close(s.filtered)
	c := s.acquireCatalog()
	defer s.releaseCatalog(c)
	for _, g := range slices.Backward(c.segments) {
		if g.filter.Load() != nil {
			continue
		}
		if err := g.loadFilter(s); errors.Is(err, errClosed) {
			return false
		} else if err != nil {
			s.log.Error("store: a segment of the index cannot be read", "err", err)
		}
	}
	return true
}

// acquireCatalog returns the newest catalog, whose segments stay readable until it is released.
func (s *Store) acquireCatalog() *catalog {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog.refs++
	return s.catalog
}

func (s *Store) releaseCatalog(c *catalog) {
	s.mu.Lock()
	ended := c.release()
	s.mu.Unlock()
	s.endSegments(ended)
}

// mergeable returns the smallest neighbours that should become one, or nil.
func mergeable(segments []*segment) (window []*segment) {
	best := uint64(maxSegment) + 1
	for i := range len(segments) - mergeWidth + 1 {
		some := segments[i : i+mergeWidth]
		sum, smallest, largest := uint64(0), some[0].count, some[0].count
		for _, g := range some {
			sum += g.count
			smallest, largest = min(smallest, g.count), max(largest, g.count)
		}
		if (largest < sameSize*smallest || len(segments) > maxSegments) && sum < best {
			best, window = sum, some
		}
	}
	return window
}

// fits returns an error that wraps ErrFull when the disk has no room for a file that nobody waits
// for.
func (s *Store) fits(size uint64) error {
	usage, err := s.guard.GetDiskUsage(s.dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return nil
	case err != nil:
		return err
	case usage.AvailBytes < size+s.reserve:
		return fmt.Errorf("%w: %d MiB left in %s, of which %d MiB are kept in reserve, and %d MiB are needed", store.ErrFull, usage.AvailBytes>>20, s.dir, s.reserve>>20, size>>20)
	}
	return nil
}

// merge makes one segment of neighbours, which come to an end when the last view of them does.
func (s *Store) merge(window []*segment) error {
	from, count, size := window[0].from, uint64(0), uint64(0)
	for _, g := range window {
		count += g.count
		size += g.size
	}
	if err := s.fits(size); err != nil { // nothing is freed before it is written
		return err
	}
	g, err := s.writeSegment(s.lastSegment.Add(1), from, count, s.filterFits(count, window), s.merged(window))
	if err != nil {
		if isNoSpace(err) {
			// The guard took it for a table's. Nobody waits for a merge, which may need more space
			// than there will be for long; and a table that finds none says so again.
			s.guard.full.Store(false)
		}
		return err
	}
	return s.list(g, window, func(c *catalog) {
		at := slices.Index(c.segments, window[0])
		c.segments = slices.Replace(c.segments, at, at+len(window), g)
	})
}

// merged returns the records of neighbouring segments in order, with ordinals counted from the
// first of all.
func (s *Store) merged(window []*segment) iter.Seq2[record, error] {
	type source struct {
		segmentReader
		head  record
		shift uint32 // from the first ordinal of all to that of this one
	}
	return func(yield func(record, error) bool) {
		var sources []*source
		advance := func(f *source) (more bool) {
			f.head, more = f.next()
			f.head.offset += f.shift
			return more
		}
		for _, g := range window {
			f := &source{segmentReader: segmentReader{g: g}, shift: uint32(g.from - window[0].from)}
			if advance(f) {
				sources = append(sources, f)
			} else if f.err != nil {
				yield(record{}, f.err)
				return
			}
		}
		for n := 0; len(sources) > 0; n++ {
			if n%mergeChunk == 0 && s.isClosing() {
				yield(record{}, errClosed)
				return
			}
			// Of equal keys that of the oldest segment comes first: so ordinals rise among them.
			least := 0
			for i := 1; i < len(sources); i++ {
				if sources[i].head.key < sources[least].head.key {
					least = i
				}
			}
			f := sources[least]
			if !yield(f.head, nil) {
				return
			}
			if advance(f) {
				continue
			}
			if f.err != nil {
				yield(record{}, f.err)
				return
			}
			sources = slices.Delete(sources, least, least+1)
		}
	}
}
