package batcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/proof"

	"golang.org/x/sync/errgroup"
)

// sealedLeaves is the size of batch with which sealing and proofs are measured: the largest batch
// with the default policy.
const sealedLeaves = 1 << 20

// number is the nth digest of a benchmark.
func number(n uint64) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n))
}

// fill submits n digests, in calls of 1,000, and closes their batch.
func (h *house) fill(first, n uint64) store.Batch {
	h.t.Helper()
	ctx := context.Background()
	call := make([][32]byte, 1000)
	for done := uint64(0); done < n; {
		call = call[:min(uint64(cap(call)), n-done)]
		for i := range call {
			call[i] = number(first + done)
			done++
		}
		if _, err := h.b.Submit(ctx, call); err != nil {
			h.t.Fatal(err)
		}
	}
	id, err := h.b.committer.close(ctx, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	batch, err := h.store.Batch(ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return batch
}

// newHall is a house whose batches may have any size.
func newHall(b *testing.B) *house {
	h := newHouse(b)
	h.policy.MaxDigests = 1 << 30
	h.crash()
	return h
}

// BenchmarkSeal seals a batch of 1 Mi leaves in the real store. Its floor is the root of the same
// leaves in memory.
func BenchmarkSeal(b *testing.B) {
	h := newHall(b)
	ctx := context.Background()
	batch := h.fill(0, sealedLeaves)
	leaves, err := h.store.Leaves(ctx, batch.ID, 0, batch.Count)
	if err != nil {
		b.Fatal(err)
	}
	var ratios []float64
	for b.Loop() {
		before := time.Now()
		if err := h.b.seal(ctx, batch); err != nil {
			b.Fatal(err)
		}
		took := time.Since(before)
		before = time.Now()
		proof.Root(leaves)
		ratios = append(ratios, took.Seconds()/time.Since(before).Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-the-plain-tree")
}

// BenchmarkProof makes complete proofs of digests anywhere in a batch of 1 Mi: what getproof does
// before it writes JSON.
func BenchmarkProof(b *testing.B) {
	h := newHall(b)
	ctx := context.Background()
	h.fund()
	h.fill(0, sealedLeaves)
	h.mustStep()
	h.mine(6)
	at := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		at = at*6364136223846793005 + 1442695040888963407
		if _, st, complete, err := h.b.Proof(ctx, nil, number(at>>32%sealedLeaves)); err != nil || !complete {
			b.Fatal(st, err)
		}
	}
}

// BenchmarkSealPause seals a batch of 1 Mi leaves over and over while others submit. It reports the
// longest time that a submit waited, beside the same without sealing, and beside a bare loop of
// appends and syncs, as disks pause by themselves. The three take turns of a second each.
func BenchmarkSealPause(b *testing.B) {
	const callers = 8
	h := newHall(b)
	ctx := context.Background()
	batch := h.fill(0, sealedLeaves)
	bareSync := appendAndSync(b)
	next := atomic.Uint64{}
	next.Store(1 << 40)
	submit := func() error {
		_, err := h.b.Submit(ctx, [][32]byte{number(next.Add(1))})
		return err
	}
	var bare, alone, beside []time.Duration
	seals := 0
	for b.Loop() {
		bare = append(bare, crowd(b, 1, bareSync)...)
		alone = append(alone, crowd(b, callers, submit)...)
		stop, stopped := make(chan struct{}), make(chan error)
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if err := h.b.seal(ctx, batch); err != nil {
					stopped <- err
					return
				}
				seals++
			}
		}()
		beside = append(beside, crowd(b, callers, submit)...)
		close(stop)
		if err := <-stopped; err != nil {
			b.Fatal(err)
		}
	}
	if seals == 0 {
		b.Fatal("nothing was sealed")
	}
	reportPause(b, "sync", bare)
	reportPause(b, "alone", alone)
	reportPause(b, "sealing", beside)
}

// appendAndSync returns a function that appends a page to a file and syncs it.
func appendAndSync(b *testing.B) func() error {
	b.Helper()
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	page := make([]byte, 4096)
	return func() error {
		if _, err := log.Write(page); err != nil {
			return err
		}
		return log.Sync()
	}
}

// crowd has callers do something for a second, and returns how long each time took.
func crowd(b *testing.B, callers int, do func() error) (took []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var g errgroup.Group
	end := time.Now().Add(time.Second)
	for range callers {
		g.Go(func() error {
			var mine []time.Duration
			for now := time.Now(); now.Before(end); {
				if err := do(); err != nil {
					return err
				}
				then := now
				now = time.Now()
				mine = append(mine, now.Sub(then))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

// reportPause reports the time that one in a thousand exceeds.
func reportPause(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	p999 := took[len(took)*999/1000]
	b.ReportMetric(float64(p999)/float64(time.Millisecond), name+"-p999-ms")
}
