package verifier_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"ancre/headers"
	"ancre/proof"
	"ancre/proof/receipt"
)

var mutatedReceipts = flag.Int("receipts", 3000, "how many mutated receipts the verifier of the page judges")

// The verifier of the page reads and judges receipts as the package proof/receipt does. It refuses
// the same ones at the same member. The differences are wanted, and say "uncheckable": it reads
// neither version 1 nor hashes beyond SHA-256, and it does not check the signatures of seals.
func TestReceiptsInTheBrowser(t *testing.T) {
	c := newCore(t)
	count := map[string]int{}
	const batch = 250
	for from := 0; from < *mutatedReceipts; from += batch {
		var texts [][]byte
		var questions []question
		for i := from; i < min(from+batch, *mutatedReceipts); i++ {
			m := receiptMutator{rand.New(rand.NewPCG(11, uint64(i)))}
			text := m.receipt(t)
			texts, questions = append(texts, text), append(questions, m.question(t, text))
		}
		read := call[[]readReceipt](c, "parseReceipts", texts)
		for i, got := range c.judge(questions...) {
			kind, problem := compareReceipt(t, questions[i], read[i], got)
			count[kind]++
			if problem != "" {
				t.Errorf("case %d: %s\n%s", from+i, problem, texts[i][:min(len(texts[i]), 4000)])
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%7d %s", count[kind], kind)
	}
	for _, kind := range []string{"malformed", "unsupported", "anchored anchored", "invalid contradiction", "invalid wrong-root", "uncheckable sealed", "uncheckable no-header"} {
		if count[kind] < 10 {
			t.Errorf("%q: only %d", kind, count[kind])
		}
	}
}

// Each of these changes is refused, or read, by both alike.
func TestReceiptsWithOneChange(t *testing.T) {
	c := newCore(t)
	var texts [][]byte
	for _, change := range [][3]string{
		{"v2", `chainpoint/v2"`, `chainpoint/v6"`},
		{"v2", `"type": "ChainpointSHA256v2"`, `"@type": "ChainpointSHA256v2"`},
		{"v2", `"type": "ChainpointSHA256v2"`, `"@type": "ChainpointSHA256v2", "type": "ChainpointSHA256v2"`},
		{"v2", `"type": "ChainpointSHA256v2"`, `"type": "ChainpointSHA512v2"`},
		{"v2", `"sourceId": "820001"`, `"sourceId": "2147483647"`},
		{"v2", `"sourceId": "820001"`, `"sourceId": "2147483648"`},
		{"v2", `"sourceId": "820001"`, `"sourceId": "0820001"`},
		{"v2", `"right": "`, `"left": "` + strings.Repeat("00", 32) + `", "right": "`},
		{"v4", `"r": "`, `"l": "00", "r": "`},
		{"v4", `"anchor_id": "820001"`, `"anchor_id": "2147483648"`},
		{"v4", `"op": "sha-256-x2"`, `"op": "md5"`},
		{"v4", `btc_anchor_branch`, `btc anchor branch`},
		{"v4", `"proof_id"`, `"proof_ID"`},
		{"v2", `"targetHash"`, `"header": {}, "target": {}, "targetHash"`},
		{"v4", `"hash_received": "2026-01-02T03:04:05Z"`, `"hash_received": "2026-02-30T00:00:00Z"`},
	} {
		text, err := os.ReadFile("../../../proof/receipt/testdata/" + change[0] + ".json")
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(text, []byte(change[1]), []byte(change[2]), 1)
		if bytes.Equal(changed, text) {
			t.Errorf("%s has no %s", change[0], change[1])
		}
		texts = append(texts, changed)
	}
	for i, read := range call[[]readReceipt](c, "parseReceipts", texts) {
		_, err := receipt.Parse(texts[i])
		var syntax *receipt.SyntaxError
		switch errors.As(err, &syntax); {
		case syntax == nil && read.Fault == nil:
		case syntax == nil || read.Fault == nil || read.Fault.Member != syntax.Member || read.Fault.Unsupported != syntax.Unsupported:
			t.Errorf("case %d: the browser says %+v, want %v", i, read.Fault, err)
		}
	}
}

// readReceipt is how the browser read a receipt.
type readReceipt struct {
	Fault   *fault
	Version int
	Digest  string
	Steps   []string
}

// receiptMutator changes receipts. All that it does follows from its random numbers.
type receiptMutator struct{ *rand.Rand }

// receipt returns one of the samples, somehow changed or not at all.
func (m receiptMutator) receipt(t *testing.T) []byte {
	t.Helper()
	paths, err := filepath.Glob("../../../proof/receipt/testdata/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no receipts", err)
	}
	text, err := os.ReadFile(paths[m.IntN(len(paths))])
	if err != nil {
		t.Fatal(err)
	}
	for range []int{0, 1, 1, 1, 2}[m.IntN(5)] {
		text = m.change(text)
	}
	return text
}

var (
	jsonToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[0-9.]+|[{}\[\],:]`)
	jsonPair  = regexp.MustCompile(`"(?:[^"\\]|\\.)*": ?(?:"(?:[^"\\]|\\.)*"|[0-9.]+)`)
	hexText   = regexp.MustCompile(`"[0-9a-f]{8,}"`)
	words     = []string{
		`"left"`, `"right"`, `"l"`, `"r"`, `"op"`, `"sha-256"`, `"sha-256-x2"`, `"sha3-256"`, `"sha-512"`, `"md5"`, `"btc"`, `"eth"`, `"cal"`, `"tbtc"`, `"BTCOpReturn"`, `"BTCBlockHeader"`,
		`"ETHData"`, `"type"`, `"@type"`, `"820001"`, `"0"`, `"007"`, `"2147483647"`, `"2147483648"`, `""`, `null`, `true`, `12`, `[]`, `{}`, `[["btc"]]`, `["btc"]`, `"é\u0000\ud800"`,
		`"https://w3id.org/chainpoint/v2"`, `"https://w3id.org/chainpoint/v3"`, `"https://w3id.org/chainpoint/v4"`, `"https://w3id.org/chainpoint/v6"`, `"ChainpointSHA512v2"`, `"__proto__"`,
		`"constructor"`, `"2026-02-30T00:00:00Z"`, `"2026-02-03T00:00:00Z"`, `{"left": "00"}`, `"signature"`, `"branches"`, `"anchors"`, `"ops"`,
	}
)

// change does one thing to a receipt.
func (m receiptMutator) change(text []byte) []byte {
	one := func(of *regexp.Regexp) []int {
		all := of.FindAllIndex(text, -1)
		if len(all) == 0 {
			return []int{0, 0}
		}
		return all[m.IntN(len(all))]
	}
	replace := func(at []int, by []byte) []byte { return slices.Concat(text[:at[0]], by, text[at[1]:]) }
	switch m.IntN(9) {
	case 0: // a digit of a hash
		at := one(hexText)
		return replace([]int{at[0] + 1, min(at[0]+2, len(text))}, []byte{"0123456789abcdefAFg"[m.IntN(19)]})
	case 1: // another word
		return replace(one(jsonToken), []byte(words[m.IntN(len(words))]))
	case 2: // a member is missing
		return replace(one(regexp.MustCompile(jsonPair.String()+`,\s*`)), nil)
	case 3: // a member stands twice
		at := one(jsonPair)
		return replace(at, slices.Concat(text[at[0]:at[1]], []byte(", "), text[at[0]:at[1]]))
	case 4: // a member more
		at := one(jsonPair)
		return replace(at, slices.Concat(text[at[0]:at[1]], []byte(", "+words[m.IntN(len(words))]+": "+words[m.IntN(len(words))])))
	case 5: // another hash
		from, to := one(hexText), one(hexText)
		return replace(to, bytes.Clone(text[from[0]:from[1]]))
	case 6: // a byte
		at := m.IntN(len(text))
		return replace([]int{at, at + 1}, []byte{byte(m.Uint32())})
	case 7: // an object or an element is missing
		return replace(one(regexp.MustCompile(`\{[^{}]*\},?`)), nil)
	}
	// an object stands twice
	at := one(regexp.MustCompile(`\{[^{}]*\}`))
	if at[0] == at[1] {
		return text
	}
	return replace(at, slices.Concat(text[at[0]:at[1]], []byte(","), text[at[0]:at[1]]))
}

// question adds the digest and windows to a receipt.
func (m receiptMutator) question(t *testing.T, text []byte) question {
	q := question{Digest: make([]byte, 32), Proof: text, Now: chainTime + 24*3600, Network: network(t, "regtest"), Windows: [][]byte{}}
	r, err := receipt.Parse(text)
	if err != nil {
		return q
	}
	digest := r.Digest()
	if q.Digest = digest[:]; m.IntN(30) == 0 {
		q.Digest[0] ^= 1
	}
	f, err := receipt.Proof(r)
	if err != nil {
		return q
	}
	var near []uint64
	for _, a := range f.Attestations() {
		height, _ := a.Height()
		close := func(h uint64) bool { return max(h, height)-min(h, height) < 64 }
		kind := m.IntN(8)
		if height > proof.MaxHeight-64 || len(a.Msg) != 32 || slices.ContainsFunc(near, close) || kind == 0 {
			continue
		}
		near = append(near, height)
		root := [32]byte(a.Msg)
		if kind == 1 {
			root[0] ^= 1
		}
		c := &chain{first: int64(height)}
		for i := range int64(8) {
			h := &wire.BlockHeader{Version: 4, Timestamp: timeAt(i), Bits: chaincfg.RegressionNetParams.PowLimitBits}
			if i == 0 {
				h.MerkleRoot = root
			}
			c.add(h)
		}
		q.Windows = append(q.Windows, c.window(int64(height), int64(height)+7))
	}
	return q
}

// windowSource answers from good windows.
type windowSource []*headers.CheckedWindow

func newWindowSource(t *testing.T, q question) windowSource {
	t.Helper()
	var s windowSource
	for _, data := range q.Windows {
		w, err := headers.ParseWindow(data)
		if err != nil {
			t.Fatal(err)
		}
		checked, err := w.Check(headers.NetworkOf(&chaincfg.RegressionNetParams), time.Unix(q.Now, 0))
		if err == nil { // the first block of regtest is known
			s = append(s, checked)
		}
	}
	return s
}

func (s windowSource) Header(_ context.Context, height uint64) (proof.Header, error) {
	if height > proof.MaxHeight {
		return proof.Header{}, proof.ErrTooHigh
	}
	for _, w := range s {
		if h, err := w.Header(height); err == nil {
			if _, err := w.Judge(height); err == nil {
				return proof.Header{Height: height, Hash: h.BlockHash(), MerkleRoot: h.MerkleRoot, Time: h.Timestamp}, nil
			}
		}
	}
	return proof.Header{}, proof.ErrNoHeader
}

// foreignHash matches a member that names a hash which the browser does not have.
var foreignHash = regexp.MustCompile(`\.op$`)

// compareReceipt compares how a receipt was read and judged. kind is what both came to.
func compareReceipt(t *testing.T, q question, read readReceipt, got verdict) (kind, problem string) {
	t.Helper()
	r, err := receipt.Parse(q.Proof)
	if !receipt.LooksLike(q.Proof) {
		return "not taken for a receipt", ""
	}
	var syntax *receipt.SyntaxError
	version1 := err == nil && r.Version() == 1
	switch {
	case read.Fault != nil && read.Fault.Fault == "version":
		if err != nil && !bytes.Contains(q.Proof, []byte(`"header"`)) {
			return "", fmt.Sprintf("taken for version 1: %v", err)
		}
		return "version 1", ""
	case version1:
		return "", "a receipt of version 1 was read"
	case read.Fault != nil && read.Fault.Unsupported && foreignHash.MatchString(read.Fault.Member) && (err == nil || !errors.As(err, &syntax) || syntax.Member != read.Fault.Member):
		return "another hash than SHA-256", ""
	case errors.As(err, &syntax):
		if read.Fault == nil {
			return "", fmt.Sprintf("the browser read it as version %d: %v", read.Version, err)
		}
		if read.Fault.Member != syntax.Member || read.Fault.Unsupported != syntax.Unsupported {
			return "", fmt.Sprintf("the browser refuses %+v, want %v", read.Fault, err)
		}
		if syntax.Unsupported {
			return "unsupported", ""
		}
		return "malformed", ""
	case read.Fault != nil:
		return "", fmt.Sprintf("the browser refuses %+v", read.Fault)
	}
	if digest := r.Digest(); read.Version != r.Version() || read.Digest != fmt.Sprintf("%x", digest) {
		return "", fmt.Sprintf("read as version %d of %s", read.Version, read.Digest)
	}
	if problem := compareSteps(r, read.Steps); problem != "" {
		return "", problem
	}
	return compareVerdict(t, q, r, got)
}

// compareSteps compares the results of the steps, where the receipt can be written as a proof.
func compareSteps(r receipt.Receipt, got []string) string {
	f, err := receipt.Proof(r)
	if err != nil {
		if got != nil {
			return fmt.Sprintf("the browser shows %d steps: %v", len(got), err)
		}
		return ""
	}
	e, err := proof.Explain(f)
	if err != nil {
		return "" // a branch without an anchor in Bitcoin
	}
	var want []string
	for _, l := range e.Lines {
		if l.Op == "" {
			want = append(want, fmt.Sprintf("block %d", l.Height))
		} else {
			want = append(want, l.Result)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("steps %v, want %v", got, want)
	}
	return ""
}

func compareVerdict(t *testing.T, q question, r receipt.Receipt, got verdict) (kind, problem string) {
	t.Helper()
	kind = got.Result + " " + got.Reason
	v2, ok := r.(*receipt.V2)
	if sealed := ok && v2.Seal != nil; sealed && got.Reason != "other-file" {
		if got.Reason != "sealed" && got.Reason != "contradiction" {
			return "", "a sealed receipt: " + kind
		}
		return kind, ""
	}
	result, err := receipt.Verify(t.Context(), r, [32]byte(q.Digest), newWindowSource(t, q))
	if err != nil {
		t.Fatal(err)
	}
	want := map[proof.Outcome]string{proof.OutcomeValid: "anchored", proof.OutcomeInvalid: "invalid", proof.OutcomeNoBlock: "uncheckable", proof.OutcomeUnchecked: "uncheckable"}[result.Outcome]
	if got.Result != want {
		return "", fmt.Sprintf("%s, want %s: %s", kind, want, result.Reason)
	}
	if result.Outcome == proof.OutcomeValid {
		txid := slices.Clone(result.TxID[:])
		slices.Reverse(txid)
		if got.TxID != fmt.Sprintf("%x", txid) || got.Height != fmt.Sprint(result.Header.Height) {
			return "", fmt.Sprintf("transaction %s in block %s, want %x in %d", got.TxID, got.Height, txid, result.Header.Height)
		}
		if (len(got.Warnings) > 0) != (len(result.Warnings) > 0) {
			return "", fmt.Sprintf("warnings %+v, want %q", got.Warnings, result.Warnings)
		}
	}
	return kind, ""
}
