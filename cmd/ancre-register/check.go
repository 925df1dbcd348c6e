package main

import (
	"fmt"
	"os"

	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/journal"
	"ancre/internal/printable"
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
				return &exitError{exitUsage, err}
			}
			dir, err := cfg.Dir()
			if err != nil {
				return &exitError{exitUsage, err}
			}
			root := os.Geteuid() == 0
			flags := a.flags
			flags.File = cfg.File() // that user has another home directory
			var found []daemon.Finding
			err = datadir.AsOwner(dir, func() error {
				if flags.File != "" {
					if cfg, err = flags.Load(); err != nil { // that user may not read it
						return &exitError{exitUsage, err}
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

// priorities are those of the levels in the journal, where the unit's ExecStartPre prints.
var priorities = map[daemon.Level]string{daemon.Fatal: journal.Error, daemon.Caution: journal.Warning, daemon.Fine: journal.Info}

// reportCheck prints what was found.
func (a *app) reportCheck(found []daemon.Finding) error {
	status := exitDone
	for _, f := range found {
		if f.Level == daemon.Fatal {
			status = exitFailed
		}
	}
	if a.json {
		err := a.printJSON(struct {
			Starts   bool             `json:"starts"`
			Findings []daemon.Finding `json:"findings"`
		}{status == exitDone, found}, false)
		if err != nil {
			return err
		}
		return finish(status)
	}
	for _, f := range found {
		if !a.quiet || f.Level != daemon.Fine {
			line := journal.Line(os.Stdout, priorities[f.Level], fmt.Sprintf("%-8s %s: %s\n", f.Level, f.About, printable.Line(f.Text)))
			_, _ = a.rawOut().Write([]byte(line)) // the stream remembers what could not be written
		}
	}
	switch {
	case status != exitDone:
		row(a.out, "ancre-register would not start like this.\n")
	case !a.quiet:
		row(a.out, "ancre-register would start.\n")
	}
	return finish(status)
}
