package proof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"ancre/headers"
	"ancre/proof"
)

// windows makes windows of headers for the blocks that a proof names: true ones, and such that show
// another block, too few blocks, or nothing. All of it follows from its random numbers.
type windows struct{ *rand.Rand }

func newWindows(number uint64) windows { return windows{rand.New(rand.NewPCG(7, number))} }

const windowTime = 1_700_000_000 // of the first header, in seconds

// question adds windows to a proof.
func (w windows) question(name string, file []byte) question {
	q := question{Proof: file, Digest: make([]byte, 32), Windows: [][]byte{}, Now: windowTime + 24*3600, Network: chaincfg.RegressionNetParams.Name, name: name}
	f, err := proof.Parse(file)
	if err != nil {
		return q
	}
	if q.Digest = bytes.Clone(f.Digest); w.IntN(20) == 0 {
		q.Digest[w.IntN(len(q.Digest))] ^= 1
	}
	if w.IntN(40) == 0 {
		q.Network = chaincfg.MainNetParams.Name
	}
	var near []uint64 // blocks that have a window
	for _, a := range f.Attestations() {
		height, ok := a.Height()
		close := func(h uint64) bool { return max(h, height)-min(h, height) < 64 }
		const most = 4
		if !ok || a.Kind() != proof.KindBitcoin || height > proof.MaxHeight-64 || len(near) == most || slices.ContainsFunc(near, close) {
			continue
		}
		near = append(near, height)
		if data := w.window(height, a.Msg); data != nil {
			q.Windows = append(q.Windows, data)
		}
	}
	if w.IntN(30) == 0 {
		q.Windows = append(q.Windows, []byte("ANCREHW1 and then something else")[:w.IntN(32)])
	}
	return q
}

// window returns a window for the block at height, or nil. root is that to which the proof leads.
func (w windows) window(height uint64, root []byte) []byte {
	const whole, few = 8, headers.MinBlocks - 1
	above := whole
	right := true
	damage := 0
	switch w.IntN(12) {
	case 0:
		return nil
	case 1:
		right = false
	case 2:
		above = 1 + w.IntN(few)
	case 3:
		right, above = false, 1+w.IntN(few)
	case 4:
		damage = 1 + w.IntN(4)
	}
	first := height - min(height, uint64(w.IntN(3)))
	run := headers.Window{Genesis: *chaincfg.RegressionNetParams.GenesisHash, First: int64(first)}
	prev := chainhash.Hash{1}
	for at := first; at < height+uint64(above); at++ {
		h := wire.BlockHeader{Version: 4, PrevBlock: prev, Timestamp: time.Unix(windowTime+int64(at-first), 0), Bits: chaincfg.RegressionNetParams.PowLimitBits}
		if at == height && right {
			copy(h.MerkleRoot[:], root)
		} else {
			h.MerkleRoot[0] = byte(at)
		}
		if damage == 1 && at == height {
			h.Timestamp = h.Timestamp.Add(48 * time.Hour) // in the future
		}
		if damage == 2 && at == height {
			h.Bits = 0x1f00ffff
		}
		mine(&h)
		prev = h.BlockHash()
		if damage == 3 && at == height {
			prev[5] ^= 1
		}
		run.Raw = append(run.Raw, headers.Raw(&h)...)
	}
	data := run.Encode()
	if damage == 4 {
		data[w.IntN(len(data))] ^= 1
	}
	return data
}

// mine finds a nonce.
func mine(h *wire.BlockHeader) {
	target := blockchain.CompactToBig(h.Bits)
	for hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(target) > 0; hash = h.BlockHash() {
		h.Nonce++
	}
}

// source answers from windows, as verification with them does.
type source struct {
	good       []*headers.CheckedWindow
	refused    []*headers.Window
	unreadable bool
}

func newSource(q question) *source {
	s := &source{}
	params := &chaincfg.RegressionNetParams
	if q.Network == chaincfg.MainNetParams.Name {
		params = &chaincfg.MainNetParams
	}
	for _, data := range q.Windows {
		w, err := headers.ParseWindow(data)
		if err != nil {
			s.unreadable = true
			continue
		}
		checked, err := w.Check(headers.NetworkOf(params), time.Unix(q.Now, 0))
		if err != nil {
			s.refused = append(s.refused, w)
			continue
		}
		s.good = append(s.good, checked)
	}
	return s
}

// judge returns the header at height and what a window says of it. Windows of one question do not
// overlap.
func (s *source) judge(height uint64) (h wire.BlockHeader, trust headers.Trust, err error) {
	for _, w := range s.good {
		if h, err := w.Header(height); err == nil {
			trust, err := w.Judge(height)
			return h, trust, err
		}
	}
	return h, trust, headers.ErrNoBlock
}

func (s *source) Header(_ context.Context, height uint64) (proof.Header, error) {
	h, _, err := s.judge(height)
	if err != nil {
		return proof.Header{}, proof.ErrNoHeader
	}
	return proof.Header{Height: height, Hash: h.BlockHash(), MerkleRoot: h.MerkleRoot, Time: h.Timestamp}, nil
}

// expected is what the Go packages say.
func (q question) expected(t *testing.T) answer {
	t.Helper()
	f, err := proof.Parse(q.Proof)
	var syntax *proof.SyntaxError
	if errors.As(err, &syntax) {
		a := answer{Fault: proof.FaultOf(syntax.Reason), At: syntax.Offset, Unsupported: syntax.Unsupported, Result: "invalid", Reason: "malformed"}
		if syntax.Unsupported {
			a.Result, a.Reason = "uncheckable", "unsupported"
		}
		return a
	}
	if err != nil {
		t.Fatal(err)
	}
	explained, err := proof.Explain(f)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Steps: stepLines(explained), Complete: explained.Complete}
	src := newSource(q)
	result, err := proof.Verify(t.Context(), f, q.Digest, src)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Checks) == 0 {
		a.Result, a.Reason = "invalid", "other-file"
		return a
	}
	var list []outcome
	few := false
	for _, c := range result.Checks {
		o := src.outcome(c)
		list = append(list, o)
		few = few || o.reason == "few-blocks"
		a.Checks += o.outcome + " " + o.reason + "\n"
	}
	a.Checks = strings.TrimSuffix(a.Checks, "\n")
	a.CheckList = a.Checks
	a.conclude(list, src)
	if want := results[result.Outcome]; a.Result != want && !few {
		t.Errorf("%s: this test concludes %s, and proof.Verify %s", q.name, a.Result, want)
	}
	a.Warnings = warnings(a, list, result, f)
	return a
}

// results are the names of outcomes in the browser.
var results = map[proof.Outcome]string{
	proof.OutcomeValid: "anchored", proof.OutcomePending: "pending", proof.OutcomeInvalid: "invalid", proof.OutcomeUnverifiable: "uncheckable",
}

// outcome is that of one attestation, in the browser's words.
type outcome struct {
	outcome, reason string
	height          uint64
	named           bool // the attestation names a block
}

func (s *source) outcome(c proof.Check) (o outcome) {
	o.height, o.named = c.Height()
	h, _, err := s.judge(o.height)
	switch c.Outcome {
	case proof.OutcomeValid:
		o.outcome, o.reason = "valid", "anchored"
	case proof.OutcomePending:
		o.outcome, o.reason = "pending", "promised"
	case proof.OutcomeUnchecked:
		o.outcome = "unchecked"
		switch c.Kind() {
		case proof.KindUnknown:
			o.reason = "unknown-kind"
		case proof.KindBitcoin:
			o.reason = "too-many-blocks"
		default:
			o.reason = "other-chain"
		}
	case proof.OutcomeInvalid:
		o.outcome, o.reason = "invalid", "wrong-root"
		if len(c.Msg) != 32 {
			o.reason = "root-size"
		} else if o.height > proof.MaxHeight {
			o.reason = "too-high"
		}
	case proof.OutcomeNoBlock:
		o.outcome, o.reason = "no-block", "no-header"
		inside := func(w *headers.Window) bool { return uint64(w.First) <= o.height && o.height <= uint64(w.Last()) }
		switch {
		case errors.Is(err, headers.ErrFewBlocks) && bytes.Equal(h.MerkleRoot[:], c.Msg):
			o.outcome, o.reason = "pending", "few-blocks"
		case errors.Is(err, headers.ErrFewBlocks):
			o.reason = "other-new-block"
		case errors.Is(err, headers.ErrLittleWork):
			o.reason = "little-work"
		case s.unreadable || slices.ContainsFunc(s.refused, inside):
			o.reason = "bad-window"
		}
	}
	return o
}

// orders are the outcomes or reasons of attestations, that which counts first, and what they make
// of the whole.
var orders = []struct {
	name, result string
	lowest       bool // of several the lowest block counts, else the first
}{
	{"valid", "anchored", true}, {"few-blocks", "pending", true}, {"invalid", "invalid", false}, {"no-block", "uncheckable", true},
	{"pending", "pending", false}, {"unchecked", "uncheckable", false},
}

// conclude sets the verdict from the outcomes of the attestations.
func (a *answer) conclude(list []outcome, s *source) {
	for _, order := range orders {
		var best *outcome
		for i, o := range list {
			is := o.outcome
			if o.reason == "few-blocks" {
				is = o.reason
			}
			if is == order.name && (best == nil || order.lowest && o.height < best.height) {
				best = &list[i]
			}
		}
		if best == nil {
			continue
		}
		a.Result, a.Reason = order.result, best.reason
		if best.named {
			a.Height = fmt.Sprint(best.height)
		}
		switch best.reason {
		case "anchored", "few-blocks", "wrong-root", "other-new-block", "little-work":
			h, trust, _ := s.judge(best.height)
			a.Block = h.BlockHash().String()
			a.Trust = fmt.Sprint(trust.Checkpoint, trust.Base, trust.Blocks, trust.Least)
		}
		return
	}
}

var weakPath = regexp.MustCompile(`^the path to Bitcoin block (\d+) goes through (\S+): .*?(?:\. Bitcoin block (\d+) attests to the file without this weakness)?$`)

// warnings are the codes of the sentences of a verdict.
func warnings(a answer, list []outcome, result proof.Result, f *proof.File) string {
	if a.Result != "anchored" && a.Result != "pending" {
		return ""
	}
	var all []string
	add := func(outcome, warning string) {
		var here []string
		for _, o := range list {
			if text := fmt.Sprintf("%s %s %s ", warning, o.reason, map[bool]string{true: fmt.Sprint(o.height)}[o.named]); o.outcome == outcome && !slices.Contains(here, text) {
				here = append(here, text)
			}
		}
		const most = 8
		all = append(all, here[:min(len(here), most)]...)
	}
	add("invalid", "false-attestation")
	add("no-block", "not-checked")
	add("unchecked", "not-checked")
	hash := func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "")) }
	for _, sentence := range result.Warnings {
		if m := weakPath.FindStringSubmatch(sentence); m != nil {
			all = append(all, fmt.Sprintf("weak-path %s %s %s", hash(m[2]), m[1], m[3]))
		}
	}
	if f.HashOp == proof.SHA1 || f.HashOp == proof.RIPEMD160 {
		all = append(all, fmt.Sprintf("weak-file-hash %v  ", f.HashOp))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

var transaction = regexp.MustCompile(`^the hash of a Bitcoin transaction of (\d+) bytes$`)

// stepLines writes an explanation as testdata/judge.js does.
func stepLines(e *proof.Explanation) string {
	var lines []string
	for _, l := range e.Lines {
		height, size := "", ""
		switch l.Attestation {
		case proof.KindBitcoin, proof.KindLitecoin, proof.KindEthereum:
			height = fmt.Sprint(l.Height)
		}
		if m := transaction.FindStringSubmatch(l.Note); m != nil {
			size = m[1]
		}
		lines = append(lines, strings.Join([]string{
			fmt.Sprint(l.Level), l.Branch, l.Op, l.Argument, l.Result, string(l.Attestation), l.URI, l.Commitment, height, l.MerkleRoot, l.Tag, l.Payload, l.TxID, size,
		}, "|"))
	}
	return strings.Join(lines, "\n")
}
