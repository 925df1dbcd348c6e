package main

import (
	"bytes"
	"crypto/sha256"
	"os"
	"strings"
	"testing"

	"ancre/batcher"
	"ancre/proof"
)

// Cron's pair: upgrade -r, then receipt -r.
func TestReceiptsOfATree(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"t/a", "t/sub/b", "t/sub/earlier"} {
		r.write(name, "content of "+name)
	}
	dir := r.path("t")
	r.ancre("stamp", "-q", "-r", dir).silent(t, exitDone)
	r.ancre("receipt", "-r", dir).is(t, exitPending, "In all: 3 pending.")
	r.ancre("receipt", "-q", "-r", dir).silent(t, exitPending)
	r.daemon.mine()
	r.ancre("receipt", "-r", dir).is(t, exitPending, "In all: 3 pending.") // upgrade comes before
	r.ancre("upgrade", "-q", "-r", dir).silent(t, exitDone)

	// What is left out is no failure.
	r.write("t/letter.ots", "PK\x03\x04 is how an OpenDocument template begins")
	sum := sha256.Sum256([]byte("foreign"))
	f := &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: []proof.Attestation{proof.BitcoinAt(1)}}}
	foreign, err := f.Marshal()
	r.must(err)
	r.write("t/foreign.ots", string(foreign))
	r.write("t/sub/earlier", "changed since")
	r.must(os.Remove(r.path("t/sub/b"))) // a receipt needs no file

	r.ancre("receipt", "-r", dir).is(t, exitDone, "a.timestamp-receipt.json: written, for Bitcoin block 1", "In all: 2 written. Left out: "+
		"1 proof of an earlier version, 1 proof that fits into no receipt of this version, 1 other file named .ots.")
	r.http.Close() // version 2 needs no daemon
	a := r.ancre("--json", "receipt", "-r", dir).is(t, exitDone, `"already":2`, `"written":0`, `"unfit":1`, "the file has changed since it was stamped")
	if n := strings.Count(a.out, "\n"); n != 6 {
		t.Errorf("%d lines, want one for each of 5 proofs and a summary:\n%s", n, a.out)
	}
	r.ancre("receipt", "-q", "-r", dir).silent(t, exitDone)
	for _, name := range []string{"t/a", "t/sub/b"} {
		if !exists(r.path(name + v2Suffix)) {
			t.Errorf("%s has no receipt", name)
		}
	}
	if exists(r.path("t/sub/earlier" + v2Suffix)) {
		t.Error("the file that changed has a receipt of what it was")
	}
}

func TestReceiptsOfATreeReplaceNothing(t *testing.T) {
	r := newRig(t)
	r.write("t/a", "a")
	r.write("t/b", "b")
	r.ancre("stamp", "-r", r.path("t")).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", "-r", r.path("t")).is(t, exitDone)
	r.write("t/a"+v2Suffix, "{}")
	a := r.ancre("receipt", "-q", "-r", r.path("t"))
	if a.exit != exitFailed || a.out != "" || strings.Count(a.err, "\n") != 1 || !strings.Contains(a.err, "holds something else: move it away") {
		t.Errorf("%+v", a)
	}
	if got := r.read(r.path("t/a" + v2Suffix)); string(got) != "{}" {
		t.Errorf("it holds %q", got)
	}
	r.ancre("verify", r.path("t/b"+v2Suffix)).is(t, exitDone, "valid")
}

// A daemon that is down is one line: receipts of version 4 need it.
func TestReceiptsOfATreeWithoutADaemon(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"t/a", "t/b", "t/c"} {
		r.write(name, name)
	}
	r.ancre("stamp", "-r", r.path("t")).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", "-r", r.path("t")).is(t, exitDone)
	r.http.Close()
	a := r.ancre("receipt", "-q", "-r", "--format", "v4", r.path("t"))
	if a.exit != exitFailed || a.out != "" || strings.Count(a.err, "\n") != 1 || !strings.Contains(a.err, "is ancred running?") {
		t.Errorf("%+v", a)
	}
}

// A file that was stamped again has its own receipt, and the earlier one keeps its own.
func TestAFileThatChangedGetsAReceiptOfItsOwn(t *testing.T) {
	r := newRig(t)
	file := r.write("t/a", "one")
	night := func() {
		r.ancre("stamp", "-q", "-r", r.path("t")).silent(t, exitDone)
		r.daemon.headers = r.daemon.headers[:1] // its block is always the first
		r.daemon.mine()
		r.ancre("upgrade", "-q", "-r", r.path("t")).silent(t, exitDone)
		r.ancre("receipt", "-q", "-r", r.path("t")).silent(t, exitDone)
		r.daemon.state, r.daemon.digests = batcher.Open, nil
	}
	night()
	one := r.read(file + v2Suffix)
	r.write("t/a", "two")
	night()
	if got := r.read(file + ".2026-01-02" + v2Suffix); !bytes.Equal(got, one) {
		t.Error("the earlier receipt is lost")
	}
	if bytes.Equal(r.read(file+v2Suffix), one) {
		t.Error("the file has the receipt of what it was")
	}
}

func TestUsageOfReceiptTrees(t *testing.T) {
	r := newRig(t)
	r.ancre("receipt", "-r", "-o", "x", r.dir).is(t, exitUsage, "-o names a single receipt")
	r.ancre("receipt", "-r", "-", r.dir).is(t, exitUsage, "-r is for directories")
	r.ancre("receipt", "-r", "-d", strings.Repeat("0", 64), r.dir).is(t, exitUsage, "-r is for directories")
	r.ancre("receipt", r.dir).is(t, exitFailed, "is a directory")
}
