package headers

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"ancre/internal/humanize"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/wire/v2"
)

// MinBlocks is how many blocks of work a window needs to vouch for a block, that block included:
// as many as a final anchor has.
const MinBlocks = 6

// ErrFewBlocks is wrapped when too few headers of a window are on top of a block. The block may be
// true, and later windows will show it.
var ErrFewBlocks = errors.New("too few blocks are on top")

// Trust says what a window's verdict about a block rests upon.
type Trust struct {
	// Checkpoint is the height of a known block, at or above the block in question, to which the
	// window's headers lead. The block is then as sure as the list of checkpoints is. -1: there is
	// none, and the verdict rests upon Blocks and Least.
	Checkpoint int64

	// Base is the height of the nearest known block at or below the one in question that is in the
	// window. Without it and a Checkpoint, the block's height is only what the window claims. -1:
	// there is none.
	Base int64

	// Blocks is how many headers with proof of work the window has from the block on, that of the
	// block included. Late blocks of testnet4 do not count.
	Blocks int64

	// Least is the easiest difficulty of these, as bits.
	Least uint32

	// Floor is the highest target that was allowed for the last of them.
	Floor *big.Int

	// Test reports that the network is a test network, whose blocks cost next to nothing.
	Test bool
}

// Judge says what the window's headers prove about the block at height. If they prove nothing, the
// error wraps [ErrNoBlock] (the window has no such block), [ErrFewBlocks] (not yet) or
// [ErrLittleWork] (the headers were cheap to make).
func (c *CheckedWindow) Judge(height uint64) (Trust, error) {
	t := Trust{Checkpoint: -1, Base: -1, Test: c.network.Test}
	if height < uint64(c.First) || height > uint64(c.Last()) {
		return t, c.outside(height)
	}
	at := int(int64(height) - c.First)
	for i := at; i >= 0 && t.Base < 0; i-- {
		if c.headers[i].known {
			t.Base = c.First + int64(i)
		}
	}
	for i := at; i < len(c.headers) && t.Checkpoint < 0; i++ {
		if c.headers[i].known {
			t.Checkpoint = c.First + int64(i)
		}
	}
	var easiest *big.Int
	var weak error
	for i := at; i < len(c.headers); i++ {
		h := &c.headers[i]
		if h.easy {
			continue
		}
		t.Blocks++
		if easiest == nil || h.target.Cmp(easiest) > 0 {
			easiest, t.Least = h.target, h.bits
		}
		if t.Floor = c.network.Floor(c.First+int64(i), h.time); weak == nil && h.target.Cmp(t.Floor) > 0 {
			weak = fmt.Errorf("%w: the header of block %d has a difficulty of %s, and vouches for nothing below %s unless it leads to a known block",
				ErrLittleWork, c.First+int64(i), humanize.Difficulty(Difficulty(h.bits)), humanize.Difficulty(Difficulty(blockchain.BigToCompact(t.Floor))))
		}
	}
	switch {
	case t.Checkpoint >= 0:
		return t, nil
	case weak != nil:
		return t, weak
	case t.Blocks < MinBlocks:
		return t, fmt.Errorf("%w: the headers show %d blocks of work from block %d on, and %d are needed", ErrFewBlocks, t.Blocks, height, MinBlocks)
	}
	return t, nil
}

// Floor returns the highest target, which is the lowest difficulty, that a header with this height
// and time may have without a checkpoint above it. Three bounds hold, and the strictest counts. The
// difficulty has not been halved more than Fall times since the newest dated checkpoint. It falls
// by a factor of 4 at most with each period after that. And it is halved at most 2 times, and once
// more for each Halving that has begun since.
func (n *Network) Floor(height, at int64) *big.Int {
	from := n.newest()
	halvings := int64(n.Fall)
	if height >= from.Height {
		halvings = min(halvings, 2*(height/n.Period-from.Height/n.Period), n.halvings(at-from.Time))
	}
	floor := new(big.Int).Lsh(blockchain.CompactToBig(from.Bits), uint(halvings))
	if limit := blockchain.CompactToBig(n.Limit); floor.Cmp(limit) > 0 {
		return limit
	}
	return floor
}

// halvings returns how often the difficulty can have been halved in that many seconds.
func (n *Network) halvings(seconds int64) int64 {
	each := int64(n.Halving / time.Second)
	return 2 + (max(seconds, 0)+each-1)/each
}

// Header returns the header at height. If the window does not have it, the error wraps
// [ErrNoBlock].
func (c *CheckedWindow) Header(height uint64) (h wire.BlockHeader, err error) {
	if height < uint64(c.First) || height > uint64(c.Last()) {
		return h, c.outside(height)
	}
	at := int(int64(height)-c.First) * Size
	return parse(c.Raw[at : at+Size]), nil
}

// outside says that the window does not have a block.
func (c *CheckedWindow) outside(height uint64) error {
	return &outsideError{height, c.First, c.Last()}
}

type outsideError struct {
	height      uint64
	first, last int64
}

func (e *outsideError) Error() string {
	return fmt.Sprintf("the window has the headers of blocks %d to %d, and not that of block %d", e.first, e.last, e.height)
}

func (e *outsideError) Is(target error) bool { return target == ErrNoBlock }
