package main

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"ancre/internal/command"
	"ancre/proof"
	"ancre/proof/receipt"
)

// receiptTrees writes receipts for the complete proofs in directories, where there is none yet.
func (a *app) receiptTrees(ctx context.Context, args []string, o receiptOptions) error {
	kind := receiptKinds[o.format]
	if _, err := a.daemon(ctx); err != nil { // sends nothing; several goroutines use it below
		return err
	}
	bar := a.startProgress("writing receipts", 0, false)
	defer bar.Finish()
	exit := exitDone
	var counts tally
	one := func(ctx context.Context, t target) *receiptResult {
		r := &receiptResult{Format: kind.format}
		if r.err = a.receiptInTree(ctx, kind, t, o, r); r.err != nil {
			r.setError(r.err)
		}
		return r
	}
	for r := range inOrder(ctx, askers, walker{recursive: true, want: hasProofSuffix}.files(args), one) {
		bar.AddFile()
		if err := ctx.Err(); err != nil {
			return err // the interrupt may be why it failed
		}
		if isFatal(r.err) {
			return r.err
		}
		as := r.Result
		if as == complete {
			as = written
		}
		counts.add(&r.fileResult, as)
		bar.Above(func() { exit = worse(exit, a.printReceipt(r)) })
	}
	bar.Finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	a.summary(&counts, []outcome{written, already, pending, unverifiable, failed}, map[outcome]string{already: "there already", unverifiable: "that cannot be made here"})
	return command.Finish(exit)
}

// receiptInTree writes the receipt of a proof that was found in a tree, and of any other argument
// as receiptOf does. It asks nobody about pending proofs: "ancre upgrade" completes them.
func (a *app) receiptInTree(ctx context.Context, kind receiptKind, t target, o receiptOptions, r *receiptResult) error {
	switch {
	case t.left != "":
		r.leaveOut(t)
		return nil
	case t.tree == nil:
		return a.receiptOf(ctx, t.path, "", o, r)
	}
	r.ProofFile, r.tree = t.path, t.tree // until it is known what the receipt is named
	if t.err != nil {
		return t.err
	}
	f, _, err := t.tree.readProof(t.path)
	if err != nil && t.tree.isDocument(t.path) {
		r.leaveOutDocument()
		return nil
	}
	if err != nil {
		return plainError(err)
	}
	r.File, _ = cutProofSuffix(t.path)
	r.ProofFile = r.File + kind.suffix
	r.about(f.HashOp, f.Digest)
	if !fits(kind, f, r) || !f.IsComplete() {
		return nil
	}
	r.digest, r.ots = [32]byte(f.Digest), f
	if there, err := t.tree.hasReceipt(r.ProofFile, r.digest); there || err != nil {
		r.Result = already
		return err
	}
	if same, err := r.isOfItsFile(ctx); !same || err != nil {
		return err
	}
	return a.createReceipt(ctx, kind, r)
}

// fits reports whether a receipt can be made of the proof. If not, or if the proof is pending, it
// fills in the result.
func fits(kind receiptKind, f *proof.File, r *receiptResult) bool {
	var err error
	switch {
	case !f.IsComplete() && f.HashOp == proof.SHA256:
		r.Result, r.Reason = pending, `the proof is pending: "ancre upgrade" completes it`
		return true
	case kind.version == 2:
		_, err = receipt.Inclusions(f)
	default:
		_, err = receipt.Ways(f)
	}
	if err != nil {
		r.Result, r.Reason, r.left = skipped, err.Error(), leftUnfit
	}
	return err == nil
}

// hasReceipt reports whether there is a receipt of a digest already, whoever wrote it.
func (t *tree) hasReceipt(path string, digest [32]byte) (bool, error) {
	file, err := t.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, plainError(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, receipt.MaxSize+1))
	if err != nil {
		return false, plainError(err)
	}
	if there, err := receipt.Parse(data); err != nil || there.Digest() != digest {
		return false, errors.New("a file of this name holds something else: move it away")
	}
	return true, nil
}

// isOfItsFile reports whether the proof is about its file as it is now. If not, it fills in the
// result. A file that is not there, such as the earlier version of one that changed, needs none.
func (r *receiptResult) isOfItsFile(ctx context.Context) (bool, error) {
	if !r.tree.exists(r.File) {
		return true, nil
	}
	sum, err := r.tree.hashFile(ctx, r.File, proof.SHA256.Hash, func(int64) {})
	if err != nil {
		return false, notToStamp(err, "name - for it")
	}
	if r.digest != [32]byte(sum) {
		r.Result, r.Reason, r.left = skipped, `the file has changed since it was stamped: "ancre stamp" stamps it again`, leftEarlier
		return false, nil
	}
	return true, nil
}

// createReceipt makes the receipt and writes it.
func (a *app) createReceipt(ctx context.Context, kind receiptKind, r *receiptResult) error {
	made, err := a.receiptOfProof(ctx, kind, r)
	if err != nil {
		return err
	}
	data, err := made.Marshal()
	if err != nil {
		return err
	}
	r.Result, r.Complete = complete, true
	err = r.tree.create(r.ProofFile, data, nil)
	if errors.Is(err, fs.ErrExist) { // another ancre made it meanwhile
		r.Result = already
		_, err = r.tree.hasReceipt(r.ProofFile, r.digest)
	}
	return tooLong(r.ProofFile, plainError(err), "give the file a shorter name")
}
