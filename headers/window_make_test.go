package headers

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var update = flag.Bool("update", false, "write testdata/windows.json anew")

// forge makes headers for windows by real work at small difficulties. It obeys no rule unless its
// caller does.
type forge struct {
	raw  []byte
	prev chainhash.Hash
	time int64
	bits uint32
	salt uint32 // makes chains differ
}

// mine appends headers, seconds apart.
func (f *forge) mine(blocks int, seconds int64) *forge {
	for range blocks {
		f.time += seconds
		h := wire.BlockHeader{Version: 0x20000000, PrevBlock: f.prev, Timestamp: time.Unix(f.time, 0), Bits: f.bits}
		binary.LittleEndian.PutUint32(h.MerkleRoot[:], uint32(len(f.raw)/Size))
		binary.LittleEndian.PutUint32(h.MerkleRoot[4:], f.salt)
		mine(&h)
		f.append(&h)
	}
	return f
}

func (f *forge) append(h *wire.BlockHeader) {
	f.raw = append(f.raw, Raw(h)...)
	f.prev, f.time, f.bits = h.BlockHash(), h.Timestamp.Unix(), h.Bits
}

// to changes the difficulty.
func (f *forge) to(bits uint32) *forge { f.bits = bits; return f }

// fork is a copy that goes on alone from below a height.
func (f *forge) fork(height int) *forge {
	last := parse(f.raw[(height-1)*Size : height*Size])
	return &forge{raw: bytes.Clone(f.raw[:height*Size]), prev: last.BlockHash(), time: last.Timestamp.Unix(), bits: last.Bits, salt: f.salt + 1}
}

// checkpoint is the known block at a height.
func (f *forge) checkpoint(height int, dated bool) Checkpoint {
	h := parse(f.raw[height*Size : (height+1)*Size])
	c := Checkpoint{Height: int64(height), Hash: h.BlockHash()}
	if dated {
		c.Bits, c.Time = h.Bits, h.Timestamp.Unix()
	}
	return c
}

// window has the headers of blocks first to last.
func (f *forge) window(n *Network, first, last int) *Window {
	return &Window{Genesis: n.Genesis, First: int64(first), Raw: bytes.Clone(f.raw[first*Size : (last+1)*Size])}
}

// The synthetic networks. A block of 2000ffff takes 256 hashes, one of the limit takes two, and a
// period has eight blocks.
const (
	smallLimit  = 0x207fffff
	smallBits   = 0x2000ffff
	smallPeriod = 8
	smallBegins = 1_700_000_000
	tenMinutes  = 600
	// smallHalving is to eight blocks of ten minutes what 26 days are to 14.
	smallHalving = smallPeriod * tenMinutes * 26 / 14
)

// easier returns bits of a difficulty that was halved so often.
func easier(bits uint32, halvings uint) uint32 {
	target := blockchain.CompactToBig(bits)
	return blockchain.BigToCompact(target.Lsh(target, halvings))
}

func harder(bits uint32, halvings uint) uint32 {
	target := blockchain.CompactToBig(bits)
	return blockchain.BigToCompact(target.Rsh(target, halvings))
}

// smallChain is 40 blocks of even difficulty.
func smallChain() *forge {
	f := &forge{time: smallBegins - tenMinutes, bits: smallBits}
	return f.mine(40, tenMinutes)
}

// smallNetwork knows blocks 0, 16 (by its hash alone), 20 and 32.
func smallNetwork(f *forge, d Difficulties, fall int) *Network {
	n := &Network{
		Name: "small", Difficulties: d, Limit: smallLimit, Period: smallPeriod, Late: 20 * time.Minute,
		Halving: smallHalving * time.Second, Fall: fall,
		Checkpoints: []Checkpoint{f.checkpoint(0, true), f.checkpoint(16, false), f.checkpoint(20, true), f.checkpoint(32, true)},
	}
	n.Genesis = n.Checkpoints[0].Hash
	return n
}

// vectorMaker collects vectors. It expects what this package says, and the test compares that with
// what the maker names.
type vectorMaker struct {
	t        *testing.T
	file     vectorFile
	networks map[string]*Network
}

func (m *vectorMaker) network(name string, n *Network) {
	m.networks[name] = n
	m.file.Networks[name] = vectorNetworkOf(n)
}

// add adds a vector. want is its verdict, and after a colon the rule that is broken.
func (m *vectorMaker) add(name, network string, data []byte, height uint64, now int64, want string) {
	m.t.Helper()
	m.addVector(vector{Name: name, Network: network, Window: base64.StdEncoding.EncodeToString(data), Height: height, Now: now}, want)
}

func (m *vectorMaker) addVector(v vector, want string) {
	m.t.Helper()
	got := judgeVector(m.t, &v, m.networks[v.Network])
	said := got.Verdict
	if got.Rule != "" {
		said += ":" + string(got.Rule)
	}
	if said != want {
		m.t.Errorf("%s: the verdict is %s, want %s", v.Name, said, want)
	}
	v.Verdict, v.Rule, v.At, v.Trust = got.Verdict, got.Rule, got.At, got.Trust
	m.file.Vectors = append(m.file.Vectors, v)
}

// Makes the vectors, and compares them with those of the file. "go test ./headers -run
// TestTheVectorsAreTheirMakers -update" writes the file.
func TestTheVectorsAreTheirMakers(t *testing.T) {
	m := &vectorMaker{t: t, networks: make(map[string]*Network)}
	m.file.About = "Windows of headers, and what verifiers must say of them. docs/windows.md explains the members."
	m.file.Networks = make(map[string]vectorNetwork)
	m.mainnet()
	m.regtest()
	m.form()
	m.rules()
	m.work()
	m.testnet4()
	data, err := json.MarshalIndent(&m.file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	if *update && !t.Failed() {
		if err := os.WriteFile(vectorsPath, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(vectorsPath); err != nil || !bytes.Equal(was, data) {
		t.Errorf("%s is not what this test makes: run it with -update, and look at what changed (%v)", vectorsPath, err)
	}
}

// realWindow is the headers of mainnet's blocks 800,000 to 800,014.
func realWindow(t testing.TB) *Window {
	t.Helper()
	text, err := os.ReadFile("testdata/mainnet-800000.hex")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return &Window{Genesis: *chaincfg.MainNetParams.GenesisHash, First: 800_000, Raw: raw}
}

func (m *vectorMaker) mainnet() {
	w := realWindow(m.t)
	n := NetworkOf(&chaincfg.MainNetParams)
	// The list that is compiled in grows, and the vectors stay.
	first := parse(w.Raw)
	var err error
	n.Checkpoints, err = merge(builtIn(&chaincfg.MainNetParams), []Checkpoint{{Height: w.First, Hash: first.BlockHash(), Bits: first.Bits, Time: first.Timestamp.Unix()}})
	if err != nil {
		m.t.Fatal(err)
	}
	m.network("mainnet", n)
	const now = 1_796_000_000
	m.add("mainnet: a known block itself", "mainnet", w.Encode(), 800_000, now, "checkpoint")
	m.add("mainnet: above a known block, by work", "mainnet", w.Encode(), 800_003, now, "work")
	m.add("mainnet: six blocks are enough", "mainnet", w.Encode(), 800_009, now, "work")
	m.add("mainnet: five blocks are too few", "mainnet", w.Encode(), 800_010, now, "few")
	tail := &Window{w.Genesis, w.First + 1, w.Raw[Size:]}
	m.add("mainnet: without the known block in it, by work", "mainnet", tail.Encode(), 800_001, now, "work")
	high := &Window{w.Genesis, 900_000, w.Raw}
	m.add("mainnet: true headers at a later height pass by work: without a base, the height is the window's word", "mainnet", high.Encode(), 900_000, now, "work")
	early := &Window{w.Genesis, 700_000, w.Raw}
	m.add("mainnet: true headers at an earlier height, within a day of a known block's time", "mainnet", early.Encode(), 700_003, now, "work")
	wrong := &Window{w.Genesis, 799_990, w.Raw}
	m.add("mainnet: true headers where a known block must be", "mainnet", wrong.Encode(), 799_999, now, "broken:checkpoint")
}

func (m *vectorMaker) regtest() {
	m.network("regtest", NetworkOf(regtest))
	f := &forge{}
	first := regtest.GenesisBlock.Header
	f.append(&first)
	f.time = smallBegins
	f.mine(20, tenMinutes)
	n := m.networks["regtest"]
	m.add("regtest: by work, on a test network", "regtest", f.window(n, 3, 20).Encode(), 10, f.time, "work")
	m.add("regtest: from the first block on", "regtest", f.window(n, 0, 20).Encode(), 10, f.time, "work")
	m.add("regtest: the first block is known", "regtest", f.window(n, 0, 20).Encode(), 0, f.time, "checkpoint")
	m.add("regtest: the floor is never easier than the limit", "regtest", (&Window{n.Genesis, 10_000, f.raw[3*Size : 20*Size]}).Encode(), 10_000, f.time, "work")
	g := f.fork(10).to(0x207ffffe).mine(10, tenMinutes)
	m.add("regtest: another difficulty than the limit", "regtest", g.window(n, 3, 19).Encode(), 10, g.time, "broken:retarget")
	m.add("regtest: a window of mainnet", "regtest", realWindow(m.t).Encode(), 800_000, f.time, "network")
	m.add("regtest's headers as mainnet's", "mainnet", (&Window{m.networks["mainnet"].Genesis, 900_000, f.raw[Size:]}).Encode(), 900_003, f.time, "broken:limit")
	m.add("regtest's window where mainnet is wanted", "mainnet", f.window(n, 3, 20).Encode(), 10, f.time, "network")
}

// form has what is no window.
func (m *vectorMaker) form() {
	const net = "mainnet"
	good := realWindow(m.t).Encode()
	const now = 1_796_000_000
	bad := func(name string, data []byte) { m.t.Helper(); m.add(name, net, data, 800_000, now, "malformed") }
	bad("form: nothing", nil)
	bad("form: the magic alone", good[:8])
	bad("form: no header", (&Window{Genesis: m.networks[net].Genesis, First: 800_000}).Encode())
	bad("form: cut short by a byte", good[:len(good)-1])
	bad("form: cut short by a header", good[:len(good)-Size])
	bad("form: a byte too many", append(bytes.Clone(good), 0))
	other := bytes.Clone(good)
	other[7] = '2'
	bad("form: another version", other)
	flipped := bytes.Clone(good)
	flipped[200] ^= 1
	bad("form: a byte was changed", flipped)
	flipped = bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	bad("form: the checksum was changed", flipped)
	bad("form: headers alone", realWindow(m.t).Raw)
	begin := good[:windowBegins]
	m.addVector(vector{Name: "form: one header too many", Network: net, Window: base64.StdEncoding.EncodeToString(begin), Zeros: (MaxWindow + 1) * Size, Height: 800_000, Now: now}, "malformed")
	m.addVector(vector{Name: "form: as many headers as are allowed, of zeros", Network: net, Window: base64.StdEncoding.EncodeToString(begin), Zeros: MaxWindow * Size, Height: 800_000, Now: now}, "broken:limit")
	m.add("form: a height that no block can have", net, (&Window{m.networks[net].Genesis, 1<<31 - 10, realWindow(m.t).Raw}).Encode(), 1<<31-10, now, "malformed")
}

// rules has a window for each rule that is broken.
func (m *vectorMaker) rules() {
	const net = "small"
	f := smallChain()
	n := smallNetwork(f, Retargets, 4)
	m.network(net, n)
	now := f.time + tenMinutes
	add := func(name string, w *Window, height uint64, want string) {
		m.t.Helper()
		m.add(name, net, w.Encode(), height, now, want)
	}
	add("to a known block above", f.window(n, 9, 20), 12, "checkpoint")
	add("to a block that is known by its hash alone", f.window(n, 9, 17), 10, "checkpoint")
	add("the nearest known block above counts", f.window(n, 2, 39), 15, "checkpoint")
	add("too short, but it leads to a known block", f.window(n, 19, 20), 19, "checkpoint")
	add("above all known blocks, by work", f.window(n, 30, 39), 34, "work")
	add("below the window", f.window(n, 9, 20), 8, "outside")
	add("above the window", f.window(n, 9, 20), 21, "outside")
	add("a single header", f.window(n, 35, 35), 35, "few")
	add("too few headers on top", f.window(n, 30, 39), 35, "few")

	w := f.window(n, 30, 39)
	copy(w.Raw[4*Size:], w.Raw[3*Size:4*Size])
	add("rule: a header twice", w, 31, "broken:link")
	w = f.window(n, 30, 39)
	w.Raw[5*Size+4] ^= 1
	add("rule: another parent", w, 31, "broken:link")
	w = f.window(n, 30, 39)
	w.Raw = append(w.Raw[:Size:Size], w.Raw[2*Size:]...)
	add("rule: the second header is missing", w, 31, "broken:link")
	w = f.window(n, 30, 39)
	w.Raw = append(w.Raw[:3*Size], w.Raw[4*Size:]...)
	add("rule: a header is missing", w, 31, "broken:link")
	w = f.window(n, 30, 39)
	for w.Raw[9*Size+76]++; ; w.Raw[9*Size+76]++ {
		if hash := hashOf(w.Raw[9*Size:]); hash[31] != 0 {
			break
		}
	}
	add("rule: no work in the last header", w, 31, "broken:pow")
	for _, c := range []struct {
		name string
		bits uint32
	}{
		{"rule: easier than the limit", 0x2100ffff},
		{"rule: the target zero", 0x20000000},
		{"rule: a negative target", 0x2080ffff},
		{"rule: a target beyond 256 bits", 0xff123456},
		{"rule: a target that is shifted out", 0x01003456},
	} {
		w = f.window(n, 30, 39)
		binary.LittleEndian.PutUint32(w.Raw[9*Size+72:], c.bits)
		add(c.name, w, 31, "broken:limit")
	}
	g := f.fork(35).to(easier(smallBits, 1)).mine(10, tenMinutes)
	m.add("rule: the difficulty changes within a period", net, g.window(n, 30, 44).Encode(), 31, g.time, "broken:retarget")
	g = f.fork(35).to(harder(smallBits, 1)).mine(10, tenMinutes)
	m.add("rule: the difficulty rises within a period", net, g.window(n, 30, 44).Encode(), 31, g.time, "broken:retarget")
	g = f.fork(40).to(easier(smallBits, 2)).mine(8, tenMinutes)
	m.add("a quarter of the difficulty in the next period", net, g.window(n, 30, 47).Encode(), 33, g.time, "work")
	g = f.fork(40).to(easier(smallBits, 3)).mine(8, tenMinutes)
	m.add("rule: an eighth of the difficulty in the next period", net, g.window(n, 30, 47).Encode(), 31, g.time, "broken:retarget")
	g = f.fork(40).to(harder(smallBits, 2)).mine(8, tenMinutes)
	m.add("four times the difficulty in the next period", net, g.window(n, 30, 47).Encode(), 33, g.time, "work")
	g = f.fork(40).to(harder(smallBits, 2)-1).mine(8, tenMinutes)
	m.add("rule: more than four times the difficulty in the next period", net, g.window(n, 30, 47).Encode(), 31, g.time, "broken:retarget")
	m.roundedRetarget()
	m.times(f, n)
}

// times has windows whose times or known blocks are wrong.
func (m *vectorMaker) times(f *forge, n *Network) {
	const net = "small"
	now := f.time + tenMinutes
	add := func(name string, w *Window, height uint64, want string) {
		m.t.Helper()
		m.add(name, net, w.Encode(), height, now, want)
	}
	m.add("time: two hours ahead", net, f.window(n, 30, 39).Encode(), 33, f.time-7200, "work")
	m.add("time: two hours and a second ahead", net, f.window(n, 30, 39).Encode(), 31, f.time-7201, "broken:time")
	early := &Window{n.Genesis, 33, f.raw[2*Size : 10*Size]}
	add("time: less than a day before a known block", early, 33, "work")
	old := &forge{time: f.time - 3*24*3600, bits: smallBits, salt: 7}
	old.mine(10, tenMinutes)
	add("time: three days before a known block that came earlier", &Window{n.Genesis, 33, old.raw}, 33, "broken:time")
	late := &forge{time: f.time + 3*24*3600, bits: smallBits, salt: 8}
	late.mine(8, tenMinutes)
	m.add("time: three days after a known block that came later", net, (&Window{n.Genesis, 21, late.raw}).Encode(), 21, late.time, "broken:time")

	g := f.fork(19).mine(20, tenMinutes)
	m.add("another block where one is known", net, g.window(n, 9, 30).Encode(), 12, g.time, "broken:checkpoint")
	m.add("below another block where one is known by its hash", net, f.fork(15).mine(5, tenMinutes).window(n, 9, 18).Encode(), 12, now, "broken:checkpoint")
	m.add("a fork that ends before the known block", net, g.window(n, 9, 19).Encode(), 17, g.time, "few")
	shifted := &Window{n.Genesis, 10, f.raw[9*Size : 21*Size]}
	add("true headers, a height too high", shifted, 12, "broken:checkpoint")
	other := &forge{time: smallBegins - tenMinutes, bits: smallBits, salt: 3}
	other.mine(12, tenMinutes)
	m.add("another first block under the right name", net, (&Window{n.Genesis, 0, other.raw}).Encode(), 3, other.time, "broken:checkpoint")
	m.add("another network's name", net, (&Window{other.prev, 30, f.raw[30*Size : 40*Size]}).Encode(), 31, now, "network")
}

// roundedRetarget has a difficulty that rises by four, rounded as compact numbers are.
func (m *vectorMaker) roundedRetarget() {
	const net = "rounded"
	f := &forge{time: smallBegins - tenMinutes, bits: 0x1f7ffff3}
	f.mine(8, tenMinutes)
	n := &Network{Name: net, Difficulties: Retargets, Limit: smallLimit, Period: smallPeriod, Halving: smallHalving * time.Second, Fall: 4, Checkpoints: []Checkpoint{f.checkpoint(0, true)}}
	n.Genesis = n.Checkpoints[0].Hash
	m.network(net, n)
	g := f.fork(8).to(harder(f.bits, 2)).mine(6, tenMinutes) // 1fffffc is rounded down to 1f1ffffc
	m.add("four times the difficulty, rounded up", net, g.window(n, 2, 13).Encode(), 4, g.time, "work")
	g = f.fork(8).to(harder(f.bits, 2)-1).mine(6, tenMinutes)
	m.add("rule: four times the difficulty, and a unit more than rounded", net, g.window(n, 2, 13).Encode(), 4, g.time, "broken:retarget")
}

// work has windows without a checkpoint above the block, whose work decides.
func (m *vectorMaker) work() {
	f := smallChain()
	const net = "falling"
	n := smallNetwork(f, Retargets, 6)
	n.Test = true
	m.network(net, n)
	from := f.checkpoint(32, true)
	// cheap is a window of its own at some height, without a link to anything known.
	cheap := func(height, halvings uint, after int64) (*Window, int64) {
		g := &forge{time: from.Time + after - tenMinutes/2, bits: easier(smallBits, halvings), salt: uint32(height + halvings)}
		g.mine(7, 1)
		return &Window{n.Genesis, int64(height), g.raw}, g.time
	}
	for _, c := range []struct {
		name             string
		height, halvings uint
		after            int64
		want             string
	}{
		{"work: in the period of the known block, as hard", 33, 0, 2000, "work"},
		{"work: in the period of the known block, half as hard", 33, 1, 2000, "weak"},
		{"work: one period on, a quarter as hard", 40, 2, 5000, "work"},
		{"work: one period on, an eighth as hard, long after", 40, 3, 50 * smallHalving, "weak"},
		{"work: many periods on, at the known block's time, a quarter as hard", 160, 2, 0, "work"},
		{"work: many periods on, at the known block's time, an eighth as hard", 160, 3, 0, "weak"},
		{"work: many periods on, soon after, an eighth as hard", 160, 3, 5000, "work"},
		{"work: many periods on, soon after, a sixteenth as hard", 160, 4, 5000, "weak"},
		{"work: many periods on, two halvings of time on, a sixteenth as hard", 160, 4, smallHalving + 5000, "work"},
		{"work: many periods on, two halvings of time on, a 32nd as hard", 160, 5, smallHalving + 5000, "weak"},
		{"work: long after, as easy as is allowed", 160, 6, 50 * smallHalving, "work"},
		{"work: long after, easier than is allowed", 160, 7, 50 * smallHalving, "weak"},
		{"work: below the newest known block, as easy as is allowed", 25, 6, -5000, "work"},
		{"work: below the newest known block, easier than is allowed", 25, 7, -5000, "weak"},
	} {
		w, at := cheap(c.height, c.halvings, c.after)
		m.add(c.name, net, w.Encode(), uint64(c.height), at, c.want)
	}
	g := f.fork(40).to(easier(smallBits, 2)).mine(8, tenMinutes).to(easier(smallBits, 4)).mine(8, tenMinutes).to(easier(smallBits, 5)).mine(8, tenMinutes)
	m.add("work: true headers, then cheap ones on top", net, g.window(n, 33, 63).Encode(), 34, g.time, "weak")
	h := f.fork(40).to(easier(smallBits, 2)).mine(3, tenMinutes)
	m.add("work: the easiest of the headers on top counts", net, h.window(n, 33, 42).Encode(), 34, h.time, "work")
	w, at := cheap(160, 7, 50*smallHalving)
	w.Raw = w.Raw[:3*Size]
	m.add("work: few and cheap", net, w.Encode(), 160, at, "weak")
	m.add("work: cheap headers that lead to a known block need no floor", net, f.window(n, 24, 32).Encode(), 25, f.time, "checkpoint")
}

// testnet4 has late blocks, which may be as easy as the limit.
func (m *vectorMaker) testnet4() {
	const net = "late"
	f := smallChain()
	n := smallNetwork(f, Testnet4, 4)
	n.Test = true
	m.network(net, n)
	add := func(name string, g *forge, first, last int, height uint64, want string) {
		m.t.Helper()
		m.add(name, net, g.window(n, first, last).Encode(), height, g.time, want)
	}
	const late = 1201
	g := f.fork(34).to(smallLimit).mine(1, late).to(smallBits).mine(5, tenMinutes)
	add("late: an easy block among others counts for nothing", g, 30, 39, 33, "work")
	add("late: an easy block, and five of work on top are too few", g, 30, 39, 34, "few")
	add("late: an easy block is the first of the window", g, 34, 39, 34, "few")
	h := g.fork(40).mine(1, tenMinutes)
	add("late: an easy block under enough of work", h, 33, 40, 34, "work")
	h = f.fork(34).to(smallLimit).mine(1, late-1).to(smallBits).mine(8, tenMinutes)
	add("late: easy without being late", h, 30, 39, 33, "broken:retarget")
	h = f.fork(34).to(easier(smallBits, 1)).mine(1, late).to(smallBits).mine(8, tenMinutes)
	add("late: easier, but not the limit", h, 30, 39, 33, "broken:retarget")
	h = f.fork(40).to(smallLimit).mine(1, late).to(smallBits).mine(8, tenMinutes)
	add("late: the first block of a period cannot be easy", h, 30, 48, 33, "broken:retarget")
	h = f.fork(38).to(smallLimit).mine(2, late).to(easier(smallBits, 2)).mine(8, tenMinutes)
	add("late: the next period goes on from the difficulty before the easy blocks", h, 30, 47, 33, "work")
	h = f.fork(33).to(smallLimit).mine(7, late)
	add("late: nothing but easy blocks", h, 33, 39, 33, "few")
}
