package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ancre/config"
	"ancre/internal/interrupt"
	"ancre/internal/printable"
	"ancre/internal/stdstream"
	"ancre/internal/version"
	"ancre/register/control"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses, see the package comment.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPending = 3
)

// exitError is an error that ends the program with that status. Without an error inside, everything
// has been said.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef makes an error of wrong usage.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// finish ends a command that has told its results already.
func finish(status int) error {
	if status == exitDone {
		return nil
	}
	return &exitError{status: status}
}

// worse returns the exit status that counts: failed before pending before done.
func worse(a, b int) int {
	if a == exitFailed || b == exitFailed {
		return exitFailed
	}
	return max(a, b)
}

// app is one call of the program.
type app struct {
	*terminal
	flags       config.RegisterFlags
	json, quiet bool

	told   error // what ended the command, once it was printed
	parsed bool  // flags and arguments were right: what goes wrong from here on is no wrong usage
	client *control.Client
}

// errReaderGone ends a command if the reader of its results is gone, as in "ancre-register list |
// head".
var errReaderGone = errors.New("the reader of the results is gone")

// run does what args say and returns the exit status. It closes the terminal's output.
func run(ctx context.Context, args []string, t *terminal) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out, errOut := stdstream.New(t.out, func() { stop(errReaderGone) }), stdstream.New(t.err, nil)
	own := *t
	own.in = interrupt.NewReader(ctx, t.in)
	own.out, own.err = printable.NewWriter(out, printable.Text), printable.NewWriter(errOut, printable.Text)
	a := &app{terminal: &own}
	status := a.run(ctx, args)

	if err := out.Finish(); err != nil && status != exitUsage {
		if !stdstream.IsReaderGone(err) && !errors.Is(a.told, err) {
			a.tellError(args, &exitError{exitFailed, fmt.Errorf("standard output could not be written, some results are missing: %w", err)})
		}
		status = exitFailed
	}
	if err := errOut.Finish(); err != nil && status != exitUsage {
		status = exitFailed // there is no place left to say why
	}
	return status
}

// run does what args say and returns the exit status, as far as the command itself knows it.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if a.client != nil {
		a.client.Close()
	}
	if err == nil {
		return exitDone
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitFailed, err}
		if !a.parsed {
			exit.status = exitUsage
		}
	}
	if exit.err == nil || context.Cause(ctx) == errReaderGone {
		return exit.status
	}
	if ctx.Err() != nil && errors.Is(exit.err, context.Canceled) {
		exit.err = errors.New("interrupted")
	}
	a.tellError(args, exit)
	return exit.status
}

// tellError says what ended the command.
func (a *app) tellError(args []string, exit *exitError) {
	a.told = exit.err
	if a.json || !a.parsed && slices.Contains(args, "--json") {
		var refused *control.Error
		code := ""
		if errors.As(exit.err, &refused) {
			code = refused.Code
		}
		// There is no way left to tell an error of writing.
		_ = json.NewEncoder(printable.NewWriter(printable.Raw(a.err), printable.JSON)).Encode(struct {
			Error string `json:"error"`
			Code  string `json:"code,omitempty"` // of the register's refusal
			Exit  int    `json:"exit"`
		}{printable.Name(exit.err.Error()), code, exit.status})
		return
	}
	fmt.Fprintf(a.err, "ancre-register: %v\n", printable.Args([]any{exit.err})...)
	if exit.status == exitUsage {
		fmt.Fprintf(a.err, "Try \"ancre-register help\" or \"ancre-register VERB --help\".\n")
	}
}

const rootHelp = `ancre-register keeps the register of a council's documents: it takes files, has their hashes anchored in Bitcoin by an
ancred, keeps their proofs, and shows on a public page what you publish.

"ancre-register serve" is the daemon; a service of the machine runs it. The other verbs reach it through a socket. If
it is a service, the members of the group ancre-register may use them; others need sudo.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not yet (a proof is pending, or a meeting waits for documents). Of
several files the worst counts: 1 before 3 before 0. It is also 1 if a result could not be written.

With --json, add prints one JSON object per line for each file; the other verbs print one JSON document. An error that
stops a command is a JSON object {"error", "exit"} on standard error. docs/register.md explains the members.`

// command returns the tree of commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "ancre-register",
		Short:         "Keep the register of documents, and its public page",
		Long:          rootHelp,
		Version:       version.Text(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			a.parsed = true
			if a.quiet && a.json {
				return usagef("--quiet and --json exclude each other: for a quiet command with JSON, redirect its standard output")
			}
			return nil
		},
		RunE: needVerb,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetVersionTemplate("ancre-register {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&a.flags.File, "config", "", "configuration `FILE` (default ~/.ancre/"+config.RegisterFileName+", if it is there; on Linux, then /etc/ancre/register.conf)")
	f.StringVar(&a.flags.DataDir, "datadir", "", "`DIR` of the register's data (default ~/.ancre/register)")
	f.BoolVar(&a.json, "json", false, "print results as JSON")
	f.SortFlags = false

	root.AddGroup(&cobra.Group{ID: "documents", Title: "Meetings and documents:"}, &cobra.Group{ID: "register", Title: "The register:"})
	for _, cmd := range []*cobra.Command{a.meetingCommand(), a.addCommand(), a.listCommand(), a.showCommand(), a.publishCommand(), a.withdrawCommand()} {
		cmd.GroupID = "documents"
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{a.serveCommand(), a.checkCommand(), a.statusCommand(), a.exportCommand(), a.backupCommand(), a.restoreCommand()} {
		cmd.GroupID = "register"
		root.AddCommand(cmd)
	}
	root.AddCommand(a.versionCommand())
	return root
}

// addQuiet adds -q to a verb.
func (a *app) addQuiet(f *pflag.FlagSet) {
	f.BoolVarP(&a.quiet, "quiet", "q", false, "for cron: print nothing if all is well, only errors and warnings, on standard error")
}

// needVerb is what commands do that only group others.
func needVerb(cmd *cobra.Command, args []string) error {
	var verbs []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			verbs = append(verbs, sub.Name())
		}
	}
	allowed := fmt.Sprintf("%s takes one of: %s", cmd.CommandPath(), strings.Join(verbs, ", "))
	if len(args) > 0 {
		return usagef("unknown verb %q: %s", args[0], allowed)
	}
	return usagef("what to do? %s", allowed)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program. Behind the number stands the commit that it was built from, unless that is the release.
"ancre-register status" shows the version of the register that runs.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(struct {
					Version string `json:"version"`
				}{version.Text()}, false)
			}
			a.say("ancre-register %s\n", version.Text())
			return nil
		},
	}
}
