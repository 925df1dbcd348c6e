// Package command runs one call of a program that has verbs: its streams, what ends it, how that is
// told, and the exit status.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"ancre/internal/interrupt"
	"ancre/internal/printable"
	"ancre/internal/stdstream"

	"github.com/spf13/cobra"
)

// Exit statuses that all programs share.
const (
	Done    = 0
	Failed  = 1
	Usage   = 2
	Pending = 3
)

// Error is an error that ends the program with that status. Without an error inside, everything has
// been said.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Exit gives an error the status with which it ends the program.
func Exit(status int, err error) error { return &Error{Status: status, Err: err} }

// Usagef makes an error of wrong usage.
func Usagef(format string, args ...any) error { return Exit(Usage, fmt.Errorf(format, args...)) }

// Finish ends a command that has told its results already.
func Finish(status int) error {
	if status == Done {
		return nil
	}
	return Exit(status, nil)
}

// NeedVerb is what commands do that only group others.
func NeedVerb(cmd *cobra.Command, args []string) error {
	var verbs []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			verbs = append(verbs, sub.Name())
		}
	}
	allowed := fmt.Sprintf("%s takes one of: %s", cmd.CommandPath(), strings.Join(verbs, ", "))
	if len(args) > 0 {
		return Usagef("unknown verb %q: %s", args[0], allowed)
	}
	return Usagef("what to do? %s", allowed)
}

// Streams are the standard streams of a call.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Program is a tree of commands, and what ends a call of it. The name of the program is that of
// Root.
type Program struct {
	Root *cobra.Command
	JSON *bool // with --json: errors are told as JSON

	// Ended is called with what a command returned. It closes what is open, and returns the error
	// in better words if it knows any.
	Ended func(*cobra.Command, error) error

	// Code returns the code of a refusal, for scripts; nil if the error is none.
	Code func(error) any
}

// errReaderGone ends a command if the reader of its results is gone, as in "ancre stamp -r DIR |
// head".
var errReaderGone = errors.New("the reader of the results is gone")

// Run does what args say and returns the exit status. It makes the program for streams of which no
// write fails unseen and no text controls a terminal, and closes s.Out and s.Err in the end.
func Run(ctx context.Context, args []string, s Streams, program func(Streams) Program) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out, errOut := stdstream.New(s.Out, func() { stop(errReaderGone) }), stdstream.New(s.Err, nil)
	c := &call{args: args, streams: Streams{
		In:  interrupt.NewReader(ctx, s.In),
		Out: printable.NewWriter(out, printable.Text),
		Err: printable.NewWriter(errOut, printable.Text),
	}}
	c.program = program(c.streams)
	status := c.run(ctx)

	if err := out.Finish(); err != nil && status != Usage {
		if !stdstream.IsReaderGone(err) && !errors.Is(c.told, err) {
			c.tell(&Error{Failed, fmt.Errorf("standard output could not be written, some results are missing: %w", err)})
		}
		status = Failed
	}
	if err := errOut.Finish(); err != nil && status != Usage {
		status = Failed // there is no place left to say why
	}
	return status
}

// call is one call of a program.
type call struct {
	program Program
	args    []string
	streams Streams
	parsed  bool  // flags and arguments were right: what goes wrong from here on is no wrong usage
	told    error // what ended the command, once it was printed
}

// run does what the arguments say and returns the exit status, as far as the command itself knows
// it.
func (c *call) run(ctx context.Context) int {
	root := c.program.Root
	root.SetArgs(c.args)
	root.SetIn(c.streams.In)
	root.SetOut(c.streams.Out)
	root.SetErr(c.streams.Err)
	before := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		c.parsed = true
		return before(cmd, args)
	}
	err := c.program.Ended(root.ExecuteContextC(ctx))
	if err == nil {
		return Done
	}
	var exit *Error
	if !errors.As(err, &exit) {
		exit = &Error{Failed, err}
		if !c.parsed {
			exit.Status = Usage
		}
	}
	if exit.Err == nil || context.Cause(ctx) == errReaderGone {
		return exit.Status
	}
	if ctx.Err() != nil && errors.Is(exit.Err, context.Canceled) {
		exit.Err = errors.New("interrupted")
	}
	c.tell(exit)
	return exit.Status
}

// tell says what ended the command.
func (c *call) tell(exit *Error) {
	c.told = exit.Err
	name := c.program.Root.Name()
	if *c.program.JSON || !c.parsed && wantsJSON(c.args) {
		// There is no way left to tell an error of writing.
		_ = json.NewEncoder(printable.NewWriter(printable.Raw(c.streams.Err), printable.JSON)).Encode(struct {
			Error string `json:"error"`
			Code  any    `json:"code,omitempty"` // of a refusal
			Exit  int    `json:"exit"`
		}{printable.Name(exit.Err.Error()), c.program.Code(exit.Err), exit.Status})
		return
	}
	fmt.Fprintf(c.streams.Err, "%s: %v\n", append([]any{name}, printable.Args([]any{exit.Err})...)...)
	if exit.Status == Usage {
		fmt.Fprintf(c.streams.Err, "Try \"%s help\" or \"%s VERB --help\".\n", name, name)
	}
}

// wantsJSON serves errors in the flags themselves.
func wantsJSON(args []string) bool {
	for _, arg := range args {
		if arg == "--json" {
			return true
		}
		if arg == "--" {
			break
		}
	}
	return false
}
