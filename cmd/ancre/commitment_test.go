package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ancre/batcher"
	"ancre/proof"
	"ancre/verify"
)

// handedIn makes a file that another client stamped at the daemon's calendar: it blinded the hash,
// so the daemon knows the file by what its calendar promised alone.
func (r *rig) handedIn(name string, op proof.Tag, sum []byte) (file string) {
	r.t.Helper()
	file = r.write(name, "content")
	t := &proof.Timestamp{Msg: sum}
	next, err := t.Then(proof.Op{Tag: proof.Append, Arg: []byte("blind " + name)}, proof.Op{Tag: proof.SHA256})
	r.must(err)
	message := [32]byte(next.Msg)
	r.daemon.mu.Lock()
	r.daemon.digests = append(r.daemon.digests, message)
	nonce := r.daemon.nonce(message)
	r.daemon.mu.Unlock()
	next, err = next.Then(proof.Op{Tag: proof.Append, Arg: nonce[:]}, proof.Op{Tag: proof.SHA256})
	r.must(err)
	at, err := proof.PendingAt("https://does-not-resolve.invalid")
	r.must(err)
	next.Attest(at)
	r.save(file, &proof.File{HashOp: op, Digest: sum, Timestamp: t})
	return file
}

// The bug that it catches: a proof that the daemon has complete stays pending where the calendar's
// public name does not resolve.
func TestTheDaemonIsAskedForWhatItsCalendarPromised(t *testing.T) {
	r := newRig(t)
	sum, other := sha256.Sum256([]byte("content")), sha1.Sum([]byte("content"))
	files := []string{r.handedIn("a", proof.SHA256, sum[:]), r.handedIn("b", proof.SHA256, sum[:]), r.handedIn("c", proof.SHA1, other[:])}
	for _, file := range files {
		before := r.read(file + proofSuffix)
		for _, args := range [][]string{{"upgrade", file}, {"verify", file}, {"verify", "--offline", file}} {
			a := r.ancre(args...).is(t, exitPending, "batch 1 is still open")
			if strings.Contains(a.out+a.err, "does-not-resolve") {
				t.Errorf("%s: the daemon answered, and its calendar is asked: %s%s", args, a.out, a.err)
			}
		}
		r.ancre("status", file+proofSuffix).is(t, exitDone, "batch 1 is still open")
		if string(r.read(file+proofSuffix)) != string(before) {
			t.Error("a proof that stays pending was written")
		}
	}
	r.daemon.mine()
	r.ancre("verify", files[0]).is(t, exitDone, "valid, existed before Bitcoin block 1", "the proof in the file is still pending")
	r.ancre("verify", "--offline", files[0]).is(t, exitPending, `"ancre upgrade" completes the proof`)
	r.ancre("status", files[2]+proofSuffix).is(t, exitDone, "is final in Bitcoin block 1")
	a := r.ancre("--json", "upgrade", files[0]).is(t, exitDone)
	var got fileResult
	if err := json.Unmarshal([]byte(a.out), &got); err != nil || got.Result != complete || got.State != verify.StateFinal || got.Height != 1 || got.TxID == "" {
		t.Errorf("%v: %s", err, a.out)
	}
	r.ancre("upgrade", files[1], files[2]).is(t, exitDone, "b.ots: complete, in Bitcoin block 1\n", "c.ots: complete, in Bitcoin block 1\n")
	r.http.Close()
	for _, file := range files {
		if got := r.kinds(file); got != "bitcoin" {
			t.Errorf("the proof holds %s", got)
		}
		r.ancre("upgrade", file).is(t, exitDone, "was complete already")
	}
}

// Waiting, too, asks by what the calendar promised.
func TestWaitingAsksForWhatTheCalendarPromised(t *testing.T) {
	r := newRig(t)
	sum := sha256.Sum256([]byte("content"))
	file := r.handedIn("a", proof.SHA256, sum[:])
	asked := 0
	r.daemon.onStatus = func() {
		if asked++; asked == 1 {
			r.daemon.mine()
		}
	}
	r.ancre("upgrade", "--wait", file).is(t, exitDone, "complete, in Bitcoin block 1\n")
}

// A calendar that names a false block is told by name, and its answer is not taken in where the
// daemon can check it.
func TestTheDaemonChecksTheBlocksOfCalendars(t *testing.T) {
	r, liar, honest := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	file, c := r.promised("a", liar.URL, honest.URL)
	before := r.read(file + proofSuffix)
	liar.has(c[0], r.attesting(c[0], proof.BitcoinAt(0)))
	upgrade := []string{"upgrade", "--calendar", liar.URL, "--calendar", honest.URL, file}
	a := r.ancre(upgrade...).is(t, exitPending, ": pending, ", liar.URL+": it names a false block, and its answer is refused: Bitcoin block 0 has the Merkle root")
	if strings.Contains(a.out+a.err, honest.URL+": it names") {
		t.Errorf("the wrong calendar is told: %s%s", a.out, a.err)
	}
	if string(r.read(file+proofSuffix)) != string(before) {
		t.Error("the false block was written")
	}

	// A true answer of another calendar is taken, and is that calendar's.
	honest.has(c[1], r.anchored(c[1]))
	a = r.ancre(upgrade...).is(t, exitDone, "complete, in Bitcoin block 1 (says "+honest.URL+"; checked against the daemon's headers)", liar.URL+": it names a false block")
	if strings.Contains(a.out, liar.URL) {
		t.Errorf("the liar is said to have completed it: %s", a.out)
	}
	r.must(os.WriteFile(file+proofSuffix, before, 0o644))
	a = r.ancre(append([]string{"--json"}, upgrade...)...).is(t, exitDone)
	var got fileResult
	r.must(json.Unmarshal([]byte(a.out), &got))
	if got.Height != 1 || len(got.Calendars) != 2 {
		t.Fatalf("%s", a.out)
	}
	for _, told := range got.Calendars {
		if ok := told.Calendar == honest.URL; told.Checked != ok || (told.Result == verify.AnswerComplete) != ok || (told.Result == verify.AnswerFailed) == ok {
			t.Errorf("%+v", told)
		}
	}
}

// Where two calendars name two blocks, each is told with the one that it named. A block above the
// newest is not checked. One that cannot be is refused without a daemon as well.
func TestBlocksOfCalendarsWithoutACheck(t *testing.T) {
	r, one, two := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	file, c := r.promised("a", one.URL, two.URL)
	before := r.read(file + proofSuffix)
	again := func(args ...string) answer {
		r.must(os.WriteFile(file+proofSuffix, before, 0o644))
		return r.ancre(append([]string{"upgrade", "--calendar", one.URL, "--calendar", two.URL, file}, args...)...)
	}
	one.has(c[0], r.attesting(c[0], proof.BitcoinAt(700)))
	two.has(c[1], r.attesting(c[1], proof.BitcoinAt(600)))
	again().is(t, exitDone, "complete, in Bitcoin block 600 (says "+two.URL+"; not checked, \"ancre verify\" checks it)")
	// A checked one counts more than a lower one that is not.
	one.has(c[0], r.anchored(c[0]))
	two.has(c[1], r.attesting(c[1], proof.BitcoinAt(3)))
	again().is(t, exitDone, "complete, in Bitcoin block 1 (says "+one.URL+"; checked")
	r.http.Close()
	two.has(c[1], r.attesting(c[1], proof.BitcoinAt(0)))
	again().is(t, exitDone, "complete, in Bitcoin block 0 (says "+two.URL+"; not checked")
	one.has(c[0], r.attesting(c[0], proof.BitcoinAt(1<<64-1)))
	two.has(c[1], r.attesting(c[1], proof.BitcoinAt(1<<63)))
	if a := again().is(t, exitPending, "it names Bitcoin block 18446744073709551615, and no block can be that high", "block 9223372036854775808"); strings.Contains(a.out+a.err, "-") && strings.Contains(a.out+a.err, "block -") {
		t.Errorf("a height below zero: %s%s", a.out, a.err)
	}
}

// What the daemon knows of a mined batch is not told of a block that a calendar named.
func TestACalendarsBlockIsNotToldWithTheDaemonsTransaction(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.daemon.state = batcher.Mined
	c.has(leaves[0], r.anchored(leaves[0]))
	a := r.ancre("--json", "upgrade", "--calendar", c.URL, file).is(t, exitDone)
	var got fileResult
	r.must(json.Unmarshal([]byte(a.out), &got))
	if got.Result != complete || got.Height != 2 || got.TxID != "" || got.BlockHash != "" {
		t.Errorf("%s", a.out)
	}
}
