package batcher

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher/store"
)

// pathStore stores nothing and reports every leaf as new. What is measured is the way to the store
// and back.
type pathStore struct{ store.Store }

func (pathStore) Append(context.Context, *store.Append) error { return nil }

func (pathStore) Find(_ context.Context, leaves []store.Leaf) ([]store.Position, error) {
	return make([]store.Position, len(leaves)), nil
}

// BenchmarkAccept submits new messages. Each caller waits for its answer. There is one caller, as
// many as a busy calendar has, or few with many digests each. The answers are the pending proofs.
// With the disk, the ratio "of-floor" compares with as many callers who append as many bytes to a
// bare log that is synced in groups. Without it, the figures are the cost of everything but the
// disk.
func BenchmarkAccept(b *testing.B) {
	for _, crowd := range []struct {
		name             string
		callers, digests int
	}{{"alone", 1, 1}, {"crowd", 256, 1}, {"batches", 16, 1000}} {
		for _, disk := range []bool{true, false} {
			name := crowd.name + "/disk"
			if !disk {
				name = crowd.name + "/path"
			}
			b.Run(name, func(b *testing.B) {
				h := newHouse(b)
				h.policy.MaxDigests = 1 << 62
				if !disk {
					h.store = pathStore{h.store}
				}
				h.crash()
				var counter atomic.Uint64
				caller := func() func() error {
					digests := make([][32]byte, crowd.digests)
					var answer []byte
					return func() (err error) {
						for i := range digests {
							binary.LittleEndian.PutUint64(digests[i][:], counter.Add(1))
						}
						if answer = answer[:0]; len(digests) == 1 {
							answer, err = h.b.SubmitMessage(context.Background(), answer, digests[0][:])
							return err
						}
						return h.b.SubmitEach(context.Background(), digests, func(st *Status) { answer = h.b.AppendPending(answer, st) })
					}
				}
				var plain time.Duration
				if disk {
					plain = crowdOf(b, crowd.callers, bareLog(b, 32*crowd.digests))
				}
				b.ReportAllocs()
				b.ResetTimer()
				ours := crowdOf(b, crowd.callers, caller)
				b.ReportMetric(float64(b.N*crowd.digests)/ours.Seconds(), "digests/s")
				if disk {
					b.ReportMetric(plain.Seconds()/ours.Seconds(), "of-floor")
				}
			})
		}
	}
}

// crowdOf makes b.N calls from as many callers, and returns how long that took.
func crowdOf(b *testing.B, callers int, caller func() func() error) time.Duration {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	began := time.Now()
	for range callers {
		wg.Go(func() {
			call := caller()
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// bareLog returns callers that append size bytes to a file. The bytes of all waiting callers are
// synced together.
func bareLog(b *testing.B, size int) func() func() error {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	queue := make(chan chan error, 4096)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var group []chan error
		for first := range queue {
			group = append(group[:0], first)
			for len(queue) > 0 {
				group = append(group, <-queue)
			}
			_, err := f.Write(make([]byte, size*len(group)))
			if err == nil {
				err = f.Sync()
			}
			for _, done := range group {
				done <- err
			}
		}
	}()
	b.Cleanup(func() {
		close(queue)
		<-ended
		if err := f.Close(); err != nil {
			b.Error(fmt.Errorf("close the floor's log: %w", err))
		}
	})
	return func() func() error {
		done := make(chan error, 1)
		return func() error {
			queue <- done
			return <-done
		}
	}
}
