package main

import (
	"io"
	"os"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/datadir"
	"ancre/internal/findings"
	"ancre/register/daemon"

	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the register would start, and what would be wrong",
		Long: `Say whether the register would start with its configuration, and what would be wrong. Nothing is changed. It looks at the data
directory, the files that are named, the addresses, the disk, and asks the node. As root it looks as the user to whom the
data directory belongs, because the service runs as that user.

With -q, only what is wrong is printed.

Exit status: 0 the register would start (there may be warnings), 1 it would not, 2 the configuration is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.flags.Load()
			if err == nil {
				err = cfg.Denied()
			}
			if err != nil {
				return command.Exit(exitUsage, err)
			}
			dir, err := cfg.Dir()
			if err != nil {
				return command.Exit(exitUsage, err)
			}
			root := os.Geteuid() == 0
			flags := a.flags
			flags.File = cfg.File() // that user has another home directory
			var found findings.List
			err = datadir.AsOwner(dir, func() error {
				if flags.File != "" {
					if cfg, err = flags.Load(); err != nil { // that user may not read it
						return command.Exit(exitUsage, err)
					}
				}
				if root && os.Geteuid() != 0 {
					a.note("Checking as %s, to whom %s belongs.", atomicfile.UserName(os.Geteuid()), dir)
				}
				found = daemon.Check(cmd.Context(), cfg)
				return nil
			})
			if err != nil {
				return err
			}
			return a.reportCheck(found)
		},
	}
	a.addQuiet(cmd.Flags())
	return cmd
}

// reportCheck prints what was found.
func (a *app) reportCheck(found findings.List) error {
	report := found.Report()
	status := exitDone
	if !report.Starts {
		status = exitFailed
	}
	if a.json {
		if err := a.printJSON(report, false); err != nil {
			return err
		}
		return command.Finish(status)
	}
	_, _ = io.WriteString(a.rawOut(), report.Text("ancre-register", a.quiet, os.Stdout)) // the stream remembers what could not be written
	return command.Finish(status)
}
