package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"ancre/internal/datadir"
	"ancre/proof"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// verdict is what --json tells of a file.
func (r *rig) verdict(want int, args ...string) fileResult {
	r.t.Helper()
	a := r.ancre(append([]string{"--json", "verify"}, args...)...).is(r.t, want)
	var got fileResult
	if err := json.Unmarshal([]byte(a.out), &got); err != nil {
		r.t.Fatalf("%v: %s%s", err, a.out, a.err)
	}
	if (got.Needed != "") != (got.Result == unverifiable) {
		r.t.Errorf("what it takes is told of what is unverifiable: %s", a.out)
	}
	return got
}

// attested makes a file with a proof in which these attest its hash.
func (r *rig) attested(name string, list ...proof.Attestation) (file string) {
	r.t.Helper()
	file, _ = r.promised(name, "https://calendar.invalid")
	f := r.proof(file + proofSuffix)
	f.Timestamp = &proof.Timestamp{Msg: f.Digest, Attestations: list}
	r.save(file, f)
	return file
}

// What this program cannot check is neither invalid nor pending: the answer says what it takes.
func TestWhatCannotBeCheckedHereIsNotInvalid(t *testing.T) {
	r := newRig(t)
	litecoin := proof.Attestation{Tag: [8]byte{0x06, 0x86, 0x9a, 0x0d, 0x73, 0xd7, 0x1b, 0x45}, Payload: []byte{5}}
	unknown := proof.Attestation{Tag: [8]byte{1}, Payload: []byte("what is this")}
	good := r.read(r.attested("good", proof.BitcoinAt(1)) + proofSuffix)
	changed := func(at int, b byte) string {
		data := append([]byte(nil), good...)
		data[at] = b
		return string(data)
	}
	const version, hash, operation = 31, 32, 65
	pendingAt, err := proof.PendingAt("https://calendar.invalid")
	r.must(err)
	for name, c := range map[string]struct {
		file, needed string
		result       outcome
	}{
		"Litecoin alone":             {r.attested("a", litecoin), "Litecoin", unverifiable},
		"an unknown attestation":     {r.attested("b", unknown), "the program that made the proof", unverifiable},
		"Litecoin beside a promise":  {r.attested("c", litecoin, pendingAt), "", pending},
		"a later version":            {r.write("d.ots", changed(version, 2)), "a newer version of ancre", unverifiable},
		"an unknown kind of hash":    {r.write("e.ots", changed(hash, 9)), "a newer version of ancre", unverifiable},
		"an unknown operation":       {r.write("f.ots", changed(operation, 9)), "a newer version of ancre", unverifiable},
		"half a proof":               {r.write("g.ots", string(good[:70])), "", invalid},
		"no proof at all":            {r.write("h.ots", "hello"), "", invalid},
		"a document without a proof": {r.write("i.txt", "hello"), "its proof", unverifiable},
		"a JSON document without":    {r.write("j.json", `{"a": 1}`), "its proof", unverifiable},
		"Chainpoint version 9":       {r.write("k.chp.json", `{"@context":"https://w3id.org/chainpoint/v9"}`), "a newer version of ancre", unverifiable},
		"a block that is not here":   {r.attested("l", proof.BitcoinAt(500)), "block headers up to block 500", unverifiable},
		"a block that nobody made":   {r.attested("m", proof.BitcoinAt(1<<63)), "", invalid},
		"a block of another content": {r.attested("n", proof.BitcoinAt(0)), "", invalid},
	} {
		exit := map[outcome]int{unverifiable: exitUnverifiable, pending: exitPending, invalid: exitFailed}[c.result]
		if got := r.verdict(exit, "--offline", c.file); got.Result != c.result || !strings.Contains(got.Needed, c.needed) || got.Reason == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	a := r.ancre("verify", r.path("d.ots")).is(t, exitUnverifiable, "d.ots: cannot be checked here: ", "version 2 of the format", "needed: a newer version")
	if strings.Contains(a.out+a.err, "invalid") || strings.Contains(a.out+a.err, "malformed") {
		t.Errorf("it is said to be wrong: %s%s", a.out, a.err)
	}
	r.ancre("verify", "--offline", r.path("m")).is(t, exitFailed, "Bitcoin block 9223372036854775808, which is above the highest one that there can be")
	r.ancre("verify", r.path("none.ots")).is(t, exitFailed, "none.ots: cannot be verified: no such file")
}

// Of several files the worst counts: invalid or failed, unverifiable, pending, valid.
func TestTheWorstOfSeveralFilesCounts(t *testing.T) {
	r, good, _ := proved(t, 6)
	pending, _ := r.promised("pending", "https://calendar.example")
	bare := r.write("bare", "content")
	wrong := r.attested("wrong", proof.BitcoinAt(0))
	for want, files := range map[int][]string{
		exitDone: {good}, exitPending: {good, pending}, exitUnverifiable: {good, bare, pending}, exitFailed: {bare, wrong, pending, good},
	} {
		r.ancre(append([]string{"verify"}, files...)...).is(t, want)
	}
	if a := r.ancre("verify", "--help"); !strings.Contains(a.out, "1 before 4 before 3 before 0") {
		t.Errorf("the help does not say so: %s", a.out)
	}
}

// Without an answer from its source of headers, ancre says which sources there are, once, and still
// tells what needs no header.
func TestASourceThatDoesNotAnswerMakesNothingInvalid(t *testing.T) {
	r, good, _ := proved(t, 6)
	second := r.attested("second", proof.BitcoinAt(1))
	pending, _ := r.promised("pending", "https://calendar.example")
	changed := r.attested("changed", proof.BitcoinAt(1))
	r.write("changed", "other content")
	r.http.Close()
	a := r.ancre("verify", "--offline", good, second, pending, changed).is(t, exitFailed,
		good+": cannot be checked here: ", "is ancred running?", "--spv", "--headers FILE", "--node URL",
		second+": cannot be checked here: for the same reason", pending+": pending", changed+": invalid: the proof is about another file")
	if n := strings.Count(a.out+a.err, "is ancred running?"); n != 1 {
		t.Errorf("the reason is told %d times: %s%s", n, a.out, a.err)
	}
	r.ancre("verify", "--offline", good, pending).is(t, exitUnverifiable)
	if got := r.verdict(exitUnverifiable, good); got.Result != unverifiable || !strings.Contains(got.Reason, "is ancred running?") || !strings.Contains(got.Needed, "--spv") {
		t.Errorf("%+v", got)
	}
	// A light client without peers is no other.
	r.ancre("verify", "--spv", "--offline", good).is(t, exitUnverifiable, "no peer is connected", "--headers FILE")
	r.ancre("verify", "--spv", "--offline", pending).is(t, exitPending)
	r.ancre("verify", "--spv", "--offline", changed).is(t, exitFailed, "invalid")
}

// A node that is behind, or still syncing, is no witness against a proof.
func TestANodeThatIsBehindMakesNothingInvalid(t *testing.T) {
	r, file, _ := proved(t, 6)
	cookie := filepath.Join(r.data, "regtest", datadir.Cookie)
	for name, c := range map[string]struct {
		info any
		want []string
	}{
		"syncing": {map[string]any{"blocks": 0, "headers": 900_000, "initialblockdownload": true}, []string{"is still syncing (block 0 of 900,000)", "wait for the node"}},
		"behind":  {map[string]any{"blocks": 0, "headers": 0}, []string{"the newest block of the node at ", " is 0"}},
		"silent":  {nil, []string{"block headers up to block 1"}},
	} {
		url := lyingNode(t, func(w http.ResponseWriter, method string, params []any) (any, bool) {
			switch {
			case method == "getblockhash" && params[0] == 0.0:
				return chaincfg.RegressionNetParams.GenesisHash.String(), false
			case method == "getblockhash":
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(`{"result":null,"error":{"code":-8,"message":"Block height out of range"},"id":1}`))
				return nil, true
			case method == "getblockchaininfo" && c.info != nil:
				return c.info, false
			case method == "getblockcount":
				return 0, false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return nil, true
		})
		a := r.ancre("--rpc-cookie", cookie, "verify", "--node", url, file).is(t, exitUnverifiable, append(c.want, "cannot be checked here: the proof names Bitcoin block 1, which is above the highest one known here")...)
		if strings.Contains(a.out, "invalid") {
			t.Errorf("%s: %s", name, a.out)
		}
	}
}
