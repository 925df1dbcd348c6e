package itest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"ancre/rpc"

	"golang.org/x/sync/errgroup"
)

// The daemon is killed while many clients submit digests. After the restart each acknowledged
// digest is where the daemon said, and stays there. The clients submit the others again. In the end
// each digest is final, in one batch.
func TestP1AcknowledgedDigestIsInExactlyOneBatchOverCrashes(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.start()
		w.createWallet()
		const total = 200
		digests := make([]string, total)
		for i := range digests {
			digests[i] = randomDigest()
		}

		acked := w.submitAndKill(digests, total/2)
		w.start()
		for digest, e := range acked {
			if now := w.status(digest); now.Batch != e.Batch || now.Index != e.Index {
				t.Fatalf("%s was acknowledged in batch %d at %d, and after the crash is in batch %d at %d", digest, e.Batch, e.Index, now.Batch, now.Index)
			}
		}
		t.Logf("%d of %d acknowledged before the first kill", len(acked), total)
		w.call(nil, "closebatch")

		// The client's rule: it submits again what was not acknowledged, and may submit again what
		// was.
		places := make(map[string]rpc.Entry)
		for _, digest := range digests {
			e := w.submit(digest)
			if before, ok := acked[digest]; ok && (before.Batch != e.Batch || before.Index != e.Index) {
				t.Fatalf("%s moved from batch %d to %d when it was submitted again", digest, before.Batch, e.Batch)
			}
			places[digest] = e
		}
		w.crash()
		w.call(nil, "closebatch")
		w.crash()
		w.fund()
		w.mineUntilFinal()
		w.crash()

		taken := make(map[string]string)
		for _, digest := range digests {
			e := w.status(digest)
			if e.State != "final" || e.Batch != places[digest].Batch || e.Index != places[digest].Index {
				t.Fatalf("in the end: %+v, want it final, in batch %d at %d", e, places[digest].Batch, places[digest].Index)
			}
			place := fmt.Sprintf("batch %d at %d", e.Batch, e.Index)
			if other, twice := taken[place]; twice {
				t.Fatalf("%s and %s are both in %s", digest, other, place)
			}
			taken[place] = digest
			w.wantValid(digest)
		}
		var batches []rpc.Batch
		w.call(&batches, "listbatches")
		var sum uint64
		for _, b := range batches {
			sum += b.Digests
		}
		if sum != total {
			t.Errorf("the batches hold %d digests in all, want %d", sum, total)
		}
		w.wantPaidOnce()
	})
}

// submitAndKill submits digests from several clients at once, and kills the daemon as soon as
// enough of them are acknowledged. It returns the acknowledgements.
func (w *world) submitAndKill(digests []string, enough int) map[string]rpc.Entry {
	w.Helper()
	var mu sync.Mutex
	acked := make(map[string]rpc.Entry)
	reached := make(chan struct{})
	queue := make(chan string)
	clients, ctx := errgroup.WithContext(w.ctx)
	for range 8 {
		clients.Go(func() error {
			for digest := range queue {
				var e rpc.Entry
				if err := w.daemon.Call(ctx, &e, "submit", digest); err != nil {
					continue // the daemon is dying: nothing was promised
				}
				mu.Lock()
				acked[digest] = e
				if len(acked) == enough {
					close(reached)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	clients.Go(func() error {
		defer close(queue)
		for _, digest := range digests {
			queue <- digest
		}
		return nil
	})
	select {
	case <-reached:
	case <-w.ctx.Done():
		w.Fatal("the daemon did not acknowledge enough digests")
	}
	w.must(w.daemon.Kill9())
	w.must(clients.Wait())
	return acked
}

// The daemon is killed with a digest in each state, and once while blocks are mined without it.
// Each time it goes on where it was.
func TestP6GoesOnWhereItWasAfterAKillInEachState(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.start()
		w.createWallet()
		digest := randomDigest()
		first := w.submit(digest)

		w.crash()
		if e := w.status(digest); e.State != "open" || e.Batch != first.Batch || e.Index != first.Index {
			t.Fatalf("killed while open: %+v, want what was acknowledged, %+v", e, first)
		}

		var sealed, again rpc.Batch
		w.call(&sealed, "closebatch")
		w.awaitState(digest, "sealed") // nothing can be paid yet
		w.call(&sealed, "getbatch", first.Batch)
		w.crash()
		w.awaitState(digest, "sealed")
		w.call(&again, "getbatch", first.Batch)
		if again.Root != sealed.Root || again.Root == "" || again.Digests != 1 {
			t.Fatalf("killed while sealed: %+v, want the batch as it was sealed, %+v", again, sealed)
		}

		w.fund()
		e := w.awaitState(digest, "broadcast")
		w.crash()
		if now := w.awaitState(digest, "broadcast"); now.TxID != e.TxID {
			t.Fatalf("killed while broadcast: now %s, before %s: a second payment was made", now.TxID, e.TxID)
		}
		w.awaitInMempool(e.TxID)

		// Mined while the daemon is down.
		w.must(w.daemon.Kill9())
		w.must(w.node.Mine(w.ctx, 2, ""))
		w.start()
		mined := w.awaitState(digest, "mined")
		if mined.TxID != e.TxID || mined.Confirmations != 2 {
			t.Fatalf("mined during downtime: %+v, want %s under 2 blocks", mined, e.TxID)
		}
		w.crash()
		if now := w.awaitState(digest, "mined"); now.BlockHash != mined.BlockHash {
			t.Fatalf("killed while mined: now in %s, before in %s", now.BlockHash, mined.BlockHash)
		}

		w.mine(4)
		w.awaitState(digest, "final")
		var before, after rpc.Proof
		w.call(&before, "getproof", digest)
		w.crash()
		w.call(&after, "getproof", digest)
		if after.State != "final" || !after.Complete || after.Proof != before.Proof {
			t.Fatalf("killed while final: %+v, want the same complete proof as before, %+v", after, before)
		}
		w.wantPaidOnce()
	})
}

// The anchor becomes final while the daemon is down.
func TestP6CatchesUpOnAnAnchorThatBecameFinalDuringDowntime(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		digest := randomDigest()
		w.submit(digest)
		w.call(nil, "closebatch")
		e := w.awaitState(digest, "broadcast")
		w.awaitInMempool(e.TxID)
		w.must(w.daemon.Stop())
		w.must(w.node.Mine(w.ctx, 30, ""))
		w.start()
		final := w.awaitState(digest, "final")
		if final.TxID != e.TxID || final.Confirmations != 30 {
			t.Errorf("after downtime: %+v, want %s under 30 blocks", final, e.TxID)
		}
		w.wantPaidOnce()
	})
}

// A daemon that is stopped, by a signal or by RPC, ends with status 0 and removes its cookie.
func TestStopsInGoodOrder(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		w.must(w.daemon.Stop())
		if _, err := w.daemon.Ancre(w.ctx, "status"); err != nil {
			t.Fatal(err)
		}
		w.ancre(1, "status")
		w.start()
		w.ancre(0, "rpc", "stop")
		w.must(w.daemon.AwaitEnd(context.WithoutCancel(w.ctx)))
	})
}
