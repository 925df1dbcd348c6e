package main

import (
	"fmt"
	"time"

	"ancre/rpc"
	"ancre/verify"
)

const (
	// blockTime is how often Bitcoin's networks find a block on average.
	blockTime = 10 * time.Minute

	// roundTo is how exactly an expectation is told: blocks come by chance.
	roundTo = 10 * time.Minute
)

// expectation is when a proof will probably be complete.
type expectation struct{ from, until time.Time }

// expect returns when the proof of a digest will probably be complete. The earliest time is that of
// a payment that the next block takes, and the latest that of one that takes all of anchor.target.
// b is the digest's batch. ok is false where nothing can be said: the proof is complete, the time
// for it has passed, or the network has blocks only when somebody makes them.
func expect(e rpc.Entry, b rpc.Batch, network string, p rpc.Anchoring, now time.Time) (x expectation, ok bool) {
	if network == "regtest" || network == "simnet" || p.Confirmations < 1 {
		return x, false
	}
	target, deep := time.Duration(p.TargetSeconds)*time.Second, time.Duration(p.Confirmations)*blockTime
	sealed := now
	switch {
	case e.State == "open" && b.Closes != nil:
		sealed = *b.Closes
	case (e.State == "sealed" || e.State == "broadcast") && b.Closed != nil:
		sealed = *b.Closed
	case e.State == "mined":
		left := time.Duration(max(p.Confirmations-e.Confirmations, 1)) * blockTime
		return expectation{now.Add(left).Round(roundTo), now.Add(left * 3 / 2).Round(roundTo)}, true
	default:
		return x, false
	}
	if sealed.Add(target).Before(now) {
		return x, false
	}
	from := sealed
	if from.Before(now) {
		from = now
	}
	return expectation{from.Add(deep).Round(roundTo), sealed.Add(target + deep).Round(roundTo)}, true
}

// text says it in the zone of now, with dates unless both times are today.
func (x expectation) text(now time.Time) string {
	from, until := x.from.In(now.Location()), x.until.In(now.Location())
	day, clock, zone := time.DateOnly, "15:04", until.Format("MST")
	today, one, other := now.Format(day), from.Format(day), until.Format(day)
	switch {
	case from.Equal(until) && one == today:
		return fmt.Sprintf("about %s %s", from.Format(clock), zone)
	case from.Equal(until):
		return fmt.Sprintf("about %s %s %s", one, from.Format(clock), zone)
	case one == today && other == today:
		return fmt.Sprintf("about %s to %s %s", from.Format(clock), until.Format(clock), zone)
	case one == other:
		return fmt.Sprintf("about %s, %s to %s %s", one, from.Format(clock), until.Format(clock), zone)
	}
	return fmt.Sprintf("about %s %s to %s %s %s", one, from.Format(clock), other, until.Format(clock), zone)
}

// stateWords says what the states of a digest mean.
var stateWords = map[string]string{
	"open":            "its batch still takes digests",
	"sealed":          "waits for the next payment",
	"broadcast":       "the payment waits for a block",
	"mined":           "in a block, waits for more blocks on top",
	verify.StateFinal: "the proof is complete",
}

// withWords returns a state with what it means.
func withWords(state string) string {
	if words := stateWords[state]; words != "" {
		return state + ": " + words
	}
	return state
}

// mayPay reports whether the wallet can pay, as far as its state tells.
func mayPay(w rpc.WalletInfo) bool {
	return w.State != "none" && w.State != "locked" && w.State != "unusable"
}
