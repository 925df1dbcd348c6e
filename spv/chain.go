package spv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcutil/v2/gcs"
	"github.com/btcsuite/btcd/btcutil/v2/gcs/builder"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const (
	// blockTries is how often neutrino searches all its peers for a block. blockPause is the pause
	// between two searches.
	blockTries = 3
	blockPause = 2 * time.Second
)

// Best returns the newest block whose header and filter header are both stored: the lower of the
// two tips.
func (c *Client) Best() (height int32, hash chainhash.Hash, err error) {
	if !c.begin() {
		return 0, hash, ErrClosed
	}
	defer c.wg.Done()
	best, err := c.service().BestBlock()
	if err != nil {
		return 0, hash, fmt.Errorf("newest block: %w", err)
	}
	return best.Height, best.Hash, nil
}

// HashAt returns the hash of the block at a height of the active chain. Above the height of Best,
// the error wraps [ErrNotFound].
func (c *Client) HashAt(height int32) (chainhash.Hash, error) {
	h, err := c.HeaderAt(height)
	if err != nil {
		return chainhash.Hash{}, err
	}
	return h.BlockHash(), nil
}

// HeaderAt returns the header of the block at a height of the active chain. Above the height of
// Best, the error wraps [ErrNotFound].
func (c *Client) HeaderAt(height int32) (wire.BlockHeader, error) {
	if !c.begin() {
		return wire.BlockHeader{}, ErrClosed
	}
	defer c.wg.Done()
	best, err := c.service().BestBlock()
	if err != nil {
		return wire.BlockHeader{}, fmt.Errorf("newest block: %w", err)
	}
	if height < 0 || height > best.Height {
		return wire.BlockHeader{}, fmt.Errorf("height %d: %w, which reaches from 0 to %d", height, ErrNotFound, best.Height)
	}
	h, err := c.source().GetBlockHeaderByHeight(uint32(height))
	if err != nil {
		return wire.BlockHeader{}, fmt.Errorf("header at height %d: %w", height, err)
	}
	return *h, nil
}

// Header returns the header and the height of a block. If the block is not, or no longer, on the
// active chain, the error wraps [ErrNotFound].
func (c *Client) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	if !c.begin() {
		return wire.BlockHeader{}, 0, ErrClosed
	}
	defer c.wg.Done()
	return c.header(hash)
}

func (c *Client) header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	// The index may still know blocks whose headers have been removed from the file. Other headers
	// may have taken their place.
	h, height, err := c.source().GetBlockHeader(&hash)
	if err != nil || h.BlockHash() != hash {
		return wire.BlockHeader{}, 0, fmt.Errorf("block %s: %w", hash, ErrNotFound)
	}
	return *h, int32(height), nil
}

// Touches reports whether the block may create or spend an output with one of the scripts. False is
// certain if the filter header is true. True means that the caller has to look at the block. The
// filter is checked against its filter header.
func (c *Client) Touches(ctx context.Context, block chainhash.Hash, scripts [][]byte) (bool, error) {
	if len(scripts) == 0 {
		return false, nil
	}
	filter, err := c.filter(ctx, block)
	if err != nil {
		return false, fmt.Errorf("filter of block %s: %w", block, err)
	}
	if filter.N() == 0 {
		return false, nil
	}
	key := builder.DeriveKey(&block)
	matched, err := filter.MatchAny(key, scripts)
	if err != nil {
		return false, fmt.Errorf("filter of block %s: %w", block, err)
	}
	return matched, nil
}

func (c *Client) filter(ctx context.Context, block chainhash.Hash) (*gcs.Filter, error) {
	if c.genesis(block) {
		return builder.BuildBasicFilter(c.params.GenesisBlock, nil)
	}
	if _, _, err := c.Header(block); err != nil {
		return nil, err
	}
	return fetch(ctx, c, "filter "+block.String(), func() (*gcs.Filter, error) {
		return c.service().GetCFilter(block, wire.GCSFilterRegular)
	})
}

// Block fetches a whole block, and checks it against its header, its Merkle root and its witness
// commitment. While no peer is connected it waits for one, as long as ctx allows.
func (c *Client) Block(ctx context.Context, block chainhash.Hash) (*wire.MsgBlock, error) {
	if c.genesis(block) {
		return c.params.GenesisBlock, nil
	}
	var err error
	for try := range blockTries {
		if try > 0 && !c.sleep(ctx, blockPause) {
			break
		}
		if _, _, err := c.Header(block); err != nil {
			return nil, err // another try would not help
		}
		var b *wire.MsgBlock
		b, err = fetch(ctx, c, "block "+block.String(), func() (*wire.MsgBlock, error) {
			b, err := c.service().GetBlock(block)
			if err != nil {
				return nil, err
			}
			return b.MsgBlock(), nil
		})
		if err == nil {
			return b, nil
		}
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return nil, fmt.Errorf("block %s: %w", block, err)
}

// fetch runs one of neutrino's calls that take no context, in a goroutine that the client owns, and
// waits for it as long as ctx allows. All callers with the same key share one call. When all of
// them have gone, the call goes on until a peer answers, neutrino gives up, or the client is
// closed. Until then it keeps one of maxFetches places.
func fetch[T any](ctx context.Context, c *Client, key string, call func() (T, error)) (T, error) {
	var none T
	result := c.fetching.DoChan(key, func() (any, error) {
		if !c.begin() {
			return none, ErrClosed
		}
		defer c.wg.Done()
		select {
		case c.fetches <- struct{}{}:
			defer func() { <-c.fetches }()
		case <-c.ctx.Done():
			return none, ErrClosed
		}
		v, err := call()
		if c.ctx.Err() == nil {
			c.state.fetched(key, err, c.now())
		}
		return v, err
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-c.ctx.Done():
		return none, ErrClosed
	}
}

// sleep waits, and reports whether the context and the client lasted as long.
func (c *Client) sleep(ctx context.Context, t time.Duration) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	return sleep(ctx, t)
}

// sleep waits, and reports whether the context lasted as long.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
