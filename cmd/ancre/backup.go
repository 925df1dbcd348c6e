package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"ancre/batcher/store/backup"
	"ancre/internal/command"
	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

// backupMode is for the owner alone: a backup tells of a document whether it was stamped.
const backupMode = 0o600

func (a *app) backupCommand() *cobra.Command {
	var force, rotate bool
	var keep int
	cmd := &cobra.Command{
		Use:   "backup FILE | backup --rotate DIR",
		Short: "Save all that the daemon has stored, while it runs",
		Long: `Save the digests, batches and payments that the daemon has stored, as they are at one moment. The daemon goes on meanwhile.
"ancred restore FILE" makes a new store from the backup, here or on another machine. FILE takes some 32 bytes a digest. "-" is
standard output.

The wallet is not in the backup: its 24 words are its backup. Digests that come later are not in it either, so take a backup after
each batch is sealed, and keep it on another machine. FILE is checked while it is written. It is there whole or not at all.

With --rotate, add a backup to the directory DIR, which must exist. Its name is ancre-NETWORK-TIME.backup. Then "ancred restore
--check" rehearses the restore, old backups are removed so that --keep of them remain, and the command backup.copy of the
configuration copies the new one elsewhere. A backup is removed only if the new one holds everything that it holds; no other file
in DIR is touched. If a step fails, the exit status is 1 and the daemon warns.`,
		Example: "  ancre backup /mnt/backups/ancre-$(date +%F).backup\n  ancre backup --rotate --keep 30 /mnt/backups\n  ssh notary ancre backup - | ancred restore -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch kept := cmd.Flags().Changed("keep"); {
			case kept && !rotate:
				return command.Usagef("--keep is for --rotate")
			case kept && keep < 1:
				return command.Usagef("--keep %d: must be at least 1", keep)
			case rotate && (force || args[0] == "-"):
				return command.Usagef("--rotate takes a directory, and replaces nothing: leave out --force and \"-\"")
			case rotate:
				return a.rotateBackups(cmd.Context(), args[0], keep)
			}
			return a.backup(cmd.Context(), args[0], force)
		},
	}
	a.addQuiet(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it is there")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "add a backup to DIR, rehearse it, remove old ones, copy it elsewhere")
	cmd.Flags().IntVar(&keep, "keep", 0, "with --rotate: how many backups remain (default backup.keep of the configuration, 14)")
	return cmd
}

// movedRestoreCommand tells those who know the verb from before that it belongs to ancred now: the
// client has no store.
func (a *app) movedRestoreCommand() *cobra.Command {
	const where = "\"ancre restore\" is now \"ancred restore FILE\", on the machine where the daemon will run"
	return &cobra.Command{
		Use:                "restore",
		Short:              "Moved: \"ancred restore\" restores a backup",
		Long:               where + ".",
		Hidden:             true,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
		RunE:               func(*cobra.Command, []string) error { return command.Usagef("%s", where) },
	}
}

func (a *app) backup(ctx context.Context, path string, force bool) error {
	if path == "-" {
		if a.outTerm {
			return command.Usagef("refusing to write a binary backup to the terminal: name a FILE, or redirect standard output")
		}
		s, err := a.fetchBackup(ctx, printable.Raw(a.out), func(backup.Header) error { return nil })
		if err != nil {
			return fmt.Errorf("the backup on standard output is not whole: %w", err)
		}
		a.reportBackup(ctx, s, standardOutput)
		a.note("Backed up to standard output (%s): %s.", humanize.Bytes(s.Bytes), s.Contents())
		return nil
	}
	if err := mayWrite(path, force); err != nil { // before the daemon is asked for megabytes
		return err
	}
	s, err := a.backupTo(ctx, path, force)
	if err != nil {
		return err
	}
	a.reportBackup(ctx, s, path)
	if a.json {
		return a.printJSON(backup.NewReport(path, s), false)
	}
	a.say("Backed up to %s (%s): %s.\n", path, humanize.Bytes(s.Bytes), s.Contents())
	return nil
}

// reportBackup tells the daemon of a backup that is complete. If the daemon cannot take that, the
// backup is still good.
func (a *app) reportBackup(ctx context.Context, s backup.Summary, file string) {
	if abs, err := filepath.Abs(file); err == nil && file != standardOutput {
		file = abs
	}
	err := a.client.BackupDone(ctx, rpc.LastBackup{Taken: s.Taken, Digests: s.Digests, File: printable.Name(file)})
	if err != nil && !rpc.HasCode(err, rpc.CodeUnknownMethod) { // an older daemon keeps no record
		a.complain("the backup is complete, but the daemon could not record it, and may warn that there is none: %v", err)
	}
}

// standardOutput is what the daemon records as the file of a backup to "-".
const standardOutput = "standard output"

// backupTo writes a backup to a file.
func (a *app) backupTo(ctx context.Context, path string, force bool) (s backup.Summary, err error) {
	err = writeWhole(path, force, backupMode, func(w io.Writer) error {
		s, err = a.fetchBackup(ctx, w, func(h backup.Header) error { return fitsFile(path, h.Digests) })
		return err
	})
	return s, err
}

// fitsFile returns an error if a backup of so many digests would not fit on the disk of a file.
func fitsFile(path string, digests uint64) error {
	need, dir := backup.FileBytes(digests), filepath.Dir(path)
	free, ok := diskspace.Free(dir)
	if !ok || free >= need {
		return nil
	}
	return fmt.Errorf("the backup takes about %s, and %s are free in %s", humanize.Bytes(int64(need)), humanize.Bytes(int64(free)), dir)
}

// fetchBackup writes the daemon's backup to w, and verifies it on the way. It calls begin with the
// header, and goes on if that returns nil.
func (a *app) fetchBackup(ctx context.Context, w io.Writer, begin func(backup.Header) error) (s backup.Summary, err error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return s, err
	}
	var body io.ReadCloser
	err = patiently(ctx, func() error { // another one may be ending
		body, err = client.Backup(ctx)
		return err
	}, nil)
	if err != nil {
		return s, err
	}
	defer body.Close()
	r, err := backup.Open(io.TeeReader(body, w))
	if err != nil {
		return s, err
	}
	if err := begin(r.Header()); err != nil {
		return s, err
	}
	progress := a.startProgress("Backing up digests", int64(r.Header().Digests), false)
	defer progress.Finish()
	r.Progress = progress.SetDone
	return r.Verify(ctx)
}
