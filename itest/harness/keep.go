package harness

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// kept is a chain in a file.
type kept struct {
	Key    string   `json:"key"`    // that the harness mines to, as hex
	Blocks []string `json:"blocks"` // every one that was made, parents first, as hex
}

// Keep writes to path what another process needs to go on with this node's chain: see KeepOn. The
// file is written whole or not at all.
func (n *Node) Keep(path string) error {
	k := kept{Key: hex.EncodeToString(n.miner.key.Serialize())}
	for _, block := range n.miner.blocks {
		var raw bytes.Buffer
		if err := block.Serialize(&raw); err != nil {
			return err
		}
		k.Blocks = append(k.Blocks, hex.EncodeToString(raw.Bytes()))
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// KeepOn starts btcd in dir with the chain that Keep wrote to path, and with the coins that the
// harness has on it.
func KeepOn(ctx context.Context, exe, dir, path string) (*Node, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := readMiner(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n := btcdNode(exe, dir, false)
	n.miner = m
	return startNode(ctx, n)
}

// readMiner reads what Keep wrote.
func readMiner(text []byte) (*miner, error) {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(k.Key)
	if err != nil || len(secret) != btcec.PrivKeyBytesLen {
		return nil, fmt.Errorf("key %q: want %d bytes in hexadecimal", k.Key, btcec.PrivKeyBytesLen)
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	m, err := minerWith(key)
	if err != nil {
		return nil, err
	}
	for i, text := range k.Blocks {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", i+1, err)
		}
		block := new(wire.MsgBlock)
		if err := block.Deserialize(bytes.NewReader(raw)); err != nil {
			return nil, fmt.Errorf("block %d: %w", i+1, err)
		}
		height := int32(i + 1) // a chain without branches, as one that is kept is
		m.blocks, m.height = append(m.blocks, block), height
		for _, tx := range block.Transactions {
			m.coins = slices.DeleteFunc(m.coins, func(c coin) bool {
				return slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint == c.OutPoint })
			})
			for at, out := range tx.TxOut {
				if !bytes.Equal(out.PkScript, m.script) {
					continue
				}
				c := coin{OutPoint: wire.OutPoint{Hash: tx.TxHash(), Index: uint32(at)}, sats: out.Value}
				if blockchain.IsCoinBaseTx(tx) {
					c.height = height + maturity
				}
				m.coins = append(m.coins, c)
			}
		}
	}
	return m, nil
}
