package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/proof"
)

func TestFromFileToVerifiedProof(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone, file+".ots: stamped (pending, in batch 1)")
	if f := r.proof(file + ".ots"); f.IsComplete() {
		t.Error("complete at once")
	}
	r.ancre("stamp", file).is(t, exitDone, "stamped already (pending, in batch 1)")
	r.ancre("upgrade", file+".ots").is(t, exitPending, "pending, batch 1 is still open")
	r.ancre("verify", file+".ots").is(t, exitPending, file+": pending: batch 1 is still open")
	if got := r.names(); !slices.Equal(got, []string{"report.pdf", "report.pdf.ots"}) {
		t.Errorf("files: %v", got)
	}

	before := r.read(file + ".ots")
	r.daemon.mine()
	r.ancre("upgrade", file+".ots").is(t, exitDone, "complete, in Bitcoin block 1")
	if backup := r.read(file + ".ots.bak"); !bytes.Equal(backup, before) {
		t.Error("the backup is not the proof as it was")
	}
	f := r.proof(file + ".ots")
	for _, a := range f.Attestations() {
		if a.Kind() != proof.KindBitcoin {
			t.Errorf("the complete proof still has %v", a)
		}
	}
	r.ancre("upgrade", file+".ots").is(t, exitDone, "was complete already")
	r.ancre("stamp", file).is(t, exitDone, "stamped already (complete)")
	r.ancre("verify", file+".ots").is(t, exitDone, file+": valid, existed before Bitcoin block 1, mined about 2026-01-02 03:04 UTC")
	r.ancre("verify", file).is(t, exitDone, "valid")
	r.ancre("verify", "-f", file, file+".ots").is(t, exitDone, "valid")
	r.ancre("verify", "--digest", hex.EncodeToString(f.Digest), file+".ots").is(t, exitDone, "valid")
	r.ancre("info", file+".ots").is(t, exitDone, "sha256", "attested by Bitcoin block 1")

	r.write("report.pdf", "changed")
	r.ancre("verify", file+".ots").is(t, exitFailed, "invalid: the proof is about another file")
	r.ancre("stamp", "-o", file+".ots", file).is(t, exitFailed, "is there already and proves other content")
	r.daemon.state = batcher.Open
	r.ancre("stamp", file).is(t, exitDone, "the file has changed, and its earlier proof is now report.pdf.2026-01-02.ots")
}

func TestAProofThatDiffersIsNeverOverwritten(t *testing.T) {
	r := newRig(t)
	sums := sha256.Sum256([]byte("other"))
	other, err := proof.Pending(sums, [32]byte{}, testCalendar)
	if err != nil {
		t.Fatal(err)
	}
	otherBytes, err := other.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{
		"garbage.ots":   "this is no proof",
		"empty.ots":     "",
		"truncated.ots": string(otherBytes[:len(otherBytes)-1]),
		"trailing.ots":  string(otherBytes) + "x",
	}
	args := []string{"stamp"}
	for name, content := range kept {
		r.write(name, content)
		args = append(args, r.write(strings.TrimSuffix(name, ".ots"), "content of "+name))
	}
	r.write("directory.ots/x", "")
	args = append(args, r.write("directory", "a directory in the way"), r.write("good", "content"))
	a := r.ancre(args...).is(t, exitFailed, "is not a readable proof", "good.ots: stamped")
	if n := strings.Count(a.err, "ancre: "); n != len(kept)+1 {
		t.Errorf("%d errors, want %d:\n%s", n, len(kept)+1, a.err)
	}
	for name, content := range kept {
		if got := r.read(r.path(name)); string(got) != content {
			t.Errorf("%s was changed", name)
		}
	}
	if n := len(r.daemon.digests); n != 1 {
		t.Errorf("%d digests were handed in, want that of the good file only", n)
	}

	// A proof of other content is kept, unless the user gave the name for the new one.
	another := r.write("another", "content of another.ots")
	ots := r.write("another.ots", string(otherBytes))
	r.ancre("stamp", "-o", ots, another).is(t, exitFailed, "is there already and proves other content")
	if got := r.read(ots); !bytes.Equal(got, otherBytes) {
		t.Error("another.ots was changed")
	}
	r.ancre("stamp", another).is(t, exitDone)
	earlier, err := filepath.Glob(r.path("another.20*.ots"))
	if err != nil || len(earlier) != 1 || !bytes.Equal(r.read(earlier[0]), otherBytes) {
		t.Errorf("the earlier proof is kept as %v (%v)", earlier, err)
	}
}

func TestOtherCalendarsAttestationsAreKept(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	foreign, err := proof.Pending(sha256.Sum256([]byte("content")), [32]byte{7}, "https://calendar.example")
	if err != nil {
		t.Fatal(err)
	}
	data, err := foreign.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.write("a.ots", string(data))
	r.ancre("stamp", file).is(t, exitDone, "a.ots: stamped (pending")
	attestations(t, r.proof(file+".ots"), testCalendar, "https://calendar.example")
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone, "complete")
	attestations(t, r.proof(file+".ots"), "1", "https://calendar.example")
}

// attestations checks which ones a proof has: heights and calendars.
func attestations(t *testing.T, f *proof.File, want ...string) {
	t.Helper()
	var got []string
	for _, a := range f.Attestations() {
		if uri, ok := a.URI(); ok {
			got = append(got, uri)
		} else if height, ok := a.Height(); ok {
			got = append(got, fmt.Sprint(height))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("attestations %q, want %q", got, want)
	}
}

func TestACompleteProofIsLeftAlone(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	before, _ := os.Stat(file + ".ots")
	calls := len(r.daemon.calls)
	r.ancre("stamp", file).is(t, exitDone, "stamped already (complete)")
	after, _ := os.Stat(file + ".ots")
	if !os.SameFile(before, after) || len(r.daemon.calls) != calls {
		t.Error("the proof was written again, or its digest handed in again")
	}
}

func TestStampingWhatIsFinalGivesTheCompleteProof(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("stamp", file).is(t, exitDone, "stamped (complete)")
	attestations(t, r.proof(file+".ots"), "1")
	// The proof was lost, and is asked for again.
	if err := os.Remove(file + ".ots"); err != nil {
		t.Fatal(err)
	}
	r.ancre("stamp", file).is(t, exitDone, "stamped (complete)")
	if !r.proof(file + ".ots").IsComplete() {
		t.Error("the proof is pending")
	}
}

func TestAProofWithAnotherHashIsUnderstood(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	sum := sha1.Sum([]byte("content"))
	f := &proof.File{HashOp: proof.SHA1, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: []proof.Attestation{proof.BitcoinAt(5)}}}
	data, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.write("a.ots", string(data))
	r.ancre("stamp", file).is(t, exitDone, "stamped already (complete)")
	r.write("a", "changed")
	r.ancre("verify", file).is(t, exitFailed, "invalid", "sha1")
	r.ancre("stamp", "-o", file+".ots", file).is(t, exitFailed, "proves other content, with sha1")
	r.ancre("stamp", file).is(t, exitDone, "the file has changed")
}

func TestDirectoriesAreStampedWithR(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"a", "sub/b", "sub/deep/c", "sub/.hidden"} {
		r.write(name, "content of "+name)
	}
	r.write("left/.ancre-X.tmp", "left behind by a killed ancre")
	r.write("fake.ots", "no proof, whatever its name is")
	if err := os.Symlink(r.dir, r.path("sub/loop")); err != nil {
		t.Skip(err)
	}
	r.ancre("stamp", r.dir).is(t, exitFailed, "is a directory: use -r")
	r.ancre("stamp", "-r", r.dir).is(t, exitDone, "5 files stamped")
	want := []string{"a", "a.ots", "fake.ots", "fake.ots.ots", "left/.ancre-X.tmp",
		"sub/.hidden", "sub/.hidden.ots", "sub/b", "sub/b.ots", "sub/deep/c", "sub/deep/c.ots", "sub/loop"}
	if got := r.names(); !slices.Equal(got, want) {
		t.Errorf("files\n got %v\nwant %v", got, want)
	}
	r.ancre("stamp", "-r", r.dir).is(t, exitDone, "In all: 5 unchanged. Left out: 5 proofs, 1 symbolic link.")
	if got := r.names(); !slices.Equal(got, want) {
		t.Errorf("the second time:\n got %v\nwant %v", got, want)
	}
	r.daemon.mine()
	r.ancre("upgrade", "-r", r.dir).is(t, exitFailed, "fake.ots: malformed proof", "b.ots: complete")
	r.ancre("verify", "-r", r.path("sub")).is(t, exitDone, "deep/c: valid")
}

func TestManyFilesGoInGroups(t *testing.T) {
	r := newRig(t)
	const n = submitSize + 5
	for i := range n {
		r.write(fmt.Sprintf("%04d", i), fmt.Sprint(i))
	}
	a := r.ancre("stamp", "-r", r.dir).is(t, exitDone)
	if lines := strings.Count(a.out, "stamped (pending"); lines != n {
		t.Errorf("%d lines, want %d", lines, n)
	}
	if !slices.IsSorted(strings.Split(strings.TrimSpace(a.out), "\n")) {
		t.Error("the results are not in the order of the files")
	}
	sum := 0
	for _, size := range r.daemon.calls {
		sum += size
	}
	if sum != n || slices.Max(r.daemon.calls) > submitSize {
		t.Errorf("groups of %v, want %d digests in groups of at most %d", r.daemon.calls, n, submitSize)
	}
}

func TestStandardInput(t *testing.T) {
	r := newRig(t)
	a := r.with(session{in: "content"}, "stamp", "-").is(t, exitDone)
	f, err := proof.Parse([]byte(a.out))
	if sum := sha256.Sum256([]byte("content")); err != nil || !bytes.Equal(f.Digest, sum[:]) {
		t.Fatalf("standard output holds no proof of the content: %v", err)
	}
	out := r.path("in.ots")
	r.with(session{in: "content"}, "stamp", "-", "-o", out).is(t, exitDone, "in.ots: stamped")
	r.proof(out)
	r.with(session{in: "content", terminal: true}, "stamp", "-").is(t, exitUsage, "refusing to write a binary proof")
	r.ancre("stamp", "-", "-").is(t, exitUsage, "only once")

	r.daemon.mine()
	a = r.with(session{in: a.out}, "upgrade", "-").is(t, exitDone)
	if f, err = proof.Parse([]byte(a.out)); err != nil || !f.IsComplete() {
		t.Errorf("upgrade wrote no complete proof: %v", err)
	}
	digest := hex.EncodeToString(f.Digest)
	r.with(session{in: a.out}, "verify", "--digest", digest, "-").is(t, exitDone, "standard input: valid")
	r.with(session{in: a.out}, "info", "-").is(t, exitDone, digest)
	r.with(session{in: "content"}, "upgrade", out).is(t, exitDone)
	r.with(session{in: "content"}, "verify", "-f", "-", out).is(t, exitDone, "valid")
	r.with(session{in: a.out}, "verify", "-").is(t, exitUsage, "with -f, or its hash with --digest")
}

func TestDigestsAreStampedThemselves(t *testing.T) {
	r := newRig(t)
	t.Chdir(r.dir)
	sum := sha256.Sum256([]byte("content"))
	digest := hex.EncodeToString(sum[:])
	r.ancre("stamp", "--digest", strings.ToUpper(digest)).is(t, exitDone, digest+".ots: stamped")
	r.proof(r.path(digest + ".ots"))
	r.ancre("stamp", "--digest", digest, "-o", r.path("named.ots")).is(t, exitDone, "named.ots: stamped")
	r.proof(r.path("named.ots"))
	for _, bad := range []string{"", "00", digest + "00", "xx" + digest[2:], digest[:63]} {
		r.ancre("stamp", "--digest", bad).is(t, exitUsage, "must be 64 hexadecimal digits")
	}
	r.ancre("status", digest).is(t, exitDone, digest+": batch 1 is still open", "State: open: its batch still takes digests\n")
}

func TestFilesThatCannotBeReadAreReportedAndOthersGoOn(t *testing.T) {
	r := newRig(t)
	good := r.write("good", "content")
	a := r.ancre("stamp", r.path("missing"), r.dir, good).is(t, exitFailed, "missing: no such file", "is a directory", "good.ots: stamped")
	if strings.Contains(a.err, "stat ") {
		t.Errorf("the operation is told twice: %s", a.err)
	}
	r.ancre("stamp", good, "-o", r.path("no/such/directory.ots")).is(t, exitFailed, "cannot be written")
	r.ancre("upgrade", r.path("missing.ots")).is(t, exitFailed, "missing.ots: no such file")
	r.ancre("verify", r.path("missing.ots")).is(t, exitFailed, "cannot be verified: no such file")
	if runtime.GOOS == "linux" {
		r.ancre("stamp", "/dev/null").is(t, exitFailed, "not a regular file")
	}
	if got := r.names(); !slices.Equal(got, []string{"good", "good.ots"}) {
		t.Errorf("files: %v", got)
	}
}

func TestTheSameFileTwiceIsStampedOnce(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file, filepath.Join(r.dir, ".", "a"), file).is(t, exitDone, "stamped (pending")
	attestations(t, r.proof(file+".ots"), testCalendar)
}

func TestUsageOfStamp(t *testing.T) {
	r := newRig(t)
	r.ancre("stamp").is(t, exitUsage, "stamp what?")
	r.ancre("stamp", "a", "b", "-o", "c").is(t, exitUsage, "-o names the proof of a single file")
	r.ancre("stamp", "-r", "a", "-o", "c").is(t, exitUsage, "-o names the proof of a single file")
	r.ancre("stamp", "--bogus").is(t, exitUsage, "unknown flag")
}

func TestStampAsJSON(t *testing.T) {
	r := newRig(t)
	good := r.write("good", "content")
	a := r.ancre("--json", "stamp", good, r.path("missing"), "-").is(t, exitFailed)
	if a.err != "" {
		t.Errorf("standard error: %s", a.err)
	}
	lines := strings.Split(strings.TrimSpace(a.out), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want one for each file:\n%s", len(lines), a.out)
	}
	var got [3]map[string]any
	for i := range got {
		if err := json.Unmarshal([]byte(lines[i]), &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte("content"))
	want := map[string]any{"file": good, "proof_file": good + ".ots", "digest": hex.EncodeToString(sum[:]), "result": "stamped", "state": "open", "batch": 1.0}
	if fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", got[0], want)
	}
	if got[1]["result"] != "failed" || got[1]["reason"] == nil {
		t.Errorf("of a missing file: %v", got[1])
	}
	if got[2]["proof"] == nil || got[2]["file"] != "-" {
		t.Errorf("of standard input: %v", got[2])
	}
}

func TestADaemonThatIsBusyIsAskedAgain(t *testing.T) {
	r := newRig(t)
	r.daemon.submitErr = batcher.ErrBusy
	r.ancre("stamp", r.write("a", "content")).is(t, exitDone, "stamped")
	if n := len(r.daemon.calls); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestARefusedGroupLeavesNoProof(t *testing.T) {
	r := newRig(t)
	r.daemon.submitErr = fmt.Errorf("%w: the disk is full", batcher.ErrReadOnly)
	r.ancre("stamp", r.write("a", "content")).is(t, exitFailed, "the disk is full")
	if got := r.names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("files: %v", got)
	}
}

func TestInterruptedStampLeavesNothingHalfDone(t *testing.T) {
	r := newRig(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	r.daemon.onSubmit = func(request context.Context) {
		interrupt()
		<-request.Done() // an answer that comes at the same moment would be used, and rightly
	}
	r.with(session{ctx: ctx}, "stamp", r.write("a", "content")).is(t, exitFailed, "interrupted")
	if got := r.names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("files: %v", got)
	}
}

func TestWhatWasHandedInBeforeAnInterruptKeepsItsProof(t *testing.T) {
	r := newRig(t)
	const n = submitSize + 5 // more than one group
	for i := range n {
		r.write(fmt.Sprintf("%04d", i), fmt.Sprint(i))
	}
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	calls := 0
	r.daemon.onSubmit = func(request context.Context) {
		if calls++; calls == 2 {
			interrupt()
			<-request.Done()
		}
	}
	a := r.with(session{ctx: ctx}, "stamp", "-r", r.dir).is(t, exitFailed, "before this. Their hashes are submitted, and their proofs are written", "interrupted")
	r.daemon.mu.Lock() // the second call may not be over yet
	first := r.daemon.calls[0]
	r.daemon.mu.Unlock()
	if lines := strings.Count(a.out, "stamped (pending"); lines != first {
		t.Errorf("told of %d files, and %d were handed in", lines, first)
	}
	for i := range first {
		r.proof(r.path(fmt.Sprintf("%04d.ots", i)))
	}
	if got := len(r.names()); got != n+first {
		t.Errorf("%d files, want %d and %d proofs", got, n, first)
	}
}

// While the daemon refuses the first file, a terabyte is being hashed.
func TestARefusalDoesNotWaitForWhatIsBeingHashed(t *testing.T) {
	r := newRig(t)
	small, huge := r.write("a", "content"), r.write("b", "")
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	r.daemon.submitErr = fmt.Errorf("%w: the disk is full", batcher.ErrReadOnly)
	r.ancre("stamp", small, huge).is(t, exitFailed, "the disk is full")
}

func TestInterruptedHashingIsNoFailureOfTheFile(t *testing.T) {
	r := newRig(t)
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	a := r.with(session{ctx: ctx}, "stamp", r.write("a", "content"), r.write("b", "content")).is(t, exitFailed)
	if a.err != "ancre: interrupted\n" {
		t.Errorf("standard error: %s", a.err)
	}
}

func TestWaitEndsWithCompleteProofs(t *testing.T) {
	r := newRig(t)
	asked := 0
	r.daemon.onStatus = func() {
		if asked++; asked == 2 { // the first time it is not there yet
			r.daemon.mine()
		}
	}
	file := r.write("a", "content")
	a := r.ancre("stamp", "--wait", file).is(t, exitDone, "complete, in Bitcoin block 1", "waiting: batch 1 is still open")
	if strings.Contains(a.out, "pending") {
		t.Errorf("a result before the last one: %s", a.out)
	}
	if !r.proof(file + ".ots").IsComplete() {
		t.Error("the proof is pending")
	}
}

func TestWaitGivesStandardInputItsCompleteProof(t *testing.T) {
	r := newRig(t)
	var once sync.Once
	r.daemon.onStatus = func() { once.Do(r.daemon.mine) }
	a := r.with(session{in: "content"}, "stamp", "--wait", "-").is(t, exitDone)
	if f, err := proof.Parse([]byte(a.out)); err != nil || !f.IsComplete() {
		t.Errorf("standard output holds no complete proof: %v", err)
	}
}

func TestInterruptedWaitSaysThatItIsPending(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	r.daemon.onStatus = interrupt // once it waits
	r.with(session{ctx: ctx}, "upgrade", "--wait", file).is(t, exitPending, "pending")
}

// asProgram makes the test binary the program itself: only another process can be killed.
const asProgram = "ANCRE_TEST_AS_PROGRAM"

func TestKilledAnywhereNoProofIsHalfWritten(t *testing.T) {
	r := newRig(t)
	const n = 2 * submitSize
	for i := range n {
		r.write(fmt.Sprintf("%04d", i), fmt.Sprint(i))
	}
	written := func() int {
		proofs, err := filepath.Glob(r.path("*.ots"))
		if err != nil {
			t.Fatal(err)
		}
		return len(proofs)
	}
	for _, enough := range []int{1, 300, submitSize + 1} {
		cmd := exec.Command(os.Args[0], "--datadir", r.data, "stamp", "-r", r.dir)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(2 * time.Minute); written() < enough; {
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatalf("%d proofs after two minutes, want %d", written(), enough)
			}
			runtime.Gosched()
		}
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil {
			t.Error("it ended before it was killed")
		}
		for _, name := range r.names() {
			if strings.HasSuffix(name, ".ots") {
				r.proof(r.path(name))
			}
		}
		t.Logf("killed with %d of %d proofs written", written(), n)
	}
	r.ancre("stamp", "-r", r.dir).is(t, exitDone)
	for i := range n {
		r.proof(r.path(fmt.Sprintf("%04d.ots", i)))
	}
}

func TestProofsOfUnknownDigestsSayWhoMayComplete(t *testing.T) {
	r := newRig(t)
	foreign, err := proof.Pending(sha256.Sum256([]byte("content")), [32]byte{7}, "https://calendar.example")
	if err != nil {
		t.Fatal(err)
	}
	data, err := foreign.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := r.write("a", "content")
	r.write("a.ots", string(data))
	r.ancre("upgrade", file).is(t, exitPending, "the daemon does not know this digest", "https://calendar.example")
	r.ancre("verify", file).is(t, exitPending, "waiting for the calendar at https://calendar.example")
	r.ancre("status", file).is(t, exitFailed, "never submitted to this daemon")
}

func TestAnExistingBackupIsKept(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.write("a.ots.bak", "older")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	if got := r.read(file + ".ots.bak"); string(got) != "older" {
		t.Errorf("the backup holds %q", got)
	}
}

func TestMalformedAndForeignProofsAreInvalid(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	good := r.read(file + ".ots")

	for name, content := range map[string][]byte{
		"truncated": good[:len(good)-1],
		"empty":     nil,
		"trailing":  append(slices.Clone(good), 0),
		"huge":      append(slices.Clone(good), make([]byte, proof.MaxSize)...),
		"nested":    append(slices.Clone(good[:33+32]), bytes.Repeat([]byte{0x08}, 300)...),
	} {
		r.write(name, "content")
		r.write(name+".ots", string(content))
		r.ancre("verify", r.path(name)).is(t, exitFailed, "invalid: malformed proof")
		r.ancre("info", r.path(name)).is(t, exitFailed, "malformed proof")
	}
	// One byte of the path to the block.
	changed := slices.Clone(good)
	changed[80] ^= 1
	r.write("b", "content")
	r.write("b.ots", string(changed))
	r.ancre("verify", r.path("b")).is(t, exitFailed, "invalid: ")
	r.ancre("verify", file, r.path("b")).is(t, exitFailed, "a: valid", "b: invalid")
}

func TestABlockThatIsNotHereYet(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	sum := sha256.Sum256([]byte("content"))
	f := &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: []proof.Attestation{proof.BitcoinAt(500)}}}
	data, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.write("a.ots", string(data))
	r.ancre("verify", file).is(t, exitUnverifiable, "cannot be checked here", "500")
	r.daemon.synced = false
	r.ancre("verify", file).is(t, exitUnverifiable, "the daemon is still syncing (block 0 of 1,000)")
}

func TestVerifyAsJSON(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	var got struct {
		File, Result, BlockHash string
		Height                  int64
		BlockTime               time.Time
	}
	a := r.ancre("verify", "--json", file).is(t, exitDone)
	if err := json.Unmarshal([]byte(a.out), &got); err != nil {
		t.Fatal(err)
	}
	if got.File != file || got.Result != "valid" || got.Height != 1 || !got.BlockTime.Equal(testTime) || got.BlockHash != r.daemon.headers[1].BlockHash().String() {
		t.Errorf("got %+v", got)
	}
	a = r.ancre("info", "--json", file+".ots", file+".none").is(t, exitFailed)
	if lines := strings.Split(strings.TrimSpace(a.out), "\n"); len(lines) != 2 || !strings.Contains(lines[0], `"complete":true`) || !strings.Contains(lines[1], `"error":`) {
		t.Errorf("info: %s", a.out)
	}
}

func TestVerifyUsage(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{
		{"verify"}, {"verify", "a", "b", "-f", "c"}, {"verify", "a", "-f", "b", "--digest", strings.Repeat("0", 64)},
		{"verify", "a", "--digest", "xyz"}, {"verify", "-f", "-", "-"},
	} {
		r.ancre(args...).is(t, exitUsage)
	}
}
