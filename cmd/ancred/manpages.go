//go:build manpages

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"ancre/internal/manpage"
	"ancre/internal/version"
)

// With the build tag manpages, "ancred manpages DIR YYYY-MM-DD SAMPLE" writes the manual pages of
// the daemon and of its configuration into DIR, and a program that is built to be used has nothing
// of it. tools/packages runs it.
func init() {
	if len(os.Args) != 5 || os.Args[1] != "manpages" {
		return
	}
	if err := writeManpages(os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "ancred manpages:", err)
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
	return manpage.Write(dir,
		manpage.Daemon("ancred", "anchors hashes in Bitcoin", help, edition),
		manpage.Configuration("ancre.conf", "configuration of ancred and ancre", string(conf), edition))
}

// help returns what the program prints for args, or nothing if that is no help.
func help(args ...string) string {
	var out strings.Builder
	if run(args, world{out: &out, err: io.Discard}) != exitDone {
		return ""
	}
	return out.String()
}
