package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"

	"ancre/internal/humanize"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var _ proof.HeaderSource = (*Client)(nil)

// Header implements [proof.HeaderSource] with getblockhash and getblockheader of ancred or
// bitcoind. It checks that the header has the hash. It trusts the server that the block is in
// Bitcoin's chain.
func (c *Client) Header(ctx context.Context, height uint64) (proof.Header, error) {
	if height > math.MaxInt32 {
		return proof.Header{}, fmt.Errorf("%w: %d", proof.ErrNoHeader, height)
	}
	text, err := c.BlockHash(ctx, int32(height))
	if HasCode(err, CodeInvalidParameter) {
		return proof.Header{}, fmt.Errorf("%w: %s: %w", proof.ErrNoHeader, c.url, err)
	}
	if err != nil {
		return proof.Header{}, err
	}
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil {
		return proof.Header{}, fmt.Errorf("%s answers with the block hash %q: %w", c.url, humanize.Clip(text), err)
	}
	var raw string
	if err := c.Call(ctx, MethodGetBlockHeader, &raw, hash.String(), false); err != nil {
		return proof.Header{}, err
	}
	b, err := hex.DecodeString(raw)
	if err != nil || len(b) != wire.MaxBlockHeaderPayload {
		return proof.Header{}, fmt.Errorf("%s answers with the header %q; want the %d bytes of one in hexadecimal", c.url, humanize.ClipTo(raw, 200), wire.MaxBlockHeaderPayload)
	}
	var header wire.BlockHeader
	if err := header.Deserialize(bytes.NewReader(b)); err != nil {
		return proof.Header{}, fmt.Errorf("%s answers with a header that cannot be read: %w", c.url, err)
	}
	if header.BlockHash() != *hash {
		return proof.Header{}, fmt.Errorf("%s answers with the header of block %s when asked for %s", c.url, header.BlockHash(), hash)
	}
	return ProofHeader(height, &header), nil
}

// ProofHeader is a block's header as the package ancre/proof takes it.
func ProofHeader(height uint64, h *wire.BlockHeader) proof.Header {
	return proof.Header{Height: height, Hash: h.BlockHash(), MerkleRoot: h.MerkleRoot, Time: h.Timestamp.UTC()}
}
