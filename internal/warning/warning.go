// Package warning has the table of all warnings.
//
// The rule: everything that makes a batch later than its target, or could, is a warning, with its
// likely cause and the remedy. A package that makes a batch wait must name the [Kind]. There are no
// kinds outside the table, so getinfo, "ancre status", the log, the metrics, the alerts and the
// documentation have each of them.
package warning

import (
	"fmt"
	"slices"
	"sync"
)

// Warning is one thing that an operator should know.
type Warning struct {
	Kind *Kind
	Text string // a sentence: what is wrong, and what to do
}

func (w Warning) String() string { return w.Text }

// New makes a warning.
func New(kind *Kind, format string, args ...any) Warning {
	return Warning{kind, fmt.Sprintf(format, args...)}
}

// Texts returns the sentences of warnings.
func Texts(all []Warning) []string {
	var out []string
	for _, w := range all {
		out = append(out, w.Text)
	}
	return out
}

// Has reports whether one of the warnings is of one of the kinds.
func Has(all []Warning, kinds ...*Kind) bool {
	return slices.ContainsFunc(all, func(w Warning) bool { return slices.Contains(kinds, w.Kind) })
}

// Board holds the warnings of one package, at most one of each kind. It may be used by several
// goroutines at once. The zero value is empty.
type Board struct {
	mu  sync.Mutex
	all map[*Kind]string
}

// Set raises a warning, or changes its text.
func (b *Board) Set(kind *Kind, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = make(map[*Kind]string)
	}
	b.all[kind] = text
}

// Clear ends the warnings of some kinds.
func (b *Board) Clear(kinds ...*Kind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, kind := range kinds {
		delete(b.all, kind)
	}
}

// List returns the warnings in the order of the table.
func (b *Board) List() []Warning {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Warning
	for _, kind := range table {
		if text, ok := b.all[kind]; ok {
			out = append(out, Warning{kind, text})
		}
	}
	return out
}

// Level is a condition on a figure that varies, such as a balance at a changing price. It begins
// below one mark and ends above another, so that it does not come and go with each small change.
// It may be used by several goroutines at once.
type Level struct {
	mu  sync.Mutex
	low bool
}

// Low reports whether the figure is low: below begin, or not yet at end since it was.
func (l *Level) Low(figure, begin, end float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.low = figure < begin || l.low && figure < end
	return l.low
}
