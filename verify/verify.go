// Package verify says whether a proof is true, and by whose word.
//
// A proof or a receipt and the digest of a file go in, and a [Verdict] comes out: valid, pending,
// invalid, or unverifiable, which means that it cannot be checked here. A valid verdict names the
// Bitcoin block before which the file existed, the block's time, and whose word that is: see
// [Trust].
//
// Verification needs Bitcoin's block headers. They come from a [Source]: an ancred
// ([DaemonSource]), a bitcoind ([NodeSource]), a file of all headers ([FileSource]) or a window of
// some ([WindowSource]). The light client is a package of its own, verify/lightclient, so that
// programs which do not need it do not link it.
//
// A pending proof may be complete by now, at the daemon or at a calendar. A [Verifier] with
// [Calendars] asks them before its verdict; a [Completer] asks them for a complete proof to keep.
// They contact only calendars that the caller allows, whatever address a proof names.
//
// The package verifies what it is given. It opens no file, prints nothing and reads no flag. Its
// rules are those of [proof.Verify] and [receipt.Verify]. Texts are English sentences for people; a
// program decides by the fields beside them.
package verify

import (
	"context"
	"fmt"
	"time"

	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
)

// Config says how a [Verifier] verifies.
type Config struct {
	// Source gives the block headers.
	Source Source

	// Params are the parameters of the source's network; nil means mainnet.
	Params *chaincfg.Params

	// Daemon is asked where the digest of a pending proof is. If nil, no daemon is asked.
	Daemon Daemon

	// Calendars are asked for what a pending proof waits for, and so is Daemon before them. If nil,
	// neither is.
	Calendars *Calendars

	// Hints end sentences of verdicts: see there.
	Hints Hints
}

// Hints are what a person can do about a verdict, in the words of the caller's own interface. An
// empty hint is left out.
type Hints struct {
	OtherSource string // how to name another source of headers: "use --spv or --node URL"
	Upgrade     string // what writes the completed proof: `"ancre upgrade"`
	Node        string // how to name a bitcoind: "named with --node"
}

// Verifier verifies proofs and receipts against the headers of one source. It remembers the
// source's newest block and its failure, so make a new Verifier for each run. It is safe for
// concurrent use.
type Verifier struct {
	source    *cachedSource
	trust     Trust
	daemon    Daemon
	calendars *Calendars
	hints     Hints
}

// New returns a verifier. It sends nothing yet.
func New(c Config) *Verifier {
	v := &Verifier{source: newCachedSource(c.Source, c.Params), trust: c.Source.Trust(), daemon: c.Daemon, calendars: c.Calendars, hints: c.Hints}
	if name := v.source.params.Name; name != chaincfg.MainNetParams.Name {
		v.trust.Warning += " " + name + " is a test network, and proves nothing outside of tests."
	}
	return v
}

// Trust says whose word the verdicts are.
func (v *Verifier) Trust() Trust { return v.trust }

// Failure returns why the source cannot be asked, or nil if it has not failed.
func (v *Verifier) Failure() error { return v.source.failure() }

// Verdict is what a proof or a receipt is worth.
type Verdict struct {
	// Outcome is valid, pending, invalid or unverifiable.
	Outcome proof.Outcome

	// Reason says in words why it is not valid. A valid verdict has one only if there is something
	// to do all the same.
	Reason string

	// Needed says what a check needs, if it is unverifiable.
	Needed string

	// Warnings are sentences about what a valid or pending proof does not show, or what was not
	// checked. They never change the outcome.
	Warnings []string

	Block *Block // when valid: the lowest block before which the file existed
	Trust *Trust // when valid: whose word that is

	// Complete reports that the valid proof names its block itself. If false, the daemon or a
	// calendar completed it for this verdict, and would be needed again.
	Complete bool

	// Proof is the proof that the verdict is about: the one that was given, or if they made it
	// valid, that one with what the daemon and calendars added. It is nil for receipts.
	Proof *proof.File

	// Result says what became of each attestation of Proof. It is empty if the source failed.
	Result proof.Result

	// Entry is where the daemon has the digest of a pending proof. It is nil if the daemon was not
	// asked, or does not know it.
	Entry *rpc.Entry

	// Answers are those of the calendars that were asked.
	Answers []Answer

	TxID   chainhash.Hash // of a valid receipt: its transaction
	Anchor string         // of a valid receipt: the type of the anchor that was proven
	Seal   *receipt.Seal  // of a valid receipt: who signed the digest; nil if it is not sealed

	// SourceFailed reports that it is unverifiable because the source of headers could not answer.
	SourceFailed bool
}

// Block is the Bitcoin block of a valid verdict.
type Block struct {
	Height uint64
	Hash   chainhash.Hash
	Time   time.Time // that its miner claims, in UTC: it may be off by some hours
	OnTop  int64     // how many blocks are on top of it
}

// EnoughOnTop is how many blocks of work should be on top of a block: with its own they are six
// confirmations. A valid verdict with fewer says that a reorganisation could undo it.
const EnoughOnTop = 5

// conclude finishes a verdict that has an outcome, or an error instead. It returns an error only if
// ctx has ended.
func (v *Verifier) conclude(ctx context.Context, verdict *Verdict, header proof.Header, err error) error {
	if err == nil && verdict.Outcome == proof.OutcomeValid {
		err = v.markValid(ctx, header, verdict)
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		v.markSourceFailed(verdict, err)
	}
	return nil
}

// markValid marks the verdict valid as of this header, which the source gave. It keeps a reason
// that is there, in front of its own.
func (v *Verifier) markValid(ctx context.Context, header proof.Header, verdict *Verdict) error {
	onTop, tip, err := v.source.onTop(ctx, int64(header.Height))
	if err != nil {
		return err
	}
	trust := v.trust
	trust.Tip = tip
	verdict.Trust = &trust
	if v.source.part != nil {
		if onTop, err = v.source.part.judge(header.Height, verdict); err != nil || verdict.Outcome != proof.OutcomeValid {
			verdict.Trust = nil
			return err
		}
	}
	verdict.Block = &Block{Height: header.Height, Hash: chainhash.Hash(header.Hash), Time: header.Time.UTC(), OnTop: onTop}
	if onTop < EnoughOnTop && v.source.part == nil {
		few := fmt.Sprintf("few blocks are on top, so a reorganisation could still undo it: verify again when there are %d", EnoughOnTop)
		if verdict.Reason != "" {
			few = verdict.Reason + "; " + few
		}
		verdict.Reason = few
	}
	return nil
}

// markUnverifiable says why it cannot be checked here, and what a check needs.
func (verdict *Verdict) markUnverifiable(reason, needed string) {
	verdict.Outcome, verdict.Reason, verdict.Needed = proof.OutcomeUnverifiable, reason, needed
	verdict.Complete = false
}

// markSourceFailed says that it cannot be checked because the source could not answer.
func (v *Verifier) markSourceFailed(verdict *Verdict, err error) {
	verdict.markUnverifiable(err.Error(), "block headers from a source that answers"+hint(": ", v.hints.OtherSource))
	verdict.SourceFailed = true
}

// markMissing says that the source lacks the block at height, and that nothing else is wrong.
func (v *Verifier) markMissing(ctx context.Context, height uint64, reason, needed string, verdict *Verdict) {
	if v.source.part != nil {
		// The block may be below what the source has.
		reason, needed = fmt.Sprintf("the proof names Bitcoin block %d", height), fmt.Sprintf("the header of block %d, and those above", height)
	}
	why, remedy := v.source.Lacks(ctx, height)
	verdict.markUnverifiable(reason+hint("; ", why), needed+hint(": ", remedy))
}

// hint returns a hint and what joins it to the sentence before it, or nothing if the hint is empty.
func hint(joint, text string) string {
	if text == "" {
		return ""
	}
	return joint + text
}
