package main

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
)

// silent checks the exit status, and that nothing was said.
func (a answer) silent(t *testing.T, exit int) {
	t.Helper()
	if a.exit != exit || a.out != "" || a.err != "" {
		t.Errorf("exit status %d, want %d and not a word\nout: %q\nerr: %q", a.exit, exit, a.out, a.err)
	}
}

// only checks the exit status, that nothing is on standard output, and that standard error is these
// lines.
func (a answer) only(t *testing.T, exit int, lines ...string) {
	t.Helper()
	want := ""
	for _, line := range lines {
		want += "ancre: " + line + "\n"
	}
	if a.exit != exit || a.out != "" || a.err != want {
		t.Errorf("exit status %d, want %d\nout: %q\nerr: %q\nwant %q", a.exit, exit, a.out, a.err, want)
	}
}

// buried returns the daemon's headers and n more: with fewer than 5 on top, verify warns.
func (r *rig) buried(n int) []wire.BlockHeader {
	list := slices.Clone(r.daemon.headers)
	for range n {
		list = append(list, wire.BlockHeader{PrevBlock: list[len(list)-1].BlockHash(), Timestamp: testTime})
	}
	return list
}

func TestQuietSaysNothingWhenAllIsWell(t *testing.T) {
	r := newRig(t)
	file := r.write("dir/a", "content")
	dir := r.path("dir")
	for range 2 {
		r.ancre("stamp", "-q", "-r", dir).silent(t, exitDone)
	}
	r.ancre("upgrade", "-q", "-r", dir).silent(t, exitPending)
	r.ancre("verify", "-q", "-r", dir).silent(t, exitPending)
	r.ancre("receipt", "-q", file).silent(t, exitPending)
	r.ancre("prune", "-q", "-r", dir).silent(t, exitPending)
	r.daemon.mine()
	r.daemon.headers = r.buried(6)
	for range 2 {
		r.ancre("upgrade", "-q", "-r", dir).silent(t, exitDone)
		r.ancre("verify", "-q", "-r", dir).silent(t, exitDone)
		r.ancre("verify", "-q", "-v", file).silent(t, exitDone)
		r.ancre("receipt", "-q", file).silent(t, exitDone)
		r.ancre("prune", "-q", "-r", dir).silent(t, exitDone)
	}
	r.with(session{terminal: true}, "stamp", "--quiet", "-r", dir).silent(t, exitDone)
}

func TestQuietStillSaysWhatNeedsAPerson(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", "-q", file, r.path("missing")).only(t, exitFailed, r.path("missing")+": no such file or directory")
	r.daemon.mine()
	r.ancre("upgrade", "-q", file).silent(t, exitDone)

	// Of what was changed since, verify says so.
	r.write("a", "changed")
	a := r.ancre("verify", "-q", file)
	if a.exit != exitFailed || a.out != "" || !strings.HasPrefix(a.err, "ancre: "+file+": invalid: the proof is about another file") || strings.Count(a.err, "\n") != 1 {
		t.Errorf("%+v", a)
	}

	// A proof that cannot be checked here says what that needs.
	sum := sha256.Sum256([]byte("later"))
	f := &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: []proof.Attestation{proof.BitcoinAt(500)}}}
	data, err := f.Marshal()
	r.must(err)
	later := r.write("later", "later")
	r.write("later.ots", string(data))
	a = r.ancre("verify", "-q", later)
	if a.exit != exitUnverifiable || a.out != "" || !strings.HasPrefix(a.err, "ancre: "+later+": cannot be checked here: ") || !strings.Contains(a.err, "; needed: ") {
		t.Errorf("%+v", a)
	}
}

// A calendar that nobody may ask is told in one line, for all proofs together.
func TestQuietUpgradeSaysOnceThatNobodyKnows(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"a", "b", "c"} {
		foreign, err := proof.Pending(sha256.Sum256([]byte(name)), [32]byte{7}, "https://calendar.example")
		r.must(err)
		data, err := foreign.Marshal()
		r.must(err)
		r.write("dir/"+name+".ots", string(data))
	}
	r.ancre("upgrade", "-q", "-r", r.path("dir")).only(t, exitPending, "nobody can say when 3 proofs will be complete: the same command without -q says why")
}

// The product of a command is not noise.
func TestQuietStillWritesAProofToStandardOutput(t *testing.T) {
	r := newRig(t)
	a := r.with(session{in: "content"}, "stamp", "-q", "-").is(t, exitDone)
	if f, err := proof.Parse([]byte(a.out)); err != nil || f.IsComplete() || a.err != "" {
		t.Fatalf("%v\nerr: %s", err, a.err)
	}
	b := r.with(session{in: a.out}, "upgrade", "-q", "-").is(t, exitPending)
	if b.out != a.out || b.err != "" {
		t.Errorf("upgrade wrote another proof, or said %q", b.err)
	}
	r.daemon.mine()
	b = r.with(session{in: a.out}, "upgrade", "-q", "-").is(t, exitDone)
	if f, err := proof.Parse([]byte(b.out)); err != nil || !f.IsComplete() || b.err != "" {
		t.Errorf("no complete proof: %v\nerr: %s", err, b.err)
	}
}

func TestQuietAndJSONExcludeEachOther(t *testing.T) {
	r := newRig(t)
	for _, verb := range []string{"stamp", "upgrade", "verify", "prune", "receipt"} {
		r.ancre("--json", verb, "-q", r.path("a")).is(t, exitUsage, "--quiet and --json exclude each other")
	}
}
