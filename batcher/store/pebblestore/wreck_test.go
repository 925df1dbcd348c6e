package pebblestore

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/batcher/store/storetest"
	"ancre/batcher/store/tree"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	flipsFlag = flag.Int("flips", 200, "how many bits TestFlippedBitsAreNeverSilent flips")
	seedFlag  = flag.Uint64("flipseed", 1, "which bits")
)

// wreck is a store as a stop or a kill leaves it on a disk, to be damaged: what it acknowledged
// must be there, or missed.
type wreck struct {
	name  string
	opts  Options      // of its stores, but for FS
	disk  *vfs.MemFS   // as it was left; it is cloned for each damage
	want  acknowledged // what it holds
	files []string     // paths
}

// acknowledged is all that a store was told to keep.
type acknowledged struct {
	key     [32]byte
	content storetest.Content
	leaves  []store.Leaf
	at      []store.Position
}

func contentOf(s *Store, leaves []store.Leaf) (a acknowledged, err error) {
	ctx := context.Background()
	n, err := s.Snapshot(ctx)
	if err != nil {
		return a, err
	}
	defer n.Close()
	a.key = s.Key()
	if a.content, err = storetest.ReadSnapshot(ctx, n); err != nil {
		return a, err
	}
	a.leaves = leaves
	a.at, err = s.Find(ctx, leaves)
	return a, err
}

// Shapes of a store: how many calls there are, of how many leaves each.
type shape struct {
	name        string
	calls, each int
	files       bool // has small tables, so that there are many files
}

var shapes = []shape{
	{"single submits", 100, 1, false},
	{"batches of 1000", 10, 1000, false},
	{"large batches", 4, 10000, false},
	{"many files", 40, 90, true},
}

// fill makes the calls of a shape: half of them go to batch 1, which is then sealed and paid; the
// rest stay in the open batch 2. An anchor gets its second version at the end.
func (h shape) fill(s *Store) (leaves []store.Leaf, err error) {
	ctx := context.Background()
	add := func(batch uint64, calls int) {
		for i := range calls {
			b := store.Batch{ID: batch, State: store.Open, Count: uint64((i + 1) * h.each), Opened: storetest.Time(int64(batch))}
			if batch == 1 && i == calls-1 {
				b.State, b.Closed = store.Closed, storetest.Time(2)
			}
			g := storetest.Group([]store.Batch{b}, batch, uint64(i*h.each), b.Count)
			leaves = append(leaves, g.Leaves...)
			err = cmp.Or(err, s.Append(ctx, g))
		}
	}
	half := h.calls / 2
	add(1, half)
	count := uint64(half * h.each)
	nodes := levelOne(leaves)
	sealed := store.Batch{ID: 1, State: store.Sealed, Count: count, Opened: storetest.Time(1), Closed: storetest.Time(2), Root: proof.Root(nodes), Anchor: 1}
	u := &store.Update{Batches: []store.Batch{sealed}, Anchors: []store.Anchor{storetest.Anchor(1, 1)}}
	for at := 0; at < len(nodes); at += runSize {
		u.Nodes = append(u.Nodes, store.Nodes{Batch: 1, Height: tree.HeightStep, Start: uint64(at), Hashes: nodes[at:min(at+runSize, len(nodes))]})
	}
	err = cmp.Or(err, s.Apply(ctx, u))
	add(2, h.calls-half)
	return leaves, cmp.Or(err, s.Apply(ctx, &store.Update{
		Anchors: []store.Anchor{storetest.Anchor(1, 2)}, Cursor: &store.Cursor{Points: []store.Point{{Height: 7}}},
	}))
}

// How a process ends.
const (
	stopped = "stopped"
	killed  = "killed"
	stuck   = "killed while no table could be written" // several logs are left
)

func makeWreck(t testing.TB, h shape, end string) *wreck {
	t.Helper()
	w := &wreck{name: h.name + ", " + end}
	if h.files {
		w.opts = small(nil)
	}
	mem := vfs.NewCrashableMem()
	var hold atomic.Bool
	release := make(chan struct{})
	opts := w.opts
	opts.FS = &hookFS{FS: mem, hook: func(op, name string, change func() error) error {
		if hold.Load() && op == "create" && strings.HasSuffix(name, ".sst") {
			<-release
		}
		return change()
	}}
	s, err := Open(testDir, opts)
	if err != nil {
		t.Fatal(err)
	}
	hold.Store(end == stuck)
	if end == stuck {
		s.bound = 1 << 40 // the committer does not wait for tables
	}
	leaves, err := h.fill(s)
	if err != nil {
		t.Fatal(err)
	}
	if end == stopped && h.files {
		settle(t, s)
	}
	if w.want, err = contentOf(s, leaves); err != nil {
		t.Fatal(err)
	}
	if end != stopped {
		w.disk = mem.CrashClone(allKept())
	}
	hold.Store(false)
	close(release)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if end == stopped {
		w.disk = mem.CrashClone(allKept())
	}
	for _, dir := range []string{testDir, w.disk.PathJoin(testDir, indexDir)} {
		names, err := w.disk.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		for _, name := range names {
			path := w.disk.PathJoin(dir, name)
			if info, err := w.disk.Stat(path); err == nil && !info.IsDir() {
				w.files = append(w.files, path)
			}
		}
	}
	return w
}

// allKept is what a killed process leaves: all that it wrote, synced or not.
func allKept() vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
}

// clone returns a disk to damage.
func (w *wreck) clone() *vfs.MemFS {
	return w.disk.CrashClone(allKept())
}

// outcome is what became of a start on a damaged disk.
type outcome struct {
	err  error  // of the start, or of what was read then
	log  string // warnings and errors
	lost string // what is not as it was acknowledged, although there was no error; empty: nothing is
}

// start opens a store on a damaged disk and reads everything.
func (w *wreck) start(fs vfs.FS) (o outcome) {
	var log bytes.Buffer
	opts := w.opts
	opts.FS, opts.Log = fs, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.err = within(func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("PANIC: %v", p)
			}
		}()
		s, err := Open(testDir, opts)
		if err != nil {
			return err
		}
		got, err := contentOf(s, w.want.leaves)
		if cerr := s.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			o.lost = w.want.missingIn(&got)
		}
		return err
	})
	o.log = log.String()
	return o
}

// opens is start for a store whose contents are not compared.
func (w *wreck) opens(fs vfs.FS) outcome {
	o := w.start(fs)
	o.lost = ""
	return o
}

// missingIn says what another store has not.
func (a *acknowledged) missingIn(b *acknowledged) string {
	switch {
	case a.key != b.key:
		return "the key is another"
	case !reflect.DeepEqual(a.at, b.at):
		n := 0
		for i := range a.at {
			if b.at[i] != a.at[i] {
				n++
			}
		}
		return fmt.Sprintf("%d of %d digests are not where they were", n, len(a.at))
	case !reflect.DeepEqual(a.content, b.content):
		return "batches, anchors, leaves or the cursor are others"
	}
	return ""
}

// flip flips a bit of a file.
func flip(t testing.TB, fs vfs.FS, path string, bit int64) {
	t.Helper()
	change(t, fs, path, func(b []byte) []byte { b[bit/8] ^= 1 << (bit % 8); return b })
}

// change puts other contents in a file.
func change(t testing.TB, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = fs.Create(path, diskWrites); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(change(b)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// kind is what a file is by its name.
func kind(fs vfs.FS, path string) string {
	name := fs.PathBase(path)
	for _, k := range []string{".log", ".sst", leafindex.SegmentExt, treeFileExt} {
		if strings.HasSuffix(name, k) {
			return k
		}
	}
	return strings.TrimRight(strings.SplitN(name, ".0", 2)[0], "-0123456789")
}

// TestFlippedBitsAreNeverSilent flips one bit after the other. Each is seen, or nothing is lost by
// it. The files take turns by kind, the logs have more of them.
func TestFlippedBitsAreNeverSilent(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seedFlag, 7))
	t.Logf("seed %d", *seedFlag)
	if testing.Short() {
		*flipsFlag = min(*flipsFlag, 60)
	}
	var wrecks []*wreck
	for _, h := range shapes {
		for _, end := range []string{stopped, killed, stuck} {
			wrecks = append(wrecks, makeWreck(t, h, end))
		}
	}
	type tally struct{ flips, refused, read, silent int }
	tallies := make(map[string]*tally)
	for n := range *flipsFlag {
		w := wrecks[n%len(wrecks)]
		byKind := make(map[string][]string)
		for _, path := range w.files {
			if info, err := w.disk.Stat(path); err == nil && info.Size() > 0 {
				byKind[kind(w.disk, path)] = append(byKind[kind(w.disk, path)], path)
			}
		}
		kinds := slices.Sorted(func(yield func(string) bool) {
			for k := range byKind {
				if !yield(k) {
					return
				}
			}
		})
		k := kinds[rng.IntN(len(kinds))]
		if rng.IntN(4) == 0 && len(byKind[".log"]) > 0 {
			k = ".log"
		}
		path := byKind[k][rng.IntN(len(byKind[k]))]
		info, err := w.disk.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		bit := rng.Int64N(info.Size() * 8)
		fs := w.clone()
		flip(t, fs, path, bit)
		o := w.start(fs)
		sum := tallies[k]
		if sum == nil {
			sum = new(tally)
			tallies[k] = sum
		}
		sum.flips++
		switch {
		case o.err != nil && (strings.Contains(o.err.Error(), "PANIC") || strings.Contains(o.err.Error(), errHangs.Error())):
			t.Errorf("%s: bit %d of %s: %v", w.name, bit, path, o.err)
		case o.err != nil:
			sum.refused++
		case o.lost != "":
			sum.silent++
			t.Errorf("%s: bit %d of %s of %d bytes: no error, but %s; log: %s", w.name, bit, path, info.Size(), o.lost, o.log)
		default:
			sum.read++
		}
	}
	for k, sum := range tallies {
		t.Logf("%-22s %+v", k, *sum)
	}
}
