package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"ancre/config"
	"ancre/internal/command"
	"ancre/internal/printable"
	"ancre/internal/version"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

// Exit statuses, see the package comment.
const (
	exitDone         = command.Done
	exitFailed       = command.Failed
	exitUsage        = command.Usage
	exitPending      = command.Pending
	exitUnverifiable = 4
)

// app is one call of the program.
type app struct {
	*terminal
	flags config.Flags
	json  bool

	rpcURL, rpcUser, rpcCookie string

	client *rpc.Client

	cookies *cookies // where client has its credentials from; nil: from a flag
}

// run does what args say and returns the exit status. It closes the terminal's output.
func run(ctx context.Context, args []string, t *terminal) int {
	return command.Run(ctx, args, command.Streams{In: t.in, Out: t.out, Err: t.err}, func(s command.Streams) command.Program {
		own := *t
		own.in, own.out, own.err = s.In, s.Out, s.Err
		a := &app{terminal: &own}
		return command.Program{Root: a.command(), JSON: &a.json, Ended: a.ended, Code: codeOf}
	})
}

// ended closes the connection to the daemon, and says what a refusal means for a member of the
// group.
func (a *app) ended(cmd *cobra.Command, err error) error {
	if a.client != nil {
		a.client.Close()
	}
	if rpc.HasCode(err, rpc.CodeForbidden) && a.asMember() {
		return needsAdmin(cmd, err)
	}
	return err
}

// codeOf returns the code of the daemon's refusal, nil if the error is none.
func codeOf(err error) any {
	var refused *rpc.Error
	if errors.As(err, &refused) && refused.Code != 0 {
		return refused.Code
	}
	return nil
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
			return a.checkQuiet()
		},
		RunE: command.NeedVerb,
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
