package itest

import (
	"fmt"
	"slices"
	"testing"

	"ancre/rpc"
)

// feedReader keeps a cursor of the feed of changes, and what it heard of each batch.
type feedReader struct {
	*world
	cursor string
	heard  map[uint64][]string
}

// read reads the feed until cond holds of what was heard of a batch.
func (r *feedReader) read(batch uint64, cond func(states []string) bool) {
	r.Helper()
	for !cond(r.heard[batch]) {
		var c rpc.Changes
		r.call(&c, "waitchanges", r.cursor, 20, 2)
		if r.ctx.Err() != nil {
			r.Fatalf("of batch %d the feed told %v", batch, r.heard[batch])
		}
		if c.Reset {
			clear(r.heard)
		}
		r.cursor = c.Cursor
		for _, change := range c.Changes {
			r.heard[change.Batch] = append(r.heard[change.Batch], change.State)
		}
	}
}

func (r *feedReader) readUntil(batch uint64, state string) {
	r.Helper()
	r.read(batch, func(states []string) bool { return len(states) > 0 && states[len(states)-1] == state })
}

func (r *feedReader) want(batch uint64, states ...string) {
	r.Helper()
	if !slices.Equal(r.heard[batch], states) {
		r.Errorf("of batch %d the feed told %v, want %v", batch, r.heard[batch], states)
	}
}

// Who keeps his cursor hears of each state of each batch once, although the daemon is killed at the
// worst moments, and although he was away himself.
func TestP7TheFeedOfChangesMissesNothing(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		f := newFork(w)
		r := &feedReader{world: w, heard: make(map[uint64][]string)}
		first := f.sealed()
		r.readUntil(1, "broadcast")
		w.awaitInMempool(w.status(first).TxID)
		f.apart()
		w.must(w.daemon.Kill9())
		w.must(w.node.Mine(w.ctx, 4, ""))
		w.start()
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		r.readUntil(1, "mined")

		// A reorganisation, while nobody reads. Then the payment is mined in another block.
		w.must(f.other.MineEmpty(w.ctx, 6))
		f.together()
		w.awaitState(first, "broadcast")
		w.crash()
		f.sealed() // there is one coin: this batch joins the payment of the first
		w.mineUntilFinal()
		r.readUntil(2, "final")
		r.readUntil(1, "final")
		r.want(2, "open", "sealed", "broadcast", "mined", "final")
		r.want(1, "open", "sealed", "broadcast", "mined", "broadcast", "mined", "final")

		// One who begins now hears the same.
		late := &feedReader{world: w, heard: make(map[uint64][]string)}
		late.readUntil(2, "final")
		late.readUntil(1, "final")
		if fmt.Sprint(late.heard) != fmt.Sprint(r.heard) || late.cursor != r.cursor {
			t.Errorf("one who begins at the first change heard %v up to %s, want %v up to %s", late.heard, late.cursor, r.heard, r.cursor)
		}
	})
}
