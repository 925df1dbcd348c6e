package notify

import (
	"maps"
	"slices"
	"strings"
	"time"

	"ancre/internal/warning"
)

const (
	// settle is how long a warning must last before the operator is told, and how long it must be
	// gone before it counts as over. At each start some warnings come and go within a minute: there
	// are no peers yet, and the wallet is locked until its passphrase was read.
	settle = 2 * time.Minute

	// day is how often at most the operator is told that a warning began, of each kind.
	day = 24 * time.Hour

	// hour is the same for critical warnings, which say that ancred refuses digests or that
	// something is damaged: one that comes back must not wait until tomorrow.
	hour = time.Hour

	// week is how long until a reminder of a warning that delays no anchor. Some of these stand for
	// what an operator decided, such as metrics.listen. All other warnings have a reminder each
	// day.
	week = 7 * day

	// firstWait and longestWait bound the time between two attempts while the command fails. Each
	// failure doubles it.
	firstWait   = time.Minute
	longestWait = time.Hour
)

// ledger knows which warnings there are and what the operator was told of them. It reads no clock
// and runs nothing. It is what survives a restart.
type ledger struct {
	Entries  map[string]*entry `json:"warnings"` // by the name of the kind
	Failures int               `json:"failures"` // of the command since it last succeeded
	Failed   time.Time         `json:"failed"`   // when the first of them was
	Error    string            `json:"error"`    // what the last of them said
	NextTry  time.Time         `json:"next_try"` // the command is not run before
}

// entry is what is known of one kind of warning.
type entry struct {
	Active bool      `json:"active"` // the warning is there, or was less than settle ago
	Since  time.Time `json:"since"`  // when it began
	Gone   time.Time `json:"gone"`   // when it was last seen to be over; zero: it is there
	Text   string    `json:"text"`   // its newest text
	Owed   bool      `json:"owed"`   // the operator must be told that it began, even if it is over meanwhile
	Open   bool      `json:"open"`   // the operator was told that it began, and not that it is over
	Told   time.Time `json:"told"`   // when the operator was last told that it began, or reminded

	failures int // of the command for this kind since it last succeeded
}

// look takes note of the warnings that there are now. It reports whether something changed that
// must survive a restart.
func (l *ledger) look(now time.Time, all []warning.Warning) (changed bool) {
	texts := make(map[*warning.Kind]string)
	for _, w := range all {
		if w.Kind == warning.Notify { // telling this would need what it is about
			continue
		}
		if texts[w.Kind] != "" {
			texts[w.Kind] += "\n"
		}
		texts[w.Kind] += w.Text
	}
	for _, kind := range warning.All() {
		text, there := texts[kind]
		e := l.Entries[kind.Name()]
		if e == nil && there {
			if l.Entries == nil {
				l.Entries = make(map[string]*entry)
			}
			e = new(entry)
			l.Entries[kind.Name()] = e
		}
		if e == nil {
			continue
		}
		before := *e
		e.limit(now)
		if there {
			e.present(now, text, kind)
		} else {
			e.absent(now)
		}
		if e.forgettable(now) {
			delete(l.Entries, kind.Name())
		}
		before.Text = e.Text // it may change with each look
		changed = changed || before != *e || e.forgettable(now)
	}
	return changed
}

// limit corrects times that lie in the future, because the clock was set back.
func (e *entry) limit(now time.Time) {
	for _, t := range []*time.Time{&e.Since, &e.Gone, &e.Told} {
		if t.After(now) {
			*t = now
		}
	}
}

func (e *entry) present(now time.Time, text string, kind *warning.Kind) {
	if !e.Active {
		e.Active, e.Since = true, now
	}
	e.Gone, e.Text = time.Time{}, text
	if !e.Open && now.Sub(e.Since) >= settle && now.Sub(e.Told) >= again(kind) {
		e.Owed = true
	}
}

func (e *entry) absent(now time.Time) {
	if !e.Active {
		return
	}
	if e.Gone.IsZero() {
		e.Gone = now
	}
	if now.Sub(e.Gone) >= settle {
		e.Active = false
	}
}

// forgettable reports whether nothing will ever depend on the entry.
func (e *entry) forgettable(now time.Time) bool {
	return !e.Active && !e.Owed && !e.Open && now.Sub(e.Told) >= day
}

// again is how long after it was told that a warning of this kind began, the same may be told
// again.
func again(kind *warning.Kind) time.Duration {
	if kind.Severity() == warning.Critical {
		return hour
	}
	return day
}

// remind is how long after it was last told of a warning the operator is reminded of it.
func remind(kind *warning.Kind) time.Duration {
	if kind.HoldsAnchors() {
		return day
	}
	return week
}

// next returns the event to tell now. ok is false if there is none. Of several, those that failed
// least come first, then those that began first: an event that the command cannot take holds up no
// other.
func (l *ledger) next(now time.Time) (e Event, ok bool) {
	if l.NextTry.After(now) && l.NextTry.Sub(now) <= longestWait {
		return Event{}, false
	}
	var due []Event
	for _, kind := range warning.All() {
		if entry := l.Entries[kind.Name()]; entry != nil {
			if name, at := entry.due(now, kind); name != "" {
				due = append(due, Event{Event: name, Kind: kind.Name(), Severity: string(kind.Severity()), Text: entry.Text, Time: at, Since: entry.Since,
					says: kind.Says(), remedy: kind.Remedy()})
			}
		}
	}
	if len(due) == 0 {
		return Event{}, false
	}
	return slices.MinFunc(due, func(a, b Event) int {
		if d := l.Entries[a.Kind].failures - l.Entries[b.Kind].failures; d != 0 {
			return d
		}
		return a.Time.Compare(b.Time)
	}), true
}

// due returns the event of one kind that is to be told, and when it happened. Events of a kind are
// told in their order: first that the warning began, then that it is over.
func (e *entry) due(now time.Time, kind *warning.Kind) (event string, at time.Time) {
	switch {
	case e.Owed:
		return Raised, e.Since
	case e.Open && !e.Active:
		return Cleared, e.Gone
	case e.Open && e.Gone.IsZero() && now.Sub(e.Told) >= remind(kind):
		return Reminder, now
	}
	return "", time.Time{}
}

// told takes note that the command succeeded with an event.
func (l *ledger) told(now time.Time, e Event) {
	l.succeeded()
	entry := l.Entries[e.Kind]
	if entry == nil {
		return
	}
	entry.failures = 0
	switch e.Event {
	case Raised:
		entry.Owed, entry.Open, entry.Told = false, true, now
	case Reminder:
		entry.Told = now
	case Cleared:
		entry.Open = false
	}
}

// succeeded ends a series of failures.
func (l *ledger) succeeded() {
	l.Failures, l.Failed, l.Error, l.NextTry = 0, time.Time{}, "", time.Time{}
}

// failed takes note that the command failed, and returns when it is tried again.
func (l *ledger) failed(now time.Time, e Event, err error) (wait time.Duration) {
	if l.Failures == 0 {
		l.Failed = now
	}
	wait = min(firstWait<<min(l.Failures, 10), longestWait)
	l.Failures, l.Error, l.NextTry = l.Failures+1, err.Error(), now.Add(wait)
	if entry := l.Entries[e.Kind]; entry != nil {
		entry.failures++
	}
	return wait
}

// untold returns the kinds of the warnings of which the operator was not told yet.
func (l *ledger) untold() (kinds []string) {
	for _, name := range slices.Sorted(maps.Keys(l.Entries)) {
		if e := l.Entries[name]; e.Owed {
			kinds = append(kinds, name)
		}
	}
	return kinds
}

// known removes what is of no kind that this version knows.
func (l *ledger) known() {
	maps.DeleteFunc(l.Entries, func(name string, e *entry) bool {
		return e == nil || !slices.ContainsFunc(warning.All(), func(k *warning.Kind) bool { return k.Name() == name })
	})
	l.Error = strings.ToValidUTF8(l.Error, "?")
}
