package spv

import (
	"context"
	"errors"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/lightninglabs/neutrino"
)

// WalletChain returns a new chain client over this service, for the wallet. It may be called once
// the client is started, and again whenever the wallet's old chain client has died. The wallet
// starts and stops what it gets; the light client itself stays up.
//
// Some things differ from neutrino's own service: starting it starts nothing, sending a transaction
// is [Client.Broadcast] and leaves nothing behind that would be repeated for ever, and a chain that
// stands still is current on the developers' networks as soon as the peers' newest block is here.
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
		return errors.New("the light client is not started yet")
	}
	return nil
}

func (s *walletService) Stop() error { return nil }

func (s *walletService) SendTransaction(tx *wire.MsgTx) error {
	return s.client.Broadcast(s.client.ctx, tx)
}

// GetBlockHeader and GetBlockHeight do not find a block that neutrino's index knows from before a
// repair, and the chain has not.
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
