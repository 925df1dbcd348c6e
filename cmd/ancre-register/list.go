package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/register/control"

	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	var q control.DocumentQuery
	limit := 0
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List documents",
		Long:  "List documents, in the order in which they were added. Without flags, all of them.",
		Example: `  ancre-register list --meeting 2026-12-15
  ancre-register list --incomplete
  ancre-register list --text budget --kind deliberation`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return command.Usagef("--limit %d: must be a number from 1 on, or 0 for all", limit)
			}
			all, err := a.allDocuments(cmd.Context(), q, limit)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all, false)
			}
			if len(all.Documents) == 0 {
				a.note("no documents")
				return nil
			}
			a.table(all.Documents, true)
			if all.More {
				a.note("there are more: raise --limit")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Meeting, "meeting", "", "only those of the meeting of this `NAME`; \"none\" for those of no meeting")
	f.StringVar(&q.Kind, "kind", "", "only those of this `KIND`")
	f.StringVar(&q.Text, "text", "", "only those with all these `WORDS` in title, number, file name or the meeting's title")
	f.BoolVar(&q.Published, "published", false, "only those that are on line")
	f.BoolVar(&q.Waiting, "incomplete", false, "only those whose proof is not complete")
	f.IntVar(&limit, "limit", 0, "at most `N` of them (default all)")
	f.SortFlags = false
	return cmd
}

// allDocuments asks for page after page, until there are limit of them (0: all).
func (a *app) allDocuments(ctx context.Context, q control.DocumentQuery, limit int) (control.Documents, error) {
	const atOnce = 1000
	all := control.Documents{Documents: []control.Document{}}
	for {
		q.Limit = atOnce
		if limit > 0 {
			q.Limit = min(atOnce, limit-len(all.Documents))
		}
		var page control.Documents
		err := a.call(ctx, func(c *control.Client) (err error) {
			page, err = c.Documents(ctx, q)
			return err
		})
		if err != nil {
			return all, err
		}
		all.Documents = append(all.Documents, page.Documents...)
		all.More = page.More
		if !page.More || limit > 0 && len(all.Documents) >= limit {
			return all, nil
		}
		q.After = page.Documents[len(page.Documents)-1].Entry
	}
}

// table prints documents, one on a line.
func (a *app) table(list []control.Document, meetings bool) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, d := range list {
		if meetings {
			meeting := d.Meeting
			if meeting == "" {
				meeting = "-"
			}
			row(w, "%s\t", meeting)
		}
		row(w, "%s\t%s\t%s\t%s\t%s\n", d.Kind, nameOf(d), lineWords(d), proofWords(d), d.Digest[:16])
	}
	_ = w.Flush() // the stream remembers what could not be written
}

// nameOf is how a person knows a document.
func nameOf(d control.Document) string {
	name := d.FileName
	if d.Title != "" {
		name = d.Title + " (" + d.FileName + ")"
	}
	if d.Number != "" {
		name = d.Number + " " + name
	}
	return name
}

// lineWords says whether a document is on line.
func lineWords(d control.Document) string {
	words := "not on line"
	switch {
	case d.Published && d.Download:
		words = "on line"
	case d.Published:
		words = "listed"
	case d.WithdrawnAt != nil:
		words = "withdrawn"
	}
	if d.ReplacedBy != 0 {
		words += ", replaced"
	}
	return words
}

// proofWords says how far the proof of a document is.
func proofWords(d control.Document) string {
	switch p := d.Proof; p.State {
	case "waiting":
		return "waits for the node"
	case "pending":
		return "proof pending"
	case "mined":
		return "in block " + humanize.Count(p.Height) + ", not final"
	case "complete":
		return "proven by block " + humanize.Count(p.Height)
	default:
		return fmt.Sprintf("proof %s", p.State)
	}
}
