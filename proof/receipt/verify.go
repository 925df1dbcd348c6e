package receipt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"ancre/proof"
)

// claim is what one anchor says: this transaction is in the block at this height, provided that the
// block has this Merkle root.
type claim struct {
	anchor     string // its type
	height     uint64
	merkleRoot [32]byte // internal byte order
	txid       [32]byte // internal byte order
}

// claims is what all anchors of a receipt say.
type claims struct {
	bitcoin   []claim
	unchecked []string // the anchors that cannot be checked here: each in words
}

// Result is the outcome of verifying a receipt.
type Result struct {
	// Outcome is valid, invalid, pending (its transaction waits to be mined), "no block" (the
	// source knows no block of that height, or none with the transaction), or unchecked: nothing is
	// wrong with it as far as one can tell from headers alone.
	Outcome proof.Outcome
	Reason  string // unless valid: why, in words
	Needed  string // when "no block" or unchecked: what it takes to verify the receipt
	Missing uint64 // when "no block": the height that the source has none of; 0 when only the transaction is missing
	NeedsTx bool   // when unchecked: a source that is a [TxSource] could verify it

	// When valid:
	Header proof.Header // the lowest block that attests it
	Anchor string       // the type of the anchor that was proven: BTCBlockHeader, BTCOpReturn or btc
	TxID   [32]byte     // of the transaction, internal byte order
	Seal   *Seal        // who signed the digest; nil when nobody did

	// Warnings are sentences about what of a valid receipt was not checked. They never change the
	// outcome.
	Warnings []string
}

// Verify checks whether the receipt shows that the file with this digest existed before some
// Bitcoin block. Every anchor that can be checked must hold: one that fails makes the receipt
// invalid, whatever the others prove. The warnings name those that cannot be checked. An error
// means that the source could not answer; it says nothing about the receipt.
func Verify(ctx context.Context, r Receipt, digest [32]byte, src proof.HeaderSource) (Result, error) {
	if about := r.Digest(); about != digest {
		return invalid("the receipt is about another file: one with sha256 %x, this one has %x", about, digest), nil
	}
	seal, target := r.seal()
	if seal != nil {
		if err := seal.check(target); err != nil {
			return invalid("the seal is not right: %v", err), nil
		}
	}
	found, err := r.claims(ctx, src)
	var unfit *unfitError
	switch {
	case errors.As(err, &unfit):
		result := Result{Outcome: unfit.outcome, Reason: unfit.reason}
		if unfit.outcome == proof.OutcomeUnchecked {
			result.Needed, result.NeedsTx = needed(r)
		}
		return result, nil
	case err != nil:
		return Result{}, err
	}
	result, err := judgeClaims(ctx, found.bitcoin, src)
	if err != nil || result.Outcome != proof.OutcomeValid {
		return result, err
	}
	result.Seal = seal
	for _, a := range found.unchecked {
		result.Warnings = append(result.Warnings, "not checked: "+a)
	}
	if seal != nil {
		result.Warnings = append(result.Warnings, "not checked: "+seal.unchecked())
	}
	return result, nil
}

// judgeClaims compares each claim with the header of its block.
func judgeClaims(ctx context.Context, list []claim, src proof.HeaderSource) (Result, error) {
	var result Result
	var missing []uint64
	slices.SortStableFunc(list, func(a, b claim) int { return cmp.Compare(a.height, b.height) })
	for _, c := range list {
		h, err := src.Header(ctx, c.height)
		switch {
		case errors.Is(err, proof.ErrTooHigh):
			return invalid("the receipt names Bitcoin block %d, which is above the highest one that there can be by now", c.height), nil
		case errors.Is(err, proof.ErrNoHeader):
			missing = append(missing, c.height)
			continue
		case err != nil:
			return Result{}, fmt.Errorf("cannot get the header of block %d: %w", c.height, err)
		case h.MerkleRoot != c.merkleRoot:
			return invalid("Bitcoin block %d has the Merkle root %s, the receipt leads to %s", c.height, displayed(h.MerkleRoot), displayed(c.merkleRoot)), nil
		}
		if result.Outcome == "" {
			h.Height = c.height
			result.Outcome, result.Header, result.Anchor, result.TxID = proof.OutcomeValid, h, c.anchor, c.txid
		}
	}
	for _, height := range slices.Compact(missing) {
		reason := fmt.Sprintf("the receipt names Bitcoin block %d, which is above the highest one known here", height)
		if result.Outcome == "" {
			return Result{Outcome: proof.OutcomeNoBlock, Missing: height, Needed: fmt.Sprintf("block headers up to block %d", height), Reason: reason}, nil
		}
		result.Warnings = append(result.Warnings, "not checked: "+reason)
	}
	return result, nil
}

// needed says what it takes to verify a receipt that is unchecked, and whether that is its
// transaction.
func needed(r Receipt) (what string, tx bool) {
	_, v1 := r.(*V1)
	v2, ok := r.(*V2)
	if v1 || ok && v2.anchor(BTCOpReturn) != nil {
		return "a full node with all transactions: bitcoind with txindex=1", true
	}
	return "a program that verifies anchors of these types", false
}

// unfitError is the reason why a receipt proves nothing.
type unfitError struct {
	outcome proof.Outcome
	reason  string
}

func (e *unfitError) Error() string { return e.reason }

// refuse makes the receipt invalid.
func refuse(format string, args ...any) error {
	return &unfitError{proof.OutcomeInvalid, fmt.Sprintf(format, args...)}
}

// cannotTell returns an error that leaves the outcome open.
func cannotTell(format string, args ...any) error {
	return &unfitError{proof.OutcomeUnchecked, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) Result {
	return Result{Outcome: proof.OutcomeInvalid, Reason: fmt.Sprintf(format, args...)}
}

// TxSource finds transactions in Bitcoin's chain, as a full node with a transaction index does. If
// a [proof.HeaderSource] implements it too, receipts can be verified that name their transaction
// and do not hold it, as Woleet's do. Its answers are checked against the header.
type TxSource interface {
	// Transaction returns the transaction of that id (internal byte order) and its place in the
	// chain, an error that wraps [ErrNoTx] or [ErrUnmined] when it is in no block, or another one
	// when it cannot say.
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
