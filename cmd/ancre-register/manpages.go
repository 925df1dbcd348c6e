//go:build manpages

package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.File()), p.Text, 0o644); err != nil {
			return err
		}
	}
	root = (&app{terminal: systemTerminal()}).command()
	for name, write := range map[string]func(string) error{
		"ancre-register.bash": func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"ancre-register.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
		"_ancre-register":     root.GenZshCompletionFile,
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
