package batcher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/humanize"
	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// Everything that can make a batch wait has a kind of warning. A batch that is late for an unknown
// cause has one too.

// paying are the kinds that say why something is not paid in a step. One of them is raised at a
// time: the first reason.
var paying = []*warning.Kind{
	warning.Wallet, warning.WalletShort, warning.FeeCap, warning.Budget, warning.LeftOut, warning.Payment,
}

// warn raises a warning until it is cleared.
func (b *Batcher) warn(kind *warning.Kind, text string) { b.board.Set(kind, text) }

// warnOfHeld raises the warning why something was not paid in the step that ends.
func (b *Batcher) warnOfHeld() {
	held := b.held
	if slices.Contains(paying, held.Kind) {
		b.warn(held.Kind, held.Text)
	}
	for _, kind := range paying {
		if kind != held.Kind {
			b.board.Clear(kind)
		}
	}
}

// warnings returns the warnings about batches that are late or could become late. Causes come
// first.
func (b *Batcher) warnings(s decide.Stored, o *Overview) []warning.Warning {
	all := b.board.List()
	for _, a := range s.Anchors {
		switch a.State {
		case store.Spent:
			all = append(all, b.spentWarning(a))
		case store.Broadcast:
			if w, ok := b.offerWarning(a); ok {
				all = append(all, w)
			}
		}
	}
	if w, ok := b.overdue(s, o, len(all) > 0); ok {
		all = append(all, w)
	}
	return all
}

// warnOfMissing raises a warning about coins of anchors in flight that a reorganisation removed.
func (b *Batcher) warnOfMissing() {
	if len(b.missing) == 0 {
		b.board.Clear(warning.CoinMissing)
		return
	}
	var anchors []uint64
	for id := range b.missing {
		anchors = append(anchors, id)
	}
	slices.Sort(anchors)
	b.warn(warning.CoinMissing, fmt.Sprintf("a reorganisation of Bitcoin removed a coin that an anchor spends (anchor %v). The anchor waits until the payment to the wallet is mined again. "+
		"If you sent that payment, send it again. After %d blocks its batches get another anchor", anchors, decide.WatchDepth))
}

func (b *Batcher) spentWarning(a store.Anchor) warning.Warning {
	left := a.Block.Height + b.policy.AbandonDepth() - 1 - b.tip.Load()
	return warning.New(warning.CoinSpent, "anchor %d cannot be mined: another transaction spent its coin in block %d. Its batches %v get another anchor in about %d blocks. "+
		"If no reorganisation of Bitcoin was the cause, the wallet's words are in use elsewhere: use them nowhere else", a.ID, a.Block.Height, decide.AllBatches(a), max(left, 1))
}

// offerWarning asks the chain how peers took an anchor: its newest version or, if that is not known
// yet, the versions before.
func (b *Batcher) offerWarning(a store.Anchor) (warning.Warning, bool) {
	var txids []chainhash.Hash
	for _, v := range slices.Backward(a.Versions) {
		txids = append(txids, v.Tx.TxHash())
	}
	newest := decide.Newest(a)
	w, ok := b.chain.OfferWarning(txids, newest.SatPerVByte, !newest.Created.Before(b.started))
	w.Text = fmt.Sprintf("anchor %d: %s", a.ID, w.Text)
	return w, ok
}

// overdue returns a warning if a batch should be in a block by now. If there is no other warning,
// it names the likely causes.
func (b *Batcher) overdue(s decide.Stored, o *Overview, known bool) (w warning.Warning, ok bool) {
	if o.OldestUnmined.IsZero() {
		return w, false
	}
	age := b.now().Sub(o.OldestUnmined)
	if age <= b.policy.Target {
		return w, false
	}
	late := fmt.Sprintf("a batch that was sealed %s ago is in no block, and anchor.target is %s: ", span(age), span(b.policy.Target))
	if known {
		return warning.New(warning.Overdue, "%sthe other warnings name the cause", late), true
	}
	return warning.New(warning.Overdue, "%s%s", late, b.likelyCause(s)), true
}

// likelyCause says why a batch may be late if no other warning does.
func (b *Batcher) likelyCause(s decide.Stored) string {
	if !b.chain.Synced() {
		return "the light client is not at the newest block yet, and ancred pays for nothing before: see how far it is, and check peers and network if it does not advance"
	}
	i := slices.IndexFunc(s.Anchors, func(a store.Anchor) bool { return a.State == store.Broadcast })
	if i < 0 {
		return "no anchor was paid for it yet, for an unknown reason: read the log, and restart ancred if this persists"
	}
	a := s.Anchors[i]
	newest := decide.Newest(a)
	blocks := b.tip.Load() - int32(a.Versions[0].Tx.LockTime)
	if blocks <= 0 {
		return fmt.Sprintf("no block was found since anchor %d was made. If a block explorer shows newer ones, the peers are cut off from the network: name other nodes in spv.add_peers", a.ID)
	}
	causes := []string{
		fmt.Sprintf("blocks cost more than the %d sat/vB that it pays (see \"ancre wallet fees\"; raise anchor.max_feerate or set a longer anchor.target)", newest.SatPerVByte),
		"the peers do not relay it, because they run with datacarrier=0 or blocksonly=1 (name other nodes in spv.add_peers)",
	}
	return fmt.Sprintf("anchor %d is offered, and %s since its first version. Likely causes: %s",
		a.ID, humanize.Plural(blocks, "block was found", "blocks were found"), strings.Join(causes, "; "))
}

// span writes a duration that is compared with a setting. It keeps more digits than
// [humanize.Duration]: 91 minutes and a target of 90 minutes must not both read "2 hours".
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return humanize.Plural(int64(d.Hours()/24), "day", "days")
	case d >= 2*time.Hour:
		return humanize.Plural(int64(d.Hours()), "hour", "hours")
	case d >= 2*time.Minute:
		return humanize.Plural(int64(d.Minutes()), "minute", "minutes")
	}
	return humanize.Plural(max(int64(d.Round(time.Second).Seconds()), 1), "second", "seconds")
}
