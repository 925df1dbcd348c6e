// Package verify says whether a proof is true, and by whose word.
//
// A proof or a receipt and the digest of a file go in, and a [Verdict] comes out. It is valid,
// pending, invalid, or unverifiable: then it cannot be checked here, and [Verdict.Needed] says what
// it takes. A valid verdict names the Bitcoin block before which the file existed, the block's
// time, and whose word that is: see [Trust].
//
// Whoever verifies must know Bitcoin's block headers. They come from a [Source]: an ancred
// ([DaemonSource]), a bitcoind ([NodeSource]) or a file of headers ([FileSource]). The light client
// is a package of its own, verify/lightclient, so that programs without it stay small.
//
// A pending proof may be complete at the daemon or at a calendar by now. A [Verifier] with
// [Calendars] asks them before it says pending; a [Completer] asks them for a proof to keep. They
// contact no calendar that the caller did not allow, whatever address a proof names.
//
// The package verifies what it is given: it opens no file, prints nothing and reads no flag. Its
// rules are those of [proof.Verify] and [receipt.Verify]; texts are English sentences, and what a
// caller decides by is a field beside them.
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

// Config says by what a [Verifier] verifies.
type Config struct {
	// Source gives the block headers.
	Source Source

	// Params are the rules of the network that the source is of; nil means mainnet.
	Params *chaincfg.Params

	// Daemon is asked where the digest of a pending proof is. nil: no daemon is.
	Daemon Daemon

	// Calendars are asked for what a pending proof waits for, after Daemon. nil: neither is asked
	// for proofs.
	Calendars *Calendars

	// Hints end sentences of verdicts.
	Hints Hints
}

// Hints are what a person can do about a verdict, in the words of the caller's own interface. What
// is empty is left out.
type Hints struct {
	OtherSource string // how to name another source of headers: "use --spv or --node URL"
	Upgrade     string // what writes the completed proof: `"ancre upgrade"`
	Node        string // how to name a bitcoind: "named with --node"
}

// Verifier verifies proofs and receipts against the headers of one source. It remembers the
// source's newest block, and that the source failed: make one for each run. Any number of
// goroutines may use it at once.
type Verifier struct {
	source    *cachedSource
	trust     Trust
	daemon    Daemon
	calendars *Calendars
	hints     Hints
}

// New returns a verifier. It asks nobody yet.
func New(c Config) *Verifier {
	v := &Verifier{source: newCachedSource(c.Source, c.Params), trust: c.Source.Trust(), daemon: c.Daemon, calendars: c.Calendars, hints: c.Hints}
	if name := v.source.params.Name; name != chaincfg.MainNetParams.Name {
		v.trust.Warning += " " + name + " is a test network, and proves nothing outside of tests."
	}
	return v
}

// Trust says whose word the verdicts are.
func (v *Verifier) Trust() Trust { return v.trust }

// Failure returns why the source cannot be asked. It is nil unless the source has failed.
func (v *Verifier) Failure() error { return v.source.failure() }

// Verdict is what a proof or a receipt is worth.
type Verdict struct {
	// Outcome is valid, pending, invalid or unverifiable.
	Outcome proof.Outcome

	// Reason says in words why it is not valid. Of a valid one it says what to do all the same, and
	// is mostly empty.
	Reason string

	// Needed says what it takes to check it, when it is unverifiable.
	Needed string

	// Warnings are sentences about what a valid or pending proof does not show, or what was not
	// checked. They never change the outcome.
	Warnings []string

	Block *Block // when valid: the lowest block before which the file existed
	Trust *Trust // when valid: whose word that is

	// Complete reports that the valid proof names its block itself. Otherwise the daemon or a
	// calendar completed it just now: whoever keeps the proof as it was needs them again.
	Complete bool

	// Proof is the proof that the verdict is about: the one that was given, or when valid, that one
	// with what the daemon and calendars added. nil for receipts.
	Proof *proof.File

	// Result says what became of each attestation of Proof, as far as that was looked at.
	Result proof.Result

	// Entry is where the daemon has the digest of a pending proof; nil when it was not asked, or
	// does not know it.
	Entry *rpc.Entry

	// Answers are what calendars said, as far as they were asked.
	Answers []Answer

	TxID   chainhash.Hash // of a valid receipt: its transaction
	Anchor string         // of a valid receipt: the type of the anchor that was proven
	Seal   *receipt.Seal  // of a valid receipt: who signed the digest; nil when nobody did

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

// Deep is how many blocks of work are enough on top of a block: with its own they make the six
// confirmations after which reorganisations are no concern. A valid verdict with fewer says so.
const Deep = 5

// conclude makes a verdict of the outcome, or of the error that there was instead. It returns an
// error only if ctx has ended.
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

// markValid fills in the block with this header, which the source gave. A reason that is there
// stays in front.
func (v *Verifier) markValid(ctx context.Context, header proof.Header, verdict *Verdict) error {
	onTop, tip, err := v.source.onTop(ctx, int64(header.Height))
	if err != nil {
		return err
	}
	trust := v.trust
	trust.Tip = tip
	verdict.Trust = &trust
	verdict.Block = &Block{Height: header.Height, Hash: chainhash.Hash(header.Hash), Time: header.Time.UTC(), OnTop: onTop}
	if onTop < Deep {
		few := fmt.Sprintf("few blocks are on top, so a reorganisation could still undo it: verify again when there are %d", Deep)
		if verdict.Reason != "" {
			few = verdict.Reason + "; " + few
		}
		verdict.Reason = few
	}
	return nil
}

// markUnverifiable says that it cannot be checked here, why, and what it takes.
func (verdict *Verdict) markUnverifiable(reason, needed string) {
	verdict.Outcome, verdict.Reason, verdict.Needed = proof.OutcomeUnverifiable, reason, needed
	verdict.Complete = false
}

// markSourceFailed says that it cannot be checked because the source could not answer.
func (v *Verifier) markSourceFailed(verdict *Verdict, err error) {
	verdict.markUnverifiable(err.Error(), "block headers from a source that answers"+hint(": ", v.hints.OtherSource))
	verdict.SourceFailed = true
}

// markMissing says that the source lacks the block at height. Nothing else is wrong.
func (v *Verifier) markMissing(ctx context.Context, height uint64, reason, needed string, verdict *Verdict) {
	why, remedy := v.source.Lacks(ctx, height)
	verdict.markUnverifiable(reason+hint("; ", why), needed+hint(": ", remedy))
}

// hint returns what joins a hint to a sentence, and the hint; nothing if there is none.
func hint(joint, text string) string {
	if text == "" {
		return ""
	}
	return joint + text
}
