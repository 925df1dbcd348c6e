package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"ancre/internal/printable"
	"ancre/internal/progress"

	"golang.org/x/term"
)

// terminal is the world of a command: its streams, and which of them a person sits at.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	outTerm  bool // somebody reads out
	errTerm  bool // somebody reads err
	width    func() int
}

func systemTerminal() *terminal {
	return &terminal{
		in:      os.Stdin,
		out:     os.Stdout,
		err:     os.Stderr,
		outTerm: term.IsTerminal(int(os.Stdout.Fd())),
		errTerm: term.IsTerminal(int(os.Stderr.Fd())),
		width: func() int {
			if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		},
	}
}

// What a command prints passes two gates. The streams escape whatever would do something to a
// terminal. And a text that stands in a line of ours, such as the name of a file, cannot begin a
// line of its own: say, note and complain see to that.

// say prints a result, unless --quiet was given.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.out, format, printable.Args(args)...)
	}
}

// note tells a person something that is no result, unless --quiet was given.
func (a *app) note(format string, args ...any) {
	if !a.json && !a.quiet {
		fmt.Fprintf(a.err, format+"\n", printable.Args(args)...)
	}
}

// complain tells a person of an error after which the command goes on.
func (a *app) complain(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.err, "ancre-register: "+format+"\n", printable.Args(args)...)
	}
}

// row prints a line of a table, or a cell of it.
func row(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format, printable.Args(args)...)
}

// printJSON prints one document: on one line for what comes one after the other, else laid out for
// reading.
func (a *app) printJSON(v any, line bool) error {
	enc := json.NewEncoder(printable.NewWriter(printable.Raw(a.out), printable.JSON))
	enc.SetEscapeHTML(false)
	if !line {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

// rawOut is standard output for bytes that are no text.
func (a *app) rawOut() io.Writer { return printable.Raw(a.out) }

// startProgress begins to show progress if somebody sits at a terminal; else it returns nil, on
// which all methods do nothing. The caller must call Finish.
func (a *app) startProgress(label string, total int64, ofBytes bool) *progress.Bar {
	if !a.errTerm || a.json || a.quiet {
		return nil
	}
	return progress.Start(printable.Raw(a.err), a.width, label, total, ofBytes)
}
