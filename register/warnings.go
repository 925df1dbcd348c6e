package register

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Warning is one thing that the people who run the register should know.
type Warning struct {
	Kind    string // "node", "proof", "watch": what warns
	Subject string // what it is about: a path, a digest; "": the whole
	Text    string // a sentence: what is wrong, and what to do
	Since   time.Time
}

// Warnings are those that hold now. Several goroutines may use them at once.
type Warnings struct {
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[warningKey]Warning
}

type warningKey struct{ kind, subject string }

func newWarnings(now func() time.Time) *Warnings {
	if now == nil {
		now = time.Now
	}
	return &Warnings{now: now, all: make(map[warningKey]Warning)}
}

// Set makes a warning hold. It reports whether that is news: the same text did not hold before.
func (w *Warnings) Set(kind, subject, text string) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := warningKey{kind, subject}
	was, held := w.all[key]
	if held && was.Text == text {
		return false
	}
	since := was.Since
	if !held {
		since = w.now()
	}
	w.all[key] = Warning{Kind: kind, Subject: subject, Text: text, Since: since}
	return true
}

// Clear ends a warning. It reports whether it held.
func (w *Warnings) Clear(kind, subject string) (held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := warningKey{kind, subject}
	_, held = w.all[key]
	delete(w.all, key)
	return held
}

// List returns all that hold, ordered by kind and subject.
func (w *Warnings) List() []Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.all), func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
}
