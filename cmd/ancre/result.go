package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/proof"
	"ancre/rpc"
	"ancre/verify"
)

// outcome is what became of one file.
type outcome string

const (
	stamped  outcome = "stamped"  // a proof was written: new, or with something new in it
	already  outcome = "already"  // there was a proof that says as much
	skipped  outcome = "skipped"  // it is a proof itself
	complete outcome = "complete" // the proof names its block
	pruned   outcome = "pruned"   // the proof holds no more than it needs
	pending  outcome = "pending"
	valid    outcome = "valid"
	invalid  outcome = "invalid"
	failed   outcome = "failed" // nothing can be said: the reason tells why

	// unverifiable says that it cannot be checked here: nothing is wrong with it as far as one can
	// tell.
	unverifiable outcome = "unverifiable"
)

// fileResult is what is told of one file: with --json as it is, on a line.
type fileResult struct {
	File      string `json:"file,omitempty"`       // as it was named; "-" is standard input
	ProofFile string `json:"proof_file,omitempty"` // "-" is standard input or output

	// The exact names in base64, when they are no UTF-8.
	FileBytes      string `json:"file_bytes,omitempty"`
	ProofFileBytes string `json:"proof_file_bytes,omitempty"`

	Hash     string  `json:"hash,omitempty"` // of the digest, when it is not sha256
	Digest   string  `json:"digest,omitempty"`
	Result   outcome `json:"result"`
	Reason   string  `json:"reason,omitempty"`   // in words, when something is wrong or missing
	Needed   string  `json:"needed,omitempty"`   // when unverifiable: what it takes to check it
	Complete bool    `json:"complete,omitempty"` // the proof names a block

	// Where the digest is, as far as the daemon was asked.
	State         string     `json:"state,omitempty"`
	Batch         uint64     `json:"batch,omitempty"`
	TxID          string     `json:"txid,omitempty"`
	Height        uint64     `json:"height,omitempty"`
	BlockHash     string     `json:"blockhash,omitempty"`
	BlockTime     *time.Time `json:"blocktime,omitempty"`
	Confirmations int32      `json:"confirmations,omitempty"` // blocks, its own included

	// Of a valid or pending proof: what it does not show, or what was not checked. In sentences.
	Warnings []string `json:"warnings,omitempty"`

	// Of a valid proof: whose word that is. Of any, when asked: the steps.
	Headers *verify.Trust      `json:"headers,omitempty"`
	Path    *proof.Explanation `json:"path,omitempty"`

	// Of a valid receipt: which of its anchors was proven, and who sealed it.
	Anchor string    `json:"anchor,omitempty"`
	Seal   *sealTold `json:"seal,omitempty"`

	// What other calendars said, as far as they were asked.
	Calendars []verify.Answer `json:"calendars,omitempty"`

	Proof []byte `json:"proof,omitempty"` // base64 of a proof that was not written to a file

	// The source of block headers did not answer: that is the reason.
	sourceFailed bool
	tree         *tree // in which both files are; nil when they were named
}

// fillNames makes the names and the reason text, for JSON.
func (r *fileResult) fillNames() {
	fillName(&r.File, &r.FileBytes)
	fillName(&r.ProofFile, &r.ProofFileBytes)
	r.Reason = printable.Name(r.Reason)
}

// fail makes it a failure.
func (r *fileResult) fail(err error) {
	r.Result, r.Reason, r.Complete = failed, err.Error(), false
}

// unverifiableError says that something cannot be checked or made here, and what it takes.
type unverifiableError struct{ reason, needed string }

func (e unverifiableError) Error() string { return e.reason }

// settle makes it what an error means: unverifiable where nothing is wrong with it, else failed.
func (r *fileResult) settle(err error) {
	var cannot unverifiableError
	var none noProofError
	switch {
	case errors.As(err, &cannot):
		r.unverifiable(cannot.reason, cannot.needed)
	case errors.Is(err, proof.ErrUnsupported):
		r.unverifiable(err.Error(), newerProgram)
	case errors.As(err, &none):
		r.unverifiable(err.Error(), itsProof)
	default:
		r.fail(err)
	}
}

// unverifiable says that it cannot be checked here, why, and what it takes.
func (r *fileResult) unverifiable(reason, needed string) {
	r.Result, r.Reason, r.Needed, r.Complete = unverifiable, reason, needed, false
}

// about says which digest it is about.
func (r *fileResult) about(op proof.Tag, digest []byte) {
	r.Digest = hex.EncodeToString(digest)
	if r.Hash = op.String(); op == proof.SHA256 {
		r.Hash = ""
	}
}

// at says where the daemon has the digest.
func (r *fileResult) at(e rpc.Entry) {
	r.State, r.Batch, r.TxID = e.State, e.Batch, e.TxID
	r.Height, r.BlockHash, r.BlockTime, r.Confirmations = uint64(max(e.Height, 0)), e.BlockHash, e.BlockTime, e.Confirmations
}

// judge fills in the verdict on a proof or a receipt.
func (r *fileResult) judge(v verify.Verdict) {
	if v.Entry != nil {
		r.at(*v.Entry)
	}
	r.Result, r.Reason, r.Needed, r.Warnings = outcome(v.Outcome), v.Reason, v.Needed, v.Warnings
	r.Complete, r.Headers, r.Calendars, r.sourceFailed = v.Complete, v.Trust, v.Answers, v.SourceFailed
	if b := v.Block; b != nil {
		r.Height, r.BlockHash, r.BlockTime, r.Confirmations = b.Height, b.Hash.String(), &b.Time, int32(b.OnTop+1)
	}
	if v.Anchor != "" {
		r.TxID, r.Anchor = v.TxID.String(), v.Anchor
	}
	if s := v.Seal; s != nil {
		r.Seal = &sealTold{Address: s.PubKey, Identity: s.SignedIdentity, IssuerDomain: s.SignedIssuerDomain}
	}
}

// block is the block that a valid result names, and what stands behind it.
func (r *fileResult) block() string {
	return fmt.Sprintf("Bitcoin block %s, mined about %s, %s of work on top, %s",
		humanize.Count(r.Height), humanize.Time(*r.BlockTime), humanize.Plural(r.Confirmations-1, "block", "blocks"), r.Headers.Words)
}

// name is what a person calls it.
func (r *fileResult) name() string {
	if r.ProofFile != "" && r.ProofFile != "-" {
		return shown(r.ProofFile)
	}
	if r.File == "-" || r.File == "" {
		return "standard input"
	}
	return shown(r.File)
}

// exit returns the exit status that a result calls for.
func (r *fileResult) exit() int {
	switch r.Result {
	case failed, invalid:
		return exitFailed
	case unverifiable:
		return exitUnverifiable
	case pending:
		return exitPending
	}
	return exitDone
}

// worse returns the exit status that says more: invalid or failed before unverifiable before
// pending before done.
func worse(a, b int) int {
	if a == exitFailed || b == exitFailed {
		return exitFailed
	}
	return max(a, b)
}
