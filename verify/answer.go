package verify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"ancre/calendar"
	"ancre/internal/humanize"
	"ancre/internal/loopback"
	"ancre/proof"
)

// AnswerResult is what became of a promise.
type AnswerResult string

const (
	AnswerComplete AnswerResult = "complete" // the answer names a Bitcoin block
	AnswerPending  AnswerResult = "pending"  // the calendar does not have the rest yet
	AnswerFailed   AnswerResult = "failed"   // no answer, or one that is refused
	AnswerSkipped  AnswerResult = "skipped"  // the calendar was not asked
)

// Answer is what became of one promise of a calendar.
type Answer struct {
	Calendar string       `json:"calendar"` // the address that the proof names
	Result   AnswerResult `json:"result"`
	Reason   string       `json:"reason,omitempty"`  // in words; of a calendar that is pending, its own
	Height   uint64       `json:"height,omitempty"`  // the lowest block that the answer names
	Checked  bool         `json:"checked,omitempty"` // the headers have that block with that root

	retryAfter time.Duration // the calendar does not want to be asked before
}

// maxAttestations is how many attestations one answer may add: honest answers add one. Verification
// looks at 256 blocks of a proof, and one calendar must not use them up before another calendar's
// block is looked at.
const maxAttestations = 16

// String puts the answer into words, as a part of a sentence.
func (a Answer) String() string {
	at := "the calendar at " + humanize.Clip(a.Calendar)
	switch {
	case a.Result == AnswerComplete:
		return at + " has the proof"
	case a.Result == AnswerSkipped:
		return "waiting for " + at + ", which " + a.Reason
	case a.Result == AnswerFailed || a.retryAfter > 0:
		return "waiting for " + at + ": " + a.Reason
	case a.Reason == "":
		return "waiting for " + at + ", which has nothing yet"
	}
	return fmt.Sprintf("waiting for %s, which says %q", at, a.Reason)
}

// SummarizeAnswers puts the answers with one of these results into words, the first few of them.
func SummarizeAnswers(answers []Answer, results ...AnswerResult) string {
	var said []string
	have := make(map[string]bool)
	for _, a := range answers {
		if text := a.String(); slices.Contains(results, a.Result) && !have[text] {
			have[text] = true
			said = append(said, text)
		}
	}
	return humanize.Few(said)
}

// take fills in the result of asking, and reports whether the answer says something new.
func (a *Answer) take(answer *proof.Timestamp, err error) bool {
	var not *calendar.PendingError
	var busy *calendar.BusyError
	switch {
	case errors.As(err, &not):
		a.Result, a.Reason = AnswerPending, not.Text
	case errors.As(err, &busy):
		a.Result, a.Reason, a.retryAfter = AnswerPending, err.Error(), busy.RetryAfter
	case errors.Is(err, calendar.ErrNoAnswer):
		a.fail("%v%s", err, explainLoopback(a.Calendar))
	case err != nil:
		a.fail("%v", err)
	case len(answer.All()) > maxAttestations:
		a.fail("its answer holds %d attestations, and at most %d are accepted", len(answer.All()), maxAttestations)
	case namesBlock(answer):
		if a.Height = lowestBlock(answer); a.Height > proof.MaxHeight {
			a.fail("it names Bitcoin block %d, and no block can be that high: its answer is refused", a.Height)
			return false
		}
		a.Result = AnswerComplete
		return true
	default:
		// It is another calendar's promise, or an attestation of a kind that is not known here:
		// worth keeping, and no block.
		a.Result = AnswerPending
		return true
	}
	return false
}

// check compares the blocks that an answer names with headers, and reports whether the answer may
// be merged. An answer that contradicts the chain may not. If the headers do not answer, it stays
// unchecked.
func (a *Answer) check(ctx context.Context, answer *proof.Timestamp, headers proof.HeaderSource) bool {
	if a.Result != AnswerComplete || headers == nil {
		return true
	}
	checks, err := proof.CheckAll(ctx, answer, headers)
	if err != nil {
		return true
	}
	for _, c := range checks {
		switch c.Outcome {
		case proof.OutcomeInvalid:
			a.fail("it names a false block, and its answer is refused: %s", c.Reason)
			return false
		case proof.OutcomeValid:
			if !a.Checked || c.Header.Height < a.Height {
				a.Checked, a.Height = true, c.Header.Height
			}
		}
	}
	return true
}

// fail says why there is no answer, or why it is refused.
func (a *Answer) fail(format string, args ...any) {
	a.Result, a.Reason, a.Checked = AnswerFailed, fmt.Sprintf(format, args...), false
}

// explainLoopback explains a promise at a loopback address: anyone who was sent such a proof finds
// a calendar of their own there, or none.
func explainLoopback(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || !loopback.IsHost(u.Hostname()) {
		return ""
	}
	return "; this address means the machine on which the file was stamped"
}
