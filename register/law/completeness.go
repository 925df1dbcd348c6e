package law

import (
	"slices"
	"time"

	"ancre/register/store"
)

// Input is what is known of a meeting.
type Input struct {
	Body    store.Body
	Meeting store.Meeting
	Entries []store.Entry                // of the meeting, replaced ones too
	Proofs  map[store.Digest]store.Proof // of the entries
	Next    time.Time                    // when the body meets the next time; zero: not known
	Now     time.Time
}

// State is what became of a kind of document.
type State string

// The states of a kind.
const (
	There   State = "there"   // the register has it, in time if there is a time
	Late    State = "late"    // the register has it, and got it after its time
	Within  State = "within"  // it has no document of its own: another one, which is there, may contain it
	Awaited State = "awaited" // it is wanted and absent, and its time is not over
	Missing State = "missing" // it is wanted and absent, and its time is over
)

// Item is one kind of document of a meeting: one that the law wants, or one that the register has.
type Item struct {
	Kind   store.Kind
	Wanted bool // a rule wants it
	Rule   Rule // that rule
	State  State

	// Due is the beginning of the last day for it, in the meeting's zone. Zero: there is none, or
	// it depends on a meeting that is not known yet.
	Due time.Time

	Entries  []store.Entry // those that were not replaced
	Replaced int           // how many were
	Since    time.Time     // when the first of them all came into the register; zero: none did

	Proof    store.ProofState // of Entries, the one that is least far; "" without entries
	ProvenAt time.Time        // time of the block before which all Entries existed; zero while one has no block
}

// ProvenInTime reports whether a block proves that the documents existed before their time was
// over.
func (i Item) ProvenInTime() bool {
	return !i.ProvenAt.IsZero() && !i.Due.IsZero() && i.ProvenAt.Before(i.Due.AddDate(0, 0, 1))
}

// Report is how complete a meeting is.
type Report struct {
	// LastDay is the beginning of the last lawful day for the convocation, in the meeting's zone:
	// the clear days are between that day and the day of the meeting. Zero for a body without clear
	// days.
	LastDay time.Time

	Items   []Item // in the order of store.Kinds
	Missing int    // how many are wanted and absent, and late
	Awaited int    // how many are wanted and absent, and not yet late
	Late    int    // how many came too late

	Proofs map[store.ProofState]int // of all entries, replaced ones too

	// Complete reports that all that is wanted is there, and that all proofs are complete.
	Complete bool
}

// LastDay returns the beginning of the last lawful day for the convocation, in the meeting's zone:
// the day of the meeting less the clear days and one. It is zero for a body without clear days.
func LastDay(b store.Body, m store.Meeting) time.Time {
	if b.ClearDays <= 0 {
		return time.Time{}
	}
	return dayOf(m.Start, Zone(m)).AddDate(0, 0, -b.ClearDays-1)
}

// Zone returns the time zone of a meeting, and UTC if its name is not known here.
func Zone(m store.Meeting) *time.Location {
	zone, err := time.LoadLocation(m.Zone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// dayOf returns the beginning of the day on which t is in a zone.
func dayOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

// Completeness compares what the rules want of a meeting with what the register has of it.
func Completeness(rules []Rule, in Input) Report {
	r := Report{LastDay: LastDay(in.Body, in.Meeting), Proofs: make(map[store.ProofState]int)}
	for _, e := range in.Entries {
		r.Proofs[stateOf(in.Proofs[e.Digest])]++
	}
	r.Complete = len(r.Proofs) == 0 || len(r.Proofs) == 1 && r.Proofs[store.Complete] > 0
	for _, kind := range store.Kinds {
		item := itemOf(rules, in, kind)
		if !item.Wanted && item.Since.IsZero() {
			continue
		}
		switch item.State {
		case Missing:
			r.Missing++
		case Awaited:
			r.Awaited++
		case Late:
			r.Late++
		}
		r.Items = append(r.Items, item)
	}
	r.Complete = r.Complete && r.Missing == 0 && r.Awaited == 0
	return r
}

// itemOf judges one kind.
func itemOf(rules []Rule, in Input, kind store.Kind) Item {
	item := Item{Kind: kind}
	if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Kind == kind && applies(r, in) }); i >= 0 {
		item.Wanted, item.Rule = true, rules[i]
		item.Due = due(item.Rule, in)
	}
	item.gather(in)
	over := !item.Due.IsZero() && !in.Now.Before(item.Due.AddDate(0, 0, 1))
	switch {
	case !item.Since.IsZero() && !item.Due.IsZero() && !item.Since.Before(item.Due.AddDate(0, 0, 1)):
		item.State = Late
	case !item.Since.IsZero():
		item.State = There
	case item.Rule.Within != "" && hasKind(in.Entries, item.Rule.Within):
		item.State = Within
	case over:
		item.State = Missing
	case item.Wanted:
		item.State = Awaited
	}
	return item
}

// applies reports whether a rule is for the body of the meeting, and for a meeting that takes
// place.
func applies(r Rule, in Input) bool {
	return in.Body.ClearDays >= r.MinClearDays && in.Meeting.State != store.Cancelled
}

// due returns the beginning of the last day of a rule.
func due(r Rule, in Input) time.Time {
	zone := Zone(in.Meeting)
	switch {
	case r.Stage == Before:
		return LastDay(in.Body, in.Meeting)
	case r.Stage == After:
		return dayOf(in.Meeting.Start, zone).AddDate(0, 0, r.Days)
	case in.Next.IsZero():
		return time.Time{}
	}
	return dayOf(in.Next, zone).AddDate(0, 0, r.Days)
}

// gather adds what the register has of the item's kind.
func (i *Item) gather(in Input) {
	proven := true
	for _, e := range in.Entries {
		if e.Kind != i.Kind {
			continue
		}
		if i.Since.IsZero() || e.AddedAt.Before(i.Since) {
			i.Since = e.AddedAt
		}
		if e.ReplacedBy != 0 {
			i.Replaced++
			continue
		}
		i.Entries = append(i.Entries, e)
		p := in.Proofs[e.Digest]
		if state := stateOf(p); i.Proof == "" || rank(state) < rank(i.Proof) {
			i.Proof = state
		}
		if p.BlockTime.IsZero() {
			proven = false
		} else if p.BlockTime.After(i.ProvenAt) {
			i.ProvenAt = p.BlockTime
		}
	}
	if !proven {
		i.ProvenAt = time.Time{}
	}
}

// stateOf returns how far a proof is. A digest without a proof waits.
func stateOf(p store.Proof) store.ProofState {
	if p.State == "" {
		return store.Waiting
	}
	return p.State
}

func rank(s store.ProofState) int { return slices.Index(store.ProofStates, s) }

func hasKind(entries []store.Entry, kind store.Kind) bool {
	return slices.ContainsFunc(entries, func(e store.Entry) bool { return e.Kind == kind })
}

// ClearDays returns how many clear days are between a moment and the day of a meeting: neither its
// own day nor that of the meeting is counted. It is negative if it is on that day or later.
func ClearDays(from time.Time, m store.Meeting) int {
	zone := Zone(m)
	day := func(t time.Time) time.Time {
		y, m, d := t.In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) // each day has 24 hours there
	}
	return int(day(m.Start).Sub(day(from))/(24*time.Hour)) - 1
}
