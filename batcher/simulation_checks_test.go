package batcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/warning"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// deepestFork is the deepest reorganisation that the batcher has to withstand without paying twice.
const deepestFork = 10

// judge checks the promises. It goes by the writes that took effect, the transactions that were
// offered and the blocks, never by what the daemon says of itself.
type judge struct {
	l *life

	acked    map[[32]byte]store.Position // P1
	order    [][32]byte                  // of acked, by arrival
	roots    map[uint64][32]byte         // of sealed batches, computed here from their leaves
	versions map[chainhash.Hash]*judged  // all that were ever stored
	anchors  map[uint64][]*judged        // the same by anchor, as they came
	all      []*judged                   // the same as they came
	paid     map[[32]byte]*judged        // which version on the active chain commits to a batch, by its root
	mined    []*judged                   // those on the active chain, by height
	won      map[uint64]*judged          // which version of an anchor was mined last
	handed   []handedProof
	went     states        // P7: what each batch went through
	restored bool          // from a backup: what came after it is not known to the daemon
	waited   uint64        // a sealed batch that nothing paid for after the step before; 0: none
	rare     [numRare]bool // what this life had in it
}

// judged is a stored version.
type judged struct {
	*payment
	store.Version
	anchor uint64
	index  int
	roots  [][32]byte // of its batches
	lost   bool       // made after the backup from which the store was restored
	found  bool       // and recognised since: what was paid anew meanwhile is not held against anybody
	orphan bool       // lost, and the store cannot know what it is: what it paid for may be paid again
}

// handedProof is a complete proof that a client has.
type handedProof struct {
	digest [32]byte
	block  *link
	bytes  []byte
}

func newJudge(l *life) *judge {
	return &judge{
		l: l, acked: make(map[[32]byte]store.Position), roots: make(map[uint64][32]byte),
		versions: make(map[chainhash.Hash]*judged), anchors: make(map[uint64][]*judged), paid: make(map[[32]byte]*judged), won: make(map[uint64]*judged),
		went: make(states),
	}
}

// restore makes the judge expect what a backup can promise. What came after the backup is
// forgotten. What was paid since may be paid again, unless the coins of its anchor and its batches
// reveal the version that did.
func (j *judge) restore(image *memStore) {
	j.restored, j.handed, j.waited = true, nil, 0
	j.went = j.l.imageWent
	j.order = slices.DeleteFunc(j.order, func(d [32]byte) bool {
		_, ok := image.places[proof.Leaf(d[:], j.l.b.nonces.Nonce(d[:]))]
		if !ok {
			delete(j.acked, d)
		}
		return !ok
	})
	clear(j.roots)
	for _, b := range image.batches {
		if b.State == store.Sealed {
			j.roots[b.ID] = b.Root
		}
	}
	clear(j.anchors)
	for _, v := range j.all {
		v.lost = true
	}
	for _, a := range image.anchors {
		for _, v := range a.Versions {
			known := j.versions[v.Tx.TxHash()]
			known.lost, known.orphan = false, false
			j.anchors[a.ID] = append(j.anchors[a.ID], known)
		}
	}
	for _, v := range j.all {
		if !v.lost {
			continue
		}
		siblings := j.anchors[v.anchor]
		v.orphan = len(siblings) == 0 || !j.known(image, siblings, v) || slices.ContainsFunc(spent(v.Tx), func(at wire.OutPoint) bool {
			return !slices.ContainsFunc(siblings, func(o *judged) bool { return slices.Contains(spent(o.Tx), at) })
		})
		if v.orphan {
			v.anchor = 0
		}
		j.l.say("%s is not known to the backup; it could be known: %t", j.name(v.txid), !v.orphan)
	}
}

// known reports whether a backup knows what a version commits to: the batches of a version that the
// backup has, or those of its newest version and some that waited.
func (j *judge) known(image *memStore, siblings []*judged, v *judged) bool {
	if slices.ContainsFunc(siblings, func(o *judged) bool { return slices.Equal(o.roots, v.roots) }) {
		return true
	}
	roots := slices.Clone(siblings[len(siblings)-1].roots)
	for _, b := range image.batches {
		if b.State == store.Sealed && b.Anchor == 0 {
			if roots = append(roots, b.Root); slices.Equal(roots, v.roots) {
				return true
			}
		}
	}
	return false
}

// name is the name of a transaction in the story.
func (j *judge) name(txid chainhash.Hash) string {
	if v, ok := j.versions[txid]; ok {
		return fmt.Sprintf("anchor %d version %d %.8s (batches %v, %d sats)", v.anchor, v.index, txid, v.Batches, v.FeeSats)
	}
	return fmt.Sprintf("transaction %.8s", txid)
}

// acknowledged records where digests are, as the daemon answered.
func (j *judge) acknowledged(sts []Status) {
	for _, st := range sts {
		was, before := j.acked[st.Digest]
		if before && was != st.Position {
			j.l.fail("P1: digest %.4x was acknowledged at %v and is now at %v", st.Digest, was, st.Position)
		}
		if !before {
			j.acked[st.Digest] = st.Position
			j.order = append(j.order, st.Digest)
		}
	}
}

// applied checks each write of the loops that took effect.
func (j *judge) applied(u *store.Update) {
	for _, b := range u.Batches {
		if b.State != store.Sealed {
			continue
		}
		root, ok := j.roots[b.ID]
		if !ok {
			root = proof.Root(j.l.disk.leaves[b.ID-1])
			j.roots[b.ID] = root
			j.l.say("batch %d of %d digests is sealed", b.ID, b.Count)
		}
		if b.Root != root {
			j.l.fail("P1: batch %d has the root %x, its leaves %x", b.ID, b.Root, root)
		}
	}
	for i := range u.Anchors {
		j.stored(&u.Anchors[i])
	}
	for i := range u.Anchors {
		j.note(&u.Anchors[i])
	}
	j.moved(u.Batches, u.Anchors)
}

// note records the events of this life.
func (j *judge) note(a *store.Anchor) {
	all := j.anchors[a.ID]
	is := func(what int, yes bool) { j.rare[what] = j.rare[what] || yes }
	is(rareReplaced, len(all) > 1)
	is(rareDead, a.State == store.Dead)
	is(rareCombined, len(all[0].Tx.TxIn) > 1)
	is(rareNoChange, len(all[len(all)-1].Tx.TxOut) == 1)
	for _, in := range a.Versions[0].Tx.TxIn {
		parent := j.versions[in.PreviousOutPoint.Hash]
		if parent == nil {
			p := j.l.net.known[in.PreviousOutPoint.Hash]
			is(rareGivenUp, a.State == store.Dead && p != nil && p.in == nil)
			continue
		}
		if parent.lost {
			continue
		}
		siblings := j.anchors[parent.anchor]
		is(rareChained, slices.ContainsFunc(siblings[len(siblings)-1].Batches, func(id uint64) bool {
			return slices.Contains(all[0].Batches, id) && !slices.Contains(parent.Batches, id)
		}))
		is(rareFamily, a.State == store.Broadcast && parent.in == nil)
		is(rareLost, a.State == store.Spent && parent.in == nil)
	}
	if a.Block == nil {
		return
	}
	mined := a.State == store.Mined || a.State == store.Final
	is(rareOlder, mined && a.Block.Version < len(all)-1)
	is(rareLeftOut, mined && len(all[len(all)-1].Batches) > len(all[a.Block.Version].Batches))
	by := j.l.net.spentBy[a.Versions[0].Tx.TxIn[0].PreviousOutPoint]
	is(rareStolen, a.State == store.Spent && by != nil && j.versions[by.txid] == nil)
}

// stored checks an anchor that was written.
func (j *judge) stored(a *store.Anchor) {
	known := j.anchors[a.ID]
	if len(a.Versions) < len(known) {
		j.l.fail("P3: anchor %d had %d versions and has %d: one that may be mined is forgotten", a.ID, len(known), len(a.Versions))
		return
	}
	for i, v := range a.Versions {
		if i < len(known) {
			if v.Tx != known[i].Tx && v.Tx.TxHash() != known[i].txid {
				j.l.fail("P3: version %d of anchor %d became another", i, a.ID)
			}
			continue
		}
		n := &judged{payment: j.l.net.payment(v.Tx), Version: v, anchor: a.ID, index: i}
		for _, id := range v.Batches {
			n.roots = append(n.roots, j.roots[id])
		}
		if old, ok := j.versions[n.txid]; ok && old.lost {
			j.l.say("version %.8s is found again", n.txid)
			j.rare[rareAdopted] = true
			old.found = true
			old.lost, old.orphan, old.anchor, old.index, old.roots, old.Version = false, false, a.ID, i, n.roots, v
			known = append(known, old)
			j.anchors[a.ID] = known
			continue
		} else if ok {
			j.l.fail("P3: version %d of anchor %d is version %d of anchor %d", i, a.ID, old.index, old.anchor)
		}
		if a.State != store.Broadcast {
			j.l.fail("anchor %d is %s and gets a version", a.ID, a.State)
		}
		j.l.say("anchor %d version %d stored: %.8s, batches %v, %d sats, %d vB, lock time %d, spends %s", a.ID, i, n.txid, v.Batches, n.fee, n.size, v.Tx.LockTime, j.coinsOf(v.Tx))
		j.version(n, known)
		j.versions[n.txid] = n
		j.all = append(j.all, n)
		known = append(known, n)
		j.anchors[a.ID] = known
		j.exclusive(n)
		j.budget(a)
	}
}

func (j *judge) coinsOf(tx *wire.MsgTx) string {
	var buf bytes.Buffer
	for _, in := range tx.TxIn {
		fmt.Fprintf(&buf, "%.8s:%d ", in.PreviousOutPoint.Hash, in.PreviousOutPoint.Index)
	}
	return buf.String()
}

// offered checks each transaction that goes to the peers.
func (j *judge) offered(p *payment) {
	v, ok := j.versions[p.txid]
	if !ok {
		j.l.fail("P3: transaction %s is offered and not stored", p.txid)
		return
	}
	if j.l.frail.dead { // this process does not know what became of its last write
		return
	}
	// Only the wallet can tell the daemon whether a coin has come back, and not while it is locked
	// or behind.
	told := j.l.purse.ready == nil && j.l.client.current()
	if all := j.anchors[v.anchor]; told && slices.ContainsFunc(all[v.index+1:], j.minable) && !j.built(v) {
		j.l.fail("version %d of anchor %d is offered, and version %d is the newest", v.index, v.anchor, len(all)-1)
	}
	if i, ok := j.l.disk.anchorAt(v.anchor); ok && j.l.disk.anchors[i].State != store.Broadcast {
		j.l.fail("anchor %d is %s and is offered", v.anchor, j.l.disk.anchors[i].State)
	}
}

// minable reports whether all coins that a version spends exist and are unspent, or would come with
// an anchor in flight.
func (j *judge) minable(v *judged) bool {
	for _, in := range v.Tx.TxIn {
		if by := j.l.net.spentBy[in.PreviousOutPoint]; by != nil && by.in != nil && by != v.payment {
			return false
		}
		if p := j.l.net.known[in.PreviousOutPoint.Hash]; p.in != nil {
			continue
		}
		parent := j.versions[in.PreviousOutPoint.Hash]
		if parent == nil {
			return false
		}
		if i, ok := j.l.disk.anchorAt(parent.anchor); !ok || j.l.disk.anchors[i].State != store.Broadcast {
			return false
		}
	}
	return true
}

// built reports whether an anchor in flight spends the change of a version. That version is then
// the one to be mined.
func (j *judge) built(v *judged) bool {
	return slices.ContainsFunc(j.l.disk.anchors, func(a store.Anchor) bool {
		return a.State == store.Broadcast && slices.ContainsFunc(a.Versions[0].Tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint.Hash == v.txid })
	})
}

// connected handles each block that joins the active chain.
func (j *judge) connected(k *link) {
	for _, p := range k.txs {
		v, ok := j.versions[p.txid]
		if !ok {
			if s := p.TxOut[0].PkScript; s[0] == txscript.OP_RETURN {
				j.l.fail("P3: %s is mined and was never stored", p.txid)
			}
			continue
		}
		j.l.say("block %d holds %s", k.height, j.name(p.txid))
		j.mined = append(j.mined, v)
		if before, ok := j.won[v.anchor]; ok && before != v {
			j.rare[rareOther] = true
		}
		j.won[v.anchor] = v
		for i, root := range v.roots {
			if other := j.paid[root]; other != nil && !other.lost && !v.lost && !other.found && !v.found {
				j.l.fail("P3: batch %d is paid twice: by %s in block %d and by %s in block %d", v.Batches[i], j.name(other.txid), other.in.height, j.name(p.txid), k.height)
			}
			j.paid[root] = v
		}
	}
	if limit := j.l.policy.BudgetSats; limit != 0 && !j.restored && len(k.txs) > 0 {
		var sum int64
		for _, v := range j.mined {
			if v.in.height > k.height-decide.BudgetBlocks {
				sum += v.fee
			}
		}
		if sum > limit {
			j.l.fail("P5: %d sats are mined within %d blocks up to block %d, the budget is %d", sum, decide.BudgetBlocks, k.height, limit)
		}
	}
}

// disconnected handles each block that leaves it.
func (j *judge) disconnected(k *link) {
	for _, p := range k.txs {
		v, ok := j.versions[p.txid]
		if !ok {
			continue
		}
		j.mined = slices.DeleteFunc(j.mined, func(x *judged) bool { return x == v })
		for _, root := range v.roots {
			if j.paid[root] == v {
				delete(j.paid, root)
			}
		}
	}
}

// reorganised is called with the number of blocks that left the chain. A reorganisation may
// invalidate a proof only if it is as deep as the proof was final.
func (j *judge) reorganised(depth int) {
	j.handed = slices.DeleteFunc(j.handed, func(h handedProof) bool {
		if j.l.net.isActive(h.block) {
			return false
		}
		j.rare[rareUndone] = true
		if depth < int(j.l.policy.Confirmations) {
			j.l.fail("P4: the proof of digest %.4x in block %d was complete, and a reorganisation of %d blocks undid it; final means %d",
				h.digest, h.block.height, depth, j.l.policy.Confirmations)
		}
		return true
	})
}

// prove requests the proof of an acknowledged digest, and checks it against the chain.
func (j *judge) prove(digest [32]byte) (final bool) {
	data, st, _, err := j.l.b.Proof(context.Background(), nil, digest)
	if err != nil {
		j.l.fail("P1: proof of digest %.4x: %v", digest, err)
		return false
	}
	j.acknowledged([]Status{st})
	if st.Progress.State != Final || !j.l.client.current() || !j.followed() {
		return st.Progress.State == Final
	}
	for i := range j.handed {
		if h := &j.handed[i]; h.digest == digest && h.block.height == st.Progress.Height && bytes.Equal(h.bytes, data) {
			return true
		} else if h.digest == digest {
			j.l.fail("P4: the proof of digest %.4x changed, and no reorganisation undid it", digest)
			return false
		}
	}
	f, err := proof.Parse(data)
	if err != nil {
		j.l.fail("P4: proof of digest %.4x: %v", digest, err)
		return false
	}
	r, err := proof.Verify(context.Background(), f, digest[:], j.l.net)
	if err != nil || r.Outcome != proof.OutcomeValid {
		j.l.fail("P4: the complete proof of digest %.4x does not verify: %+v, %v", digest, r, err)
		return false
	}
	if depth := j.l.net.height() - int32(r.Header.Height) + 1; depth < j.l.policy.Confirmations {
		j.l.fail("P4: digest %.4x is final in block %d, under %d blocks; final means %d", digest, r.Header.Height, depth, j.l.policy.Confirmations)
	}
	j.handed = append(j.handed, handedProof{digest, j.l.net.active[r.Header.Height], data})
	return true
}

// followed reports whether the daemon has seen the newest block.
func (j *judge) followed() bool {
	points := j.l.disk.cursor.Points
	return len(points) > 0 && points[len(points)-1].Hash == j.l.net.tip().hash
}

// released checks, once nothing is in flight, that no coin stays leased without need. The change of
// a version that left batches out is needed until no reorganisation can undo it.
func (j *judge) released() {
	for _, c := range j.l.purse.coins {
		v, change := j.versions[c.Hash]
		if change && slices.ContainsFunc(j.anchors[v.anchor], func(o *judged) bool { return !slices.Equal(o.Batches, v.Batches) }) {
			continue
		}
		if j.l.purse.leases[c.OutPoint] == forEver {
			j.l.fail("coin %s stays leased, and nothing needs it", c.OutPoint)
		}
	}
}

// leased checks that the operator's own payments cannot take the coins of anchors in flight, from
// the start on.
func (j *judge) leased() {
	for i := range j.l.disk.anchors {
		if a := &j.l.disk.anchors[i]; a.State == store.Broadcast {
			for _, at := range decide.Inputs(*a) {
				if until := j.l.purse.leases[at]; !until.After(j.l.clock) {
					j.l.fail("coin %s of anchor %d in flight is not leased", at, a.ID)
				}
			}
		}
	}
}

// settled compares what is stored with the chain, after a step that went through to the tip.
func (j *judge) settled() {
	j.leased()
	for i := range j.l.disk.anchors {
		if a := &j.l.disk.anchors[i]; !a.Settled {
			j.settledAnchor(a)
		}
	}
	for i := range j.l.disk.batches {
		j.settledBatch(&j.l.disk.batches[i])
	}
}

// settledAnchor checks that an anchor is in the block in which the chain has it.
func (j *judge) settledAnchor(a *store.Anchor) {
	var mined *judged
	for _, v := range j.anchors[a.ID] {
		if v.in != nil {
			mined = v
		}
	}
	switch a.State {
	case store.Broadcast:
		if mined != nil {
			j.l.fail("P2: anchor %d is %s, and its version %d is in block %d", a.ID, a.State, mined.index, mined.in.height)
		}
	case store.Mined, store.Final:
		if mined == nil || mined.index != a.Block.Version || mined.in.hash != a.Block.Hash {
			j.l.fail("P4: anchor %d is %s in block %d %s, version %d, which is not so", a.ID, a.State, a.Block.Height, a.Block.Hash, a.Block.Version)
			return
		}
		depth := j.l.net.height() - mined.in.height + 1
		if deep := depth >= j.l.policy.Confirmations; deep != (a.State == store.Final) {
			j.l.fail("P4: anchor %d is %s under %d blocks; final means %d", a.ID, a.State, depth, j.l.policy.Confirmations)
		}
	case store.Spent, store.Dead:
		if mined != nil {
			j.l.fail("P3: anchor %d is %s, and its version %d is in block %d", a.ID, a.State, mined.index, mined.in.height)
		}
	}
}

// settledBatch checks that a batch is with the anchor that paid for it.
func (j *judge) settledBatch(b *store.Batch) {
	paid := j.paid[b.Root]
	switch {
	case b.State != store.Sealed || paid != nil && (paid.lost || j.restored):
	case b.Anchor == 0 && paid != nil:
		j.l.fail("P3: batch %d waits for an anchor, and anchor %d paid for it in block %d", b.ID, paid.anchor, paid.in.height)
	case b.Anchor != 0 && paid != nil && b.Anchor != paid.anchor:
		j.l.fail("P3: batch %d is with anchor %d, and anchor %d paid for it in block %d", b.ID, b.Anchor, paid.anchor, paid.in.height)
	case b.Anchor != 0 && paid == nil:
		s := j.l.disk
		i, ok := s.anchorAt(b.Anchor)
		if !ok || decide.IsMined(s.anchors[i]) || s.anchors[i].State == store.Dead {
			j.l.fail("P2: batch %d is with anchor %d, which does not commit to it", b.ID, b.Anchor)
		}
	}
}

// loud checks that a warning says why a sealed batch has no anchor, if a whole step did nothing
// about it.
func (j *judge) loud() {
	was := j.waited
	j.waited = 0
	for i := range j.l.disk.anchors {
		if s := j.l.disk.anchors[i].State; s == store.Broadcast || s == store.Spent {
			return
		}
	}
	for i := range j.l.disk.batches {
		if b := &j.l.disk.batches[i]; b.State == store.Sealed && b.Anchor == 0 {
			j.waited = b.ID
			break
		}
	}
	if was != 0 && was == j.waited && !warning.Has(j.l.b.board.List(), paying...) {
		j.l.fail("P5: batch %d waits, nothing is in flight, and nobody is told why", was)
	}
}

// every checks that each acknowledged digest is at the position that was acknowledged.
func (j *judge) every() {
	for _, d := range j.order {
		at := j.acked[d]
		leaf := proof.Leaf(d[:], j.l.b.nonces.Nonce(d[:]))
		if at.Batch > uint64(len(j.l.disk.leaves)) || at.Index >= uint64(len(j.l.disk.leaves[at.Batch-1])) || j.l.disk.leaves[at.Batch-1][at.Index] != leaf {
			j.l.fail("P1: digest %.4x is not at %v, where it was acknowledged", d, at)
		}
	}
	j.l.listener.listen(false)
}

// expected reports whether the life itself caused an error.
func (j *judge) expected(err error) bool {
	for _, known := range []error{errKilled, errPowerCut, store.ErrFull, errFetch, errLocked, errBehind} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
