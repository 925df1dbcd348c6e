package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/progress"
	"ancre/proof"
	"ancre/verify"

	"github.com/spf13/cobra"
)

type verifyOptions struct {
	recursive bool
	file      string
	digest    string
	verbose   bool
	source    sourceOptions
	calendars calendarOptions

	hashed     func(int64) // called with the number of bytes that were read
	namesProof bool        // the argument is FILE.ots, not FILE
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE.ots…",
		Short: "Verify that files existed before a Bitcoin block",
		Long: `Verify each FILE.ots for the FILE beside it. FILE means FILE.ots if that exists. Proofs of other OpenTimestamps calendars
are verified too. If a proof is pending, ancre asks the calendars for the rest, as "ancre upgrade" does, unless you give --offline
or --headers. The file does not change. Chainpoint receipts of versions 1 to 5 are verified by the same rules. A
receipt that names its transaction but does not contain it, such as Woleet's, needs --node and a bitcoind with txindex=1.

Verification needs Bitcoin's block headers. They come from one of four sources, and the answer says which one you trusted:
  the daemon      unless you name another source: it has checked their proof of work
  --spv           the built-in light client, which needs no daemon, only Bitcoin's peers. It keeps its headers for the next
                  time, and uses spv.connect, spv.add_peers and spv.proxy of the configuration
  --headers FILE  offline: a file from "ancre headers export", which is checked from the first block on, or a window from
                  "ancre headers window". A window is worth what leads to a block that is known to this program, or the work on
                  top of the block: the answer says which. With fewer than 5 blocks on top, the answer is pending
  --node URL      a bitcoind that you trust. On its own machine ancre finds its cookie. Otherwise give --rpc-cookie, or give
                  --rpc-user and put the password into the environment as ANCRE_RPC_PASSWORD
The answer also says how many blocks of work are on top. Below five it warns that a reorganisation could still undo the block.
If no peer answers, --spv uses the headers that it kept, and says how old they are.

If FILE has changed since it was stamped, "ancre stamp" keeps the earlier proof as FILE.DATE.ots. Of an earlier version of FILE,
"ancre verify FILE" finds that proof. With -r, earlier proofs are left out if the earlier version is not there.

The answer is one of four, and so is the exit status:
  0  valid
  1  invalid: the proof contradicts the chain, the file or itself. Also if a file cannot be read
  3  pending: a calendar has promised to complete the proof, and has not done so yet
  4  unverifiable: nothing contradicts the proof, and it cannot be checked here. The answer says what a check needs:
     a source of block headers that answers or reaches further, the proof itself, or another program
With several files, the worst status counts: 1 before 4 before 3 before 0.

A warning does not change the answer. It says what a valid or pending proof does not show. For example, the proof is about the
file's SHA-1, and two files can have the same SHA-1. Or another attestation in the proof is false. Or an attestation, an anchor
or a part of a seal was not checked.`,
		Example: `  ancre verify report.pdf.ots
  ancre verify -f contract.pdf proof-of-the-notary.ots
  ancre verify --spv report.pdf.ots
  ancre verify --headers bitcoin.headers report.pdf.ots
  ancre verify --node 127.0.0.1 report.pdf.ots
  ancre verify --digest e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 - <some.ots`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := o.source.check(a); err != nil {
				return err
			}
			if err := o.calendars.check(o.source); err != nil {
				return err
			}
			return o.check(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "verify all FILE.ots in directories, and in those below")
	f.StringVarP(&o.file, "file", "f", "", "the `FILE` that a single proof is about; - is standard input")
	f.StringVarP(&o.digest, "digest", "d", "", "the hash, in `HEX`, of what a single proof is about")
	o.source.addTo(f)
	o.calendars.addTo(f)
	o.calendars.addOffline(f)
	a.addQuiet(f)
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show each step from the digest to the block")
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
		return errors.New("-f and --digest are for a single proof, and there are several")
	case !about && slices.Contains(args, "-"):
		return errors.New("the proof comes from standard input: name the file that it is about with -f, or its hash with --digest")
	case o.file == "-" && args[0] == "-":
		return errors.New("the proof and the file cannot both come from standard input")
	}
	if o.digest != "" {
		if b, err := hex.DecodeString(o.digest); err != nil || len(b) != 20 && len(b) != 32 {
			return fmt.Errorf("digest %q: must be the hash in hexadecimal digits, 64 of them for SHA-256", humanize.Clip(o.digest))
		}
	}
	return nil
}

func (a *app) verify(ctx context.Context, args []string, o verifyOptions) (err error) {
	src, closeSource, err := a.openSource(ctx, o.source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	config, err := a.verifyConfig(src)
	if err != nil {
		return err
	}
	if daemon, ok := src.(verify.DaemonSource); ok {
		config.Daemon = daemon.Client
	}
	calendars, closeCalendars, err := a.openCalendars(o.calendars)
	if err != nil {
		return err
	}
	defer closeCalendars()
	config.Calendars = calendars
	verifier := verify.New(config)
	bar := a.verifyProgress(args, o)
	defer bar.Finish()
	o.hashed = bar.AddBytes

	type verified struct {
		fileResult
		err error
	}
	exit, anyValid, printed, saidWhy := exitDone, false, 0, false
	var counts tally
	isProofFile := func(name string) bool { return hasProofSuffix(name) || isReceiptName(name) }
	results := inOrder(ctx, askers, walker{recursive: o.recursive, want: isProofFile}.files(args), func(ctx context.Context, t target) *verified {
		v := &verified{}
		if t.left != "" {
			v.leaveOut(t)
			return v
		}
		if v.err = a.verifyOne(ctx, verifier, t, o, &v.fileResult); v.err != nil {
			v.fail(v.err)
		}
		return v
	})
	for v := range results {
		if v.err != nil && ctx.Err() != nil {
			break // interrupted, as the error below says once
		}
		bar.AddFile()
		counts.add(&v.fileResult, "")
		anyValid = anyValid || v.Result == valid
		if printed++; v.sourceFailed && verifier.Failure() != nil && !a.json {
			if saidWhy {
				v.Reason, v.Needed = "for the same reason", ""
			}
			saidWhy = true
		}
		bar.Above(func() { exit = worse(exit, a.printVerified(&v.fileResult)) })
	}
	bar.Finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	if printed == 0 {
		a.note("Nothing was verified: there is no proof (FILE.ots) and no receipt there.")
	}
	if o.recursive {
		a.summary(&counts, []outcome{valid, invalid, pending, unverifiable, failed}, map[outcome]string{unverifiable: "that cannot be checked here"})
	}
	if anyValid {
		a.note("%s A block's time may be off by some hours; its place in the chain is not.", verifier.Trust().Warning)
	}
	return command.Finish(exit)
}

// verifyProgress counts proofs. For a single large file it counts the bytes that are read of it,
// which takes longest.
func (a *app) verifyProgress(args []string, o verifyOptions) *progress.Bar {
	if len(args) == 1 && !o.recursive && o.digest == "" {
		name := o.file
		if name == "" {
			name, _ = cutProofSuffix(proofPath(args[0]))
		}
		const large = 100 << 20 // less takes no second
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() >= large {
			return a.startProgress("hashing", info.Size(), true)
		}
	}
	return a.startProgress("verifying proofs", 0, false)
}

// verifyOne fills in the verdict on a proof or a receipt. An error says that there is no verdict.
func (a *app) verifyOne(ctx context.Context, v *verify.Verifier, t target, o verifyOptions, r *fileResult) error {
	o.namesProof = hasProofSuffix(t.path)
	data, name, err := a.readReceipt(t)
	if err != nil {
		return err
	}
	if data != nil {
		r.ProofFile, r.tree = name, t.tree
		err = a.verifyReceipt(ctx, v, data, o, r)
	} else {
		var f *proof.File
		if f, err = a.openProof(t, r); err != nil || f == nil {
			return err
		}
		err = a.verifyProof(ctx, v, f, o, r)
	}
	var earlier *earlierError
	if errors.As(err, &earlier) {
		r.ofEarlier(earlier)
		return nil
	}
	return err
}

// verifyProof fills in the verdict on a proof.
func (a *app) verifyProof(ctx context.Context, v *verify.Verifier, f *proof.File, o verifyOptions, r *fileResult) error {
	r.about(f.HashOp, f.Digest)
	digest, err := a.hashForProof(ctx, f, o, r)
	if err != nil {
		return err
	}
	hint := ""
	if o.file == "" && o.digest == "" && !bytes.Equal(digest, f.Digest) {
		// The file may be an earlier version, which has a proof too.
		if path, earlier := r.tree.earlierProof(r.File, f.HashOp, digest); earlier != nil && !o.namesProof {
			f, r.ProofFile = earlier, path
		} else if earlier != nil {
			hint = fmt.Sprintf("; %s is about what the file is now", shown(path))
		}
	}
	verdict, err := v.Proof(ctx, f, digest)
	if err != nil {
		return err
	}
	r.judge(verdict)
	if r.Result == invalid {
		r.Reason += hint
	}
	if o.verbose {
		r.Path, err = proof.Explain(verdict.Proof)
	}
	return err
}

// openProof reads the proof that t means. If it returns nil without an error, r says what is wrong
// with the proof.
func (a *app) openProof(t target, r *fileResult) (*proof.File, error) {
	f, _, err := a.openProofBytes(t, r)
	return f, err
}

// openProofBytes is openProof, and also returns the content of the file.
func (a *app) openProofBytes(t target, r *fileResult) (*proof.File, []byte, error) {
	r.tree = t.tree
	if r.ProofFile = t.path; t.path != "-" {
		r.ProofFile = proofPath(t.path)
	}
	var f *proof.File
	var data []byte
	var err error
	switch {
	case t.path == "-":
		f, data, err = parseProof(a.in)
	case t.err != nil && r.ProofFile == t.path:
		return nil, nil, t.err
	default:
		f, data, err = r.tree.readProof(r.ProofFile)
	}
	var malformed *proof.SyntaxError
	var none noProofError
	switch {
	case errors.Is(err, proof.ErrUnsupported):
		r.unverifiable(err.Error(), newerProgram)
	case errors.As(err, &none):
		r.File = t.path
		if several := receiptsBeside(t.path); len(several) > 0 {
			err = severalError{t.path, several}
		}
		r.unverifiable(err.Error(), itsProof)
	case errors.As(err, &malformed) && r.tree.isDocument(r.ProofFile):
		r.leaveOutDocument()
	case errors.As(err, &malformed):
		r.Result, r.Reason = invalid, err.Error()
	default:
		return f, data, plainError(err)
	}
	return nil, nil, nil
}

// itsProof is what a check needs of a file that has no proof beside it.
const itsProof = "its proof. If the proof has another name, name the .ots file or the receipt, and this file with -f"

// newerProgram is what a check needs of a proof that this program does not understand.
const newerProgram = "a newer version of ancre, or the program that made the proof"

// hashForProof returns the hash of what the proof is said to be about.
func (a *app) hashForProof(ctx context.Context, f *proof.File, o verifyOptions, r *fileResult) ([]byte, error) {
	if o.digest != "" {
		return hex.DecodeString(o.digest)
	}
	name, earlier := o.file, false
	if name == "" {
		var ok bool
		if name, ok = cutProofSuffix(r.ProofFile); !ok {
			return nil, errors.New("its name does not end in .ots: name the file that it is about with -f")
		}
		if file, dated := r.tree.cutDate(name); dated {
			name, earlier = file, true
		}
		if !exists(name) && earlier {
			return nil, &earlierError{name}
		}
		if !exists(name) {
			return nil, fmt.Errorf("there is no %s: name the file that the proof is about with -f, or its hash with --digest", shown(name))
		}
	}
	r.File = name
	if name == "-" {
		return hashReader(ctx, a.in, f.HashOp.Hash(), o.hashed)
	}
	sum, err := r.tree.hashFile(ctx, name, f.HashOp.Hash, o.hashed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(name), notToStamp(err, "name -f - for it"))
	}
	if same := bytes.Equal(sum, f.Digest); !same && earlier {
		return nil, &earlierError{name}
	} else if !same {
		r.Digest = hex.EncodeToString(sum)
	}
	return sum, nil
}

// printVerified prints a verdict and returns its exit status.
func (a *app) printVerified(r *fileResult) int {
	name := shown(r.File)
	if name == "" || name == "-" {
		name = r.name()
	}
	switch {
	case a.json:
		a.printJSON(r, true)
	case r.Result == valid:
		a.say("%s: valid, existed before %s\n", name, r.block())
		if r.Seal != nil {
			a.say("%s: %s\n", name, r.Seal)
		}
		if r.Reason != "" {
			a.complain("%s: %s", name, r.Reason)
		}
	case r.Result == failed:
		a.complain("%s: cannot be verified: %s", r.name(), r.Reason)
	case r.Result == skipped:
	case r.Result == unverifiable && a.quiet:
		a.complain("%s: cannot be checked here: %s%s", name, r.Reason, needed(r.Needed))
	case r.Result == invalid && a.quiet:
		a.complain("%s: invalid: %s", name, r.Reason)
	case r.Result == unverifiable:
		a.say("%s: cannot be checked here: %s\n", name, r.Reason)
		if r.Needed != "" {
			a.note("%s: needed: %s", name, r.Needed)
		}
	default:
		a.say("%s: %s: %s\n", name, r.Result, r.Reason)
	}
	for _, w := range r.Warnings {
		a.warn(name, w)
	}
	if r.Path != nil && !a.json && !a.quiet {
		fmt.Fprint(a.out, indent(r.Path.Text(true)))
	}
	return r.exit()
}

// needed puts what a check needs behind the reason why there was none.
func needed(what string) string {
	if what == "" {
		return ""
	}
	return "; needed: " + what
}

// indent indents lines that explain the line above them.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}
