package server

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ancre/headers"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// The routes of Esplora (github.com/Blockstream/esplora, API.md) with which OpenTimestamps clients
// verify without a node: the hash of the block at a height, the header of the block with a hash,
// and the height of the newest block. The answers come from the light client's own headers. The
// statuses and texts of errors are Esplora's.
//
// The route of Chainpoint's gateways is here too: the Merkle root of the block at a height.

// How long caches may keep these answers. A block under 10 others is not expected to leave the
// chain. The figures are Esplora's.
const (
	keepBlock    = "public, max-age=157784630" // five years
	keepTip      = "public, max-age=10"
	settledDepth = 10
)

// blockHeight is GET /block-height/N. It answers the hash of the block at a height.
func (q *request) blockHeight(rest string) {
	if hash, height, best, ok := q.blockAt(rest); ok {
		q.text(http.StatusOK, keepOf(height, best), hash.String())
	}
}

// blockAt looks up the block at the height in the path. If ok is false, it has answered the
// request.
func (q *request) blockAt(number string) (hash chainhash.Hash, height, best int32, ok bool) {
	if strings.Contains(number, "/") {
		q.noRoute()
		return hash, 0, 0, false
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		q.text(http.StatusBadRequest, keepBriefly, "Invalid number")
		return hash, 0, 0, false
	}
	best, _, err = q.Chain.Best()
	if err != nil {
		q.fail("look up the newest block", err)
		return hash, 0, 0, false
	}
	if n > uint64(best) {
		q.noBlock(best)
		return hash, 0, 0, false
	}
	height = int32(n)
	if hash, err = q.Chain.HashAt(height); err != nil {
		q.fail("look up a block", err)
		return hash, 0, 0, false
	}
	return hash, height, best, true
}

// noRoute answers that a path below a known one does not exist. Caches keep that for a minute only:
// a later version may have the route.
func (q *request) noRoute() {
	q.text(http.StatusNotFound, keepBriefly, "Not found")
}

// newestBlock is GET /blocks/tip/height and GET /blocks/tip/hash.
func (q *request) newestBlock(rest string) {
	if rest != "height" && rest != "hash" {
		q.noRoute()
		return
	}
	best, hash, err := q.Chain.Best()
	switch {
	case err != nil:
		q.fail("look up the newest block", err)
	case !q.Chain.Synced():
		q.syncing(best)
	case rest == "hash":
		q.text(http.StatusOK, keepTip, hash.String())
	default:
		q.text(http.StatusOK, keepTip, strconv.Itoa(int(best)))
	}
}

// merkleRoot is GET /calendar/N/data. It answers the Merkle root of the block at a height, in the
// displayed byte order. Our receipts of version 4 name this address (the member "uris"), because
// chainpoint-js compares each anchor of a receipt with the answer of such an address.
func (q *request) merkleRoot(rest string) {
	number, ok := strings.CutSuffix(rest, "/data")
	if !ok {
		q.noRoute()
		return
	}
	hash, height, best, ok := q.blockAt(number)
	if !ok {
		return
	}
	header, _, err := q.Chain.Header(hash)
	if err != nil {
		q.fail("look up a block", err)
		return
	}
	q.text(http.StatusOK, keepOf(height, best), header.MerkleRoot.String())
}

// keepOf says how long caches may keep an answer about a block, by its depth.
func keepOf(height, best int32) string {
	if best-height >= settledDepth {
		return keepBlock
	}
	return keepTip
}

// esploraBlock is a block in Esplora's form. It lacks what only the full block shows: tx_count,
// size and weight.
type esploraBlock struct {
	ID           string  `json:"id"`
	Height       int32   `json:"height"`
	Version      uint32  `json:"version"`
	Timestamp    int64   `json:"timestamp"` // seconds since 1970
	MerkleRoot   string  `json:"merkle_root"`
	PreviousHash *string `json:"previousblockhash"` // null for the genesis block
	MedianTime   int64   `json:"mediantime"`
	Nonce        uint32  `json:"nonce"`
	Bits         uint32  `json:"bits"`
	Difficulty   float64 `json:"difficulty"`
}

// block is GET /block/HASH, and GET /block/HASH/header.
func (q *request) block(rest string) {
	name, below, deeper := strings.Cut(rest, "/")
	if deeper && below != "header" {
		q.noRoute()
		return
	}
	hash, err := chainhash.NewHashFromStr(name) // it also takes shorter hashes, as numbers
	if err != nil || len(name) != chainhash.MaxHashStringSize {
		q.text(http.StatusBadRequest, keepBriefly, "Invalid hex string")
		return
	}
	header, height, err := q.Chain.Header(*hash)
	if errors.Is(err, headers.ErrNotFound) {
		best, _, err := q.Chain.Best()
		if err != nil {
			q.fail("look up the newest block", err)
			return
		}
		q.noBlock(best)
		return
	}
	if err != nil {
		q.fail("look up a block", err)
		return
	}
	// Unlike Esplora's, the answer may not be kept forever: this node forgets blocks that leave the
	// chain, and then answers that they do not exist.
	keep := keepTip
	if best, _, err := q.Chain.Best(); err == nil {
		keep = keepOf(height, best)
	}
	if deeper {
		var raw bytes.Buffer
		if err := header.Serialize(&raw); err != nil {
			q.fail("write a block's header", err)
			return
		}
		q.text(http.StatusOK, keep, hex.EncodeToString(raw.Bytes()))
		return
	}
	q.blockJSON(*hash, header, height, keep)
}

// blockJSON answers a block in JSON.
func (q *request) blockJSON(hash chainhash.Hash, header wire.BlockHeader, height int32, keep string) {
	median, err := headers.MedianTime(q.Chain, header)
	if err != nil {
		q.fail("look up a block's predecessors", err)
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
		Difficulty: headers.Difficulty(header.Bits),
	}
	if height > 0 {
		previous := header.PrevBlock.String()
		b.PreviousHash = &previous
	}
	body, err := json.Marshal(b)
	if err != nil {
		q.fail("write a block", err)
		return
	}
	q.answer(http.StatusOK, jsonType, keep, body)
}

// noBlock answers that there is no such block, or that it is not known yet.
func (q *request) noBlock(best int32) {
	if !q.Chain.Synced() {
		q.syncing(best)
		return
	}
	q.text(http.StatusNotFound, keepTip, "Block not found")
}

// syncing answers that newer blocks exist and are not known here yet.
func (q *request) syncing(best int32) {
	q.later(30, fmt.Sprintf("still syncing: blocks above %d are not known here yet; try again later", best))
}
