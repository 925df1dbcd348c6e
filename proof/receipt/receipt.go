// Package receipt builds Chainpoint receipts of versions 2 and 4, and reads and verifies those of
// versions 1 to 5: the same proofs as .ots files, as JSON that Woleet's and Chainpoint's tools
// read.
//
// A receipt of version 2 is what Woleet's tools exchange: https://chainpoint.org as of 2016, with
// Woleet's signature extension (https://doc.woleet.io/docs/signature-proofs). Version 4 is
// described by the schema chainpoint-proof-json-schema. What this package builds is accepted by
// @woleet/woleet-weblibs 0.11 and chainpoint-validate 2.3 (version 2) and by chainpoint-parse 5
// (version 4); equal receipts are equal bytes. Both promises hold for good.
//
// Reading is strict. A receipt is evidence, and a reader that guesses can be led to another
// conclusion than the next one: each hash is 64 lower-case digits, since verifiers compare text;
// nothing stands in it twice; and no member is skipped that is not understood, because it could
// change what the receipt proves, as the member "signature" does.
//
// Everything is a pure function of its arguments, as in package proof. What a receipt needs from
// outside comes from the caller's [proof.HeaderSource], and from its [TxSource] where the receipt
// does not hold its transaction.
package receipt

import (
	"bytes"
	"context"
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

// Receipt is a [*V1], a [*V2] or a [*V4]. The last stands for the versions 3 and 5 too.
type Receipt interface {
	// Version is 1 to 5.
	Version() int

	// Digest is the SHA-256 of the file that the receipt is about.
	Digest() [32]byte

	// Marshal writes the receipt as indented JSON with a newline at its end.
	Marshal() ([]byte, error)

	// seal is who signed the digest, and what of the seal is anchored; nil when nobody did.
	seal() (s *Seal, target [32]byte)

	// claims returns what the receipt says of Bitcoin's blocks, each claim checked from the target
	// up to the Merkle root.
	claims(ctx context.Context, src proof.HeaderSource) (claims, error)
}

// SyntaxError says where and why bytes are not a receipt. It wraps [proof.ErrUnsupported] if the
// bytes may be a receipt that only another program reads.
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

// Parse reads a receipt of version 1 to 5. Errors are of type [*SyntaxError].
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
	if top.has("header") && top.has("target") && !top.has("@context") {
		return parseV1(top)
	}
	context, err := top.context()
	if err != nil {
		return nil, err
	}
	switch context {
	case contextV2:
		return parseV2(top)
	case contextV3, contextV4, contextV5:
		return parseV4(top, context)
	}
	fail := top.member("@context").fail
	if strings.HasPrefix(context, contextsOfChainpoint) {
		fail = top.member("@context").unsupported
	}
	return nil, fail("found %q, which is not read here: allowed are %s, and v3, v4 and v5 instead of v2", clip(context), contextV2)
}

// contextsOfChainpoint is how the contexts of all versions of Chainpoint begin.
const contextsOfChainpoint = "https://w3id.org/chainpoint/"

// LooksLike reports whether b begins like a receipt, well-formed or not, and not like an .ots file:
// as a JSON object does.
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

// NamesChainpoint reports whether text that is not a receipt names Chainpoint, as the receipts of
// all versions do. Such text is a damaged receipt; other text is a document that happens to be
// JSON.
func NamesChainpoint(b []byte) bool {
	return bytes.Contains(bytes.ToLower(b), []byte("chainpoint"))
}

// commitment checks that the transaction's first OP_RETURN holds the root, whole, and returns the
// transaction's id.
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

// displayed returns a hash as Bitcoin's programs display it, reversed.
func displayed(h [32]byte) string {
	slices.Reverse(h[:])
	return fmt.Sprintf("%x", h)
}
