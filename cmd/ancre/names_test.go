package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ancre/proof"
)

// Archives come from systems that write names in capitals.
func TestProofsMayBeCalledOTS(t *testing.T) {
	r, _, _ := proved(t, 6)
	file := r.write("B.TXT", "content")
	r.must(os.WriteFile(file+".OTS", r.read(r.path("report.pdf.ots")), 0o644))
	r.must(os.Remove(r.path("report.pdf.ots")))
	r.ancre("verify", file+".OTS").is(t, exitDone, file+": valid")
	r.ancre("verify", file).is(t, exitDone, file+": valid")
	if a := r.ancre("verify", "-r", r.dir).is(t, exitDone); strings.Count(a.out, ": valid") != 1 {
		t.Errorf("with -r: %s", a.out)
	}
	r.ancre("upgrade", "-r", r.dir).is(t, exitDone, "B.TXT.OTS: was complete already")
	r.ancre("info", file).is(t, exitDone, "attested by Bitcoin block 1")
	r.ancre("status", file+".OTS").is(t, exitDone, "is final")
	r.ancre("stamp", file+".OTS").is(t, exitDone, "1 proof skipped")
	r.ancre("receipt", file+".OTS").is(t, exitDone, file+v2Suffix+": written")
	r.ancre("verify", "-r", r.path("none")).is(t, exitFailed, "no such file")
}

// The bug that it catches: a document beside its receipt is told to be an invalid proof.
func TestTheReceiptBesideADocumentIsFound(t *testing.T) {
	r, file, _ := proved(t, 6)
	r.ancre("receipt", file).is(t, exitDone)
	text := string(r.read(file + v2Suffix))
	r.must(os.Remove(file + v2Suffix))
	const id, other = "-e560305d-2c9c-4e8d-829d-c7d1b6eef8cf", "-f560305d-2c9c-4e8d-829d-c7d1b6eef8cf"
	for i, suffix := range []string{".timestamp-receipt.json", ".chp.json", ".receipt.json", ".receipt", ".anchor-receipt.json", id + ".anchor-receipt.json", id + ".seal-receipt.json"} {
		doc := r.write(string(rune('a'+i))+".txt", "content")
		path := r.write(string(rune('a'+i))+".txt"+suffix, text)
		r.ancre("verify", doc).is(t, exitDone, doc+": valid")
		r.ancre("info", doc).is(t, exitDone, "Chainpoint receipt of version 2\nfile with sha256 ", "attested by Bitcoin block 1")
		r.must(os.Remove(path))
		r.ancre("verify", doc).is(t, exitUnverifiable, doc+": cannot be checked here: this is not a proof, and there is no "+doc+".ots")
	}
	// Nobody can tell which of two is meant. Something else of such a name is no receipt.
	doc := r.write("z.txt", "content")
	r.write("z.txt"+id+".anchor-receipt.json", text)
	r.write("z.txt"+other+".anchor-receipt.json", text)
	a := r.ancre("verify", doc).is(t, exitUnverifiable, "2 receipts are beside it: ", id, other)
	if strings.Contains(a.out, "invalid") {
		t.Errorf("%s", a.out)
	}
	r.must(os.Remove(r.path("z.txt" + other + ".anchor-receipt.json")))
	r.write("z.txt.receipt", "a till's")
	r.ancre("verify", doc).is(t, exitDone, "valid")
}

// The bug that it catches: somebody is told to move away a file that does not exist.
func TestNamesThatAreTooLongAreToldAsSuch(t *testing.T) {
	r := newRig(t)
	if _, err := os.Stat(r.path(strings.Repeat("x", 256))); err == nil || os.IsNotExist(err) {
		t.Skip("this file system takes names of any length")
	}
	file := r.write(strings.Repeat("n", 252), "content")
	a := r.ancre("stamp", file).is(t, exitFailed, "has 256 bytes, which is too long for the file system: name a shorter one with -o")
	if strings.Contains(a.err, "move it away") || strings.Contains(a.err, "is there already") {
		t.Errorf("%s", a.err)
	}
	r.ancre("stamp", file, "-o", r.path("short.ots")).is(t, exitDone)
	r.daemon.mine()
	r.ancre("receipt", file).is(t, exitFailed, "too long for the file system: name a shorter one with -o")
	r.ancre("upgrade", r.path("short.ots")).is(t, exitDone)
	r.ancre("verify", "-f", file, r.path("short.ots")).is(t, exitDone, "valid")
	r.ancre("verify", file).is(t, exitUnverifiable, "cannot be checked here")
	// Room for the proof, none for its backup.
	long := r.path(strings.Repeat("b", 250))
	pendings, leaves := r.promised(strings.Repeat("b", 250), "https://calendar.invalid")
	if pendings != long {
		t.Fatal(pendings)
	}
	f := r.proof(long + proofSuffix)
	c := newFakeCalendar(t)
	at, err := proof.PendingAt(c.URL)
	r.must(err)
	add(f.Timestamp, &proof.Timestamp{Msg: leaves[0], Attestations: []proof.Attestation{at}})
	r.save(long, f)
	c.has(leaves[0], r.anchored(leaves[0]))
	r.ancre("upgrade", "--calendar", c.URL, long).is(t, exitFailed, "has 258 bytes, which is too long for the file system: give the file and its proof shorter names")
}

// Users of ots write -d.
func TestDigestHasAShortFlag(t *testing.T) {
	r := newRig(t)
	digest := strings.Repeat("ab", 32)
	r.ancre("stamp", "-d", digest, "-o", r.path("d.ots")).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", r.path("d.ots")).is(t, exitDone)
	r.ancre("verify", "-d", digest, r.path("d.ots")).is(t, exitDone, "valid")
	r.ancre("verify", "-d", strings.Repeat("cd", 32), r.path("d.ots")).is(t, exitFailed, "invalid")
	r.ancre("receipt", "-d", digest, "-o", r.path("d.json")).is(t, exitDone)
}

func TestInfoExplainsReceipts(t *testing.T) {
	r, file, _ := proved(t, 6)
	r.ancre("receipt", file).is(t, exitDone)
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone)
	ots := r.ancre("info", file+proofSuffix).is(t, exitDone)
	for version, suffix := range map[string]string{"2": v2Suffix, "4": ".chp.json"} {
		a := r.ancre("info", file+suffix).is(t, exitDone, "Chainpoint receipt of version "+version+"\n")
		if !strings.Contains(a.out, strings.SplitN(ots.out, "\n", 2)[0]) || !strings.Contains(a.out, "attested by Bitcoin block 1") {
			t.Errorf("version %s:\n%s", version, a.out)
		}
	}
	var told struct {
		Receipt int
		Steps   []any
		Note    string
	}
	r.must(json.Unmarshal([]byte(r.ancre("--json", "info", file+v2Suffix).is(t, exitDone).out), &told))
	if told.Receipt != 2 || len(told.Steps) == 0 || told.Note != "" {
		t.Errorf("%+v", told)
	}
	text := string(r.read(file + v2Suffix))
	bare := text[:strings.Index(text, ",\n    {\n      \"type\": \"BTCBlockHeader\"")] + "]}"
	a := r.with(session{in: bare}, "info", "-").is(t, exitDone, "Chainpoint receipt of version 2\nfile with sha256 ", "its steps cannot be shown: the receipt does not hold its transaction")
	if strings.Contains(a.out, "attested") {
		t.Errorf("%s", a.out)
	}
	r.ancre("info", r.write("later.chp.json", `{"@context":"https://w3id.org/chainpoint/v9"}`)).is(t, exitUnverifiable, "chainpoint/v9")
	r.ancre("info", r.write("cut"+v2Suffix, text[:100])).is(t, exitFailed, "malformed receipt")
	r.ancre("info", r.write("data.json", "{}")).is(t, exitFailed, "this is not a proof, and there is no ")
}
