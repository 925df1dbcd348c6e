package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/proof"
	"ancre/verify"

	"github.com/spf13/cobra"
)

type pruneOptions struct {
	recursive bool
	source    sourceOptions
}

func (a *app) pruneCommand() *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune FILE.ots…",
		Short: "Leave out of complete proofs what they do not need",
		Long: `Verify each FILE.ots, keep the lowest Bitcoin block that holds, and leave out other blocks and the promises of calendars.
Attestations of other kinds stay, since other programs may verify them. The file itself is not needed.

ancre keeps the old proof as FILE.ots.bak, unless that exists. The block headers come from the same sources as for "ancre verify".
A proof that does not verify here stays as it is, and the exit status is that of "ancre verify". FILE means FILE.ots if that
exists. "-" reads a proof from standard input and writes it to standard output.`,
		Example: `  ancre prune report.pdf.ots
  ancre prune --spv -r /srv/documents`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("prune what? Name proofs (FILE.ots)")
			case countOf(args, "-") > 1:
				return errors.New("standard input can be read only once")
			}
			return o.source.check(a)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.prune(cmd.Context(), args, o) },
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "prune all FILE.ots in directories, and in those below")
	o.source.addTo(cmd.Flags())
	a.addQuiet(cmd.Flags())
	return cmd
}

// prunedProof is the result of one proof.
type prunedProof struct {
	fileResult
	err     error
	file    *proof.File
	leftOut int // attestations
}

func (a *app) prune(ctx context.Context, args []string, o pruneOptions) (err error) {
	if slices.Contains(args, "-") && a.outTerm && !a.json {
		return command.Usagef("refusing to write a binary proof to the terminal: redirect standard output")
	}
	src, closeSource, err := a.openSource(ctx, o.source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	config, err := a.verifyConfig(src)
	if err != nil {
		return err
	}
	verifier := verify.New(config)
	bar := a.startProgress("pruning proofs", 0, false)
	defer bar.Finish()
	exit, printed := exitDone, 0
	var counts tally
	one := func(ctx context.Context, t target) *prunedProof {
		p := &prunedProof{}
		if t.left != "" {
			p.leaveOut(t)
			return p
		}
		if p.err = a.pruneOne(ctx, verifier, t, p); p.err != nil {
			p.fail(p.err)
		}
		return p
	}
	for p := range inOrder(ctx, askers, walker{recursive: o.recursive, want: hasProofSuffix}.files(args), one) {
		if ctx.Err() != nil {
			break // interrupted, as the error below says once
		}
		printed++
		counts.add(&p.fileResult, "")
		bar.AddFile()
		bar.Above(func() { exit = worse(exit, a.printPruned(p)) })
	}
	bar.Finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	if printed == 0 {
		a.note("Nothing was pruned: there is no proof (FILE.ots) there.")
	}
	if o.recursive {
		a.summary(&counts, []outcome{pruned, already, pending, invalid, unverifiable, failed}, map[outcome]string{already: "as short as can be", unverifiable: "that cannot be checked here"})
	}
	return command.Finish(exit)
}

// pruneOne prunes one proof. An error says that this is not possible.
func (a *app) pruneOne(ctx context.Context, v *verify.Verifier, t target, p *prunedProof) error {
	f, before, err := a.openProofBytes(t, &p.fileResult)
	if f == nil || err != nil {
		return err
	}
	p.file = f
	p.about(f.HashOp, f.Digest)
	verdict, err := v.Proof(ctx, f, f.Digest)
	if err != nil {
		return err
	}
	switch verdict.Outcome {
	case proof.OutcomeValid:
	case proof.OutcomePending:
		p.Result, p.Reason = pending, verdict.Reason+`: "ancre upgrade" completes the proof`
		return nil
	default:
		p.judge(verdict)
		return nil
	}
	less, err := proof.Prune(f, verdict.Result)
	if err != nil {
		return err
	}
	after, err := less.Marshal()
	if err != nil {
		return err
	}
	p.file, p.leftOut = less, len(f.Attestations())-len(less.Attestations())
	p.Complete, p.Height, p.Result = true, verdict.Block.Height, pruned
	if p.leftOut == 0 {
		p.Result = already
	}
	if p.ProofFile == "-" || bytes.Equal(before, after) || p.leftOut == 0 {
		return nil
	}
	return replaceProof(p.tree, p.ProofFile, before, after, "the file was changed while its proof was being verified: prune it again")
}

// printPruned prints the result of a proof and returns its exit status.
func (a *app) printPruned(p *prunedProof) int {
	toOut := p.ProofFile == "-" && p.Result != failed && p.file != nil
	if toOut {
		if data, err := p.file.Marshal(); err != nil {
			p.fail(err)
		} else if a.json {
			p.Proof = data
		} else if _, err := printable.Raw(a.out).Write(data); err != nil {
			p.fail(err)
		}
	}
	name := p.name()
	var said string
	switch p.Result {
	case pruned:
		said = fmt.Sprintf("%s: pruned, %s left out; Bitcoin block %s holds it", name, humanize.Plural(p.leftOut, "attestation", "attestations"), humanize.Count(p.Height))
	case already:
		said = fmt.Sprintf("%s: holds nothing that could be left out", name)
	case unverifiable:
		said = fmt.Sprintf("%s: left as it is: cannot be checked here: %s; needed: %s", name, p.Reason, p.Needed)
	case failed:
		said = fmt.Sprintf("%s: %s", name, p.Reason)
	default: // invalid or pending
		said = fmt.Sprintf("%s: left as it is: %s: %s", name, p.Result, p.Reason)
	}
	switch {
	case a.json:
		a.printJSON(&p.fileResult, true)
	case p.Result == failed:
		a.complain("%s", said)
	case p.Result == skipped:
	case a.quiet && (p.Result == unverifiable || p.Result == invalid):
		a.complain("%s", said)
	case toOut:
		a.note("%s", said)
	default:
		a.say("%s\n", said)
	}
	return p.exit()
}
