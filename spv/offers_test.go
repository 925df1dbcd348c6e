package spv

import (
	"strings"
	"testing"
	"time"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/lightninglabs/neutrino"
)

// offering plays the offers of one transaction to some peers, a new block between any two.
type offering struct {
	o     offers
	txid  chainhash.Hash
	tip   int
	now   time.Time
	peers []*neutrino.ServerPeer
}

func newOffering(peers int) *offering {
	f := &offering{txid: *numbered(-1), now: time.Unix(1e9, 0)}
	for range peers {
		f.peers = append(f.peers, new(neutrino.ServerPeer))
	}
	return f
}

// offer offers the transaction once. One letter says what each peer does: a asks for it, s is
// silent, r rejects it, h has it, g disconnects.
func (f *offering) offer(what string) {
	f.again(what)
	f.tip++
}

// again offers it once more while the same block is the newest.
func (f *offering) again(what string) {
	tip := *numbered(f.tip)
	f.o.offered(f.txid, tip, f.peers, f.now)
	for i, do := range what {
		switch p := f.peers[i]; do {
		case 'a':
			f.o.asked(f.txid, tip, p)
		case 's':
			f.o.silent(f.txid, tip, p)
		case 'r':
			f.o.note(f.txid, p, func(r *response) { r.reason = "dust\x1b[2J" })
		case 'h':
			f.o.note(f.txid, p, func(r *response) { r.has = true })
		}
	}
	f.o.ended(f.txid, strings.Count(what, "g") == len(what))
	f.now = f.now.Add(time.Minute)
}

func TestHowPeersTakeAnOfferIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		offers string // of one letter for each peer, and a blank
		isNew  bool
		want   verdict
		kind   *warning.Kind
	}{
		{"it was just taken", "a", true, unknown, nil},
		{"it was taken, and kept over a block", "a s", true, kept, nil},
		{"it was taken twice: a reorganisation threw it out", "a a", true, unknown, nil},
		{"the only peer has datacarrier=0", "a a a", true, notKept, warning.OfferRefused},
		{"the same after a restart of the daemon", "a a a", false, notKept, warning.OfferRefused},
		{"one of two keeps it", "aa as as", true, kept, nil},
		{"one of two may have it from others", "as as as", false, unknown, nil},
		{"no other peer can have it", "as as as", true, notKept, warning.OfferRefused},
		{"the only peer says no", "r", true, notKept, warning.OfferRefused},
		{"it took it before it said no", "a r", true, notKept, warning.OfferRefused},
		{"one of two says no", "ra rs", true, kept, nil},
		{"it has it already", "h", true, kept, nil},
		{"nobody has asked so far", "ss", true, unknown, nil},
		{"nobody asks", "ss ss ss", true, notKept, warning.OfferIgnored},
		{"nobody asks after a restart: they have it", "ss ss ss ss ss", false, unknown, nil},
		{"all hang up", "gg gg gg", true, notKept, warning.OfferHungUp},
		{"all hung up, and one came back and took it", "gg gg gg as", true, unknown, nil},
		{"all hang up twice", "g g", true, unknown, nil},
	} {
		f := newOffering(len(strings.Fields(tt.offers)[0]))
		for _, what := range strings.Fields(tt.offers) {
			f.offer(what)
		}
		got, w := f.o.known[f.txid].judge(f.peers, tt.isNew, f.now)
		if got != tt.want || w.Kind != tt.kind {
			t.Errorf("%s: verdict %d, %q; want %d", tt.name, got, w, tt.want)
		}
		if strings.ContainsRune(w.Text, 0x1b) {
			t.Errorf("%s: %q has what a peer sent as it is", tt.name, w.Text)
		}
	}
}

// Bitcoin Core does not ask again for what it refused until there is a new block.
func TestSilenceCountsOnlyAfterABlock(t *testing.T) {
	t.Parallel()
	f := newOffering(1)
	for range 3 {
		f.again("a")
		f.again("s")
		if v, w := f.o.known[f.txid].judge(f.peers, true, f.now); f.tip < 2 && (v != unknown || w.Kind != nil) || f.tip == 2 && v != notKept {
			t.Errorf("block %d: verdict %d, %q", f.tip, v, w)
		}
		f.tip++
	}
	// It is restarted with other rules: a new connection.
	f.peers[0] = new(neutrino.ServerPeer)
	f.offer("a")
	f.offer("s")
	if v, w := f.o.known[f.txid].judge(f.peers, true, f.now); v != kept {
		t.Errorf("after a restart: verdict %d, %q", v, w)
	}
}

// The warning about a version stays until something is known about the next one.
func TestAWarningOutlivesItsVersionUntilTheNextIsKnown(t *testing.T) {
	t.Parallel()
	c := openClient(t, newDir(t))
	f := newOffering(1)
	f.offer("r")
	c.offers.known = f.o.known
	newer := *numbered(-2)
	if w, ok := c.OfferWarning([]chainhash.Hash{newer, f.txid}, 1, true); ok {
		t.Errorf("a peer that left refuses: %q", w)
	}
	f.o.known[f.txid].hungUp = hungUpOffers
	for _, txids := range [][]chainhash.Hash{{f.txid}, {newer, f.txid}, {newer, newer, f.txid}} {
		if w, ok := c.OfferWarning(txids, 1, true); !ok || w.Kind != warning.OfferHungUp {
			t.Errorf("%q, %v", w, ok)
		}
	}
	c.offers.known[newer] = &offered{peers: map[*neutrino.ServerPeer]*response{f.peers[0]: {has: true}}}
	if w, ok := c.OfferWarning([]chainhash.Hash{newer, f.txid}, 1, true); ok {
		t.Errorf("the newest is taken: %q", w)
	}
}

func TestARateBelowEveryFloorIsToldOfAfterAWhile(t *testing.T) {
	t.Parallel()
	r := new(offered)
	now := time.Unix(1e9, 0)
	for i, tt := range []struct {
		rate, floor int64
		all         bool
		after       time.Duration
		want        bool
	}{
		{2, 5000, true, 0, false},
		{2, 5000, true, belowFloor - time.Second, false},
		{2, 5000, true, time.Second, true},
		{5, 5000, true, time.Minute, false},
		{2, 5000, true, time.Minute, false}, // the time counts anew
		{2, 5000, false, belowFloor, false}, // one peer told none
		{2, 2200, true, 2 * belowFloor, false},
		{2, 2200, true, 2 * belowFloor, false}, // what Core blurs is no floor
	} {
		now = now.Add(tt.after)
		w, ok := r.belowWarning(tt.rate, tt.floor, tt.all, now)
		if ok != tt.want || ok && (w.Kind != warning.BelowFloor || !strings.Contains(w.Text, "pays 2 sat/vB") || !strings.Contains(w.Text, "at least 5")) {
			t.Errorf("step %d: %q, %v", i, w, ok)
		}
	}
}

func TestFewOffersAreRemembered(t *testing.T) {
	t.Parallel()
	var o offers
	now := time.Unix(1e9, 0)
	for i := range 3 * maxOffers {
		o.offered(*numbered(i), chainhash.Hash{}, nil, now.Add(time.Duration(i)*time.Second))
	}
	if len(o.known) != maxOffers || o.known[*numbered(3*maxOffers - 1)] == nil || o.known[*numbered(0)] != nil {
		t.Errorf("%d are remembered, want the newest %d", len(o.known), maxOffers)
	}
}
