package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/mining"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var params = &chaincfg.RegressionNetParams

// maturity is the number of blocks after which a coinbase can be spent: 100 by consensus.
const maturity = 100

// paymentFee is the fee of the miner's payments, in satoshi: some 20 sat/vB, because tests make
// nodes ask for much.
const paymentFee = 3000

// miner is the key that the harness mines to, the coins it can pay from, and the headers it built
// on.
type miner struct {
	key     *btcec.PrivateKey
	script  []byte // P2WPKH
	address string // the same, as it is written
	coins   []coin
	headers map[chainhash.Hash]wire.BlockHeader // seen, whether or not their blocks are on the active chain
	blocks  []*wire.MsgBlock                    // every one made, parents first
	height  int32                               // of the highest of them
}

type coin struct {
	wire.OutPoint
	sats   int64
	height int32 // from which on it may be spent
}

func newMiner() (*miner, error) {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	return minerWith(key)
}

func minerWith(key *btcec.PrivateKey) (*miner, error) {
	addr, err := address.NewAddressWitnessPubKeyHash(address.Hash160(key.PubKey().SerializeCompressed()), params)
	if err != nil {
		return nil, err
	}
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, err
	}
	return &miner{key: key, script: script, address: addr.EncodeAddress(), headers: make(map[chainhash.Hash]wire.BlockHeader)}, nil
}

// Mine makes n blocks with everything in the node's mempool. Their coins go to address, or to the
// harness if that is empty.
func (n *Node) Mine(ctx context.Context, blocks int, to string) error {
	script := n.miner.script
	if to != "" {
		var err error
		if script, err = scriptOf(to); err != nil {
			return err
		}
	}
	for left := blocks; left > 0; left-- {
		tip, err := n.Height(ctx)
		if err != nil {
			return err
		}
		parent, err := n.BlockAt(ctx, tip)
		if err != nil {
			return err
		}
		txs, fees, err := n.waiting(ctx)
		if err != nil {
			return err
		}
		block, err := n.mineOn(ctx, parent, tip+1, left-1, script, txs, fees)
		if err != nil {
			return err
		}
		if to == "" {
			base := block.Transactions[0]
			n.miner.coins = append(n.miner.coins, coin{
				OutPoint: wire.OutPoint{Hash: base.TxHash()}, sats: base.TxOut[0].Value, height: tip + 1 + maturity,
			})
		}
	}
	return nil
}

// Grow has the node itself make n blocks: thousands take seconds. Restart cannot bring them back.
func (n *Node) Grow(ctx context.Context, to int32) error {
	const most = 500 // in one call
	for {
		height, err := n.Height(ctx)
		if err != nil || height >= to {
			return err
		}
		var hashes []string
		if blocks := min(most, to-height); n.Kind == "btcd" {
			err = n.Call(ctx, &hashes, "generate", blocks)
		} else {
			err = n.Call(ctx, &hashes, "generatetoaddress", blocks, n.miner.address)
		}
		if err != nil {
			return err
		}
	}
}

// MineEmpty makes n blocks without the mempool's transactions. Nobody can spend their coins.
func (n *Node) MineEmpty(ctx context.Context, blocks int) error {
	tip, err := n.Height(ctx)
	if err != nil {
		return err
	}
	return n.branch(ctx, tip, blocks)
}

// Reorg replaces the newest depth blocks by depth+1 empty ones, as a branch with more work from
// elsewhere would. The node itself notices that the branch has more work, and puts the transactions
// of the old blocks back into its mempool.
func (n *Node) Reorg(ctx context.Context, depth int) error {
	tip, err := n.Height(ctx)
	if err != nil {
		return err
	}
	if err := n.branch(ctx, tip-int32(depth), depth+1); err != nil {
		return err
	}
	now, err := n.Height(ctx)
	if err != nil {
		return err
	}
	if now != tip+1 {
		return fmt.Errorf("%s did not take the stronger branch: height %d, want %d", n.Kind, now, tip+1)
	}
	return nil
}

// branch makes empty blocks on top of the active chain's block at a height.
func (n *Node) branch(ctx context.Context, height int32, blocks int) error {
	parent, err := n.BlockAt(ctx, height)
	if err != nil {
		return err
	}
	script := nobody()
	for i := 1; i <= blocks; i++ {
		if parent, err = n.mineOn(ctx, parent, height+int32(i), blocks-i, script, nil, 0); err != nil {
			return err
		}
	}
	return nil
}

// nobody is a script with a key that nobody has.
func nobody() []byte {
	script := make([]byte, 22) // OP_0 <20 bytes>
	_, _ = rand.Read(script)
	script[0], script[1] = txscript.OP_0, txscript.OP_DATA_20
	return script
}

// mineOn makes one block on parent, gives it to the node, and returns it. Its time is left seconds
// ago, because left more blocks follow, unless the rule of the median demands a later time.
func (n *Node) mineOn(ctx context.Context, parent *wire.MsgBlock, height int32, left int, script []byte, txs []*wire.MsgTx, fees int64) (*wire.MsgBlock, error) {
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce)
	sigScript, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddData(nonce).Script()
	if err != nil {
		return nil, err
	}
	base := wire.NewMsgTx(2)
	base.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, math.MaxUint32), sigScript, nil))
	base.AddTxOut(wire.NewTxOut(blockchain.CalcBlockSubsidy(height, params)+fees, script))
	all := []*btcutil.Tx{btcutil.NewTx(base)}
	for _, tx := range txs {
		all = append(all, btcutil.NewTx(tx))
	}
	mining.AddWitnessCommitment(all[0], all)

	median, err := n.medianTime(ctx, parent)
	if err != nil {
		return nil, err
	}
	date := time.Now().Add(-time.Duration(left) * time.Second).Truncate(time.Second)
	if !date.After(median) {
		date = median.Add(time.Second)
	}
	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version: 0x20000000, PrevBlock: parent.BlockHash(), MerkleRoot: blockchain.CalcMerkleRoot(all, false),
		Timestamp: date, Bits: params.PowLimitBits,
	})
	for _, tx := range all {
		if err := block.AddTransaction(tx.MsgTx()); err != nil {
			return nil, err
		}
	}
	for hash := block.BlockHash(); blockchain.HashToBig(&hash).Cmp(params.PowLimit) > 0; hash = block.BlockHash() {
		block.Header.Nonce++
	}
	if err := n.submit(ctx, block); err != nil {
		return nil, err
	}
	n.miner.blocks = append(n.miner.blocks, block)
	n.miner.height = max(n.miner.height, height)
	return block, nil
}

func (n *Node) submit(ctx context.Context, block *wire.MsgBlock) error {
	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		return err
	}
	var verdict *string
	if err := n.rpc.call(ctx, &verdict, "submitblock", hex.EncodeToString(raw.Bytes())); err != nil {
		return err
	}
	// bitcoind answers the first for a block on a branch with less work so far, and the others for
	// a block that it already has.
	harmless := []string{"inconclusive", "duplicate", "duplicate-inconclusive"}
	if verdict == nil || slices.Contains(harmless, *verdict) || strings.Contains(*verdict, "already have block") {
		return nil
	}
	return fmt.Errorf("%s refused a block: %s", n.Kind, *verdict)
}

// medianTime is the median time of the eleven blocks up to and including the given one: the next
// block must be later than that. It walks back by hash, because the block may be on a branch.
func (n *Node) medianTime(ctx context.Context, block *wire.MsgBlock) (time.Time, error) {
	const span = 11
	dates := []time.Time{block.Header.Timestamp}
	for prev := block.Header.PrevBlock; len(dates) < span && prev != (chainhash.Hash{}); {
		header, err := n.header(ctx, prev)
		if err != nil {
			return time.Time{}, err
		}
		dates = append(dates, header.Timestamp)
		prev = header.PrevBlock
	}
	slices.SortFunc(dates, time.Time.Compare)
	return dates[len(dates)/2], nil
}

// header returns a block's header, from memory if it was asked for before.
func (n *Node) header(ctx context.Context, hash chainhash.Hash) (header wire.BlockHeader, err error) {
	if header, known := n.miner.headers[hash]; known {
		return header, nil
	}
	var text string
	if err := n.rpc.call(ctx, &text, "getblockheader", hash.String(), false); err != nil {
		return header, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return header, err
	}
	if err := header.Deserialize(bytes.NewReader(raw)); err != nil {
		return header, err
	}
	n.miner.headers[hash] = header
	return header, nil
}

// waiting returns the mempool's transactions, parents before children, and their fees in satoshi.
func (n *Node) waiting(ctx context.Context) (txs []*wire.MsgTx, fees int64, err error) {
	var entries map[string]struct {
		Fee  float64 // btcd
		Fees struct {
			Base float64 // bitcoind
		}
	}
	if err := n.rpc.call(ctx, &entries, "getrawmempool", true); err != nil {
		return nil, 0, err
	}
	left, pays := make(map[chainhash.Hash]*wire.MsgTx), make(map[chainhash.Hash]int64)
	for txid, entry := range entries {
		tx, err := n.MempoolTx(ctx, txid)
		if err != nil {
			return nil, 0, err
		}
		fee, err := btcutil.NewAmount(max(entry.Fee, entry.Fees.Base))
		if err != nil {
			return nil, 0, err
		}
		left[tx.TxHash()], pays[tx.TxHash()] = tx, int64(fee)
	}
	taken := make(map[chainhash.Hash]bool)
	for len(left) > 0 {
		before := len(left)
		for hash, tx := range left {
			if slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool { return left[in.PreviousOutPoint.Hash] != nil }) {
				continue // after what it spends
			}
			delete(left, hash)
			stale, err := n.stale(ctx, tx, taken)
			if err != nil {
				return nil, 0, err
			}
			if !stale {
				txs, taken[hash] = append(txs, tx), true
				fees += pays[hash]
			}
		}
		if len(left) == before {
			return nil, 0, errors.New("the mempool's transactions wait for each other")
		}
	}
	return txs, fees, nil
}

// stale reports whether a transaction spends a coin that neither the chain nor the transactions
// taken so far hold. After a reorganisation btcd's mempool still has such transactions, and its own
// miner leaves them out.
func (n *Node) stale(ctx context.Context, tx *wire.MsgTx, taken map[chainhash.Hash]bool) (bool, error) {
	if n.Kind != "btcd" {
		return false, nil
	}
	for _, in := range tx.TxIn {
		if taken[in.PreviousOutPoint.Hash] {
			continue
		}
		var out json.RawMessage
		if err := n.rpc.call(ctx, &out, "gettxout", in.PreviousOutPoint.Hash.String(), in.PreviousOutPoint.Index, false); err != nil {
			return false, err
		}
		if len(out) == 0 || string(out) == "null" {
			return true, nil
		}
	}
	return false, nil
}

// SendTo pays from the harness's coins, as anyone who funds a wallet would, and returns the
// transaction's id. It is in the mempool, not yet mined.
func (n *Node) SendTo(ctx context.Context, to string, sats int64) (txid string, err error) {
	script, err := scriptOf(to)
	if err != nil {
		return "", err
	}
	height, err := n.Height(ctx)
	if err != nil {
		return "", err
	}
	m := n.miner
	i := slices.IndexFunc(m.coins, func(c coin) bool { return c.height <= height+1 && c.sats >= sats+paymentFee })
	if i < 0 {
		return "", fmt.Errorf("the harness has no coin of %d sats that can be spent at height %d", sats+paymentFee, height)
	}
	spent := m.coins[i]

	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&spent.OutPoint, nil, nil))
	tx.AddTxOut(wire.NewTxOut(sats, script))
	tx.AddTxOut(wire.NewTxOut(spent.sats-sats-paymentFee, m.script))
	if err := n.sign(tx, spent.sats); err != nil {
		return "", err
	}
	if err := n.send(ctx, tx); err != nil {
		return "", err
	}
	hash := tx.TxHash()
	m.coins[i] = coin{OutPoint: wire.OutPoint{Hash: hash, Index: 1}, sats: tx.TxOut[1].Value}
	return hash.String(), nil
}

// Fund pays an address and mines the payment.
func (n *Node) Fund(ctx context.Context, to string, sats int64) error {
	if _, err := n.SendTo(ctx, to, sats); err != nil {
		return err
	}
	return n.Mine(ctx, 1, "")
}

func scriptOf(text string) ([]byte, error) {
	addr, err := address.DecodeAddress(text, params)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", text, err)
	}
	return txscript.PayToAddrScript(addr)
}

func randomHex(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// dial reports whether something listens at addr.
func dial(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
