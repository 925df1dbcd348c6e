package server

import (
	"context"
	"fmt"
	"time"

	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
)

// chainHeaders lets proofs be verified against the node's own chain.
type chainHeaders struct {
	chain Chain

	// madeAtWill reports whether any number of blocks may be made at any time, as on regtest.
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
	return headerOf(height, &header), nil
}

func headerOf(height uint64, h *wire.BlockHeader) proof.Header {
	return proof.Header{Height: height, Hash: h.BlockHash(), MerkleRoot: h.MerkleRoot, Time: h.Timestamp.UTC()}
}
