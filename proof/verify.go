package proof

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header is what verification needs of a block.
type Header struct {
	Height     uint64
	Hash       [32]byte // internal byte order
	MerkleRoot [32]byte // internal byte order, as in the header
	Time       time.Time
}

// HeaderSource gives the headers of Bitcoin's chain. Verification trusts it: it should check proof of work, and answer of blocks
// that are deep enough to stay.
type HeaderSource interface {
	// Header returns the header at height, an error that wraps [ErrNoHeader] when the chain is not that high, or another one
	// when it cannot say.
	Header(ctx context.Context, height uint64) (Header, error)
}

// ErrNoHeader says that the chain has no block at the height, as far as the source knows.
var ErrNoHeader = errors.New("no block at this height")

// maxHeights is how many blocks one proof may make [Verify] ask for; a proof upgraded at each of a dozen calendars names a
// dozen.
const maxHeights = 256

// Outcome is what became of a proof, or of one attestation in it.
type Outcome string

const (
	OutcomeValid   Outcome = "valid"   // the message existed before the block
	OutcomePending Outcome = "pending" // a calendar promised to have it attested
	OutcomeInvalid Outcome = "invalid" // it proves nothing: the reason says why

	// Of single attestations only. A proof with nothing better is OutcomeInvalid.
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
	Outcome Outcome // valid, pending or invalid
	Header  Header  // when valid: the lowest block that attests it
	Reason  string  // otherwise: why, in words
	Checks  []Check // of all attestations, in the proof's order; none when the proof is not about the digest
}

// Verify says whether the proof shows that the file with this digest existed before some Bitcoin block. One attestation that holds
// is enough. An error means that the source could not answer, and says nothing of the proof.
func Verify(ctx context.Context, f *File, digest []byte, src HeaderSource) (Result, error) {
	// The tree may come from anybody's hands: nothing in it is believed before it is computed again.
	t, err := f.checked()
	if err != nil {
		return Result{Outcome: OutcomeInvalid, Reason: err.Error()}, nil
	}
	if !bytes.Equal(f.Digest, digest) {
		return Result{Outcome: OutcomeInvalid, Reason: fmt.Sprintf("the proof is about another file: one with %v %x, this one has %x", f.HashOp, f.Digest, digest)}, nil
	}

	var r Result
	headers := headerCache{src: src, found: map[uint64]lookup{}}
	for _, a := range t.All() {
		c, err := headers.check(ctx, a)
		if err != nil {
			return Result{}, err
		}
		if c.Outcome == OutcomeValid && (r.Outcome != OutcomeValid || c.Header.Height < r.Header.Height) {
			r.Outcome, r.Header = OutcomeValid, c.Header
		}
		r.Checks = append(r.Checks, c)
	}
	if r.Outcome != OutcomeValid {
		r.Outcome, r.Reason = conclude(r.Checks)
	}
	return r, nil
}

// conclude says what attestations come to of which none is valid.
func conclude(checks []Check) (Outcome, string) {
	// What says most about the proof comes first.
	for _, o := range []Outcome{OutcomeInvalid, OutcomeNoBlock, OutcomePending, OutcomeUnchecked} {
		const shown = 3
		var reasons []string
		different := map[string]bool{} // a hostile proof has tens of thousands
		for _, c := range checks {
			if c.Outcome != o || different[c.Reason] {
				continue
			}
			if different[c.Reason] = true; len(reasons) < shown {
				reasons = append(reasons, c.Reason)
			}
		}
		if len(reasons) == 0 {
			continue
		}
		if n := len(different) - len(reasons); n > 0 {
			reasons = append(reasons, fmt.Sprintf("and %d more", n))
		}
		reason := strings.Join(reasons, "; ")
		switch o {
		case OutcomePending:
			return OutcomePending, reason
		case OutcomeUnchecked:
			return OutcomeInvalid, "the proof has no attestation that can be verified here: " + reason
		}
		return OutcomeInvalid, reason
	}
	return OutcomeInvalid, "the proof has no attestation" // checked() refuses those
}

type lookup struct {
	header Header
	err    error // nil, or wraps ErrNoHeader
}

// headerCache asks the source once for each height.
type headerCache struct {
	src   HeaderSource
	found map[uint64]lookup
}

func (h *headerCache) at(ctx context.Context, height uint64) (lookup, error) {
	if l, ok := h.found[height]; ok {
		return l, nil
	}
	header, err := h.src.Header(ctx, height)
	if err != nil && !errors.Is(err, ErrNoHeader) {
		return lookup{}, fmt.Errorf("the header of block %d cannot be had: %w", height, err)
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
