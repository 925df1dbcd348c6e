package calendar

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// The two routes of Esplora (github.com/Blockstream/esplora, API.md) by which OpenTimestamps clients without a node verify: from a height to a
// block's hash, and from the hash to its header. The answers come from the light client's own headers; the statuses and texts of errors are
// Esplora's.

// How long these answers may be kept: a block under 10 others is not expected to leave the chain (Esplora's figures).
const (
	keepBlock    = "public, max-age=157784630" // five years
	keepTip      = "public, max-age=10"
	settledDepth = 10
)

// blockHeight is GET /block-height/N.
func (q *request) blockHeight(rest string) {
	height, err := strconv.ParseUint(rest, 10, 64)
	if err != nil {
		q.text(http.StatusBadRequest, keepForever, "Invalid number")
		return
	}
	best, _, err := q.Chain.Best()
	if err != nil {
		q.fail("looking the newest block up", err)
		return
	}
	if height > uint64(best) {
		q.noBlock(best)
		return
	}
	hash, err := q.Chain.HashAt(int32(height))
	if err != nil {
		q.fail("looking a block up", err)
		return
	}
	q.text(http.StatusOK, keepOf(int32(height), best), hash.String())
}

// keepOf says how long what is told of a block may be kept, by how many are on top of it.
func keepOf(height, best int32) string {
	if best-height >= settledDepth {
		return keepBlock
	}
	return keepTip
}

// esploraBlock is a block as Esplora tells of it, without what only those know who have all of it: tx_count, size and weight.
type esploraBlock struct {
	ID           string  `json:"id"`
	Height       int32   `json:"height"`
	Version      uint32  `json:"version"`
	Timestamp    int64   `json:"timestamp"` // seconds since 1970
	MerkleRoot   string  `json:"merkle_root"`
	PreviousHash *string `json:"previousblockhash"` // null of the genesis block
	MedianTime   int64   `json:"mediantime"`
	Nonce        uint32  `json:"nonce"`
	Bits         uint32  `json:"bits"`
	Difficulty   float64 `json:"difficulty"`
}

// block is GET /block/HASH.
func (q *request) block(rest string) {
	hash, err := chainhash.NewHashFromStr(rest) // which takes shorter ones for numbers
	if err != nil || len(rest) != chainhash.MaxHashStringSize {
		q.text(http.StatusBadRequest, keepForever, "Invalid hex string")
		return
	}
	header, height, err := q.Chain.Header(*hash)
	if errors.Is(err, rpc.ErrNoBlock) {
		best, _, err := q.Chain.Best()
		if err != nil {
			q.fail("looking the newest block up", err)
			return
		}
		q.noBlock(best)
		return
	}
	if err != nil {
		q.fail("looking a block up", err)
		return
	}
	median, err := rpc.MedianTime(q.Chain, header)
	if err != nil {
		q.fail("looking a block's predecessors up", err)
		return
	}
	b := esploraBlock{
		ID:         hash.String(),
		Height:     height,
		Version:    uint32(header.Version),
		Timestamp:  header.Timestamp.Unix(),
		MerkleRoot: header.MerkleRoot.String(),
		MedianTime: median,
		Nonce:      header.Nonce,
		Bits:       header.Bits,
		Difficulty: rpc.Difficulty(header.Bits),
	}
	if height > 0 {
		previous := header.PrevBlock.String()
		b.PreviousHash = &previous
	}
	body, err := json.Marshal(b)
	if err != nil {
		q.fail("writing a block", err)
		return
	}
	// Not for ever, as Esplora has it: this node forgets blocks that left the chain, and says so from then on.
	keep := keepTip
	if best, _, err := q.Chain.Best(); err == nil {
		keep = keepOf(height, best)
	}
	q.answer(http.StatusOK, jsonType, keep, body)
}

// noBlock says that there is no such block, as far as this can be known now.
func (q *request) noBlock(best int32) {
	if !q.Chain.Synced() {
		q.later(30, fmt.Sprintf("still syncing: blocks above %d are not known here yet; try again later", best))
		return
	}
	q.text(http.StatusNotFound, keepTip, "Block not found")
}
