package proof

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Header is what verification needs to know about a block.
type Header struct {
	Height     uint64
	Hash       [32]byte // internal byte order
	MerkleRoot [32]byte // internal byte order, as in the header
	Time       time.Time
}

// HeaderSource returns headers of Bitcoin's chain. Verification trusts it. It should check proof of
// work, and answer only for blocks deep enough to stay in the chain.
type HeaderSource interface {
	// Header returns the header at height. The error wraps [ErrNoHeader] if the source knows no
	// block that high, and [ErrTooHigh] if it knows that there is none yet. Any other error means
	// that it cannot say.
	Header(ctx context.Context, height uint64) (Header, error)
}

var (
	// ErrNoHeader says that the source knows no block at the height. The chain may have one all the
	// same, which the source has not seen yet.
	ErrNoHeader = errors.New("no block at this height")

	// ErrTooHigh says that no chain can have a block at the height yet: see [MayExist]. It wraps
	// ErrNoHeader.
	ErrTooHigh = fmt.Errorf("%w, and there can be none yet", ErrNoHeader)
)

// MayExist reports whether a block at height may exist by now, if a source's newest block is at
// height tip and has the time tipTime. A block takes ten minutes on average. MayExist allows for
// one every four minutes, far faster than any stretch of the chain so far. It is of no use for
// private chains, whose owners make blocks at will.
func MayExist(height, tip uint64, tipTime, now time.Time) bool {
	const (
		fastest = 4 * time.Minute
		few     = 5 // blocks that came at once
	)
	if height > MaxHeight {
		return false
	}
	age := now.Sub(tipTime)
	if age < 0 {
		return true // a clock that is behind says nothing of a proof
	}
	return height <= tip+uint64(age/fastest)+few
}

// MaxHeight is the highest that a block can be: Bitcoin Core counts heights in an int.
const MaxHeight = math.MaxInt32

// maxHeights is for how many different blocks one proof may make [Verify] ask. A proof that was
// upgraded at a dozen calendars names a dozen.
const maxHeights = 256

// Outcome is what became of a proof, or of one attestation in it.
type Outcome string

const (
	OutcomeValid   Outcome = "valid"   // the message existed before the block
	OutcomePending Outcome = "pending" // a calendar promised to have it attested
	OutcomeInvalid Outcome = "invalid" // it contradicts the chain, the file or itself: the reason says how

	// OutcomeUnverifiable says that nothing is wrong with the proof as far as one can tell here,
	// and that it takes more to verify it: see Result.Needed.
	OutcomeUnverifiable Outcome = "unverifiable"

	// Of single attestations only. A proof with nothing better is OutcomeUnverifiable.
	OutcomeNoBlock   Outcome = "no block"  // its block is above the highest that the source knows
	OutcomeUnchecked Outcome = "unchecked" // of a kind that is not verified here
)

// Check is one attestation of a proof, and what became of it.
type Check struct {
	Attested
	Outcome Outcome
	Reason  string // in words, unless valid
	Header  Header // when a header was found
}

// Result is what a proof is worth.
type Result struct {
	Outcome Outcome // valid, pending, invalid or unverifiable
	Header  Header  // when valid: the lowest block that attests it
	Reason  string  // otherwise: why, in words
	Needed  string  // when unverifiable: what it takes to verify the proof
	Missing uint64  // when unverifiable: the lowest block that the source lacks; 0 when none is missing
	Checks  []Check // of all attestations, in the proof's order; none when the proof is not about the digest

	// Warnings are sentences about what a valid or pending proof does not show, or what was not
	// checked. They never change the outcome.
	Warnings []string
}

// Verify checks whether the proof shows that the file with this digest existed before some Bitcoin
// block. One valid attestation is enough. An error means that the source could not answer; it says
// nothing about the proof.
func Verify(ctx context.Context, f *File, digest []byte, src HeaderSource) (Result, error) {
	// The tree may come from anybody's hands: nothing in it is believed before it is computed
	// again.
	t, err := f.checked()
	if err != nil {
		return Result{Outcome: OutcomeInvalid, Reason: err.Error()}, nil
	}
	if !bytes.Equal(f.Digest, digest) {
		return Result{Outcome: OutcomeInvalid, Reason: fmt.Sprintf("the proof is about another file: one with %v %x, this one has %x", f.HashOp, f.Digest, digest)}, nil
	}

	var r Result
	if r.Checks, err = CheckAll(ctx, t, src); err != nil {
		return Result{}, err
	}
	for _, c := range r.Checks {
		if c.Outcome == OutcomeValid && (r.Outcome != OutcomeValid || c.Header.Height < r.Header.Height) {
			r.Outcome, r.Header = OutcomeValid, c.Header
		}
	}
	if r.Outcome != OutcomeValid {
		r.conclude()
	}
	r.Warnings = r.warnings(f.HashOp, t)
	return r, nil
}

// CheckAll returns the outcome of each attestation of t, in the order of [Timestamp.All]. It does
// not recompute the messages in t, which [ParseTimestamp] has done for any t that it returned. An
// error means that the source could not answer.
func CheckAll(ctx context.Context, t *Timestamp, src HeaderSource) ([]Check, error) {
	var checks []Check
	headers := headerCache{src: src, found: map[uint64]lookup{}}
	for _, a := range t.All() {
		c, err := headers.check(ctx, a)
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// conclude sets the outcome of a proof that has no valid attestation.
func (r *Result) conclude() {
	// What says most about the proof comes first.
	for _, o := range []Outcome{OutcomeInvalid, OutcomeNoBlock, OutcomePending, OutcomeUnchecked} {
		reason := reasons(r.Checks, o)
		if reason == "" {
			continue
		}
		switch r.Outcome, r.Reason = o, reason; o {
		case OutcomeNoBlock:
			r.Outcome, r.Missing = OutcomeUnverifiable, lowestMissing(r.Checks)
			r.Needed = fmt.Sprintf("block headers up to block %d", r.Missing)
		case OutcomeUnchecked:
			r.Outcome, r.Needed = OutcomeUnverifiable, needed(r.Checks)
			r.Reason = "the proof has no attestation that can be verified here: " + reason
		}
		return
	}
	r.Outcome, r.Reason = OutcomeInvalid, "the proof has no attestation" // checked() refuses those
}

// reasons joins the reasons of the checks with that outcome, each once, and the first few only.
func reasons(checks []Check, o Outcome) string {
	const shown = 3
	var list []string
	different := map[string]bool{} // a hostile proof has tens of thousands
	for _, c := range checks {
		if c.Outcome != o || different[c.Reason] {
			continue
		}
		if different[c.Reason] = true; len(list) < shown {
			list = append(list, c.Reason)
		}
	}
	if n := len(different) - len(list); n > 0 {
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, "; ")
}

// lowestMissing is the lowest block that the source lacks.
func lowestMissing(checks []Check) uint64 {
	lowest := uint64(math.MaxUint64)
	for _, c := range checks {
		if height, ok := c.Height(); ok && c.Outcome == OutcomeNoBlock {
			lowest = min(lowest, height)
		}
	}
	return lowest
}

// needed says what verifies a proof that has only attestations of other kinds than Bitcoin's.
func needed(checks []Check) string {
	for _, c := range checks {
		switch c.Kind() {
		case KindLitecoin:
			return "a program that verifies attestations of Litecoin"
		case KindEthereum:
			return "a program that verifies attestations of Ethereum"
		}
	}
	return "the program that made the proof, or a newer version of this one"
}

type lookup struct {
	header Header
	err    error // nil, or wraps ErrNoHeader
}

// headerCache asks the source for each height once.
type headerCache struct {
	src   HeaderSource
	found map[uint64]lookup
}

func (h *headerCache) at(ctx context.Context, height uint64) (lookup, error) {
	if l, ok := h.found[height]; ok {
		return l, nil
	}
	var header Header
	err := ErrTooHigh
	if height <= MaxHeight {
		header, err = h.src.Header(ctx, height)
	}
	if err != nil && !errors.Is(err, ErrNoHeader) {
		return lookup{}, fmt.Errorf("cannot get the header of block %d: %w", height, err)
	}
	header.Height = height
	h.found[height] = lookup{header, err}
	return h.found[height], nil
}

// check verifies one attestation.
func (h *headerCache) check(ctx context.Context, a Attested) (Check, error) {
	c := Check{Attested: a}
	switch a.Kind() {
	case KindBitcoin:
	case KindPending:
		uri, _ := a.URI()
		c.Outcome, c.Reason = OutcomePending, "waiting for the calendar at "+cmp.Or(uri, "an empty address")
		return c, nil
	case KindUnknown:
		c.Outcome, c.Reason = OutcomeUnchecked, fmt.Sprintf("attestation %x is of no known kind", a.Tag)
		return c, nil
	default:
		c.Outcome, c.Reason = OutcomeUnchecked, a.Attestation.String()+" is not verified here, only Bitcoin blocks are"
		return c, nil
	}

	height, _ := a.Height()
	if len(a.Msg) != 32 {
		c.Outcome, c.Reason = OutcomeInvalid, fmt.Sprintf("the proof claims a Merkle root of %d bytes for Bitcoin block %d, one has 32", len(a.Msg), height)
		return c, nil
	}
	if _, ok := h.found[height]; !ok && len(h.found) >= maxHeights {
		c.Outcome, c.Reason = OutcomeUnchecked, fmt.Sprintf("the proof names more than %d blocks, the others were not looked at", maxHeights)
		return c, nil
	}
	l, err := h.at(ctx, height)
	if err != nil {
		return Check{}, err
	}
	c.Header = l.header
	switch {
	case errors.Is(l.err, ErrTooHigh):
		c.Outcome, c.Header = OutcomeInvalid, Header{}
		c.Reason = fmt.Sprintf("the proof names Bitcoin block %d, which is above the highest one that there can be by now", height)
	case l.err != nil:
		c.Outcome, c.Header = OutcomeNoBlock, Header{}
		c.Reason = fmt.Sprintf("the proof names Bitcoin block %d, which is above the highest one known here", height)
	case !bytes.Equal(a.Msg, l.header.MerkleRoot[:]):
		c.Outcome = OutcomeInvalid
		c.Reason = fmt.Sprintf("Bitcoin block %d has the Merkle root %s, the proof leads to %s", height, reversedHex(l.header.MerkleRoot), reversedHex([32]byte(a.Msg)))
	default:
		c.Outcome = OutcomeValid
	}
	return c, nil
}
