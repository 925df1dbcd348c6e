package main

import (
	"os"
	"strings"
	"testing"

	"ancre/proof"
)

// The bug that they catch: a remedy is told that this verb does not have.
func TestRemediesAreThoseOfTheVerb(t *testing.T) {
	r, file, _ := proved(t, 6)
	dir := r.path("dir")
	r.must(os.Mkdir(dir, 0o755))
	for _, args := range [][]string{{"receipt", dir}, {"status", dir}, {"verify", "-f", dir, file + proofSuffix}} {
		if a := r.ancre(args...).is(t, exitFailed, "is a directory: name a file"); strings.Contains(a.err, "-r") {
			t.Errorf("%s: %s", args, a.err)
		}
	}
	for _, args := range [][]string{{"receipt", os.DevNull}, {"status", os.DevNull}, {"verify", "-f", os.DevNull, file + proofSuffix}} {
		if a := r.ancre(args...).is(t, exitFailed, "is not a regular file: pipe its content, and "); strings.Contains(a.err, "stamp") {
			t.Errorf("%s: %s", args, a.err)
		}
	}
}

// The bug that it catches: silence and exit status 0 are taken for a verdict.
func TestNothingFoundIsSaid(t *testing.T) {
	r := newRig(t)
	r.ancre("verify", "-r", r.dir).is(t, exitDone, "Nothing was verified")
	r.ancre("upgrade", "-r", r.dir).is(t, exitDone, "Nothing was upgraded")
	r.ancre("prune", "-r", r.dir).is(t, exitDone, "Nothing was pruned")
}

// The bug that it catches: a file that was changed after it was stamped is said never to have been
// handed in.
func TestStatusOfAChangedFile(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.write("a", "other content")
	r.ancre("status", file).is(t, exitFailed, "was never submitted to this daemon, and "+file+".ots is about another content: the file has changed since it was stamped")
}

// A receipt of version 4 needs the block's time. A daemon that does not have the block yet does not
// make the proof false.
func TestAReceiptOfABlockThatIsNotHere(t *testing.T) {
	r, file, _ := proved(t, 6)
	r.daemon.mu.Lock()
	kept := r.daemon.headers
	r.daemon.headers = kept[:1]
	r.daemon.digests = nil // it does not know the digest either
	r.daemon.mu.Unlock()
	a := r.ancre("receipt", "--format", "v4", file).is(t, exitUnverifiable, "no receipt can be made here: ", "which the daemon does not have", "needed: a daemon that has the block")
	if strings.Contains(a.err, "false") {
		t.Errorf("%s", a.err)
	}
	other := append(kept[:1:1], kept[1:]...)
	other[1].MerkleRoot[0] ^= 1
	r.daemon.mu.Lock()
	r.daemon.headers = other
	r.daemon.mu.Unlock()
	r.ancre("receipt", "--format", "v4", file).is(t, exitFailed, "the proof beside the file is false")

	// A proof that this program cannot read is no failure either.
	good := r.read(file + proofSuffix)
	good[31] = 2
	r.must(os.WriteFile(file+proofSuffix, good, 0o644))
	for _, verb := range []string{"verify", "upgrade", "prune", "receipt", "info", "status"} {
		arg := file + proofSuffix
		r.ancre(verb, arg).is(t, exitUnverifiable, "version 2 of the format")
	}
}

// The bug that it catches: "ancre verify" says of a receipt that "ancre verify" reads it.
func TestAReceiptCalledOTS(t *testing.T) {
	r, file, _ := proved(t, 6)
	r.ancre("receipt", file).is(t, exitDone)
	r.must(os.Rename(file+v2Suffix, file+proofSuffix))
	r.ancre("verify", file).is(t, exitDone, file+": valid")
	r.ancre("info", file).is(t, exitDone, "Chainpoint receipt of version 2")
	r.ancre("upgrade", file).is(t, exitFailed, `this is a receipt, not a .ots: "ancre verify" reads it`)
	r.write("other.ots", "{}")
	r.ancre("verify", "-f", file, r.path("other.ots")).is(t, exitFailed, "invalid: malformed proof")
}

// The bug that it catches: a proof whose own block is false is said to be pending in its file, or
// complete.
func TestAFalseBlockBesideATrueAnswerIsTold(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	f := r.proof(file + proofSuffix)
	f.Timestamp.Attest(proof.BitcoinAt(0))
	r.save(file, f)
	r.ancre("verify", "--offline", file).is(t, exitFailed, "invalid")
	c.has(leaves[0], r.anchored(leaves[0]))
	a := r.ancre("--json", "verify", "--calendar", c.URL, file).is(t, exitDone, `"result":"valid"`, "what the file itself says about Bitcoin is false")
	if strings.Contains(a.out, `"complete":true`) || strings.Contains(a.out, "still pending") {
		t.Errorf("%s", a.out)
	}
}
