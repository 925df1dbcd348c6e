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

// How peers take a transaction can only be guessed. Bitcoin Core never says that it refuses one. It
// asks for what is announced, drops it without a word where its rules forbid it (datacarrier=0, a
// fee below its floor), and asks again once there is a new block. A peer that keeps a transaction
// never asks again. One that has it from others never asks at all. btcd says why it refuses.
//
// So the offers are remembered: who asked for what, at which newest block.

const (
	// refusedAsks is how often, each time at another newest block, a peer asks for the same
	// transaction before it is taken not to keep it. A peer that kept it and lost it to a
	// reorganisation asks twice.
	refusedAsks = 3

	// ignoredOffers is how often a transaction is offered to peers without any of them asking for
	// it before a person is told, and ignoredAfter how long that takes at least. A peer that just
	// connected asks after seconds.
	ignoredOffers = 3
	ignoredAfter  = 2 * time.Minute

	// hungUpOffers is how many offers in a row all peers hang up on before a person is told.
	hungUpOffers = 3

	// belowFloor is how long a transaction may pay less than every peer asks for before a person is
	// told. It starts below a floor on purpose, as peers may lie, and is raised at each block.
	belowFloor = 30 * time.Minute

	// floorBlur is by how much Bitcoin Core may tell more than it asks for, so that it is not
	// recognised by it.
	floorBlur = 1.15

	// maxOffers is how many transactions are remembered: those offered last.
	maxOffers = 64
)

// offers is how peers took what they were offered.
type offers struct {
	mu    sync.Mutex
	known map[chainhash.Hash]*reception
}

// reception is how peers took one transaction.
type reception struct {
	first, last time.Time // when it was offered
	times       int       // how often, while a peer was connected
	hungUp      int       // the offers in a row that all peers hung up on
	below       time.Time // since when it pays less than every peer asks for; zero: it does not
	peers       map[*neutrino.ServerPeer]*taking
}

// taking is how one peer took one transaction on one connection.
type taking struct {
	asks     int            // at how many newest blocks it asked
	askedAt  chainhash.Hash // the newest block when it did last
	silentAt chainhash.Hash // the newest block of the last offer, unless it asked since
	reason   string         // why it refused, in its words; empty: it did not say
	has      bool           // it said so
}

// refuses reports whether the peer does not keep the transaction.
func (t *taking) refuses() bool { return t.reason != "" || t.asks >= refusedAsks }

// keeps reports whether the peer took the transaction, and did not ask again after a block.
func (t *taking) keeps() bool {
	return t.has || t.asks > 0 && t.reason == "" && t.silentAt != chainhash.Hash{} && t.silentAt != t.askedAt
}

// offered notes that a transaction is being offered to peers while tip is the newest block.
func (o *offers) offered(txid, tip chainhash.Hash, peers []*neutrino.ServerPeer, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil {
		o.known = make(map[chainhash.Hash]*reception)
	}
	r := o.known[txid]
	if r == nil {
		o.forget()
		r = &reception{first: now, peers: make(map[*neutrino.ServerPeer]*taking)}
		o.known[txid] = r
	}
	r.last, r.times = now, r.times+1
	for _, p := range peers {
		if r.peers[p] == nil {
			r.peers[p] = new(taking)
		}
	}
}

// forget makes room for one more transaction, with mu held.
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

// note changes what is known of how a peer took a transaction.
func (o *offers) note(txid chainhash.Hash, p *neutrino.ServerPeer, change func(*taking)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.known[txid]; r != nil && r.peers[p] != nil {
		change(r.peers[p])
	}
}

// asked notes that a peer asked for a transaction while tip was the newest block.
func (o *offers) asked(txid, tip chainhash.Hash, p *neutrino.ServerPeer) {
	o.note(txid, p, func(t *taking) {
		if t.asks == 0 || t.askedAt != tip {
			t.asks++
		}
		t.askedAt, t.silentAt = tip, chainhash.Hash{}
	})
}

// silent notes that a peer did not ask in time for what it was offered while tip was the newest
// block.
func (o *offers) silent(txid, tip chainhash.Hash, p *neutrino.ServerPeer) {
	o.note(txid, p, func(t *taking) { t.silentAt = tip })
}

// ended notes whether all peers hung up on an offer.
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

// verdict is what is known of how peers took a transaction.
type verdict int

const (
	unknown verdict = iota
	good
	bad
)

// judge says how the peers took a transaction, and where that is bad, why.
func (r *reception) judge(connected []*neutrino.ServerPeer, isNew bool, now time.Time) (verdict, warning.Warning) {
	none := warning.Warning{}
	var refusing, pending, silent int
	reason := ""
	for p, t := range r.peers {
		here := slices.Contains(connected, p)
		switch {
		case t.keeps():
			return good, none
		case t.refuses() && !here:
			// What it does after it is restarted, it shows anew.
		case t.refuses():
			refusing, reason = refusing+1, cmp.Or(reason, t.reason)
		case t.asks > 0:
			pending++ // it may keep it, also where it hung up since
		case here:
			silent++
		}
	}
	// A silent peer may have it from others, unless it was made just now and nobody keeps it.
	meaningful := isNew || silent == 0
	switch {
	case r.hungUp >= hungUpOffers:
		return bad, warning.New(warning.OfferHungUp, "all connected peers hung up the last %d times that its transaction was offered, as nodes with blocksonly=1 do: "+
			"name other nodes in spv.connect or spv.add_peers", r.hungUp)
	case pending > 0:
		return unknown, none
	case refusing > 0 && meaningful && reason != "":
		return bad, warning.New(warning.OfferRefused, "the peers refuse its transaction (%q), so no miner gets it from them: name other nodes in spv.connect or spv.add_peers", reason)
	case refusing > 0 && meaningful:
		return bad, warning.New(warning.OfferRefused, "the peers take its transaction, drop it, and ask for it again at the next block, so no miner gets it from them. "+
			"Nodes with datacarrier=0 or a higher minrelaytxfee do that: change these, or name other nodes in spv.connect or spv.add_peers")
	case refusing == 0 && isNew && silent > 0 && r.times >= ignoredOffers && now.Sub(r.first) >= ignoredAfter:
		return bad, warning.New(warning.OfferIgnored, "no connected peer has asked for its transaction, which was offered %d times, so no miner gets it from them: "+
			"name other nodes in spv.connect or spv.add_peers", r.times)
	}
	return unknown, none
}

// OfferWarning says what a person should know about how the connected peers take a transaction
// that is offered again and again. txids are its own and those that it replaced, newest first: as
// long as nothing is known of the newest, what is known of the one before counts. isNew says that
// it was made since the client was opened: about an older one, silence means nothing.
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
		case good:
			return w, ok
		case bad:
			return why, true
		}
	}
	return w, ok
}

// belowWarning tells of a transaction that has paid less than every peer asks for, for long. floor
// is in sat/kvB. all says that every connected peer told one.
func (r *reception) belowWarning(satPerVByte, floor int64, all bool, now time.Time) (w warning.Warning, ok bool) {
	if !all || float64(satPerVByte)*1000*floorBlur >= float64(floor) {
		r.below = time.Time{}
		return w, false
	}
	if r.below.IsZero() {
		r.below = now
	}
	if now.Sub(r.below) < belowFloor {
		return w, false
	}
	return warning.New(warning.BelowFloor, "it pays %d sat/vB, and every connected peer asks for at least %d, so none passes it on. It is raised at each block, up to anchor.max_feerate: "+
		"raise that where it is lower, or name other nodes in spv.add_peers", satPerVByte, (floor+999)/1000), true
}

// lowestFloor returns the lowest fee rate that one of the peers asks for, in sat/kvB, and whether
// all of them told one.
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
