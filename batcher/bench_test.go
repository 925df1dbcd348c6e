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

// sealedLeaves is the size of batch that sealing and proofs are measured with: the largest that is
// sealed without being asked to.
const sealedLeaves = 1 << 20

// number is the digest that benchmarks hand in as the nth.
func number(n uint64) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n))
}

// fill hands in n digests, in calls of 1,000, and closes their batch.
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

// newHall is a house for batches of any size.
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

// BenchmarkProof makes complete proofs of digests anywhere in a batch of 1 Mi, as getproof does
// before JSON.
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

// BenchmarkSealPause seals a batch of 1 Mi leaves over and over while others submit, and tells the
// longest time that one of them waited, beside the same without sealing, and beside a bare loop of
// appends and syncs: disks pause by themselves. They take turns of a second each.
func BenchmarkSealPause(b *testing.B) {
	const (
		callers = 8
		turn    = time.Second
	)
	h := newHall(b)
	ctx := context.Background()
	batch := h.fill(0, sealedLeaves)
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	next := atomic.Uint64{}
	next.Store(1 << 40)
	// crowd has callers do something for a turn, and returns what each time took.
	crowd := func(callers int, do func() error) (took []time.Duration) {
		var mu sync.Mutex
		var g errgroup.Group
		end := time.Now().Add(turn)
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
	page := make([]byte, 4096)
	bareSync := func() error {
		if _, err := log.Write(page); err != nil {
			return err
		}
		return log.Sync()
	}
	submit := func() error {
		_, err := h.b.Submit(ctx, [][32]byte{number(next.Add(1))})
		return err
	}
	var bare, alone, beside []time.Duration
	seals := 0
	for b.Loop() {
		bare = append(bare, crowd(1, bareSync)...)
		alone = append(alone, crowd(callers, submit)...)
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
		beside = append(beside, crowd(callers, submit)...)
		close(stop)
		if err := <-stopped; err != nil {
			b.Fatal(err)
		}
	}
	if seals == 0 {
		b.Fatal("nothing was sealed")
	}
	for _, of := range []struct {
		name string
		took []time.Duration
	}{{"sync", bare}, {"alone", alone}, {"sealing", beside}} {
		slices.Sort(of.took)
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		b.ReportMetric(ms(of.took[len(of.took)*999/1000]), of.name+"-p999-ms")
		b.ReportMetric(ms(of.took[len(of.took)-1]), of.name+"-longest-ms")
	}
	b.ReportMetric(float64(len(beside))/float64(len(alone)), "of-the-submits-alone")
	b.ReportMetric(float64(seals), "seals")
}
