package verify

import (
	"strings"
	"testing"
	"time"

	"ancre/calendar"
	"ancre/proof"
)

const (
	alice = "https://alice.example"
	bob   = "https://bob.example"
)

// Proofs come from strangers: no address in one makes us ask where nobody allowed it.
func TestOnlyAllowedCalendarsAreAsked(t *testing.T) {
	asked := new(fakeCalendars)
	for uri, want := range map[string]string{
		bob: "is not one of the calendars that are asked", "http://169.254.169.254": "without encryption", alice + ":444": "is not one of", alice + "/below": "is not one of",
		"https://127.0.0.1": "the machine on which the file was stamped",
	} {
		calendars, _ := asked.calendars(t, alice)
		f, _ := promised(t, "a", uri)
		got, answers := calendars.follow(t.Context(), f, map[promise]bool{}, nil)
		if got.IsComplete() || len(answers) != 1 || answers[0].Result != AnswerSkipped || !strings.Contains(answers[0].Reason, want) {
			t.Errorf("%s: %+v", uri, answers)
		}
		calendars.config.HowToAllow = func(uri string) string { return "a word about " + uri }
		if _, answers = calendars.follow(t.Context(), f, map[promise]bool{}, nil); !strings.Contains(answers[0].Reason, "a word about "+uri) && !strings.Contains(want, "encryption") {
			t.Errorf("%s: %+v, want it told how to allow it", uri, answers)
		}
	}
	if asked.asked != 0 {
		t.Errorf("calendars that are not allowed were asked %d times", asked.asked)
	}
}

// Neither a calendar that sends us on without end, nor a proof with promises without end, makes us
// ask without end.
func TestQuestionsAreBounded(t *testing.T) {
	asked := new(fakeCalendars)
	asked.instead = func(uri string, commitment []byte) (*proof.Timestamp, error) {
		ts := &proof.Timestamp{Msg: commitment}
		next, err := ts.Then(proof.Op{Tag: proof.SHA256})
		if err != nil {
			return nil, err
		}
		next.Attest(pendingAt(t, uri))
		return ts, nil
	}
	calendars, _ := asked.calendars(t, alice)
	f, _ := promised(t, "a", alice)
	calendars.follow(t.Context(), f, map[promise]bool{}, nil)
	if asked.asked != maxRelays {
		t.Errorf("%d questions, want %d", asked.asked, maxRelays)
	}

	asked.instead, asked.asked = nil, 0
	uris := make([]string, 5*maxPromises)
	for i := range uris {
		uris[i] = alice
	}
	f, _ = promised(t, "b", uris...)
	if _, answers := calendars.follow(t.Context(), f, map[promise]bool{}, nil); asked.asked != maxPromises || len(answers) != len(uris) || answers[len(uris)-1].Result == "" {
		t.Errorf("%d questions for one proof, want %d; %d answers", asked.asked, maxPromises, len(answers))
	}
}

func TestBusyCalendarsAreWaitedForAndNotForLong(t *testing.T) {
	asked, chain := new(fakeCalendars), newFakeChain(1)
	f, leaves := promised(t, "a", alice)
	busy := func(after time.Duration, times int) {
		answer := chain.anchored(t, leaves[0])
		asked.instead = func(string, []byte) (*proof.Timestamp, error) {
			if times--; times < 0 {
				return answer, nil
			}
			return nil, &calendar.BusyError{Status: 429, RetryAfter: after}
		}
	}
	busy(20*time.Second, 2)
	calendars, clock := asked.calendars(t, alice)
	follow := func() (*proof.File, Answer) {
		got, answers := calendars.follow(t.Context(), f, map[promise]bool{}, nil)
		return got, answers[0]
	}
	if got, a := follow(); !got.IsComplete() || a.Result != AnswerComplete || clock.passed != 40*time.Second {
		t.Errorf("%+v after %s", a, clock.passed)
	}

	busy(20*time.Second, 1000)
	calendars, clock = asked.calendars(t, alice)
	if got, a := follow(); got.IsComplete() || a.Result != AnswerPending || a.retryAfter != 20*time.Second || clock.passed != busyTimeout {
		t.Errorf("%+v after %s", a, clock.passed)
	}
	before := asked.asked
	_, a := follow()
	if clock.passed != busyTimeout {
		t.Errorf("for the next proof it was waited once more: %s", clock.passed)
	}
	if asked.asked != before || a.Result != AnswerPending || a.Reason != "it is busy (HTTP status 429), and is not asked before 2026-01-02 03:05 UTC" {
		t.Errorf("it was asked %d times while it wants to be left alone, and %q is told", asked.asked-before, a.Reason)
	}
	clock.passed += 20 * time.Second
	if follow(); asked.asked != before+1 {
		t.Errorf("it was asked %d times after that, want once", asked.asked-before)
	}
	clock.passed += 20 * time.Second
	busy(20*time.Second, 0)
	follow()
	busy(20*time.Second, 1)
	if got, _ := follow(); !got.IsComplete() {
		t.Error("it answers again, and is not waited for any more")
	}

	busy(time.Hour, 1000)
	calendars, clock = asked.calendars(t, alice)
	if _, a := follow(); a.retryAfter != time.Hour || clock.passed != 0 {
		t.Errorf("%+v after %s", a, clock.passed)
	}
}

// One answer fills no proof, and a height that no block can have is refused.
func TestAnswersThatAreRefused(t *testing.T) {
	asked, chain := new(fakeCalendars), newFakeChain(3)
	f, leaves := promised(t, "a", alice)
	calendars, _ := asked.calendars(t, alice)
	var many []proof.Attestation
	for i := range uint64(maxAttestations + 1) {
		many = append(many, proof.BitcoinAt(i))
	}
	for want, list := range map[string][]proof.Attestation{
		"its answer holds 17 attestations, and at most 16 are accepted":                                      many,
		"it names Bitcoin block 2147483648, and no block can be that high: its answer is refused":            {proof.BitcoinAt(1 << 31)},
		"it names a false block, and its answer is refused: Bitcoin block 2 has the Merkle root 000000":      {proof.BitcoinAt(2)},
		"it names a false block, and its answer is refused: Bitcoin block 1 has the Merkle root 00000000000": {proof.BitcoinAt(1), proof.BitcoinAt(700)},
	} {
		asked.has(leaves[0], &proof.Timestamp{Msg: leaves[0], Attestations: list})
		got, answers := calendars.follow(t.Context(), f, map[promise]bool{}, chain)
		if got.IsComplete() || answers[0].Result != AnswerFailed || !strings.HasPrefix(answers[0].Reason, want) {
			t.Errorf("%+v, want %s", answers, want)
		}
	}
	asked.has(leaves[0], &proof.Timestamp{Msg: leaves[0], Attestations: []proof.Attestation{proof.BitcoinAt(700)}})
	if got, answers := calendars.follow(t.Context(), f, map[promise]bool{}, chain); !got.IsComplete() || answers[0].Checked || answers[0].Height != 700 {
		t.Errorf("a block that is not here: %+v, want it taken in, not checked", answers)
	}
}

func TestAnswersInWords(t *testing.T) {
	list := []Answer{
		{Calendar: alice, Result: AnswerPending},
		{Calendar: alice, Result: AnswerPending, Reason: "soon"},
		{Calendar: alice, Result: AnswerPending, Reason: "soon"},
		{Calendar: alice, Result: AnswerFailed, Reason: "on fire"},
		{Calendar: bob, Result: AnswerSkipped, Reason: "is none of ours"},
		{Calendar: bob, Result: AnswerComplete},
	}
	for want, results := range map[string][]AnswerResult{
		"the calendar at https://bob.example has the proof": {AnswerComplete},
		"waiting for the calendar at https://alice.example, which has nothing yet; " +
			`waiting for the calendar at https://alice.example, which says "soon"; ` +
			"waiting for the calendar at https://alice.example: on fire; and 1 more": {AnswerPending, AnswerFailed, AnswerSkipped},
	} {
		if got := SummarizeAnswers(list, results...); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}
