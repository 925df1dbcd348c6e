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
	// feeBlocks is how many of the newest blocks an estimate looks at: an hour.
	feeBlocks = 6

	// floorRate is what any transaction pays, in sat/vB: the relay floor of the network's nodes.
	floorRate = 1

	// fullBlockWeight is the weight from which a block says something about the price of its space.
	// Miners fill blocks up to 3,996,000 of 4,000,000 when there is demand; one with room to spare
	// would have taken any transaction.
	fullBlockWeight = 3_600_000

	// feeTimeout is how long the download of blocks for an estimate may take. What came until then
	// is kept for the next one.
	feeTimeout = 2 * time.Minute
)

// Fees is what the blocks and the peers alone show of the market for block space. No web service is
// asked.
//
// The two sources differ in what they are worth. Blocks cannot lie cheaply: a miner who pretends
// that space costs more fills a block with payments to himself, and gives up what others would have
// paid for it; the median wants that of half the blocks. A peer lies for nothing. So the estimate
// is a price to go up to, and the floor only one to begin with.
type Fees struct {
	Estimate int64       // sat/vB, at least 1, that a transaction should pay to be mined soon: the median of Blocks' Counts
	Blocks   []BlockFees // that the estimate was made from, newest first; fewer than 6 on a young chain only

	// Floor is below what peers do not pass a transaction on, in sat/vB, at least 1: the median of
	// what the connected peers say in their feefilter messages (BIP133), rounded up; of two, the
	// lower. FloorPeers is how many peers said it. btcd and peers that take no transactions say
	// nothing. A peer alone is believed; of three or more, one cannot move the median away from the
	// others.
	Floor      int64
	FloorPeers int
}

// BlockFees is what a block shows of the market for its space.
type BlockFees struct {
	Height       int32
	Hash         chainhash.Hash
	Transactions int     // without the coinbase
	Fullness     float64 // the block's weight as a share of the limit of 4,000,000
	Average      int64   // sat/vB that its transactions paid on average, rounded up: what the miner collected, by their size; 0 without any

	// Counts is the rate that the block adds to the estimate: Average, at least 1, or just 1 when
	// the block has room to spare (less than 0.9 full), as it would have taken any transaction.
	Counts int64
}

// feeCache keeps what blocks said about fees, so that each block is downloaded once for it.
type feeCache struct {
	turn chan struct{} // taken by the one who is estimating: others wait for its result, then find it here

	mu     sync.Mutex
	blocks map[chainhash.Hash]BlockFees // those of the newest estimate
	last   Fees                         // the newest estimate; Estimate is 0 before the first
}

func newFeeCache() feeCache {
	return feeCache{turn: make(chan struct{}, 1), blocks: make(map[chainhash.Hash]BlockFees)}
}

// Fees tells what the newest blocks were paid, and what the connected peers ask for.
//
// It costs a download for each block that is new since the last call. When one fails, or all take
// longer than two minutes, the error says why, and Estimate and Blocks are those of the last time
// (1, and none, if there was no such time), still fit for use. Floor needs no download, and is
// always that of now.
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
		err = fmt.Errorf("fee estimate, using %d sat/vB: %w", fees.Estimate, err)
	}
	fees.Blocks = slices.Clone(fees.Blocks)
	fees.Floor, fees.FloorPeers = c.floor()
	return fees, err
}

// LastFees returns the rates of [Client.Fees] without downloading anything: estimate is that of the
// last time, 0 when there was none.
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

// floor returns the floor of [Fees], and how many peers it comes from.
func (c *Client) floor() (satPerVByte int64, peers int) {
	var rates []int64
	for _, sp := range c.connected() {
		if v, told := c.peers.feeFilter(sp.Addr()); told {
			rates = append(rates, (v+999)/1000)
		}
	}
	return floorOf(rates), len(rates)
}

// floorOf returns the middle rate, of two the lower one: a single peer that passes a transaction on
// is enough.
func floorOf(rates []int64) int64 {
	if len(rates) == 0 {
		return floorRate
	}
	slices.Sort(rates)
	return max(rates[(len(rates)-1)/2], floorRate)
}

// estimate is called by the one who has the turn. It leaves the floor to others.
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
			// Kept at once, so that the next try need not begin anew when a later block fails.
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

// medianRate returns the middle rate, the higher one of two, and at least the floor.
func medianRate(rates []int64) int64 {
	if len(rates) == 0 {
		return floorRate
	}
	rates = slices.Clone(rates)
	slices.Sort(rates)
	return max(rates[len(rates)/2], floorRate)
}

// blockFees looks at the fees of a block.
func blockFees(block *wire.MsgBlock, height int32, params *chaincfg.Params) (BlockFees, error) {
	if len(block.Transactions) == 0 {
		return BlockFees{}, errors.New("block without transactions")
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
	var sold int64 // weight that was paid for
	for _, tx := range b.Transactions()[1:] {
		sold += blockchain.GetTransactionWeight(tx)
	}
	f.Average = (4*collected + sold - 1) / sold // of collected / (sold / 4), rounded up
	if weight >= fullBlockWeight {
		f.Counts = max(f.Average, floorRate)
	}
	return f, nil
}
