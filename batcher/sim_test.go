package batcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ancre/internal/txsize"
	"ancre/internal/wake"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// simChain is a chain of real blocks and transactions, without proof of work, and it runs no
// scripts. It refuses what Bitcoin refuses as far as it concerns the batcher: a transaction whose
// coin does not exist or is spent.
type simChain struct {
	mu      sync.Mutex
	active  []*wire.MsgBlock // by height; 0 is the genesis block
	mempool []*wire.MsgTx
	offered int  // calls of Broadcast
	deaf    bool // broadcasts reach nobody
	unsyncd bool
	nonce   uint32
	rate    int64         // what blocks say
	floor   int64         // what peers say
	peers   uint64        // connections
	offers  []*wire.MsgTx // all that was ever offered, replaced versions too
	subs    []chan struct{}
	judge   func(txids []chainhash.Hash, satPerVByte int64, isNew bool) (warning.Warning, bool) // for OfferWarning; nil: all is well
	touched func()                                                                              // called after Touches, when set: what happens between two questions
}

func newSimChain() *simChain {
	c := &simChain{rate: 2, floor: 2, peers: 1}
	c.active = []*wire.MsgBlock{c.block(chainhash.Hash{}, nil)}
	return c
}

// block makes a block with a unique coinbase.
func (c *simChain) block(prev chainhash.Hash, txs []*wire.MsgTx) *wire.MsgBlock {
	c.nonce++
	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: 0xffffffff},
		SignatureScript:  binary.LittleEndian.AppendUint32([]byte{4}, c.nonce),
	})
	coinbase.AddTxOut(wire.NewTxOut(50_0000_0000, []byte{txscript.OP_TRUE}))
	b := wire.NewMsgBlock(wire.NewBlockHeader(2, &prev, &chainhash.Hash{}, 0x207fffff, c.nonce))
	b.Header.Timestamp = time.Unix(1_700_000_000+int64(c.nonce), 0)
	for _, tx := range append([]*wire.MsgTx{coinbase}, txs...) {
		_ = b.AddTransaction(tx)
	}
	txids := make([][32]byte, len(b.Transactions))
	for i, tx := range b.Transactions {
		txids[i] = tx.TxHash()
	}
	b.Header.MerkleRoot = proof.BlockRootFromBranch(txids[0], proof.BlockBranch(txids, 0), 0)
	return b
}

// outputs returns the unspent outputs of the active chain, and all that it ever created.
func (c *simChain) outputs() (unspent, created map[wire.OutPoint]*wire.TxOut) {
	unspent, created = make(map[wire.OutPoint]*wire.TxOut), make(map[wire.OutPoint]*wire.TxOut)
	for _, b := range c.active {
		for _, tx := range b.Transactions {
			for _, in := range tx.TxIn {
				delete(unspent, in.PreviousOutPoint)
			}
			txid := tx.TxHash()
			for i, out := range tx.TxOut {
				at := wire.OutPoint{Hash: txid, Index: uint32(i)}
				unspent[at], created[at] = out, out
			}
		}
	}
	return unspent, created
}

// mine adds n blocks. The first of them takes all transactions of the mempool that can be mined.
func (c *simChain) mine(n int) { c.extend(n, true) }

func (c *simChain) extend(n int, withMempool bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		var txs []*wire.MsgTx
		if withMempool {
			unspent, _ := c.outputs()
			for progress := true; progress; { // parents before children, whatever order they came in
				progress = false
				c.mempool = slices.DeleteFunc(c.mempool, func(tx *wire.MsgTx) bool {
					for _, in := range tx.TxIn {
						if unspent[in.PreviousOutPoint] == nil {
							return false
						}
					}
					txid := tx.TxHash()
					for _, in := range tx.TxIn {
						delete(unspent, in.PreviousOutPoint)
					}
					for i, out := range tx.TxOut {
						unspent[wire.OutPoint{Hash: txid, Index: uint32(i)}] = out
					}
					txs, progress = append(txs, tx), true
					return true
				})
			}
		}
		tip := c.active[len(c.active)-1]
		c.active = append(c.active, c.block(tip.BlockHash(), txs))
	}
	c.notify()
}

// reorganise replaces the newest depth blocks by depth+1 blocks with none of their transactions,
// which are forgotten.
func (c *simChain) reorganise(depth int) {
	c.mu.Lock()
	c.active = c.active[:len(c.active)-depth]
	c.mempool = nil
	c.mu.Unlock()
	c.extend(depth+1, false)
}

// shuffle replaces the newest depth blocks by depth+1 blocks. The first of these holds all their
// transactions.
func (c *simChain) shuffle(depth int) {
	c.mu.Lock()
	left := c.active[len(c.active)-depth:]
	c.active = c.active[:len(c.active)-depth]
	for _, b := range left {
		c.mempool = append(c.mempool, b.Transactions[1:]...)
	}
	c.mu.Unlock()
	c.extend(depth+1, true)
}

// give mines a coin for a script.
func (c *simChain) give(script []byte, sats int64) {
	c.mu.Lock()
	tip := c.active[len(c.active)-1]
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: sha256.Sum256(fmt.Append(nil, "elsewhere", c.nonce))}})
	tx.AddTxOut(wire.NewTxOut(sats, script))
	c.active = append(c.active, c.block(tip.BlockHash(), []*wire.MsgTx{tx}))
	c.notify()
	c.mu.Unlock()
}

func (c *simChain) notify() {
	for _, s := range c.subs {
		wake.Up(s)
	}
}

// anchors returns the transactions of the active chain whose first output is OP_RETURN <32 bytes>.
func (c *simChain) anchors() []*wire.MsgTx {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*wire.MsgTx
	for _, b := range c.active {
		for _, tx := range b.Transactions[1:] {
			if s := tx.TxOut[0].PkScript; len(s) == 34 && s[0] == txscript.OP_RETURN {
				out = append(out, tx)
			}
		}
	}
	return out
}

func (c *simChain) Best() (int32, chainhash.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int32(len(c.active) - 1), c.active[len(c.active)-1].BlockHash(), nil
}

func (c *simChain) HashAt(height int32) (chainhash.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(height) >= len(c.active) {
		return chainhash.Hash{}, fmt.Errorf("height %d is above the tip", height)
	}
	return c.active[height].BlockHash(), nil
}

func (c *simChain) Touches(_ context.Context, hash chainhash.Hash, scripts [][]byte) (bool, error) {
	if c.touched != nil {
		defer c.touched()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, created := c.outputs()
	ours := func(script []byte) bool {
		return slices.ContainsFunc(scripts, func(s []byte) bool { return string(s) == string(script) })
	}
	for _, b := range c.active {
		if b.BlockHash() != hash {
			continue
		}
		for _, tx := range b.Transactions {
			for _, in := range tx.TxIn {
				if out := created[in.PreviousOutPoint]; out != nil && ours(out.PkScript) {
					return true, nil
				}
			}
			for _, out := range tx.TxOut {
				if ours(out.PkScript) {
					return true, nil
				}
			}
		}
		return false, nil
	}
	return false, errors.New("no such block")
}

func (c *simChain) Block(_ context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.active {
		if b.BlockHash() == hash {
			return b, nil
		}
	}
	return nil, errors.New("no such block")
}

func (c *simChain) Broadcast(_ context.Context, tx *wire.MsgTx) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offered++
	if c.deaf {
		return nil
	}
	c.offers = append(c.offers, tx)
	for _, other := range c.mempool {
		if other.TxHash() == tx.TxHash() {
			return nil
		}
	}
	_, created := c.outputs()
	for _, other := range c.mempool {
		txid := other.TxHash()
		for i, out := range other.TxOut {
			created[wire.OutPoint{Hash: txid, Index: uint32(i)}] = out
		}
	}
	for _, in := range tx.TxIn {
		if created[in.PreviousOutPoint] == nil {
			return nil // an orphan is forgotten in silence
		}
	}
	fee := func(tx *wire.MsgTx) (sats int64) {
		for _, in := range tx.TxIn {
			if out := created[in.PreviousOutPoint]; out != nil {
				sats += out.Value
			}
		}
		for _, out := range tx.TxOut {
			sats -= out.Value
		}
		return sats
	}
	// BIP125, rules 3 and 4: a replacement pays more than all that it evicts, by 1 sat/vB of its
	// own size.
	evicted := make(map[chainhash.Hash]bool)
	least := int64(0)
	for progress := true; progress; {
		progress = false
		for _, other := range c.mempool {
			conflict := slices.ContainsFunc(other.TxIn, func(in *wire.TxIn) bool {
				return evicted[in.PreviousOutPoint.Hash] ||
					slices.ContainsFunc(tx.TxIn, func(x *wire.TxIn) bool { return x.PreviousOutPoint == in.PreviousOutPoint })
			})
			if conflict && !evicted[other.TxHash()] {
				evicted[other.TxHash()], progress = true, true
				least += fee(other)
			}
		}
	}
	if len(evicted) > 0 && fee(tx) < least+txsize.VSize(tx) {
		return errors.New("insufficient fee")
	}
	c.mempool = slices.DeleteFunc(c.mempool, func(other *wire.MsgTx) bool { return evicted[other.TxHash()] })
	c.mempool = append(c.mempool, tx)
	return nil
}

func (c *simChain) FeeRates(context.Context) (estimate, floor int64, err error) {
	return c.rate, c.floor, nil
}

func (c *simChain) Peers() uint64 { return c.peers }

func (c *simChain) OfferWarning(txids []chainhash.Hash, satPerVByte int64, isNew bool) (w warning.Warning, ok bool) {
	if c.judge == nil {
		return w, false
	}
	return c.judge(txids, satPerVByte, isNew)
}

func (c *simChain) Synced() bool { return !c.unsyncd }

func (c *simChain) Changes() (<-chan struct{}, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := make(chan struct{}, 1)
	c.subs = append(c.subs, s)
	return s, func() {}
}

// header gives the verifier the headers of the active chain.
func (c *simChain) Header(_ context.Context, height uint64) (proof.Header, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if height >= uint64(len(c.active)) {
		return proof.Header{}, proof.ErrNoHeader
	}
	h := c.active[height].Header
	return proof.Header{Height: height, Hash: h.BlockHash(), MerkleRoot: h.MerkleRoot, Time: h.Timestamp}, nil
}

// simWallet pays from what the chain holds for its scripts. Like a real wallet may do, it forgets
// its leases at a restart.
type simWallet struct {
	chain   *simChain
	mu      sync.Mutex
	leases  map[wire.OutPoint]bool
	scripts [][]byte
	ready   error
}

func newSimWallet(c *simChain) *simWallet {
	w := &simWallet{chain: c, leases: make(map[wire.OutPoint]bool)}
	w.script()
	return w
}

// script makes a new P2WPKH script of ours.
func (w *simWallet) script() []byte {
	h := sha256.Sum256(fmt.Append(nil, "script", len(w.scripts)))
	s := append([]byte{txscript.OP_0, 20}, h[:20]...)
	w.scripts = append(w.scripts, s)
	return s
}

type shortage int64

func (s shortage) Error() string      { return fmt.Sprintf("the wallet lacks %d sats", int64(s)) }
func (s shortage) MissingSats() int64 { return int64(s) }

func (w *simWallet) Gone(_ context.Context, coins []wire.OutPoint) (gone []wire.OutPoint, err error) {
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	_, created := w.chain.outputs()
	for _, c := range coins {
		if created[c] == nil {
			gone = append(gone, c)
		}
	}
	return gone, nil
}

// BuildAnchor adds coins in no particular order until they are enough.
func (w *simWallet) BuildAnchor(_ context.Context, o Order) (*wire.MsgTx, []*wire.TxOut, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chain.mu.Lock()
	unspent, _ := w.chain.outputs()
	w.chain.mu.Unlock()
	tx := wire.NewMsgTx(2)
	tx.LockTime = o.LockTime
	var prevouts []*wire.TxOut
	var sum int64
	spend := func(at wire.OutPoint, out *wire.TxOut) {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: at, Sequence: 0xfffffffd, Witness: wire.TxWitness{make([]byte, 71), make([]byte, 33)}})
		prevouts = append(prevouts, out)
		sum += out.Value
	}
	fee := func() int64 { return (153 + 68*int64(max(len(tx.TxIn), 1)-1)) * o.SatPerVByte }
	const least = 1000 // of change
	for i, at := range o.Coins {
		spend(at, o.Prevouts[i])
	}
	for at, out := range unspent {
		if len(tx.TxIn) > 0 && sum >= fee()+least {
			break
		}
		ours := slices.ContainsFunc(w.scripts, func(s []byte) bool { return string(s) == string(out.PkScript) })
		if ours && !w.leases[at] && out.Value > 68*o.SatPerVByte && !slices.Contains(o.Coins, at) {
			spend(at, out)
		}
	}
	if missing := fee() + least - sum; missing > 0 || len(tx.TxIn) == 0 {
		return nil, nil, shortage(missing)
	}
	change := o.Change
	if change == nil {
		change = w.script()
	}
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{txscript.OP_RETURN, 32}, o.Root[:]...)))
	tx.AddTxOut(wire.NewTxOut(sum-fee(), change))
	for _, in := range tx.TxIn {
		w.leases[in.PreviousOutPoint] = true
	}
	return tx, prevouts, nil
}

func (w *simWallet) Lease(_ context.Context, coins []wire.OutPoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range coins {
		w.leases[c] = true
	}
	return nil
}

func (w *simWallet) LeaseOnly(_ context.Context, coins []wire.OutPoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.leases)
	for _, c := range coins {
		w.leases[c] = true
	}
	return nil
}

func (w *simWallet) Release(_ context.Context, coins []wire.OutPoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range coins {
		delete(w.leases, c)
	}
	return nil
}

func (w *simWallet) Ready() error { return w.ready }
