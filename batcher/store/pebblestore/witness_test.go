package pebblestore

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// files reads all files of a store.
func files(t *testing.T, fs vfs.FS, paths []string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for _, path := range paths {
		f, err := fs.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if all[path], err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return all
}

// newestLog returns the log with the highest number that holds anything.
func (w *wreck) newestLog(t *testing.T) (path string) {
	t.Helper()
	for _, p := range w.files {
		if info, err := w.disk.Stat(p); err == nil && info.Size() > 0 && filepath.Ext(p) == ".log" {
			path = p
		}
	}
	if path == "" {
		t.Fatal("no log holds anything")
	}
	return path
}

// TestLossIsRefusedAndNamed cuts the log, which Pebble takes for what a crash leaves.
func TestLossIsRefusedAndNamed(t *testing.T) {
	w := makeWreck(t, shapes[0], killed)
	fs, log := w.clone(), w.newestLog(t)
	change(t, fs, log, func(b []byte) []byte { return b[:len(b)*3/4] })
	before := files(t, fs, w.files)
	for range 2 { // the answer stays
		o := w.start(fs)
		if !errors.Is(o.err, store.ErrDamaged) {
			t.Fatalf("started: %v", o.err)
		}
		for _, says := range []string{
			"it holds less than it acknowledged", "digests are missing, from number", "of batch 2 on",
			"anchor 1 as it was stored last (versions: 2) is missing",
			filepath.Base(log), "nothing was changed", "ancred restore FILE", "submit again the digests that came after", "move store/WITNESS away",
		} {
			if !strings.Contains(o.err.Error(), says) {
				t.Errorf("%v\ndoes not say %q", o.err, says)
			}
		}
		for path, want := range before {
			if got := files(t, fs, []string{path})[path]; !bytes.Equal(got, want) {
				t.Errorf("%s was changed: what is damaged must stay as it is", path)
			}
		}
	}
	if err := fs.Rename("store/WITNESS", "WITNESS"); err != nil { // the way out without a backup
		t.Fatal(err)
	}
	if o := w.start(fs); o.err != nil || !strings.Contains(o.log, "WITNESS says what was acknowledged, and there is none") {
		t.Errorf("without the witness: %v, log %q; want a start with a warning", o.err, o.log)
	}
	if o := w.start(fs); o.err != nil || o.log != "" {
		t.Errorf("afterwards: %v, log %q", o.err, o.log)
	}
}

// TestLossBeforeTheNewestLogIsRefused loses an older log, of which Pebble says nothing when it is
// empty, cut between two records, or not there: what the newer logs hold would stand on a gap.
func TestLossBeforeTheNewestLogIsRefused(t *testing.T) {
	w := makeWreck(t, shapes[3], stuck)
	var logs []string
	for _, p := range w.files {
		if filepath.Ext(p) == ".log" {
			logs = append(logs, p)
		}
	}
	if len(logs) < 3 {
		t.Fatalf("logs %v, want some", logs)
	}
	for _, c := range []struct {
		name   string
		damage func(fs vfs.FS, log string)
	}{
		{"empty", func(fs vfs.FS, log string) { change(t, fs, log, func([]byte) []byte { return nil }) }},
		{"gone", func(fs vfs.FS, log string) {
			if err := fs.Remove(log); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut", func(fs vfs.FS, log string) { change(t, fs, log, func(b []byte) []byte { return b[:len(b)/2] }) }},
	} {
		for i, log := range logs {
			if info, err := w.disk.Stat(log); err != nil || info.Size() == 0 {
				continue
			}
			fs := w.clone()
			c.damage(fs, log)
			o := w.start(fs)
			if o.lost != "" || o.err != nil && !errors.Is(o.err, store.ErrDamaged) {
				t.Errorf("log %d of %d %s: %v; lost: %s", i+1, len(logs), c.name, o.err, o.lost)
			}
			if i == len(logs)-2 && o.err == nil {
				t.Errorf("log %d of %d %s, and it starts", i+1, len(logs), c.name)
			}
		}
	}
}

// TestADamagedWitnessIsMadeAgain damages it alone: nothing is lost, so the store opens, and says
// so.
func TestADamagedWitnessIsMadeAgain(t *testing.T) {
	w := makeWreck(t, shapes[0], killed)
	other := makeWreck(t, shapes[0], killed)
	const path = "store/WITNESS"
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		says   string
	}{
		{"empty", func([]byte) []byte { return nil }, "it is damaged"},
		{"zeros", func(b []byte) []byte { clear(b); return b }, "it is damaged"},
		{"cut in its first record", func(b []byte) []byte { return b[:100] }, "it is damaged"},
		{"cut in half", func(b []byte) []byte { return b[:witnessPitch] }, "one of its two records is damaged"},
		{"a bit of the first record", func(b []byte) []byte { b[40] ^= 4; return b }, "one of its two records is damaged"},
		{"a bit of the second record", func(b []byte) []byte { b[witnessPitch+30] ^= 4; return b }, "one of its two records is damaged"},
		{"of another store", func([]byte) []byte { return files(t, other.disk, []string{path})[path] }, "is of another store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := w.clone()
			change(t, fs, path, c.change)
			if o := w.start(fs); o.err != nil || o.lost != "" || !strings.Contains(o.log, path) || !strings.Contains(o.log, c.says) {
				t.Errorf("%v, lost %q, log %q; want a start that says %q", o.err, o.lost, o.log, c.says)
			}
			if o := w.start(fs); o.err != nil || o.log != "" {
				t.Errorf("the next start: %v, log %q", o.err, o.log)
			}
		})
	}
	t.Run("an older one is no damage", func(t *testing.T) {
		fs := w.clone()
		old, ok := decodeTestimony(files(t, fs, []string{path})[path][:witnessSlot])
		if !ok {
			t.Fatal("the witness cannot be read")
		}
		old.writes -= 20
		change(t, fs, path, func(b []byte) []byte {
			copy(b, old.encode(nil))
			copy(b[witnessPitch:], old.encode(nil))
			return b
		})
		if o := w.start(fs); o.err != nil || o.log != "" || o.lost != "" {
			t.Errorf("%v, log %q, lost %q: this is what a power cut leaves", o.err, o.log, o.lost)
		}
	})
}

// TestAStoreWithoutWitnessGetsOne opens a store of the version that had none.
func TestAStoreWithoutWitnessGetsOne(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var p progress
	s, err := p.run(mem, 20)
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	// The store is closed: while it is open, its index may still be listed, and that write is
	// counted.
	db, err := pebble.Open(testDir, &pebble.Options{FS: mem, FormatMajorVersion: majorVersion})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{metaID, metaWrites} {
		if err := db.Delete(metaKey(name), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == witnessName || filepath.Ext(name) == ".log" { // the logs are empty, or not needed any more
			if err := mem.Remove(mem.PathJoin(testDir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := &wreck{opts: small(nil)}
	if o := w.opens(mem); o.err != nil || o.log != "" {
		t.Fatalf("%v, log %q", o.err, o.log)
	}
	// That version may come back for a while: its writes are not counted, and that is no loss.
	if s, err = Open(testDir, small(mem)); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Set([]byte("mother"), nil, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := step(s, 20); err != nil {
		t.Fatal(err)
	}
	kill := mem.CrashClone(allKept())
	closeStore(t, s)
	if o := w.opens(kill); o.err != nil || o.log != "" {
		t.Errorf("%v, log %q", o.err, o.log)
	}
}

// inLogs returns how many bytes a kill at this moment would leave in logs alone.
func inLogs(t *testing.T, mem *vfs.MemFS) uint64 {
	t.Helper()
	fs := mem.CrashClone(allKept())
	opts := small(fs)
	opts.setDefaults()
	s := newStore(testDir, opts)
	defer s.abandon()
	var err error
	if s.lock, err = pebble.LockDirectory(testDir, fs); err != nil {
		t.Fatal(err)
	}
	found, err := s.survey(t.Context(), fs)
	if err != nil {
		t.Fatal(err)
	}
	return found.replay
}

// TestNothingStaysInTheLog holds what a stop, a seal and idleness leave behind to nothing.
func TestNothingStaysInTheLog(t *testing.T) {
	short := quiet{sealedPause: time.Millisecond, sealedEvery: time.Millisecond, idlePause: time.Hour, idleEvery: time.Hour, oldLog: time.Hour}
	idle := quiet{sealedPause: time.Hour, idlePause: time.Millisecond, oldLog: time.Hour}
	for _, c := range []struct {
		name  string
		quiet quiet
		steps int
		stop  bool
	}{
		{"after a stop", defaultQuiet, 3, true},
		{"after a seal", short, stepsPerBatch, false},
		{"when idle", idle, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			opts := small(mem)
			opts.memTableSize, opts.quiet = 0, c.quiet
			s, err := Open(testDir, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for n := range c.steps {
				if err := step(s, n); err != nil {
					t.Fatal(err)
				}
			}
			if c.stop {
				closeStore(t, s)
			}
			eventually(t, func() error {
				if n := inLogs(t, mem); n > 0 {
					return errors.New("some writes are in the log alone")
				}
				return nil
			})
		})
	}
}

// TestWhenTheLogIsFlushed is the policy: soon after a seal, when idle, and seldom.
func TestWhenTheLogIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := defaultQuiet
		begin := time.Now()
		q.flushed = begin.Add(-time.Hour)
		due := func(want time.Duration, what string) {
			t.Helper()
			if got := q.due().Sub(begin); got != want {
				t.Errorf("%s: due after %v, want %v", what, got, want)
			}
		}
		if !q.due().IsZero() {
			t.Error("a flush of an empty log is due")
		}
		q.wrote(time.Now(), false)
		due(q.idlePause, "one write")
		for range 90 { // never idle
			time.Sleep(8 * time.Second)
			q.wrote(time.Now(), false)
		}
		due(q.oldLog, "writes all the time")
		q.flushed = time.Now()
		q.empty()
		begin = time.Now()
		q.wrote(begin, false)
		due(q.idleEvery, "a write after a flush")
		q.wrote(begin, true)
		due(q.sealedEvery, "a seal after a flush")
		time.Sleep(time.Minute)
		begin = time.Now()
		q.wrote(begin, true)
		due(q.sealedPause, "a seal")
		time.Sleep(q.sealedPause / 2)
		q.wrote(time.Now(), true)
		due(q.sealedPause*3/2, "a seal, and its anchor")
	})
}

// TestTheWitnessCostsNoSync counts what a write syncs: the log, and nothing else.
func TestTheWitnessCostsNoSync(t *testing.T) {
	var logs, others atomic.Int64
	fs := &hookFS{FS: vfs.NewMem(), hook: func(op, name string, change func() error) error {
		switch {
		case op != "sync":
		case filepath.Ext(name) == ".log":
			logs.Add(1)
		default:
			others.Add(1)
		}
		return change()
	}}
	s, err := Open(testDir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	logs.Store(0)
	others.Store(0)
	for n := range groupsPerBatch {
		if err := step(s, n); err != nil {
			t.Fatal(err)
		}
	}
	if logs.Load() != groupsPerBatch || others.Load() != 0 {
		t.Errorf("%d writes: %d syncs of the log, %d others", groupsPerBatch, logs.Load(), others.Load())
	}
}

// TestARestoredStoreHasItsOwnWitness: a restored store has the key of the one before, and a witness
// of its own.
func TestARestoredStoreHasItsOwnWitness(t *testing.T) {
	key := [32]byte{7}
	var ids []storeID
	for _, dir := range []string{"one", "two"} {
		s, err := Open(dir, Options{FS: vfs.NewMem(), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), storetest.Group([]store.Batch{batchAfter(1, 1)}, 1, 0, leavesPerGroup)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.witness.id)
		closeStore(t, s)
	}
	if ids[0] == ids[1] || ids[0] == (storeID{}) {
		t.Errorf("IDs %x", ids)
	}
}
