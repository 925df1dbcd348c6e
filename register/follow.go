package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ancre/internal/wake"
	"ancre/register/store"
	"ancre/rpc"
)

const (
	changesPiece = 200 // changes of batches that are asked for at once
	followPiece  = 256 // proofs that are stored at once
)

// follower follows the feed of changes of the node. One goroutine has it.
type follower struct {
	*Register
	nextSweep time.Time // when all unfinished proofs are looked at again; zero: at once

	// fromStart says that the feed is read from its beginning, whatever cursor is stored: the node
	// does not know that cursor, and has no change yet after which another one could be stored.
	fromStart bool
}

// follow follows the proofs of the digests that the node has, until ctx ends or the store has
// failed.
func (r *Register) follow(ctx context.Context) error {
	f := &follower{Register: r}
	for wait := r.retryWait(); ; {
		if err := r.ready(ctx); err != nil {
			return err
		}
		err := f.step(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, store.ErrFailed):
			return err
		case err == nil:
			r.over(warnRefused, "the node refuses no call any more")
			wait = r.retryWait()
			continue
		}
		if err := wait(ctx, err); err != nil {
			return err
		}
	}
}

// step waits for changes once, and stores what became of the proofs. What a crash or an error
// leaves unfinished begins again at the cursor that is stored.
func (f *follower) step(ctx context.Context) error {
	if !f.now().Before(f.nextSweep) {
		if err := f.sweep(ctx); err != nil {
			return err
		}
	}
	cursor, err := f.store.Cursor(ctx)
	if err != nil {
		f.storeFailed(ctx, err)
		return err
	}
	if f.fromStart {
		cursor = ""
	}
	changes, err := f.waitChanges(ctx, cursor)
	if err != nil {
		f.nodeFailed(ctx, err)
		return err
	}
	if changes.Reset {
		f.log.Warn("the node does not know how far the register was: it was restored from a backup, or is another one. All proofs are looked at again", "cursor", cursor)
		if err := f.sweep(ctx); err != nil {
			return err
		}
		f.fromStart, cursor = true, ""
	}
	return f.apply(ctx, changes, cursor)
}

// waitChanges waits for changes behind a cursor. A cursor that the node cannot read is one that it
// does not know.
func (f *follower) waitChanges(ctx context.Context, cursor string) (rpc.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, f.pace.wait+f.pace.call)
	defer cancel()
	changes, err := f.node.WaitChanges(ctx, cursor, f.pace.wait, changesPiece)
	if cursor != "" && rpc.HasCode(err, rpc.CodeInvalidParameter) {
		changes, err = f.node.WaitChanges(ctx, "", 0, changesPiece)
		changes.Reset = true
	}
	return changes, err
}

// apply stores what became of the proofs of the batches that changed, and then the cursor.
func (f *follower) apply(ctx context.Context, changes rpc.Changes, was string) error {
	if changes.Cursor == was && len(changes.Changes) == 0 {
		return nil
	}
	f.awaitAnswers()
	newest := make(map[uint64]rpc.Change)
	var order []uint64
	for _, c := range changes.Changes {
		if _, seen := newest[c.Batch]; !seen {
			order = append(order, c.Batch)
		}
		newest[c.Batch] = c
	}
	look := newLook(f.Register)
	for _, batch := range order {
		proofs, err := f.store.ProofsOfBatch(ctx, batch)
		if err != nil {
			f.storeFailed(ctx, err)
			return err
		}
		change := newest[batch]
		proofs = slices.DeleteFunc(proofs, func(p store.Proof) bool { return agrees(p, change) })
		if err := f.refreshAll(ctx, look, proofs); err != nil {
			return err
		}
	}
	if err := f.store.Follow(ctx, nil, changes.Cursor); err != nil {
		f.storeFailed(ctx, err)
		return err
	}
	f.fromStart = false
	f.over(warnStore, "the register can be written again")
	_ = f.contact(ctx) // so that the page knows the blocks of these proofs
	return nil
}

// awaitAnswers waits until a sender that was answered before now has stored the answer. One that
// asks later is answered with the changes that the follower knows.
func (f *follower) awaitAnswers() {
	f.answering.Lock()
	defer f.answering.Unlock()
}

// agrees reports whether a change says nothing new of a proof.
func agrees(p store.Proof, c rpc.Change) bool {
	switch c.State {
	case nodeMined:
		return p.State == store.Mined && p.Height == c.Height && p.BlockHash == c.BlockHash
	case nodeFinal:
		return p.State == store.Complete && p.Height == c.Height && p.BlockHash == c.BlockHash
	}
	return p.State == store.Pending
}

// sweep looks at all unfinished proofs, and at whether the blocks of the complete ones are still in
// the node's chain. It finds what the feed cannot tell: a node that lost digests, and proofs that
// could not be had when the feed told of them.
func (f *follower) sweep(ctx context.Context) error {
	f.nextSweep = f.now().Add(f.pace.sweep)
	look := newLook(f.Register)
	err := f.forProofs(ctx, func(page []store.Proof) error { return f.refreshAll(ctx, look, page) }, store.Pending, store.Mined)
	if err == nil {
		err = f.forProofs(ctx, func(page []store.Proof) error {
			dropped, err := f.dropped(ctx, look, page)
			if err != nil {
				return err
			}
			return f.refreshAll(ctx, look, dropped)
		}, store.Complete)
	}
	if err != nil {
		f.nextSweep = time.Time{}
	}
	return err
}

// forProofs calls do for all proofs of these states, page by page.
func (f *follower) forProofs(ctx context.Context, do func([]store.Proof) error, states ...store.ProofState) error {
	var after *store.Digest
	for {
		page, err := f.store.ProofsAfter(ctx, after, followPiece, states...)
		if err != nil {
			f.storeFailed(ctx, err)
			return err
		}
		if len(page) == 0 {
			return nil
		}
		last := page[len(page)-1].Digest
		after = &last
		if err := do(page); err != nil {
			return err
		}
	}
}

// dropped returns the complete proofs whose block is not in the node's chain. A block above the
// newest one of a node that has not synced is no reason.
func (f *follower) dropped(ctx context.Context, look *look, page []store.Proof) (out []store.Proof, err error) {
	for _, p := range page {
		hash, err := look.blockHash(ctx, p.Height)
		if rpc.HasCode(err, rpc.CodeInvalidParameter) {
			if !f.NodeStatus().Synced {
				continue
			}
			hash, err = "", nil
		}
		if err != nil {
			f.nodeFailed(ctx, err)
			return nil, err
		}
		if hash != p.BlockHash {
			out = append(out, p)
		}
	}
	return out, nil
}

// refreshAll asks the node for proofs, and stores what changed, piece by piece. Proofs that the
// node cannot give are left as they are: the next sweep asks again.
func (f *follower) refreshAll(ctx context.Context, look *look, proofs []store.Proof) error {
	for piece := range slices.Chunk(proofs, followPiece) {
		changed, failure := f.refreshPiece(ctx, look, piece)
		if len(changed) > 0 {
			if err := f.store.Follow(ctx, changed, ""); err != nil {
				f.storeFailed(ctx, err)
				return err
			}
			if slices.ContainsFunc(changed, func(p store.Proof) bool { return p.State == store.Waiting }) {
				wake.Up(f.digestWaits)
			}
		}
		if failure != nil {
			f.lookFailed(ctx, failure)
			return failure
		}
	}
	return nil
}

// refreshPiece asks the node for a few proofs. It returns those that changed, even if it could not
// finish.
func (f *follower) refreshPiece(ctx context.Context, look *look, piece []store.Proof) (changed []store.Proof, err error) {
	looked, err := f.inParallel(ctx, piece, func(ctx context.Context, i int) (store.Proof, error) {
		now, err := look.refresh(ctx, piece[i])
		if errors.Is(err, errSyncing) {
			look.skip()
		}
		return now, err
	})
	was := make(map[store.Digest]store.Proof, len(piece))
	for _, p := range piece {
		was[p.Digest] = p
	}
	back := make(map[string]int)
	for _, now := range looked {
		before := was[now.Digest]
		if now == before {
			continue
		}
		changed = append(changed, now)
		if isBack(before, now) {
			back[fmt.Sprintf("%s to %s", before.State, now.State)]++
		}
	}
	for step, n := range back {
		f.log.Warn("proofs went back: Bitcoin's chain dropped their block, or the node lost them", "proofs", n, "from", step)
	}
	if soon := f.now().Add(f.pace.poll); look.skipped() && soon.Before(f.nextSweep) {
		f.nextSweep = soon
	}
	return changed, err
}

// isBack reports whether a proof is less far than it was, or was mined in another block.
func isBack(was, now store.Proof) bool {
	before, after := slices.Index(store.ProofStates, was.State), slices.Index(store.ProofStates, now.State)
	return after < before || was.BlockHash != "" && was.BlockHash != now.BlockHash
}
