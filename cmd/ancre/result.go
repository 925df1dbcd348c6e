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

// outcome is the result of one file.
type outcome string

const (
	stamped  outcome = "stamped"  // a proof was written: new, or with something new in it
	already  outcome = "already"  // there was a proof that says the same
	skipped  outcome = "skipped"  // it is a proof itself
	complete outcome = "complete" // the proof names its block
	pruned   outcome = "pruned"   // the proof holds no more than it needs
	pending  outcome = "pending"
	valid    outcome = "valid"
	invalid  outcome = "invalid"
	failed   outcome = "failed" // there is no answer: the reason says why

	// unverifiable means that it cannot be checked here: nothing contradicts it as far as one can
	// tell.
	unverifiable outcome = "unverifiable"
)

// fileResult is what is printed about one file. With --json it is one line, as it is.
type fileResult struct {
	File      string `json:"file,omitempty"`       // as it was named; "-" is standard input
	ProofFile string `json:"proof_file,omitempty"` // "-" is standard input or output

	// The exact names in base64, if they are not UTF-8.
	FileBytes      string `json:"file_bytes,omitempty"`
	ProofFileBytes string `json:"proof_file_bytes,omitempty"`

	// Of a file that has changed since it was stamped: where its earlier proof is kept.
	EarlierProof      string `json:"earlier_proof,omitempty"`
	EarlierProofBytes string `json:"earlier_proof_bytes,omitempty"`

	Hash     string  `json:"hash,omitempty"` // of the digest, when it is not sha256
	Digest   string  `json:"digest,omitempty"`
	Result   outcome `json:"result"`
	Reason   string  `json:"reason,omitempty"`   // in words, when something is wrong or missing
	Needed   string  `json:"needed,omitempty"`   // when unverifiable: what it takes to check it
	Complete bool    `json:"complete,omitempty"` // the proof names a block

	// Where the digest is, if the daemon was asked.
	State         string     `json:"state,omitempty"`
	Batch         uint64     `json:"batch,omitempty"`
	TxID          string     `json:"txid,omitempty"`
	Height        uint64     `json:"height,omitempty"`
	BlockHash     string     `json:"blockhash,omitempty"`
	BlockTime     *time.Time `json:"blocktime,omitempty"`
	Confirmations int32      `json:"confirmations,omitempty"` // blocks, its own included

	// Of a valid or pending proof: what it does not show, or what was not checked, in sentences.
	Warnings []string `json:"warnings,omitempty"`

	// Of a valid proof: whose word that is. Of any proof, with -v: the steps.
	Headers *verify.Trust      `json:"headers,omitempty"`
	Path    *proof.Explanation `json:"path,omitempty"`

	// Of a valid receipt: which of its anchors was proven, and who sealed it.
	Anchor string      `json:"anchor,omitempty"`
	Seal   *sealResult `json:"seal,omitempty"`

	// What calendars answered, if they were asked.
	Calendars []verify.Answer `json:"calendars,omitempty"`

	Proof []byte `json:"proof,omitempty"` // base64 of a proof that was not written to a file

	// The reason is that the source of block headers did not answer.
	sourceFailed bool
	left         leftKind // with -r: what it is that was left out
	tree         *tree    // that holds both files; nil if the user named them
}

// fillNames makes text of the names and of the reason, for JSON.
func (r *fileResult) fillNames() {
	fillName(&r.File, &r.FileBytes)
	fillName(&r.ProofFile, &r.ProofFileBytes)
	fillName(&r.EarlierProof, &r.EarlierProofBytes)
	r.Reason = printable.Name(r.Reason)
}

// fail makes it a failure.
func (r *fileResult) fail(err error) {
	r.Result, r.Reason, r.Complete = failed, err.Error(), false
}

// unverifiableError says why something cannot be checked or made here, and what that needs.
type unverifiableError struct{ reason, needed string }

func (e unverifiableError) Error() string { return e.reason }

// setError fills in what an error means: unverifiable if nothing contradicts the proof, failed
// otherwise.
func (r *fileResult) setError(err error) {
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

// unverifiable says why it cannot be checked here, and what a check needs.
func (r *fileResult) unverifiable(reason, needed string) {
	r.Result, r.Reason, r.Needed, r.Complete = unverifiable, reason, needed, false
}

// about fills in which digest it is about.
func (r *fileResult) about(op proof.Tag, digest []byte) {
	r.Digest = hex.EncodeToString(digest)
	if r.Hash = op.String(); op == proof.SHA256 {
		r.Hash = ""
	}
}

// at fills in where the daemon has the digest.
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
		r.Seal = &sealResult{Address: s.PubKey, Identity: s.SignedIdentity, IssuerDomain: s.SignedIssuerDomain}
	}
}

// block puts the block of a valid result into words, and whose word that is.
func (r *fileResult) block() string {
	return fmt.Sprintf("Bitcoin block %s, mined about %s, %s of work on top, %s",
		humanize.Count(r.Height), humanize.Time(*r.BlockTime), humanize.Plural(r.Confirmations-1, "block", "blocks"), r.Headers.Words)
}

// name is how a person knows the result: the name of the proof or of the file.
func (r *fileResult) name() string {
	if r.ProofFile != "" && r.ProofFile != "-" {
		return shown(r.ProofFile)
	}
	if r.File == "-" || r.File == "" {
		return "standard input"
	}
	return shown(r.File)
}

// exit returns the exit status of a result.
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

// worse returns the exit status that counts: failed before unverifiable before pending before done.
func worse(a, b int) int {
	if a == exitFailed || b == exitFailed {
		return exitFailed
	}
	return max(a, b)
}
