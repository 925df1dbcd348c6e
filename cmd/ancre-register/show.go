package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/register/control"

	"github.com/spf13/cobra"
)

// digestText is what a digest looks like.
var digestText = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// digestOf returns the digest that an argument means: the digest itself, or that of a file. A file
// with such a name is written ./NAME.
func (a *app) digestOf(ctx context.Context, arg string) (string, error) {
	if digestText.MatchString(arg) {
		b, _ := hex.DecodeString(arg)
		return hex.EncodeToString(b), nil
	}
	file, info, err := atomicfile.OpenInput(arg)
	if err != nil {
		return "", fmt.Errorf("%s: %w (a digest has 64 hexadecimal digits)", arg, readError(err))
	}
	defer file.Close()
	bar := a.startProgress("hashing", info.Size(), true)
	defer bar.Finish()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, &countedFile{file, bar}}); err != nil {
		return "", fmt.Errorf("%s: %w", arg, readError(err))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (a *app) showCommand() *cobra.Command {
	var proof, receipt string
	var force bool
	cmd := &cobra.Command{
		Use:   "show DIGEST|FILE",
		Short: "Show what the register knows of a document",
		Long: `Show what the register knows of a document, by its digest or by the file itself: in which meetings it is, since when, whether it
is on line, and how far its proof is. --proof and --receipt write the proof and the receipt into files, to hand out.

Exit status: 0 its proof is complete, 3 its proof is pending, 1 it is not in the register.`,
		Example: `  ancre-register show d112.pdf
  ancre-register show d112.pdf --proof d112.pdf.ots`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			digest, err := a.digestOf(ctx, args[0])
			if err != nil {
				return err
			}
			all, err := a.allDocuments(ctx, control.DocumentQuery{Digest: digest}, 0)
			if err != nil {
				return err
			}
			if len(all.Documents) == 0 {
				return fmt.Errorf("%s is not in the register (SHA-256 %s)", args[0], digest)
			}
			for _, save := range []struct {
				path    string
				receipt bool
			}{{proof, false}, {receipt, true}} {
				if err := a.save(ctx, digest, save.path, save.receipt, force); err != nil {
					return err
				}
			}
			return a.showDocuments(all)
		},
	}
	f := cmd.Flags()
	f.StringVar(&proof, "proof", "", "write the proof to `FILE`, in the OpenTimestamps format (FILE.ots)")
	f.StringVar(&receipt, "receipt", "", "write the receipt to `FILE`, once the proof is complete")
	f.BoolVarP(&force, "force", "f", false, "replace a FILE that is there")
	f.SortFlags = false
	return cmd
}

// save writes the proof or the receipt of a document into a file.
func (a *app) save(ctx context.Context, digest, path string, receipt, force bool) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%s is there already: name another file, or replace it with --force", path)
	}
	var data []byte
	err := a.call(ctx, func(c *control.Client) (err error) {
		data, err = c.Proof(ctx, digest, receipt)
		return err
	})
	if control.HasCode(err, control.CodeNotFound) {
		return command.Exit(exitPending, fmt.Errorf("nothing was written to %s: the register has none yet; \"ancre-register show %s\" says how far the proof is", path, digest))
	}
	if err == nil {
		err = atomicfile.Fill(path, force, 0o644, func(w io.Writer) error { _, err := w.Write(data); return err })
	}
	if err != nil {
		return fmt.Errorf("nothing was written to %s: %w", path, err)
	}
	a.note("wrote %s", path)
	return nil
}

// showDocuments prints all that is known of the documents with one digest.
func (a *app) showDocuments(all control.Documents) error {
	status := exitDone
	if all.Documents[0].Proof.State != "complete" {
		status = exitPending
	}
	if a.json {
		if err := a.printJSON(all, false); err != nil {
			return err
		}
		return command.Finish(status)
	}
	for i, d := range all.Documents {
		if i == 0 {
			a.say("SHA-256    %s\n", d.Digest)
			a.showProof(d.Proof)
		}
		a.say("\n%s\n", nameOf(d))
		meeting := "none"
		if d.Meeting != "" {
			meeting = d.Meeting
		}
		a.say("  meeting  %s, %s\n", meeting, d.Kind)
		a.say("  file     %s, %s, %s\n", d.FileName, humanize.Bytes(d.Size), d.MediaType)
		a.say("  added    %s\n", humanize.Local(d.AddedAt))
		a.showLine(d)
		if d.ReplacedBy != 0 && d.ReplacedAt != nil {
			a.say("  replaced %s, by entry %d\n", humanize.Local(*d.ReplacedAt), d.ReplacedBy)
		}
		if d.Replaces != 0 {
			a.say("  replaces entry %d\n", d.Replaces)
		}
	}
	return command.Finish(status)
}

func (a *app) showProof(p control.Proof) {
	switch {
	case p.State == "waiting":
		a.say("proof      waits for the node\n")
	case p.State == "pending" && p.SubmittedAt != nil:
		a.say("proof      pending: at the node since %s, in its batch %d\n", humanize.Local(*p.SubmittedAt), p.Batch)
	case p.BlockTime != nil:
		state := "in a block, not final yet"
		if p.State == "complete" {
			state = "complete"
		}
		a.say("proof      %s: it existed before Bitcoin block %s, mined about %s\n", state, humanize.Count(p.Height), humanize.Local(*p.BlockTime))
		a.say("block      %s\n", p.BlockHash)
	default:
		a.say("proof      %s\n", p.State)
	}
}

func (a *app) showLine(d control.Document) {
	switch {
	case d.Published && d.OnlineSince != nil:
		a.say("  on line  since %s, %s\n", humanize.Local(*d.OnlineSince), map[bool]string{true: "the file is offered", false: "the file is not offered"}[d.Download])
	case d.WithdrawnAt != nil && d.OnlineSince != nil:
		a.say("  on line  from %s to %s\n", humanize.Local(*d.OnlineSince), humanize.Local(*d.WithdrawnAt))
	default:
		a.say("  on line  no\n")
	}
}
