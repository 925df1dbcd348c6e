package verify

import (
	"context"
	"errors"

	"ancre/proof"
	"ancre/proof/receipt"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// Receipt says what a receipt is worth for the file with this digest. It asks no calendar: there
// are no pending receipts. It returns an error only if ctx has ended.
func (v *Verifier) Receipt(ctx context.Context, rec receipt.Receipt, digest [32]byte) (Verdict, error) {
	var verdict Verdict
	result, err := receipt.Verify(ctx, rec, digest, v.source.withTransactions())
	if err == nil {
		verdict.Outcome, verdict.Reason = result.Outcome, result.Reason
	}
	if concluded := v.conclude(ctx, &verdict, result.Header, err); concluded != nil || verdict.SourceFailed {
		if errors.As(err, &transactionError{}) {
			verdict.Needed = "a bitcoind that has all transactions (txindex=1)" + hint(", ", v.hints.Node)
		}
		return verdict, concluded
	}
	verdict.Warnings = append(verdict.Warnings, result.Warnings...)
	switch {
	case verdict.Outcome == proof.OutcomePending: // by the judgment of a window
	case result.Outcome == proof.OutcomeValid:
		verdict.Complete = true
		verdict.TxID, verdict.Anchor, verdict.Seal = chainhash.Hash(result.TxID), result.Anchor, result.Seal
	case result.Outcome == proof.OutcomeUnchecked:
		needed := result.Needed
		if result.NeedsTx {
			needed += hint(", ", v.hints.Node)
		}
		verdict.markUnverifiable(result.Reason, needed)
	case result.Outcome == proof.OutcomeNoBlock && result.Missing != 0:
		v.markMissing(ctx, result.Missing, result.Reason, result.Needed, &verdict)
	default: // or its transaction is in no block of a node that has them all
		verdict.Outcome = proof.OutcomeInvalid
	}
	return verdict, nil
}
