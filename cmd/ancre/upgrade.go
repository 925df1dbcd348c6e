package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ancre/proof"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

const (
	// askers is how many proofs are asked for at once.
	askers = 8

	// pollEvery is how often --wait looks.
	pollEvery = 2 * time.Second
)

type upgradeOptions struct {
	recursive bool
	wait      bool
}

func (a *app) upgradeCommand() *cobra.Command {
	var o upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade FILE.ots…",
		Short: "Complete pending proofs, once Bitcoin has confirmed them",
		Long: `Ask the daemon for the complete proof of each FILE.ots, and put it in its place. What else the proof holds, other
calendars' attestations for one, is kept; the file as it was is kept as FILE.ots.bak, unless there is one.

The exit status is 3 as long as a proof is pending. FILE means FILE.ots where there is one. "-" reads a proof from
standard input and writes it, complete or not, to standard output.`,
		Example: `  ancre upgrade report.pdf.ots
  ancre upgrade -r /srv/documents
  ancre stamp report.pdf && ancre upgrade --wait report.pdf.ots`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("upgrade what? Name proofs (FILE.ots)")
			}
			if countOf(args, "-") > 1 {
				return errors.New("standard input can be read once only")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.upgrade(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "upgrade all FILE.ots in directories, and in those below")
	f.BoolVarP(&o.wait, "wait", "w", false, "wait until the proofs are complete")
	return cmd
}

func (a *app) upgrade(ctx context.Context, args []string, o upgradeOptions) error {
	if slices.Contains(args, "-") && a.outTerm && !a.json {
		return usagef("a proof is no text for a terminal: redirect standard output")
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	bar := a.startProgress("upgrading proofs", 0, false)
	defer bar.finish()

	exit := exitDone
	var waiting []*waiter
	isProofFile := func(name string) bool { return strings.HasSuffix(name, proofSuffix) }
	results := inOrder(ctx, askers, walk(args, o.recursive, isProofFile), func(ctx context.Context, t target) *waiter {
		return a.upgradeOne(ctx, client, t)
	})
	for w := range results {
		bar.addFile()
		if isFatal(w.err) {
			return w.err
		}
		if o.wait && w.Result == pending {
			waiting = append(waiting, w)
			continue
		}
		bar.above(func() { exit = worse(exit, a.tellUpgrade(w)) })
	}
	bar.finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	return finish(worse(exit, a.completeAll(ctx, client, waiting)))
}

// waiter is a proof that is to be completed.
type waiter struct {
	fileResult
	file   *proof.File
	digest [32]byte
	err    error // why it failed
}

// upgradeOne completes one proof, if it can be completed now.
func (a *app) upgradeOne(ctx context.Context, client *rpc.Client, t target) *waiter {
	w := &waiter{}
	w.ProofFile = t.path
	if err := a.upgradeTarget(ctx, client, t, w); err != nil {
		w.err = err
		w.fail(err)
	}
	return w
}

func (a *app) upgradeTarget(ctx context.Context, client *rpc.Client, t target, w *waiter) error {
	if t.path == "-" {
		var err error
		if w.file, _, err = parseProof(a.in); err != nil {
			return err
		}
		return a.advance(ctx, client, w)
	}
	w.ProofFile = proofPath(t.path)
	if t.err != nil && w.ProofFile == t.path {
		return t.err
	}
	return a.upgradeFile(ctx, client, w)
}

// upgradeFile puts the complete proof, if there is one, into the place of w.ProofFile.
func (a *app) upgradeFile(ctx context.Context, client *rpc.Client, w *waiter) error {
	f, before, err := readProof(w.ProofFile)
	if err != nil {
		return plainError(err)
	}
	w.file = f
	if f.IsComplete() {
		w.about(f.HashOp, f.Digest)
		w.Result, w.Complete, w.Reason = complete, true, "was complete already"
		return nil
	}
	if err := a.advance(ctx, client, w); err != nil || !w.Complete {
		return err
	}
	after, err := w.file.Marshal()
	if err != nil {
		return err
	}
	if err := backUp(w.ProofFile, before); err != nil {
		return fmt.Errorf("the proof as it was cannot be kept as %s%s: %w", w.ProofFile, backupSuffix, plainError(err))
	}
	if err := replaceFile(w.ProofFile, after); err != nil {
		return fmt.Errorf("the complete proof cannot be written: %w", plainError(err))
	}
	return nil
}

// advance merges what the daemon knows into w.file.
func (a *app) advance(ctx context.Context, client *rpc.Client, w *waiter) error {
	f := w.file
	w.about(f.HashOp, f.Digest)
	if f.HashOp != proof.SHA256 {
		return fmt.Errorf("is about %s: the daemon has SHA-256 only; %s", f.HashOp, elsewhere(f))
	}
	w.digest = [32]byte(f.Digest)
	p, err := client.Proof(ctx, w.digest, rpc.FormatOTS)
	if rpc.HasCode(err, rpc.CodeNotFound) {
		return fmt.Errorf("this digest was never handed in to the daemon; %s", elsewhere(f))
	}
	if err != nil {
		return callError(err)
	}
	w.at(p.Entry)
	got, err := decodeProof(p.Proof, f.Digest)
	if err != nil {
		return err
	}
	merged := *f
	if merged.Timestamp, err = proof.Merge(f.Timestamp, got.Timestamp); err != nil {
		return err
	}
	dropFulfilled(merged.Timestamp)
	w.file = &merged
	if w.Complete = merged.IsComplete(); w.Complete {
		w.Result = complete
	} else {
		w.Result, w.Reason = pending, whereabouts(p.Entry)
	}
	return nil
}

// elsewhere says who may complete a proof that the daemon knows nothing of.
func elsewhere(f *proof.File) string {
	var uris []string
	for _, at := range f.Attestations() {
		if uri, ok := at.URI(); ok && !slices.Contains(uris, uri) {
			uris = append(uris, uri)
		}
	}
	if len(uris) == 0 {
		return "the proof names no calendar that could complete it"
	}
	return "the proof waits for " + strings.Join(uris, ", ") + ", which an OpenTimestamps client asks (ots upgrade)"
}

// dropFulfilled leaves out the promises of calendars that were kept: pending attestations of a message that a Bitcoin block now attests,
// itself or by what follows from it. It reports whether t leads to a block.
func dropFulfilled(t *proof.Timestamp) bool {
	attested := slices.ContainsFunc(t.Attestations, func(a proof.Attestation) bool { return a.Kind() == proof.KindBitcoin })
	for _, b := range t.Branches {
		if dropFulfilled(b.Next) {
			attested = true
		}
	}
	if attested {
		t.Attestations = slices.DeleteFunc(t.Attestations, func(a proof.Attestation) bool { return a.Kind() == proof.KindPending })
	}
	return attested
}

// tellUpgrade says what became of a proof and returns the exit status that it calls for.
func (a *app) tellUpgrade(w *waiter) int {
	toOut := w.ProofFile == "-" && w.Result != failed
	if toOut {
		if data, err := w.file.Marshal(); err != nil {
			w.fail(err)
		} else if a.json {
			w.Proof = data
		} else if _, err := a.out.Write(data); err != nil {
			w.fail(err)
		}
	}
	switch {
	case a.json:
		a.printJSON(&w.fileResult, true)
	case w.Result == failed:
		a.complain("%s: %s", w.name(), w.Reason)
	case toOut && w.Result == pending:
		a.note("%s: pending, %s", w.name(), w.Reason)
	case toOut:
	case w.Result == pending:
		fmt.Fprintf(a.out, "%s: pending, %s\n", w.name(), w.Reason)
	case w.Reason != "":
		fmt.Fprintf(a.out, "%s: %s\n", w.name(), w.Reason)
	default:
		fmt.Fprintf(a.out, "%s: complete, in Bitcoin block %s\n", w.name(), count(w.Height))
	}
	switch w.Result {
	case failed:
		return exitFailed
	case pending:
		return exitPending
	}
	return exitDone
}

// completeAll waits until the proofs can be completed, completes them, tells of them, and returns the exit status. An
// interrupt tells of them as they are.
func (a *app) completeAll(ctx context.Context, client *rpc.Client, waiting []*waiter) int {
	exit := exitDone
	if len(waiting) == 0 {
		return exit
	}
	a.awaitFinal(ctx, client, waiting)
	ctx = context.WithoutCancel(ctx) // one more call each is always made: it says where they are
	for _, w := range waiting {
		w.Reason, w.err = "", nil
		advance := a.upgradeFile
		if w.ProofFile == "-" {
			advance = a.advance
		}
		if err := advance(ctx, client, w); err != nil {
			w.fail(err)
		}
		exit = worse(exit, a.tellUpgrade(w))
	}
	return exit
}

// awaitFinal returns when all are final, or ctx ends. All digests of a batch become final together, so one of each is asked for.
func (a *app) awaitFinal(ctx context.Context, client *rpc.Client, waiting []*waiter) {
	open := make(map[uint64][32]byte)
	for _, w := range waiting {
		open[w.Batch] = w.digest
	}
	said := ""
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		var where []string
		for _, batch := range slices.Sorted(maps.Keys(open)) {
			e, err := client.Status(ctx, open[batch])
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && e.State == stateFinal:
				delete(open, batch)
			case err != nil:
				where = append(where, err.Error()) // it may come back
			default:
				where = append(where, whereabouts(e))
			}
		}
		if len(open) == 0 {
			return
		}
		const enough = 3
		if n := len(where) - enough; n > 0 {
			where = append(where[:enough], fmt.Sprintf("and %d more", n))
		}
		if now := strings.Join(where, "; "); now != said {
			a.note("waiting: %s", now)
			said = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
