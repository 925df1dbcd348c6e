package main

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ancre/proof"
)

// grafted writes FILE.ots, about the file's hash of that kind. ops lead from the hash to a digest
// that the daemon anchors in its block 1.
func (r *rig) grafted(file string, hash proof.Tag, digest []byte, ops ...proof.Op) (f *proof.File, end *proof.Timestamp) {
	r.t.Helper()
	f = &proof.File{HashOp: hash, Digest: digest, Timestamp: &proof.Timestamp{Msg: digest}}
	at, err := f.Timestamp.Then(ops...)
	r.must(err)
	stamped := hex.EncodeToString(at.Msg)
	r.t.Chdir(r.dir)
	r.ancre("stamp", "--digest", stamped).is(r.t, exitDone)
	r.daemon.mine()
	r.ancre("upgrade", stamped+".ots").is(r.t, exitDone)
	*at = *r.proof(r.path(stamped + ".ots")).Timestamp
	for end = at; len(end.Branches) > 0; {
		end = end.Branches[0].Next
	}
	r.rewrite(file, f)
	return f, end
}

func (r *rig) rewrite(file string, f *proof.File) {
	r.t.Helper()
	raw, err := f.Marshal()
	r.must(err)
	r.write(file+".ots", string(raw))
}

// The bug that it catches: "valid" is all that a clerk reads, of a proof that holds for two files,
// or with a false attestation in it. Scripts get the same sentences.
func TestVerifyWarnsOfWhatAValidProofDoesNotShow(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	sum := sha1.Sum([]byte("content"))
	f, end := r.grafted("report.pdf", proof.SHA1, sum[:], proof.Op{Tag: proof.Append, Arg: []byte("x")}, proof.Op{Tag: proof.SHA256})
	const twoFiles = "warning: the proof is about the file's SHA-1, not its SHA-256: two files with the same SHA-1 can be made"
	r.ancre("verify", file+".ots").is(t, exitDone, file+": valid, existed before Bitcoin block 1", file+": "+twoFiles)

	end.Attest(proof.BitcoinAt(0))
	end.Attest(proof.Attestation{Tag: [8]byte{1}, Payload: []byte("\x1b[2J")})
	r.rewrite("report.pdf", f)
	const isFalse = "another attestation of the proof is false: Bitcoin block 0 has the Merkle root"
	a := r.ancre("verify", file+".ots").is(t, exitDone, "valid, existed before Bitcoin block 1", twoFiles,
		file+": warning: "+isFalse, file+": warning: not checked: attestation 0100000000000000 is of no known kind")
	if strings.Contains(a.out, "\x1b") {
		t.Errorf("the payload reaches the terminal: %q", a.out)
	}

	a = r.ancre("--json", "verify", file+".ots").is(t, exitDone)
	var said struct {
		Result   string
		Warnings []string
	}
	if err := json.Unmarshal([]byte(a.out), &said); err != nil || said.Result != "valid" || len(said.Warnings) != 3 || !strings.HasPrefix(said.Warnings[0], isFalse) {
		t.Errorf("%v: %s", err, a.out)
	}
	if strings.Contains(a.err, "warning") {
		t.Errorf("with --json people are told as well: %s", a.err)
	}

	// The daemon's own verdict warns in the same words.
	a = r.ancre("rpc", "verifyproof", hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(r.read(file+".ots"))).is(t, exitDone)
	told := said
	if err := json.Unmarshal([]byte(a.out), &told); err != nil || told.Result != "valid" || !slices.Equal(told.Warnings, said.Warnings) {
		t.Errorf("verifyproof: %v: %s", err, a.out)
	}
}

func TestVerifyWarnsOfAnchorsThatItDidNotCheck(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("receipt", file).is(t, exitDone)
	if a := r.ancre("verify", file+v2Suffix).is(t, exitDone); strings.Contains(a.out, "warning") {
		t.Errorf("a good receipt: %s", a.out)
	}
	good := string(r.read(file + v2Suffix))
	eth := strings.Repeat("e7", 32)
	r.write("report.pdf"+v2Suffix, strings.Replace(good, `"anchors": [`, `"anchors": [{"type": "ETHData", "sourceId": "`+eth+`"},`, 1))
	const notChecked = "not checked: the anchor of type ETHData (Ethereum transaction "
	r.ancre("verify", file+v2Suffix).is(t, exitDone, file+": valid", file+": warning: "+notChecked+eth)
	if a := r.ancre("--json", "verify", file+v2Suffix).is(t, exitDone); !strings.Contains(a.out, `"warnings":["`+notChecked) {
		t.Errorf("%s", a.out)
	}
}
