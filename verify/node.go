package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// nodeTimeout is how long a node may take for one answer. bitcoind has its headers in memory.
const nodeTimeout = time.Minute

// NodeSource takes headers from a bitcoind, or another node that answers as one. It checks that the
// node is of the right network, and trusts it otherwise. It also finds transactions, if the node
// has an index of them (txindex=1).
type NodeSource struct {
	Client *rpc.Client
	Params *chaincfg.Params

	// OtherNetwork and Bitcoind end errors about a node of another network, and about one that has
	// no transactions: they say what to do. Either may be empty.
	OtherNetwork, Bitcoind string

	mu        sync.Mutex // guards what follows
	ofNetwork bool       // the node has shown that it is of the network
}

var (
	_ Source           = (*NodeSource)(nil)
	_ receipt.TxSource = (*NodeSource)(nil)
)

// Header implements [proof.HeaderSource].
func (s *NodeSource) Header(ctx context.Context, height uint64) (h proof.Header, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		if err := s.checkNetwork(ctx); err != nil {
			return err
		}
		h, err = s.Client.Header(ctx, height)
		return err
	})
	return h, err
}

// Tip implements [Source].
func (s *NodeSource) Tip(ctx context.Context) (height int64, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		height, err = tipOf(ctx, s.Client)
		return err
	})
	return height, err
}

// Trust implements [Source].
func (s *NodeSource) Trust() Trust {
	return Trust{
		Source: "node", From: s.Client.URL(),
		Words:   "headers from the node at " + s.Client.URL(),
		Warning: "Each header matches its hash. That it belongs to the true chain is the word of that node and its operator.",
	}
}

// Lacks implements [Source]: it says how far the node is.
func (s *NodeSource) Lacks(ctx context.Context, _ uint64) (why, remedy string) {
	var info rpc.BlockchainInfo
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		info, err = s.Client.BlockchainInfo(ctx)
		return err
	})
	switch {
	case err != nil:
		return "", "wait until the node has it, or name another source"
	case info.InitialBlockDownload || info.Blocks < info.Headers:
		return fmt.Sprintf("the node at %s is still syncing (block %s of %s)", s.Client.URL(), humanize.Count(info.Blocks), humanize.Count(info.Headers)), "wait for the node, or name another source"
	}
	return fmt.Sprintf("the newest block of the node at %s is %s", s.Client.URL(), humanize.Count(info.Blocks)), "wait until the node has it, or name another source"
}

// ask calls call, and bounds how long the node may take.
func (s *NodeSource) ask(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	err := call(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the node at %s gave no answer within %v: is it the address of its RPC?", s.Client.URL(), nodeTimeout)
	}
	return err
}

// checkNetwork compares the node's first block with the network's, once.
func (s *NodeSource) checkNetwork(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ofNetwork {
		return nil
	}
	first, err := s.Client.BlockHash(ctx, 0)
	if err != nil {
		return err
	}
	if first != s.Params.GenesisHash.String() {
		return fmt.Errorf("the node at %s is of %s, and headers of %s are wanted%s", s.Client.URL(), networkOf(first), s.Params.Name, hint(": ", s.OtherNetwork))
	}
	s.ofNetwork = true
	return nil
}

// networkOf returns the name of the network whose first block has this hash.
func networkOf(genesis string) string {
	for _, p := range []*chaincfg.Params{
		&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.TestNet4Params, &chaincfg.SigNetParams, &chaincfg.RegressionNetParams, &chaincfg.SimNetParams,
	} {
		if p.GenesisHash.String() == genesis {
			return p.Name
		}
	}
	return "another network"
}

// Transaction implements [receipt.TxSource].
func (s *NodeSource) Transaction(ctx context.Context, txid [32]byte) (tx receipt.Tx, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		if err := s.checkNetwork(ctx); err != nil {
			return err
		}
		tx, err = s.transaction(ctx, chainhash.Hash(txid))
		return err
	})
	return tx, err
}

// transaction finds a transaction, and its place in its block.
func (s *NodeSource) transaction(ctx context.Context, id chainhash.Hash) (receipt.Tx, error) {
	var tx receipt.Tx
	var found struct {
		Hex       string `json:"hex"`
		BlockHash string `json:"blockhash"`
	}
	if err := s.Client.Call(ctx, "getrawtransaction", &found, id.String(), true); err != nil {
		return tx, s.explainMissing(ctx, err)
	}
	if found.BlockHash == "" {
		return tx, receipt.ErrUnmined
	}
	raw, err := hex.DecodeString(found.Hex)
	if err != nil {
		return tx, fmt.Errorf("the node's transaction is not in hexadecimal digits: %w", err)
	}
	var parsed wire.MsgTx
	if err := parsed.Deserialize(bytes.NewReader(raw)); err != nil {
		return tx, fmt.Errorf("the node's transaction cannot be read: %w", err)
	}
	var stripped bytes.Buffer
	if err := parsed.SerializeNoWitness(&stripped); err != nil {
		return tx, err
	}
	height, ids, err := s.block(ctx, found.BlockHash)
	if err != nil {
		return tx, err
	}
	at := slices.Index(ids, [32]byte(id))
	if at < 0 || height < 0 {
		return tx, fmt.Errorf("the node says that transaction %s is in block %s, but not that the block has it", id, found.BlockHash)
	}
	return receipt.Tx{Raw: stripped.Bytes(), Height: uint64(height), Index: uint32(at), Branch: proof.BlockBranch(ids, at)}, nil
}

// block returns a block's height, and the ids of its transactions.
func (s *NodeSource) block(ctx context.Context, hash string) (height int64, ids [][32]byte, err error) {
	var block struct {
		Height int64    `json:"height"`
		Tx     []string `json:"tx"`
	}
	if err := s.Client.Call(ctx, "getblock", &block, hash, 1); err != nil {
		return 0, nil, err
	}
	ids = make([][32]byte, len(block.Tx))
	for i, text := range block.Tx {
		h, err := chainhash.NewHashFromStr(text)
		if err != nil {
			return 0, nil, fmt.Errorf("the node's block %s has a transaction %q: %w", hash, humanize.Clip(text), err)
		}
		ids[i] = *h
	}
	return block.Height, ids, nil
}

// explainMissing says what it means that the node does not give a transaction. It goes by
// bitcoind's words: they tell an index that lacks the transaction from an index that is missing,
// and the codes of getrawtransaction do not.
func (s *NodeSource) explainMissing(ctx context.Context, err error) error {
	const noMethod = -32601
	switch {
	case rpc.HasCode(err, noMethod):
		return fmt.Errorf("the node at %s knows no transactions, only headers%s", s.Client.URL(), hint(": ", s.Bitcoind))
	case rpc.HasCode(err, rpc.CodeNotFound) && strings.Contains(err.Error(), "No such mempool or blockchain transaction"):
		if info, infoErr := s.Client.BlockchainInfo(ctx); infoErr == nil && info.InitialBlockDownload {
			return fmt.Errorf("the node at %s is still syncing (block %s of %s), and does not know the transaction yet", s.Client.URL(), humanize.Count(info.Blocks), humanize.Count(info.Headers))
		}
		return fmt.Errorf("%w: %w", receipt.ErrNoTx, err)
	case rpc.HasCode(err, rpc.CodeNotFound):
		return fmt.Errorf("the node at %s has no complete index of transactions: start it with -txindex=1, and let it finish (%w)", s.Client.URL(), err)
	}
	return err
}
