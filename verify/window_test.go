package verify

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"ancre/headers"
	"ancre/proof"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// chainOf mines blocks of a difficulty that costs nothing. Block 3 has the Merkle root.
func chainOf(blocks int, root [32]byte) (all []wire.BlockHeader) {
	var last wire.BlockHeader
	for i := range blocks {
		h := wire.BlockHeader{Version: 4, PrevBlock: last.BlockHash(), Timestamp: testTime.Add(time.Duration(i) * 10 * time.Minute), Bits: chaincfg.RegressionNetParams.PowLimitBits}
		if i == 3 {
			h.MerkleRoot = root
		}
		for hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(chaincfg.RegressionNetParams.PowLimit) > 0; hash = h.BlockHash() {
			h.Nonce++
		}
		all, last = append(all, h), h
	}
	return all
}

// windowed is a source of the blocks first to last, and its network, which a test may change.
func windowed(t *testing.T, chain []wire.BlockHeader, first, last, claimed int, change func(*headers.Network)) *WindowSource {
	t.Helper()
	genesis := chain[0].BlockHash()
	n := headers.NetworkOf(&chaincfg.RegressionNetParams)
	n.Genesis = genesis
	n.Checkpoints = []headers.Checkpoint{{Hash: genesis, Bits: chain[0].Bits, Time: chain[0].Timestamp.Unix()}}
	if change != nil {
		change(n)
	}
	w := &headers.Window{Genesis: genesis, First: int64(claimed)}
	for _, h := range chain[first : last+1] {
		w.Raw = append(w.Raw, headers.Raw(&h)...)
	}
	checked, err := w.Check(n, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &WindowSource{Name: "w", Newer: "make another", window: checked}
}

func TestAWindowsVerdictSaysWhatItRestsUpon(t *testing.T) {
	f, root := provenAt(t, 3)
	chain := chainOf(20, root)
	known := func(heights ...int) func(*headers.Network) {
		return func(n *headers.Network) {
			for _, at := range heights {
				n.Checkpoints = append(n.Checkpoints, headers.Checkpoint{Height: int64(at), Hash: chain[at].BlockHash()})
			}
		}
	}
	cheap := func(n *headers.Network) { // what is known is four times sixteen as hard
		n.Checkpoints[0].Bits = 0x2001ffff
	}
	other := chainOf(20, [32]byte{1})
	for _, c := range []struct {
		name    string
		source  *WindowSource
		outcome proof.Outcome
		says    string // in the reason, in what is needed, in the words of trust, or in warnings
		onTop   int64
	}{
		{"by work, from a known block", windowed(t, chain, 0, 19, 0, nil), proof.OutcomeValid, "whose work vouches for it: 17 blocks of a difficulty of", 16},
		{"to a known block", windowed(t, chain, 2, 19, 2, known(15)), proof.OutcomeValid, "up to block 15, which is known", 16},
		{"to a known block, with few on top", windowed(t, chain, 2, 4, 2, known(4)), proof.OutcomeValid, "up to block 4, which is known", 1},
		{"a known block itself", windowed(t, chain, 3, 3, 3, known(3)), proof.OutcomeValid, "up to block 3, which is known", 0},
		{"by work, with nothing known", windowed(t, chain, 2, 19, 2, nil), proof.OutcomeValid, "that the block has the height 3 is only what w claims", 16},
		{"few on top", windowed(t, chain, 0, 7, 0, nil), proof.OutcomePending, "5 blocks of work from block 3 on, and 6 are needed: make another", 0},
		{"below the window", windowed(t, chain, 4, 19, 4, nil), proof.OutcomeUnverifiable, "the headers in w are those of blocks 4 to 19", 0},
		{"above the window", windowed(t, chain, 0, 2, 0, nil), proof.OutcomeUnverifiable, "the header of block 3, and those above: make another", 0},
		{"too cheap", windowed(t, chain, 1, 19, 1, cheap), proof.OutcomeUnverifiable, "do not vouch for it: too little work", 0},
		{"another chain", windowed(t, other, 0, 19, 0, nil), proof.OutcomeInvalid, "Bitcoin block 3 has the Merkle root", 0},
		{"another chain that was cheap contradicts nothing", windowed(t, other, 1, 19, 1, cheap), proof.OutcomeUnverifiable, "too little work", 0},
	} {
		v := New(Config{Source: c.source, Params: &chaincfg.MainNetParams})
		got, err := v.Proof(t.Context(), f, f.Digest)
		if err != nil {
			t.Fatal(err)
		}
		said := got.Reason + got.Needed + strings.Join(got.Warnings, " ")
		if got.Trust != nil {
			said += got.Trust.Words
		}
		if got.Outcome != c.outcome || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s: %s", c.name, got.Outcome, said)
		}
		if valid := got.Outcome == proof.OutcomeValid; valid != (got.Block != nil) || valid != (got.Trust != nil) || valid && (got.Block.OnTop != c.onTop || got.Reason != "") {
			t.Errorf("%s: %+v, %+v, %q", c.name, got.Block, got.Trust, got.Reason)
		}
	}
}

// A window claims its heights, so its end says nothing of what blocks there can be.
func TestAWindowMakesNoHeightImpossible(t *testing.T) {
	f, root := provenAt(t, 5_000_000)
	v := New(Config{Source: windowed(t, chainOf(20, root), 0, 19, 0, nil), Params: &chaincfg.MainNetParams})
	if got, err := v.Proof(t.Context(), f, f.Digest); err != nil || got.Outcome != proof.OutcomeUnverifiable {
		t.Errorf("%s, %s, %v", got.Outcome, got.Reason, err)
	}
}

// provenAt returns a proof that leads to the Merkle root of the block at height.
func provenAt(t *testing.T, height uint64) (f *proof.File, root [32]byte) {
	t.Helper()
	f, _ = promised(t, "content")
	next, err := f.Timestamp.Then(proof.Op{Tag: proof.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	next.Attest(proof.BitcoinAt(height))
	return f, [32]byte(next.Msg)
}

func TestWindowsAreOpened(t *testing.T) {
	text, err := os.ReadFile("../headers/testdata/mainnet-800000.hex")
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for line := range bytes.Lines(text) {
		raw = append(raw, decodeHex(t, strings.TrimSpace(string(line)))...)
	}
	w := headers.Window{Genesis: *chaincfg.MainNetParams.GenesisHash, First: 800_000, Raw: raw}
	src, err := OpenWindow(w.Encode(), &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}
	if tip, err := src.Tip(t.Context()); err != nil || tip != 800_014 || src.Trust().Source != "window" {
		t.Errorf("%d, %v", tip, err)
	}
	if h, err := src.Header(t.Context(), 800_000); err != nil || h.Time.Unix() != 1690168629 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := OpenWindow(w.Encode(), &chaincfg.SigNetParams); err == nil {
		t.Error("opened as signet's")
	}
	if _, err := OpenWindow(w.Encode()[1:], &chaincfg.MainNetParams); err == nil {
		t.Error("opened without its first byte")
	}
	w.Raw[100] ^= 1
	if _, err := OpenWindow(w.Encode(), &chaincfg.MainNetParams); err == nil {
		t.Error("opened with a false header")
	}
}

func decodeHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
