// Package receipt builds, reads and verifies Chainpoint receipts, versions 2 and 4: the same proofs as .ots files, as JSON that
// Woleet's and Chainpoint's tools read.
//
// A receipt of version 2 is what Woleet's tools exchange: https://chainpoint.org as of 2016, with Woleet's signature extension
// (https://doc.woleet.io/docs/signature-proofs). Version 4 is described by the schema chainpoint-proof-json-schema. What this package
// builds is accepted by @woleet/woleet-weblibs 0.11 and chainpoint-validate 2.3 (version 2) and by chainpoint-parse 5 (version 4); equal
// receipts are equal bytes. Both promises hold for good.
//
// Reading is strict. A receipt is evidence, and a reader that guesses can be led to another conclusion than the next one: each hash is 64
// lower-case digits, since verifiers compare text; nothing stands in it twice; and no member is skipped that is not understood, because
// it could change what the receipt proves, as the member "signature" does.
//
// Everything is a pure function of its arguments, as in package proof. What a receipt needs from outside comes from the caller's
// [proof.HeaderSource], and from its [TxSource] where the receipt does not hold its transaction.
package receipt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"ancre/proof"
)

// Limits of what is read. Ours have some 3 kB, and a few dozen steps.
const (
	MaxSize    = proof.MaxSize  // bytes of a receipt
	maxSteps   = proof.MaxDepth // of a path from the target to the transaction
	maxLevels  = 32             // of a path from the transaction to the block's header: a place in a block has 32 bits
	maxAnchors = 16             // of one receipt
	maxHeight  = math.MaxInt32  // of a block: Bitcoin Core counts them in an int
	maxText    = 4096           // bytes of a text that is no hash
)

// Receipt is a [*V2] or a [*V4].
type Receipt interface {
	// Version is 2 or 4.
	Version() int

	// Digest is the SHA-256 of the file that the receipt is about.
	Digest() [32]byte

	// Marshal writes the receipt as indented JSON with a newline at its end.
	Marshal() ([]byte, error)

	// claims returns what the receipt says of Bitcoin's blocks, each claim checked from the target up to the Merkle root.
	claims(ctx context.Context, src proof.HeaderSource) ([]claim, error)
}

// SyntaxError says where and why bytes are not a receipt. It wraps [proof.ErrUnsupported] if the bytes
// may be a receipt that only another program reads.
type SyntaxError struct {
	Member      string // which one, as in "anchors[1].tx"; empty when the whole is meant
	Reason      string // what was found, and what is allowed
	Unsupported bool   // the bytes may be a receipt that another program reads
}

func (e *SyntaxError) Error() string {
	what := "malformed receipt"
	if e.Unsupported {
		what = "the receipt cannot be read"
	}
	if e.Member == "" {
		return what + ": " + e.Reason
	}
	return fmt.Sprintf("%s at %s: %s", what, e.Member, e.Reason)
}

// Unwrap returns proof.ErrUnsupported if that is what the error is.
func (e *SyntaxError) Unwrap() error {
	if e.Unsupported {
		return proof.ErrUnsupported
	}
	return nil
}

// Parse reads a receipt of version 2 or 4. Errors are of type [*SyntaxError].
func Parse(b []byte) (Receipt, error) {
	if len(b) > MaxSize {
		return nil, &SyntaxError{Reason: fmt.Sprintf("%d bytes, a receipt has at most %d", len(b), MaxSize)}
	}
	if !utf8.Valid(b) {
		// The binary form is MessagePack, compressed.
		return nil, &SyntaxError{Reason: "this is no text: a receipt is JSON; a binary Chainpoint proof (.chp) must be converted first"}
	}
	top, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	context, err := top.context()
	if err != nil {
		return nil, err
	}
	switch context {
	case contextV2:
		return parseV2(top)
	case contextV4:
		return parseV4(top)
	}
	fail := top.member("@context").fail
	if strings.HasPrefix(context, contextsOfChainpoint) {
		fail = top.member("@context").unsupported
	}
	return nil, fail("found %q, which is not read here: allowed are %s and %s", clip(context), contextV2, contextV4)
}

// contextsOfChainpoint is how the contexts of all versions of Chainpoint begin.
const contextsOfChainpoint = "https://w3id.org/chainpoint/"

// LooksLike reports whether bytes begin as a receipt does, well-formed or not, rather than as an .ots file does: as a JSON object.
func LooksLike(b []byte) bool {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// SaysSo reports whether text that is no receipt names Chainpoint, as the receipts of all versions do:
// it is a damaged receipt then, and otherwise a document that happens to be JSON.
func SaysSo(b []byte) bool {
	return bytes.Contains(bytes.ToLower(b), []byte("chainpoint"))
}

// claim is what one anchor says: this transaction is in the block at this height, if its Merkle root is this.
type claim struct {
	anchor     string // its type
	height     uint64
	merkleRoot [32]byte // internal byte order
	txid       [32]byte // internal byte order
}

// Result is what a receipt is worth.
type Result struct {
	// Outcome is valid, invalid, pending (its transaction waits to be mined), "no block" (the source knows no block of that height, or none with
	// the transaction), or unchecked: nothing is wrong with it as far as one can tell from headers alone.
	Outcome proof.Outcome
	Reason  string // unless valid: why, in words
	Needed  string // when "no block" or unchecked: what it takes to verify the receipt
	Missing uint64 // when "no block": the height that the source has none of; 0 when only the transaction is missing

	// When valid:
	Header proof.Header // the lowest block that attests it
	Anchor string       // the type of the anchor that was proven: BTCBlockHeader, BTCOpReturn or btc
	TxID   [32]byte     // of the transaction, internal byte order
	Seal   *Seal        // who signed the digest; nil when nobody did
}

// Verify says whether the receipt shows that the file with this digest existed before some Bitcoin block. Everything that the receipt
// says must hold: an anchor that fails makes all of it invalid, whatever the others prove. An error means that the source could not
// answer, and says nothing of the receipt.
func Verify(ctx context.Context, r Receipt, digest [32]byte, src proof.HeaderSource) (Result, error) {
	if about := r.Digest(); about != digest {
		return invalid("the receipt is about another file: one with sha256 %x, this one has %x", about, digest), nil
	}
	result := Result{Outcome: proof.OutcomeValid}
	if v2, ok := r.(*V2); ok && v2.Seal != nil {
		if err := v2.Seal.check(v2.TargetHash); err != nil {
			return invalid("the seal is not right: %v", err), nil
		}
		result.Seal = v2.Seal
	}

	claims, err := r.claims(ctx, src)
	var unfit *unfitError
	switch {
	case errors.As(err, &unfit):
		return Result{Outcome: unfit.outcome, Reason: unfit.reason, Needed: needed(r, unfit.outcome)}, nil
	case err != nil:
		return Result{}, err
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(a.height, b.height) })
	for i, c := range claims {
		h, err := src.Header(ctx, c.height)
		switch {
		case errors.Is(err, proof.ErrTooHigh):
			return invalid("the receipt names Bitcoin block %d, which is above the highest one that there can be by now", c.height), nil
		case errors.Is(err, proof.ErrNoHeader):
			return Result{Outcome: proof.OutcomeNoBlock, Missing: c.height, Needed: fmt.Sprintf("block headers up to block %d", c.height),
				Reason: fmt.Sprintf("the receipt names Bitcoin block %d, which is above the highest one known here", c.height)}, nil
		case err != nil:
			return Result{}, fmt.Errorf("the header of block %d cannot be had: %w", c.height, err)
		case h.MerkleRoot != c.merkleRoot:
			return invalid("Bitcoin block %d has the Merkle root %s, the receipt leads to %s", c.height, displayed(h.MerkleRoot), displayed(c.merkleRoot)), nil
		}
		if i == 0 {
			h.Height = c.height
			result.Header, result.Anchor, result.TxID = h, c.anchor, c.txid
		}
	}
	return result, nil
}

// needed says what it takes to verify a receipt that is unchecked.
func needed(r Receipt, o proof.Outcome) string {
	v2, ok := r.(*V2)
	switch {
	case o != proof.OutcomeUnchecked:
		return ""
	case ok && v2.anchor(BTCOpReturn) != nil:
		return "a full node with all transactions: bitcoind with txindex=1, named with --node"
	}
	return "a program that verifies anchors of these types"
}

// unfitError says that a receipt does not prove anything, and why.
type unfitError struct {
	outcome proof.Outcome
	reason  string
}

func (e *unfitError) Error() string { return e.reason }

// refuse makes the receipt invalid.
func refuse(format string, args ...any) error {
	return &unfitError{proof.OutcomeInvalid, fmt.Sprintf(format, args...)}
}

// cannotTell leaves open what the receipt is worth.
func cannotTell(format string, args ...any) error {
	return &unfitError{proof.OutcomeUnchecked, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) Result {
	return Result{Outcome: proof.OutcomeInvalid, Reason: fmt.Sprintf(format, args...)}
}

// TxSource finds transactions in Bitcoin's chain, as a full node with an index of them does. A [proof.HeaderSource] that is one as well
// can verify receipts that name their transaction and do not hold it, as Woleet's are. Nothing that it answers is believed.
type TxSource interface {
	// Transaction returns the transaction of that id (internal byte order) and its place in the chain, an error that wraps [ErrNoTx] or
	// [ErrUnmined] when it is in no block, or another one when it cannot say.
	Transaction(ctx context.Context, txid [32]byte) (Tx, error)
}

var (
	// ErrNoTx says that the chain has no such transaction, as far as the source knows.
	ErrNoTx = errors.New("no such transaction in a block")

	// ErrUnmined says that there is such a transaction, and that it waits to be mined.
	ErrUnmined = errors.New("the transaction waits to be mined")
)

// Tx is a transaction in a block.
type Tx struct {
	Raw    []byte     // serialized without witnesses
	Height uint64     // of its block
	Index  uint32     // its place in the block
	Branch [][32]byte // its siblings in the block's Merkle tree, as [proof.BlockBranch] returns them
}

// commitment checks that the transaction's first OP_RETURN holds the root, whole, and returns the transaction's id.
func commitment(tx []byte, root [32]byte) (txid [32]byte, err error) {
	txid = proof.TxID(tx)
	at, err := proof.FirstCommitment(tx)
	if err != nil {
		return txid, refuse("transaction %s: %v", displayed(txid), err)
	}
	if [32]byte(tx[at:]) != root {
		return txid, refuse("transaction %s commits to %x in its first OP_RETURN, the receipt leads to %x", displayed(txid), tx[at:at+32], root)
	}
	return txid, nil
}

// displayed shows a hash as Bitcoin's people are used to see it.
func displayed(h [32]byte) string {
	slices.Reverse(h[:])
	return fmt.Sprintf("%x", h)
}
