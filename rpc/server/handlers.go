package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ancre/batcher"
	"ancre/headers"
	"ancre/internal/quota"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// call is one call of a method, its parameters read.
type call struct {
	ctx    context.Context
	server *Server
	user   string       // the caller's name
	quota  *quota.Quota // of new digests; nil: none
	output *output
	*Services
	method *method
	args
}

// submit is submit and submitbatch. Its result is written at once: see fast.go.
func submit(c *call) (any, error) {
	digests := c.get(c.params[0].Name).digests
	write := func(dst []byte) ([]byte, error) { return c.appendSubmitted(dst, digests) }
	return resultWriter(write), nil
}

// resultWriter is a result that writes itself.
type resultWriter func(dst []byte) ([]byte, error)

func (c *call) appendSubmitted(dst []byte, digests [][32]byte) ([]byte, error) {
	many := c.method.Name == rpc.MethodSubmitBatch
	if many {
		dst = append(dst, '[')
	}
	taken, err := c.takeQuota(digests)
	if err != nil {
		return nil, err
	}
	n, fresh := 0, 0
	err = c.Batcher.SubmitEach(c.ctx, digests, func(st *batcher.Status) {
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		if st.New {
			fresh++
		}
		dst = appendState(dst, st)
		dst = append(dst, `,"proof":"`...)
		dst = c.Batcher.AppendPending(dst, st)
		dst = append(dst, `"}`...)
	})
	if err != nil {
		// Digests that may still be written count: whoever hangs up in time would hand in any
		// number.
		if errors.Is(err, batcher.ErrBusy) || errors.Is(err, batcher.ErrReadOnly) {
			c.quota.Return(c.user, taken)
		}
		return nil, err
	}
	c.quota.Return(c.user, max(taken-fresh, 0))
	if n != len(digests) {
		return nil, fmt.Errorf("the batcher answers %d digests with %d states", len(digests), n)
	}
	c.method.meter.digests.Add(uint64(n))
	if many {
		dst = append(dst, ']')
	}
	return dst, nil
}

// takeQuota counts digests against the caller's quota, and returns how many it counted. When what
// is left is not enough for all, only those that are not known yet count: handing in again costs
// nothing.
func (c *call) takeQuota(digests [][32]byte) (taken int, err error) {
	n := len(digests)
	if left := c.quota.Left(c.user); left < n {
		if n, err = c.countUnknown(digests, left+1); err != nil {
			return 0, err
		}
		if n > left {
			n = len(digests) // for the time to come back: the rest was not looked up
		}
	}
	refused := c.quota.Take(c.user, n)
	if refused == nil {
		return n, nil
	}
	if refused.After > 0 {
		c.output.w.Header().Set("Retry-After", strconv.Itoa(int(refused.After.Seconds())))
	}
	return 0, errorf(rpc.CodeQuota, "%s", refused.Error())
}

// countUnknown returns how many digests are not known yet, up to enough.
func (c *call) countUnknown(digests [][32]byte, enough int) (n int, err error) {
	for i := range digests {
		_, err := c.Batcher.Status(c.ctx, digests[i])
		if errors.Is(err, batcher.ErrUnknown) {
			if n++; n >= enough {
				break
			}
			continue
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

func getStatus(c *call) (any, error) {
	st, err := c.Batcher.Status(c.ctx, c.get("digest").digests[0])
	if errors.Is(err, batcher.ErrUnknown) {
		_, st, _, err = c.byCommitment(err)
	}
	if err != nil {
		return nil, c.unknownDigest(err)
	}
	write := func(dst []byte) ([]byte, error) { return appendEntry(dst, &st, nil), nil }
	return resultWriter(write), nil
}

func getProof(c *call) (any, error) {
	format := c.get("format").text
	if format != rpc.FormatOTS {
		return c.receipt(format)
	}
	ots, st, complete, err := c.Batcher.Proof(c.ctx, nil, c.get("digest").digests[0])
	if errors.Is(err, batcher.ErrUnknown) {
		ots, st, complete, err = c.byCommitment(err)
	}
	if err != nil {
		return nil, c.unknownDigest(err)
	}
	write := func(dst []byte) ([]byte, error) { return appendProof(dst, &st, ots, complete), nil }
	return resultWriter(write), nil
}

// byCommitment is Status and Proof for a digest that was never submitted: it may be the leaf of
// one, which pending proofs call the commitment. The proof is about the leaf, and there is one only
// when it is complete. Whoever has a pending proof of our calendar knows no more than this, since
// clients of calendars blind what they hand in. unknown is the error of the digest.
func (c *call) byCommitment(unknown error) (ots []byte, st batcher.Status, complete bool, err error) {
	leaf := c.get("digest").digests[0]
	ts, at, complete, err := c.Batcher.Timestamp(c.ctx, nil, leaf)
	switch {
	case errors.Is(err, batcher.ErrUnknown):
		return nil, st, false, unknown
	case err != nil:
		return nil, st, false, err
	}
	st = batcher.Status{Digest: leaf, Position: at.Position, Progress: at.Progress}
	if !complete {
		return nil, st, false, nil
	}
	t, err := proof.ParseTimestamp(ts, leaf[:])
	if err != nil {
		return nil, st, false, err
	}
	ots, err = (&proof.File{HashOp: proof.SHA256, Digest: leaf[:], Timestamp: t}).Marshal()
	return ots, st, true, err
}

// receipt answers getproof with a receipt, or with none as long as the digest is not final:
// receipts have no pending form.
func (c *call) receipt(format string) (any, error) {
	anchored, st, ok, err := c.Batcher.Inclusion(c.ctx, c.get("digest").digests[0])
	if err != nil {
		return nil, c.unknownDigest(err)
	}
	p := rpc.Proof{Entry: entryOf(&st, nil), Format: format, Complete: ok}
	if !ok {
		return p, nil
	}
	var r receipt.Receipt
	if format == rpc.FormatChainpoint4 {
		r, err = receipt.NewV4(st.Digest, st.Nonce, anchored, st.Progress.BlockTime, c.CalendarURI)
	} else {
		r, err = receipt.NewV2(st.Digest, st.Nonce, anchored)
	}
	if err != nil {
		return nil, err
	}
	p.Receipt, err = r.Marshal()
	return p, err
}

func (c *call) unknownDigest(err error) error {
	if errors.Is(err, batcher.ErrUnknown) {
		return errorf(rpc.CodeNotFound, "the digest %x was never submitted here", c.get("digest").digests[0])
	}
	return err
}

func verifyProof(c *call) (any, error) {
	digest, raw := c.get("digest").bytes, c.get("proof").bytes
	f, err := proof.Parse(raw)
	if errors.Is(err, proof.ErrUnsupported) {
		return rpc.Verification{Result: string(proof.OutcomeUnverifiable), Reason: err.Error(), Needed: "a newer version of ancred, or the program that made the proof"}, nil
	}
	if err != nil {
		return rpc.Verification{Result: string(proof.OutcomeInvalid), Reason: err.Error()}, nil
	}
	r, err := proof.Verify(c.ctx, f, digest, chainHeaders{c.Chain, c.madeAtWill})
	if err != nil {
		return nil, err
	}
	v := rpc.Verification{Result: string(r.Outcome), Reason: r.Reason, Needed: r.Needed, Warnings: r.Warnings}
	if r.Missing != 0 {
		if info, err := c.Node.Info(c.ctx); err == nil && !info.Chain.Synced {
			v.Needed += fmt.Sprintf(": this node is still syncing (block %d of %d)", info.Chain.Height, info.Chain.TargetHeight)
		}
	}
	if r.Outcome == proof.OutcomeValid {
		v.Height = int32(r.Header.Height)
		v.BlockHash = hashText(r.Header.Hash)
		v.BlockTime = timeOf(r.Header.Time)
	}
	return v, nil
}

// madeAtWill reports whether the node's network is one on which developers make blocks at will.
func (c *call) madeAtWill(ctx context.Context) bool {
	info, err := c.Node.Info(ctx)
	return err != nil || info.Network == "regtest" || info.Network == "simnet"
}

func listBatches(c *call) (any, error) {
	list, err := c.Batcher.Batches(c.ctx, uint64(c.get("before").number), int(c.get("limit").number))
	if err != nil {
		return nil, err
	}
	out := make([]rpc.Batch, len(list))
	for i := range list {
		out[i] = BatchOf(&list[i])
	}
	return out, nil
}

func getBatch(c *call) (any, error) {
	id := uint64(c.get("id").number)
	st, err := c.Batcher.Batch(c.ctx, id)
	if errors.Is(err, batcher.ErrUnknown) {
		return nil, errorf(rpc.CodeNotFound, "there is no batch %d; listbatches names those there are", id)
	}
	if err != nil {
		return nil, err
	}
	return BatchOf(&st), nil
}

func closeBatch(c *call) (any, error) {
	st, closed, err := c.Batcher.CloseBatch(c.ctx)
	if err != nil || !closed {
		return nil, err
	}
	return BatchOf(&st), nil
}

func listAnchors(c *call) (any, error) {
	list, err := c.Batcher.Anchors(c.ctx, uint64(c.get("before").number), int(c.get("limit").number))
	if err != nil {
		return nil, err
	}
	out := make([]rpc.Anchor, len(list))
	for i := range list {
		out[i] = anchorOf(&list[i], false)
	}
	return out, nil
}

func getAnchor(c *call) (any, error) {
	id := uint64(c.get("id").number)
	st, err := c.Batcher.Anchor(c.ctx, id)
	if errors.Is(err, batcher.ErrUnknown) {
		return nil, errorf(rpc.CodeNotFound, "there is no anchor %d; listanchors names those there are", id)
	}
	if err != nil {
		return nil, err
	}
	return anchorOf(&st, true), nil
}

func createWallet(c *call) (any, error) {
	replace := c.get("replace").flag
	passphrase, perr := passphraseOf(c)
	words := strings.Fields(c.get("words").text)
	birthday := c.get("birthday").time
	if perr != nil {
		return nil, perr
	}
	if passphrase == "" {
		return nil, errorf(rpc.CodeInvalidParameter, "passphrase: is empty; the keys on disk are encrypted with it")
	}
	if c.get("words").set && len(words) == 0 {
		return nil, errorf(rpc.CodeInvalidParameter, "words: are empty; leave the parameter out to make new ones")
	}
	if len(words) == 0 && !birthday.IsZero() {
		return nil, errorf(rpc.CodeInvalidParameter, "birthday: is for restoring from words; a new wallet begins now")
	}
	if replace {
		return c.Wallet.Replace(c.ctx, passphrase, words, birthday)
	}
	return c.Wallet.Create(c.ctx, passphrase, words, birthday)
}

// The values of passphrase_encoding. JSON is UTF-8, and a passphrase is bytes.
const (
	encodingText = "text"
	encodingHex  = "hex"
)

// passphraseOf returns the bytes of the passphrase.
func passphraseOf(c *call) (string, *rpc.Error) {
	text, encoding := c.get("passphrase").text, c.get("passphrase_encoding").text
	if encoding != encodingHex {
		return text, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return "", errorf(rpc.CodeInvalidParameter, "passphrase: is not written in hex, as passphrase_encoding says: want two hexadecimal digits for each byte")
	}
	return string(b), nil
}

func unlockWallet(c *call) (any, error) {
	passphrase, err := passphraseOf(c)
	if err != nil {
		return nil, err
	}
	return nil, c.Wallet.Unlock(c.ctx, passphrase)
}

func getNewAddress(c *call) (any, error) { return c.Wallet.NewAddress(c.ctx) }

func getBalance(c *call) (any, error) { return c.Wallet.Balance(c.ctx) }

func listTransactions(c *call) (any, error) {
	list, err := c.Wallet.Transactions(c.ctx, int(c.get("count").number), int(c.get("skip").number))
	if err == nil && list == nil {
		list = []rpc.Transaction{} // an empty list is [] for a script, not null
	}
	return list, err
}

func sendToAddress(c *call) (any, error) {
	return c.Wallet.Send(c.ctx, c.get("address").text, c.get("amount_sats").number, c.get("fee_rate").number)
}

func estimateFee(c *call) (any, error) {
	f, err := c.Chain.Fees(c.ctx)
	if err != nil {
		return nil, err
	}
	if f.Blocks == nil {
		f.Blocks = []rpc.FeeBlock{} // an empty list is [] for a script, not null
	}
	if f.NextAnchor == nil {
		f.NextAnchor = []rpc.FeeStep{}
	}
	return f, nil
}

func getBlockCount(c *call) (any, error) {
	height, _, err := c.Chain.Best()
	return height, err
}

func getBestBlockHash(c *call) (any, error) {
	_, hash, err := c.Chain.Best()
	return hash.String(), err
}

func getBlockHash(c *call) (any, error) {
	height := c.get("height").number
	best, _, err := c.Chain.Best()
	if err != nil {
		return nil, err
	}
	if height > int64(best) {
		return nil, errorf(rpc.CodeInvalidParameter, "Block height out of range: %d; the newest block is %d", height, best)
	}
	hash, err := c.Chain.HashAt(int32(height))
	return hash.String(), err
}

func getBlockHeader(c *call) (any, error) {
	hash := chainhash.Hash(c.get("blockhash").bytes)
	verbose := c.get("verbose").flag
	header, height, err := c.Chain.Header(hash)
	if errors.Is(err, headers.ErrNotFound) {
		return nil, errorf(rpc.CodeNotFound, "Block not found")
	}
	if err != nil {
		return nil, err
	}
	if !verbose {
		var b bytes.Buffer
		if err := header.Serialize(&b); err != nil {
			return nil, err
		}
		return hex.EncodeToString(b.Bytes()), nil
	}

	info := rpc.HeaderInfo{
		Hash:          hash.String(),
		Confirmations: -1, // as bitcoind says of a block beside the active chain
		Height:        height,
		Version:       header.Version,
		VersionHex:    fmt.Sprintf("%08x", uint32(header.Version)),
		MerkleRoot:    header.MerkleRoot.String(),
		Time:          header.Timestamp.Unix(),
		Nonce:         header.Nonce,
		Bits:          fmt.Sprintf("%08x", header.Bits),
		Difficulty:    headers.Difficulty(header.Bits),
	}
	if height > 0 {
		info.PreviousBlockHash = header.PrevBlock.String()
	}
	if info.MedianTime, err = headers.MedianTime(c.Chain, header); err != nil {
		return nil, err
	}
	best, _, err := c.Chain.Best()
	if err != nil {
		return nil, err
	}
	if height <= best {
		if active, err := c.Chain.HashAt(height); err == nil && active == hash {
			info.Confirmations = best - height + 1
			if height < best {
				if next, err := c.Chain.HashAt(height + 1); err == nil {
					info.NextBlockHash = next.String()
				}
			}
		}
	}
	return info, nil
}

func getBlockchainInfo(c *call) (any, error) {
	info, err := c.Node.Info(c.ctx)
	if err != nil {
		return nil, err
	}
	best, hash, err := c.Chain.Best()
	if err != nil {
		return nil, err
	}
	header, _, err := c.Chain.Header(hash)
	if err != nil {
		return nil, err
	}
	median, err := headers.MedianTime(c.Chain, header)
	if err != nil {
		return nil, err
	}
	chain := info.Network
	if chain == "mainnet" {
		chain = "main"
	}
	return rpc.BlockchainInfo{
		Chain:                chain,
		Blocks:               best,
		Headers:              max(info.Chain.HeadersHeight, best),
		BestBlockHash:        hash.String(),
		Bits:                 fmt.Sprintf("%08x", header.Bits),
		Difficulty:           headers.Difficulty(header.Bits),
		Time:                 header.Timestamp.Unix(),
		MedianTime:           median,
		VerificationProgress: info.Chain.Progress,
		InitialBlockDownload: !info.Chain.Synced,
		Pruned:               true,
		Warnings:             append([]string{}, info.Warnings...),
	}, nil
}

func getInfo(c *call) (any, error) {
	info, err := c.Node.Info(c.ctx)
	if err != nil {
		return nil, err
	}
	info.UptimeSeconds = c.server.uptimeSeconds()
	if info.Warnings == nil {
		info.Warnings = []string{}
	}
	if info.Chain.Peers == nil {
		info.Chain.Peers = []rpc.Peer{}
	}
	return info, nil
}

func help(c *call) (any, error) {
	if name := c.get("method"); name.set {
		return c.server.helpOn(name.text)
	}
	return c.server.helpList(), nil
}

func stop(c *call) (any, error) {
	if c.server.stop == nil {
		return nil, errors.New("this server cannot be stopped by a call")
	}
	c.server.stop() // begins to stop: this answer is still written
	return "ancred stopping", nil
}

func uptime(c *call) (any, error) { return c.server.uptimeSeconds(), nil }

func (s *Server) uptimeSeconds() int64 { return int64(time.Since(s.started) / time.Second) }
