package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"ancre/batcher/store/backup"
	"ancre/internal/humanize"
	"ancre/internal/printable"

	"github.com/spf13/cobra"
)

// backupMode is for the owner alone: a backup tells of a document whether it was stamped.
const backupMode = 0o600

func (a *app) backupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Save all that the daemon has stored, while it runs",
		Long: `Save the digests, batches and payments that the daemon has stored, as they are at one moment, while it goes on. "ancre restore"
makes a new store of it, here or on another machine. The file takes some 32 bytes a digest; "-" is standard output.

The wallet is not in it: its 24 words are its backup. Digests that come later are not in it either, so take one after each
batch was sealed, and keep it on another machine. FILE is checked while it is written, and is there whole or not at all.`,
		Example: "  ancre backup /mnt/backups/ancre-$(date +%F).backup\n  ssh notary ancre backup - | ancre restore -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.backup(cmd.Context(), args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it is there")
	return cmd
}

// backupResult is what is told of a backup with --json, when it is taken and when it is restored.
type backupResult struct {
	File      string    `json:"file"`
	FileBytes string    `json:"file_bytes,omitempty"` // the exact name in base64, when it is no UTF-8
	DataDir   string    `json:"datadir,omitempty"`    // where it was restored to
	Network   string    `json:"network"`
	Taken     time.Time `json:"taken"`
	Digests   uint64    `json:"digests"`
	Batches   uint64    `json:"batches"`
	Anchors   uint64    `json:"anchors"`
	Height    int32     `json:"height,omitempty"` // of the newest block that the daemon had followed
	BlockHash string    `json:"blockhash,omitempty"`
	Bytes     int64     `json:"bytes"`
}

func (r *backupResult) fillNames() { fillName(&r.File, &r.FileBytes) }

func newBackupResult(file string, s backup.Summary) backupResult {
	r := backupResult{
		File: file, Network: s.Network, Taken: s.Taken, Digests: s.Digests, Batches: s.Batches, Anchors: s.Anchors, Bytes: s.Bytes,
	}
	if s.Followed.Height > 0 {
		r.Height, r.BlockHash = s.Followed.Height, s.Followed.Hash.String()
	}
	return r
}

// contents tells in words what a backup holds.
func contents(s backup.Summary) string {
	text := fmt.Sprintf("%s in %s and %s", humanize.Plural(s.Digests, "digest", "digests"), humanize.Plural(s.Batches, "batch", "batches"), humanize.Plural(s.Anchors, "anchor", "anchors"))
	if s.Followed.Height > 0 {
		text += ", with the chain followed to block " + humanize.Count(s.Followed.Height) + ","
	}
	return text
}

func (a *app) backup(ctx context.Context, path string, force bool) error {
	if path == "-" {
		if a.outTerm {
			return usagef("refusing to write a binary backup to the terminal: name a FILE, or redirect standard output")
		}
		s, err := a.fetchBackup(ctx, printable.Raw(a.out))
		if err != nil {
			return fmt.Errorf("what came to standard output is no whole backup: %w", err)
		}
		a.note("Backed up %s to standard output (%s).", contents(s), humanize.Bytes(s.Bytes))
		return nil
	}
	if err := mayWrite(path, force); err != nil { // before the daemon is asked for megabytes
		return err
	}
	s, err := a.backupTo(ctx, path, force)
	if err != nil {
		return err
	}
	if a.json {
		result := newBackupResult(path, s)
		return a.printJSON(&result, false)
	}
	a.say("Backed up %s to %s (%s).\n", contents(s), path, humanize.Bytes(s.Bytes))
	return nil
}

// backupTo writes a backup to a file.
func (a *app) backupTo(ctx context.Context, path string, force bool) (s backup.Summary, err error) {
	err = writeWhole(path, force, backupMode, func(w io.Writer) error {
		s, err = a.fetchBackup(ctx, w)
		return err
	})
	return s, err
}

// fetchBackup has the daemon's backup written to w, and verifies on the way that it is whole.
func (a *app) fetchBackup(ctx context.Context, w io.Writer) (s backup.Summary, err error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return s, err
	}
	var body io.ReadCloser
	err = patiently(ctx, func() error { // another one may be ending
		body, err = client.Backup(ctx)
		return err
	})
	if err != nil {
		return s, err
	}
	defer body.Close()
	r, err := backup.Open(io.TeeReader(body, w))
	if err != nil {
		return s, err
	}
	progress := a.startProgress("Backing up digests", int64(r.Header().Digests), false)
	defer progress.Finish()
	r.Progress = progress.SetDone
	return r.Verify(ctx)
}
