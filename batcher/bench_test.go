package batcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/proof"
)

// BenchmarkSubmit hands in calls of 1,000 new digests from many callers, and makes the pending proof of each, over the real
// store. The figure that counts is that of contrib/bench, beside a floor; this one is for profiles.
func BenchmarkSubmit(b *testing.B) {
	h := newHouse(b)
	h.policy.MaxDigests = 1 << 20
	h.crash()
	var next atomic.Uint64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		call := make([][32]byte, 1000)
		for pb.Next() {
			for i := range call {
				call[i] = sha256.Sum256(binary.LittleEndian.AppendUint64(nil, next.Add(1)))
			}
			sts, err := h.b.Submit(context.Background(), call)
			if err != nil {
				b.Error(err)
				return
			}
			for _, st := range sts {
				if _, err := h.b.Pending(st); err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "digests/s")
}

// sealedLeaves is the size of batch that sealing and proofs are measured with: the largest that is sealed without being asked to.
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

// BenchmarkSeal seals a batch of 1 Mi leaves in the real store. Its floor is the root of the same leaves in memory.
func BenchmarkSeal(b *testing.B) {
	h := newHall(b)
	ctx := context.Background()
	batch := h.fill(0, sealedLeaves)
	leaves, err := h.store.Nodes(ctx, batch.ID, 0, 0, batch.Count)
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

// BenchmarkProof makes complete proofs of digests anywhere in a batch of 1 Mi, as getproof does before JSON.
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
