package batcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"testing"
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
