package batcher

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/wire/v2"
)

// spend decides what is paid: a replacement for what is in flight and should pay more, or a new
// anchor when nothing is. What stays as it is, is offered again when it is time.
func (d *decision) spend() {
	ready := d.ready()
	priced := d.f.Market != Market{}
	replaced, flying := uint64(0), false
	for _, a := range d.s.Anchors {
		if a.State != store.Broadcast || d.stuck(a) {
			continue
		}
		flying = true
		// One in a step, so that the next sees what it took of the budget. The child of an anchor
		// in flight waits for that: paying more for the child alone would not get it mined.
		if priced && replaced == 0 && !d.child(a) && d.raise(a, ready) {
			replaced = a.ID
		}
	}
	d.offer(replaced)
	if priced && !flying && len(ready) > 0 {
		d.begin(ready)
	}
}

// ready returns the sealed batches that no anchor commits to and that can be paid for, by rising
// ID: those that wait, and those that were left out just now.
func (d *decision) ready() []store.Batch {
	var out []store.Batch
	for _, b := range d.s.Batches {
		owned := slices.ContainsFunc(d.s.Owned, func(o store.Batch) bool { return o.ID == b.ID })
		if b.State == store.Sealed && !owned {
			out = append(out, b)
		}
	}
	for _, b := range d.s.Owned {
		if b.Anchor == 0 {
			out = append(out, b)
		}
	}
	out = slices.DeleteFunc(out, func(b store.Batch) bool {
		if d.f.Damaged[b.ID] {
			return true
		}
		_, _, ok := d.exclusion(b)
		return !ok
	})
	slices.SortFunc(out, func(a, b store.Batch) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// child reports whether an anchor spends the change of one that is in flight.
func (d *decision) child(a store.Anchor) bool {
	return slices.ContainsFunc(a.Versions[d.newestValid(a)].Tx.TxIn, func(in *wire.TxIn) bool {
		m, ok := d.madeBy(in.PreviousOutPoint)
		return ok && d.s.Anchors[m.anchor].State == store.Broadcast
	})
}

// begin pays for batches with a new anchor.
func (d *decision) begin(ready []store.Batch) {
	pay := Pay{Payment{Batches: ready, MaxFeeSats: d.allowed(0)}}
	pay.SatPerVByte = min(d.p.Rate(d.ageOf(ready), d.f.Market), d.p.MaxFeeRate)
	d.exclude(&pay.Payment)
	if pay.MaxFeeSats < txsize.SmallestAnchor {
		kind, why := d.limit(pay.MaxFeeSats)
		d.hold(kind, "%s: %s", waiting(len(ready)), why)
		return
	}
	d.do(pay)
}

// exclusion returns the coins that a payment for a batch has to spend so that it cannot be mined
// beside a version that commits to the batch too: one that lost against another of its anchor, and
// could still win if a reorganisation undid that. What spends the winner's change exists only where
// the winner is mined; once the winner is deep there is nothing to exclude. Where there is no such
// coin the batch has to wait.
func (d *decision) exclusion(b store.Batch) (coins []wire.OutPoint, prevouts []*wire.TxOut, ok bool) {
	for _, a := range d.s.Anchors {
		if a.State != store.Mined && a.State != store.Final || d.depth(a) >= d.p.buryDepth() || !slices.Contains(committed(a), b.ID) {
			continue
		}
		coin, out, ok := d.heir(a)
		if !ok {
			d.hold(warning.LeftOut, "batch %d waits until anchor %d is %d blocks deep: that left it out, and there is no change of it to pay the next one from", b.ID, a.ID, d.p.buryDepth())
			return nil, nil, false
		}
		if !slices.Contains(coins, coin) {
			coins, prevouts = append(coins, coin), append(prevouts, out)
		}
	}
	return coins, prevouts, true
}

// exclude adds to a payment the coins that its batches ask for.
func (d *decision) exclude(p *Payment) {
	for _, b := range p.Batches {
		coins, prevouts, _ := d.exclusion(b)
		for i, coin := range coins {
			if !slices.Contains(p.Coins, coin) {
				p.Coins, p.Prevouts = append(p.Coins, coin), append(p.Prevouts, prevouts[i])
			}
		}
	}
}

// heir returns the change of a mined anchor, or, where later anchors spent that, the change that is
// left of it.
func (d *decision) heir(a store.Anchor) (coin wire.OutPoint, out *wire.TxOut, ok bool) {
	coin, out, ok = changeOf(Current(a))
	for _, later := range d.s.Anchors { // by rising ID, as they are built
		spends := func(in *wire.TxIn) bool { return in.PreviousOutPoint == coin }
		switch {
		case !ok || !slices.ContainsFunc(Current(later).Tx.TxIn, spends):
		case later.State == store.Mined || later.State == store.Final:
			coin, out, ok = changeOf(Current(later))
		case later.State == store.Spent:
			ok = false // somebody else took it
		}
	}
	return coin, out, ok && !d.f.Taken[coin]
}

// raise decides whether an anchor in flight is replaced by a version that pays more, and commits to
// the batches that wait. It reports whether it is.
func (d *decision) raise(a store.Anchor, ready []store.Batch) bool {
	before := d.newestValid(a)
	newest := a.Versions[before]
	age := d.ageOf(d.batchesOf(newest))
	wanted := d.p.Rate(age, d.f.Market)
	_, _, change := changeOf(newest) // a payment without any is not relayed by all nodes, and a deposit may have come
	rate, raise := d.p.Raised(newest.SatPerVByte, age, d.f.Market, len(ready) > 0 || !change)
	if wanted > d.p.MaxFeeRate && newest.SatPerVByte >= d.p.MaxFeeRate {
		d.hold(warning.FeeCap, "anchor %d is not mined yet: it pays %d sat/vB, the network asks for about %d, and anchor.max_feerate allows no more than %d: raise it, or wait for lower fees",
			a.ID, newest.SatPerVByte, wanted, d.p.MaxFeeRate)
	}
	if !raise {
		return false
	}
	r := Replace{Anchor: a, Before: before, Offer: d.due(a)}
	r.Batches, r.SatPerVByte = slices.Clone(ready), rate
	r.MinFeeSats, r.MaxFeeSats = newest.FeeSats+d.evicted(a), d.allowed(a.ID)
	if r.MaxFeeSats < r.MinFeeSats+minRelayIncrement*txsize.VSize(newest.Tx) {
		kind, why := d.limit(r.MaxFeeSats)
		d.hold(kind, "anchor %d is not mined yet: it pays %d sats, and %s", a.ID, newest.FeeSats, why)
		return false
	}
	// A version is made while some block is the newest, which its lock time tells, and has its
	// chance at the next. So it has after a start and after a reorganisation: only what was
	// offered, and left out by a block since, is known to pay too little.
	last, offered := d.f.Offered[a.ID]
	if d.tip.Height <= int32(a.Versions[len(a.Versions)-1].Tx.LockTime) || !offered || last.Since == d.tip {
		return false
	}
	for i, in := range newest.Tx.TxIn {
		r.Coins, r.Prevouts = append(r.Coins, in.PreviousOutPoint), append(r.Prevouts, newest.Prevouts[i])
	}
	// A newer version that cannot be mined any more may commit to batches that this one does not:
	// they stay, unless they went elsewhere.
	for _, b := range d.batchesOf(a.Versions[len(a.Versions)-1]) {
		if _, _, ok := d.exclusion(b); ok && b.Anchor == a.ID && !slices.Contains(newest.Batches, b.ID) {
			r.Batches = append(r.Batches, b)
		}
	}
	slices.SortFunc(r.Batches, func(a, b store.Batch) int { return cmp.Compare(a.ID, b.ID) })
	d.exclude(&r.Payment)
	for _, v := range a.Versions {
		if _, out, ok := changeOf(v); ok {
			r.Change = out.PkScript
		}
	}
	d.do(r)
	return true
}

// newestValid returns the newest version of an anchor that no missing coin holds up.
func (d *decision) newestValid(a store.Anchor) int {
	for k := len(a.Versions) - 1; k > 0; k-- {
		if d.valid(a, k) {
			return k
		}
	}
	return 0
}

// valid reports whether the coins of a version are there that were added on the way. What happens
// to the coins that all versions spend is the same for all.
func (d *decision) valid(a store.Anchor, version int) bool {
	keep := common(a)
	return !slices.ContainsFunc(a.Versions[version].Tx.TxIn, func(in *wire.TxIn) bool {
		coin := in.PreviousOutPoint
		if slices.Contains(keep, coin) {
			return false
		}
		_, never := d.impossible(coin)
		return never || d.missing(a, coin) || d.f.Taken[coin] || d.spentBeside(a, coin)
	})
}

// spentBeside reports whether another anchor that is mined has spent a coin. An anchor whose first
// version was mined gives back what later ones added, and has lost it when a reorganisation undoes
// that block.
func (d *decision) spentBeside(a store.Anchor, coin wire.OutPoint) bool {
	return slices.ContainsFunc(d.s.Anchors, func(b store.Anchor) bool {
		mined := b.State == store.Mined || b.State == store.Final
		return mined && b.ID != a.ID && slices.ContainsFunc(Current(b).Tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint == coin })
	})
}

// batchesOf returns those batches of a version that are known.
func (d *decision) batchesOf(v store.Version) []store.Batch {
	return slices.DeleteFunc(slices.Clone(d.s.Owned), func(b store.Batch) bool { return !slices.Contains(v.Batches, b.ID) })
}

// ageOf returns how long the oldest of some batches has been closed.
func (d *decision) ageOf(batches []store.Batch) time.Duration {
	var age time.Duration
	for _, b := range batches {
		age = max(age, d.f.Now.Sub(b.Closed))
	}
	return age
}

// evicted returns what anchors in flight pay that spend a change of this one, directly or not: its
// replacement throws them out of the peers' memory, and has to pay for that (BIP125, rule 3). Those
// of a version that cannot be mined any more are not there.
func (d *decision) evicted(a store.Anchor) (sats int64) {
	gone := map[uint64]bool{a.ID: true}
	for _, c := range d.s.Anchors { // children have higher IDs than their parents
		if c.State != store.Broadcast || gone[c.ID] {
			continue
		}
		newest := c.Versions[len(c.Versions)-1]
		if slices.ContainsFunc(newest.Tx.TxIn, func(in *wire.TxIn) bool {
			m, ok := d.madeBy(in.PreviousOutPoint)
			return ok && gone[d.s.Anchors[m.anchor].ID] && d.valid(d.s.Anchors[m.anchor], m.version)
		}) {
			gone[c.ID] = true
			sats += newest.FeeSats
		}
	}
	return sats
}

// allowed returns what the caps leave for a version of the anchor, 0 for a new one.
func (d *decision) allowed(anchor uint64) int64 {
	left := d.p.MaxFeeSats
	if d.p.BudgetSats > 0 {
		left = min(left, d.p.BudgetSats-d.taken(anchor))
	}
	return left
}

// taken returns what of the budget the anchors besides one have paid, or may still pay.
func (d *decision) taken(besides uint64) int64 {
	sats := d.s.PaidSats
	for _, a := range d.s.Anchors {
		if a.ID == besides || a.State == store.Dead {
			continue
		}
		mined := a.State == store.Mined || a.State == store.Final
		switch {
		case mined && a.Block.Height <= d.tip.Height-BudgetBlocks:
		case mined && d.depth(a) >= d.p.buryDepth():
			sats += Current(a).FeeSats
		default: // a reorganisation may let the dearest through
			sats += dearest(a)
		}
	}
	return sats
}

// limit says which cap leaves no more than this.
func (d *decision) limit(sats int64) (kind *warning.Kind, why string) {
	if sats == d.p.MaxFeeSats && sats != d.p.BudgetSats {
		return warning.FeeCap, fmt.Sprintf("anchor.max_fee allows %d: raise it, or wait for lower fees", sats)
	}
	return warning.Budget, fmt.Sprintf("anchor.monthly_budget allows %d sats in 30 days, of which %d are paid or promised: raise it, or wait",
		d.p.BudgetSats, d.taken(0))
}

func dearest(a store.Anchor) (sats int64) {
	for _, v := range a.Versions {
		sats = max(sats, v.FeeSats)
	}
	return sats
}

func (d *decision) hold(kind *warning.Kind, format string, args ...any) {
	d.do(Hold{warning.New(kind, format, args...)})
}

// waiting begins the sentence that says why batches have no anchor.
func waiting(n int) string {
	return fmt.Sprintf("%d sealed %s for an anchor", n, plural(n, "batch waits", "batches wait"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// offer repeats what is in flight and not replaced now: a broadcast that succeeded means nothing,
// and peers forget.
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

// current returns the version that is to be mined: the newest that can be, but after a
// reorganisation the one that was mined before when a later anchor in flight is built on it. A
// replacement made since then is newer than both, and wins.
func (d *decision) current(a store.Anchor) int {
	newest := d.newestValid(a)
	for _, c := range d.s.Anchors {
		if c.State != store.Broadcast || c.ID == a.ID {
			continue
		}
		for _, coin := range common(c) {
			m, ok := d.madeBy(coin)
			built := ok && d.s.Anchors[m.anchor].ID == a.ID && d.valid(a, m.version)
			if built && c.Versions[0].Tx.LockTime >= a.Versions[newest].Tx.LockTime {
				return m.version
			}
		}
	}
	return newest
}

// changeOf returns the change of a version, unless that would have been dust.
func changeOf(v store.Version) (coin wire.OutPoint, out *wire.TxOut, ok bool) {
	const change = 1 // output 0 is the OP_RETURN
	if len(v.Tx.TxOut) <= change {
		return coin, nil, false
	}
	return wire.OutPoint{Hash: v.Tx.TxHash(), Index: change}, v.Tx.TxOut[change], true
}

// committed returns every batch that some version of a commits to, oldest first.
func committed(a store.Anchor) []uint64 {
	var ids []uint64
	for _, v := range a.Versions {
		ids = append(ids, v.Batches...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
