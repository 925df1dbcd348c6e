package main

import (
	"ancre/internal/printable"
	"ancre/internal/progress"
)

// startProgress begins to show progress if somebody sits at a terminal; else it returns nil, on
// which all methods do nothing. The caller must call Finish.
func (a *app) startProgress(label string, total int64, ofBytes bool) *progress.Bar {
	if !a.errTerm || a.json || a.quiet {
		return nil
	}
	return progress.Start(printable.Raw(a.err), a.width, label, total, ofBytes)
}
