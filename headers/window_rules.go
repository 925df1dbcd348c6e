package headers

import (
	"errors"
	"fmt"
	"math/big"
	"sort"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Difficulties is how a network sets the difficulty of its blocks.
type Difficulties string

const (
	Retargets Difficulties = "retargets" // each period, by a factor of 4 at most: mainnet, signet
	Testnet4  Difficulties = "testnet4"  // as Retargets, but a late block may be as easy as the limit
	Fixed     Difficulties = "fixed"     // always the limit: regtest
	Any       Difficulties = "any"       // private networks whose difficulty is not compared: simnet
)

// Network is what the rules for windows need to know of a network.
type Network struct {
	Name         string
	Genesis      chainhash.Hash
	Test         bool // its blocks cost next to nothing, or are signed: a verdict must say so
	Difficulties Difficulties
	Limit        uint32        // bits of the easiest difficulty
	Period       int64         // blocks of one difficulty
	Late         time.Duration // Testnet4: how long after its parent a block is late

	// Halving is the time in which retargets can at best halve the difficulty: see
	// docs/windows.md.
	Halving time.Duration

	// Fall is how often the difficulty may have been halved since the newest dated checkpoint. A
	// window that claims more needs newer checkpoints. It is this program's choice, not a rule of
	// Bitcoin: without it, the floor would sink to nothing as the checkpoints grow old.
	Fall int

	Checkpoints []Checkpoint // by height; the first one is the network's first block, dated
}

// halving is what 14 days a period give: no schedule of retargets does better than a factor of e in
// e periods, which halves the difficulty every 14 · e · ln 2 = 26.38 days.
const halving = 26 * 24 * time.Hour

// maxFall lets the difficulty fall to a sixteenth. Mainnet's has never fallen by half.
const maxFall = 4

// NetworkOf returns the rules for a network's windows.
func NetworkOf(p *chaincfg.Params) *Network {
	n := &Network{
		Name: p.Name, Genesis: *p.GenesisHash, Test: p.Net != wire.MainNet,
		Difficulties: Retargets, Limit: p.PowLimitBits, Period: int64(p.TargetTimespan / p.TargetTimePerBlock),
		Halving: halving, Fall: maxFall, Checkpoints: Checkpoints(p),
	}
	switch {
	case p.PoWNoRetargeting:
		n.Difficulties = Fixed
	case p.EnforceBIP94:
		n.Difficulties, n.Late = Testnet4, p.MinDiffReductionTime
	case p.ReduceMinDifficulty:
		n.Difficulties = Any
	}
	return n
}

// Rule names the rule that a window breaks.
type Rule string

const (
	RuleLink       Rule = "link"       // a header does not follow the one before
	RuleWork       Rule = "pow"        // a hash does not meet its difficulty
	RuleLimit      Rule = "limit"      // a difficulty is easier than the network's easiest
	RuleRetarget   Rule = "retarget"   // a difficulty changes where or by what it cannot
	RuleTime       Rule = "time"       // a time is in the future, or far from that of known blocks
	RuleCheckpoint Rule = "checkpoint" // a block is not the known one
)

// RuleError says which header of a window breaks which rule.
type RuleError struct {
	Rule   Rule
	Height int64
	text   string // continues "the header of block N …"
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("the header of block %d %s", e.Height, e.text)
}

// adrift is how far the times of blocks may be from the order of their heights: more than the two
// hours that nodes allow, and a wide margin.
const adrift = 24 * time.Hour

// CheckedWindow is a window whose headers obey the rules. [CheckedWindow.Judge] says what they are
// worth.
type CheckedWindow struct {
	*Window
	network *Network
	headers []windowHeader
}

// windowHeader is what a verdict needs of a header.
type windowHeader struct {
	bits   uint32
	time   int64
	target *big.Int
	easy   bool // a late block of a test network, which counts as no work
	known  bool // a checkpoint
}

// Check checks every header of the window: its link, its proof of work, its difficulty, its time,
// and that it is the known block where one is known. Headers that are more than two hours later
// than now are refused. An error is a [*RuleError], or wraps [ErrOtherNetwork].
func (w *Window) Check(n *Network, now time.Time) (*CheckedWindow, error) {
	if w.Genesis != n.Genesis {
		return nil, w.foreign(n)
	}
	c := &CheckedWindow{Window: w, network: n, headers: make([]windowHeader, 0, w.Len())}
	limit := blockchain.CompactToBig(n.Limit)
	var prev chainhash.Hash // of the header before
	var claimed claim       // of the header before, so that a difficulty is expanded once
	var target *big.Int
	real := -1 // index of the newest header that is not easy; -1: there is none
	for i := range w.Len() {
		raw := w.Raw[i*Size : (i+1)*Size]
		hash, h, height := hashOf(raw), parse(raw), w.First+int64(i)
		fail := func(rule Rule, format string, args ...any) (*CheckedWindow, error) {
			return nil, &RuleError{rule, height, fmt.Sprintf(format, args...)}
		}
		if i > 0 && h.PrevBlock != prev {
			return fail(RuleLink, "does not follow the one before: it names block %s as its parent, and that of height %d is %s", h.PrevBlock, height-1, prev)
		}
		if i == 0 || h.Bits != claimed.bits {
			claimed, target = claimOf(h.Bits), blockchain.CompactToBig(h.Bits)
		}
		if target.Sign() <= 0 || target.Cmp(limit) > 0 {
			return fail(RuleLimit, "claims a difficulty that %s does not have (bits %08x)", n.Name, h.Bits)
		}
		if above(&hash, &claimed.target) {
			return fail(RuleWork, "has no proof of work: its hash is %s, too high for the difficulty that it claims (bits %08x)", hash, h.Bits)
		}
		now := windowHeader{bits: h.Bits, time: h.Timestamp.Unix(), target: target}
		now.easy = c.easy(i, height, &now)
		if !now.easy {
			if why := c.retarget(real, height, &now); why != "" {
				return fail(RuleRetarget, "%s", why)
			}
			real = i
		}
		c.headers = append(c.headers, now)
		prev = hash
	}
	return c, c.checkKnown(now)
}

// foreign says which network the window is of.
func (w *Window) foreign(n *Network) error {
	for _, p := range networks {
		if *p.GenesisHash == w.Genesis {
			return fmt.Errorf("the headers are %w: they are those of %s, and headers of %s are wanted", ErrOtherNetwork, p.Name, n.Name)
		}
	}
	return fmt.Errorf("the headers are %w: its first block is %s, and that of %s is %s", ErrOtherNetwork, w.Genesis, n.Name, n.Genesis)
}

// easy reports whether the header at index i is that of a block that may be as easy as the limit
// because it is late. The parent of the window's first header is not known: that may be late.
func (c *CheckedWindow) easy(i int, height int64, h *windowHeader) bool {
	n := c.network
	if n.Difficulties != Testnet4 || h.bits != n.Limit || height%n.Period == 0 {
		return false
	}
	return i == 0 || h.time > c.headers[i-1].time+int64(n.Late/time.Second)
}

// retarget returns what is wrong with a header's difficulty, given the one at index before; -1
// means that no difficulty before is known.
func (c *CheckedWindow) retarget(before int, height int64, h *windowHeader) string {
	n := c.network
	switch {
	case n.Difficulties == Any:
		return ""
	case n.Difficulties == Fixed && h.bits != n.Limit:
		return fmt.Sprintf("has the wrong difficulty (bits %08x): the blocks of %s have bits %08x", h.bits, n.Name, n.Limit)
	case n.Difficulties == Fixed || before < 0:
		return ""
	}
	was := &c.headers[before]
	same := (c.First+int64(before))/n.Period == height/n.Period
	switch {
	case same && h.bits != was.bits:
		return fmt.Sprintf("changes the difficulty (from bits %08x to %08x) at a height that is no multiple of %d", was.bits, h.bits, n.Period)
	case same:
		return ""
	}
	// Compact numbers are rounded down. A unit more than the new target is more than a quarter.
	four := big.NewInt(4)
	least := new(big.Int).Add(h.target, unit(h.bits))
	if h.target.Cmp(new(big.Int).Mul(was.target, four)) > 0 || least.Mul(least, four).Cmp(was.target) <= 0 {
		return fmt.Sprintf("changes the difficulty by more than a factor of 4 (from bits %08x to %08x)", was.bits, h.bits)
	}
	return ""
}

// unit is the distance between a compact number and the next one.
func unit(bits uint32) *big.Int {
	exponent := max(int(bits>>24), 3)
	return new(big.Int).Lsh(big.NewInt(1), uint(8*(exponent-3)))
}

// checkKnown compares times with the clock, and blocks and times with those of the checkpoints.
func (c *CheckedWindow) checkKnown(now time.Time) error {
	latest := now.Add(maxAhead).Unix()
	for i := range c.headers {
		h, height := &c.headers[i], c.First+int64(i)
		fail := func(rule Rule, format string, args ...any) error {
			return &RuleError{rule, height, fmt.Sprintf(format, args...)}
		}
		below, above := c.network.around(height)
		switch at := time.Unix(h.time, 0).UTC().Format(time.RFC3339); {
		case h.time > latest:
			return fail(RuleTime, "is dated %s, in the future: is the clock of this machine right?", at)
		case below != nil && h.time < below.Time-int64(adrift/time.Second):
			return fail(RuleTime, "is dated %s, long before the known block %d", at, below.Height)
		case above != nil && h.time > above.Time+int64(adrift/time.Second):
			return fail(RuleTime, "is dated %s, long after the known block %d", at, above.Height)
		}
		known := c.network.checkpoint(height)
		if known == nil {
			continue
		}
		if hash := hashOf(c.Raw[i*Size : (i+1)*Size]); hash != known.Hash {
			return fail(RuleCheckpoint, "is that of %s, and the block of %s there is known to be %s", hash, c.network.Name, known.Hash)
		}
		h.known = true
	}
	return nil
}

// search returns the index of the first checkpoint at height or above.
func (n *Network) search(height int64) int {
	return sort.Search(len(n.Checkpoints), func(i int) bool { return n.Checkpoints[i].Height >= height })
}

// checkpoint returns the known block at height, or nil.
func (n *Network) checkpoint(height int64) *Checkpoint {
	if i := n.search(height); i < len(n.Checkpoints) && n.Checkpoints[i].Height == height {
		return &n.Checkpoints[i]
	}
	return nil
}

// around returns the nearest dated checkpoints: at or below height, and at or above it. Either may
// be nil.
func (n *Network) around(height int64) (below, above *Checkpoint) {
	at := n.search(height)
	for i := at; i < len(n.Checkpoints) && above == nil; i++ {
		if n.Checkpoints[i].Dated() {
			above = &n.Checkpoints[i]
		}
	}
	if above != nil && above.Height == height {
		return above, above
	}
	for i := at - 1; i >= 0 && below == nil; i-- {
		if n.Checkpoints[i].Dated() {
			below = &n.Checkpoints[i]
		}
	}
	return below, above
}

// newest returns the newest dated checkpoint. The network's first block is always there.
func (n *Network) newest() *Checkpoint {
	for i := len(n.Checkpoints) - 1; i >= 0; i-- {
		if n.Checkpoints[i].Dated() {
			return &n.Checkpoints[i]
		}
	}
	panic(errors.New("headers: a network without its first block"))
}
