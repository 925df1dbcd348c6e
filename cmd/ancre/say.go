package main

import (
	"fmt"
	"io"

	"ancre/internal/printable"
)

// What a command prints passes two gates. The streams escape whatever would do something to a
// terminal; the program's own control sequences go around them, with printable.Raw. And a text that
// stands in a line of ours, of a daemon, a calendar, a proof or a file's name, cannot begin a line
// of its own: say, row, note and complain see to that.

// say prints a result, unless --quiet was given.
func (t *terminal) say(format string, args ...any) {
	if !t.quiet {
		fmt.Fprintf(t.out, format, printable.Args(args)...)
	}
}

// row prints a line of a table, or a cell of it.
func row(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format, printable.Args(args)...)
}

// jsonOut is where results go that are JSON: the same characters are escaped as JSON has it, so
// that they mean the same.
func (t *terminal) jsonOut() io.Writer {
	return printable.NewWriter(printable.Raw(t.out), printable.JSON)
}

// fillName makes a file's name text for JSON; see [printable.FileName].
func fillName(name, exact *string) { *name, *exact = printable.FileName(*name) }
