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
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// sealTold is what is told of who sealed a file.
type sealTold struct {
	Address      string `json:"address"`                 // whose key signed the file's hash: that is proven
	Identity     string `json:"identity,omitempty"`      // what the signer's software says of itself: that is not
	IssuerDomain string `json:"issuer_domain,omitempty"` // the same
}

// String is the seal in words.
func (s *sealTold) String() string {
	claims := make([]string, 0, 2)
	if s.Identity != "" {
		claims = append(claims, fmt.Sprintf("%q", s.Identity))
	}
	if s.IssuerDomain != "" {
		claims = append(claims, fmt.Sprintf("of %q", s.IssuerDomain))
	}
	if len(claims) == 0 {
		return fmt.Sprintf("sealed with the key of Bitcoin address %s; whose that is, is not checked", s.Address)
	}
	return fmt.Sprintf("sealed with the key of Bitcoin address %s, which calls itself %s; that is not checked", s.Address, strings.Join(claims, " "))
}

// verifyReceipt verifies t if it is a receipt. It is recognised by its content, wherever FILE does
// not mean FILE.ots.
func (a *app) verifyReceipt(ctx context.Context, src *source, t target, o verifyOptions, r *fileResult) (isReceipt bool, err error) {
	data, name, err := a.readReceipt(t)
	if data == nil || err != nil {
		return err != nil, err
	}
	r.ProofFile, r.tree = name, t.tree
	rec, err := receipt.Parse(data)
	if err != nil {
		if r.Result, r.Reason = invalid, err.Error(); name != "-" && !isReceiptName(name) {
			r.Reason += fmt.Sprintf(" (and there is no %s)", shown(name+proofSuffix))
		}
		switch {
		case errors.Is(err, proof.ErrUnsupported):
			r.unverifiable(r.Reason, newerProgram)
		case name != "-" && !isReceiptName(name) && !receipt.NamesChainpoint(data):
			// A document that happens to be JSON, as any other without a proof.
			r.File = name
			r.unverifiable(fmt.Sprintf("this is neither a proof nor a receipt, and there is no %s", shown(name+proofSuffix)), itsProof)
		}
		return true, nil
	}
	about := rec.Digest()
	r.about(proof.SHA256, about[:])
	digest, err := a.hashForReceipt(ctx, about, o, r)
	if err != nil {
		return true, err
	}
	if o.verbose {
		if f, err := receipt.Proof(rec); err == nil {
			if r.Path, err = proof.Explain(f); err != nil {
				r.Path = nil
			}
		}
	}
	return true, judgeReceipt(ctx, src, rec, digest, r)
}

// judgeReceipt fills in what a receipt of that digest is worth, as judge does for proofs.
func judgeReceipt(ctx context.Context, src *source, rec receipt.Receipt, digest [32]byte, r *fileResult) error {
	result, err := receipt.Verify(ctx, rec, digest, src.forReceipts())
	if err == nil && result.Outcome == proof.OutcomeValid {
		r.Reason = result.Reason
		err = src.vouch(ctx, result.Header, r)
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		if src.unanswered(r, err); errors.As(err, &transactionError{}) {
			r.Needed = "a bitcoind that has all transactions (txindex=1), named with --node"
		}
		return nil
	}
	r.Warnings = result.Warnings
	switch {
	case result.Outcome == proof.OutcomeValid:
		r.TxID, r.Anchor = chainhash.Hash(result.TxID).String(), result.Anchor
		if s := result.Seal; s != nil {
			r.Seal = &sealTold{Address: s.PubKey, Identity: s.SignedIdentity, IssuerDomain: s.SignedIssuerDomain}
		}
	case result.Outcome == proof.OutcomePending:
		r.Result, r.Reason = pending, result.Reason
	case result.Outcome == proof.OutcomeUnchecked:
		r.unverifiable(result.Reason, result.Needed)
	case result.Outcome == proof.OutcomeNoBlock && result.Missing != 0:
		src.missing(ctx, result.Missing, result.Reason, result.Needed, r)
	default: // or its transaction is in no block of a node that has them all
		r.Result, r.Reason = invalid, result.Reason
	}
	return nil
}

// readReceipt reads what t means if it looks like a receipt. Nil: it does not, or cannot be read,
// and is left as it was.
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
		return nil, "", nil // who reads it as a proof tells why
	}
	defer file.Close()
	in := bufio.NewReader(file)
	if head, _ := in.Peek(start); !receipt.LooksLike(head) {
		return nil, "", nil
	}
	data, err = io.ReadAll(io.LimitReader(in, receipt.MaxSize+1))
	if hasProofSuffix(name) && !receipt.NamesChainpoint(data) {
		return nil, "", nil // a proof that is none
	}
	return data, name, plainError(err)
}

// receiptPath finds the receipt that an argument means: itself, or the one beside FILE when FILE is
// no receipt and has one.
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

// hashForReceipt hashes what the receipt is said to be about.
func (a *app) hashForReceipt(ctx context.Context, about [32]byte, o verifyOptions, r *fileResult) (digest [32]byte, err error) {
	if o.digest != "" {
		b, err := hex.DecodeString(o.digest)
		if err != nil || len(b) != len(digest) {
			return digest, fmt.Errorf("digest %q: receipts are about SHA-256, which has 64 hexadecimal digits", clip(o.digest))
		}
		return [32]byte(b), nil
	}
	name := o.file
	if name == "" {
		var ok bool
		if name, ok = cutReceiptSuffix(r.ProofFile); !ok {
			name, ok = cutProofSuffix(r.ProofFile) // somebody called it so
		}
		if !ok {
			return digest, fmt.Errorf("its name does not end in %s: say with -f which file it is about", receiptKinds["v2"].suffix)
		}
		if !exists(name) {
			return digest, fmt.Errorf("there is no %s: say with -f which file the receipt is about", shown(name))
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
	if !bytes.Equal(sum, about[:]) {
		r.Digest = hex.EncodeToString(sum)
	}
	return [32]byte(sum), nil
}

var _ receipt.TxSource = (*nodeHeaders)(nil)

// Transaction implements [receipt.TxSource] with the calls of a bitcoind that has an index of
// transactions (txindex=1).
func (n *nodeHeaders) Transaction(ctx context.Context, txid [32]byte) (tx receipt.Tx, err error) {
	err = n.ask(ctx, func(ctx context.Context) error {
		if err := n.checkNetwork(ctx); err != nil {
			return err
		}
		tx, err = n.transaction(ctx, chainhash.Hash(txid))
		return err
	})
	return tx, err
}

func (n *nodeHeaders) transaction(ctx context.Context, id chainhash.Hash) (receipt.Tx, error) {
	var tx receipt.Tx
	var found struct {
		Hex       string `json:"hex"`
		BlockHash string `json:"blockhash"`
	}
	if err := n.client.Call(ctx, "getrawtransaction", &found, id.String(), true); err != nil {
		return tx, n.noTransaction(ctx, err)
	}
	if found.BlockHash == "" {
		return tx, receipt.ErrUnmined
	}
	raw, err := hex.DecodeString(found.Hex)
	if err != nil {
		return tx, fmt.Errorf("the node's transaction is not in hexadecimal digits: %w", err)
	}
	var parsed wire.MsgTx
	if err := parsed.Deserialize(bytes.NewReader(raw)); err != nil {
		return tx, fmt.Errorf("the node's transaction cannot be read: %w", err)
	}
	var stripped bytes.Buffer
	if err := parsed.SerializeNoWitness(&stripped); err != nil {
		return tx, err
	}

	var block struct {
		Height int64    `json:"height"`
		Tx     []string `json:"tx"`
	}
	if err := n.client.Call(ctx, "getblock", &block, found.BlockHash, 1); err != nil {
		return tx, err
	}
	ids := make([][32]byte, len(block.Tx))
	for i, text := range block.Tx {
		h, err := chainhash.NewHashFromStr(text)
		if err != nil {
			return tx, fmt.Errorf("the node's block %s has a transaction %q: %w", found.BlockHash, clip(text), err)
		}
		ids[i] = *h
	}
	at := slices.Index(ids, [32]byte(id))
	if at < 0 || block.Height < 0 {
		return tx, fmt.Errorf("the node says that transaction %s is in block %s, but not that the block has it", id, found.BlockHash)
	}
	return receipt.Tx{Raw: stripped.Bytes(), Height: uint64(block.Height), Index: uint32(at), Branch: proof.BlockBranch(ids, at)}, nil
}

// noTransaction says what it means that the node does not give a transaction, in bitcoind's words:
// those of getrawtransaction tell an index that has it not from one that is not there, their codes
// do not.
func (n *nodeHeaders) noTransaction(ctx context.Context, err error) error {
	const noMethod = -32601
	switch {
	case rpc.HasCode(err, noMethod):
		return fmt.Errorf("the node at %s knows no transactions, only headers: name a bitcoind with --node", n.client.URL())
	case rpc.HasCode(err, rpc.CodeNotFound) && strings.Contains(err.Error(), "No such mempool or blockchain transaction"):
		if info, infoErr := n.client.BlockchainInfo(ctx); infoErr == nil && info.InitialBlockDownload {
			return fmt.Errorf("the node at %s is still syncing (block %s of %s), and does not know the transaction yet", n.client.URL(), humanize.Count(info.Blocks), humanize.Count(info.Headers))
		}
		return fmt.Errorf("%w: %w", receipt.ErrNoTx, err)
	case rpc.HasCode(err, rpc.CodeNotFound):
		return fmt.Errorf("the node at %s has no complete index of transactions: start it with -txindex=1, and let it finish (%w)", n.client.URL(), err)
	}
	return err
}
