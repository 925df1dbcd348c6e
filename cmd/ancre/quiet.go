package main

import (
	"ancre/internal/command"

	"github.com/spf13/pflag"
)

// cron mails whatever a command prints. With --quiet, the verbs of files print only what needs a
// person, on standard error: note and say are silent, complain is not. The exit status is the same.

// addQuiet adds -q to a verb.
func (a *app) addQuiet(f *pflag.FlagSet) {
	f.BoolVarP(&a.quiet, "quiet", "q", false, "for cron: print nothing if all is well, only errors and warnings, on standard error")
}

// checkQuiet refuses --quiet with --json, whose documents are what the caller wants.
func (a *app) checkQuiet() error {
	if a.quiet && a.json {
		return command.Usagef("--quiet and --json exclude each other: for a quiet command with JSON, redirect its standard output")
	}
	return nil
}

// warn prints a warning about a result. It belongs to the result, which --quiet leaves out: then it
// goes to standard error.
func (a *app) warn(name, warning string) {
	switch {
	case a.json: // the result holds it
	case a.quiet:
		a.complain("%s: warning: %s", name, warning)
	default:
		a.say("%s: warning: %s\n", name, warning)
	}
}
