package decide

import (
	"slices"
	"time"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/wire/v2"
)

// retryOffer is how soon an anchor is offered again that no peer took: peers come back within
// seconds.
const retryOffer = 30 * time.Second

// offer offers again what is in flight and not replaced now. A broadcast that succeeded proves
// nothing, and peers forget.
func (d *decision) offer(replaced uint64) {
	for _, a := range d.s.Anchors {
		if a.State == store.Broadcast && d.due(a) && a.ID != replaced {
			d.do(OfferAnchor{Anchor: a, Version: d.current(a)})
		}
	}
}

// due reports whether it is time to offer an anchor again: after a start, at a new block, in
// another version, to new peers, and at intervals.
func (d *decision) due(a store.Anchor) bool {
	last, ok := d.f.Offered[a.ID]
	wait := d.p.Rebroadcast
	if last.Failed {
		wait = min(wait, retryOffer)
	}
	since := d.f.Now.Sub(last.At)
	return !ok || last.Tip != d.tip || last.Version != d.current(a) || last.Peers != d.f.Peers || since >= wait || since < 0
}

// current returns the version to be mined: the newest that can be. After a reorganisation it is the
// version that was mined before, if a later anchor in flight spends its change. A replacement made
// after that anchor is newer than both, and wins.
func (d *decision) current(a store.Anchor) int {
	newest := d.newestValid(a)
	for _, c := range d.s.Anchors {
		if c.State != store.Broadcast || c.ID == a.ID {
			continue
		}
		for _, coin := range CommonInputs(c) {
			m, ok := d.madeBy(coin)
			built := ok && d.s.Anchors[m.anchor].ID == a.ID && d.valid(a, m.version)
			if built && c.Versions[0].Tx.LockTime >= a.Versions[newest].Tx.LockTime {
				return m.version
			}
		}
	}
	return newest
}

// newestValid returns the newest version of an anchor whose coins are all there.
func (d *decision) newestValid(a store.Anchor) int {
	for k := len(a.Versions) - 1; k > 0; k-- {
		if d.valid(a, k) {
			return k
		}
	}
	return 0
}

// valid reports whether the coins are there that a version spends besides the common inputs. What
// happens to the common inputs is the same for all versions.
func (d *decision) valid(a store.Anchor, version int) bool {
	common := CommonInputs(a)
	return !slices.ContainsFunc(a.Versions[version].Tx.TxIn, func(in *wire.TxIn) bool {
		coin := in.PreviousOutPoint
		if slices.Contains(common, coin) {
			return false
		}
		_, never := d.impossible(coin)
		return never || d.missing(a, coin) || d.f.Taken[coin] || d.spentBeside(a, coin)
	})
}

// spentBeside reports whether another mined anchor spent a coin. When the first version of an
// anchor is mined, the coins that later versions added are free for other anchors. If a
// reorganisation then undoes that block, the later versions have lost these coins.
func (d *decision) spentBeside(a store.Anchor, coin wire.OutPoint) bool {
	return slices.ContainsFunc(d.s.Anchors, func(b store.Anchor) bool {
		return IsMined(b) && b.ID != a.ID && spends(Current(b), coin)
	})
}
