package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ancre/internal/humanize"
)

// findAncred returns the path of the ancred that belongs to this ancre: the one beside it, or that
// of PATH. It returns "" if there is none.
func findAncred() string {
	name := "ancred"
	if own, err := os.Executable(); err == nil {
		name += filepath.Ext(own) // .exe
		if path := filepath.Join(filepath.Dir(own), name); exists(path) {
			return path
		}
	}
	path, err := exec.LookPath("ancred")
	if err != nil {
		return ""
	}
	return path
}

// killWait is how long a program that was asked to end may go on.
const killWait = 10 * time.Second

// runProgram runs a program without a shell. What it prints goes to out. The error ends with the
// last lines that the program printed on standard error. When ctx ends, the program is asked to
// end, and then killed.
func runProgram(ctx context.Context, out io.Writer, env []string, command ...string) error {
	var last lastLines
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = out, io.MultiWriter(out, &last)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killWait
	secret := func(line string) bool { return strings.HasPrefix(line, passwordVariable+"=") }
	cmd.Env = append(slices.DeleteFunc(os.Environ(), secret), env...)
	err := cmd.Run()
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s ended with %s", command[0], exit.ProcessState)
	}
	if text := last.text(); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// lastLines keeps the end of what is written to it.
type lastLines struct{ kept []byte }

func (l *lastLines) Write(p []byte) (int, error) {
	const enough = 1 << 10
	l.kept = append(l.kept, p...)
	l.kept = l.kept[max(len(l.kept)-enough, 0):]
	return len(p), nil
}

// text returns the last lines, one after the other.
func (l *lastLines) text() string {
	const enough = 3 // the last one often only says that there was an error
	var lines []string
	for line := range strings.Lines(string(l.kept)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return humanize.ClipTo(strings.Join(lines[max(len(lines)-enough, 0):], "; "), 400)
}
