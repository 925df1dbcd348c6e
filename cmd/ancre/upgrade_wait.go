package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"ancre/internal/humanize"
	"ancre/verify"
)

const (
	// pollEvery is how often --wait asks the daemon.
	pollEvery = 2 * time.Second

	// calendarsEvery is how often --wait asks calendars at first, calendarsSeldom how often in the
	// end. Calendars serve many people, and a block takes ten minutes.
	calendarsEvery  = time.Minute
	calendarsSeldom = 10 * time.Minute
)

// completeAll waits until the proofs can be completed, completes them, prints the results, and
// returns the exit status. After an interrupt it prints the proofs as they are.
func (u *upgrader) completeAll(ctx context.Context, waiting []*waiter) int {
	exit := exitDone
	if len(waiting) == 0 {
		return exit
	}
	for _, w := range waiting {
		w.Result = pending
	}
	u.await(ctx, waiting)
	// One last call to the daemon says where the proofs are. Calendars are not asked again.
	ctx = context.WithoutCancel(ctx)
	last := newUpgrader(u.app, u.daemon, nil, nil)
	for _, w := range waiting {
		if w.Result == pending && w.Batch != 0 {
			last.again(ctx, w)
		}
		exit = worse(exit, u.print(w))
	}
	return exit
}

// await returns when there is no proof left to wait for, or ctx ends. It writes what calendars have
// as soon as they have it. What the daemon has stays there until completeAll asks for it.
func (u *upgrader) await(ctx context.Context, waiting []*waiter) {
	open := make(map[uint64][32]byte) // one digest of each batch: all become final together
	for _, w := range waiting {
		if w.Batch != 0 {
			open[w.Batch] = w.digest
		}
	}
	every, next := u.every, time.Now().Add(u.every)
	said := ""
	tick := time.NewTicker(min(pollEvery, u.every))
	defer tick.Stop()
	for {
		var where []string
		for _, batch := range slices.Sorted(maps.Keys(open)) {
			e, err := u.daemon.Status(ctx, open[batch])
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && e.State == verify.StateFinal:
				delete(open, batch)
			case err != nil:
				where = append(where, err.Error()) // it may come back
			default:
				where = append(where, verify.StatusText(e))
			}
		}
		waiting = slices.DeleteFunc(slices.Clone(waiting), func(w *waiter) bool {
			_, waits := open[w.Batch]
			return w.Result != pending || w.Batch != 0 && !waits
		})
		if time.Now().After(next) {
			u.poll(ctx, waiting)
			every = min(every*3/2, u.seldom)
			next = time.Now().Add(every)
			continue // some may be complete
		}
		if len(waiting) == 0 {
			return
		}
		for _, w := range waiting {
			words := strings.TrimPrefix(verify.SummarizeAnswers(w.Calendars, verify.AnswerPending, verify.AnswerFailed), "waiting for ")
			if words != "" && !slices.Contains(where, words) {
				where = append(where, words)
			}
		}
		if now := humanize.Few(where); now != said {
			u.note("waiting: %s", now)
			said = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// poll asks calendars again. A calendar that wants to be left alone for longer is left alone, while
// others are asked.
func (u *upgrader) poll(ctx context.Context, waiting []*waiter) {
	u.completer.Retry()
	again := func(ctx context.Context, w *waiter) *waiter {
		if len(w.Calendars) > 0 {
			u.again(ctx, w)
		}
		return w
	}
	for range inOrder(ctx, askers, slices.Values(waiting), again) {
	}
}

// again completes a proof that was pending, if that is possible now. If nobody answers, the proof
// stays pending: they may come back.
func (u *upgrader) again(ctx context.Context, w *waiter) {
	advance := u.upgradeFile
	if w.ProofFile == "-" {
		advance = u.advance
	}
	was := w.Reason
	w.Reason = ""
	err := advance(ctx, w)
	var unanswered unansweredError
	switch {
	case ctx.Err() != nil:
		w.Result, w.Reason = pending, was // interrupted
	case errors.As(err, &unanswered):
		w.Result, w.Reason = pending, err.Error()
	case err != nil:
		w.fail(err)
	}
}
