package server

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"ancre/batcher"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"
)

// submit handles submit and submitbatch. It writes its result without reflection: see fast.go.
func submit(c *call) (any, error) {
	digests := c.get(c.params[0].Name).digests
	write := func(dst []byte) ([]byte, error) { return c.appendSubmitted(dst, digests) }
	return resultWriter(write), nil
}

// appendSubmitted submits digests, and writes their states and pending proofs.
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
		// Digests that may still be written count: otherwise a caller who hangs up in time could
		// submit any number.
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

// takeQuota counts digests against the caller's quota, and returns how many it counted. If the
// quota does not suffice for all, only unknown digests count: submitting a digest again is free.
func (c *call) takeQuota(digests [][32]byte) (taken int, err error) {
	n := len(digests)
	if left := c.quota.Left(c.user); left < n {
		if n, err = c.countUnknown(digests, left+1); err != nil {
			return 0, err
		}
		if n > left {
			n = len(digests) // the rest was not looked up; this decides when to try again
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

// countUnknown returns how many of the digests were never submitted. It stops counting at enough.
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

// byCommitment looks up a digest that was never submitted as the leaf of one that was. A pending
// proof calls the leaf its commitment, and someone who has such a proof from our calendar knows
// only the leaf: calendar clients blind what they submit. The proof is about the leaf, and is
// absent until it is complete. If the leaf is unknown too, byCommitment returns the error unknown.
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

// receipt answers getproof with a receipt. It is absent until the digest is final, as receipts have
// no pending form.
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

// unknownDigest names the digest in an error that says it is unknown.
func (c *call) unknownDigest(err error) error {
	if errors.Is(err, batcher.ErrUnknown) {
		return errorf(rpc.CodeNotFound, "the digest %x was never submitted here", c.get("digest").digests[0])
	}
	return err
}

// entryOf is the answer about a digest.
func entryOf(st *batcher.Status, proof []byte) rpc.Entry {
	return rpc.Entry{
		Digest:        hex.EncodeToString(st.Digest[:]),
		State:         string(st.Progress.State),
		Batch:         st.Position.Batch,
		Index:         st.Position.Index,
		TxID:          hashText(st.Progress.TxID),
		Height:        st.Progress.Height,
		BlockHash:     hashText(st.Progress.BlockHash),
		BlockTime:     timeOf(st.Progress.BlockTime),
		Confirmations: st.Progress.Confirmations,
		Proof:         base64.StdEncoding.EncodeToString(proof),
	}
}
