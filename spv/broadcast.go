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
	// Bitcoin Core asks a peer that connected to it after two to four seconds, when others might
	// have the transaction too.
	answerTimeout = 6 * time.Second

	// rejectTimeout is how long a peer that took the transaction has to reject it. btcd does at
	// once, Bitcoin Core never says.
	rejectTimeout = time.Second

	// serveTimeout is how long peers that were slow to ask are still given the transaction.
	serveTimeout = 30 * time.Second

	// maxServes is how often a peer is given the transaction of one offer. An honest one asks once.
	maxServes = 3

	// maxBroadcasts bounds the transactions that are offered at once.
	maxBroadcasts = 16
)

// Broadcast offers a transaction to all connected peers: it announces it, hands it to those who
// ask, and listens for rejections. It returns after a few seconds at most. A nil error promises
// nothing, since peers that have the transaction already, or will not have it, stay silent: only a
// block is an answer. An error says that no peer is, or stayed, connected ([ErrNoPeers]), or that
// all peers that answered rejected it, and why.
//
// Nothing is remembered: whoever wants a transaction mined stores it, and broadcasts it again until
// it is. neutrino's own broadcaster is not used, because it repeats each transaction it was ever
// given until the process ends, replaced ones too.
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
		return fmt.Errorf("transaction %s was offered to nobody: %w", txid, ErrNoPeers)
	}

	// The offers outlive the call, up to serveTimeout, so that late askers are served too.
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

	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	var taken, rejected, gone int
	var reason error
	for answered := 0; answered < len(peers); answered++ {
		select {
		case a := <-answers:
			switch {
			case a.rejected != nil:
				rejected++
				reason = a.rejected
			case a.taken:
				taken++
			default:
				gone++
			}
			if taken > 0 {
				c.offers.ended(txid, false)
				c.logOffer("transaction taken by a peer", txid, len(peers))
				return nil
			}
		case <-timeout.C:
			answered = len(peers)
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		}
	}
	c.offers.ended(txid, gone == len(peers))
	if rejected > 0 {
		return fmt.Errorf("transaction %s: %w", txid, reason)
	}
	if gone == len(peers) {
		return fmt.Errorf("transaction %s: all peers hung up while it was offered: %w", txid, ErrNoPeers)
	}
	c.logOffer("transaction offered, no peer asked for it", txid, len(peers))
	return nil
}

// tip returns the hash of the newest block, or zeros where that cannot be read.
func (c *Client) tip() chainhash.Hash {
	_, hash, err := c.Best()
	if err != nil {
		return chainhash.Hash{}
	}
	return hash
}

// logOffer logs what became of an offer, with what the peers ask for: those that ask for more than
// the transaction pays take it and drop it without a word, or never ask. What it pays is not known
// here, as a transaction does not say what its inputs are worth.
func (c *Client) logOffer(what string, txid chainhash.Hash, peers int) {
	floor, told := c.floor()
	c.log.Debug(what, "txid", txid, "peers", peers, "floor_sat_per_vb", floor, "peers_with_floor", told)
}

// answer is what became of the offer to one peer, once that is known. Neither field is set when the
// peer hung up.
type answer struct {
	taken    bool
	rejected error
}

// offer announces the transaction to a peer and serves it, until ctx ends or the peer hangs up. It
// sends one answer at most.
func (c *Client) offer(ctx context.Context, p *neutrino.ServerPeer, tx *wire.MsgTx, txid chainhash.Hash, answers chan<- answer) {
	messages, unsubscribe := p.SubscribeRecvMsg()
	defer unsubscribe()

	inv := wire.NewMsgInv()
	_ = inv.AddInvVect(wire.NewInvVect(wire.InvTypeWitnessTx, &txid)) // fails beyond 50,000 entries only
	p.QueueMessage(inv, nil)

	answered := false
	tell := func(a answer) {
		if !answered {
			answered = true
			answers <- a // has room for one answer of each peer
		}
	}
	defer func() { tell(answer{}) }()

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
					c.offers.note(txid, p, func(t *taking) { t.has = true })
					tell(answer{taken: true}) // has it already
				} else {
					c.offers.note(txid, p, func(t *taking) { t.reason, t.has = m.Reason, false })
					tell(answer{rejected: err})
				}
				return
			}
		case <-quiet:
			tell(answer{taken: true})
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
