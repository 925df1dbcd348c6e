// Package leafindex finds out which ordinal a leaf has, by its hash. A leaf's ordinal is its number
// since the first leaf of the store.
//
// Its answers are hints: two leaves may begin alike, and what the index says is compared with the
// leaf that stands at the ordinal. It follows from the leaves, which are the truth. What a crash
// takes from it is read again from there.
//
//   - The leaves that came last are in a [Table] in memory.
//   - In the background, a table that is full becomes a segment, a file that never changes.
//   - Neighbouring segments of about one size become one, so that there are few.
//
// Segments tile the ordinals from 0 on, and tables go on where the last segment ends. A start reads
// the leaves behind the last segment again. docs/store-format.md has the format of the files.
//
// The index knows nothing of Pebble. Its owner keeps the list of segments ([Listing]), and
// compares.
package leafindex

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"
	"ancre/internal/wake"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// SegmentExt is the extension of the files.
	SegmentExt = ".seg"

	bytesPerSync = 1 << 20

	diskWrites = vfs.DiskWriteCategory("ancre-index")

	// retryPause is how long the index waits before it tries again what the disk had no space for.
	retryPause = time.Second
)

// Options of New. All but TableLeaves are needed.
type Options struct {
	FS  *failfs.FS
	Dir string // that the files are in; it is there before Open
	Log *slog.Logger

	// TableLeaves is how many leaves a table takes; 0: a number for large stores.
	TableLeaves int

	// Record writes down that a segment takes the place of others. When that is on the disk, and
	// before any read can see it, it calls visible.
	Record func(add Listing, others []uint64, visible func()) error

	// Fits returns an error that wraps [store.ErrFull] when the disk has no room for a file of so
	// many bytes that no write waits for.
	Fits func(bytes uint64) error

	// Closing is closed when the store is being closed. Then the index ends what it does.
	Closing <-chan struct{}
}

// Index is an index of the leaves of one store.
type Index struct {
	Options

	lastSegment atomic.Uint64 // the highest ID that was used
	flushing    chan struct{} // has a value when a table has become full
	flushed     chan struct{} // has a value when a full table has become a segment
	merging     chan struct{} // has a value when there is a segment more
	filtered    chan struct{} // closed when the filters have been read, or cannot be
	loops       sync.WaitGroup

	// Why the last table that was to become a segment could not; nil, or points to nil, when it
	// did.
	unflushed atomic.Pointer[error]

	mu   sync.Mutex
	view *View // owned by mu: the newest
}

// View is the index at one moment. It never changes, except that its last table grows.
type View struct {
	segments []*segment // by rising ordinals, without a gap from 0 on
	tables   []*Table   // the rest; all but the last are full
	refs     int        // owned by Index.mu: one of the index while it is the newest, one of each that acquired it
}

// New makes an index without any leaf. Open, then Start bring it to life.
func New(o Options) *Index {
	if o.TableLeaves == 0 {
		o.TableLeaves = tableLeaves
	}
	return &Index{
		Options: o, view: &View{refs: 1},
		flushing: wake.New(), flushed: wake.New(), merging: wake.New(), filtered: make(chan struct{}),
	}
}

// Open opens the segments that are listed, by rising ordinals and without a gap, and removes those
// among the names in its directory that are not. What is behind the last segment is to be inserted
// again, once Start was called.
func (x *Index) Open(listed []Listing, names []string) error {
	for _, l := range listed {
		x.lastSegment.Store(max(x.lastSegment.Load(), l.ID))
	}
	for _, name := range names {
		id, err := strconv.ParseUint(strings.TrimSuffix(name, SegmentExt), 10, 64)
		if filepath.Ext(name) != SegmentExt || err != nil {
			continue
		}
		x.lastSegment.Store(max(x.lastSegment.Load(), id))
		if !slices.ContainsFunc(listed, func(l Listing) bool { return l.ID == id }) {
			// It was being made, or was replaced, when the process ended.
			if err := x.FS.Remove(x.FS.PathJoin(x.Dir, name)); err != nil {
				return err
			}
		}
	}
	indexed := uint64(0)
	for _, l := range listed {
		g, err := x.openSegment(l)
		if err != nil {
			return err
		}
		x.view.segments = append(x.view.segments, g)
		g.refs++
		indexed += l.Count
	}
	x.view.tables = []*Table{newTable(indexed, x.TableLeaves)}
	return nil
}

// AfterListed has an ID that was listed once not be used again.
func (x *Index) AfterListed(id uint64) { x.lastSegment.Store(max(x.lastSegment.Load(), id)) }

// Start begins what goes on in the background. It ends with Closing.
func (x *Index) Start() {
	x.loops.Add(2)
	go x.flushLoop()
	go x.mergeLoop()
}

// Wait waits until nothing goes on in the background any more.
func (x *Index) Wait() { x.loops.Wait() }

// Close gives back what the index holds. Views that are in use keep what they need.
func (x *Index) Close() { x.Release(x.view) }

func (x *Index) segmentName(id uint64) string {
	return x.FS.PathJoin(x.Dir, fmt.Sprintf("%06d%s", id, SegmentExt))
}

// isClosing says whether the store is being closed.
func (x *Index) isClosing() bool {
	select {
	case <-x.Closing:
		return true
	default:
		return false
	}
}

// Acquire returns the newest view, whose segments stay readable until it is released.
func (x *Index) Acquire() *View {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.view.refs++
	return x.view
}

// Release gives a view back.
func (x *Index) Release(v *View) {
	x.mu.Lock()
	ended := v.release()
	x.mu.Unlock()
	x.endSegments(ended)
}

// Seeker is who looks for leaves.
type Seeker interface {
	// Known says whether nothing is to be looked for in the place of leaf i any more.
	Known(i int) bool

	// Check looks whether leaf i stands at an ordinal.
	Check(i int, ordinal uint64) error
}

// Find calls by.Check for each leaf with each ordinal that it may have. It asks part after part of
// the index for all leaves: what a part has in memory stays near, and the processor fetches what it
// needs for one leaf while it looks at another.
func (v *View) Find(ctx context.Context, leaves []store.Leaf, by Seeker) error {
	for _, t := range v.tables {
		if err := t.find(leaves, by); err != nil {
			return err
		}
	}
	var buf []byte
	maybe := make([]int32, len(leaves))
	reads := 0
	for _, g := range v.segments {
		for _, i := range g.maybe(leaves, maybe) {
			if by.Known(int(i)) {
				continue
			}
			if reads++; reads%256 == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			var err error
			if buf, err = g.find(prefixOf(&leaves[i]), buf, int(i), by); err != nil {
				return err
			}
		}
	}
	return nil
}

// Room returns the table for n leaves that come next, of which the first will have the ordinal
// given. When the table that takes leaves has no room it is full, and another takes its place; when
// too many are full, Room waits.
func (x *Index) Room(ctx context.Context, first uint64, n int) (*Table, error) {
	last := x.lastTable()
	if last.fits(n) {
		return last, nil
	}
	if err := x.awaitFlush(ctx); err != nil {
		return nil, err
	}
	next := newTable(first, max(x.TableLeaves, n))
	x.changeView(func(c *View) {
		if last.size == 0 { // the group is larger than a table
			c.tables = c.tables[:len(c.tables)-1]
		}
		c.tables = append(c.tables, next)
	})
	wake.Up(x.flushing)
	return next, nil
}

func (x *Index) lastTable() *Table {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.view.tables[len(x.view.tables)-1]
}

// full returns the oldest table that waits to become a segment, or nil, and how many do.
func (x *Index) full() (*Table, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.view.tables[0], len(x.view.tables) - 1
}

// awaitFlush waits until another table may be full. It does not wait for what fails.
func (x *Index) awaitFlush(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond) // to see what fails
	defer tick.Stop()
	for {
		if _, n := x.full(); n < maxFull {
			return nil
		}
		if x.FS.Full() {
			return fmt.Errorf("%w in %s", store.ErrFull, filepath.Dir(x.Dir))
		}
		if err := x.FS.Failure(); err != nil {
			return err
		}
		if err := x.unflushed.Load(); err != nil && *err != nil && !failfs.IsNoSpace(*err) { // of that FS knows more
			return *err // trying again may take long
		}
		select {
		case <-x.flushed:
		case <-tick.C:
		case <-x.FS.Failed():
			return x.FS.Failure()
		case <-ctx.Done():
			return ctx.Err()
		case <-x.Closing:
			return store.ErrClosed
		}
	}
}

// changeView puts another view in the place of the newest.
func (x *Index) changeView(change func(*View)) {
	x.mu.Lock()
	old := x.view
	next := &View{segments: slices.Clone(old.segments), tables: slices.Clone(old.tables), refs: 1}
	change(next)
	for _, g := range next.segments {
		g.refs++
	}
	x.view = next
	ended := old.release()
	x.mu.Unlock()
	x.endSegments(ended)
}

// release gives a reference back. With the last one it returns the segments that are not in use any
// more, which the caller ends. Index.mu is held.
func (c *View) release() (ended []*segment) {
	if c.refs--; c.refs > 0 {
		return nil
	}
	for _, g := range c.segments {
		if g.refs--; g.refs == 0 {
			ended = append(ended, g)
		}
	}
	return ended
}

// endSegments closes the files of segments that are not in use any more, and removes those that are
// not listed.
func (x *Index) endSegments(ended []*segment) {
	for _, g := range ended {
		g.discard()
		if g.gone {
			if err := x.FS.Remove(g.name); err != nil && x.FS.Failure() == nil {
				x.Log.Warn("store: a file that is not needed any more stays until the next start", "file", g.name, "err", err)
			}
		}
	}
}

// State is what an index consists of at one moment.
type State struct {
	Segments []SegmentState // by rising ordinals
	Full     int            // tables that are to become segments
	First    uint64         // ordinal of the first leaf in the table that takes leaves
	Leaves   int            // in that table
	Merging  bool           // segments are to become one
	LastID   uint64         // the highest that was used for a segment
}

// SegmentState is what is known of a segment.
type SegmentState struct {
	Listing
	File        string
	FilterAt    int64 // where its filter is in the file
	FilterBytes int64
	Filter      []byte // as it is in memory, valid while the store is open and the segment listed; nil: it is not there
}

// State returns what the index consists of. It may wait until the filters have been read after a
// start, or cannot be.
func (x *Index) State() (s State) {
	<-x.filtered
	v := x.Acquire()
	defer x.Release(v)
	last := v.tables[len(v.tables)-1]
	s = State{Full: len(v.tables) - 1, First: last.first, Leaves: last.size, Merging: mergeable(v.segments) != nil, LastID: x.lastSegment.Load()}
	for _, g := range v.segments {
		state := SegmentState{
			Listing: Listing{g.id, g.from, g.count, g.footer}, File: g.name,
			FilterAt: g.filterAt, FilterBytes: int64(g.filterBlocks * blockBytes),
		}
		if f := g.filter.Load(); f != nil {
			state.Filter = f.blocks
		}
		s.Segments = append(s.Segments, state)
	}
	return s
}
