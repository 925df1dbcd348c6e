package proof_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ancre/itest/harness/browser"
	"ancre/proof"
	"ancre/register/page/verifier"
)

var inBrowser = flag.Int("browser", 20_000, "how many mutated proofs the verifier of the page judges")

// TestTheBrowserAgrees shows the vectors and mutated proofs to the verifier of the public page, in
// Chromium. It refuses the same bytes at the same place; it explains the others in the same steps,
// with the same attestations of the same messages; and with the same windows of headers it comes to
// the same verdict on each attestation and on the whole, with the same warnings.
//
// There are no differences but one that is wanted: a block with fewer than six headers is "no
// block" for a source of headers, and in the browser the proof is pending in that block.
func TestTheBrowserAgrees(t *testing.T) {
	b := newJudge(t)
	var batch []question
	count := map[string]int{}
	ask := func() {
		for i, got := range b.ask(batch, false) {
			q := batch[i]
			want := q.expected(t)
			count[want.tell()]++
			if got != want.hashed() {
				t.Errorf("%s\nhere    %+v\nbrowser %+v\nproof %x", q.name, want, b.ask([]question{q}, true)[0], q.Proof[:min(len(q.Proof), 2000)])
			}
		}
		if batch = nil; t.Failed() {
			t.FailNow()
		}
	}
	for _, dir := range []string{"valid", "loose", "invalid"} {
		found := proof.Vectors(t, dir)
		for _, name := range slices.Sorted(maps.Keys(found)) {
			w := newWindows(uint64(len(batch)))
			batch = append(batch, w.question(dir+"/"+name, found[name]))
		}
	}
	for name, tx := range transactions() {
		batch = append(batch, newWindows(0).question(name, aroundTransaction(t, tx)))
	}
	batch = append(batch, question{name: "work of attestations", Proof: costlyWithAttestations(), Windows: [][]byte{}, Network: "regtest"})
	ask()
	m := proof.NewMutator(t, *proof.Seed)
	for i := range uint64(*inBrowser) {
		file := m.File(*proof.Seed, i)
		w := newWindows(i)
		batch = append(batch, w.question(fmt.Sprintf("case %d of seed %d", i, *proof.Seed), file))
		if len(batch) == 500 {
			ask()
		}
	}
	if len(batch) > 0 {
		ask()
	}
	for _, verdict := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%7d %s", count[verdict], verdict)
	}
	if *inBrowser < 20_000 {
		return
	}
	for _, verdict := range []string{
		"anchored anchored", "pending promised", "pending few-blocks", "invalid wrong-root", "invalid other-file", "uncheckable no-header",
		"uncheckable bad-window", "invalid root-size", "invalid too-high", "uncheckable other-chain", "uncheckable unknown-kind", "uncheckable other-new-block",
	} {
		if count[verdict] < 20 {
			t.Errorf("%q was the verdict %d times: the mutations are too mild or too wild to show anything", verdict, count[verdict])
		}
	}
}

// transactions are bytes that are a transaction, or almost one: an explanation names ids.
func transactions() map[string][]byte {
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	version, lock := []byte{2, 0, 0, 0}, []byte{0, 0, 0, 0}
	outpoint, sequence, value := make([]byte, 36), []byte{0xfd, 0xff, 0xff, 0xff}, make([]byte, 8)
	input := join(outpoint, []byte{0}, sequence)
	output := func(script []byte) []byte { return join(value, []byte{byte(len(script))}, script) }
	one := []byte{1}
	whole := join(version, one, input, one, output(make([]byte, 34)), lock)
	long := bytes.Repeat([]byte{0x51}, 0xfd)
	return map[string][]byte{
		"a transaction":                         whole,
		"a transaction of 63 bytes":             join(version, one, input, one, output(make([]byte, 3)), lock),
		"a transaction of 64 bytes":             join(version, one, input, one, output(make([]byte, 4)), lock),
		"a transaction of 65 bytes":             join(version, one, input, one, output(make([]byte, 5)), lock),
		"two inputs and outputs":                join(version, []byte{2}, input, input, []byte{2}, output(nil), output(nil), lock),
		"no input":                              join(version, []byte{0}, one, output(make([]byte, 34)), lock),
		"no output":                             join(version, one, input, []byte{0}, lock),
		"neither":                               join(version, []byte{0, 0}, make([]byte, 30)),
		"a transaction with witnesses":          join(version, []byte{0, 1}, one, input, one, output(nil), []byte{1, 0}, lock),
		"a byte after a transaction":            join(whole, one),
		"a transaction that is cut":             whole[:len(whole)-1],
		"a script of 253 bytes":                 join(version, one, input, one, value, []byte{0xfd, 0xfd, 0}, long, lock),
		"a script of 252 bytes in three":        join(version, one, input, one, value, []byte{0xfd, 0xfc, 0}, long[1:], lock),
		"one input, counted in three bytes":     join(version, []byte{0xfd, 1, 0}, input, one, output(nil), lock),
		"one input, counted in five bytes":      join(version, []byte{0xfe, 1, 0, 0, 0}, input, one, output(nil), lock),
		"one input, counted in nine bytes":      join(version, []byte{0xff, 1, 0, 0, 0, 0, 0, 0, 0}, input, one, output(nil), lock),
		"2^64 - 1 inputs":                       join(version, bytes.Repeat([]byte{0xff}, 9), input, one, output(nil), lock),
		"a script of 253 bytes in five, counts": join(version, one, input, one, value, []byte{0xfe, 0xfd, 0, 0, 0}, long, lock),
	}
}

// aroundTransaction is a proof that hashes a transaction twice.
func aroundTransaction(t *testing.T, tx []byte) []byte {
	t.Helper()
	f := &proof.File{HashOp: proof.SHA256, Digest: tx[:32], Timestamp: &proof.Timestamp{Msg: tx[:32]}}
	end, err := f.Timestamp.Then(proof.Op{Tag: proof.Append, Arg: tx[32:]}, proof.Op{Tag: proof.SHA256}, proof.Op{Tag: proof.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	end.Attest(proof.BitcoinAt(7))
	b, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// costlyWithAttestations is a proof whose operations alone would not be too much work.
func costlyWithAttestations() []byte {
	b := append([]byte("\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08"), make([]byte, 32)...)
	unknown := append([]byte{0x00, 1}, make([]byte, 8)...)
	for range 46_000 {
		b = append(append(b, 0xff), unknown...)
	}
	b = append(append(b, 0xf0, 0xe0, 0x1f), make([]byte, 4064)...)
	for i := range 13 {
		if i < 12 {
			b = append(b, 0xff)
		}
		b = append(append(b, bytes.Repeat([]byte{0xf2}, 250)...), unknown...)
	}
	return b
}

// question is a proof, and the windows with which it is judged.
type question struct {
	Proof   []byte   `json:"proof"`
	Digest  []byte   `json:"digest"`
	Windows [][]byte `json:"windows"`
	Now     int64    `json:"now"`
	Network string   `json:"network"`

	name string
}

// answer is what an implementation makes of a question.
type answer struct {
	Fault       string `json:"fault"`
	At          int    `json:"at"`
	Unsupported bool   `json:"unsupported"`
	Steps       string `json:"steps"`
	Complete    bool   `json:"complete"`
	Result      string `json:"result"`
	Reason      string `json:"reason"`
	Height      string `json:"height"`
	Block       string `json:"block"`
	Checks      string `json:"checks"`
	Warnings    string `json:"warnings"`
	Trust       string `json:"trust"`
	CheckList   string `json:"checkList"`
}

func (a answer) tell() string { return strings.TrimSpace(a.Result + " " + a.Reason + " " + a.Fault) }

// hashed is the answer with hashes instead of what may be long.
func (a answer) hashed() answer {
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	a.Steps, a.Checks, a.CheckList = hash(a.Steps), hash(a.Checks), ""
	return a
}

// judge is the verifier of the page, in Chromium.
type judge struct {
	tab     *browser.Tab
	address string
	mu      sync.Mutex
	batches [][]byte
}

func newJudge(t *testing.T) *judge {
	j := &judge{tab: browser.Start(t).Open(t, browser.Wide)}
	page, err := os.ReadFile("testdata/judge.js")
	if err != nil {
		t.Fatal(err)
	}
	script := func(content []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			w.Write(content)
		}
	}
	networks, err := os.ReadFile("../register/page/verifier/networks.json")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/networks.json", func(w http.ResponseWriter, _ *http.Request) { w.Write(networks) })
	mux.HandleFunc("/judge.js", script(page))
	mux.HandleFunc("/verifier.js", script(verifier.Script(verifier.Core)))
	mux.HandleFunc("/batch/{n}", func(w http.ResponseWriter, r *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n >= len(j.batches) {
			http.NotFound(w, r)
			return
		}
		w.Write(j.batches[n])
		j.batches[n] = nil
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>judge</title><link rel="icon" href="data:,"><script type="module" src="/judge.js"></script>`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	j.address = server.URL
	j.tab.Go(j.address + "/")
	return j
}

// ask returns the answers of the browser, whole or with hashes for what may be long.
func (j *judge) ask(questions []question, whole bool) []answer {
	j.tab.Helper()
	batch, err := json.Marshal(questions)
	if err != nil {
		j.tab.Fatal(err)
	}
	j.mu.Lock()
	n := len(j.batches)
	j.batches = append(j.batches, batch)
	j.mu.Unlock()
	answers := browser.Eval[[]answer](j.tab, fmt.Sprintf("judgeBatch('/batch/%d', %t)", n, whole))
	if len(answers) != len(questions) {
		j.tab.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}
