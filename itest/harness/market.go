package harness

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const (
	// crowdOutputs makes a transaction of some 93,000 vB, just below the most that nodes relay
	// (100,000).
	crowdOutputs = 3000
	crowdVSize   = 31*crowdOutputs + 130
	crowdSats    = 330 // of each output: above dust

	// crowdMost bounds the number of such transactions: 5 MB of a mempool's memory hold half as
	// many.
	crowdMost = 80
)

// Crowd fills bitcoind's mempool with the harness's payments at a rate, in sat/vB, until bitcoind
// asks for a higher rate, which it returns. bitcoind has to have a small -maxmempool.
func (n *Node) Crowd(ctx context.Context, rate int64) (minimum int64, err error) {
	fee := rate * crowdVSize
	coins, err := n.split(ctx, crowdMost, fee+crowdOutputs*crowdSats)
	if err != nil {
		return 0, err
	}
	for _, c := range coins {
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(wire.NewTxIn(&c.OutPoint, nil, nil))
		for range crowdOutputs {
			tx.AddTxOut(wire.NewTxOut(crowdSats, n.miner.script))
		}
		if err = n.sign(tx, c.sats); err != nil {
			return 0, err
		}
		sent := n.send(ctx, tx)
		if minimum, err = n.MempoolMinimum(ctx); err != nil {
			return 0, err
		}
		if minimum > rate {
			return minimum, nil
		}
		if sent != nil {
			return 0, fmt.Errorf("fill the mempool: %w", sent)
		}
	}
	return 0, fmt.Errorf("%d transactions of %d vB do not fill the mempool: does it have a small -maxmempool?", len(coins), crowdVSize)
}

// MempoolMinimum is the fee rate that bitcoind asks for at the moment, in sat/vB, rounded up.
func (n *Node) MempoolMinimum(ctx context.Context) (int64, error) {
	var info struct {
		Minimum float64 `json:"mempoolminfee"` // BTC/kvB
	}
	err := n.rpc.call(ctx, &info, "getmempoolinfo")
	return int64(math.Ceil(info.Minimum*1e5 - 1e-6)), err
}

// split pays the harness some equal coins, in one transaction that it mines.
func (n *Node) split(ctx context.Context, count int, sats int64) ([]coin, error) {
	height, err := n.Height(ctx)
	if err != nil {
		return nil, err
	}
	m, whole := n.miner, int64(count)*sats+splitFee
	i := slices.IndexFunc(m.coins, func(c coin) bool { return c.height <= height+1 && c.sats >= whole })
	if i < 0 {
		return nil, fmt.Errorf("the harness has no coin of %d sats that can be spent at height %d", whole, height)
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&m.coins[i].OutPoint, nil, nil))
	for range count {
		tx.AddTxOut(wire.NewTxOut(sats, m.script))
	}
	tx.AddTxOut(wire.NewTxOut(m.coins[i].sats-whole, m.script))
	if err := n.sign(tx, m.coins[i].sats); err != nil {
		return nil, err
	}
	if err := n.send(ctx, tx); err != nil {
		return nil, err
	}
	txid := tx.TxHash()
	m.coins[i] = coin{OutPoint: wire.OutPoint{Hash: txid, Index: uint32(count)}, sats: m.coins[i].sats - whole}
	coins := make([]coin, count)
	for j := range coins {
		coins[j] = coin{OutPoint: wire.OutPoint{Hash: txid, Index: uint32(j)}, sats: sats}
	}
	return coins, n.MineOnly(ctx, txid.String())
}

const splitFee = 100_000

// sign signs the only input of a transaction, which spends a coin of the harness.
func (n *Node) sign(tx *wire.MsgTx, sats int64) (err error) {
	hashes := txscript.NewTxSigHashes(tx, txscript.NewCannedPrevOutputFetcher(n.miner.script, sats))
	tx.TxIn[0].Witness, err = txscript.WitnessSignature(tx, hashes, 0, sats, n.miner.script, txscript.SigHashAll, n.miner.key, true)
	return err
}

func (n *Node) send(ctx context.Context, tx *wire.MsgTx) error {
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return err
	}
	var answer json.RawMessage
	return n.rpc.call(ctx, &answer, "sendrawtransaction", hex.EncodeToString(raw.Bytes()))
}

// MineOnly makes one block with only these transactions of the mempool, parents first. Nobody can
// spend the block's reward and fees.
func (n *Node) MineOnly(ctx context.Context, txids ...string) error {
	txs := make([]*wire.MsgTx, len(txids))
	for i, txid := range txids {
		var err error
		if txs[i], err = n.MempoolTx(ctx, txid); err != nil {
			return err
		}
	}
	return n.mineTxs(ctx, txs)
}

// MineThis makes one block with these transactions, which need not be in the node's mempool: a
// miner may have any version.
func (n *Node) MineThis(ctx context.Context, raw ...string) error {
	txs := make([]*wire.MsgTx, len(raw))
	for i, text := range raw {
		bin, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		txs[i] = new(wire.MsgTx)
		if err := txs[i].Deserialize(bytes.NewReader(bin)); err != nil {
			return err
		}
	}
	return n.mineTxs(ctx, txs)
}

// mineTxs makes one block with these transactions on top of the newest block.
func (n *Node) mineTxs(ctx context.Context, txs []*wire.MsgTx) error {
	tip, err := n.Height(ctx)
	if err != nil {
		return err
	}
	parent, err := n.BlockAt(ctx, tip)
	if err != nil {
		return err
	}
	block, err := n.mineOn(ctx, parent, tip+1, 0, nobody(), txs, 0)
	if err != nil {
		return err
	}
	hash, err := n.HashAt(ctx, tip+1)
	if err == nil && hash != block.BlockHash() {
		err = fmt.Errorf("%s did not take a block with %d transactions", n.Kind, len(txs))
	}
	return err
}
