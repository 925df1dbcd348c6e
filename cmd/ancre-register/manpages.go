//go:build manpages

package main

import (
	"fmt"
	"os"
	"time"

	"ancre/internal/manpage"
	"ancre/internal/version"
)

// With the build tag manpages, "ancre-register manpages DIR YYYY-MM-DD SAMPLE" writes the manual
// pages and the completions of shells into DIR, and a program that is built to be used has nothing
// of it. tools/packages runs it.
func init() {
	if len(os.Args) != 5 || os.Args[1] != "manpages" {
		return
	}
	if err := writeManpages(os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "ancre-register manpages:", err)
		os.Exit(exitFailed)
	}
	os.Exit(exitDone)
}

func writeManpages(dir, date, sample string) error {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return err
	}
	conf, err := os.ReadFile(sample)
	if err != nil {
		return err
	}
	edition := manpage.Edition{Version: "ancre " + version.Number, Date: day}
	root := (&app{terminal: systemTerminal()}).command()
	pages := append(manpage.Commands(root, edition), manpage.Configuration("register.conf", "configuration of ancre-register", string(conf), edition))
	if err := manpage.Write(dir, pages...); err != nil {
		return err
	}
	return manpage.WriteCompletions(dir, (&app{terminal: systemTerminal()}).command())
}
