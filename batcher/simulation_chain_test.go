package batcher

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ancre/internal/txsize"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// payment is a transaction, and what the network knows of it.
type payment struct {
	*wire.MsgTx
	txid    chainhash.Hash
	size    int64 // vB
	fee     int64 // sats
	deposit bool  // it pays the wallet from outside
	never   bool  // a deposit that its sender has spent elsewhere: it comes back in no block
	due     int32 // a deposit that waits: the height at which it is mined at the latest
	in      *link // the block of the active chain that holds it, or nil
}

// link is one block of some branch.
type link struct {
	*wire.MsgBlock
	hash    chainhash.Hash
	height  int32
	txs     []*payment      // without the coinbase
	undo    [][]*wire.TxOut // of each transaction the outputs that it spent; nil for those from outside
	scripts map[string]bool // of all outputs that it creates or spends
}

// network is the peers and the miners: one chain of real blocks that forks, one mempool with the
// rules of Bitcoin Core, and miners who may have kept any version that they ever received.
// Signatures and proof of work are not checked.
type network struct {
	l       *life
	rng     *rand.Rand
	active  []*link
	coins   map[wire.OutPoint]*wire.TxOut // unspent, on the active chain
	pool    []*payment
	heard   []*payment // whatever somebody may have kept, deposits included, in the order in which it came
	known   map[chainhash.Hash]*payment
	spentBy map[wire.OutPoint]*payment // on the active chain
	nonce   uint32

	market    int64   // sat/vB that it takes to be mined in a block that is full
	minRate   int64   // sat/vB that it takes to enter the mempool
	increment float64 // sat/vB more that a replacement takes
	deaf      deafness
	forking   bool  // blocks were taken away, and those of the other branch are still to come
	tallest   int32 // how high the chain was before its newest fork, or an older one
}

// deafness is what happens to broadcasts.
type deafness int

const (
	hears     deafness = iota
	swallows           // nobody hears it, nobody says so
	complains          // nobody hears it, and an error comes back
)

// ancientHeight is the height at which every life begins. It leaves room for forks. All lives share
// the blocks below it.
const ancientHeight = 20

var ancient = func() []*link {
	var all []*link
	prev := chainhash.Hash{}
	for h := range int32(ancientHeight + 1) {
		all = append(all, newLink(prev, h, uint32(h), time.Unix(1_700_000_000+600*int64(h), 0), nil))
		prev = all[h].hash
	}
	return all
}()

func newNetwork(l *life) *network {
	return &network{
		l: l, rng: l.rng, active: slices.Clone(ancient),
		coins: make(map[wire.OutPoint]*wire.TxOut), known: make(map[chainhash.Hash]*payment),
		spentBy: make(map[wire.OutPoint]*payment),
		nonce:   ancientHeight + 1, market: 1, minRate: 1, increment: 1,
	}
}

// newLink makes a block with a unique coinbase.
func newLink(prev chainhash.Hash, height int32, nonce uint32, at time.Time, txs []*payment) *link {
	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: 0xffffffff},
		SignatureScript:  binary.LittleEndian.AppendUint32([]byte{4}, nonce),
	})
	coinbase.AddTxOut(wire.NewTxOut(50_0000_0000, []byte{txscript.OP_TRUE}))
	k := &link{height: height, txs: txs, MsgBlock: &wire.MsgBlock{Header: wire.BlockHeader{
		Version: 2, PrevBlock: prev, Bits: 0x207fffff, Nonce: nonce, Timestamp: time.Unix(at.Unix(), 0),
	}}}
	k.Transactions = append(make([]*wire.MsgTx, 0, len(txs)+1), coinbase)
	txids := append(make([][32]byte, 0, len(txs)+1), coinbase.TxHash())
	for _, p := range txs {
		k.Transactions = append(k.Transactions, p.MsgTx)
		txids = append(txids, p.txid)
	}
	k.Header.MerkleRoot = proof.BlockRootFromBranch(txids[0], proof.BlockBranch(txids, 0), 0)
	k.hash = k.BlockHash()
	return k
}

func (n *network) tip() *link    { return n.active[len(n.active)-1] }
func (n *network) height() int32 { return n.tip().height }

// isActive says whether a block is on the chain.
func (n *network) isActive(k *link) bool {
	return int(k.height) < len(n.active) && n.active[k.height] == k
}

// payment returns a transaction with what the network knows of it, and makes it known.
func (n *network) payment(tx *wire.MsgTx) *payment {
	txid := tx.TxHash()
	if p, ok := n.known[txid]; ok {
		return p
	}
	p := &payment{MsgTx: tx, txid: txid, size: txsize.VSize(tx)}
	for _, in := range tx.TxIn {
		if out := n.output(in.PreviousOutPoint); out != nil {
			p.fee += out.Value
		}
	}
	for _, out := range tx.TxOut {
		p.fee -= out.Value
	}
	n.known[txid] = p
	return p
}

// output returns an output of any transaction ever made, mined or not; nil if there is none.
func (n *network) output(at wire.OutPoint) *wire.TxOut {
	if p := n.known[at.Hash]; p != nil && int(at.Index) < len(p.TxOut) {
		return p.TxOut[at.Index]
	}
	return nil
}

// keep has a miner keep a transaction.
func (n *network) keep(p *payment) {
	if !slices.Contains(n.heard, p) {
		n.heard = append(n.heard, p)
	}
}

// block kinds.
type kind int

const (
	empty    kind = iota // nothing but deposits, which are in every block from the time when they are due
	full                 // the whole mempool
	dear                 // what pays the market's rate
	stranger             // of a miner whose mempool is not ours: any version that anybody ever heard
	numKinds
)

var kindNames = [numKinds]string{"empty", "full", "dear", "stranger's"}

// mine adds a block.
func (n *network) mine(k kind) *link {
	candidates := slices.Clone(n.pool)
	switch k {
	case empty:
		candidates = nil
	case dear:
		candidates = slices.DeleteFunc(candidates, func(p *payment) bool { return p.fee < p.size*n.market })
	case stranger:
		candidates = slices.Clone(n.heard)
		n.rng.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		candidates = candidates[:len(candidates)-n.rng.IntN(len(candidates)/2+1)]
	}
	for _, p := range n.heard {
		if p.deposit && !p.never && p.in == nil && p.due <= n.height()+1 {
			candidates = append(candidates, p)
		}
	}
	return n.connect(n.choose(candidates))
}

// choose returns those of the candidates that are valid together, parents first.
func (n *network) choose(candidates []*payment) []*payment {
	if len(candidates) == 0 {
		return nil
	}
	var txs []*payment
	spent := make(map[wire.OutPoint]bool)
	made := make(map[wire.OutPoint]bool)
	for progress := true; progress; {
		progress = false
		candidates = slices.DeleteFunc(candidates, func(p *payment) bool {
			// A lock time must be below the height of the block. (BIP113 is about lock times that
			// are dates.)
			if p.in != nil || p.never || int64(p.LockTime) > int64(n.height()) || slices.Contains(txs, p) {
				return true
			}
			for _, in := range p.TxIn {
				if spent[in.PreviousOutPoint] {
					return true
				}
				if !p.deposit && n.coins[in.PreviousOutPoint] == nil && !made[in.PreviousOutPoint] {
					return false
				}
			}
			for _, in := range p.TxIn {
				spent[in.PreviousOutPoint] = true
			}
			for i := range p.TxOut {
				made[wire.OutPoint{Hash: p.txid, Index: uint32(i)}] = true
			}
			txs, progress = append(txs, p), true
			return true
		})
	}
	return txs
}

// connect adds a block of txs, which are valid in their order.
func (n *network) connect(txs []*payment) *link {
	n.nonce++
	k := newLink(n.tip().hash, n.height()+1, n.nonce, n.l.clock, txs)
	if len(txs) > 0 {
		k.scripts = make(map[string]bool)
	}
	for _, p := range txs {
		p.in = k
		var undo []*wire.TxOut
		for _, in := range p.TxIn {
			out := n.coins[in.PreviousOutPoint]
			n.spentBy[in.PreviousOutPoint] = p
			undo = append(undo, out)
			if out != nil {
				k.scripts[string(out.PkScript)] = true
				delete(n.coins, in.PreviousOutPoint)
			}
		}
		k.undo = append(k.undo, undo)
		for i, out := range p.TxOut {
			k.scripts[string(out.PkScript)] = true
			n.coins[wire.OutPoint{Hash: p.txid, Index: uint32(i)}] = out
		}
	}
	n.active = append(n.active, k)
	if len(txs) > 0 {
		n.pool = slices.DeleteFunc(n.pool, func(p *payment) bool { return slices.Contains(txs, p) })
		n.sweep()
	}
	n.l.judge.connected(k)
	return k
}

// disconnect removes the newest block. Miners who kept its transactions still know them.
func (n *network) disconnect() *link {
	k := n.tip()
	n.active = n.active[: len(n.active)-1 : len(n.active)-1] // whoever still follows this branch keeps it
	for i, p := range slices.Backward(k.txs) {
		p.in = nil
		for j := range p.TxOut {
			delete(n.coins, wire.OutPoint{Hash: p.txid, Index: uint32(j)})
		}
		for j, in := range p.TxIn {
			delete(n.spentBy, in.PreviousOutPoint)
			if out := k.undo[i][j]; out != nil {
				n.coins[in.PreviousOutPoint] = out
			}
		}
	}
	n.l.judge.disconnected(k)
	return k
}

// sweep removes from the mempool what can no longer be mined, with its descendants.
func (n *network) sweep() {
	for again := true; again; {
		again = false
		n.pool = slices.DeleteFunc(n.pool, func(p *payment) bool {
			gone := int64(p.LockTime) > int64(n.height()) || !n.funded(p)
			again = again || gone
			return gone
		})
	}
}

// funded reports whether all coins that p spends exist, mined or not.
func (n *network) funded(p *payment) bool {
	for _, in := range p.TxIn {
		if n.coins[in.PreviousOutPoint] == nil && n.pooled(in.PreviousOutPoint) == nil {
			return false
		}
	}
	return true
}

// pooled returns the transaction in the mempool that creates a coin.
func (n *network) pooled(at wire.OutPoint) *payment {
	for _, p := range n.pool {
		if p.txid == at.Hash && int(at.Index) < len(p.TxOut) {
			return p
		}
	}
	return nil
}

// accept does with a transaction what a node of Bitcoin Core does.
func (n *network) accept(p *payment) error {
	switch {
	case slices.Contains(n.pool, p):
		return nil
	case int64(p.LockTime) > int64(n.height()):
		return errors.New("non-final")
	case !n.funded(p):
		return errors.New("missing inputs")
	case p.fee < p.size*n.minRate:
		return errors.New("mempool min fee not met")
	}
	evicted := n.conflicts(p)
	direct := len(evicted)
	evicted = n.withDescendants(evicted)
	var sum int64
	for i, old := range evicted {
		sum += old.fee
		if i < direct && p.fee*old.size <= old.fee*p.size {
			return errors.New("insufficient fee: rate not above that of what it replaces")
		}
		if slices.ContainsFunc(p.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint.Hash == old.txid }) {
			return errors.New("spends what it replaces")
		}
	}
	if len(evicted) > 0 && (p.fee < sum || float64(p.fee-sum) < n.increment*float64(p.size)) { // BIP125, rules 3 and 4
		return fmt.Errorf("insufficient fee: %d sats for %d vB replace %d sats", p.fee, p.size, sum)
	}
	n.pool = slices.DeleteFunc(n.pool, func(x *payment) bool { return slices.Contains(evicted, x) })
	n.pool = append(n.pool, p)
	return nil
}

// conflicts returns the transactions of the mempool that spend a coin which p spends.
func (n *network) conflicts(p *payment) []*payment {
	var out []*payment
	for _, x := range n.pool {
		if x != p && shareCoin(x.MsgTx, p.MsgTx) {
			out = append(out, x)
		}
	}
	return out
}

// withDescendants adds all descendants in the mempool.
func (n *network) withDescendants(of []*payment) []*payment {
	for i := 0; i < len(of); i++ {
		for _, x := range n.pool {
			if !slices.Contains(of, x) && slices.ContainsFunc(x.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint.Hash == of[i].txid }) {
				of = append(of, x)
			}
		}
	}
	return of
}

func shareCoin(a, b *wire.MsgTx) bool {
	for _, x := range a.TxIn {
		for _, y := range b.TxIn {
			if x.PreviousOutPoint == y.PreviousOutPoint {
				return true
			}
		}
	}
	return false
}

// broadcast handles a transaction that comes to the peers.
func (n *network) broadcast(p *payment) error {
	switch n.deaf {
	case swallows:
		return nil
	case complains:
		return errors.New("no peer took it")
	}
	err := n.accept(p)
	if err == nil || n.rng.IntN(4) > 0 {
		n.keep(p) // another node's rules may be others
	}
	if n.rng.IntN(2) == 0 {
		return nil // most peers do not say why
	}
	return err
}

// evict removes what pays less than the mempool requires, as a full mempool does, with its
// descendants.
func (n *network) evict() {
	n.pool = slices.DeleteFunc(n.pool, func(p *payment) bool { return p.fee < p.size*n.minRate })
	n.sweep()
}

// client is what the daemon sees of the network: the chain as it was when the client last looked.
type client struct {
	l      *life
	view   []*link // never written to: branches share their lower blocks
	blocks map[chainhash.Hash]*link

	unsynced bool
	failing  int // of 100 fetches of filters and blocks that fail
	peers    uint64
	estimate int64
	floor    int64
	ratesErr error
}

func newClient(l *life) *client {
	c := &client{l: l, blocks: make(map[chainhash.Hash]*link), peers: 1, estimate: 1, floor: 1}
	c.see(l.net.active)
	return c
}

// see shows the client a chain.
func (c *client) see(chain []*link) {
	c.view = chain[:len(chain):len(chain)]
	for i := len(c.view) - 1; i >= 0 && c.blocks[c.view[i].hash] == nil; i-- {
		c.blocks[c.view[i].hash] = c.view[i]
	}
}

func (c *client) tip() *link { return c.view[len(c.view)-1] }

// current says whether the client sees all that there is, and shows it.
func (c *client) current() bool { return c.tip() == c.l.net.tip() && !c.unsynced && !c.l.net.forking }

func (c *client) Best() (int32, chainhash.Hash, error) {
	return c.tip().height, c.tip().hash, nil
}

func (c *client) HashAt(height int32) (chainhash.Hash, error) {
	if height < 0 || int(height) >= len(c.view) {
		return chainhash.Hash{}, fmt.Errorf("height %d is above the tip", height)
	}
	return c.view[height].hash, nil
}

var errFetch = errors.New("no peer answered")

// fetch returns a block, if a peer answers.
func (c *client) fetch(hash chainhash.Hash) (*link, error) {
	if c.failing > 0 && c.l.rng.IntN(100) < c.failing {
		return nil, errFetch
	}
	k, ok := c.blocks[hash]
	if !ok {
		c.l.fail("the daemon asks for block %s, which the client never showed", hash)
		return nil, errFetch
	}
	return k, nil
}

func (c *client) Touches(_ context.Context, hash chainhash.Hash, scripts [][]byte) (bool, error) {
	k, err := c.fetch(hash)
	if err != nil {
		return false, err
	}
	for _, s := range scripts {
		if k.scripts[string(s)] {
			return true, nil
		}
	}
	return hash[3] < 8, nil // a false positive
}

func (c *client) Block(_ context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	k, err := c.fetch(hash)
	if err != nil {
		return nil, err
	}
	return k.MsgBlock, nil
}

func (c *client) Broadcast(_ context.Context, tx *wire.MsgTx) (err error) {
	dead := c.l.outside("broadcast", func() {
		p := c.l.net.payment(tx)
		c.l.judge.offered(p)
		err = c.l.net.broadcast(p)
		c.l.say("broadcast %s: %v", c.l.judge.name(p.txid), err)
	})
	return errors.Join(dead, err)
}

func (c *client) FeeRates(context.Context) (estimate, floor int64, err error) {
	return c.estimate, c.floor, c.ratesErr
}

func (c *client) Peers() uint64 { return c.peers }

func (c *client) OfferWarning([]chainhash.Hash, int64, bool) (w warning.Warning, ok bool) {
	return w, false
}

func (c *client) Synced() bool { return !c.unsynced }

func (c *client) Changes() (<-chan struct{}, func()) { return nil, func() {} }

// Header gives the verifier the headers of the network's chain.
func (n *network) Header(_ context.Context, height uint64) (proof.Header, error) {
	if height >= uint64(len(n.active)) {
		return proof.Header{}, proof.ErrNoHeader
	}
	k := n.active[height]
	return proof.Header{Height: height, Hash: k.hash, MerkleRoot: k.Header.MerkleRoot, Time: k.Header.Timestamp}, nil
}
