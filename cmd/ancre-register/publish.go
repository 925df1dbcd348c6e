package main

import (
	"context"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/register/control"

	"github.com/spf13/cobra"
)

func (a *app) publishCommand() *cobra.Command {
	var s control.Selection
	cmd := &cobra.Command{
		Use:   "publish [DIGEST|FILE…]",
		Short: "Put documents on line",
		Long: `Put documents on the public page, with their meetings: the named ones, or all of a meeting, or all of a kind in it. Documents that
were replaced are put on line only by their digest.

The page offers the files themselves too. With --list-only it shows their names, digests and proofs alone. Publishing a
document again changes that, and nothing else: the date since when it is on line stays.`,
		Example: `  ancre-register publish --meeting 2026-12-15
  ancre-register publish --meeting 2026-12-15 --kind deliberation
  ancre-register publish d112.pdf --list-only`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd.Context(), s, args, "put on line", func(ctx context.Context, c *control.Client, s control.Selection) (control.Selected, error) {
				return c.Publish(ctx, s)
			})
		},
	}
	a.selectionFlags(cmd, &s)
	cmd.Flags().BoolVar(&s.ListOnly, "list-only", false, "show name, digest and proof, and do not offer the file itself")
	return cmd
}

func (a *app) withdrawCommand() *cobra.Command {
	var s control.Selection
	cmd := &cobra.Command{
		Use:   "withdraw [DIGEST|FILE…]",
		Short: "Take documents off line",
		Long: `Take documents off the public page: the named ones, or all of a meeting, or all of a kind in it. The page goes on saying that a
document with this digest was on line, from when to when, without its name. The register keeps the document and its proof.`,
		Example: `  ancre-register withdraw d112.pdf
  ancre-register withdraw --meeting 2026-12-15 --kind draft`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd.Context(), s, args, "taken off line", func(ctx context.Context, c *control.Client, s control.Selection) (control.Selected, error) {
				return c.Withdraw(ctx, s)
			})
		},
	}
	a.selectionFlags(cmd, &s)
	return cmd
}

// selectionFlags lets a verb choose documents.
func (a *app) selectionFlags(cmd *cobra.Command, s *control.Selection) {
	f := cmd.Flags()
	f.StringVar(&s.Meeting, "meeting", "", "those of the meeting of this `NAME`; \"none\" for those of no meeting")
	f.StringVar(&s.Kind, "kind", "", "those of this `KIND`")
	a.addQuiet(f)
	f.SortFlags = false
}

// change changes the documents that the arguments and flags choose, and prints them.
func (a *app) change(ctx context.Context, s control.Selection, args []string, done string, do func(context.Context, *control.Client, control.Selection) (control.Selected, error)) error {
	if len(args) == 0 && s.Meeting == "" {
		return command.Usagef("which documents? Name files or digests, or a meeting with --meeting")
	}
	for _, arg := range args {
		digest, err := a.digestOf(ctx, arg)
		if err != nil {
			return err
		}
		s.Digests = append(s.Digests, digest)
	}
	var all control.Selected
	err := a.call(ctx, func(c *control.Client) (err error) {
		all, err = do(ctx, c, s)
		return err
	})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(all, false)
	}
	if !a.quiet {
		a.table(all.Documents, true)
	}
	a.note("%s %s", humanize.Plural(all.Changed, "document", "documents"), done)
	for _, note := range all.Notes {
		a.note("%s", note)
	}
	return nil
}
