package decide

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ancre/batcher/store"
	"ancre/internal/humanize"
	"ancre/internal/txsize"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/wire/v2"
)

// MinRelayIncrement is what a replacement pays more for each of its vB than all that it replaces
// (BIP125, rule 4), in sat/vB.
const MinRelayIncrement = 1

// spend decides what is paid: a replacement for an anchor in flight that should pay more, or a new
// anchor if none is in flight. What stays as it is, is offered again when it is time.
func (d *decision) spend() {
	ready := d.ready()
	priced := d.f.Market != Market{}
	replaced, flying := uint64(0), false
	for _, a := range d.s.Anchors {
		if a.State != store.Broadcast || d.stuck(a) {
			continue
		}
		flying = true
		// One in a step, so that the next step sees what this one took of the budget. An anchor
		// that spends the change of another one in flight waits for that one: paying more for the
		// child alone would not get it mined.
		if priced && replaced == 0 && !d.child(a) && d.bump(a, ready) {
			replaced = a.ID
		}
	}
	d.offer(replaced)
	if priced && !flying && len(ready) > 0 {
		d.payNew(ready)
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
	sortByID(out)
	return out
}

// child reports whether an anchor spends the change of one that is in flight.
func (d *decision) child(a store.Anchor) bool {
	return slices.ContainsFunc(a.Versions[d.newestValid(a)].Tx.TxIn, func(in *wire.TxIn) bool {
		m, ok := d.madeBy(in.PreviousOutPoint)
		return ok && d.s.Anchors[m.anchor].State == store.Broadcast
	})
}

// payNew pays for batches with a new anchor.
func (d *decision) payNew(ready []store.Batch) {
	pay := Pay{Payment{Batches: ready, MaxFeeSats: d.allowed(0)}}
	pay.SatPerVByte = min(d.p.Rate(d.ageOf(ready), d.f.Market), d.p.MaxFeeRate)
	d.exclude(&pay.Payment)
	if pay.MaxFeeSats < txsize.SmallestAnchor {
		kind, why := d.limit(pay.MaxFeeSats)
		d.hold(kind, "%s: %s", Waiting(len(ready)), why)
		return
	}
	d.do(pay)
}

// exclusion returns the coins that a payment for a batch has to spend, so that it cannot be mined
// beside a version that commits to the batch too. Such a version lost against another one of its
// anchor, and could still win after a reorganisation. The change of the winner exists only if the
// winner is mined, so a payment that spends it excludes the loser. Once the winner is deep there is
// nothing to exclude. If there is no such coin, the batch has to wait, and ok is false.
func (d *decision) exclusion(b store.Batch) (coins []wire.OutPoint, prevouts []*wire.TxOut, ok bool) {
	for _, a := range d.s.Anchors {
		if !IsMined(a) || d.depth(a) >= d.p.AbandonDepth() || !slices.Contains(AllBatches(a), b.ID) {
			continue
		}
		coin, out, ok := d.changeTip(a)
		if !ok {
			d.hold(warning.LeftOut, "batch %d waits until anchor %d is %d blocks deep: that anchor left it out, and has no change from which to pay the next one", b.ID, a.ID, d.p.AbandonDepth())
			return nil, nil, false
		}
		if !slices.Contains(coins, coin) {
			coins, prevouts = append(coins, coin), append(prevouts, out)
		}
	}
	return coins, prevouts, true
}

// exclude adds to a payment the coins that its batches require, see exclusion.
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

// changeTip returns the unspent end of the chain of change that begins at a mined anchor: its own
// change or, if later anchors spent that, what is left of it.
func (d *decision) changeTip(a store.Anchor) (coin wire.OutPoint, out *wire.TxOut, ok bool) {
	coin, out, ok = Change(Current(a))
	for _, later := range d.s.Anchors { // by rising ID, as they are built
		switch {
		case !ok || !spends(Current(later), coin):
		case IsMined(later):
			coin, out, ok = Change(Current(later))
		case later.State == store.Spent:
			ok = false // a transaction that is not ours took it
		}
	}
	return coin, out, ok && !d.f.Taken[coin]
}

// bump decides whether an anchor in flight is replaced by a version that pays more and also commits
// to the batches that wait. It reports whether it is.
func (d *decision) bump(a store.Anchor, ready []store.Batch) bool {
	before := d.newestValid(a)
	newest := a.Versions[before]
	age := d.ageOf(d.batchesOf(newest))
	wanted := d.p.Rate(age, d.f.Market)
	_, _, change := Change(newest) // not all nodes relay a payment without change, and a deposit may have come
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
	if r.MaxFeeSats < r.MinFeeSats+MinRelayIncrement*txsize.VSize(newest.Tx) {
		kind, why := d.limit(r.MaxFeeSats)
		d.hold(kind, "anchor %d is not mined yet: it pays %s, and %s", a.ID, humanize.Sats(newest.FeeSats), why)
		return false
	}
	if !d.hadItsChance(a) {
		return false
	}
	for i, in := range newest.Tx.TxIn {
		r.Coins, r.Prevouts = append(r.Coins, in.PreviousOutPoint), append(r.Prevouts, newest.Prevouts[i])
	}
	// A newer version that can no longer be mined may commit to batches that this one does not.
	// They stay with the anchor, unless they belong to another one by now.
	for _, b := range d.batchesOf(Newest(a)) {
		if _, _, ok := d.exclusion(b); ok && b.Anchor == a.ID && !slices.Contains(newest.Batches, b.ID) {
			r.Batches = append(r.Batches, b)
		}
	}
	sortByID(r.Batches)
	d.exclude(&r.Payment)
	for _, v := range a.Versions {
		if _, out, ok := Change(v); ok {
			r.Change = out.PkScript
		}
	}
	d.do(r)
	return true
}

// hadItsChance reports whether a block left an anchor out that miners could have put in. A
// version's lock time is the height at which it was made, so its chance is the next block. After a
// start or a reorganisation it is offered first: only a version that was offered, and that a block
// left out since, is known to pay too little.
func (d *decision) hadItsChance(a store.Anchor) bool {
	if d.tip.Height <= int32(Newest(a).Tx.LockTime) {
		return false
	}
	last, offered := d.f.Offered[a.ID]
	return offered && last.Since != d.tip
}

// batchesOf returns those batches of a version that are known.
func (d *decision) batchesOf(v store.Version) []store.Batch {
	return slices.DeleteFunc(slices.Clone(d.s.Owned), func(b store.Batch) bool { return !slices.Contains(v.Batches, b.ID) })
}

// ageOf returns how long ago the oldest of some batches was closed.
func (d *decision) ageOf(batches []store.Batch) time.Duration {
	var age time.Duration
	for _, b := range batches {
		age = max(age, d.f.Now.Sub(b.Closed))
	}
	return age
}

// evicted returns the fees of the anchors in flight that spend a change of this one, directly or
// not. Its replacement evicts them from the peers' mempools, and has to pay their fees too (BIP125,
// rule 3). Children of a version that can no longer be mined are in no mempool and cost nothing.
func (d *decision) evicted(a store.Anchor) (sats int64) {
	gone := map[uint64]bool{a.ID: true}
	for _, c := range d.s.Anchors { // children have higher IDs than their parents
		if c.State != store.Broadcast || gone[c.ID] {
			continue
		}
		newest := Newest(c)
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

// allowed returns what the caps leave for a version of an anchor; 0 means a new anchor.
func (d *decision) allowed(anchor uint64) int64 {
	left := d.p.MaxFeeSats
	if d.p.BudgetSats > 0 {
		left = min(left, d.p.BudgetSats-d.budgetUsed(anchor))
	}
	return left
}

// budgetUsed returns what all anchors but one have paid of the budget, or may still pay.
func (d *decision) budgetUsed(besides uint64) int64 {
	sats := d.s.PaidSats
	for _, a := range d.s.Anchors {
		if a.ID == besides || a.State == store.Dead {
			continue
		}
		mined := IsMined(a)
		switch {
		case mined && a.Block.Height <= d.tip.Height-BudgetBlocks:
		case mined && d.depth(a) >= d.p.AbandonDepth():
			sats += Current(a).FeeSats
		default: // after a reorganisation the version that pays most may be mined
			sats += highestFee(a)
		}
	}
	return sats
}

// limit names the cap that leaves no more than these sats.
func (d *decision) limit(sats int64) (kind *warning.Kind, why string) {
	if sats == d.p.MaxFeeSats && sats != d.p.BudgetSats {
		return warning.FeeCap, fmt.Sprintf("anchor.max_fee allows %s: raise it, or wait for lower fees", humanize.Sats(sats))
	}
	return warning.Budget, fmt.Sprintf("anchor.monthly_budget allows %s in 30 days, of which %s are paid or promised: raise it, or wait",
		humanize.Sats(d.p.BudgetSats), humanize.Sats(d.budgetUsed(0)))
}

func (d *decision) hold(kind *warning.Kind, format string, args ...any) {
	d.do(Hold{warning.New(kind, format, args...)})
}

// Waiting begins the sentence that says why n batches have no anchor.
func Waiting(n int) string {
	return humanize.Plural(n, "sealed batch waits", "sealed batches wait") + " for an anchor"
}

func sortByID(batches []store.Batch) {
	slices.SortFunc(batches, func(a, b store.Batch) int { return cmp.Compare(a.ID, b.ID) })
}
