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
	// blockTries is how often neutrino's whole search for a block among its peers is begun, and
	// blockPause what lies between.
	blockTries = 3
	blockPause = 2 * time.Second
)

// Best returns the newest block whose header and filter header are both here: the lower of the two
// tips.
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

// HashAt returns the hash of the active chain's block at height, at most that of Best. Above it,
// the error wraps [ErrNotFound].
func (c *Client) HashAt(height int32) (chainhash.Hash, error) {
	h, err := c.HeaderAt(height)
	if err != nil {
		return chainhash.Hash{}, err
	}
	return h.BlockHash(), nil
}

// HeaderAt returns the header of the active chain's block at height, at most that of Best. Above
// it, the error wraps [ErrNotFound].
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

// Header returns a block's header and height. When the block is not on the active chain (any more),
// the error wraps [ErrNotFound].
func (c *Client) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	if !c.begin() {
		return wire.BlockHeader{}, 0, ErrClosed
	}
	defer c.wg.Done()
	return c.header(hash)
}

func (c *Client) header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	// The index may still know blocks whose headers were removed from the file, and have their
	// place taken by others.
	h, height, err := c.source().GetBlockHeader(&hash)
	if err != nil || h.BlockHash() != hash {
		return wire.BlockHeader{}, 0, fmt.Errorf("block %s: %w", hash, ErrNotFound)
	}
	return *h, int32(height), nil
}

// Touches says whether the block may create or spend an output with one of the scripts. False is
// certain, as far as the filter header is true; true asks for a look at the block. The filter is
// checked against its filter header.
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

// Block fetches a whole block, checked against its header, its Merkle root and its witness
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
			return nil, err // not worth another try
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
// waits for it as long as ctx allows. Whoever asks for the same key meanwhile shares the call. A
// call that nobody waits for any more ends when a peer answers, when neutrino gives up, or with the
// client; until then it keeps one of maxFetches places.
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
