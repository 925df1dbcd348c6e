//go:build manpages

package main

import (
	"os"
	"path/filepath"
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
	for _, p := range manpage.Commands((&app{terminal: systemTerminal()}).command(), manpage.Edition{Version: "ancre " + version.Number, Date: day}) {
		if err := os.WriteFile(filepath.Join(dir, p.File()), p.Text, 0o644); err != nil {
			return err
		}
	}
	root := (&app{terminal: systemTerminal()}).command()
	for name, write := range map[string]func(string) error{
		"ancre.bash": func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"ancre.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
		"_ancre":     root.GenZshCompletionFile,
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
