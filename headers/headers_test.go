package headers

import (
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var (
	regtest = &chaincfg.RegressionNetParams
	now     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// maker makes chains by real work, at a difficulty that costs nothing.
type maker struct {
	t      testing.TB
	params *chaincfg.Params
	chain  *Chain
	raw    []byte
}

func newMaker(t testing.TB, params *chaincfg.Params) *maker {
	t.Helper()
	m := &maker{t: t, params: params, chain: New(params, now)}
	m.append(params.GenesisBlock.Header)
	return m
}

// append must succeed.
func (m *maker) append(h wire.BlockHeader) {
	m.t.Helper()
	raw := Raw(&h)
	if err := m.chain.Append(raw); err != nil {
		m.t.Fatal(err)
	}
	m.raw = append(m.raw, raw...)
}

// next is a header that follows the newest one after a time, with work done for the bits. The bits
// are those of the newest unless given.
func (m *maker) next(after time.Duration, bits uint32) wire.BlockHeader {
	if bits == 0 {
		bits = m.chain.at(m.chain.height).bits
	}
	h := wire.BlockHeader{Version: 0x20000000, PrevBlock: m.chain.Hash(), Timestamp: m.chain.Time().Add(after), Bits: bits}
	binary.LittleEndian.PutUint32(h.MerkleRoot[:], uint32(m.chain.height+1))
	mine(&h)
	return h
}

func mine(h *wire.BlockHeader) {
	for hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(blockchain.CompactToBig(h.Bits)) > 0; hash = h.BlockHash() {
		h.Nonce++
	}
}

func (m *maker) grow(blocks int, spacing time.Duration) *maker {
	m.t.Helper()
	for range blocks {
		m.append(m.next(spacing, 0))
	}
	return m
}

// refuses checks that a header is refused with the text, and that the chain goes on as if it had
// not been there.
func (m *maker) refuses(name string, h wire.BlockHeader, text string) {
	m.t.Helper()
	before := m.chain.Hash()
	err := m.chain.Append(Raw(&h))
	if err == nil || !strings.Contains(err.Error(), text) {
		m.t.Errorf("%s: error %v, want %q", name, err, text)
	}
	if m.chain.Hash() != before {
		m.t.Fatalf("%s: it is in the chain", name)
	}
}

// Mainnet's first 14,131 headers, as btcd has them among its test data.
func mainnetHeaders(t testing.TB) []byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/btcsuite/btcd").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "blockchain", "testdata", "blk_0_to_14131.dat"))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	raw := Raw(&chaincfg.MainNetParams.GenesisBlock.Header)
	tip := *chaincfg.MainNetParams.GenesisHash
	for {
		var begin [8]byte // magic, length of the block
		if _, err := io.ReadFull(f, begin[:]); err != nil || binary.LittleEndian.Uint32(begin[:]) != uint32(wire.MainNet) {
			return raw // Bitcoin Core fills its files up with zeros
		}
		block := make([]byte, binary.LittleEndian.Uint32(begin[4:]))
		if _, err := io.ReadFull(f, block); err != nil {
			t.Fatal(err)
		}
		if [32]byte(block[4:]) == tip {
			raw, tip = append(raw, block[:Size]...), hashOf(block[:Size])
		}
	}
}

// Catches a rule that real blocks do not know.
func TestRealHeadersAreAccepted(t *testing.T) {
	raw := mainnetHeaders(t)
	if len(raw) < 14_000*Size {
		t.Fatalf("%d headers", len(raw)/Size)
	}
	c := New(&chaincfg.MainNetParams, now)
	for i := 0; i < len(raw); i += Size {
		if err := c.Append(raw[i : i+Size]); err != nil {
			t.Fatal(err)
		}
	}
	// The difficulty was 1 up to then: 2^32 hashes and a little for each block.
	if got, want := c.Work().Text(16), "3"; !strings.HasPrefix(got, want) || c.Height() < 14_000 {
		t.Errorf("block %d, work %s", c.Height(), got)
	}
	if err := c.Enough(); !errors.Is(err, ErrLittleWork) || !strings.Contains(err.Error(), "0 % of the work that the true chain of mainnet had") {
		t.Errorf("%v", err)
	}
	other := *raw2header(raw[Size:])
	other.Timestamp = other.Timestamp.Add(time.Second)
	c = New(&chaincfg.MainNetParams, now)
	if err := c.Append(raw[:Size]); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(Raw(&other)); err == nil || !strings.Contains(err.Error(), "the header of block 1 has no proof of work") {
		t.Errorf("a second later: %v", err)
	}
}

func raw2header(raw []byte) *wire.BlockHeader { h := parse(raw); return &h }

// Each rule alone, broken by a header that is right but for that.
func TestEachRuleIsEnforced(t *testing.T) {
	m := newMaker(t, regtest).grow(20, time.Minute)

	h := m.next(time.Minute, 0)
	h.PrevBlock = chainhash.Hash{1}
	mine(&h)
	m.refuses("another parent", h, "the header of block 21 does not follow the one before")

	h = m.next(time.Minute, 0)
	for hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(blockchain.CompactToBig(h.Bits)) <= 0; hash = h.BlockHash() {
		h.Nonce++
	}
	m.refuses("no work", h, "the header of block 21 has no proof of work")

	m.refuses("an easier difficulty than the network's easiest", m.next(time.Minute, 0x2100ffff), "wrong difficulty (bits 2100ffff)")
	m.refuses("a harder difficulty than demanded", m.next(time.Minute, 0x201fffff), "wrong difficulty")
	m.refuses("no difficulty", m.next(time.Minute, 0x207fffff-1), "wrong difficulty")

	// Eleven blocks lie a minute apart: the median is that of six before.
	m.refuses("the median's own time", m.next(-5*time.Minute, 0), "dated too early")
	last := m.next(now.Add(maxAhead+time.Second).Sub(m.chain.Time()), 0)
	m.refuses("two hours and a second ahead", last, "in the future")

	h = m.next(time.Minute, 0)
	h.Version = 3
	mine(&h)
	m.refuses("an old version", h, "outdated version")

	m.append(m.next(-5*time.Minute+time.Second, 0))            // just after the median
	m.append(m.next(now.Add(maxAhead).Sub(m.chain.Time()), 0)) // two hours ahead

	if err := m.chain.Append(m.raw[:79]); err == nil {
		t.Error("79 bytes are a header")
	}
}

func TestCheckpointsHold(t *testing.T) {
	m := newMaker(t, regtest).grow(5, time.Minute)
	params := *regtest
	right := m.chain.Hash()
	params.Checkpoints = []chaincfg.Checkpoint{{Height: 5, Hash: &right}}
	check := func() error {
		c := New(&params, now)
		for i := 0; i < len(m.raw); i += Size {
			if err := c.Append(m.raw[i : i+Size]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	params.Checkpoints[0].Hash = &chainhash.Hash{9}
	if err := check(); err == nil || !strings.Contains(err.Error(), "the header of block 5 is that of") {
		t.Errorf("another block than the known one: %v", err)
	}
}

// retargeting is mainnet's rule with ten blocks instead of 2016 and difficulties that a test can
// reach.
func retargeting() *chaincfg.Params {
	p := *regtest
	p.PoWNoRetargeting, p.ReduceMinDifficulty = false, false
	p.TargetTimespan = 10 * p.TargetTimePerBlock
	return &p
}

func TestDifficultyFollowsTheClock(t *testing.T) {
	m := newMaker(t, retargeting()).grow(9, 5*time.Minute) // nine intervals of five minutes: 45 of 100
	easy := m.next(5*time.Minute, 0)
	m.refuses("the difficulty stays though blocks came fast", easy, "wrong difficulty")
	limit := blockchain.CompactToBig(0x207fffff)
	limit.Mul(limit, big.NewInt(45*60)).Div(limit, big.NewInt(6000))
	m.append(m.next(5*time.Minute, blockchain.BigToCompact(limit)))
	m.refuses("easier again within the period", m.next(5*time.Minute, 0x207fffff), "wrong difficulty")

	// Never more than four times easier or harder in one step.
	m.grow(9, time.Second)
	limit.Div(blockchain.CompactToBig(m.chain.at(m.chain.height).bits), big.NewInt(4))
	m.refuses("more than four times harder", m.next(time.Second, blockchain.BigToCompact(limit.Rsh(limit, 1))), "wrong difficulty")
	limit.Div(blockchain.CompactToBig(m.chain.at(m.chain.height).bits), big.NewInt(4))
	m.append(m.next(time.Second, blockchain.BigToCompact(limit)))

	// A hash that met the old difficulty is not good enough for the new one.
	h := m.next(time.Second, 0)
	was := blockchain.CompactToBig(0x207fffff)
	for hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(blockchain.CompactToBig(h.Bits)) <= 0 || blockchain.HashToBig(&hash).Cmp(was) > 0; hash = h.BlockHash() {
		h.Nonce++
	}
	m.refuses("work for the difficulty before", h, "no proof of work")

	m.grow(9, 24*time.Hour)
	limit = blockchain.CompactToBig(h.Bits)
	limit.Mul(limit, big.NewInt(4))
	m.append(m.next(time.Second, blockchain.BigToCompact(limit)))
}

// Test networks let a block be easy when none came for 20 minutes, and the next one must be hard
// again. Testnet4's period goes on from its first block's difficulty, and does not begin before the
// end of the last (BIP94).
func TestTestnetsExceptions(t *testing.T) {
	p := retargeting()
	p.ReduceMinDifficulty, p.MinDiffReductionTime, p.EnforceBIP94 = true, 20*time.Minute, true
	m := newMaker(t, p).grow(9, 5*time.Minute)
	target := blockchain.CompactToBig(0x207fffff)
	hard := blockchain.BigToCompact(target.Mul(target, big.NewInt(45*60)).Div(target, big.NewInt(6000)))
	m.append(m.next(5*time.Minute, hard))

	const easiest = 0x207fffff
	m.refuses("easy after 20 minutes", m.next(20*time.Minute, easiest), "wrong difficulty")
	m.append(m.next(20*time.Minute+time.Second, easiest))
	m.refuses("easy once more", m.next(time.Minute, easiest), "wrong difficulty")
	m.append(m.next(time.Minute, hard))
	for range 6 {
		m.append(m.next(time.Minute, hard))
	}
	m.append(m.next(21*time.Minute, easiest)) // the period's last block

	// 20:01, eight minutes, 21 minutes after the first of the period: 48:01 + 60 s, of 100 minutes;
	// from hard, not from easiest.
	span := m.chain.Time().Sub(time.Unix(m.chain.at(10).time, 0))
	target = blockchain.CompactToBig(hard)
	harder := blockchain.BigToCompact(target.Mul(target, big.NewInt(int64(span/time.Second))).Div(target, big.NewInt(6000)))
	m.refuses("the period before the last begins anew", m.next(-601*time.Second, harder), "breaks a rule")
	m.append(m.next(-600*time.Second, harder))
}

func TestAChainOfAnotherNetworkIsNamed(t *testing.T) {
	c := New(&chaincfg.MainNetParams, now)
	if err := c.Append(Raw(&chaincfg.SigNetParams.GenesisBlock.Header)); !errors.Is(err, ErrOtherNetwork) || !strings.Contains(err.Error(), "is of another network: it is the first one of signet, and headers of mainnet are wanted") {
		t.Error(err)
	}
	h := newMaker(t, regtest).next(time.Minute, 0)
	if err := c.Append(Raw(&h)); err == nil || !strings.Contains(err.Error(), "is not the first one of mainnet") {
		t.Error(err)
	}
	if err := c.Enough(); err == nil {
		t.Error("no headers are enough")
	}
}

// A chain that is easy to make obeys every rule: what gives it away is its work.
func TestACheapForgeryHasTooLittleWork(t *testing.T) {
	for _, public := range []*chaincfg.Params{&chaincfg.TestNet4Params, &chaincfg.SigNetParams, &chaincfg.MainNetParams} {
		p := *regtest
		p.Net, p.Name = public.Net, public.Name
		m := newMaker(t, &p).grow(3000, 10*time.Minute)
		if _, err := open(t, file(t, m.raw), &p); !errors.Is(err, ErrLittleWork) {
			t.Errorf("%s: the file is opened: %v", p.Name, err)
		}
		if err := m.chain.Enough(); !errors.Is(err, ErrLittleWork) || !strings.Contains(err.Error(), "up to block 3000 have 0 % of the work that the true chain of "+public.Name) {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if err := newMaker(t, regtest).chain.Enough(); err != nil {
		t.Errorf("a developer's network: %v", err)
	}
}
