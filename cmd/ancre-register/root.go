package main

import (
	"context"
	"errors"

	"ancre/config"
	"ancre/internal/command"
	"ancre/internal/version"
	"ancre/register/control"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses, see the package comment.
const (
	exitDone    = command.Done
	exitFailed  = command.Failed
	exitUsage   = command.Usage
	exitPending = command.Pending
)

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

	client *control.Client
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

// ended closes the connection to the register.
func (a *app) ended(_ *cobra.Command, err error) error {
	if a.client != nil {
		a.client.Close()
	}
	return err
}

// codeOf returns the code of the register's refusal, nil if the error is none.
func codeOf(err error) any {
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code != "" {
		return refused.Code
	}
	return nil
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
			if a.quiet && a.json {
				return command.Usagef("--quiet and --json exclude each other: for a quiet command with JSON, redirect its standard output")
			}
			return nil
		},
		RunE: command.NeedVerb,
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
