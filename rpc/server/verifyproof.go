package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ancre/proof"
	"ancre/rpc"
)

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

// madeAtWill reports whether developers make blocks at will on the node's network.
func (c *call) madeAtWill(ctx context.Context) bool {
	info, err := c.Node.Info(ctx)
	return err != nil || info.Network == "regtest" || info.Network == "simnet"
}

// chainHeaders verifies proofs against the node's own chain.
type chainHeaders struct {
	chain Chain

	// madeAtWill reports whether anyone can make any number of blocks at any time, as on regtest.
	madeAtWill func(context.Context) bool
}

var _ proof.HeaderSource = chainHeaders{}

// Header implements [proof.HeaderSource].
func (h chainHeaders) Header(ctx context.Context, height uint64) (proof.Header, error) {
	best, _, err := h.chain.Best()
	if err != nil {
		return proof.Header{}, err
	}
	if height > uint64(best) {
		tip, err := h.chain.HeaderAt(best)
		if err != nil {
			return proof.Header{}, err
		}
		if !proof.MayExist(height, uint64(best), tip.Timestamp, time.Now()) && !h.madeAtWill(ctx) {
			return proof.Header{}, fmt.Errorf("%w: %d; the newest block is %d", proof.ErrTooHigh, height, best)
		}
		return proof.Header{}, fmt.Errorf("%w: %d; the newest block is %d", proof.ErrNoHeader, height, best)
	}
	header, err := h.chain.HeaderAt(int32(height))
	if err != nil {
		return proof.Header{}, err
	}
	return rpc.ProofHeader(height, &header), nil
}
