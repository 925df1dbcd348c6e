package spv

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/lightninglabs/neutrino"
	"github.com/lightninglabs/neutrino/pushtx"
)

const (
	// answerTimeout is how long Broadcast waits for the first peer that asks for the transaction.
	// Bitcoin Core asks a peer that connected to it after two to four seconds: it prefers peers to
	// which it connected itself.
	answerTimeout = 6 * time.Second

	// rejectTimeout is how long a peer that took the transaction has to reject it. btcd does so at
	// once, Bitcoin Core never does.
	rejectTimeout = time.Second

	// serveTimeout is how long the transaction is still sent to peers that are slow to ask for it.
	serveTimeout = 30 * time.Second

	// maxServes is how often a peer gets the transaction of one offer. An honest peer asks once.
	maxServes = 3

	// maxBroadcasts bounds the transactions that are offered at once.
	maxBroadcasts = 16
)

// Broadcast offers a transaction to all connected peers: it announces the transaction, sends it to
// the peers that ask for it, and listens for rejections. It returns after a few seconds at most.
//
// A nil error promises nothing. Peers that have the transaction already, or that do not want it, do
// not answer. Only a block shows that the transaction arrived. An error says that no peer is, or
// stayed, connected ([ErrNoPeers]), or that all peers that answered rejected it, and why.
//
// Broadcast does not repeat anything. The caller stores the transaction, and broadcasts it again
// until it is mined. neutrino's own broadcaster is not used: until the process ends, it repeats
// each transaction that it was ever given, replaced ones too.
func (c *Client) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	if !c.begin() {
		return ErrClosed
	}
	defer c.wg.Done()
	txid := tx.TxHash()
	select {
	case c.broadcasts <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return ErrClosed
	}
	release := func() { <-c.broadcasts }

	peers := c.connected()
	if len(peers) == 0 {
		release()
		return fmt.Errorf("transaction %s was not offered: %w", txid, ErrNoPeers)
	}

	// The offers outlive the call, for serveTimeout at most, to serve peers that ask late.
	c.offers.offered(txid, c.tip(), peers, c.now())
	serving, stop := context.WithTimeout(c.ctx, serveTimeout)
	answers := make(chan answer, len(peers))
	var offers sync.WaitGroup
	for _, p := range peers {
		offers.Add(1)
		if !c.run(func() { defer offers.Done(); c.offer(serving, p, tx, txid, answers) }) {
			offers.Done()
		}
	}
	if !c.run(func() { offers.Wait(); stop(); release() }) {
		stop()
		release()
		return ErrClosed
	}

	return c.awaitAnswers(ctx, txid, len(peers), answers)
}

// awaitAnswers waits until a peer has taken the transaction, all peers have answered, or
// answerTimeout is over.
func (c *Client) awaitAnswers(ctx context.Context, txid chainhash.Hash, peers int, answers <-chan answer) error {
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	gone := 0
	var rejected error
	for answered := 0; answered < peers; answered++ {
		select {
		case a := <-answers:
			if a.taken {
				c.offers.ended(txid, false)
				c.logOffer("a peer took the transaction", txid, peers)
				return nil
			}
			if a.rejected != nil {
				rejected = a.rejected
			} else {
				gone++
			}
		case <-timeout.C:
			answered = peers
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		}
	}
	c.offers.ended(txid, gone == peers)
	if rejected != nil {
		return fmt.Errorf("transaction %s: %w", txid, rejected)
	}
	if gone == peers {
		return fmt.Errorf("transaction %s: all peers disconnected while it was offered: %w", txid, ErrNoPeers)
	}
	c.logOffer("no peer asked for the transaction", txid, peers)
	return nil
}

// tip returns the hash of the newest block, or zeros if that cannot be read.
func (c *Client) tip() chainhash.Hash {
	_, hash, err := c.Best()
	if err != nil {
		return chainhash.Hash{}
	}
	return hash
}

// logOffer logs the outcome of an offer, with the fee rate that the peers ask for. A peer that asks
// for more than the transaction pays drops it silently, or never asks for it. What the transaction
// pays is not known here, since a transaction does not say what its inputs are worth.
func (c *Client) logOffer(what string, txid chainhash.Hash, peers int) {
	floor, told := c.floor()
	c.log.Debug(what, "txid", txid, "peers", peers, "floor_sat_per_vb", floor, "peers_with_floor", told)
}

// answer is how one peer responded to the offer. Neither field is set if the peer disconnected.
type answer struct {
	taken    bool
	rejected error
}

// offer announces the transaction to a peer and sends it on request, until ctx ends or the peer
// disconnects. It sends one answer at most.
func (c *Client) offer(ctx context.Context, p *neutrino.ServerPeer, tx *wire.MsgTx, txid chainhash.Hash, answers chan<- answer) {
	messages, unsubscribe := p.SubscribeRecvMsg()
	defer unsubscribe()

	inv := wire.NewMsgInv()
	_ = inv.AddInvVect(wire.NewInvVect(wire.InvTypeWitnessTx, &txid)) // fails only beyond 50,000 entries
	p.QueueMessage(inv, nil)

	answered := false
	respond := func(a answer) {
		if !answered {
			answered = true
			answers <- a // has room for one answer of each peer
		}
	}
	defer func() { respond(answer{}) }()

	served, tip := 0, c.tip()
	var quiet <-chan time.Time // fires when a peer that took the transaction did not reject it
	for {
		select {
		case m := <-messages:
			switch m := m.(type) {
			case *wire.MsgGetData:
				asks := func(v *wire.InvVect) bool { return v.Hash == txid }
				if served >= maxServes || !slices.ContainsFunc(m.InvList, asks) {
					continue
				}
				served++
				c.offers.asked(txid, c.tip(), p)
				p.QueueMessageWithEncoding(tx, nil, wire.WitnessEncoding)
				if quiet == nil {
					t := time.NewTimer(rejectTimeout)
					defer t.Stop()
					quiet = t.C
				}
			case *wire.MsgReject:
				if m.Hash != txid {
					continue
				}
				err := pushtx.ParseBroadcastError(m, p.Addr())
				if pushtx.IsBroadcastError(err, pushtx.Mempool, pushtx.Confirmed) {
					c.offers.note(txid, p, func(r *response) { r.has = true })
					respond(answer{taken: true}) // the peer has it already
				} else {
					c.offers.note(txid, p, func(r *response) { r.reason, r.has = m.Reason, false })
					respond(answer{rejected: err})
				}
				return
			}
		case <-quiet:
			respond(answer{taken: true})
			return
		case <-p.OnDisconnect():
			return
		case <-ctx.Done():
			if served == 0 {
				c.offers.silent(txid, tip, p)
			}
			return
		}
	}
}
