package pebblestore

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var faultsFlag = flag.Int("faults", 60, "how many faults TestErrnosLoseNothing injects")

// callFS stands in the way of reads, too.
type callFS struct{ hookFS }

func (c *callFS) Open(name string, opts ...vfs.OpenOption) (f vfs.File, err error) {
	if err = c.hook("open", name, func() (err error) { f, err = c.FS.Open(name, opts...); return err }); err != nil {
		return nil, err
	}
	return &callFile{f, c, name}, nil
}

type callFile struct {
	vfs.File
	fs   *callFS
	name string
}

func (f *callFile) Read(p []byte) (n int, err error) {
	err = f.fs.hook("read", f.name, func() (err error) { n, err = f.File.Read(p); return err })
	return n, err
}

func (f *callFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fs.hook("read", f.name, func() (err error) { n, err = f.File.ReadAt(p, off); return err })
	return n, err
}

// A fault is what one kind of call returns, from its nth time on.
type callFault struct {
	op     string
	errno  syscall.Errno
	at     int64
	always bool // at each time after that, too
	took   bool // although it happened
}

func (f callFault) String() string {
	return fmt.Sprintf("%s, %q at its time %d, always: %t, took effect: %t", f.op, f.errno.Error(), f.at, f.always, f.took)
}

// TestErrnosLoseNothing lets each kind of call fail in each way, at any time: while the store is
// opened, works, and is closed. Nothing that was acknowledged is lost, no anchor is stored twice or
// forgotten, and nothing hangs.
func TestErrnosLoseNothing(t *testing.T) {
	const steps = 2*stepsPerBatch + 5
	ops := []string{"sync", "write", "open", "create", "rename", "read"}
	errnos := []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EINTR, syscall.EMFILE}
	counts := make(map[string]int64)
	w := newErrnoRun(t)
	if f := w.run(callFault{}, steps, counts); f != "" {
		t.Fatal(f)
	}
	rng := rand.New(rand.NewPCG(3, 5))
	met := make(map[string]int)
	for n := range *faultsFlag {
		f := callFault{op: ops[n%len(ops)], errno: errnos[n/len(ops)%len(errnos)], always: rng.IntN(2) == 0, took: rng.IntN(3) == 0}
		f.at = 1 + rng.Int64N(counts[f.op])
		if failure := w.run(f, steps, nil); failure != "" {
			t.Errorf("fault %d: %v: %s", n, f, failure)
		}
		met[f.op]++
	}
	t.Logf("faults: %v", met)
}

// errnoRun makes runs of one workload, which begins with a start on what a kill left.
type errnoRun struct {
	t     *testing.T
	begin *vfs.MemFS
	key   [32]byte
	steps int
}

func newErrnoRun(t *testing.T) *errnoRun {
	t.Helper()
	mem := vfs.NewCrashableMem()
	var p progress
	s, err := p.run(mem, stepsPerBatch+3)
	if err != nil {
		t.Fatal(err)
	}
	r := &errnoRun{t: t, key: s.Key(), steps: stepsPerBatch + 3, begin: mem.CrashClone(allKept())}
	closeStore(t, s)
	return r
}

// faultyCalls counts the calls of each kind, and has the fault happen.
type faultyCalls struct {
	fs    *callFS
	fault callFault
	armed atomic.Bool
	seen  atomic.Int64             // calls of the fault's kind
	count map[string]*atomic.Int64 // of all kinds
}

func newFaultyCalls(mem vfs.FS, f callFault) *faultyCalls {
	w := &faultyCalls{fs: &callFS{hookFS{FS: mem}}, fault: f, count: make(map[string]*atomic.Int64)}
	for _, op := range []string{"sync", "write", "open", "create", "reuse", "rename", "read", "close", "remove", "link", "mkdir"} {
		w.count[op] = new(atomic.Int64)
	}
	w.fs.hook = w.call
	w.armed.Store(true)
	return w
}

func (w *faultyCalls) call(op, name string, change func() error) error {
	f := w.fault
	w.count[op].Add(1)
	if op == "reuse" {
		op = "create"
	}
	if !w.armed.Load() || op != f.op {
		return change()
	}
	if n := w.seen.Add(1); n != f.at && !(f.always && n > f.at) {
		return change()
	}
	if f.took && op != "open" && op != "create" && op != "read" {
		_ = change()
	}
	return &os.PathError{Op: op, Path: name, Err: f.errno}
}

func (w *faultyCalls) addTo(counts map[string]int64) {
	for op, n := range w.count {
		counts[op] += n.Load()
	}
}

// run works under a fault and says what went wrong by it.
func (r *errnoRun) run(f callFault, steps int, counts map[string]int64) string {
	mem := r.begin.CrashClone(allKept())
	w := newFaultyCalls(mem, f)
	acked := r.steps
	err := within(func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("PANIC: %v", p)
			}
		}()
		s, err := Open(testDir, small(w.fs))
		if err != nil {
			return err
		}
		for ; acked < r.steps+steps; acked++ {
			if err = step(s, acked); err != nil {
				break
			}
		}
		return errors.Join(err, s.Close())
	})
	w.armed.Store(false)
	if counts != nil {
		w.addTo(counts)
	}
	switch {
	case f.op == "" && err != nil:
		return fmt.Sprintf("without a fault: %v", err)
	case errors.Is(err, errHangs) || err != nil && strings.Contains(err.Error(), "PANIC"):
		return err.Error()
	case errors.Is(err, store.ErrInvalid):
		return fmt.Sprintf("a wrong answer: %v", err)
	}
	// Killed, a power cut, and as it is. Reads of a store that failed are as after the last step
	// that was acknowledged, or one more.
	for _, disk := range []*vfs.MemFS{mem.CrashClone(allKept()), mem.CrashClone(vfs.CrashCloneCfg{}), mem} {
		if lost := recovered(disk, &r.key, acked, acked); lost != nil {
			return fmt.Sprintf("%d steps were acknowledged, then %v; started again: %v", acked, err, lost)
		}
	}
	return ""
}
