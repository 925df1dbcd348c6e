package headers

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
)

// Checkpoint is a block that is known to be in a network's chain.
type Checkpoint struct {
	Height int64
	Hash   chainhash.Hash

	// Bits and Time are those of the block's header. Both are zero if only the hash is known, as
	// for most of btcd's checkpoints.
	Bits uint32
	Time int64 // seconds since 1970
}

// Dated reports whether the checkpoint's difficulty and time are known.
func (c Checkpoint) Dated() bool { return c.Bits != 0 }

// The lists of checkpoints that are compiled in, one file a network. docs/windows.md specifies the
// format, and "ancre headers checkpoints" writes it.
//
//go:embed checkpoints/*.txt
var lists embed.FS

// Checkpoints returns the known blocks of a network by height, the first block among them: those of
// the list that is compiled in, and btcd's.
func Checkpoints(params *chaincfg.Params) []Checkpoint {
	listsOnce.Do(readLists)
	return slices.Clone(known[params.Name])
}

var (
	listsOnce sync.Once
	known     map[string][]Checkpoint
)

// readLists reads what is compiled in. A list that cannot be read is a fault of this program, which
// a test finds.
func readLists() {
	known = make(map[string][]Checkpoint)
	for _, p := range networks {
		var list []Checkpoint
		if text, err := lists.ReadFile("checkpoints/" + p.Name + ".txt"); err == nil {
			if list, err = ParseCheckpoints(string(text), p.Name); err != nil {
				panic(fmt.Sprintf("headers: checkpoints/%s.txt: %v", p.Name, err))
			}
		}
		all, err := merge(list, builtIn(p))
		if err != nil {
			panic(fmt.Sprintf("headers: checkpoints of %s: %v", p.Name, err))
		}
		known[p.Name] = all
	}
}

// networks are those that a window may be of.
var networks = []*chaincfg.Params{
	&chaincfg.MainNetParams, &chaincfg.TestNet4Params, &chaincfg.SigNetParams, &chaincfg.RegressionNetParams, &chaincfg.SimNetParams,
}

// builtIn returns the first block of a network and btcd's checkpoints.
func builtIn(p *chaincfg.Params) []Checkpoint {
	first := p.GenesisBlock.Header
	all := []Checkpoint{{Hash: *p.GenesisHash, Bits: first.Bits, Time: first.Timestamp.Unix()}}
	for _, c := range p.Checkpoints {
		all = append(all, Checkpoint{Height: int64(c.Height), Hash: *c.Hash})
	}
	return all
}

// merge joins two lists. Of a block that both have, the dated checkpoint stays. If they name
// different blocks, there is an error.
func merge(a, b []Checkpoint) ([]Checkpoint, error) {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y Checkpoint) int { return int(x.Height - y.Height) })
	merged := all[:0]
	for _, c := range all {
		if len(merged) == 0 || merged[len(merged)-1].Height != c.Height {
			merged = append(merged, c)
			continue
		}
		last := &merged[len(merged)-1]
		if last.Hash != c.Hash {
			return nil, fmt.Errorf("block %d is %s in one list and %s in the other", c.Height, last.Hash, c.Hash)
		}
		if !last.Dated() {
			*last = c
		}
	}
	return merged, nil
}

// checkpointsTitle begins a list; the network's name follows.
const checkpointsTitle = "# ancre checkpoints 1 "

// unknownField stands in a list for bits and time that are not known.
const unknownField = "-"

// ParseCheckpoints reads a list of checkpoints of the network with that name. It is strict: the
// list is what verdicts rest upon, so a line that is not understood is an error, not a comment.
func ParseCheckpoints(text, network string) ([]Checkpoint, error) {
	rest, found := strings.CutPrefix(text, checkpointsTitle)
	name, rest, whole := strings.Cut(rest, "\n")
	switch {
	case !found || !whole:
		return nil, fmt.Errorf("the first line is not %q and the name of a network", checkpointsTitle)
	case name != network:
		return nil, fmt.Errorf("the checkpoints are those of %q, and those of %s are wanted", name, network)
	case rest != "" && !strings.HasSuffix(rest, "\n"):
		return nil, errors.New("the last line has no end: the list is cut short")
	}
	var all []Checkpoint
	number := 1
	for line := range strings.Lines(rest) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCheckpoint(strings.TrimSuffix(line, "\n"))
		if err == nil && len(all) > 0 && all[len(all)-1].Height >= c.Height {
			err = fmt.Errorf("block %d comes after block %d: heights must rise", c.Height, all[len(all)-1].Height)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// parseCheckpoint reads "HEIGHT HASH BITS TIME".
func parseCheckpoint(line string) (c Checkpoint, err error) {
	fields := strings.Split(line, " ")
	if len(fields) != 4 {
		return c, fmt.Errorf("%q: want height, hash, bits and time with one space between", line)
	}
	if c.Height, err = decimal(fields[0], 31); err != nil {
		return c, fmt.Errorf("height %q: %w", fields[0], err)
	}
	if hash, err := chainhash.NewHashFromStr(fields[1]); err != nil || hash.String() != fields[1] {
		return c, fmt.Errorf("hash %q: want 64 lower-case hexadecimal digits", fields[1])
	} else {
		c.Hash = *hash
	}
	if fields[2] == unknownField && fields[3] == unknownField {
		return c, nil
	}
	bits, err := strconv.ParseUint(fields[2], 16, 32)
	if c.Bits = uint32(bits); err != nil || fmt.Sprintf("%08x", bits) != fields[2] {
		return c, fmt.Errorf("bits %q: want 8 lower-case hexadecimal digits", fields[2])
	}
	if c.Time, err = decimal(fields[3], 32); err != nil {
		return c, fmt.Errorf("time %q: %w", fields[3], err)
	}
	if cl := claimOf(c.Bits); blockchain.CompactToBig(c.Bits).Sign() <= 0 || above(&c.Hash, &cl.target) {
		return c, fmt.Errorf("the hash %s does not meet the difficulty of bits %08x", c.Hash, c.Bits)
	}
	return c, nil
}

// decimal reads a number without sign, leading zeros or spaces.
func decimal(s string, bits int) (int64, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("want a decimal number below 2^%d", bits)
	}
	return int64(n), nil
}

// FormatCheckpoints writes a list that [ParseCheckpoints] reads. Each line of comment follows the
// title.
func FormatCheckpoints(network string, comment []string, all []Checkpoint) string {
	var b strings.Builder
	b.WriteString(checkpointsTitle + network + "\n")
	for _, line := range comment {
		b.WriteString("# " + line + "\n")
	}
	for _, c := range all {
		if c.Dated() {
			fmt.Fprintf(&b, "%d %s %08x %d\n", c.Height, c.Hash, c.Bits, c.Time)
		} else {
			fmt.Fprintf(&b, "%d %s %s %s\n", c.Height, c.Hash, unknownField, unknownField)
		}
	}
	return b.String()
}
