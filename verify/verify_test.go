package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

var testHints = Hints{OtherSource: "ask somebody else", Upgrade: "the button", Node: "named below"}

// verdict is that of a proof of the content.
func verdict(t *testing.T, v *Verifier, f *proof.File, content string) Verdict {
	t.Helper()
	sum := sha256.Sum256([]byte(content))
	got, err := v.Proof(t.Context(), f, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if (got.Needed != "") != (got.Outcome == proof.OutcomeUnverifiable) {
		t.Errorf("what it takes is told of what is unverifiable: %+v", got)
	}
	if valid := got.Outcome == proof.OutcomeValid; (got.Block != nil) != valid || (got.Trust != nil) != valid || got.Complete && !valid {
		t.Errorf("a block and whose word it is are told of what is valid: %+v", got)
	}
	return got
}

func TestVerdictsOnProofs(t *testing.T) {
	chain := newFakeChain(1)
	deep := attested("deep", proof.BitcoinAt(1))
	chain.mine([32]byte(deep.Digest))
	for range EnoughOnTop {
		chain.mine([32]byte{7})
	}
	shallow := attested("shallow", proof.BitcoinAt(uint64(len(chain.blocks))))
	chain.mine([32]byte(shallow.Digest))
	litecoin := proof.Attestation{Tag: [8]byte{0x06, 0x86, 0x9a, 0x0d, 0x73, 0xd7, 0x1b, 0x45}, Payload: []byte{5}}

	for name, c := range map[string]struct {
		f              *proof.File
		content        string
		outcome        proof.Outcome
		reason, needed string
	}{
		"valid":                    {deep, "deep", proof.OutcomeValid, "", ""},
		"valid, with few on top":   {shallow, "shallow", proof.OutcomeValid, "few blocks are on top", ""},
		"another content":          {deep, "other", proof.OutcomeInvalid, "the proof is about another file", ""},
		"another block":            {attested("a", proof.BitcoinAt(0)), "a", proof.OutcomeInvalid, "has the Merkle root", ""},
		"a block that is not here": {attested("a", proof.BitcoinAt(500)), "a", proof.OutcomeUnverifiable, "known here; the chain of the test is short", "block headers up to block 500: mine more"},
		"a promise":                {attested("a", pendingAt(t, alice)), "a", proof.OutcomePending, "waiting for the calendar at " + alice, ""},
		"Litecoin":                 {attested("a", litecoin), "a", proof.OutcomeUnverifiable, "no attestation that can be verified here", "Litecoin"},
		"Litecoin and a promise":   {attested("a", litecoin, pendingAt(t, alice)), "a", proof.OutcomePending, "waiting for", ""},
		"a block and a promise":    {attested("deep", proof.BitcoinAt(1), pendingAt(t, alice)), "deep", proof.OutcomeValid, "", ""},
	} {
		got := verdict(t, chain.verifier(Config{}), c.f, c.content)
		if got.Outcome != c.outcome || !strings.Contains(got.Reason, c.reason) || (got.Reason == "") != (c.reason == "") || !strings.Contains(got.Needed, c.needed) || got.Proof != c.f {
			t.Errorf("%s: %+v", name, got)
		}
	}

	got := verdict(t, chain.verifier(Config{}), deep, "deep")
	if b := got.Block; b.Height != 1 || b.OnTop != EnoughOnTop+1 || b.Hash != [32]byte{1, 1} || !b.Time.Equal(chain.blocks[1].Time) || !got.Complete {
		t.Errorf("%+v, %+v", got, b)
	}
	want := Trust{Source: "fake", From: "memory", Tip: EnoughOnTop + 2, Words: "headers of a test", Warning: "Tests prove nothing. regtest is a test network, and proves nothing outside of tests."}
	if *got.Trust != want {
		t.Errorf("%+v, want %+v", *got.Trust, want)
	}
	if trust := New(Config{Source: chain}).Trust(); strings.Contains(trust.Warning, "test network") {
		t.Errorf("of mainnet: %s", trust.Warning)
	}
}

// A source that fails makes nothing invalid, and is asked once. What needs no header is told all
// the same.
func TestASourceThatFails(t *testing.T) {
	chain := newFakeChain(3)
	chain.err = errors.New("the line is dead")
	v := chain.verifier(Config{Hints: testHints})
	if v.Failure() != nil {
		t.Error("it failed before it was asked")
	}
	for range 3 {
		got := verdict(t, v, attested("a", proof.BitcoinAt(1)), "a")
		if got.Outcome != proof.OutcomeUnverifiable || !got.SourceFailed || !strings.Contains(got.Reason, "the line is dead") || got.Needed != "block headers from a source that answers: ask somebody else" {
			t.Errorf("%+v", got)
		}
	}
	if chain.asked != 1 || !errors.Is(v.Failure(), chain.err) {
		t.Errorf("the source was asked %d times, and %v is told", chain.asked, v.Failure())
	}
	if got := verdict(t, v, attested("a", pendingAt(t, alice)), "a"); got.Outcome != proof.OutcomePending || got.SourceFailed {
		t.Errorf("a promise: %+v", got)
	}
	if got := verdict(t, v, attested("a", proof.BitcoinAt(1)), "b"); got.Outcome != proof.OutcomeInvalid {
		t.Errorf("another content: %+v", got)
	}
	broken := New(Config{Source: FailedSource("fake", chain.err)})
	if got := verdict(t, broken, attested("a", proof.BitcoinAt(1)), "a"); !got.SourceFailed || broken.Failure() == nil || broken.Trust().Source != "fake" {
		t.Errorf("%+v", got)
	}
	// One call that is refused says nothing of the next one.
	chain.err = &rpc.Error{Code: rpc.CodeBusy, Message: "busy"}
	v = chain.verifier(Config{})
	if got := verdict(t, v, attested("a", proof.BitcoinAt(1)), "a"); !got.SourceFailed || v.Failure() != nil {
		t.Errorf("%+v; %v", got, v.Failure())
	}
}

func TestAnInterruptIsNoVerdict(t *testing.T) {
	chain := newFakeChain(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	chain.err = ctx.Err()
	v := chain.verifier(Config{})
	f := attested("a", proof.BitcoinAt(1))
	if _, err := v.Proof(ctx, f, f.Digest); !errors.Is(err, context.Canceled) || v.Failure() != nil {
		t.Errorf("%v; %v", err, v.Failure())
	}
}

// The bug that it catches: a pending proof which a calendar has completed is called complete, and
// whoever keeps it as it was needs the calendar without end.
func TestCalendarsMakePendingProofsValid(t *testing.T) {
	chain, asked := newFakeChain(1), new(fakeCalendars)
	f, leaves := promised(t, "a", alice)
	asked.has(leaves[0], chain.anchored(t, leaves[0]))
	calendars, _ := asked.calendars(t, alice)
	if got := verdict(t, chain.verifier(Config{}), f, "a"); got.Outcome != proof.OutcomePending || asked.asked != 0 {
		t.Errorf("without calendars: %+v, asked %d times", got, asked.asked)
	}
	got := verdict(t, chain.verifier(Config{Calendars: calendars, Hints: testHints}), f, "a")
	if got.Outcome != proof.OutcomeValid || got.Complete || !strings.HasPrefix(got.Reason, "the proof in the file is still pending: the button completes it; few blocks") {
		t.Errorf("%+v", got)
	}
	if f.IsComplete() || !got.Proof.IsComplete() || len(got.Result.Checks) != len(got.Proof.Attestations()) {
		t.Error("the proof that was given is changed, or the one that is valid is not told")
	}
	// A proof may name a false block, and have a promise that holds.
	f.Timestamp.Attest(proof.BitcoinAt(0))
	got = verdict(t, chain.verifier(Config{Calendars: calendars}), f, "a")
	if got.Outcome != proof.OutcomeValid || got.Complete || !strings.HasPrefix(got.Reason, "what the file itself says about Bitcoin is false; few") || len(got.Warnings) == 0 {
		t.Errorf("%+v", got)
	}
}

func TestALyingCalendarMakesNothingWorse(t *testing.T) {
	chain, asked := newFakeChain(2), new(fakeCalendars)
	f, leaves := promised(t, "a", alice, bob)
	calendars, _ := asked.calendars(t, alice, bob)
	for want, height := range map[string]uint64{"and it does not verify here: Bitcoin block 1 has the Merkle root": 1, "and it cannot be checked here: the proof names Bitcoin block 999": 999} {
		asked.has(leaves[0], &proof.Timestamp{Msg: leaves[0], Attestations: []proof.Attestation{proof.BitcoinAt(height)}})
		got := verdict(t, chain.verifier(Config{Calendars: calendars}), f, "a")
		if got.Outcome != proof.OutcomePending || !strings.Contains(got.Reason, want) || !strings.Contains(got.Reason, "waiting for the calendar at "+bob) || len(got.Answers) != 2 {
			t.Errorf("%+v", got)
		}
	}
	asked.has(leaves[1], chain.anchored(t, leaves[1]))
	if got := verdict(t, chain.verifier(Config{Calendars: calendars}), f, "a"); got.Outcome != proof.OutcomeValid || got.Block.Height != 2 {
		t.Errorf("%+v", got)
	}
}

// The daemon answers before calendars, by the digest, and by what its calendar promised.
func TestTheDaemonSaysWhereAPendingProofIs(t *testing.T) {
	chain, asked := newFakeChain(1), new(fakeCalendars)
	calendars, _ := asked.calendars(t, alice)
	f, leaves := promised(t, "a", alice)
	for name, by := range map[string][32]byte{"the digest": [32]byte(f.Digest), "the commitment": [32]byte(leaves[0])} {
		daemon := &fakeDaemon{entries: map[[32]byte]rpc.Entry{by: {State: "open", Batch: 1234}}}
		got := verdict(t, chain.verifier(Config{Daemon: daemon, Hints: testHints}), f, "a")
		if got.Outcome != proof.OutcomePending || got.Reason != "batch 1,234 is still open" || got.Entry == nil || got.Entry.Batch != 1234 {
			t.Errorf("by %s: %+v", name, got)
		}
		daemon.entries[by] = rpc.Entry{State: StateFinal, Batch: 1, Height: 2}
		if got = verdict(t, chain.verifier(Config{Daemon: daemon, Hints: testHints}), f, "a"); got.Reason != "batch 1 is final in Bitcoin block 2; the button completes the proof" {
			t.Errorf("by %s: %+v", name, got)
		}
	}
	daemon := &fakeDaemon{entries: map[[32]byte]rpc.Entry{}}
	if got := verdict(t, chain.verifier(Config{Daemon: daemon}), f, "a"); got.Entry != nil || got.Reason != "waiting for the calendar at "+alice || daemon.asked != 2 {
		t.Errorf("%+v after %d questions", got, daemon.asked)
	}

	// With calendars allowed, it is asked for the proof first.
	complete := attested("a", proof.BitcoinAt(chain.mine([32]byte(f.Digest))))
	daemon = &fakeDaemon{entries: map[[32]byte]rpc.Entry{[32]byte(f.Digest): {State: StateFinal}}, proofs: map[[32]byte]*proof.File{[32]byte(f.Digest): complete}}
	if got := verdict(t, chain.verifier(Config{Daemon: daemon, Calendars: calendars}), f, "a"); got.Outcome != proof.OutcomeValid || asked.asked != 0 {
		t.Errorf("%+v; calendars were asked %d times", got, asked.asked)
	}
	// One that sends something else is passed over.
	daemon.proofs[[32]byte(f.Digest)] = attested("b", proof.BitcoinAt(1))
	if got := verdict(t, chain.verifier(Config{Daemon: daemon, Calendars: calendars}), f, "a"); got.Outcome != proof.OutcomePending || asked.asked != 1 {
		t.Errorf("%+v; calendars were asked %d times", got, asked.asked)
	}
}

// Of public networks, a source that does not reach the block of a proof says nothing of it; a block
// that cannot be there yet says that the proof is false.
func TestABlockThatCannotBeThereYet(t *testing.T) {
	chain := newFakeChain(1)
	chain.blocks[0].Time = chaincfg.MainNetParams.GenesisBlock.Header.Timestamp
	for height, want := range map[uint64]proof.Outcome{1: proof.OutcomeUnverifiable, 800_000: proof.OutcomeUnverifiable, 1 << 30: proof.OutcomeInvalid, 1 << 62: proof.OutcomeInvalid} {
		if got := verdict(t, New(Config{Source: chain}), attested("a", proof.BitcoinAt(height)), "a"); got.Outcome != want {
			t.Errorf("block %d: %+v", height, got)
		}
		if got := verdict(t, chain.verifier(Config{}), attested("a", proof.BitcoinAt(height)), "a"); height <= proof.MaxHeight && got.Outcome != proof.OutcomeUnverifiable {
			t.Errorf("block %d: %+v, and a developer may have made any number of blocks", height, got)
		}
	}
}
