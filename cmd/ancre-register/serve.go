package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"ancre/internal/command"
	"ancre/internal/journal"
	"ancre/internal/printable"
	"ancre/internal/version"
	"ancre/register/daemon"

	"github.com/spf13/cobra"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the register",
		Long: `Run the register: take documents, send their hashes to the node, follow their proofs, and serve the public page.

It finds the ancred of this machine by itself, as a member of the group ancre or as the user who runs it. Every setting
stands in register.sample.conf with its default and its reason. The log goes to standard error. Stop it with Ctrl-C or
SIGTERM. It goes on when the terminal is closed that it was started from.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return command.Finish(a.serve())
		},
	}
}

// serve runs the register until a signal asks for its end. Its errors go to the journal with their
// priority, if that is where standard error leads.
func (a *app) serve() int {
	fail := func(status int, err error) int {
		w := printable.Raw(a.err)
		if _, err := w.Write([]byte(journal.Line(os.Stderr, journal.Error, "ancre-register: "+printable.Text(err.Error())) + "\n")); err != nil {
			return exitFailed
		}
		return status
	}
	cfg, err := a.flags.Load()
	if err != nil {
		return fail(exitUsage, err)
	}
	if err := cfg.Denied(); err != nil {
		return fail(exitUsage, err)
	}
	// A terminal that is closed sends SIGHUP. A log that nobody reads any more is SIGPIPE. Neither
	// is a reason to stop.
	signal.Reset()
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: nothing is lost by that, only the stop is not
	// clean.
	context.AfterFunc(ctx, stop)
	keepPrivate()
	if err := daemon.Run(ctx, cfg, version.Text(), os.Stderr); err != nil {
		return fail(exitFailed, err)
	}
	return exitDone
}
