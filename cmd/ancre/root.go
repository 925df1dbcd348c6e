package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"ancre/config"
	"ancre/internal/interrupt"
	"ancre/internal/printable"
	"ancre/internal/stdstream"
	"ancre/internal/version"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

// Exit statuses, see the package comment.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPending = 3

	exitUnverifiable = 4
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

// app is one call of the program.
type app struct {
	*terminal
	flags config.Flags
	json  bool

	rpcURL, rpcUser, rpcCookie string

	told   error // what ended the command, once it was printed
	parsed bool  // flags and arguments were right: what goes wrong from here on is no wrong usage
	client *rpc.Client

	cookies *cookies // where client has its credentials from; nil: from a flag
}

// errReaderGone ends a command if the reader of its results is gone, as in "ancre stamp -r DIR |
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
	cmd, err := root.ExecuteContextC(ctx)
	if a.client != nil {
		a.client.Close()
	}
	if err == nil {
		return exitDone
	}
	if rpc.HasCode(err, rpc.CodeForbidden) && a.asMember() {
		err = needsAdmin(cmd, err)
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
	if a.json || !a.parsed && wantsJSON(args) {
		json.NewEncoder(printable.NewWriter(printable.Raw(a.err), printable.JSON)).Encode(struct {
			Error string `json:"error"`
			Code  int    `json:"code,omitempty"` // of the daemon's refusal
			Exit  int    `json:"exit"`
		}{printable.Name(exit.err.Error()), codeOf(exit.err), exit.status})
		return
	}
	fmt.Fprintf(a.err, "ancre: %v\n", printable.Args([]any{exit.err})...)
	if exit.status == exitUsage {
		fmt.Fprintf(a.err, "Try \"ancre help\" or \"ancre VERB --help\".\n")
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

func codeOf(err error) int {
	var refused *rpc.Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return 0
}

const rootHelp = `ancre stamps files: a running ancred anchors their hashes in Bitcoin, and FILE.ots beside each FILE becomes a
proof, in the OpenTimestamps format, that FILE existed before some block.

On the daemon's machine ancre needs no flags: it reads the daemon's configuration and cookie. If the daemon is a service
of the machine, the members of the group ancre may stamp, verify and read; the rest needs sudo. On another machine, name --rpc URL and --rpc-user, and put the password into the environment as ANCRE_RPC_PASSWORD.

Exit status: 0 done or valid, 1 invalid or failed, 2 wrong usage, 3 not yet (a proof is pending), 4 cannot be
checked here (nothing contradicts the proof, and the answer says what a check needs). Of several files the worst
counts: 1 before 4 before 3 before 0. It is also 1 if a result could not be written to standard output or
standard error.

With -q, the verbs that cron runs print nothing if all is well, only errors and warnings, on standard error. The exit
status stays the same. A proof that goes to standard output is still written.

With --json, stamp, upgrade, verify, prune, receipt and info print one JSON object per line for each file. With -r, a last line
{"summary"} counts the results, and what was left out. The other verbs
print one JSON document. An error that stops a command is a JSON object {"error", "exit"} on standard error.`

// command returns the tree of commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "ancre",
		Short:         "Stamp files with Bitcoin, and verify their proofs",
		Long:          rootHelp,
		Version:       version.Text(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			a.parsed = true
			return a.checkQuiet()
		},
		RunE: needVerb,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetVersionTemplate("ancre {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&a.flags.File, "config", "", "configuration `FILE` (default DATADIR/"+config.FileName+", if it is there; on Linux, then /etc/ancre/ancre.conf)")
	f.StringVar(&a.flags.DataDir, "datadir", "", "`DIR` in which the networks' directories lie (default ~/.ancre)")
	f.StringVar(&a.flags.Network, "network", "", "`NAME` of the network: "+strings.Join(config.Networks(), ", ")+" (default mainnet)")
	f.StringVar(&a.rpcURL, "rpc", "", "`URL` of the daemon, without user and password (default rpc.listen of the configuration)")
	f.StringVar(&a.rpcUser, "rpc-user", "", "`NAME` of a user in rpc.auth; the password is taken from ANCRE_RPC_PASSWORD")
	f.StringVar(&a.rpcCookie, "rpc-cookie", "", "cookie `FILE` to take user and password from (default that in the data directory, then that of the service)")
	f.BoolVar(&a.json, "json", false, "print results as JSON")
	f.SortFlags = false

	root.AddGroup(&cobra.Group{ID: "files", Title: "Files and proofs:"}, &cobra.Group{ID: "daemon", Title: "The daemon:"})
	for _, cmd := range []*cobra.Command{a.stampCommand(), a.upgradeCommand(), a.verifyCommand(), a.infoCommand(), a.pruneCommand(), a.receiptCommand(), a.headersCommand()} {
		cmd.GroupID = "files"
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{a.statusCommand(), a.batchesCommand(), a.walletCommand(), a.doctorCommand(), a.backupCommand(), a.movedRestoreCommand(), a.rpcCommand(), a.authCommand()} {
		cmd.GroupID = "daemon"
		root.AddCommand(cmd)
	}
	root.AddCommand(a.versionCommand())
	return root
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

// printJSON prints one document: on one line for what comes one after the other, else laid out for
// reading.
func (a *app) printJSON(v any, line bool) error {
	if names, ok := v.(interface{ fillNames() }); ok {
		names.fillNames()
	}
	enc := json.NewEncoder(a.jsonOut())
	enc.SetEscapeHTML(false)
	if !line {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
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
		fmt.Fprintf(a.err, "ancre: "+format+"\n", printable.Args(args)...)
	}
}

// exists says whether there is something at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
