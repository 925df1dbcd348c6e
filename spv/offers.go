package spv

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/lightninglabs/neutrino"
)

// Whether peers keep a transaction can only be guessed. Bitcoin Core never says that it refuses
// one. It asks for a transaction that is announced, drops it silently if its rules forbid it
// (datacarrier=0, a fee below its floor), and asks again once there is a new block. A peer that
// keeps a transaction never asks again. A peer that has it from others never asks at all. btcd says
// why it refuses.
//
// So the offers are remembered: which peer asked for which transaction, at which newest block.

const (
	// refusedAsks is how often a peer asks for the same transaction, each time at another newest
	// block, before it counts as a peer that does not keep it. A peer that kept it and lost it in a
	// reorganisation asks twice.
	refusedAsks = 3

	// ignoredOffers is how often a transaction is offered without any peer asking for it before the
	// operator is warned. ignoredAfter is the least time before that. A peer that just connected
	// asks after seconds.
	ignoredOffers = 3
	ignoredAfter  = 2 * time.Minute

	// hungUpOffers is during how many offers in a row all peers disconnect before the operator is
	// warned.
	hungUpOffers = 3

	// belowFloor is how long a transaction may pay less than every peer asks for before the
	// operator is warned. A transaction begins below that on purpose, because peers may lie. It is
	// raised at each block.
	belowFloor = 30 * time.Minute

	// floorBlur is the factor by which Bitcoin Core may send a higher rate than it asks for. It
	// does that so as not to be recognised by the rate.
	floorBlur = 1.15

	// maxOffers is how many transactions are remembered: the last ones that were offered.
	maxOffers = 64
)

// offers remembers how peers responded to the transactions that they were offered.
type offers struct {
	mu    sync.Mutex
	known map[chainhash.Hash]*offered
}

// offered is how peers responded to one transaction.
type offered struct {
	first, last time.Time // when it was offered
	times       int       // how often it was offered while a peer was connected
	hungUp      int       // offers in a row during which all peers disconnected
	below       time.Time // since when it pays less than every peer asks for; zero: it does not
	peers       map[*neutrino.ServerPeer]*response
}

// response is how one peer responded to one transaction on one connection.
type response struct {
	asks     int            // at how many newest blocks it asked
	askedAt  chainhash.Hash // the newest block when it last asked
	silentAt chainhash.Hash // the newest block of the last offer, unless it has asked since
	reason   string         // why it refused, in its words; empty: it did not say
	has      bool           // it said that it has the transaction
}

// refuses reports whether the peer does not keep the transaction.
func (r *response) refuses() bool { return r.reason != "" || r.asks >= refusedAsks }

// keeps reports whether the peer took the transaction and did not ask again after a block.
func (r *response) keeps() bool {
	return r.has || r.asks > 0 && r.reason == "" && r.silentAt != chainhash.Hash{} && r.silentAt != r.askedAt
}

// offered notes that a transaction is being offered to peers while tip is the newest block.
func (o *offers) offered(txid, tip chainhash.Hash, peers []*neutrino.ServerPeer, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil {
		o.known = make(map[chainhash.Hash]*offered)
	}
	r := o.known[txid]
	if r == nil {
		o.forget()
		r = &offered{first: now, peers: make(map[*neutrino.ServerPeer]*response)}
		o.known[txid] = r
	}
	r.last, r.times = now, r.times+1
	for _, p := range peers {
		if r.peers[p] == nil {
			r.peers[p] = new(response)
		}
	}
}

// forget makes room for one more transaction. The caller holds mu.
func (o *offers) forget() {
	if len(o.known) < maxOffers {
		return
	}
	var oldest chainhash.Hash
	for txid, r := range o.known {
		if first := o.known[oldest]; first == nil || r.last.Before(first.last) {
			oldest = txid
		}
	}
	delete(o.known, oldest)
}

// note changes what is known of a peer's response to a transaction.
func (o *offers) note(txid chainhash.Hash, p *neutrino.ServerPeer, change func(*response)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.known[txid]; r != nil && r.peers[p] != nil {
		change(r.peers[p])
	}
}

// asked notes that a peer asked for a transaction while tip was the newest block.
func (o *offers) asked(txid, tip chainhash.Hash, p *neutrino.ServerPeer) {
	o.note(txid, p, func(r *response) {
		if r.asks == 0 || r.askedAt != tip {
			r.asks++
		}
		r.askedAt, r.silentAt = tip, chainhash.Hash{}
	})
}

// silent notes that a peer did not ask in time for a transaction that it was offered while tip was
// the newest block.
func (o *offers) silent(txid, tip chainhash.Hash, p *neutrino.ServerPeer) {
	o.note(txid, p, func(r *response) { r.silentAt = tip })
}

// ended notes whether all peers disconnected during an offer.
func (o *offers) ended(txid chainhash.Hash, allHungUp bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.known[txid]
	switch {
	case r == nil:
	case allHungUp:
		r.hungUp++
	default:
		r.hungUp = 0
	}
}

// verdict says whether some peer keeps a transaction.
type verdict int

const (
	unknown verdict = iota
	kept            // at least one peer keeps it
	notKept         // no peer keeps it, and so no miner gets it from them
)

// counts is how many peers responded in which way.
type counts struct {
	refusing, pending, silent int
	reason                    string // of one that refuses and said why
	kept                      bool   // by one of them
}

// count counts the responses of the peers to a transaction. A response counts as pending while the
// peer may keep the transaction, even if it has disconnected since.
func (o *offered) count(connected []*neutrino.ServerPeer) (n counts) {
	for p, r := range o.peers {
		here := slices.Contains(connected, p)
		switch {
		case r.keeps():
			n.kept = true
		case r.refuses() && !here:
			// It may have other rules after a restart, and is then a new connection.
		case r.refuses():
			n.refusing, n.reason = n.refusing+1, cmp.Or(n.reason, r.reason)
		case r.asks > 0:
			n.pending++
		case here:
			n.silent++
		}
	}
	return n
}

// judge says whether some peer keeps a transaction. If none does, the warning says why.
func (o *offered) judge(connected []*neutrino.ServerPeer, isNew bool, now time.Time) (verdict, warning.Warning) {
	none := warning.Warning{}
	n := o.count(connected)
	// A silent peer may have the transaction from others, unless it was made just now and no other
	// peer keeps it.
	meaningful := isNew || n.silent == 0
	switch {
	case n.kept:
		return kept, none
	case o.hungUp >= hungUpOffers:
		return notKept, warning.New(warning.OfferHungUp, "all connected peers disconnected the last %d times that its transaction was offered, as nodes with blocksonly=1 do: "+
			"name other nodes in spv.connect or spv.add_peers", o.hungUp)
	case n.pending > 0:
		return unknown, none
	case n.refusing > 0 && meaningful && n.reason != "":
		return notKept, warning.New(warning.OfferRefused, "the peers refuse its transaction (%q), so no miner gets it from them: name other nodes in spv.connect or spv.add_peers", n.reason)
	case n.refusing > 0 && meaningful:
		return notKept, warning.New(warning.OfferRefused, "the peers ask for its transaction, drop it, and ask for it again after the next block, so no miner gets it from them. "+
			"Nodes with datacarrier=0 or a higher minrelaytxfee do that: change these settings, or name other nodes in spv.connect or spv.add_peers")
	case n.refusing == 0 && isNew && n.silent > 0 && o.times >= ignoredOffers && now.Sub(o.first) >= ignoredAfter:
		return notKept, warning.New(warning.OfferIgnored, "its transaction was offered %d times, and no connected peer has asked for it, so no miner gets it from them: "+
			"name other nodes in spv.connect or spv.add_peers", o.times)
	}
	return unknown, none
}

// OfferWarning returns the warning about a transaction that is offered again and again, if the
// connected peers do not keep it. txids are its own and those that it replaced, the newest first:
// as long as nothing is known of the newest, the one before counts. isNew says that it was made
// since the client was opened. For an older one, the silence of peers means nothing.
func (c *Client) OfferWarning(txids []chainhash.Hash, satPerVByte int64, isNew bool) (w warning.Warning, ok bool) {
	peers, now := c.connected(), c.now()
	floor, all := c.lowestFloor(peers)
	o := &c.offers
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, txid := range txids {
		r := o.known[txid]
		if r == nil {
			continue
		}
		if i == 0 {
			w, ok = r.belowWarning(satPerVByte, floor, all, now)
		}
		switch v, why := r.judge(peers, isNew, now); v {
		case kept:
			return w, ok
		case notKept:
			return why, true
		}
	}
	return w, ok
}

// belowWarning warns of a transaction that has long paid less than every peer asks for. floor is in
// sat/kvB. all says that every connected peer has sent a fee filter.
func (o *offered) belowWarning(satPerVByte, floor int64, all bool, now time.Time) (w warning.Warning, ok bool) {
	if !all || float64(satPerVByte)*1000*floorBlur >= float64(floor) {
		o.below = time.Time{}
		return w, false
	}
	if o.below.IsZero() {
		o.below = now
	}
	if now.Sub(o.below) < belowFloor {
		return w, false
	}
	return warning.New(warning.BelowFloor, "it pays %d sat/vB, and every connected peer asks for at least %d, so none relays it. It is raised at each block, up to anchor.max_feerate: "+
		"raise that if it is lower, or name other nodes in spv.add_peers", satPerVByte, (floor+999)/1000), true
}

// lowestFloor returns the lowest fee filter of the peers, in sat/kvB, and whether all of them have
// sent one.
func (c *Client) lowestFloor(peers []*neutrino.ServerPeer) (satPerKvB int64, all bool) {
	for i, sp := range peers {
		rate, told := c.peers.feeFilter(sp.Addr())
		if !told {
			return 0, false
		}
		if i == 0 || rate < satPerKvB {
			satPerKvB = rate
		}
	}
	return satPerKvB, len(peers) > 0
}
