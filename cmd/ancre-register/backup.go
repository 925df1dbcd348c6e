package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/progress"
	"ancre/register/backup"
	"ancre/register/control"
	"ancre/register/daemon"

	"github.com/spf13/cobra"
)

// backupResult is what is printed about a backup or a restore, with --json.
type backupResult struct {
	File    string `json:"file"`
	DataDir string `json:"datadir,omitempty"` // of a restore
	backup.Summary
}

func (a *app) backupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything into one file, while the register runs",
		Long: `Write everything into FILE, while the register runs: meetings, documents, proofs. FILE is a tar archive; it is read again and
checked before it gets its name. Keep it on another machine: "ancre-register restore" makes a register of it.

FILE "-" is standard output. With backup.dir in register.conf, the register writes a backup each night by itself.`,
		Example: "  ancre-register backup /mnt/backup/register-$(date +%F).tar",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.backup(cmd.Context(), args[0], force)
			if err != nil {
				return err
			}
			if a.json {
				if args[0] == "-" {
					return nil
				}
				return a.printJSON(backupResult{File: args[0], Summary: s}, false)
			}
			if args[0] != "-" {
				a.say("%s: %s\n", args[0], s.Contents()+", taken "+humanize.Local(s.Taken))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace a FILE that is there")
	a.addQuiet(cmd.Flags())
	return cmd
}

func (a *app) backup(ctx context.Context, path string, force bool) (s backup.Summary, err error) {
	bar := a.startProgress("backing up", 0, true)
	defer bar.Finish()
	fetch := func(w io.Writer) error {
		return a.call(ctx, func(c *control.Client) error {
			return readStream(func(check io.Writer) error { return c.Backup(ctx, io.MultiWriter(w, check)) }, func(r io.Reader) (err error) {
				s, err = daemon.CheckBackup(ctx, os.TempDir(), r, show(bar))
				return err
			})
		})
	}
	if path == "-" {
		if a.outTerm {
			return s, command.Usagef("refusing to write a backup to the terminal: redirect standard output")
		}
		return s, fetch(a.rawOut())
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return s, fmt.Errorf("%s is there already: name another file, or replace it with --force", path)
	}
	if err := atomicfile.Fill(path, force, 0o600, fetch); err != nil {
		return s, fmt.Errorf("nothing was written to %s: %w", path, err)
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return s, err
	}
	return s, a.call(ctx, func(c *control.Client) error {
		return c.ReportBackup(ctx, control.BackupReport{Taken: s.Taken, File: full, Documents: s.Entries, Bytes: s.Bytes})
	})
}

// show moves a bar of bytes.
func show(bar *progress.Bar) func(done, total int64) {
	return func(done, total int64) {
		bar.SetTotal(total)
		bar.SetDone(uint64(done))
	}
}
