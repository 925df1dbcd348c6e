package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"
	"ancre/verify"

	"github.com/spf13/cobra"
)

// receiptKind is a version of receipts: the value of --format, the daemon's name of it, and the
// suffix of its files.
type receiptKind struct {
	version        int
	format, suffix string
}

// Woleet's tools call theirs NAME-ANCHORID.timestamp-receipt.json, Chainpoint's NAME.chp.
var receiptKinds = map[string]receiptKind{
	"v2": {2, rpc.FormatChainpoint, ".timestamp-receipt.json"},
	"v4": {4, rpc.FormatChainpoint4, ".chp.json"},
}

// receiptSuffixes are the suffixes of receipts, ours and Woleet's. Files with those of
// otherSuffixes may be anything.
var (
	receiptSuffixes = []string{".timestamp-receipt.json", ".anchor-receipt.json", ".seal-receipt.json", ".signature-receipt.json", ".chp.json"}
	otherSuffixes   = []string{".receipt.json", ".receipt", ".chp", ".json"}
)

// anchorID is what Woleet's tools put between the name of a file and the suffix of its receipts: a
// UUID.
var anchorID = regexp.MustCompile(`-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

type receiptOptions struct {
	recursive bool
	digests   []string
	output    string
	format    string
}

func (a *app) receiptCommand() *cobra.Command {
	var o receiptOptions
	cmd := &cobra.Command{
		Use:   "receipt FILE…",
		Short: "Write Chainpoint receipts, for Woleet's tools",
		Long: `Write the proof of each file again, as a Chainpoint receipt: JSON that Woleet's and Chainpoint's verifiers read, and "ancre verify"
too. The receipt is written beside the file as FILE.timestamp-receipt.json, or with --format v4 as FILE.chp.json.

If FILE.ots is complete, the receipt is made from it. Otherwise ancre asks the daemon. Version 2 of a complete FILE.ots needs no
daemon, and holds only proofs that ancre stamped. Version 4 also holds proofs that other OpenTimestamps clients stamped. There are
no pending receipts: the exit status is 3 while the proof is pending.

With -r, a directory means all complete FILE.ots in it and below. A receipt that is there already stays. Pending proofs are counted,
and the exit status is 3: run "ancre upgrade -r" before. Proofs that fit into no receipt, and files that have changed since they were
stamped, are left out.

"-" is standard input. Its receipt goes to standard output, or to the file that -o names. ancre never overwrites a receipt that
differs.`,
		Example: `  ancre receipt report.pdf
  ancre receipt --format v4 report.pdf
  ancre upgrade -r -q /srv/documents; ancre receipt -r -q /srv/documents
  ancre receipt -o - report.pdf | jq .merkleRoot`,
		Args: func(cmd *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error { return a.receipt(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "write the receipts of all complete FILE.ots in directories, and in those below")
	f.StringArrayVarP(&o.digests, "digest", "d", nil, "the receipt of a SHA-256 itself, in `HEX`; the file is HEX.timestamp-receipt.json in this directory")
	f.StringVarP(&o.output, "output", "o", "", "write a single receipt to `FILE`; - is standard output")
	a.addQuiet(f)
	f.StringVar(&o.format, "format", "v2", "the `VERSION` of the receipts: v2, which Woleet's tools read, or v4")
	return cmd
}

func (o *receiptOptions) check(args []string) error {
	n := len(args) + len(o.digests)
	switch {
	case n == 0:
		return errors.New("the receipt of what? Name files, - for standard input, or --digest HEX")
	case receiptKinds[o.format].version == 0:
		return fmt.Errorf("--format %q: must be v2 or v4", humanize.Clip(o.format))
	case o.output != "" && (n > 1 || o.recursive):
		return errors.New("-o names a single receipt, and there are several to write")
	case o.recursive && (len(o.digests) > 0 || countOf(args, "-") > 0):
		return errors.New("-r is for directories: leave out --digest and -")
	case countOf(args, "-") > 1:
		return errors.New("standard input can be read only once")
	}
	for _, d := range o.digests {
		if _, err := parseDigest(d); err != nil {
			return err
		}
	}
	return nil
}

// receiptResult is what is printed about one receipt.
type receiptResult struct {
	fileResult
	Format  string          `json:"format"`
	Receipt json.RawMessage `json:"receipt,omitempty"` // of one that was not written to a file

	digest [32]byte
	ots    *proof.File // the complete proof beside the file; nil when there is none
	err    error       // why there is no receipt
}

func (a *app) receipt(ctx context.Context, args []string, o receiptOptions) error {
	if o.recursive {
		return a.receiptTrees(ctx, args, o)
	}
	exit := exitDone
	one := func(arg, digest string) error {
		r := &receiptResult{Format: receiptKinds[o.format].format}
		err := a.receiptOf(ctx, arg, digest, o, r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if isFatal(err) {
			return err
		}
		if err != nil {
			r.setError(err)
		}
		exit = worse(exit, a.printReceipt(r))
		return nil
	}
	for _, arg := range args {
		if err := one(arg, ""); err != nil {
			return err
		}
	}
	for _, d := range o.digests {
		if err := one("", d); err != nil {
			return err
		}
	}
	return command.Finish(exit)
}

// receiptOf writes the receipt of a file or of a digest.
func (a *app) receiptOf(ctx context.Context, arg, digest string, o receiptOptions, r *receiptResult) error {
	kind := receiptKinds[o.format]
	if err := a.receiptSubject(ctx, arg, digest, r); err != nil {
		return err
	}
	switch {
	case o.output != "":
		r.ProofFile = o.output
	case r.File == "-":
		r.ProofFile = "-"
	case r.File != "":
		r.ProofFile = r.File + kind.suffix
	default:
		r.ProofFile = hex.EncodeToString(r.digest[:]) + kind.suffix
	}
	made, err := a.makeReceipt(ctx, kind, r)
	if err != nil || made == nil {
		return err
	}
	data, err := made.Marshal()
	if err != nil {
		return err
	}
	r.Result, r.Complete = complete, true
	if r.ProofFile == "-" {
		r.Receipt = data
		return nil
	}
	err = (*tree)(nil).create(r.ProofFile, data, nil)
	if errors.Is(err, fs.ErrExist) {
		same, err := holds(r.ProofFile, data)
		if err != nil {
			return plainError(err)
		}
		if !same && !holdsOlder(r.ProofFile, made) {
			return errors.New("a file of this name holds something else: move it away, or name another file with -o")
		}
		r.Result = already
		return nil
	}
	return tooLong(r.ProofFile, plainError(err), "name a shorter one with -o")
}

// holds reports whether a file holds exactly data. The file may be anybody's, so holds reads no
// more of it than it needs, and nothing of a pipe or a device, which may never end.
func holds(path string, data []byte) (bool, error) {
	file, _, err := atomicfile.Open(path)
	var kind *atomicfile.KindError
	if errors.As(err, &kind) {
		return false, errors.New("what has this name is not a regular file: name another file with -o")
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	got, err := io.ReadAll(io.LimitReader(file, int64(len(data))+1))
	return bytes.Equal(got, data), err
}

// holdsOlder reports whether a file is the same receipt as an earlier version of this program wrote
// it: those named no addresses in receipts of version 4.
func holdsOlder(path string, made receipt.Receipt) bool {
	v4, ok := made.(*receipt.V4)
	if !ok {
		return false
	}
	data, err := v4.WithoutURIs().Marshal()
	if err != nil {
		return false
	}
	same, err := holds(path, data)
	return err == nil && same
}

// receiptSubject fills in which digest is meant, and the complete proof of it if there is one.
func (a *app) receiptSubject(ctx context.Context, arg, digest string, r *receiptResult) (err error) {
	switch {
	case digest != "":
		if r.digest, err = parseDigest(digest); err != nil {
			return err
		}
		r.about(proof.SHA256, r.digest[:])
		return nil
	case arg == "-":
		r.File = arg
		sum, err := hashReader(ctx, a.in, sha256.New(), func(int64) {})
		if err != nil {
			return err
		}
		r.digest = [32]byte(sum)
		r.about(proof.SHA256, sum)
		return nil
	}

	// FILE.ots means FILE.
	r.File, _ = cutProofSuffix(arg)
	ots := proofPath(r.File)
	if ots == r.File {
		ots += proofSuffix
	}
	var known []byte
	if exists(ots) {
		f, _, err := readProof(ots)
		if err != nil {
			return fmt.Errorf("%s: %w", shown(ots), plainError(err))
		}
		if f.HashOp != proof.SHA256 {
			return fmt.Errorf("%s is about %s: receipts are about SHA-256", shown(ots), f.HashOp)
		}
		known = f.Digest
		if f.IsComplete() {
			r.ots = f
		}
	}
	if !exists(r.File) && known != nil {
		r.digest = [32]byte(known)
		r.about(proof.SHA256, known)
		return nil
	}
	sum, err := hashFile(ctx, r.File, sha256.New, func(int64) {})
	if err != nil {
		return notToStamp(err, "name - for it")
	}
	if known != nil && string(known) != string(sum) {
		return fmt.Errorf("the file has changed since it was stamped: %s is about another content", shown(ots))
	}
	r.digest = [32]byte(sum)
	r.about(proof.SHA256, sum)
	return nil
}

// makeReceipt makes the receipt from the complete proof beside the file, or asks the daemon for it.
// If it returns nil without an error, the receipt is pending, as r says.
func (a *app) makeReceipt(ctx context.Context, kind receiptKind, r *receiptResult) (receipt.Receipt, error) {
	if r.ots != nil {
		made, err := a.receiptOfProof(ctx, kind, r)
		if err == nil || isFatal(err) {
			return made, err
		}
		// The proof of another calendar may not fit into a receipt, but the daemon may have the
		// digest too.
		if fromDaemon, daemonErr := a.receiptOfDaemon(ctx, kind, r); daemonErr == nil && fromDaemon != nil {
			return fromDaemon, nil
		}
		return nil, err
	}
	return a.receiptOfDaemon(ctx, kind, r)
}

// receiptOfProof makes the receipt from the complete proof. It asks the daemon only for what a
// proof does not hold: the block's time, and where a calendar gives the block's Merkle root.
func (a *app) receiptOfProof(ctx context.Context, kind receiptKind, r *receiptResult) (receipt.Receipt, error) {
	if kind.version == 2 {
		found, err := a.anchoredIn(ctx, r)
		if err != nil {
			return nil, err
		}
		r.Height = found.Height
		return receipt.NewV2(found.Digest, found.Nonce, found.Inclusion)
	}
	ways, err := receipt.Ways(r.ots)
	if err != nil {
		return nil, err
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, err
	}
	// A proof may name several blocks. Those that the chain contradicts are skipped.
	missing, contradicted := uint64(0), []uint64(nil)
	for _, w := range ways {
		h, err := client.Header(ctx, w.Height)
		if errors.Is(err, proof.ErrNoHeader) {
			missing = w.Height
			continue
		}
		if err != nil {
			return nil, callError(fmt.Errorf("a receipt of version 4 holds the time of block %s: %w", humanize.Count(w.Height), err))
		}
		if h.MerkleRoot != w.MerkleRoot {
			contradicted = append(contradicted, w.Height)
			continue
		}
		r.Height = w.Height
		return w.V4(h.Time, a.calendarOf(ctx, client))
	}
	if len(contradicted) == 0 {
		return nil, unverifiableError{fmt.Sprintf("a receipt of version 4 holds the time of block %s, which the daemon does not have", humanize.Count(missing)),
			"a daemon that has the block. Version 2 needs none"}
	}
	return nil, fmt.Errorf("the proof beside the file is false: block %s has another Merkle root", humanize.Count(contradicted[0]))
}

// anchoredIn returns what a receipt of version 2 is made of. If the proof names several blocks, the
// daemon says which of them the chain has.
func (a *app) anchoredIn(ctx context.Context, r *receiptResult) (receipt.Found, error) {
	all, err := receipt.Inclusions(r.ots)
	if err != nil || len(all) == 1 {
		return append(all, receipt.Found{})[0], err
	}
	client, err := a.daemon(ctx)
	missing, contradicted := uint64(0), []uint64(nil)
	for _, found := range all {
		if err != nil {
			break
		}
		var h proof.Header
		if h, err = client.Header(ctx, found.Height); errors.Is(err, proof.ErrNoHeader) {
			missing, err = found.Height, nil
		} else if err == nil && h.MerkleRoot == found.MerkleRoot {
			return found, nil
		} else if err == nil {
			contradicted = append(contradicted, found.Height)
		}
	}
	if err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the proof names %d blocks, and the daemon could not be asked which of them is true (%v): verify the receipt", len(all), callError(err)))
		return all[0], nil
	}
	if len(contradicted) == 0 {
		return receipt.Found{}, unverifiableError{fmt.Sprintf("the proof names %d blocks, and the daemon does not have block %s", len(all), humanize.Count(missing)), "a daemon that has the block"}
	}
	return receipt.Found{}, fmt.Errorf("the proof beside the file is false: block %s has another Merkle root", humanize.Count(contradicted[0]))
}

// calendarOf returns the address of the daemon's calendar, which the daemon's own receipts of
// version 4 name. The daemon does not tell it to every user: then it is the one of the
// configuration.
func (a *app) calendarOf(ctx context.Context, client *rpc.Client) string {
	if info, err := client.Info(ctx); err == nil {
		return info.Calendar.URI
	}
	cfg, err := a.configuration()
	if err != nil {
		return "" // the receipt names no calendar: verifying it needs none
	}
	return cfg.Calendar.URI
}

// receiptOfDaemon asks the daemon for the receipt.
func (a *app) receiptOfDaemon(ctx context.Context, kind receiptKind, r *receiptResult) (receipt.Receipt, error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, err
	}
	p, err := client.Proof(ctx, r.digest, kind.format)
	if rpc.HasCode(err, rpc.CodeNotFound) {
		return nil, errors.New("the daemon does not know this digest: stamp it first (ancre stamp)")
	}
	if err != nil {
		return nil, callError(err)
	}
	r.at(p.Entry)
	if !p.Complete {
		r.Result, r.Reason = pending, verify.StatusText(p.Entry)
		return nil, nil
	}
	made, err := receipt.Parse(p.Receipt)
	if err != nil {
		return nil, fmt.Errorf("the daemon's answer is not a receipt: %w", err)
	}
	if made.Digest() != r.digest {
		return nil, fmt.Errorf("the daemon's receipt is about another digest, %x", made.Digest())
	}
	return made, nil
}

// printReceipt prints the result of a receipt and returns its exit status.
func (a *app) printReceipt(r *receiptResult) int {
	if r.Receipt != nil && !a.json {
		if _, err := a.jsonOut().Write(r.Receipt); err != nil {
			r.fail(err)
		}
	}
	switch {
	case a.json:
		a.printJSON(r, true)
	case r.Result == skipped, r.tree != nil && (r.Result == already || r.Result == pending): // the summary counts them
	case r.Result == failed:
		a.complain("%s: %s", r.subject(), r.Reason)
	case r.Result == unverifiable:
		a.complain("%s: no receipt can be made here: %s; needed: %s", r.subject(), r.Reason, r.Needed)
	case r.Result == pending:
		a.note("%s: pending, %s", r.subject(), r.Reason)
	case r.Receipt != nil:
	case r.Result == already:
		a.say("%s: was there already\n", shown(r.ProofFile))
	default:
		a.say("%s: written, for Bitcoin block %s\n", shown(r.ProofFile), humanize.Count(r.Height))
	}
	for _, w := range r.Warnings {
		if !a.quiet {
			a.note("%s: warning: %s", r.subject(), w)
			continue
		}
		a.warn(r.subject(), w)
	}
	return r.exit()
}

// subject is how a person knows what the receipt is about.
func (r *receiptResult) subject() string {
	switch r.File {
	case "":
		return r.Digest
	case "-":
		return "standard input"
	}
	return shown(r.File)
}

// isReceiptName reports whether receipts have such names, and little else.
func isReceiptName(name string) bool {
	return slices.ContainsFunc(receiptSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// isReceipt reports whether a file has the name and the first byte of a receipt.
func (t *tree) isReceipt(path string) bool {
	const start = 64 // blanks before the first brace are rare
	return isReceiptName(path) && receipt.LooksLike(t.head(path, start))
}

// cutReceiptSuffix returns the name of the file that a receipt with this name is about.
func cutReceiptSuffix(path string) (string, bool) {
	for _, suffix := range slices.Concat(receiptSuffixes, otherSuffixes) {
		name, ok := strings.CutSuffix(path, suffix)
		if !ok {
			continue
		}
		if plain := anchorID.ReplaceAllString(name, ""); !exists(name) && exists(plain) {
			return plain, true
		}
		return name, true
	}
	return path, false
}
