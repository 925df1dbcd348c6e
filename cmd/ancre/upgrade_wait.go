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
	// pollEvery is how often --wait looks at the daemon.
	pollEvery = 2 * time.Second

	// calendarsEvery is how often --wait asks calendars at first, and calendarsSeldom how often in
	// the end: they serve many, and a block takes ten minutes.
	calendarsEvery  = time.Minute
	calendarsSeldom = 10 * time.Minute
)

// completeAll waits until the proofs can be completed, completes them, tells of them, and returns
// the exit status. An interrupt tells of them as they are.
func (u *upgrader) completeAll(ctx context.Context, waiting []*waiter) int {
	exit := exitDone
	if len(waiting) == 0 {
		return exit
	}
	for _, w := range waiting {
		w.Result = pending
	}
	u.await(ctx, waiting)
	// One more call to the daemon is always made: it says where they are. Calendars have said what
	// they had.
	ctx = context.WithoutCancel(ctx)
	last := newUpgrader(u.app, u.daemon, nil, nil)
	for _, w := range waiting {
		if w.Result == pending && w.Batch != 0 {
			last.again(ctx, w)
		}
		exit = worse(exit, u.tell(w))
	}
	return exit
}

// await returns when no proof is left to wait for, or ctx ends. What calendars have is written as
// soon as they have it; what the daemon has is only known to be there.
func (u *upgrader) await(ctx context.Context, waiting []*waiter) {
	open := make(map[uint64][32]byte) // all digests of a batch become final together, so one of each is asked for
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
				where = append(where, verify.Whereabouts(e))
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
			words := strings.TrimPrefix(verify.Summarize(w.Calendars, verify.AnswerPending, verify.AnswerFailed), "waiting for ")
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

// poll asks once more for the proofs that calendars may have. Calendars that want to be left alone
// for longer are left alone all the same, each by itself.
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

// again completes a proof that was pending, if it can be completed now. It stays pending when
// nobody can say anything: they may come back.
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
