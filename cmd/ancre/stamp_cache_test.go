package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher"
)

// later has stamp believe that all files changed long ago.
func later(t *testing.T) {
	was := treeTime
	treeTime = func(*tree) time.Time { return time.Now().Add(time.Hour) }
	t.Cleanup(func() { treeTime = was })
}

// reads counts how many files are read while do runs.
func reads(t *testing.T, do func()) int {
	t.Helper()
	var n atomic.Int32 // several files are read at once
	onHashing(t, func() { n.Add(1) })
	do()
	whileHashing = func() {}
	return int(n.Load())
}

// stampedTree is a rig with three files in a tree that were stamped, completed and looked at once
// more.
func stampedTree(t *testing.T) *rig {
	t.Helper()
	later(t)
	r := newRig(t)
	for _, name := range []string{"t/a", "t/sub/b", "t/sub/deep/c"} {
		r.settled(r.write(name, "content of "+name))
	}
	if n := reads(t, func() { r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 3 stamped.") }); n != 3 {
		t.Fatalf("%d files were read, want 3", n)
	}
	r.daemon.mine()
	r.ancre("upgrade", "-r", r.path("t")).is(t, exitDone)
	if n := reads(t, func() { r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 3 unchanged.") }); n != 0 {
		t.Fatalf("%d unchanged files were read", n)
	}
	return r
}

func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	r := stampedTree(t)
	calls := len(r.daemon.calls)
	r.http.Close() // nothing is asked of the daemon
	a := answer{}
	if n := reads(t, func() { a = r.ancre("--json", "stamp", "-r", r.path("t")).is(t, exitDone) }); n != 0 || len(r.daemon.calls) != calls {
		t.Errorf("%d files were read", n)
	}
	for _, text := range []string{`"result":"already","complete":true`, `"unchanged":3`, `"proofs":6`} {
		if !strings.Contains(a.out, text) {
			t.Errorf("nothing is said of %s:\n%s", text, a.out)
		}
	}
	if n := reads(t, func() { r.ancre("stamp", "-r", "--rehash", r.path("t")).is(t, exitDone, "3 unchanged") }); n != 3 {
		t.Errorf("with --rehash %d files were read", n)
	}
	r.ancre("stamp", "--rehash", r.path("t/a")).is(t, exitUsage, "--rehash goes with -r")
}

// The bug that it catches: a file whose time was set back, as rsync -t, cp -p and touch -r do,
// keeps the proof of what it was.
func TestNoChangeIsMissed(t *testing.T) {
	for what, change := range map[string]func(r *rig, path string, was os.FileInfo){
		"another size": func(r *rig, path string, was os.FileInfo) {
			r.append(path, "x")
			r.must(os.Chtimes(path, was.ModTime(), was.ModTime()))
		},
		"another time": func(r *rig, path string, was os.FileInfo) {
			r.must(os.WriteFile(path, []byte("CONTENT of t/sub/b"), 0o644))
			r.must(os.Chtimes(path, time.Time{}, was.ModTime().Add(time.Nanosecond)))
		},
		"the same size and time, in the same file": func(r *rig, path string, was os.FileInfo) {
			r.must(os.WriteFile(path, []byte("CONTENT of t/sub/b"), 0o644))
			r.must(os.Chtimes(path, was.ModTime(), was.ModTime()))
		},
		"the same size and time, in another file": func(r *rig, path string, was os.FileInfo) {
			r.must(os.WriteFile(path+".new", []byte("CONTENT of t/sub/b"), 0o644))
			r.must(os.Chtimes(path+".new", was.ModTime(), was.ModTime()))
			r.must(os.Rename(path+".new", path))
		},
	} {
		t.Run(what, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(what, "the same size and time") {
				t.Skip("Windows tells neither: --rehash is for that")
			}
			r := stampedTree(t)
			path := r.path("t/sub/b")
			was, err := os.Stat(path)
			r.must(err)
			change(r, path, was)
			r.daemon.state = batcher.Open
			if n := reads(t, func() {
				r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 1 changed (earlier proofs kept), 2 unchanged.")
			}); n != 1 {
				t.Errorf("%d files were read, want the changed one", n)
			}
			r.proves("t/sub/b.ots", string(r.read(path)))
			r.proves("t/sub/b.2026-01-02.ots", "content of t/sub/b")
		})
	}
}

// A file that was written within one tick of the clock before it was hashed may be written again
// and look the same.
func TestAFileThatWasWrittenJustNowIsReadAgain(t *testing.T) {
	r := newRig(t)
	r.write("t/a", "content")
	for range 2 {
		if n := reads(t, func() { r.ancre("stamp", "-r", r.path("t")).is(t, exitDone) }); n == 0 {
			t.Error("it was not read")
		}
	}
}

// What a daemon lost, such as one that was restored from an old backup, is submitted again without
// reading the files.
func TestPendingProofsAreSubmittedAgain(t *testing.T) {
	later(t)
	r := newRig(t)
	for _, name := range []string{"t/a", "t/b"} {
		r.write(name, name)
	}
	r.ancre("stamp", "-r", r.path("t")).is(t, exitDone)
	r.daemon.digests = nil
	if n := reads(t, func() { r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 2 unchanged.") }); n != 0 {
		t.Errorf("%d files were read", n)
	}
	if n := len(r.daemon.digests); n != 2 {
		t.Errorf("the daemon has %d digests, want 2", n)
	}
	// And what is final is completed.
	r.daemon.mine()
	r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 2 stamped.")
	if !r.proof(r.path("t/a.ots")).IsComplete() {
		t.Error("the proof is pending")
	}
}

// The cache knows files, and the proofs are those on the disk.
func TestALostProofIsWrittenAgain(t *testing.T) {
	r := stampedTree(t)
	r.must(os.Remove(r.path("t/a.ots")))
	other := r.read(r.path("t/sub/b.ots"))
	r.write("t/sub/deep/c.ots", string(other)) // somebody mixed them up
	r.daemon.state = batcher.Open
	n := reads(t, func() {
		r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 1 stamped, 1 changed (earlier proofs kept), 1 unchanged")
	})
	if n != 0 {
		t.Errorf("%d files were read", n)
	}
	r.proves("t/a.ots", "content of t/a")
	r.proves("t/sub/deep/c.ots", "content of t/sub/deep/c")
}

// cacheFiles lists the files of caches in a directory.
func cacheFiles(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "ancre", "stamp-*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestACacheMayBeDeletedOrDamaged(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CACHE_DIRECTORY", dir)
	r := stampedTree(t)
	list := cacheFiles(t, dir)
	if len(list) != 1 {
		t.Fatalf("caches: %v", list)
	}
	if got := r.names(); strings.Contains(fmt.Sprint(got), "stamp-") {
		t.Errorf("it is in the tree: %v", got)
	}
	stamp := func(read int) answer {
		t.Helper()
		a := answer{}
		if n := reads(t, func() { a = r.ancre("stamp", "-q", "-r", r.path("t")) }); n != read || a.exit != exitDone || a.out != "" {
			t.Errorf("%d files were read, want %d: %+v", n, read, a)
		}
		return a
	}
	r.must(os.Remove(list[0]))
	stamp(3).silent(t, exitDone)
	stamp(0).silent(t, exitDone)
	r.must(os.WriteFile(list[0], []byte("garbage"), 0o600))
	stamp(3).only(t, exitDone, fmt.Sprintf("warning: all files are read again, because the cache %s cannot be used: is damaged, or of another version of this program", list[0]))
	stamp(0).silent(t, exitDone)

	// A tree that was moved is another one.
	r.must(os.Rename(r.path("t"), r.path("moved")))
	r.must(os.Mkdir(r.path("t"), 0o755))
	r.must(os.Rename(r.path("moved"), r.path("t/moved")))
	stamp(3)

	// Nothing is kept where nothing can be written.
	r.must(os.RemoveAll(filepath.Join(dir, "ancre")))
	r.must(os.WriteFile(filepath.Join(dir, "ancre"), nil, 0o600))
	if a := stamp(3); !strings.Contains(a.err, "all files will be read again next time") && !strings.Contains(a.err, "all files are read again") {
		t.Errorf("%+v", a)
	}
}

// What was hashed before an interrupt need not be hashed again, whether the daemon took it or not.
func TestAnInterruptedStampKeepsItsHashes(t *testing.T) {
	later(t)
	r := newRig(t)
	r.write("t/a", "content")
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	r.daemon.onSubmit = func(request context.Context) {
		interrupt()
		<-request.Done()
	}
	r.with(session{ctx: ctx}, "stamp", "-r", r.path("t")).is(t, exitFailed, "interrupted")
	r.daemon.onSubmit = nil
	if n := reads(t, func() { r.ancre("stamp", "-r", r.path("t")).is(t, exitDone, "In all: 1 stamped.") }); n != 0 {
		t.Errorf("%d files were read", n)
	}
}

// A daemon that is down is one line, and nothing is half done.
func TestADaemonThatIsDownIsOneLine(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.write(fmt.Sprintf("t/%02d", i), fmt.Sprint(i))
	}
	r.http.Close()
	a := r.ancre("stamp", "-q", "-r", r.path("t"))
	if a.exit != exitFailed || a.out != "" || strings.Count(a.err, "\n") != 1 || !strings.Contains(a.err, "is ancred running?") {
		t.Errorf("%+v", a)
	}
	if n := len(r.names()); n != 20 {
		t.Errorf("%d files, want 20", n)
	}
}
