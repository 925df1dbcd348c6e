//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"ancre/batcher"
)

// lastLine decodes the last line of a --json answer, which is the summary, and returns it.
func (a answer) lastLine(t *testing.T) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(a.out), "\n")
	for i, line := range lines {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatalf("line %d is no JSON: %v\n%s", i, err, line)
		}
		if _, is := doc["summary"]; is != (i == len(lines)-1) {
			t.Errorf("line %d of %d is a summary: %t", i+1, len(lines), is)
		}
	}
	return lines[len(lines)-1]
}

func left(proofs, earlier, links, pipes, sockets, others int) string {
	return fmt.Sprintf(`"left_out":{"devices":0,"earlier":%d,"links":%d,"others":%d,"pipes":%d,"proofs":%d,"sockets":%d,"unfit":0}`, earlier, links, others, pipes, proofs, sockets)
}

// A tree with one of everything. What is left out is no failure, and is counted.
func TestSummariesCountWhatWasLeftOut(t *testing.T) {
	r := newRig(t)
	t.Chdir(r.dir) // names of sockets are short
	r.write("t/a", "content a")
	r.write("t/sub/b", "content b")
	r.write("t/letter.ots", "PK\x03\x04 is how an OpenDocument template begins")
	r.must(os.Symlink("a", "t/link"))
	r.must(os.Symlink("a.ots", "t/link.ots"))
	r.must(os.Symlink("sub", "t/to-directory"))
	r.must(os.Symlink("nowhere", "t/dangling"))
	r.must(syscall.Mkfifo("t/pipe", 0o600))
	r.must(syscall.Mkfifo("t/pipe.ots", 0o600))
	socket, err := net.Listen("unix", "t/socket")
	r.must(err)
	defer socket.Close()

	// The OpenDocument template is stamped as any file. It is no proof.
	want := func(verb string, exit int, summary, text string) {
		t.Helper()
		a := r.ancre("--json", verb, "-r", "t").is(t, exit)
		if got := a.lastLine(t); got != `{"summary":{`+summary+`}}` {
			t.Errorf("%s\n got %s\nwant {\"summary\":{%s}}", verb, got, summary)
		}
		r.ancre(verb, "-r", "t").is(t, exit, text)
		r.ancre(verb, "-q", "-r", "t").silent(t, exit)
	}
	a := r.ancre("--json", "stamp", "-r", "t").is(t, exitDone)
	if got, want := a.lastLine(t), `{"summary":{"changed":0,"failed":0,`+left(0, 0, 4, 2, 1, 0)+`,"stamped":3,"unchanged":0}}`; got != want {
		t.Errorf("stamp\n got %s\nwant %s", got, want)
	}
	if n := strings.Count(a.out, `"result":"skipped","reason":"is a symbolic link, not a regular file"`); n != 4 {
		t.Errorf("%d links are named, want 4:\n%s", n, a.out)
	}
	want("stamp", exitDone, `"changed":0,"failed":0,`+left(3, 0, 4, 2, 1, 0)+`,"stamped":0,"unchanged":3`,
		"In all: 3 unchanged. Left out: 3 proofs, 4 symbolic links, 2 named pipes, 1 socket.")
	want("upgrade", exitPending, `"already":0,"completed":0,"failed":0,`+left(0, 0, 2, 1, 0, 1)+`,"pending":3,"unverifiable":0`,
		"In all: 3 pending. Left out: 2 symbolic links, 1 named pipe, 1 other file named .ots.")
	r.daemon.mine()
	a = r.ancre("--json", "upgrade", "-r", "t").is(t, exitDone)
	if got, want := a.lastLine(t), `{"summary":{"already":0,"completed":3,"failed":0,`+left(0, 0, 2, 1, 0, 1)+`,"pending":0,"unverifiable":0}}`; got != want {
		t.Errorf("upgrade\n got %s\nwant %s", got, want)
	}
	want("upgrade", exitDone, `"already":3,"completed":0,"failed":0,`+left(0, 0, 2, 1, 0, 1)+`,"pending":0,"unverifiable":0`,
		"In all: 3 complete before. Left out")
	r.daemon.headers = r.buried(6)
	want("verify", exitDone, `"failed":0,"invalid":0,`+left(0, 0, 2, 1, 0, 1)+`,"pending":0,"unverifiable":0,"valid":3`, "In all: 3 valid. Left out")
	want("prune", exitDone, `"already":3,"failed":0,"invalid":0,`+left(0, 0, 2, 1, 0, 1)+`,"pending":0,"pruned":0,"unverifiable":0`, "In all: 3 as short as can be. Left out")

	// A file that changed.
	r.must(os.WriteFile("t/a", []byte("changed"), 0o644))
	r.daemon.state = batcher.Open
	a = r.ancre("stamp", "-r", "t").is(t, exitDone, "In all: 1 changed (earlier proofs kept), 2 unchanged.")
	if strings.Contains(a.out, "t/sub/b") {
		t.Errorf("unchanged files are named: %s", a.out)
	}

	r.ancre("verify", "-r", "t").is(t, exitPending, "1 proof of an earlier version")
}

// What cannot be read is a failure, and the rest is done.
func TestAnUnreadableFileIsAFailureOfTheTree(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read everything")
	}
	r := newRig(t)
	r.write("t/a", "a")
	r.must(os.Chmod(r.write("t/b", "b"), 0))
	r.must(os.Mkdir(r.path("t/c"), 0))
	t.Cleanup(func() { os.Chmod(r.path("t/c"), 0o700) })
	r.ancre("stamp", "-r", r.path("t")).is(t, exitFailed, "b: permission denied", "c: permission denied", "In all: 1 stamped, 2 failed.")
	a := r.ancre("stamp", "-q", "-r", r.path("t"))
	if a.exit != exitFailed || a.out != "" || strings.Count(a.err, "\n") != 2 {
		t.Errorf("%+v", a)
	}
}

func TestAnEmptyTreeIsNoFailure(t *testing.T) {
	r := newRig(t)
	for _, verb := range []string{"stamp", "upgrade", "verify", "prune"} {
		r.ancre(verb, "-r", r.dir).is(t, exitDone, "In all: nothing to do.")
		r.ancre(verb, "-q", "-r", r.dir).silent(t, exitDone)
	}
}
