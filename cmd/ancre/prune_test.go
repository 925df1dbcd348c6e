package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ancre/proof"
)

// crowded makes a file whose proof holds a true block, a higher true one, a false one, a promise,
// and something that is not verified here.
func (r *rig) crowded(name string) (file string) {
	r.t.Helper()
	file, c := r.promised(name, "https://a.example", "https://b.example", "https://c.example", "https://d.example")
	f := r.proof(file + proofSuffix)
	unknown := proof.Attestation{Tag: [8]byte{1}, Payload: []byte("what is this")}
	for i, answer := range [][]byte{r.anchored(c[0]), r.anchored(c[1]), r.attesting(c[2], proof.BitcoinAt(0)), r.attesting(c[3], unknown)} {
		t, err := proof.ParseTimestamp(answer, c[i])
		r.must(err)
		add(f.Timestamp, t)
	}
	r.save(file, f)
	return file
}

func TestPruneKeepsTheLowestBlockThatHolds(t *testing.T) {
	r := newRig(t)
	file := r.crowded("a")
	before := r.read(file + proofSuffix)
	r.must(os.Remove(file)) // it is not needed
	a := r.ancre("--json", "prune", file+proofSuffix).is(t, exitDone)
	var got fileResult
	r.must(json.Unmarshal([]byte(a.out), &got))
	if got.Result != pruned || got.Height != 1 || !got.Complete {
		t.Errorf("%s", a.out)
	}
	if kinds := r.kinds(file); kinds != "unknown bitcoin" && kinds != "bitcoin unknown" {
		t.Errorf("the proof holds %s", kinds)
	}
	if string(r.read(file+proofSuffix+backupSuffix)) != string(before) {
		t.Error("the proof as it was is gone")
	}
	after := r.read(file + proofSuffix)
	r.ancre("prune", file+proofSuffix).is(t, exitDone, "holds nothing that could be left out")
	r.write("a", "content of a")
	r.ancre("verify", file).is(t, exitDone, "valid, existed before Bitcoin block 1")

	r.must(os.WriteFile(file+proofSuffix, before, 0o644))
	r.ancre("prune", "-r", r.dir).is(t, exitDone, "a.ots: pruned, 6 attestations left out; Bitcoin block 1 holds it")
	if a := r.with(session{in: string(before)}, "prune", "-").is(t, exitDone, "standard input: pruned"); a.out != string(after) {
		t.Errorf("%d bytes on standard output, want %d", len(a.out), len(after))
	}
	r.with(session{in: string(before), terminal: true}, "prune", "-").is(t, exitUsage, "redirect standard output")
	r.ancre("prune").is(t, exitUsage)
	r.ancre("prune", "-", "-").is(t, exitUsage)
}

// The bug that it catches: a proof loses what it still needs.
func TestPruneLeavesWhatDoesNotVerify(t *testing.T) {
	r := newRig(t)
	pendings, _ := r.promised("pending", "https://a.example")
	litecoin := proof.Attestation{Tag: [8]byte{0x06, 0x86, 0x9a, 0x0d, 0x73, 0xd7, 0x1b, 0x45}, Payload: []byte{5}}
	at, err := proof.PendingAt("https://a.example")
	r.must(err)
	for file, want := range map[string]int{
		pendings: exitPending,
		r.attested("false", proof.BitcoinAt(0), at):  exitFailed,
		r.attested("above", proof.BitcoinAt(50), at): exitUnverifiable,
		r.attested("litecoin", litecoin):             exitUnverifiable,
	} {
		before := r.read(file + proofSuffix)
		r.ancre("prune", file).is(t, want, "left as it is")
		if string(r.read(file+proofSuffix)) != string(before) || exists(file+proofSuffix+backupSuffix) {
			t.Errorf("%s was written", file)
		}
	}
	r.ancre("prune", r.write("x.txt", "text")).is(t, exitUnverifiable, "this is not a proof")
	r.ancre("prune", r.path("none.ots")).is(t, exitFailed, "no such file")
	file := r.crowded("crowd")
	before := r.read(file + proofSuffix)
	r.http.Close()
	a := r.ancre("prune", file).is(t, exitUnverifiable, "is ancred running?", "--spv")
	if string(r.read(file+proofSuffix)) != string(before) || strings.Contains(a.out, "pruned") {
		t.Errorf("without headers: %s", a.out)
	}
}
