package backup

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore"
)

// million is a store of a million digests in four batches, and the file that it is backed up to.
type million struct {
	dir  string
	s    *pebblestore.Store
	path string
}

const millionBatches, millionEach = 4, 250_000

// toFile writes and syncs a file, and returns how long that took and how long the file is.
func toFile(b *testing.B, path string, write func(io.Writer) error) (time.Duration, int64) {
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

// copied copies the file, and returns how long that took.
func (m *million) copied(b *testing.B) time.Duration {
	in, err := os.Open(m.path)
	must(b, err)
	defer in.Close()
	took, _ := toFile(b, filepath.Join(m.dir, "copy"), func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, 64<<10))
		return err
	})
	return took
}

func (m *million) backup(b *testing.B) (time.Duration, int64) {
	n, err := m.s.Snapshot(b.Context())
	must(b, err)
	defer n.Close()
	return toFile(b, m.path, func(w io.Writer) error {
		_, err := Write(b.Context(), w, n, "regtest", testTaken)
		return err
	})
}

func (m *million) verify(b *testing.B) (time.Duration, int64) {
	began := time.Now()
	f, err := os.Open(m.path)
	must(b, err)
	r, err := Open(f)
	must(b, err)
	sum, err := r.Verify(b.Context())
	must(b, err)
	must(b, f.Close())
	return time.Since(began), sum.Bytes
}

func (m *million) restore(b *testing.B) (time.Duration, int64) {
	began := time.Now()
	f, err := os.Open(m.path)
	must(b, err)
	r, err := Open(f)
	must(b, err)
	target := filepath.Join(m.dir, "restored")
	dst := openStore(b, target, &r.header.Key)
	sum, err := r.Restore(b.Context(), dst)
	must(b, err)
	must(b, dst.Close())
	must(b, f.Close())
	took := time.Since(began)
	must(b, os.RemoveAll(target))
	return took, sum.Bytes
}

// BenchmarkMillion backs up, verifies and restores a store of a million digests, beside what
// copying the same bytes to the same disk and syncing them takes in the same run.
func BenchmarkMillion(b *testing.B) {
	dir := b.TempDir()
	m := &million{dir: dir, s: openStore(b, filepath.Join(dir, "store"), &testKey), path: filepath.Join(dir, "backup")}
	defer m.s.Close()
	for id := uint64(1); id <= millionBatches; id++ {
		putBatch(b, m.s, store.Batch{ID: id, State: store.Sealed, Count: millionEach, Opened: testTaken, Closed: testTaken})
	}
	m.backup(b)
	for _, c := range []struct {
		name string
		do   func(*testing.B) (time.Duration, int64)
	}{{"backup", m.backup}, {"verify", m.verify}, {"restore", m.restore}} {
		b.Run(c.name, func(b *testing.B) {
			var took, floor time.Duration
			var size int64
			for b.Loop() {
				d, n := c.do(b)
				took, size = took+d, n
				floor += m.copied(b)
			}
			b.ReportMetric(float64(size)*float64(b.N)/1e6/took.Seconds(), "MB/s")
			b.ReportMetric(millionBatches*millionEach*float64(b.N)/took.Seconds(), "digests/s")
			b.ReportMetric(took.Seconds()/floor.Seconds(), "times-cp")
			b.ReportMetric(0, "ns/op")
		})
	}
}
