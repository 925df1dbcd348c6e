package batcher

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// state is how far a batch is, as the simulation compares it.
type state struct {
	is     State
	anchor uint64
	height int32
	block  chainhash.Hash
}

// states are those that each batch went through, oldest first.
type states map[uint64][]state

// listener is somebody who keeps his cursor, and wants to hear each change of each batch (P7). He
// reads little at a time, and often is behind.
type listener struct {
	l      *life
	rng    *rand.Rand // of its own: it does not change what else happens
	cursor string
	heard  states
}

func newListener(l *life) *listener {
	return &listener{l: l, rng: rand.New(rand.NewPCG(l.seed, 0xfeed)), heard: make(states)}
}

// listen reads some of the feed, or all that there is.
func (n *listener) listen(all bool) {
	for n.l.violation == "" && (all || n.rng.IntN(3) > 0) {
		piece, err := n.l.b.WaitChanges(context.Background(), n.cursor, 1+n.rng.IntN(4), 0)
		if err != nil {
			if !n.l.judge.expected(err) {
				n.l.fail("P7: the feed of changes: %v", err)
			}
			return
		}
		if piece.Reset {
			n.l.say("the feed begins again")
			n.cursor = ""
			clear(n.heard)
		}
		if len(piece.List) == 0 {
			if piece.Cursor != n.cursor {
				n.l.fail("P7: nothing was told, and the cursor went from %q to %q", n.cursor, piece.Cursor)
			}
			n.compare()
			return
		}
		n.cursor = piece.Cursor
		for _, c := range piece.List {
			n.heard[c.Batch] = append(n.heard[c.Batch], state{c.Progress.State, c.Progress.Anchor, c.Progress.Height, c.Progress.BlockHash})
		}
	}
}

// compare checks what was heard up to the end of the feed.
func (n *listener) compare() {
	went := n.l.judge.went
	for _, id := range slices.Sorted(maps.Keys(went)) {
		if !slices.Equal(n.heard[id], went[id]) {
			n.l.fail("P7: batch %d went through %v, and the feed told %v", id, went[id], n.heard[id])
			return
		}
	}
	if len(n.heard) != len(went) {
		n.l.fail("P7: the feed told of %d batches, there are %d", len(n.heard), len(went))
	}
}

// moved notes, after a write that took effect, how far the batches are that it could have changed.
func (j *judge) moved(batches []store.Batch, anchors []store.Anchor) {
	ids := make(map[uint64]bool)
	for i := range batches {
		ids[batches[i].ID] = true
	}
	for i := range anchors {
		for _, v := range anchors[i].Versions {
			for _, id := range v.Batches {
				ids[id] = true
			}
		}
	}
	for id := range ids {
		now := j.l.disk.state(id)
		if all := j.went[id]; len(all) == 0 || all[len(all)-1] != now {
			j.went[id] = append(all[:len(all):len(all)], now)
		}
	}
}

// state returns how far a batch is, by what is on disk.
func (s *memStore) state(id uint64) state {
	b := s.batches[id-1]
	switch {
	case b.State == store.Open:
		return state{is: Open}
	case b.Anchor == 0:
		return state{is: Sealed}
	}
	i, _ := s.anchorAt(b.Anchor)
	a := s.anchors[i]
	switch {
	case !decide.IsMined(a):
		return state{is: Broadcast, anchor: a.ID}
	case a.State == store.Final:
		return state{Final, a.ID, a.Block.Height, a.Block.Hash}
	}
	return state{Mined, a.ID, a.Block.Height, a.Block.Hash}
}
