package verify

import (
	"context"
	"fmt"
	"slices"

	"ancre/proof"
)

// Proof says what a proof is worth for the file with this digest. It does not change f. It returns
// an error only if ctx has ended.
func (v *Verifier) Proof(ctx context.Context, f *proof.File, digest []byte) (Verdict, error) {
	verdict := Verdict{Proof: f}
	result, err := proof.Verify(ctx, f, digest, v.source)
	if err == nil {
		result, err = v.improve(ctx, f, digest, result, &verdict)
	}
	if err != nil {
		return verdict, v.conclude(ctx, &verdict, proof.Header{}, err)
	}
	verdict.Result, verdict.Outcome, verdict.Reason = result, result.Outcome, result.Reason
	if err := v.conclude(ctx, &verdict, result.Header, nil); err != nil || verdict.SourceFailed {
		return verdict, err
	}
	verdict.Warnings = append(verdict.Warnings, result.Warnings...)
	switch result.Outcome {
	case proof.OutcomePending:
		v.addDaemonStatus(ctx, f, &verdict)
	case proof.OutcomeUnverifiable:
		if verdict.Needed = result.Needed; result.Missing != 0 {
			v.markMissing(ctx, result.Missing, result.Reason, result.Needed, &verdict)
		}
	}
	return verdict, nil
}

// improve returns the result with what the daemon and calendars have added by now. They can make a
// proof valid, and nothing worse: if their answers do not verify, the result stays, and its reason
// tells of them.
func (v *Verifier) improve(ctx context.Context, f *proof.File, digest []byte, was proof.Result, verdict *Verdict) (proof.Result, error) {
	verdict.Complete = was.Outcome == proof.OutcomeValid
	waits := slices.ContainsFunc(was.Checks, func(c proof.Check) bool { return c.Outcome == proof.OutcomePending })
	if v.calendars == nil || !waits || was.Outcome == proof.OutcomeValid {
		return was, nil
	}
	better, said, err := v.askForMore(ctx, f, verdict)
	if err != nil {
		return was, err
	}
	if waiting := SummarizeAnswers(verdict.Answers, AnswerPending, AnswerFailed, AnswerSkipped); waiting != "" {
		if was.Outcome != proof.OutcomePending {
			waiting = was.Reason + "; " + waiting
		}
		was.Reason = waiting
	}
	if said == "" {
		return was, nil
	}
	now, err := proof.Verify(ctx, better, digest, v.source)
	switch {
	case err != nil && ctx.Err() != nil:
		return was, err
	case err != nil:
		was.Reason += fmt.Sprintf("; %s, and it cannot be checked here: %v", said, err) + hint("; to check it, ", v.hints.OtherSource)
		return was, nil
	case now.Outcome == proof.OutcomeUnverifiable:
		was.Reason += fmt.Sprintf("; %s, and it cannot be checked here: %s", said, now.Reason)
		return was, nil
	case now.Outcome != proof.OutcomeValid:
		was.Reason += fmt.Sprintf("; %s, and it does not verify here: %s", said, now.Reason)
		return was, nil
	}
	verdict.Proof = better
	now.Reason = "the proof in the file is still pending" + v.upgrade(": %s completes it")
	verdict.Complete = f.IsComplete()
	if was.Outcome == proof.OutcomeInvalid {
		now.Reason = "what the file itself says about Bitcoin is false" + v.upgrade(": %s adds what does")
		verdict.Complete = false
	}
	return now, nil
}

// askForMore returns the proof with what the daemon has, and if that does not complete it, with
// what calendars have. said names in words who completed it, and is empty if it is not complete.
func (v *Verifier) askForMore(ctx context.Context, f *proof.File, verdict *Verdict) (better *proof.File, said string, err error) {
	answered := make(map[promise]bool)
	if v.daemon != nil {
		// If the daemon does not know the digest, or does not answer, the verdict says so when it
		// needs a header.
		if known, err := askDaemon(ctx, v.daemon, f, answered); err == nil {
			if f = known.file; known.complete {
				return f, "the daemon has the proof", ctx.Err()
			}
		}
	}
	f, verdict.Answers = v.calendars.follow(ctx, f, answered, nil)
	return f, SummarizeAnswers(verdict.Answers, AnswerComplete), ctx.Err()
}

// addDaemonStatus adds where the daemon has the digest of a pending proof, or what its calendar
// promised in it.
func (v *Verifier) addDaemonStatus(ctx context.Context, f *proof.File, verdict *Verdict) {
	if v.daemon == nil {
		return
	}
	asked := Commitments(f)
	if f.HashOp == proof.SHA256 {
		asked = slices.Insert(asked, 0, [32]byte(f.Digest))
	}
	for _, by := range asked {
		e, err := v.daemon.Status(ctx, by)
		if isUnknown(err) {
			continue
		}
		if err == nil {
			verdict.Entry = &e
			verdict.Reason = StatusText(e)
			if e.State == StateFinal {
				verdict.Reason += v.upgrade("; %s completes the proof")
			}
		}
		return
	}
}

// upgrade formats the hint about what completes proofs. It returns nothing if there is no hint.
func (v *Verifier) upgrade(format string) string {
	if v.hints.Upgrade == "" {
		return ""
	}
	return fmt.Sprintf(format, v.hints.Upgrade)
}
