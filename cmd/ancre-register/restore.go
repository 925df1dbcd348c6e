package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/datadir"
	"ancre/internal/humanize"
	"ancre/register/backup"
	"ancre/register/daemon"

	"github.com/spf13/cobra"
)

func (a *app) restoreCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a register from a backup",
		Long: `Make a register from a file that "ancre-register backup" wrote. The whole backup is checked first: if anything in it is wrong,
nothing is left of it. A data directory that holds a register is never changed.

FILE "-" is standard input. With --check, the backup is only rehearsed: it is restored into a temporary directory (in
$TMPDIR), checked, and removed. As root, the files belong to the owner of the data directory, as the service needs it.

Afterwards start the register. It asks the node for the proofs that came meanwhile.`,
		Example: `  ancre-register restore --check register.tar
  sudo ancre-register restore register.tar`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "only rehearse: nothing stays")
	return cmd
}

func (a *app) restore(ctx context.Context, path string, check bool) error {
	in, name := io.Reader(a.in), "standard input"
	if path != "-" {
		file, _, err := atomicfile.OpenInput(path)
		var kind *atomicfile.KindError
		if errors.As(err, &kind) {
			return command.Usagef("%s %w: name a file that \"ancre-register backup\" wrote", path, kind)
		}
		if err != nil {
			return err
		}
		defer file.Close()
		in, name = file, path
	}
	bar := a.startProgress("restoring", 0, true)
	defer bar.Finish()
	keepPrivate()
	var s backup.Summary
	var err error
	result := backupResult{File: path}
	if check {
		s, err = daemon.CheckBackup(ctx, os.TempDir(), in, show(bar))
	} else {
		var cfg config.Register
		if cfg, err = a.flags.Load(); err != nil {
			return command.Exit(exitUsage, err)
		}
		if err := cfg.Denied(); err != nil {
			return fmt.Errorf("%w: use sudo", err)
		}
		if result.DataDir, err = cfg.Dir(); err != nil {
			return command.Exit(exitUsage, err)
		}
		err = datadir.AsOwner(result.DataDir, func() (err error) {
			s, err = daemon.Restore(ctx, cfg, in, show(bar))
			return err
		})
	}
	bar.Finish()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch result.Summary = s; {
	case a.json:
		return a.printJSON(result, false)
	case check:
		a.say("%s is a whole backup of a register: %s\n", name, s.Contents()+", taken "+humanize.Local(s.Taken))
	default:
		a.say("restored to %s: %s\n", result.DataDir, s.Contents()+", taken "+humanize.Local(s.Taken))
		a.note("Now start the register: it asks the node for what came meanwhile. Documents that were added after the backup are not in it: add them again.")
	}
	return nil
}
