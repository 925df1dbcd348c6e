package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/proof"
)

// proves checks which content a proof is about.
func (r *rig) proves(name, content string) {
	r.t.Helper()
	sum := sha256.Sum256([]byte(content))
	if got := r.proof(r.path(name)).Digest; !bytes.Equal(got, sum[:]) {
		r.t.Errorf("%s is about %x, want the SHA-256 of %q", name, got, content)
	}
}

func (r *rig) wantNames(want ...string) {
	r.t.Helper()
	if got := r.names(); !slices.Equal(got, want) {
		r.t.Errorf("files\n got %v\nwant %v", got, want)
	}
}

func TestTheEarlierProofOfAFileThatChangedIsKept(t *testing.T) {
	for _, args := range [][]string{{"stamp"}, {"stamp", "-r"}} {
		r := newRig(t)
		file := r.write("a", "one")
		if len(args) > 1 {
			file = r.dir
		}
		stamp := func(exit int, texts ...string) answer { return r.ancre(append(args, file)...).is(t, exit, texts...) }
		stamp(exitDone)
		written := time.Date(2025, 3, 4, 23, 59, 0, 0, time.UTC)
		r.must(os.Chtimes(r.path("a.ots"), written, written))
		r.write("a", "two")
		stamp(exitDone, "a.ots: stamped (pending, in batch 1); the file has changed, and its earlier proof is now a.2025-03-04.ots")
		r.wantNames("a", "a.2025-03-04.ots", "a.ots")
		r.proves("a.2025-03-04.ots", "one")
		r.proves("a.ots", "two")
		stamp(exitDone)
		r.wantNames("a", "a.2025-03-04.ots", "a.ots")

		// Once more on the same day.
		r.must(os.Chtimes(r.path("a.ots"), written, written))
		r.write("a", "three")
		stamp(exitDone, "is now a.2025-03-04_2.ots")
		r.proves("a.2025-03-04.ots", "one")
		r.proves("a.2025-03-04_2.ots", "two")
		r.proves("a.ots", "three")

		// A pending proof can still be completed under its new name.
		r.daemon.mine()
		r.ancre("upgrade", "-r", r.dir).is(t, exitDone)
		for _, name := range []string{"a.2025-03-04.ots", "a.2025-03-04_2.ots", "a.ots"} {
			if !r.proof(r.path(name)).IsComplete() {
				t.Errorf("%s is pending", name)
			}
		}
	}
}

// The date of a complete proof is that of its block: the file may have been copied since.
func TestAnEarlierProofHasTheDateOfItsBlock(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "one")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	r.ancre("receipt", file).is(t, exitDone)
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone)
	pending, complete, v2 := r.read(file+".ots.bak"), r.read(file+".ots"), r.read(file+".timestamp-receipt.json")
	r.write("a", "two")
	r.daemon.state = batcher.Open
	a := r.ancre("--json", "stamp", file).is(t, exitDone)
	var got struct{ Result, Earlier_Proof string }
	if err := json.Unmarshal([]byte(a.out), &got); err != nil || got.Result != "stamped" || got.Earlier_Proof != r.path("a.2026-01-02.ots") {
		t.Errorf("%+v, %v\n%s", got, err, a.out)
	}
	// What belongs to the earlier proof has its name.
	r.wantNames("a", "a.2026-01-02.chp.json", "a.2026-01-02.ots", "a.2026-01-02.ots.bak", "a.2026-01-02.timestamp-receipt.json", "a.ots")
	for name, want := range map[string][]byte{"a.2026-01-02.ots": complete, "a.2026-01-02.ots.bak": pending, "a.2026-01-02.timestamp-receipt.json": v2} {
		if !bytes.Equal(r.read(r.path(name)), want) {
			t.Errorf("%s is not what it was", name)
		}
	}
}

// The block that a stranger's proof names gives no date if the chain has another one.
func TestAFalseBlockGivesNoDate(t *testing.T) {
	r := newRig(t)
	r.ancre("stamp", r.write("other", "content")).is(t, exitDone)
	r.daemon.mine()
	file := r.write("a", "two")
	sum := sha256.Sum256([]byte("one"))
	f := &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: []proof.Attestation{proof.BitcoinAt(1)}}}
	data, err := f.Marshal()
	r.must(err)
	r.write("a.ots", string(data))
	written := time.Date(2025, 3, 4, 0, 0, 0, 0, time.UTC)
	r.must(os.Chtimes(file+".ots", written, written))
	r.daemon.state = batcher.Open
	r.ancre("stamp", file).is(t, exitDone, "is now a.2025-03-04.ots")
}

// What has the name of an earlier proof and is something else stays as it is.
func TestAnEarlierProofReplacesNothing(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "one")
	r.ancre("stamp", file).is(t, exitDone)
	day := time.Now().UTC().Format(time.DateOnly)
	r.write("a."+day, "a file that is stamped itself")
	r.write("a."+day+"_2.ots", "no proof")
	r.write("a.ots.bak", "no proof")
	r.write("a.timestamp-receipt.json", "{}")
	r.must(os.Mkdir(r.path("a."+day+"_3.ots"), 0o755))
	r.write("a", "two")
	r.ancre("stamp", file).is(t, exitDone, "a."+day+"_4.ots")
	r.wantNames("a", "a."+day, "a."+day+"_2.ots", "a."+day+"_4.ots", "a.ots", "a.ots.bak", "a.timestamp-receipt.json")
	if got := string(r.read(r.path("a." + day + "_2.ots"))); got != "no proof" {
		t.Errorf("it holds %q", got)
	}
}

// A crash after the earlier proof was kept, and before the new one is in its place.
func TestAnInterruptedReplacementIsFinishedByTheNextStamp(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "one")
	r.ancre("stamp", file).is(t, exitDone)
	day := time.Now().UTC().Format(time.DateOnly)
	r.write("a."+day+".ots", string(r.read(file+".ots")))
	r.write("a", "two")
	r.ancre("stamp", file).is(t, exitDone, "a."+day+".ots")
	r.wantNames("a", "a."+day+".ots", "a.ots")
	r.proves("a."+day+".ots", "one")
	r.proves("a.ots", "two")
}

// No proof is lost when the daemon is down, or the earlier proof cannot be kept.
func TestAnEarlierProofStaysInPlaceWhenThereIsNoNewOne(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "one")
	r.ancre("stamp", file).is(t, exitDone)
	r.write("a", "two")
	r.http.Close()
	r.ancre("stamp", file).is(t, exitFailed, "no answer")
	r.wantNames("a", "a.ots")
	r.proves("a.ots", "one")
}

func TestANameThatIsTooLongForADateIsAnError(t *testing.T) {
	r := newRig(t)
	name := strings.Repeat("x", 250)
	file := r.write(name, "one")
	r.ancre("stamp", file).is(t, exitDone)
	r.write(name, "two")
	r.ancre("stamp", file).is(t, exitFailed, "the earlier proof cannot be kept", "give the file a shorter name")
	r.wantNames(name, name+".ots")
	r.proves(name+".ots", "one")
}

// Two runs of cron at once stamp the same changed file.
func TestTwoStampsAtOnceKeepTheEarlierProofOnce(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		r.write(fmt.Sprintf("dir/%02d", i), fmt.Sprint("one ", i))
	}
	dir := r.path("dir")
	r.ancre("stamp", "-r", dir).is(t, exitDone)
	for i := range 50 {
		r.write(fmt.Sprintf("dir/%02d", i), fmt.Sprint("two ", i))
	}
	second, both := make(chan answer, 1), make(chan struct{})
	var submits atomic.Int32
	r.daemon.onSubmit = func(context.Context) { // both have read the proofs before either has a new one
		switch submits.Add(1) {
		case 1:
			go func() { second <- r.ancre("stamp", "-r", dir) }()
			<-both
		case 2:
			close(both)
		}
	}
	r.ancre("stamp", "-r", dir).is(t, exitDone)
	(<-second).is(t, exitDone)
	day := time.Now().UTC().Format(time.DateOnly)
	for i := range 50 {
		r.proves(fmt.Sprintf("dir/%02d.ots", i), fmt.Sprint("two ", i))
		r.proves(fmt.Sprintf("dir/%02d.%s.ots", i, day), fmt.Sprint("one ", i))
	}
	if got := len(r.names()); got != 150 {
		t.Errorf("%d files, want 50 with two proofs each: %v", got, r.names())
	}
}

func TestCutDate(t *testing.T) {
	r := newRig(t)
	r.write("app.log.2026-01-02", "a log of that day")
	for name, want := range map[string]string{
		"a.pdf.2026-01-02": "a.pdf", "a.pdf.2026-01-02_12": "a.pdf", "a": "", "a.2026-01-02_": "", ".2026-01-02": "", "2026-01-02": "", "a2026-01-02": "",
		"app.log.2026-01-02": "", "app.log.2026-01-03": "app.log",
	} {
		if want != "" {
			want = r.path(want)
		}
		if got, ok := (*tree)(nil).cutDate(r.path(name)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", name, filepath.Base(got), filepath.Base(want))
		}
	}
}

func TestVerifyFindsTheEarlierProofOfAnEarlierVersion(t *testing.T) {
	r := newRig(t)
	file := r.write("dir/a", "one")
	r.ancre("stamp", file).is(t, exitDone)
	r.write("dir/a", "two")
	day := time.Now().UTC().Format(time.DateOnly)
	dated := file + "." + day
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", "-r", r.dir).is(t, exitDone)
	r.ancre("receipt", dated+".ots").is(t, exitDone)

	// The earlier version is not here: what is about it cannot be checked, and in a tree that is as
	// expected.
	for _, name := range []string{dated + ".ots", dated + ".timestamp-receipt.json"} {
		r.ancre("verify", name).is(t, exitUnverifiable, "is about an earlier version of a", "needed: that version: name it with -f")
	}
	a := r.ancre("verify", "-r", r.path("dir")).is(t, exitDone, "a: valid", "In all: 1 valid. Left out: 2 proofs of earlier versions.")
	if strings.Contains(a.out, "earlier version") {
		t.Errorf("of the earlier proof it says\n%s%s", a.out, a.err)
	}
	a = r.ancre("--json", "verify", "-r", r.path("dir")).is(t, exitDone)
	if n := strings.Count(a.out, `"result":"skipped","reason":"is about an earlier version of a"`); n != 2 {
		t.Errorf("%d earlier proofs were skipped, want the proof and the receipt:\n%s", n, a.out)
	}
	old := r.write("old", "one")
	r.ancre("verify", "-f", old, dated+".ots").is(t, exitDone, "valid")

	// The earlier version is back.
	r.write("dir/a", "one")
	for _, name := range []string{file, dated + ".ots", dated + ".timestamp-receipt.json"} {
		r.ancre("verify", name).is(t, exitDone, file+": valid")
	}
	r.ancre("--json", "verify", file).is(t, exitDone, `"proof_file":"`+dated+`.ots"`)
	r.ancre("verify", file+".ots").is(t, exitFailed, "a: invalid: the proof is about another file", dated+".ots is about what the file is now")
	r.write("dir/a", "three")
	a = r.ancre("verify", file).is(t, exitFailed, "a: invalid: the proof is about another file")
	if strings.Contains(a.out, "is about what the file is now") {
		t.Errorf("a false hint: %s", a.out)
	}
}
