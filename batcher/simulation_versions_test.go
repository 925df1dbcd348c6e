package batcher

import (
	"bytes"
	"fmt"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/proof"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// version checks a new version against the caps, the form of an anchor and the versions before it.
func (j *judge) version(n *judged, before []*judged) {
	where := fmt.Sprintf("version %d of anchor %d", n.index, n.anchor)
	j.caps(n, where)
	j.commitment(n, where)
	j.coins(n, where)
	if n.index > 0 {
		j.replacement(n, before, where)
	}
}

// caps checks what a version pays.
func (j *judge) caps(n *judged, where string) {
	p, v := &j.l.policy, n.Version
	switch {
	case v.FeeSats != n.fee:
		j.l.fail("P5: %s pays %d sats and says %d", where, n.fee, v.FeeSats)
	case n.fee > p.MaxFeeSats:
		j.l.fail("P5: %s pays %d sats, %d are allowed", where, n.fee, p.MaxFeeSats)
	case v.SatPerVByte > p.MaxFeeRate || n.fee > p.MaxFeeRate*(n.size+int64(len(v.Tx.TxIn))):
		j.l.fail("P5: %s pays %d sats for %d vB (%d sat/vB asked), %d sat/vB are allowed", where, n.fee, n.size, v.SatPerVByte, p.MaxFeeRate)
	case n.fee < n.size:
		j.l.fail("%s pays %d sats for %d vB: no node relays it", where, n.fee, n.size)
	case int64(v.Tx.LockTime) > int64(j.l.client.tip().height):
		j.l.fail("%s has lock time %d at height %d", where, v.Tx.LockTime, j.l.client.tip().height)
	}
}

// commitment checks that a version commits to its batches, all of them sealed.
func (j *judge) commitment(n *judged, where string) {
	v := n.Version
	var roots [][32]byte
	for i, id := range v.Batches {
		root, ok := j.roots[id]
		if !ok {
			j.l.fail("%s commits to batch %d, which is not sealed", where, id)
		}
		if slices.Contains(v.Batches[:i], id) {
			j.l.fail("%s commits twice to batch %d", where, id)
		}
		roots = append(roots, root)
	}
	out := v.Tx.TxOut[0]
	if len(roots) == 0 || proof.Root(roots) != v.Root || out.Value != 0 || !bytes.Equal(out.PkScript, append([]byte{txscript.OP_RETURN, txscript.OP_DATA_32}, v.Root[:]...)) {
		j.l.fail("%s does not commit to its batches %v", where, v.Batches)
	}
}

// coins checks the change and the inputs of a version.
func (j *judge) coins(n *judged, where string) {
	v := n.Version
	for _, out := range v.Tx.TxOut[1:] {
		if !j.l.purse.ours[string(out.PkScript)] || out.Value < txsize.DustLimit {
			j.l.fail("%s pays %d sats to %x", where, out.Value, out.PkScript)
		}
	}
	for i, in := range v.Tx.TxIn {
		if in.Sequence != 0xfffffffd {
			j.l.fail("%s has sequence %x", where, in.Sequence)
		}
		if out := j.l.net.output(in.PreviousOutPoint); out == nil || v.Prevouts[i].Value != out.Value || !bytes.Equal(v.Prevouts[i].PkScript, out.PkScript) {
			j.l.fail("%s spends %s, which it does not know", where, in.PreviousOutPoint)
		}
	}
}

// replacement checks a version against the ones that it replaces.
func (j *judge) replacement(n *judged, before []*judged, where string) {
	v, last := n.Version, before[n.index-1]
	if v.Tx.LockTime <= last.Tx.LockTime {
		j.l.fail("%s has lock time %d, and the one before %d: no block came between them", where, v.Tx.LockTime, last.Tx.LockTime)
	}
	// The mempools hold the newest version that can be mined: a coin that was added on the way may
	// be gone.
	rival := last
	for rival.index > 0 && !j.minable(rival) {
		rival = before[rival.index-1]
	}
	need := rival.fee + n.size + j.evicted(rival)
	if n.fee < need {
		j.l.fail("%s pays %d sats for %d vB: BIP125 wants %d to replace %d", where, n.fee, n.size, need, rival.fee)
	}
	// Batches that joined in versions that can no longer be mined may have been mined elsewhere
	// meanwhile.
	for _, id := range last.Batches {
		elsewhere := rival != last && !slices.Contains(rival.Batches, id) && j.l.disk.batches[id-1].Anchor != n.anchor
		if !slices.Contains(v.Batches, id) && !elsewhere {
			j.l.fail("P2: %s leaves batch %d out", where, id)
		}
	}
	common := slices.DeleteFunc(spent(before[0].Tx), func(at wire.OutPoint) bool {
		return slices.ContainsFunc(before[1:], func(o *judged) bool { return !slices.Contains(spent(o.Tx), at) }) || !slices.Contains(spent(v.Tx), at)
	})
	if len(common) == 0 {
		j.l.fail("P3: the versions of anchor %d have no coin in common", n.anchor)
	}
}

// spent returns the coins that a transaction spends.
func spent(tx *wire.MsgTx) []wire.OutPoint {
	var all []wire.OutPoint
	for _, in := range tx.TxIn {
		all = append(all, in.PreviousOutPoint)
	}
	return all
}

// evicted returns what the anchors in flight pay that spend an output of a version, and that are
// evicted with it.
func (j *judge) evicted(v *judged) (sum int64) {
	for _, a := range j.l.disk.anchors {
		known := j.anchors[a.ID]
		if a.State != store.Broadcast || len(known) == 0 {
			continue
		}
		newest := known[len(known)-1]
		if slices.ContainsFunc(newest.Tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint.Hash == v.txid }) {
			sum += newest.fee + j.evicted(newest)
		}
	}
	return sum
}

// exclusive checks P3 before miners try it: a new version must not be able to be mined beside a
// version of another anchor that commits to one of the same batches, on any branch that forks at
// most deepestFork blocks below the tip.
func (j *judge) exclusive(n *judged) {
	for _, other := range j.all {
		if other.lost {
			// A version that was made after the backup counts from the block in which it is found.
			if other.orphan || other.in == nil || !j.followed() {
				continue
			}
		} else if other.anchor == n.anchor {
			continue
		}
		if !j.rivals(n, other) || j.adrift(other) {
			continue
		}
		// A restored daemon replaces what it had in flight when it found a lost version. That
		// version may be mined anyway.
		if other.found && slices.ContainsFunc(j.anchors[n.anchor], func(o *judged) bool { return o.index < n.index && j.rivals(o, other) && !j.excluded(o, other) }) {
			continue
		}
		if !j.excluded(n, other) {
			j.l.fail("P3: version %d of anchor %d (%.8s, batches %v) could be mined beside version %d of anchor %d (%.8s, batches %v)",
				n.index, n.anchor, n.txid, n.Batches, other.index, other.anchor, other.txid, other.Batches)
		}
	}
}

// rivals reports whether two versions commit to one batch.
func (j *judge) rivals(a, b *judged) bool {
	return slices.ContainsFunc(b.roots, func(r [32]byte) bool { return slices.Contains(a.roots, r) })
}

// adrift reports whether a version depends on a version that a restored daemon does not know and
// that left the chain. No one offers that version any more.
func (j *judge) adrift(v *judged) bool {
	return slices.ContainsFunc(v.Tx.TxIn, func(in *wire.TxIn) bool {
		parent, ok := j.versions[in.PreviousOutPoint.Hash]
		return ok && (parent.lost && parent.in == nil || j.adrift(parent))
	})
}

// excluded reports whether two transactions, with all that they depend on, cannot be on one chain.
func (j *judge) excluded(a, b *judged) bool {
	spender := make(map[wire.OutPoint]*payment)
	var conflict bool
	var add func(p *payment)
	add = func(p *payment) {
		if p.never {
			conflict = true
		}
		for _, in := range p.TxIn {
			old := spender[in.PreviousOutPoint]
			if old == p {
				return
			}
			if old != nil {
				conflict = true
				return
			}
			spender[in.PreviousOutPoint] = p
			if parent := j.l.net.known[in.PreviousOutPoint.Hash]; parent != nil {
				add(parent)
			}
		}
	}
	add(a.payment)
	add(b.payment)
	if conflict {
		return true
	}
	// A transaction too deep to be undone decides the rest. A branch that is being built will be
	// higher than what it replaces.
	height := max(j.l.net.height(), j.l.net.tallest)
	for at, p := range spender {
		if by := j.l.net.spentBy[at]; by != nil && by != p && by.in != nil && height-by.in.height+1 > deepestFork {
			return true
		}
	}
	return false
}

// budget checks mined anchors and those in flight against the budget, when an anchor is stored.
func (j *judge) budget(a *store.Anchor) {
	limit := j.l.policy.BudgetSats
	if limit == 0 || j.restored { // what was paid after the backup is not known
		return
	}
	view := j.l.client.view
	var sum int64
	counted := map[uint64]bool{}
	for _, v := range j.all {
		if v.in != nil && int(v.in.height) < len(view) && view[v.in.height] == v.in {
			counted[v.anchor] = true
			if v.in.height > j.l.client.tip().height-decide.BudgetBlocks {
				sum += v.fee
			}
		}
	}
	for _, stored := range append(slices.Clone(j.l.disk.anchors), *a) {
		if counted[stored.ID] || stored.State != store.Broadcast {
			continue
		}
		counted[stored.ID] = true
		dearest := int64(0)
		for _, v := range j.anchors[stored.ID] {
			dearest = max(dearest, v.fee)
		}
		sum += dearest
	}
	if sum > limit {
		j.l.fail("P5: with anchor %d %d sats are mined or in flight, the budget is %d", a.ID, sum, limit)
	}
}
