package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// teller writes the story: numbered headings, sentences, and commands with their answers.
type teller struct {
	out   io.Writer
	step  *int
	bold  string
	plain string
}

func newTeller(out *os.File) teller {
	t := teller{out: out, step: new(int)}
	if term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == "" {
		t.bold, t.plain = "\x1b[1m", "\x1b[0m"
	}
	return t
}

func (t teller) heading(text string) {
	*t.step++
	fmt.Fprintf(t.out, "\n\n%s%d  %s%s\n", t.bold, *t.step, text, t.plain)
}

// say writes a paragraph.
func (t teller) say(format string, args ...any) {
	fmt.Fprintln(t.out)
	t.line(format, args...)
}

// line continues a paragraph.
func (t teller) line(format string, args ...any) {
	for _, line := range strings.Split(fmt.Sprintf(format, args...), "\n") {
		fmt.Fprintln(t.out, strings.TrimRight("   "+line, " "))
	}
}

// show writes a command as a person types it, and its answer.
func (t teller) show(command, answer string) {
	fmt.Fprintf(t.out, "\n   %s$ %s%s\n", t.bold, command, t.plain)
	for _, line := range strings.Split(strings.Trim(answer, "\n"), "\n") {
		if line != "" {
			fmt.Fprintf(t.out, "     %s\n", line)
		}
	}
}
