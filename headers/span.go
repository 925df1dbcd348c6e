package headers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// day is how many blocks a window has on top at least, if they are there: a verifier with an older
// list of checkpoints may need their work.
const day = 144

// Span returns the heights of the first and last header that a window for a block should have, if
// the newest block is at height tip. It leads to the next known block, if that is in reach.
// Otherwise it leads to the first block of the next period, which later lists will have, and begins
// with the nearest known block below, if that is in reach.
func (n *Network) Span(block, tip int64) (first, last int64) {
	last = min(block+day, tip)
	at := n.search(block)
	if at < len(n.Checkpoints) {
		if above := n.Checkpoints[at].Height; above <= tip && above-block < MaxWindow {
			return block, max(last, above)
		}
	}
	last = max(last, min((block/n.Period+1)*n.Period, tip))
	if at > 0 {
		if below := n.Checkpoints[at-1].Height; last-below < MaxWindow {
			return below, last
		}
	}
	return block, last
}

// settled is how many blocks must be on top of a block before a list of checkpoints may have it. No
// reorganisation of mainnet came near.
const settled = 144

// ErrContradicts is wrapped when a chain does not have a block that is known.
var ErrContradicts = errors.New("contradicts the list of known blocks")

// Survey reads the headers of a whole chain, checks them like [Copy], and returns the network's
// list of checkpoints made anew: the first block of each period that has enough blocks on top, and
// those that the list has already, all dated.
func Survey(ctx context.Context, r io.Reader, params *chaincfg.Params, now time.Time, progress func(done uint64)) ([]Checkpoint, *Chain, error) {
	n := NetworkOf(params)
	s := &surveyor{network: n}
	chain, err := Copy(ctx, s, r, params, now, progress)
	if err != nil {
		return nil, nil, err
	}
	found := s.found
	for len(found) > 0 && found[len(found)-1].Height > chain.Height()-settled && n.checkpoint(found[len(found)-1].Height) == nil {
		found = found[:len(found)-1]
	}
	all, err := merge(found, n.Checkpoints)
	if err != nil {
		return nil, nil, fmt.Errorf("the chain %w: %w", ErrContradicts, err)
	}
	return all, chain, nil
}

// surveyor collects the checkpoints of the headers that are written to it, and forgets the rest.
type surveyor struct {
	network *Network
	height  int64
	part    []byte // of a header that was not written whole yet
	found   []Checkpoint
}

func (s *surveyor) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(Size-len(s.part), len(rest))
		s.part, rest = append(s.part, rest[:n]...), rest[n:]
		if len(s.part) < Size {
			break
		}
		if s.height%s.network.Period == 0 || s.network.checkpoint(s.height) != nil {
			h := parse(s.part)
			s.found = append(s.found, Checkpoint{Height: s.height, Hash: hashOf(s.part), Bits: h.Bits, Time: h.Timestamp.Unix()})
		}
		s.height, s.part = s.height+1, s.part[:0]
	}
	return len(p), nil
}
