package verifier_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"ancre/headers"
	"ancre/itest/harness/browser"
	"ancre/proof"
)

// lie is what a hostile server or file says, and what must be said of it.
type lie struct {
	name string
	question
	want string // result and reason
	why  string // the fault, if there is one
}

// told is the block that the lies are about.
const told = 110

// honest is a question whose answer is "anchored".
func honest(t *testing.T) question {
	t.Helper()
	root := rootAt(told)
	return question{Digest: root, Proof: claim(t, root, told), Windows: [][]byte{newChain(100, 31).window(100, 130)}, Now: chainTime + 24*3600, Network: network(t, "regtest")}
}

func (q question) with(windows ...[]byte) question { q.Windows = windows; return q }

// changed returns a window after a change of its bytes, with a right checksum.
func changed(window []byte, change func(body []byte)) []byte {
	body := bytes.Clone(window[:len(window)-32])
	change(body)
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

// headerAt is where the header of the n-th block of a window begins.
func headerAt(n int) int { return 44 + n*headers.Size }

// No lie leads to "anchored", whoever tells it.
func TestNoLieIsBelieved(t *testing.T) {
	c := newCore(t)
	q := honest(t)
	if got := c.judge(q)[0]; got.Result != "anchored" || got.Trust.Blocks != 21 {
		t.Fatalf("the honest question: %+v", got)
	}
	lies := append(liesAboutHeaders(t, q), liesAboutProofs(t, q)...)
	var questions []question
	for _, l := range lies {
		questions = append(questions, l.question)
	}
	for i, got := range c.judge(questions...) {
		why := ""
		if got.Fault != nil {
			why = got.Fault.Fault
		}
		if l := lies[i]; got.Result+" "+got.Reason != l.want || why != l.why {
			t.Errorf("%s: %s %s (%s), want %s (%s)", l.name, got.Result, got.Reason, why, l.want, l.why)
		}
		if !got.TestNetwork && lies[i].Network != nil && !strings.Contains(string(lies[i].Network), "mainnet") {
			t.Errorf("%s: it is not said that this is a test network", lies[i].name)
		}
	}
}

func liesAboutHeaders(t *testing.T, q question) []lie {
	chain := newChain(100, 31)
	all := chain.window(100, 130)
	own := sha256.Sum256([]byte("a document that was never anchored"))
	of := func(root []byte, windows ...[]byte) question {
		return question{Digest: root, Proof: claim(t, root, told), Windows: windows, Now: q.Now, Network: q.Network}
	}
	root := func(body []byte) { copy(body[headerAt(told-100)+36:], own[:]) }
	ownBlock := newChain(100, 10).add(&wire.BlockHeader{Timestamp: timeAt(10), Bits: chaincfg.RegressionNetParams.PowLimitBits, MerkleRoot: own})
	loose := &chainOf{ownBlock.raw}
	return []lie{
		{"the server knows no headers", q.with(), "uncheckable no-header", ""},
		{"the headers of other blocks", q.with(chain.window(111, 130)), "uncheckable no-header", ""},
		{"noise instead of a window", q.with(bytes.Repeat([]byte("noise"), 100_000)), "uncheckable bad-window", "not-a-window"},
		{"nothing instead of a window", q.with([]byte{}), "uncheckable bad-window", "not-a-window"},
		{"a page instead of a window", q.with([]byte("<!doctype html><title>404</title>")), "uncheckable bad-window", "not-a-window"},
		{"a window that is cut", q.with(all[:len(all)-1]), "uncheckable bad-window", "window-length"},
		{"one of which a byte was changed", q.with(append(bytes.Clone(all[:1000]), append([]byte{^all[1000]}, all[1001:]...)...)), "uncheckable bad-window", "checksum"},
		{"another root without work", of(own[:], changed(all, root)), "uncheckable bad-window", "link"},
		{"a block of its own that leads to none of those above", of(own[:], loose.then(chain.raw[11*headers.Size:])), "uncheckable bad-window", "link"},
		{"a block of its own on top, and nothing above", of(own[:], ownBlock.window(100, 110)), "pending few-blocks", ""},
		{"four blocks above", q.with(chain.window(100, 114)), "pending few-blocks", ""},
		{"a window of another network", q.with(changed(all, func(b []byte) { b[8] ^= 1 })), "uncheckable bad-window", "other-network"},
		{"regtest's headers for mainnet", of(q.Digest, changed(all, func(b []byte) { copy(b[8:], chaincfg.MainNetParams.GenesisHash[:]) })).on(network(t, "mainnet")), "uncheckable bad-window", "limit"},
		{"other heights than the true ones", q.with(changed(all, func(b []byte) { binary.LittleEndian.PutUint32(b[40:], 99) })), "invalid wrong-root", ""},
		{"heights beyond all", q.with(changed(all, func(b []byte) { binary.LittleEndian.PutUint32(b[40:], 1<<31-20) })), "uncheckable bad-window", "window-length"},
		{"two windows with different blocks", q.with(all, newChain(99, 32).window(99, 130)), "uncheckable windows-disagree", ""},
		{"blocks of tomorrow", q.at(chainTime - 24*3600), "uncheckable bad-window", "time"},
		{"a first block that is not the network's", of(rootAt(0), newChain(0, 20).window(0, 19)).about(t, 0), "uncheckable bad-window", "time"},
	}
}

func (q question) on(n json.RawMessage) question { q.Network = n; return q }

func (q question) at(now int64) question { q.Now = now; return q }

func (q question) about(t *testing.T, heights ...uint64) question {
	q.Proof = claim(t, q.Digest, heights...)
	return q
}

// chainOf is a run of headers that do not follow each other.
type chainOf struct{ raw []byte }

func (c *chainOf) then(raw []byte) []byte {
	w := headers.Window{Genesis: *chaincfg.RegressionNetParams.GenesisHash, First: 100, Raw: append(bytes.Clone(c.raw), raw...)}
	return w.Encode()
}

func liesAboutProofs(t *testing.T, q question) []lie {
	other := sha256.Sum256([]byte("another document"))
	false32 := question{Digest: other[:], Proof: claim(t, other[:], told), Windows: q.Windows, Now: q.Now, Network: q.Network}
	short := &proof.File{HashOp: proof.SHA1, Digest: rootAt(told)[:20], Timestamp: &proof.Timestamp{Msg: rootAt(told)[:20]}}
	short.Timestamp.Attest(proof.BitcoinAt(told))
	shortBytes, err := short.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	long := append(bytes.Clone(q.Proof[:65]), append(bytes.Repeat([]byte{0x08}, 255), q.Proof[65:]...)...)
	var many []uint64
	for h := range uint64(300) {
		many = append(many, 1_000_000+100*h)
	}
	proofOf := func(b []byte) question { p := q; p.Proof = b; return p }
	return []lie{
		{"the proof of another document", question{Digest: other[:], Proof: q.Proof, Windows: q.Windows, Now: q.Now, Network: q.Network}, "invalid other-file", ""},
		{"a block that has another root", false32, "invalid wrong-root", ""},
		{"a root of 20 bytes", question{Digest: short.Digest, Proof: shortBytes, Windows: q.Windows, Now: q.Now, Network: q.Network}, "invalid root-size", ""},
		{"noise instead of a proof", proofOf(bytes.Repeat([]byte("noise"), 220_000)), "invalid malformed", "too-large"},
		{"nothing instead of a proof", proofOf([]byte{}), "invalid malformed", "cut"},
		{"another page instead of a proof", proofOf([]byte("<!doctype html>")), "invalid malformed", "not-a-proof"},
		{"a proof of steps that lead elsewhere", proofOf(long), "invalid wrong-root", ""},
		{"more steps than there may be", proofOf(append(bytes.Clone(q.Proof[:65]), append(bytes.Repeat([]byte{0x08}, 256), q.Proof[65:]...)...)), "invalid malformed", "too-deep"},
		{"a hundred thousand steps", proofOf(append(bytes.Clone(q.Proof[:65]), bytes.Repeat([]byte{0xff, 0x08}, 100_000)...)), "invalid malformed", "too-deep"},
		{"a block above all that can be", q.about(t, 1<<31), "invalid too-high", ""},
		{"a block above all numbers", q.about(t, 1<<63+5), "invalid too-high", ""},
		{"blocks that no window has", q.about(t, many...), "uncheckable no-header", ""},
		{"JSON instead of a proof", proofOf([]byte(`{"anchored": true}`)), "invalid malformed", "receipt"},
		{"JSON without an end", proofOf(bytes.Repeat([]byte(`{"a":`), 100_000)), "invalid malformed", "not-json"},
		{"JSON that is deep", proofOf([]byte(strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000))), "invalid malformed", "receipt"},
		{"a later version of the format", proofOf(append(append(bytes.Clone(q.Proof[:31]), 2), q.Proof[32:]...)), "uncheckable unsupported", "version"},
		{"an operation that nobody knows", proofOf(append(bytes.Clone(q.Proof[:65]), append([]byte{0x09}, q.Proof[65:]...)...)), "uncheckable unsupported", "unknown-operation"},
	}
}

// A proof that names many blocks costs no more than 256 of them.
func TestOnlySoManyBlocksAreLookedAt(t *testing.T) {
	c := newCore(t)
	chain := newChain(1000, 400)
	root := rootAt(1300)
	var heights []uint64
	for h := range uint64(390) {
		heights = append(heights, 1000+h)
	}
	q := question{Digest: root, Proof: claim(t, root, heights...), Windows: [][]byte{chain.window(1000, 1399)}, Now: chainTime + 30*24*3600, Network: network(t, "regtest")}
	got := c.judge(q)[0]
	count := map[string]int{}
	for _, check := range got.Checks {
		count[check.Reason]++
	}
	if got.Result != "invalid" || count["wrong-root"] != 256 || count["too-many-blocks"] != 134 {
		t.Errorf("%s, %v", got.Result, count)
	}
}

// A block near the end of a window is judged with the window that continues it, and with no other.
func TestWindowsThatContinueEachOther(t *testing.T) {
	c := newCore(t)
	chain, other := newChain(100, 31), newChain(90, 41)
	q := honest(t)
	head := chain.window(100, 112)
	for _, test := range []struct {
		name    string
		windows [][]byte
		want    string
		blocks  int64
	}{
		{"alone", [][]byte{head}, "pending few-blocks", 3},
		{"with the next, which begins with its last block", [][]byte{head, chain.window(112, 130)}, "anchored anchored", 21},
		{"with the next, which begins after it", [][]byte{chain.window(113, 130), head}, "anchored anchored", 21},
		{"with one that has more of the same", [][]byte{chain.window(105, 130), head}, "anchored anchored", 21},
		{"twice", [][]byte{head, head}, "pending few-blocks", 3},
		{"in three parts", [][]byte{chain.window(120, 130), head, chain.window(112, 120)}, "anchored anchored", 21},
		{"with a gap", [][]byte{head, chain.window(114, 130)}, "pending few-blocks", 3},
		{"with the next of another chain", [][]byte{head, other.window(113, 130)}, "pending few-blocks", 3},
		{"with one of another chain that has some of the same heights", [][]byte{head, other.window(112, 130)}, "pending few-blocks", 3},
		{"with the next, of which a header is damaged", [][]byte{head, changed(chain.window(112, 130), func(b []byte) { b[headerAt(3)+40] ^= 1 })}, "pending few-blocks", 3},
		{"with the next, of which blocks are of tomorrow", [][]byte{head, (&chainOf2{*newChain(100, 20)}).late()}, "pending few-blocks", 3},
	} {
		got := c.judge(q.with(test.windows...))[0]
		if got.Result+" "+got.Reason != test.want || got.Trust == nil || got.Trust.Blocks != test.blocks {
			t.Errorf("%s: %s %s, %+v; want %s with %d blocks", test.name, got.Result, got.Reason, got.Trust, test.want, test.blocks)
		}
	}
}

// private is a network of regtest's difficulty that retargets, with known blocks.
func private(t *testing.T, checkpoints ...[4]any) json.RawMessage {
	t.Helper()
	const bits = 0x207fffff
	first := [4]any{0, strings.Repeat("0", 64), bits, 1_300_000_000}
	b, err := json.Marshal(map[string]any{
		"name": "private", "genesis": chaincfg.RegressionNetParams.GenesisHash.String(), "test": true, "difficulties": "retargets", "limit": bits,
		"period": 2016, "late": 0, "halving": 2246400, "fall": 4, "checkpoints": append([][4]any{first}, checkpoints...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A window that cannot continue another leaves no trace in it.
func TestAWindowThatFailsHalfway(t *testing.T) {
	c := newCore(t)
	chain := newChain(100, 31)
	damaged := changed(chain.window(112, 120), func(b []byte) { b[headerAt(5)+4] ^= 1 })
	q := honest(t).on(private(t)).with(chain.window(100, 112), damaged, chain.window(112, 130))
	if got := c.judge(q)[0]; got.Result != "anchored" || got.Trust.Blocks != 21 {
		t.Errorf("%+v, %+v", got, got.Trust)
	}
}

// Times may differ from the order of known blocks by a day, and by no second more.
func TestTimesBesideKnownBlocks(t *testing.T) {
	c := newCore(t)
	const day = 24 * 3600
	at := timeAt(told - 100).Unix() // of the block
	known := func(height, time int64) [4]any { return [4]any{height, strings.Repeat("1", 64), 0x207fffff, time} }
	undated := [4]any{told + 60, strings.Repeat("2", 64), 0, 0}
	last := timeAt(30).Unix() // of the newest header
	first := timeAt(0).Unix() // of the oldest
	for _, test := range []struct {
		name string
		list [][4]any
		want string
	}{
		{"a day after a later block", [][4]any{undated, known(told+90, last-day)}, "anchored"},
		{"a second more", [][4]any{undated, known(told+90, last-day-1)}, "uncheckable"},
		{"a day before an earlier block", [][4]any{known(20, first+day), {30, strings.Repeat("3", 64), 0, 0}}, "anchored"},
		{"a second earlier", [][4]any{known(20, first+day+1), {30, strings.Repeat("3", 64), 0, 0}}, "uncheckable"},
		{"another block than the known one", [][4]any{known(told, at)}, "uncheckable"},
	} {
		q := honest(t).on(private(t, test.list...))
		if got := c.judge(q)[0]; got.Result != test.want {
			t.Errorf("%s: %s %s %+v, want %s", test.name, got.Result, got.Reason, got.Fault, test.want)
		}
	}
}

// The nearest known blocks are named, and their times hold too.
func TestKnownBlocksInAWindow(t *testing.T) {
	c := newCore(t)
	chain := newChain(100, 31)
	const day = 24 * 3600
	known := func(height, late int64) [4]any {
		raw := chain.raw[(height-100)*headers.Size : (height-99)*headers.Size]
		once := sha256.Sum256(raw)
		hash := chainhash.Hash(sha256.Sum256(once[:]))
		return [4]any{height, hash.String(), 0x207fffff, timeAt(height-100).Unix() + late}
	}
	q := honest(t).on(private(t, known(102, 0), known(105, 0), known(115, 0), known(120, 0)))
	got := c.judge(q)[0]
	if got.Result != "anchored" || *got.Trust.Base != 105 || *got.Trust.Checkpoint != 115 {
		t.Errorf("%+v, %+v", got, got.Trust)
	}
	for late, want := range map[int64]string{day: "anchored", day + 1: "uncheckable"} {
		if got := c.judge(honest(t).on(private(t, known(told, late))))[0]; got.Result != want {
			t.Errorf("%d s before the known time: %s %s, want %s", late, got.Result, got.Reason, want)
		}
	}
	// Where difficulty is not compared, it may change anywhere.
	harder := newChain(100, 12).add(&wire.BlockHeader{Timestamp: timeAt(12), Bits: 0x1f7fffff}).mine(10).window(100, 122)
	for difficulties, want := range map[string]string{"any": "anchored", "retargets": "uncheckable"} {
		n := bytes.Replace(private(t), []byte(`"retargets"`), []byte(`"`+difficulties+`"`), 1)
		if got := c.judge(honest(t).on(n).with(harder))[0]; got.Result != want {
			t.Errorf("%s: %s %s, want %s", difficulties, got.Result, got.Reason, want)
		}
	}
}

// chainOf2 continues honest's chain with a block that is dated in the future.
type chainOf2 struct{ chain }

func (c *chainOf2) late() []byte {
	c.add(&wire.BlockHeader{Timestamp: time.Unix(chainTime+48*3600, 0), Bits: chaincfg.RegressionNetParams.PowLimitBits})
	c.mine(3)
	return c.window(112, 123)
}

// Where difficulty matters, windows are joined by the same rules as within one.
func TestJoinedWindowsKeepTheRules(t *testing.T) {
	data, err := os.ReadFile("../../../headers/testdata/windows.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Networks map[string]vectorNetwork
		Vectors  []vector
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	c := newCore(t)
	for _, v := range file.Vectors {
		w, err := headers.ParseWindow(v.bytes())
		const most = 64 // headers: every cut is a question
		if err != nil || w.Len() < 2 || w.Len() > most || v.Verdict == "network" {
			continue
		}
		// The same headers in two windows that share one, cut at each place.
		var questions []question
		for cut := int64(0); cut < int64(w.Len()); cut++ {
			q := v.question(t, file.Networks)
			head := headers.Window{Genesis: w.Genesis, First: w.First, Raw: w.Raw[:(cut+1)*headers.Size]}
			tail := headers.Window{Genesis: w.Genesis, First: w.First + cut, Raw: w.Raw[cut*headers.Size:]}
			q.Windows = [][]byte{tail.Encode(), head.Encode()}
			questions = append(questions, q)
		}
		for cut, got := range c.judge(questions...) {
			// What is wrong in one part may leave the other believed, but never a block that the
			// whole does not show, unless it is believed from the good part alone.
			whole := vectorReasons[v.Verdict]
			if v.Verdict == "broken" {
				if inGoodPart := cut < int(*v.At-w.First) || v.Height >= uint64(w.First)+uint64(cut); got.Result == "anchored" && !inGoodPart {
					t.Errorf("%s, cut at %d: %s %s", v.Name, cut, got.Result, got.Reason)
				}
				continue
			}
			if far := w.First+int64(cut) > int64(v.Height)+2*file.Networks[v.Network].Period; v.Verdict == "weak" && far {
				continue // the second window is not looked at
			}
			if got.Result != whole[0] || got.Reason != whole[1] {
				t.Errorf("%s, cut at %d: %s %s, want %v", v.Name, cut, got.Result, got.Reason, whole)
			}
		}
	}
}

// Whatever the page hands over by mistake, the verifier answers, and not with "anchored".
func TestTheVerifierNeverThrows(t *testing.T) {
	c := newCore(t)
	for _, q := range []string{
		`{}`, `null`, `{digest: "00", proof: null, windows: 7, now: NaN, network: {}}`,
		`{digest: new Uint8Array(32), proof: new Uint8Array(32), windows: [], now: 0, network: null}`,
	} {
		if got := browser.Eval[string](c.tab, "((v) => v.result + ' ' + v.reason)(V.judge("+q+"))"); got != "uncheckable internal" {
			t.Errorf("%s: %s", q, got)
		}
	}
}

// The true headers of mainnet, and the proof of a root in one of them.
func TestMainnetsHeaders(t *testing.T) {
	text, err := os.ReadFile("../../../headers/testdata/mainnet-800000.hex")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil || len(raw)%headers.Size != 0 {
		t.Fatal(len(raw), err)
	}
	w := headers.Window{Genesis: *chaincfg.MainNetParams.GenesisHash, First: 800_000, Raw: raw}
	root := raw[3*headers.Size+36 : 3*headers.Size+68]
	q := question{Digest: root, Proof: claim(t, root, 800_003), Windows: [][]byte{w.Encode()}, Now: chainTime, Network: network(t, "mainnet")}
	got := newCore(t).judge(q)[0]
	if got.Result != "anchored" || got.TestNetwork || got.Trust.Base == nil || *got.Trust.Base != 800_000 || got.Block.Height != 800_003 {
		t.Errorf("%+v %+v", got, got.Trust)
	}
}
