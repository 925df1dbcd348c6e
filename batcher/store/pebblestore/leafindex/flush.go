package leafindex

import (
	"cmp"
	"fmt"
	"slices"

	"ancre/internal/wake"
)

// flushLoop makes segments of tables that are full. It ends with the store.
func (x *Index) flushLoop() {
	defer x.loops.Done()
	retry := x.FS.NewRetry(x.Closing, "store: a segment of the index cannot be written, and will be tried again; no digest is taken when the next table is full, too")
	for {
		t, n := x.full()
		if n == 0 {
			select {
			case <-x.flushing:
				continue
			case <-x.Closing:
				return
			}
		}
		err := x.flush(t)
		x.unflushed.Store(&err)
		if err == nil {
			retry.Succeeded()
		} else if !retry.Pause(err, retryPause) {
			return
		}
	}
}

// flush makes a segment of a table.
func (x *Index) flush(t *Table) error {
	keys := t.keys()
	id := x.lastSegment.Add(1)
	g, err := x.writeSegment(id, t.first, uint64(len(keys)), x.filterFits(uint64(len(keys)), nil), sorted(keys))
	if err != nil {
		return fmt.Errorf("write a segment of the index: %w", err)
	}
	err = x.list(g, nil, func(c *View) {
		c.tables = c.tables[1:]
		c.segments = append(c.segments, g)
	})
	if err != nil {
		return err
	}
	wake.Up(x.flushed)
	wake.Up(x.merging)
	return nil
}

// list brings a segment into the index in place of others, once that is on disk. When it fails,
// the segment is no more.
func (x *Index) list(g *segment, others []*segment, change func(*View)) (err error) {
	defer func() {
		if err != nil {
			g.discard()
			_ = x.FS.Remove(g.name)
		}
	}()
	if err := x.FS.SyncDir(x.Dir); err != nil {
		return err
	}
	if err := x.FS.Failure(); err != nil { // what was pretended is not on the disk
		return err
	}
	ids := make([]uint64, len(others))
	for i, other := range others {
		ids[i] = other.id
	}
	return x.Record(Listing{g.id, g.from, g.count, g.footer}, ids, func() {
		x.changeView(func(v *View) {
			for _, other := range others {
				other.gone = true
			}
			change(v)
		})
	})
}

// sorted returns the records of keys, given in the order of their ordinals, in the order of a
// segment.
func sorted(keys []uint64) func(func(record, error) bool) {
	return func(yield func(record, error) bool) {
		// First by bucket, in which they are evenly spread, then within each: four times as fast as
		// sorting all at once.
		bits := bucketBits(uint64(len(keys)))
		starts := make([]uint32, 1<<bits+1)
		for _, key := range keys {
			starts[key>>1>>(63-bits)+1]++
		}
		for i := 1; i < len(starts); i++ {
			starts[i] += starts[i-1]
		}
		next := slices.Clone(starts)
		all := make([]record, len(keys))
		for i, key := range keys {
			at := &next[key>>1>>(63-bits)]
			all[*at] = record{key >> (64 - keyBits), uint32(i)}
			*at++
		}
		for i := range 1 << bits {
			bucket := all[starts[i]:starts[i+1]]
			slices.SortFunc(bucket, compareRecords)
			for _, rec := range bucket {
				if !yield(rec, nil) {
					return
				}
			}
		}
	}
}

func compareRecords(a, b record) int {
	if a.key != b.key {
		return cmp.Compare(a.key, b.key)
	}
	return cmp.Compare(a.offset, b.offset)
}

// filterFits says whether a filter for so many leaves keeps within the budget, once the segments in
// others are gone.
func (x *Index) filterFits(leaves uint64, others []*segment) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	blocks, _ := filterFor(leaves)
	for _, g := range x.view.segments {
		if !slices.Contains(others, g) {
			blocks += g.filterBlocks
		}
	}
	return blocks*blockBytes <= filterBudget
}
