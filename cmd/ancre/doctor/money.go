package doctor

import (
	"fmt"
	"strings"
	"time"

	"ancre/internal/humanize"
	"ancre/rpc"
)

// wallet says whether the wallet can pay, now and after the next start.
func wallet(f *Facts) []Result {
	info, ok := f.Info.Get()
	if !ok {
		return one(missing(f, f.Info, silent))
	}
	w := info.Wallet
	said := f.said("wallet")
	switch w.State {
	case "none":
		return one(fail(f.admin("wallet create"), "there is no wallet, so nothing can be paid"))
	case "locked":
		text := "locked, so nothing can be paid"
		if from, ok := f.Unlock.Get(); ok && from != "" {
			text += fmt.Sprintf("; %s did not unlock it at the start: the log of ancred says why", from)
		}
		return one(fail(f.admin("wallet unlock"), "%s", text))
	case "unusable":
		for i := range said {
			said[i].Status = Failed
		}
		if len(said) == 0 {
			said = one(fail("", "the wallet cannot be opened: the log of ancred says why"))
		}
		return said
	}
	if w.ConfirmedSats == 0 && w.PendingSats == 0 {
		return one(fail(f.admin("wallet address"), "the wallet is empty, so nothing can be paid: send bitcoin to the address that this command prints"))
	}
	if len(said) > 0 {
		return said
	}
	text := fmt.Sprintf("%s, %s sat to spend", w.State, humanize.Count(w.SpendableSats))
	if w.PendingSats > 0 {
		text += fmt.Sprintf(", %s unconfirmed", humanize.Count(w.PendingSats))
	}
	if fees, ok := f.Fees.Get(); ok && fees.AnchorSats > 0 {
		text += fmt.Sprintf(": enough for %s at today's price", humanize.Plural(w.ConfirmedSats/fees.AnchorSats, "anchor", "anchors"))
	}
	if from, ok := f.Unlock.Get(); ok && from == "" {
		text += "; after a restart it waits for \"ancre wallet unlock\""
	}
	return one(fine("%s", text))
}

// admin returns a command of ancre that needs the administrator's cookie.
func (f *Facts) admin(verb string) string {
	if f.Me.Service {
		return f.Me.asRoot(f.Me.Ancre + " " + verb)
	}
	return f.Me.Ancre + " " + verb
}

// nextBatch says when the open batch is sealed.
func nextBatch(f *Facts) []Result {
	info, ok := f.Info.Get()
	if !ok {
		return one(missing(f, f.Info, silent))
	}
	b := info.Batch
	if b == nil {
		text := "no batch is open: the next digest opens one"
		if every := f.Settings.value.Interval; every > 0 {
			text += ", which is sealed " + humanize.Duration(every) + " later"
		}
		return one(fine("%s", text))
	}
	text := fmt.Sprintf("batch %s is open with %s", humanize.Count(b.ID), humanize.Plural(b.Digests, "digest", "digests"))
	if b.Closes != nil {
		text += ", and is sealed at " + humanize.Local(*b.Closes) + " at the latest"
		if d := b.Closes.Sub(f.Now); d > 0 {
			text += ", in " + humanize.Duration(d)
		}
	}
	return one(fine("%s", text))
}

// nextAnchor says when the next anchor is expected in a block, and what it costs.
func nextAnchor(f *Facts) []Result {
	info, ok := f.Info.Get()
	if !ok {
		return one(missing(f, f.Info, silent))
	}
	var held []string
	if !info.Chain.Synced {
		held = append(held, "the chain is synced")
	}
	if info.Wallet.State != "ready" || info.Wallet.ConfirmedSats == 0 {
		held = append(held, "the wallet can pay")
	}
	cost := price(f.Fees)
	waits := humanize.Plural(info.Waiting, "sealed batch waits", "sealed batches wait")
	switch {
	case info.Waiting > 0 && len(held) > 0:
		return one(warn("", "%s for a payment until %s%s", waits, join(held), cost))
	case info.Anchors.Broadcast > 0:
		return one(fine("%s broadcast and waits for a block%s", humanize.Plural(info.Anchors.Broadcast, "anchor is", "anchors are"), f.until(info, cost)))
	case info.Waiting > 0:
		return one(fine("%s for a payment%s", waits, cost))
	case len(held) > 0:
		return one(fine("none is due; one can be paid as soon as %s%s", join(held), cost))
	case info.Batch == nil || info.Batch.Closes == nil:
		return one(fine("none is due%s", cost))
	}
	return one(fine("paid at %s, when the batch is sealed%s", humanize.Local(*info.Batch.Closes), f.until(info, cost)))
}

// until adds when a block is expected to the cost of an anchor.
func (f *Facts) until(info rpc.Info, cost string) string {
	target := f.Settings.value.Target
	if target == 0 || info.Batch == nil || info.Batch.Closes == nil || info.Anchors.Broadcast > 0 {
		return cost
	}
	return cost + "; a block should hold it by " + humanize.Local(info.Batch.Closes.Add(target))
}

// price says what an anchor that begins now would cost, if that is known.
func price(fees Fact[rpc.FeeEstimate]) string {
	e, ok := fees.Get()
	if !ok || len(e.NextAnchor) == 0 {
		return ""
	}
	first, last := e.NextAnchor[0], e.NextAnchor[len(e.NextAnchor)-1]
	if first.AnchorSats == last.AnchorSats {
		return fmt.Sprintf("; it costs about %s sat", humanize.Count(first.AnchorSats))
	}
	text := fmt.Sprintf("; it costs about %s sat at first, and at most %s sat", humanize.Count(first.AnchorSats), humanize.Count(last.AnchorSats))
	if after := time.Duration(last.AfterSeconds) * time.Second; after > 0 {
		text += " after " + humanize.Duration(after)
	}
	return strings.TrimSpace(text)
}
