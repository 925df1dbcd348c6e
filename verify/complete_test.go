package verify

import (
	"crypto/sha1"
	"errors"
	"strings"
	"testing"

	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// completion is what comes of one proof.
func completion(t *testing.T, c *Completer, f *proof.File) Completion {
	t.Helper()
	got, err := c.Complete(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got.Complete && got.Waits || got.Complete != got.File.IsComplete() {
		t.Errorf("%+v", got)
	}
	return got
}

func TestCompletionByTheDaemonComesFirst(t *testing.T) {
	asked := new(fakeCalendars)
	f, _ := promised(t, "a", alice)
	digest := [32]byte(f.Digest)
	daemon := &fakeDaemon{entries: map[[32]byte]rpc.Entry{digest: {State: "sealed"}}, proofs: map[[32]byte]*proof.File{}}
	calendars, _ := asked.calendars(t, alice)
	c := NewCompleter(CompleterConfig{Daemon: daemon, Calendars: calendars})
	got := completion(t, c, f)
	if got.Complete || !got.Waits || got.DaemonErr != nil || got.Entry.State != "sealed" || got.By != digest || asked.asked != 1 {
		t.Errorf("%+v after %d questions", got, asked.asked)
	}
	daemon.proofs[digest] = attested("a", proof.BitcoinAt(7))
	daemon.entries[digest] = rpc.Entry{State: StateFinal, Height: 7}
	daemon.asked = 0
	if got = completion(t, c, f); !got.Complete || asked.asked != 1 || daemon.asked != 1 || got.Entry.Height != 7 {
		t.Errorf("%+v after %d questions, and %d to the daemon", got, asked.asked, daemon.asked)
	}
	if height, by, checked := got.Block(); height != 7 || by != "the file" || checked {
		t.Errorf("block %d says %s, checked: %t", height, by, checked)
	}
	if f.IsComplete() {
		t.Error("the proof that was given is changed")
	}
	// Nobody verified a block that the proof names itself, so the other promises are followed.
	f.Timestamp.Attest(proof.BitcoinAt(3))
	daemon.entries = nil
	if got = completion(t, c, f); !got.Complete || asked.asked != 2 {
		t.Errorf("%+v after %d questions", got, asked.asked)
	}
}

func TestCompletionByCalendarsIsChecked(t *testing.T) {
	asked, chain := new(fakeCalendars), newFakeChain(2)
	f, leaves := promised(t, "a", alice, bob)
	calendars, _ := asked.calendars(t, alice, bob)
	daemon := &fakeDaemon{}
	c := NewCompleter(CompleterConfig{Daemon: daemon, Calendars: calendars, Headers: chain, Params: &chaincfg.RegressionNetParams})
	asked.has(leaves[0], &proof.Timestamp{Msg: leaves[0], Attestations: []proof.Attestation{proof.BitcoinAt(1)}})
	got := completion(t, c, f)
	if got.Complete || !got.Waits || got.DaemonDown || got.DaemonErr == nil || !strings.Contains(got.DaemonErr.Error(), "the daemon does not know this digest") {
		t.Errorf("a false block: %+v", got)
	}
	asked.has(leaves[0], &proof.Timestamp{Msg: leaves[0], Attestations: []proof.Attestation{proof.BitcoinAt(900)}})
	asked.has(leaves[1], chain.anchored(t, leaves[1]))
	got = completion(t, c, f)
	if height, by, checked := got.Block(); !got.Complete || height != 2 || by != bob || !checked {
		t.Errorf("block %d says %s, checked: %t; %+v", height, by, checked, got)
	}
	// A daemon that does not answer does not check either.
	daemon.err = errors.New("nobody is there")
	got = completion(t, c, f)
	if height, by, checked := got.Block(); !got.Complete || height != 2 || by != bob || checked || !got.DaemonDown {
		t.Errorf("block %d says %s, checked: %t; %+v", height, by, checked, got)
	}
}

// A daemon that is down is not asked again for each proof, until somebody says that it may be back.
func TestADaemonThatIsDownIsAskedOnce(t *testing.T) {
	f, _ := promised(t, "a", alice)
	daemon := &fakeDaemon{err: errors.New("nobody is there")}
	c := NewCompleter(CompleterConfig{Daemon: daemon})
	for range 3 {
		if got := completion(t, c, f); got.Complete || got.Waits || !got.DaemonDown || !errors.Is(got.DaemonErr, daemon.err) {
			t.Errorf("%+v", got)
		}
	}
	if daemon.asked != 1 || !errors.Is(c.DaemonFailure(), daemon.err) {
		t.Errorf("it was asked %d times", daemon.asked)
	}
	c.Retry()
	daemon.err, daemon.entries = nil, map[[32]byte]rpc.Entry{[32]byte(f.Digest): {State: "open"}}
	if got := completion(t, c, f); !got.Waits || got.DaemonErr != nil || c.DaemonFailure() != nil {
		t.Errorf("%+v", got)
	}
	// A refusal concerns one call.
	daemon.err = &rpc.Error{Code: rpc.CodeBusy, Message: "busy"}
	if got := completion(t, c, f); got.DaemonErr == nil || got.DaemonDown || c.DaemonFailure() != nil {
		t.Errorf("%+v", got)
	}
}

func TestCompletionWithoutADaemon(t *testing.T) {
	asked := new(fakeCalendars)
	f, leaves := promised(t, "a", alice)
	calendars, _ := asked.calendars(t, alice)
	c := NewCompleter(CompleterConfig{Calendars: calendars})
	if got := completion(t, c, f); !got.Waits || got.DaemonErr == nil || got.DaemonDown || c.DaemonFailure() != nil {
		t.Errorf("%+v", got)
	}
	asked.has(leaves[0], newFakeChain(1).anchored(t, leaves[0]))
	if got := completion(t, c, f); !got.Complete {
		t.Errorf("%+v", got)
	}
}

func TestCompletionOfOtherHashes(t *testing.T) {
	sum := sha1.Sum([]byte("a"))
	f := &proof.File{HashOp: proof.SHA1, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:]}}
	leaf, err := f.Timestamp.Then(proof.Op{Tag: proof.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	leaf.Attest(pendingAt(t, alice))
	daemon := &fakeDaemon{}
	c := NewCompleter(CompleterConfig{Daemon: daemon})
	if got := completion(t, c, f); got.DaemonErr == nil || !strings.Contains(got.DaemonErr.Error(), "the daemon knows only SHA-256") || daemon.asked != 1 {
		t.Errorf("%+v", got)
	}
	daemon.entries = map[[32]byte]rpc.Entry{[32]byte(leaf.Msg): {State: "open"}}
	if got := completion(t, c, f); !got.Waits || got.By != [32]byte(leaf.Msg) {
		t.Errorf("%+v", got)
	}
}
