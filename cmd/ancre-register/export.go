package main

import (
	"context"
	"io"

	"ancre/internal/humanize"
	"ancre/register/control"
	"ancre/register/page/export"

	"github.com/spf13/cobra"
)

// exportResult is what is printed about an export, with --json.
type exportResult struct {
	Dir     string `json:"dir"`
	Files   int    `json:"files"`
	Written int    `json:"written"` // of them are new or have changed
	Removed int    `json:"removed"` // of an earlier export
	Bytes   int64  `json:"bytes"`
}

func (a *app) exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the public page into a folder, for any web host",
		Long: `Write the whole public page into DIR, as files: the same pages with links that work on any web host and from the disk, all
proofs, the block headers, and the check tool. A host that serves DIR needs nothing of ours.

DIR is made if it does not exist. An earlier export in it is brought up to date in place: what has not changed is left
alone, what has changed is replaced in one step, what is not published any more is removed. Two exports of the same
register are the same, byte for byte; SHA256SUMS in DIR has the sums.`,
		Example: "  ancre-register export /var/www/registre",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := a.export(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(exportResult{args[0], report.Files, report.Written, report.Removed, report.Bytes}, false)
			}
			a.say("%s: %s, %s new or changed, %s removed, %s\n", args[0], humanize.Plural(report.Files, "file", "files"),
				humanize.Count(report.Written), humanize.Count(report.Removed), humanize.Bytes(report.Bytes))
			return nil
		},
	}
	a.addQuiet(cmd.Flags())
	return cmd
}

// export reads the archive of the register into a folder.
func (a *app) export(ctx context.Context, dir string) (report export.Report, err error) {
	if _, err := a.status(ctx); err != nil { // before a folder is made for nothing
		return report, err
	}
	folder, err := export.OpenFolder(dir)
	if err != nil {
		return report, err
	}
	defer folder.Close()
	bar := a.startProgress("exporting files", 0, false)
	defer bar.Finish()
	err = a.call(ctx, func(c *control.Client) error {
		return readStream(func(w io.Writer) error { return c.Export(ctx, w) }, func(r io.Reader) error {
			return folder.Read(r, func(int) { bar.AddFile() })
		})
	})
	if err != nil {
		return report, err
	}
	return folder.Finish()
}

// readStream lets read read what write writes. The error of write comes first: it says why read met
// an early end.
func readStream(write func(io.Writer) error, read func(io.Reader) error) error {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(pr)
		// What read left, such as the padding of an archive, must not hold up write.
		if err == nil {
			_, err = io.Copy(io.Discard, pr)
		}
		pr.CloseWithError(err)
		done <- err
	}()
	err := write(pw)
	pw.CloseWithError(err)
	readErr := <-done
	if err == nil || readErr != nil && err == readErr {
		return readErr
	}
	return err
}

func (a *app) status(ctx context.Context) (s control.Status, err error) {
	return s, a.call(ctx, func(c *control.Client) (err error) {
		s, err = c.Status(ctx)
		return err
	})
}
