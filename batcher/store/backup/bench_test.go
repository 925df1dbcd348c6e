package backup

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ancre/batcher/store"
)

// BenchmarkMillion backs up and restores a store of a million digests in four batches, beside what
// copying the same bytes to the same disk and syncing them takes in the same run.
func BenchmarkMillion(b *testing.B) {
	const batches, each = 4, 250_000
	dir := b.TempDir()
	s := openStore(b, filepath.Join(dir, "store"), &testKey)
	defer s.Close()
	for id := uint64(1); id <= batches; id++ {
		putBatch(b, s, store.Batch{ID: id, State: store.Sealed, Count: each, Opened: testTaken, Closed: testTaken})
	}
	path := filepath.Join(dir, "backup")

	// toFile writes and syncs a file, and returns how long that took and how long the file is.
	toFile := func(path string, write func(io.Writer) error) (time.Duration, int64) {
		b.Helper()
		began := time.Now()
		f, err := os.Create(path)
		must(b, err)
		must(b, write(f))
		must(b, f.Sync())
		info, err := f.Stat()
		must(b, err)
		must(b, f.Close())
		return time.Since(began), info.Size()
	}
	copied := func() time.Duration {
		in, err := os.Open(path)
		must(b, err)
		defer in.Close()
		took, _ := toFile(filepath.Join(dir, "copy"), func(w io.Writer) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, 64<<10))
			return err
		})
		return took
	}
	backedUp := func() (time.Duration, int64) {
		n, err := s.Snapshot(b.Context())
		must(b, err)
		defer n.Close()
		return toFile(path, func(w io.Writer) error {
			_, err := Write(b.Context(), w, n, "regtest", testTaken)
			return err
		})
	}
	backedUp()
	report := func(b *testing.B, took, floor time.Duration, size int64) {
		b.ReportMetric(float64(size)*float64(b.N)/1e6/took.Seconds(), "MB/s")
		b.ReportMetric(batches*each*float64(b.N)/took.Seconds(), "digests/s")
		b.ReportMetric(took.Seconds()/floor.Seconds(), "times-cp")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("backup", func(b *testing.B) {
		var took, floor time.Duration
		var size int64
		for b.Loop() {
			d, n := backedUp()
			took, size = took+d, n
			floor += copied()
		}
		report(b, took, floor, size)
	})
	b.Run("verify", func(b *testing.B) {
		var took, floor time.Duration
		var size int64
		for b.Loop() {
			began := time.Now()
			f, err := os.Open(path)
			must(b, err)
			r, err := Open(f)
			must(b, err)
			sum, err := r.Verify(b.Context())
			must(b, err)
			must(b, f.Close())
			took, size = took+time.Since(began), sum.Bytes
			floor += copied()
		}
		report(b, took, floor, size)
	})
	b.Run("restore", func(b *testing.B) {
		var took, floor time.Duration
		var size int64
		for b.Loop() {
			began := time.Now()
			f, err := os.Open(path)
			must(b, err)
			r, err := Open(f)
			must(b, err)
			target := filepath.Join(dir, "restored")
			dst := openStore(b, target, &r.header.Key)
			sum, err := r.Restore(b.Context(), dst)
			must(b, err)
			must(b, dst.Close())
			must(b, f.Close())
			took, size = took+time.Since(began), sum.Bytes
			must(b, os.RemoveAll(target))
			floor += copied()
		}
		report(b, took, floor, size)
	})
}
