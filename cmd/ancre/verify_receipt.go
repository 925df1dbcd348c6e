package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/verify"
)

// sealResult is what is printed about who sealed a file.
type sealResult struct {
	Address      string `json:"address"`                 // whose key signed the file's hash: this is proven
	Identity     string `json:"identity,omitempty"`      // what the signer's software claims: this is not proven
	IssuerDomain string `json:"issuer_domain,omitempty"` // as Identity
}

// String puts the seal into words.
func (s *sealResult) String() string {
	claims := make([]string, 0, 2)
	if s.Identity != "" {
		claims = append(claims, fmt.Sprintf("%q", s.Identity))
	}
	if s.IssuerDomain != "" {
		claims = append(claims, fmt.Sprintf("of %q", s.IssuerDomain))
	}
	if len(claims) == 0 {
		return fmt.Sprintf("sealed with the key of Bitcoin address %s; who owns the key is not checked", s.Address)
	}
	return fmt.Sprintf("sealed with the key of Bitcoin address %s, whose owner claims to be %s; the claim is not checked", s.Address, strings.Join(claims, " "))
}

// verifyReceipt fills in the verdict on the receipt that data is, the content of r.ProofFile.
func (a *app) verifyReceipt(ctx context.Context, v *verify.Verifier, data []byte, o verifyOptions, r *fileResult) error {
	rec, err := receipt.Parse(data)
	if err != nil {
		r.noReceipt(data, err)
		return nil
	}
	about := rec.Digest()
	r.about(proof.SHA256, about[:])
	digest, err := a.hashForReceipt(ctx, about, o, r)
	if err != nil {
		return err
	}
	if o.verbose {
		if f, err := receipt.Proof(rec); err == nil {
			r.Path, _ = proof.Explain(f) // not every receipt can be explained
		}
	}
	verdict, err := v.Receipt(ctx, rec, digest)
	if err == nil {
		r.judge(verdict)
	}
	return err
}

// noReceipt fills in what it means that the content of r.ProofFile, which looked like a receipt, is
// not one.
func (r *fileResult) noReceipt(data []byte, err error) {
	r.Result, r.Reason = invalid, err.Error()
	named := r.ProofFile == "-" || isReceiptName(r.ProofFile)
	if !named {
		r.Reason += fmt.Sprintf(" (and there is no %s)", shown(r.ProofFile+proofSuffix))
	}
	switch {
	case errors.Is(err, proof.ErrUnsupported):
		r.unverifiable(r.Reason, newerProgram)
	case !named && !receipt.NamesChainpoint(data):
		// A document without a proof that happens to be JSON.
		r.File = r.ProofFile
		r.unverifiable(fmt.Sprintf("this is neither a proof nor a receipt, and there is no %s", shown(r.ProofFile+proofSuffix)), itsProof)
	}
}

// readReceipt reads what t means if it looks like a receipt. Otherwise, or if t cannot be read, it
// returns nil.
func (a *app) readReceipt(t target) (data []byte, name string, err error) {
	const start = 64 // blanks before the first brace are rare
	if t.path == "-" {
		in := bufio.NewReader(a.in)
		a.in = in
		if head, _ := in.Peek(start); !receipt.LooksLike(head) {
			return nil, "", nil
		}
		data, err = io.ReadAll(io.LimitReader(in, receipt.MaxSize+1))
		return data, t.path, err
	}
	name = proofPath(t.path)
	if name == t.path && !hasProofSuffix(name) {
		name = receiptPath(t.path)
	}
	file, err := t.tree.openProof(name)
	if err != nil {
		return nil, "", nil // reading it as a proof says why
	}
	defer file.Close()
	in := bufio.NewReader(file)
	if head, _ := in.Peek(start); !receipt.LooksLike(head) {
		return nil, "", nil
	}
	data, err = io.ReadAll(io.LimitReader(in, receipt.MaxSize+1))
	if hasProofSuffix(name) && !receipt.NamesChainpoint(data) {
		return nil, "", nil // a damaged proof
	}
	return data, name, plainError(err)
}

// receiptPath finds the receipt that an argument means: the argument itself, or the receipt beside
// it.
func receiptPath(arg string) string {
	if isReceiptName(arg) {
		return arg
	}
	beside := receiptsBeside(arg)
	if len(beside) == 1 || len(beside) > 1 && slices.Contains(besideSuffixes[:2], strings.TrimPrefix(beside[0], arg)) {
		return beside[0]
	}
	return arg
}

// hashForReceipt returns the hash of what the receipt is said to be about.
func (a *app) hashForReceipt(ctx context.Context, about [32]byte, o verifyOptions, r *fileResult) (digest [32]byte, err error) {
	if o.digest != "" {
		b, err := hex.DecodeString(o.digest)
		if err != nil || len(b) != len(digest) {
			return digest, fmt.Errorf("digest %q: receipts are about SHA-256, which has 64 hexadecimal digits", humanize.Clip(o.digest))
		}
		return [32]byte(b), nil
	}
	name, earlier := o.file, false
	if name == "" {
		var ok bool
		if name, ok = cutReceiptSuffix(r.ProofFile); !ok {
			name, ok = cutProofSuffix(r.ProofFile) // it is named like a proof
		}
		if !ok {
			return digest, fmt.Errorf("its name does not end in %s: name the file that it is about with -f", receiptKinds["v2"].suffix)
		}
		if file, dated := r.tree.cutDate(name); dated {
			name, earlier = file, true
		}
		if !exists(name) && earlier {
			return digest, &earlierError{name}
		}
		if !exists(name) {
			return digest, fmt.Errorf("there is no %s: name the file that the receipt is about with -f", shown(name))
		}
	}
	r.File = name
	var sum []byte
	if name == "-" {
		sum, err = hashReader(ctx, a.in, sha256.New(), o.hashed)
	} else if sum, err = r.tree.hashFile(ctx, name, sha256.New, o.hashed); err != nil {
		err = fmt.Errorf("%s: %w", shown(name), notToStamp(err, "name -f - for it"))
	}
	if err != nil {
		return digest, err
	}
	if same := bytes.Equal(sum, about[:]); !same && earlier {
		return digest, &earlierError{name}
	} else if !same {
		r.Digest = hex.EncodeToString(sum)
	}
	return [32]byte(sum), nil
}
