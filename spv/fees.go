package spv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const (
	// feeBlocks is how many of the newest blocks an estimate looks at: an hour of blocks.
	feeBlocks = 6

	// floorRate, in sat/vB, is the least that any transaction pays: the relay floor of nodes.
	floorRate = 1

	// fullBlockWeight is the weight from which a block shows the price of its space. Miners fill
	// blocks up to 3,996,000 of 4,000,000 when there is demand. A block with room to spare would
	// have taken any transaction.
	fullBlockWeight = 3_600_000

	// feeTimeout is how long the download of blocks for an estimate may take. The blocks that came
	// until then are kept for the next estimate.
	feeTimeout = 2 * time.Minute
)

// Fees is what blocks and peers show of the market for block space. No web service is asked.
//
// The two sources are not equally reliable. It is expensive to lie with blocks: to pretend that
// space costs more, a miner fills a block with payments to himself, and gives up what others would
// have paid for the space. To move the median, he has to do that in half the blocks. A peer can lie
// for free. So the estimate is a price to go up to, and the floor only a price to begin with.
type Fees struct {
	Estimate int64       // sat/vB, at least 1, that a transaction should pay to be mined soon: the median of Blocks' Counts
	Blocks   []BlockFees // the blocks of the estimate, newest first; fewer than 6 only on a young chain

	// Floor is the rate below which peers do not relay a transaction, in sat/vB, at least 1. It is
	// the median of the feefilter messages (BIP133) of the connected peers, rounded up; of two, the
	// lower. FloorPeers is how many peers sent one. btcd sends none, nor do peers that take no
	// transactions. A single peer is believed. Of three or more, one cannot move the median away
	// from the others.
	Floor      int64
	FloorPeers int
}

// BlockFees is what one block shows of the market for its space.
type BlockFees struct {
	Height       int32
	Hash         chainhash.Hash
	Transactions int     // without the coinbase
	Fullness     float64 // the block's weight as a share of the limit of 4,000,000
	Average      int64   // average of its transactions in sat/vB, rounded up: what the miner collected, divided by their size; 0 without any

	// Counts is the rate of the block in the estimate: Average, but at least 1. It is 1 if the
	// block has room to spare (is less than 0.9 full), because it would have taken any transaction.
	Counts int64
}

// feeCache keeps the fees of blocks, so that each block is downloaded once for an estimate.
type feeCache struct {
	turn chan struct{} // holds a value while one caller estimates; the others wait, and then find its blocks here

	mu     sync.Mutex
	blocks map[chainhash.Hash]BlockFees // those of the newest estimate
	last   Fees                         // the newest estimate; Estimate is 0 before the first
}

func newFeeCache() feeCache {
	return feeCache{turn: make(chan struct{}, 1), blocks: make(map[chainhash.Hash]BlockFees)}
}

// Fees returns what the transactions of the newest blocks paid, and what the connected peers ask
// for.
//
// It downloads each block that is new since the last call. If a download fails, or all together
// take longer than two minutes, the error says why. The result is usable nevertheless: Estimate and
// Blocks are those of the last call (1, and none, if there was no last call). Floor needs no
// download, and is always up to date.
func (c *Client) Fees(ctx context.Context) (Fees, error) {
	ctx, cancel := context.WithTimeout(ctx, feeTimeout)
	defer cancel()
	fees, err := func() (Fees, error) {
		select {
		case c.fees.turn <- struct{}{}:
			defer func() { <-c.fees.turn }()
		case <-ctx.Done():
			return Fees{}, ctx.Err()
		case <-c.ctx.Done():
			return Fees{}, ErrClosed
		}
		return c.estimate(ctx)
	}()
	if err != nil {
		c.fees.mu.Lock()
		fees = c.fees.last
		c.fees.mu.Unlock()
		fees.Estimate = max(fees.Estimate, floorRate)
		err = fmt.Errorf("cannot estimate fees, using %d sat/vB: %w", fees.Estimate, err)
	}
	fees.Blocks = slices.Clone(fees.Blocks)
	fees.Floor, fees.FloorPeers = c.floor()
	return fees, err
}

// LastFees returns the two rates without downloading anything. estimate is that of the last call of
// [Client.Fees], 0 if there was none.
func (c *Client) LastFees() (estimate, floor int64) {
	c.fees.mu.Lock()
	estimate = c.fees.last.Estimate
	c.fees.mu.Unlock()
	floor, _ = c.floor()
	return estimate, floor
}

// FeeRates returns the two rates of [Client.Fees].
func (c *Client) FeeRates(ctx context.Context) (estimate, floor int64, err error) {
	f, err := c.Fees(ctx)
	return f.Estimate, f.Floor, err
}

// FeeRate returns the estimate of [Client.Fees].
func (c *Client) FeeRate(ctx context.Context) (satPerVByte int64, err error) {
	f, err := c.Fees(ctx)
	return f.Estimate, err
}

// floor returns Floor and FloorPeers of [Fees].
func (c *Client) floor() (satPerVByte int64, peers int) {
	var rates []int64
	for _, sp := range c.connected() {
		if v, told := c.peers.feeFilter(sp.Addr()); told {
			rates = append(rates, (v+999)/1000)
		}
	}
	return floorOf(rates), len(rates)
}

// floorOf returns the median, of two the lower one: a single peer that relays a transaction is
// enough.
func floorOf(rates []int64) int64 {
	if len(rates) == 0 {
		return floorRate
	}
	slices.Sort(rates)
	return max(rates[(len(rates)-1)/2], floorRate)
}

// estimate fills in all but the floor. The caller has the turn.
func (c *Client) estimate(ctx context.Context) (Fees, error) {
	height, hash, err := c.Best()
	if err != nil {
		return Fees{}, err
	}
	seen := make(map[chainhash.Hash]BlockFees, feeBlocks)
	var fees Fees
	var rates []int64
	for range feeBlocks {
		if height < 1 {
			break
		}
		c.fees.mu.Lock()
		b, known := c.fees.blocks[hash]
		c.fees.mu.Unlock()
		if !known {
			block, err := c.Block(ctx, hash)
			if err != nil {
				return Fees{}, err
			}
			if b, err = blockFees(block, height, &c.params); err != nil {
				return Fees{}, err
			}
			// It is kept at once. If a later block fails, the next call continues from here.
			c.fees.mu.Lock()
			c.fees.blocks[hash] = b
			c.fees.mu.Unlock()
		}
		seen[hash] = b
		fees.Blocks = append(fees.Blocks, b)
		rates = append(rates, b.Counts)
		header, _, err := c.Header(hash)
		if err != nil {
			return Fees{}, err
		}
		height, hash = height-1, header.PrevBlock
	}
	fees.Estimate = medianRate(rates)
	c.fees.mu.Lock()
	defer c.fees.mu.Unlock()
	c.fees.blocks, c.fees.last = seen, fees
	return fees, nil
}

// medianRate returns the median, of two the higher one, and at least the floor.
func medianRate(rates []int64) int64 {
	if len(rates) == 0 {
		return floorRate
	}
	rates = slices.Clone(rates)
	slices.Sort(rates)
	return max(rates[len(rates)/2], floorRate)
}

// blockFees computes the fees of a block.
func blockFees(block *wire.MsgBlock, height int32, params *chaincfg.Params) (BlockFees, error) {
	if len(block.Transactions) == 0 {
		return BlockFees{}, errors.New("the block has no transactions")
	}
	b := btcutil.NewBlock(block)
	weight := blockchain.GetBlockWeight(b)
	f := BlockFees{
		Height: height, Hash: block.BlockHash(), Transactions: len(block.Transactions) - 1,
		Fullness: float64(weight) / blockchain.MaxBlockWeight, Counts: floorRate,
	}
	if f.Transactions == 0 {
		return f, nil
	}
	var collected int64
	for _, out := range block.Transactions[0].TxOut {
		collected += out.Value
	}
	// A miner may claim less than the fees, even less than the subsidy.
	collected = max(collected-blockchain.CalcBlockSubsidy(height, params), 0)
	var sold int64 // weight of the transactions that pay fees
	for _, tx := range b.Transactions()[1:] {
		sold += blockchain.GetTransactionWeight(tx)
	}
	f.Average = (4*collected + sold - 1) / sold // collected / (sold / 4), rounded up
	if weight >= fullBlockWeight {
		f.Counts = max(f.Average, floorRate)
	}
	return f, nil
}
