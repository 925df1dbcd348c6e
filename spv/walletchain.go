package spv

import (
	"context"
	"errors"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/lightninglabs/neutrino"
)

// WalletChain returns a new btcwallet chain client over this light client, for the wallet. It may
// be called once the light client is started, and again whenever the wallet's chain client has
// died. The wallet starts and stops the chain client; the light client keeps running.
//
// The chain client differs from one over neutrino's own service in three points. Starting it starts
// nothing. It sends a transaction by [Client.Broadcast], which does not repeat it later. On regtest
// and simnet, it is current as soon as it has the newest block of the peers, however old that is.
func (c *Client) WalletChain() *chain.NeutrinoClient {
	nc := chain.NewNeutrinoClient(&c.params, c.service())
	nc.CS = &walletService{ChainService: c.service(), client: c}
	return nc
}

// walletService is neutrino's service as the wallet sees it.
type walletService struct {
	*neutrino.ChainService
	client *Client
}

func (s *walletService) Start(context.Context) error {
	if s.client.running.Load() == nil {
		return errors.New("the light client has not been started")
	}
	return nil
}

func (s *walletService) Stop() error { return nil }

func (s *walletService) SendTransaction(tx *wire.MsgTx) error {
	return s.client.Broadcast(s.client.ctx, tx)
}

// GetBlockHeader and GetBlockHeight do not find a block that only neutrino's index still knows,
// from before a repair.
func (s *walletService) GetBlockHeader(hash *chainhash.Hash) (*wire.BlockHeader, error) {
	h, _, err := s.client.Header(*hash)
	return &h, err
}

func (s *walletService) GetBlockHeight(hash *chainhash.Hash) (int32, error) {
	_, height, err := s.client.Header(*hash)
	return height, err
}

func (s *walletService) IsCurrent() bool {
	if !s.client.public {
		return s.client.Synced()
	}
	return s.ChainService.IsCurrent()
}
