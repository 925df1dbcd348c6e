package spv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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

	// fullBlockWeight is the weight from which a block says something about the price of its space. Miners fill blocks up to
	// 3,996,000 of 4,000,000 when there is demand; one with room to spare would have taken any transaction.
	fullBlockWeight = 3_600_000
)

// feeCache keeps what blocks said about fees, so that each block is downloaded once for it.
type feeCache struct {
	turn chan struct{} // taken by the one who is estimating: others wait for its result, then find it here

	mu     sync.Mutex
	blocks map[chainhash.Hash]int64 // sat/vB, of the blocks of the newest estimate
	last   int64                    // the newest estimate; 0 before the first
}

func newFeeCache() feeCache {
	return feeCache{turn: make(chan struct{}, 1), blocks: make(map[chainhash.Hash]int64)}
}

// FeeRate estimates from recent blocks what a transaction should pay to be mined soon, in sat/vB: the median, over the last
// blocks, of what their transactions paid on average. A block with room to spare counts as the floor of 1.
//
// It costs a download for each block that is new since the last call. When one fails, the rate is that of
// the last estimate (the floor, if there was none), still fit for use, and the error says why.
func (c *Client) FeeRate(ctx context.Context) (satPerVByte int64, err error) {
	select {
	case c.fees.turn <- struct{}{}:
		defer func() { <-c.fees.turn }()
	case <-ctx.Done():
		return c.lastFeeRate(), ctx.Err()
	case <-c.ctx.Done():
		return c.lastFeeRate(), ErrClosed
	}
	rate, err := c.estimate(ctx)
	if err != nil {
		last := c.lastFeeRate()
		return last, fmt.Errorf("fee estimate, using %d sat/vB: %w", last, err)
	}
	return rate, nil
}

// FeeRates returns the estimate of [Client.FeeRate], and the floor below which peers do not pass a transaction on.
func (c *Client) FeeRates(ctx context.Context) (estimate, floor int64, err error) {
	estimate, err = c.FeeRate(ctx)
	return estimate, floorRate, err
}

// Peers counts the connections to peers that were made since Open.
func (c *Client) Peers() uint64 { return 0 }

func (c *Client) lastFeeRate() int64 {
	c.fees.mu.Lock()
	defer c.fees.mu.Unlock()
	return max(c.fees.last, floorRate)
}

// estimate is called by the one who has the turn.
func (c *Client) estimate(ctx context.Context) (int64, error) {
	height, hash, err := c.Best()
	if err != nil {
		return 0, err
	}
	seen := make(map[chainhash.Hash]int64, feeBlocks)
	var rates []int64
	for range feeBlocks {
		if height < 1 {
			break
		}
		c.fees.mu.Lock()
		rate, known := c.fees.blocks[hash]
		c.fees.mu.Unlock()
		if !known {
			block, err := c.Block(ctx, hash)
			if err != nil {
				return 0, err
			}
			if rate, err = blockFeeRate(block, height, &c.params); err != nil {
				return 0, err
			}
			// Kept at once, so that the next try need not begin anew when a later block fails.
			c.fees.mu.Lock()
			c.fees.blocks[hash] = rate
			c.fees.mu.Unlock()
		}
		seen[hash] = rate
		rates = append(rates, rate)
		header, _, err := c.Header(hash)
		if err != nil {
			return 0, err
		}
		height, hash = height-1, header.PrevBlock
	}
	rate := medianRate(rates)
	c.fees.mu.Lock()
	defer c.fees.mu.Unlock()
	c.fees.blocks, c.fees.last = seen, rate
	return rate, nil
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

// blockFeeRate returns what the transactions of a block paid on average, in sat/vB, rounded up.
func blockFeeRate(block *wire.MsgBlock, height int32, params *chaincfg.Params) (int64, error) {
	if len(block.Transactions) == 0 {
		return 0, errors.New("block without transactions")
	}
	b := btcutil.NewBlock(block)
	if len(block.Transactions) == 1 || blockchain.GetBlockWeight(b) < fullBlockWeight {
		return floorRate, nil
	}
	var collected int64
	for _, out := range block.Transactions[0].TxOut {
		collected += out.Value
	}
	collected -= blockchain.CalcBlockSubsidy(height, params)
	var weight int64
	for _, tx := range b.Transactions()[1:] {
		weight += blockchain.GetTransactionWeight(tx)
	}
	// Rounded up: collected / (weight / 4). A miner may claim less than the fees, even less than the subsidy.
	return max((4*collected+weight-1)/weight, floorRate), nil
}
