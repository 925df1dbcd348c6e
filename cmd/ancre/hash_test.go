package main

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"
)

// onHashing has do run while files are hashed: after one was read, and before it is looked at
// again.
func onHashing(t *testing.T, do func()) {
	whileHashing = do
	t.Cleanup(func() { whileHashing = func() {} })
}

// once returns a function that does something the first time.
func once(do func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			do()
		}
	}
}

func (r *rig) append(path, more string) {
	r.t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	r.must(err)
	_, err = f.WriteString(more)
	r.must(err)
	r.must(f.Close())
}

// settled makes a file look as if nothing had written to it for a while.
func (r *rig) settled(path string) {
	r.t.Helper()
	old := time.Now().Add(-time.Hour)
	r.must(os.Chtimes(path, old, old))
}

// changes are ways in which a file changes while it is hashed.
func changes(r *rig, path string) map[string]func() {
	return map[string]func(){
		"it grows, as logs do": func() { r.append(path, "x") },
		"it is cut":            func() { r.must(os.Truncate(path, 1)) },
		"it is written over, and its time is set back": func() {
			info, err := os.Stat(path)
			r.must(err)
			r.must(os.WriteFile(path, []byte(strings.Repeat("y", int(info.Size()))), 0o644))
			r.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"another file takes its name": func() {
			r.must(os.WriteFile(path+".new", []byte("another"), 0o644))
			r.must(os.Rename(path+".new", path))
		},
		"it goes away": func() { r.must(os.Rename(path, path+".gone")) },
	}
}

// The bug that it catches: a proof of a content that the file never had.
func TestAFileThatChangesWhileItIsHashedIsHashedOnceMore(t *testing.T) {
	for what := range changes(newRig(t), "") {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			path := r.write("dir/a", "content")
			r.settled(path)
			onHashing(t, once(changes(r, path)[what]))
			if what == "it goes away" {
				r.ancre("stamp", path).is(t, exitFailed, "no such file")
				return
			}
			r.ancre("stamp", path).is(t, exitDone)
			now := sha256.Sum256(r.read(path))
			if got := r.proof(path + proofSuffix).Digest; string(got) != string(now[:]) {
				t.Errorf("the proof is about %x, and the file is %x", got, now)
			}
		})
	}
}

func TestAFileThatKeepsChangingIsRefused(t *testing.T) {
	const told = "changes while ancre reads it"
	r := newRig(t)
	path, other := r.write("dir/a", "content"), r.write("dir/b", "another")
	r.settled(path)
	stop := func() { whileHashing = func() {} }
	grow := func() { r.append(path, "x") }
	defer stop()

	whileHashing = grow
	a := r.ancre("stamp", "-r", r.path("dir")).is(t, exitFailed, told, "or stamp a copy")
	if !strings.Contains(a.out, "b.ots: stamped") || exists(path+proofSuffix) || !exists(other+proofSuffix) {
		t.Errorf("%v\n%s", r.names(), a.out)
	}
	r.ancre("--json", "stamp", path).is(t, exitFailed, `"result":"failed"`, told)

	stop()
	r.ancre("stamp", path).is(t, exitDone)
	whileHashing = grow
	r.ancre("verify", path).is(t, exitFailed, told)
	r.ancre("status", path).is(t, exitFailed, told)
	r.ancre("receipt", path).is(t, exitFailed, told)
}

// A write within one tick of the clock leaves no trace in a file's times.
func TestAFileThatWasJustWrittenIsHashedTwice(t *testing.T) {
	r := newRig(t)
	path := r.write("a", "content")
	passes := 0
	onHashing(t, func() { passes++ })
	for want, written := range map[int]time.Time{2: time.Now().Add(time.Minute), 1: time.Now().Add(-time.Minute)} {
		r.must(os.Chtimes(path, written, written))
		passes = 0
		r.ancre("stamp", path).is(t, exitDone)
		if passes != want {
			t.Errorf("it was read %d times, want %d", passes, want)
		}
	}
}

func TestFilesWithoutASizeAreHashed(t *testing.T) {
	const path = "/proc/version"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	r := newRig(t)
	r.ancre("stamp", "-o", r.path("a.ots"), path).is(t, exitDone)
	want := sha256.Sum256(data)
	if got := r.proof(r.path("a.ots")).Digest; string(got) != string(want[:]) {
		t.Errorf("the proof is about %x", got)
	}
}
