package pebblestore

import (
	"encoding/binary"
	"fmt"
	"testing"

	"ancre/batcher/store"

	"crypto/sha256"
)

// BenchmarkGroup does what a submit of n new digests asks of the store: look for them, and append them.
func BenchmarkGroup(b *testing.B) {
	for _, n := range []uint64{1, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("leaves=%d", n), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ctx := b.Context()
			count := uint64(0)
			leaves, at := make([]store.Leaf, n), make([]store.Position, n)
			for b.Loop() {
				for i := range leaves {
					leaves[i] = sha256.Sum256(binary.BigEndian.AppendUint64(nil, count))
					at[i] = store.Position{Batch: 1, Index: count}
					count++
				}
				if _, err := s.Find(ctx, leaves); err != nil {
					b.Fatal(err)
				}
				batches := []store.Batch{{ID: 1, State: store.Open, Count: count}}
				if err := s.Append(ctx, &store.Append{Leaves: leaves, At: at, Batches: batches}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "leaves/s")
		})
	}
}
