package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/proof"
	"ancre/proof/receipt"
)

const (
	v2Suffix = ".timestamp-receipt.json"
	v4Suffix = ".chp.json"
)

func TestFromFileToVerifiedReceipt(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("receipt", file).is(t, exitFailed, file+": the daemon does not know this digest: stamp it first (ancre stamp)")
	r.ancre("stamp", file).is(t, exitDone)
	a := r.ancre("receipt", file).is(t, exitPending, file+": pending, batch 1 is still open")
	if got := r.names(); a.out != "" || !slices.Equal(got, []string{"report.pdf", "report.pdf.ots"}) {
		t.Errorf("files: %v, out: %s", got, a.out)
	}

	r.daemon.mine()
	r.ancre("receipt", file).is(t, exitDone, file+v2Suffix+": written, for Bitcoin block 1")
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone, file+v4Suffix+": written, for Bitcoin block 1")
	r.ancre("receipt", file).is(t, exitDone, "was there already")
	for _, suffix := range []string{v2Suffix, v4Suffix} {
		if _, err := receipt.Parse(r.read(file + suffix)); err != nil {
			t.Error(err)
		}
		r.ancre("verify", file+suffix).is(t, exitDone, file+": valid, existed before Bitcoin block 1, mined about 2026-01-02 03:04 UTC")
		r.ancre("verify", "-v", file+suffix).is(t, exitDone, "    attested by Bitcoin block 1, if its Merkle root is")
		r.ancre("verify", "-f", file, file+suffix).is(t, exitDone, "valid")
		sum := sha256.Sum256([]byte("content"))
		r.with(session{in: string(r.read(file + suffix))}, "verify", "--digest", hex.EncodeToString(sum[:]), "-").is(t, exitDone, "valid")
		r.with(session{in: "content"}, "verify", "-f", "-", file+suffix).is(t, exitDone, "valid")
	}
	r.ancre("verify", "--offline", "-r", r.dir).is(t, exitPending, file+": valid", file+": pending")

	r.write("report.pdf", "changed")
	for _, suffix := range []string{v2Suffix, v4Suffix} {
		r.ancre("verify", file+suffix).is(t, exitFailed, file+": invalid: the receipt is about another file: one with sha256")
	}
	r.ancre("receipt", file).is(t, exitFailed, "the file has changed since it was stamped: "+file+".ots is about another content")
}

// The bug that it catches: whoever keeps only complete proofs cannot have receipts once the daemon
// is gone.
func TestAReceiptIsMadeOfACompleteProofWithoutADaemon(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("receipt", "-o", file+".online", file).is(t, exitDone)
	r.ancre("receipt", "--format", "v4", "-o", file+".v4", file).is(t, exitDone)
	r.ancre("upgrade", file).is(t, exitDone)

	// With the daemon there, but without its knowledge: only the block's time is asked for.
	r.daemon.digests = nil
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone, "written")
	if !bytes.Equal(r.read(file+v4Suffix), r.read(file+".v4")) {
		t.Error("the receipt of version 4 is another one")
	}
	r.http.Close()
	r.ancre("receipt", file+".ots").is(t, exitDone, file+v2Suffix+": written, for Bitcoin block 1")
	if !bytes.Equal(r.read(file+v2Suffix), r.read(file+".online")) {
		t.Error("the receipt of version 2 is another one")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.ancre("receipt", "-o", "-", file).is(t, exitDone, `"@context": "https://w3id.org/chainpoint/v2"`)
	r.ancre("receipt", "--format", "v4", "-o", "-", file).is(t, exitFailed, "a receipt of version 4 holds the time of block 1: ")
}

// The bugs that it catches: a proof that ots or npm stamped at the daemon's calendar is refused by
// a rule of version 2; or a false attestation beside the true one keeps it from becoming a receipt.
func TestAProofThatAnotherClientStampedBecomesAReceiptOfVersion4(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	f := &proof.File{HashOp: proof.SHA256, Digest: sha256Of("content"), Timestamp: &proof.Timestamp{Msg: sha256Of("content")}}
	blinded, err := f.Timestamp.Then(proof.Op{Tag: proof.Append, Arg: []byte("sixteen bytes...")}, proof.Op{Tag: proof.SHA256})
	r.must(err)
	digest := hex.EncodeToString(blinded.Msg)
	t.Chdir(r.dir)
	r.ancre("stamp", "--digest", digest).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", digest+".ots").is(t, exitDone)
	*blinded = *r.proof(r.path(digest + ".ots")).Timestamp

	write := func() {
		raw, err := f.Marshal()
		r.must(err)
		r.write("report.pdf.ots", string(raw))
	}
	write()
	r.ancre("receipt", file).is(t, exitFailed, "was not made by Ancre", "--format v4")
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone, file+v4Suffix+": written, for Bitcoin block 1")
	r.ancre("verify", file+v4Suffix).is(t, exitDone, "valid, existed before Bitcoin block 1")
	if !bytes.Contains(r.read(file+v4Suffix), []byte(testCalendar+"/calendar/1/data")) {
		t.Errorf("the receipt names no address:\n%s", r.read(file+v4Suffix))
	}

	// The same way, as if it led to other blocks: one that has another Merkle root, one that is not
	// there.
	end := blinded
	for len(end.Branches) > 0 {
		end = end.Branches[0].Next
	}
	end.Attest(proof.BitcoinAt(0))
	end.Attest(proof.BitcoinAt(7))
	write()
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone, "was there already")
	end.Attestations = []proof.Attestation{proof.BitcoinAt(0)}
	write()
	r.ancre("receipt", "--format", "v4", "-o", "-", file).is(t, exitFailed, "the proof beside the file is false: block 0 has another Merkle root")
}

// The bug that it catches: of a proof with a false attestation beside the true one, which is valid,
// a false receipt is written with exit status 0.
func TestAReceiptIsMadeOfTheAttestationThatIsTrue(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	f := r.proof(file + ".ots")
	end := f.Timestamp
	for len(end.Branches) > 0 {
		end = end.Branches[0].Next
	}
	end.Attest(proof.BitcoinAt(0)) // sorts before the true one, of block 1
	end.Attest(proof.BitcoinAt(9))
	raw, err := f.Marshal()
	r.must(err)
	r.write("report.pdf.ots", string(raw))
	for _, format := range []string{"v2", "v4"} {
		r.ancre("receipt", "--format", format, file).is(t, exitDone, "written, for Bitcoin block 1")
	}
	r.ancre("verify", file+v2Suffix).is(t, exitDone, "valid, existed before Bitcoin block 1")
	r.ancre("verify", file+v4Suffix).is(t, exitDone, "valid, existed before Bitcoin block 1")

	end.Attestations = []proof.Attestation{proof.BitcoinAt(0), proof.BitcoinAt(9)}
	raw, err = f.Marshal()
	r.must(err)
	r.write("report.pdf.ots", string(raw))
	r.daemon.digests = nil
	for _, format := range []string{"v2", "v4"} {
		r.ancre("receipt", "--format", format, "-o", "-", file).is(t, exitFailed, "the proof beside the file is false: block 0 has another Merkle root")
	}

	// Without the daemon nobody can tell. The receipt is made as ever, with a warning.
	r.http.Close()
	r.ancre("receipt", "-o", "-", file).is(t, exitDone, `"sourceId": "0"`, "warning: the proof names 2 blocks, and the daemon could not be asked which of them is true")
}

func sha256Of(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	return sum[:]
}

// The bug that it catches: after an update the receipts of yesterday "say something else".
func TestAReceiptOfAnEarlierVersionIsTheSameReceipt(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone, "written")
	made, err := receipt.Parse(r.read(file + v4Suffix))
	r.must(err)
	older, err := made.(*receipt.V4).WithoutURIs().Marshal()
	r.must(err)
	r.write("report.pdf"+v4Suffix, string(older))
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone, "was there already")
	if !bytes.Equal(r.read(file+v4Suffix), older) {
		t.Error("it was written over")
	}
}

func TestAReceiptThatDiffersIsNotOverwritten(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.write("report.pdf"+v2Suffix, "somebody's")
	r.ancre("receipt", file).is(t, exitFailed, "a file of this name holds something else: move it away, or name another file with -o")
	if got := string(r.read(file + v2Suffix)); got != "somebody's" {
		t.Errorf("it holds %q", got)
	}
	r.ancre("receipt", "-o", r.path("other"), file).is(t, exitDone, r.path("other")+": written")

	// No more is read of it than tells that it differs.
	r.write("other", string(r.read(r.path("other")))+"\n")
	r.ancre("receipt", "-o", r.path("other"), file).is(t, exitFailed, "holds something else")
	r.must(os.Mkdir(r.path("directory"), 0o700))
	r.ancre("receipt", "-o", r.path("directory"), file).is(t, exitFailed, "what has this name is not a regular file: name another file with -o")
}

func TestReceiptsOfStandardInputAndOfDigests(t *testing.T) {
	r := newRig(t)
	r.ancre("stamp", r.write("report.pdf", "content")).is(t, exitDone)
	r.daemon.mine()
	a := r.with(session{in: "content"}, "receipt", "-").is(t, exitDone)
	if rec, err := receipt.Parse([]byte(a.out)); err != nil || a.err != "" || rec.Version() != 2 {
		t.Errorf("%v\nout: %s\nerr: %s", err, a.out, a.err)
	}
	sum := sha256.Sum256([]byte("content"))
	digest := hex.EncodeToString(sum[:])
	t.Chdir(r.dir)
	r.ancre("receipt", "--digest", digest, "--format", "v4").is(t, exitDone, digest+v4Suffix+": written")
	r.ancre("verify", "--digest", digest, digest+v4Suffix).is(t, exitDone, "valid")

	a = r.with(session{in: "content"}, "--json", "receipt", "-").is(t, exitDone)
	var said struct {
		Result, Format, Digest string
		Receipt                json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.out), &said); err != nil || said.Result != "complete" || said.Format != "chainpoint" || said.Digest != digest || said.Receipt[0] != '{' {
		t.Errorf("%v: %s", err, a.out)
	}
	a = r.ancre("--json", "verify", "--digest", digest, digest+v4Suffix).is(t, exitDone)
	var verdict struct {
		Result, Anchor, TxID string
		Height               int
	}
	if err := json.Unmarshal([]byte(a.out), &verdict); err != nil || verdict.Result != "valid" || verdict.Anchor != "btc" || verdict.TxID != r.daemon.tx.TxHash().String() || verdict.Height != 1 {
		t.Errorf("%v: %s", err, a.out)
	}
}

func TestWrongUsageOfReceipts(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{
		{"receipt"}, {"receipt", "--format", "v3", "a"}, {"receipt", "-o", "x", "a", "b"}, {"receipt", "-", "-"}, {"receipt", "--digest", "xyz"},
	} {
		r.ancre(args...).is(t, exitUsage)
	}
	r.ancre("receipt", "--format", "V2", "a").is(t, exitUsage, `--format "V2": must be v2 or v4`)
	r.ancre("receipt", r.path("none")).is(t, exitFailed, r.path("none")+": no such file or directory")
}

// Forged and foreign receipts, as people meet them: what is wrong is said, with what to do.
func TestReceiptsThatProveNothing(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("receipt", file).is(t, exitDone)
	good := string(r.read(file + v2Suffix))
	edit := func(old, with string) string {
		if strings.Count(good, old) != 1 {
			t.Fatalf("%q stands %d times in %s", old, strings.Count(good, old), good)
		}
		return strings.Replace(good, old, with, 1)
	}
	for name, c := range map[string]struct {
		text string
		exit int
		want []string
	}{
		"another block":   {edit(`"sourceId": "1"`, `"sourceId": "0"`), exitFailed, []string{"invalid: Bitcoin block 0 has the Merkle root"}},
		"above the tip":   {edit(`"sourceId": "1"`, `"sourceId": "7"`), exitUnverifiable, []string{"cannot be checked here: the receipt names Bitcoin block 7, which is above the highest one known here"}},
		"upper-case":      {edit(`"targetHash": "ed`, `"targetHash": "ED`), exitFailed, []string{"invalid: malformed receipt at targetHash", `upper-case 'E'`}},
		"an extra member": {edit(`"type": "BTCOpReturn",`, `"type": "BTCOpReturn", "note": 1,`), exitFailed, []string{"invalid: malformed receipt at anchors[0].note", "no receipt has this member"}},
		"cut short":       {good[:len(good)-20], exitFailed, []string{"invalid: malformed receipt: this is not JSON"}},
		"other JSON":      {"{}", exitFailed, []string{"invalid: malformed receipt at @context: is missing"}},
		"no anchor held":  {good[:strings.Index(good, `,`+"\n    {\n      \"type\": \"BTCBlockHeader\"")] + "]}", exitUnverifiable, []string{"cannot be checked here: the receipt names transaction", "does not hold it", "txindex=1", "--node"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := r.write("forged"+v2Suffix, c.text)
			r.ancre("verify", "-f", file, path).is(t, c.exit, c.want...)
			r.daemon.synced = name != "above the tip"
			defer func() { r.daemon.synced = true }()
			if name == "above the tip" {
				r.ancre("verify", "-f", file, path).is(t, exitUnverifiable, "cannot be checked here: ", "the daemon is still syncing")
			}
		})
	}
	r.ancre("verify", r.write("alone"+v2Suffix, good)).is(t, exitFailed, "there is no "+r.path("alone")+": name the file that the receipt is about with -f")
	r.ancre("verify", r.write("odd.txt", good)).is(t, exitFailed, "name the file that it is about with -f")
	r.ancre("verify", r.write("data.json", "{}")).is(t, exitUnverifiable, "and there is no "+r.path("data.json")+".ots")
	r.ancre("verify", "--digest", strings.Repeat("ab", 20), file+v2Suffix).is(t, exitFailed, "receipts are about SHA-256")
}

// Woleet's tools put an identifier between the file's name and the ending.
func TestTheFileBesideAReceiptIsFound(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.pdf")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const id = "-e560305d-2c9c-4e8d-829d-c7d1b6eef8cf"
	for name, want := range map[string]string{
		"report.pdf.timestamp-receipt.json":        file,
		"report.pdf" + id + ".anchor-receipt.json": file,
		"report.pdf" + id + ".seal-receipt.json":   file,
		"report.pdf.chp.json":                      file,
		"report.pdf.receipt":                       file,
		"other" + id + ".chp.json":                 filepath.Join(dir, "other"+id),
	} {
		if got, ok := cutReceiptSuffix(filepath.Join(dir, name)); !ok || got != want {
			t.Errorf("%s: got %s, %v", name, got, ok)
		}
	}
}

// The bug that it catches: a nightly "ancre stamp -r" stamps the receipts of the night before, and
// their receipts the night after.
func TestReceiptsAreNotStamped(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.write("fake"+v4Suffix, "no receipt, whatever its name is")
	r.ancre("stamp", "-r", r.dir).is(t, exitDone, "2 files stamped")
	r.daemon.mine()
	r.ancre("receipt", file).is(t, exitDone)
	r.ancre("receipt", "--format", "v4", file).is(t, exitDone)
	r.ancre("stamp", "-r", r.dir).is(t, exitDone, "Left out: 4 proofs.", "2 files stamped")
	r.ancre("stamp", file+v2Suffix).is(t, exitDone, "1 proof skipped")
}

// A receipt beside a complete proof: either may be meant, and FILE.ots comes first as ever.
func TestFileMeansItsProofBeforeItsReceipt(t *testing.T) {
	r := newRig(t)
	file := r.write("minutes.json", `{"votes": 3}`)
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	r.ancre("receipt", file).is(t, exitDone)
	r.ancre("verify", file).is(t, exitDone, "valid")
	if a := r.ancre("--json", "verify", file).is(t, exitDone); !strings.Contains(a.out, `minutes.json.ots"`) {
		t.Errorf("it verified %s", a.out)
	}
	if err := os.Remove(file + ".ots"); err != nil {
		t.Fatal(err)
	}
	if a := r.ancre("--json", "verify", file).is(t, exitDone); !strings.Contains(a.out, v2Suffix) {
		t.Errorf("it verified %s", a.out)
	}
}
