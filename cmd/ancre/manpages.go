//go:build manpages

package main

import (
	"os"
	"time"

	"ancre/internal/manpage"
	"ancre/internal/version"
)

// With the build tag manpages, "ancre manpages DIR YYYY-MM-DD" writes the manual pages and the
// completions of shells into DIR, and a program that is built to be used has nothing of it.
// tools/packages runs it.
func init() {
	if len(os.Args) != 4 || os.Args[1] != "manpages" {
		return
	}
	if err := writeManpages(os.Args[2], os.Args[3]); err != nil {
		(&app{terminal: systemTerminal()}).complain("manpages: %v", err)
		os.Exit(exitFailed)
	}
	os.Exit(exitDone)
}

func writeManpages(dir, date string) error {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return err
	}
	if err := manpage.Write(dir, manpage.Commands((&app{terminal: systemTerminal()}).command(), manpage.Edition{Version: "ancre " + version.Number, Date: day})...); err != nil {
		return err
	}
	return manpage.WriteCompletions(dir, (&app{terminal: systemTerminal()}).command())
}
