package register

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"ancre/register/store"
)

// BenchmarkFollow measures how long it takes until digests that were added are complete, the node
// being there at once.
func BenchmarkFollow(b *testing.B) {
	w := newWorld(b)
	all := make([]store.Digest, 0, b.N)
	for i := range b.N {
		added, err := w.Add(w.ctx, document(i))
		w.must(err)
		all = append(all, added.Entry.Digest)
	}
	b.ResetTimer()
	w.run()
	w.awaitState(store.Pending, all...)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs-sent/op")
	w.node.mine(6)
	w.awaitState(store.Complete, all...)
}

// BenchmarkAdd measures how long adding takes, beside the same bytes synced to a file.
func BenchmarkAdd(b *testing.B) {
	w := newWorld(b)
	content := strings.Repeat("content ", 12500)
	for i := range b.N {
		_, err := w.Add(w.ctx, AddRequest{Reader: io.MultiReader(strings.NewReader(fmt.Sprint(i)), strings.NewReader(content)), FileName: fmt.Sprint(i, ".txt"), Kind: store.Act})
		w.must(err)
	}
	took := b.Elapsed()
	b.StopTimer()
	begin := time.Now()
	for i := range b.N {
		_, _, err := w.files.Put(w.ctx, io.MultiReader(strings.NewReader(fmt.Sprint("floor ", i)), strings.NewReader(content)))
		w.must(err)
	}
	b.ReportMetric(float64(took)/float64(time.Since(begin)), "x-files-alone")
}
