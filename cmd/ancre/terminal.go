package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminal is the world of a command: its streams, and which of them a person sits at.
type terminal struct {
	in               io.Reader
	out, err         io.Writer
	person           bool // somebody types in
	outTerm, errTerm bool // somebody reads out, err
	outNull          bool // nobody can ever read out
	quiet            bool // with --quiet: say nothing when all is well
	width            func() int
	ancred           func() string                         // the path of the ancred that belongs to this ancre; "": there is none
	secret           func(context.Context) (string, error) // reads a line from the person without showing it
}

func systemTerminal() *terminal {
	stdin := int(os.Stdin.Fd())
	return &terminal{
		in:      os.Stdin,
		out:     os.Stdout,
		err:     os.Stderr,
		person:  term.IsTerminal(stdin),
		outTerm: term.IsTerminal(int(os.Stdout.Fd())),
		errTerm: term.IsTerminal(int(os.Stderr.Fd())),
		outNull: isNull(os.Stdout),
		ancred:  findAncred,
		width: func() int {
			if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		},
		secret: func(ctx context.Context) (string, error) {
			shown, err := term.GetState(stdin)
			if err != nil {
				return "", err
			}
			defer term.Restore(stdin, shown)
			return interruptible(ctx, func() (string, error) {
				line, err := term.ReadPassword(stdin)
				return string(line), err
			})
		},
	}
}

// shown writes the name of a file as it is, or quoted where it would not stand on a line as it is:
// names come with strangers' archives, and a line break or an escape sequence in one could look
// like a result of ours, of another file.
func shown(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// interruptible returns when read does, or when ctx ends: a terminal cannot be told to give up
// reading. The reader that is left behind then ends with the program, which is what an interrupt is
// for.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := read()
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// ask reads a line that the person types after a question.
func (t *terminal) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(t.err, question)
	line, err := interruptible(ctx, func() (string, error) { return readLine(t.in) })
	if errors.Is(err, io.EOF) && line == "" {
		fmt.Fprintln(t.err)
		return "", errors.New("no answer came")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

// readLine reads a line, and nothing behind it: the next question reads that.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if n == 1 {
			line.WriteByte(b[0])
			if b[0] == '\n' {
				return line.String(), nil
			}
		}
		if err != nil {
			return line.String(), err
		}
	}
}

// isNull reports whether a stream leads nowhere. Go opens the null device for a stream that was
// closed before the program began.
func isNull(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

// askSecret is ask for what must not be seen.
func (t *terminal) askSecret(ctx context.Context, question string) (string, error) {
	fmt.Fprint(t.err, question)
	line, err := t.secret(ctx)
	fmt.Fprintln(t.err)
	if err != nil {
		return "", fmt.Errorf("nothing was read from the terminal: %w", err)
	}
	return line, nil
}
