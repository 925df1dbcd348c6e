package leafindex

import (
	"errors"
	"iter"
	"slices"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"
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
func (x *Index) mergeLoop() {
	defer x.loops.Done()
	if !x.loadFilters() {
		return
	}
	retry := x.FS.NewRetry(x.Closing, "store: segments of the index are not merged for now; look-ups become slower the longer that lasts")
	for {
		c := x.Acquire()
		window := mergeable(c.segments)
		var err error
		if window != nil {
			err = x.merge(window)
		}
		x.Release(c)
		switch {
		case err != nil:
			if !retry.Pause(err, retryPause) {
				return
			}
		case window != nil:
			if retry.Succeeded() {
				x.Log.Info("store: segments of the index are merged again")
			}
		default:
			select {
			case <-x.merging:
			case <-x.Closing:
				return
			}
		}
	}
}

// loadFilters reads the filters of the segments that were there at the start, the newest first.
// What cannot be read is told by those who ask for it.
func (x *Index) loadFilters() bool {
	defer close(x.filtered)
	c := x.Acquire()
	defer x.Release(c)
	for _, g := range slices.Backward(c.segments) {
		if g.filter.Load() != nil {
			continue
		}
		if err := g.loadFilter(x); errors.Is(err, store.ErrClosed) {
			return false
		} else if err != nil {
			x.Log.Error("store: a segment of the index cannot be read", "err", err)
		}
	}
	return true
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

// merge makes one segment of neighbours, which come to an end when the last view of them does.
func (x *Index) merge(window []*segment) error {
	from, count, size := window[0].from, uint64(0), uint64(0)
	for _, g := range window {
		count += g.count
		size += g.size
	}
	if err := x.Fits(size); err != nil { // nothing is freed before it is written
		return err
	}
	g, err := x.writeSegment(x.lastSegment.Add(1), from, count, x.filterFits(count, window), x.merged(window))
	if err != nil {
		if failfs.IsNoSpace(err) {
			// FS took it for a table of Pebble's. No write waits for a merge, which may need more
			// space than there will be for long; and a table that finds none says so again.
			x.FS.ForgetFull()
		}
		return err
	}
	return x.list(g, window, func(c *View) {
		at := slices.Index(c.segments, window[0])
		c.segments = slices.Replace(c.segments, at, at+len(window), g)
	})
}

// merged returns the records of neighbouring segments in order, with ordinals counted from the
// first of all.
func (x *Index) merged(window []*segment) iter.Seq2[record, error] {
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
			if n%mergeChunk == 0 && x.isClosing() {
				yield(record{}, store.ErrClosed)
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
