package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ancre/proof"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

type verifyOptions struct {
	recursive bool
	file      string
	digest    string
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE.ots…",
		Short: "Verify that files existed before a Bitcoin block",
		Long: `Verify each FILE.ots for the FILE beside it, against the block headers of the daemon: it checked their proof of
work. FILE means FILE.ots where there is one. Proofs of other OpenTimestamps calendars are verified as well, and with
--rpc and --rpc-cookie the headers may be those of a bitcoind.

The exit status is 0 when all are valid, 1 when one is invalid or cannot be verified, and 3 when one is pending.`,
		Example: `  ancre verify report.pdf.ots
  ancre verify -f contract.pdf proof-of-the-notary.ots
  ancre verify --rpc 127.0.0.1:8332 --rpc-cookie ~/.bitcoin/.cookie report.pdf.ots
  ancre verify --digest e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 - <some.ots`,
		Args: func(cmd *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "verify all FILE.ots in directories, and in those below")
	f.StringVarP(&o.file, "file", "f", "", "the `FILE` that the only proof is about; - is standard input")
	f.StringVar(&o.digest, "digest", "", "the hash, in `HEX`, of what the only proof is about")
	return cmd
}

func (o *verifyOptions) check(args []string) error {
	about := o.file != "" || o.digest != ""
	switch {
	case len(args) == 0:
		return errors.New("verify what? Name proofs (FILE.ots)")
	case o.file != "" && o.digest != "":
		return errors.New("-f and --digest exclude each other: both say what the proof is about")
	case about && (len(args) > 1 || o.recursive):
		return errors.New("-f and --digest say what one proof is about, and more are to be verified")
	case !about && slices.Contains(args, "-"):
		return errors.New("a proof from standard input: say with -f or --digest what it is about")
	case o.file == "-" && args[0] == "-":
		return errors.New("the proof and the file cannot both come from standard input")
	}
	if o.digest != "" {
		if b, err := hex.DecodeString(o.digest); err != nil || len(b) != 20 && len(b) != 32 {
			return fmt.Errorf("digest %q: must be the hash in hexadecimal digits, 64 of them for SHA-256", clip(o.digest))
		}
	}
	return nil
}

func (a *app) verify(ctx context.Context, args []string, o verifyOptions) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	bar := a.startProgress("verifying proofs", 0, false)
	defer bar.finish()

	type verified struct {
		fileResult
		err error
	}
	exit, anyValid := exitDone, false
	isProofFile := func(name string) bool { return strings.HasSuffix(name, proofSuffix) }
	results := inOrder(ctx, askers, walk(args, o.recursive, isProofFile), func(ctx context.Context, t target) *verified {
		v := &verified{}
		if v.err = a.verifyOne(ctx, client, t, o, &v.fileResult); v.err != nil {
			v.fail(v.err)
		}
		return v
	})
	for v := range results {
		bar.addFile()
		if isFatal(v.err) {
			return v.err
		}
		anyValid = anyValid || v.Result == valid
		bar.above(func() { exit = worse(exit, a.tellVerified(&v.fileResult)) })
	}
	bar.finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	if anyValid {
		a.note("The headers are those of the node at %s. A block's time may be off by some hours; its place in the chain is not.", client.URL())
	}
	return finish(exit)
}

// verifyOne fills in what a proof is worth. An error says that this could not be found out.
func (a *app) verifyOne(ctx context.Context, client *rpc.Client, t target, o verifyOptions, r *fileResult) error {
	f, err := a.openProof(t, r)
	if err != nil {
		return err
	}
	if f == nil {
		return nil
	}
	r.about(f.HashOp, f.Digest)
	digest, err := a.hashForProof(ctx, f, o, r)
	if err != nil {
		return err
	}
	result, err := proof.Verify(ctx, f, digest, client)
	if err != nil {
		return callError(err)
	}
	r.Reason = result.Reason
	switch result.Outcome {
	case proof.OutcomeValid:
		h := result.Header
		slices.Reverse(h.Hash[:]) // as it is displayed
		when := h.Time.UTC()
		r.Result, r.Complete, r.Height, r.BlockHash, r.BlockTime = valid, true, int64(h.Height), hex.EncodeToString(h.Hash[:]), &when
	case proof.OutcomePending:
		r.Result = pending
		if f.HashOp != proof.SHA256 {
			break
		}
		// Where it stands is told if the daemon knows; the proof is pending all the same.
		if e, err := client.Status(ctx, [32]byte(digest)); err == nil {
			r.at(e)
			r.Reason = whereabouts(e)
			if e.State == stateFinal {
				r.Reason += "; \"ancre upgrade\" completes the proof"
			}
		}
	default:
		r.Result = invalid
		a.doubt(ctx, client, result, r)
	}
	return nil
}

// openProof reads the proof that t means. Nil without an error: r says what is wrong with it.
func (a *app) openProof(t target, r *fileResult) (*proof.File, error) {
	if r.ProofFile = t.path; t.path != "-" {
		r.ProofFile = proofPath(t.path)
	}
	var f *proof.File
	var err error
	switch {
	case t.path == "-":
		f, _, err = parseProof(a.in)
	case t.err != nil && r.ProofFile == t.path:
		return nil, t.err
	default:
		f, _, err = readProof(r.ProofFile)
	}
	var malformed *proof.SyntaxError
	if errors.As(err, &malformed) {
		r.Result, r.Reason = invalid, err.Error()
		if !strings.HasSuffix(r.ProofFile, proofSuffix) && t.path != "-" {
			r.Reason += fmt.Sprintf(" (and there is no %s%s)", t.path, proofSuffix)
		}
		return nil, nil
	}
	return f, plainError(err)
}

// hashForProof hashes what the proof is said to be about.
func (a *app) hashForProof(ctx context.Context, f *proof.File, o verifyOptions, r *fileResult) ([]byte, error) {
	if o.digest != "" {
		return hex.DecodeString(o.digest)
	}
	name := o.file
	if name == "" {
		var ok bool
		if name, ok = strings.CutSuffix(r.ProofFile, proofSuffix); !ok {
			return nil, errors.New("its name does not end in .ots: say with -f which file it is about")
		}
		if !exists(name) {
			return nil, fmt.Errorf("there is no %s: say with -f which file the proof is about", name)
		}
	}
	r.File = name
	if name == "-" {
		return hashReader(ctx, a.in, f.HashOp.Hash(), func(int64) {})
	}
	sum, err := hashFile(ctx, name, f.HashOp.Hash(), func(int64) {})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !bytes.Equal(sum, f.Digest) {
		r.Digest = hex.EncodeToString(sum)
	}
	return sum, nil
}

// doubt makes an invalid proof a pending one when nothing is wrong with it but that its block is not here yet.
func (a *app) doubt(ctx context.Context, client *rpc.Client, result proof.Result, r *fileResult) {
	ahead := false
	for _, c := range result.Checks {
		if c.Outcome == proof.OutcomeInvalid {
			return
		}
		ahead = ahead || c.Outcome == proof.OutcomeNoBlock
	}
	if !ahead {
		return
	}
	if info, err := client.Info(ctx); err == nil && !info.Chain.Synced {
		r.Result = pending
		r.Reason += fmt.Sprintf("; the daemon is still syncing (block %s of %s)", count(info.Chain.Height), count(info.Chain.TargetHeight))
	}
}

// tellVerified says what a proof is worth and returns the exit status that it calls for.
func (a *app) tellVerified(r *fileResult) int {
	name := r.File
	if name == "" || name == "-" {
		name = r.name()
	}
	switch {
	case a.json:
		a.printJSON(r, true)
	case r.Result == valid:
		fmt.Fprintf(a.out, "%s: valid, existed before Bitcoin block %s, mined about %s\n", name, count(r.Height), clock(*r.BlockTime))
	case r.Result == failed:
		a.complain("%s: cannot be verified: %s", r.name(), r.Reason)
	default:
		fmt.Fprintf(a.out, "%s: %s: %s\n", name, r.Result, r.Reason)
	}
	switch r.Result {
	case valid:
		return exitDone
	case pending:
		return exitPending
	}
	return exitFailed
}
