//go:build unix

package page_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"ancre/internal/httpserve"
	"ancre/register/page"
	"ancre/register/page/pagetest"
	"ancre/register/store"
	"ancre/register/store/sqlitestore"
)

// stored is a register in the embedded engine. Its proofs come from pagetest, because the benchmark
// has no node.
type stored struct {
	*pagetest.Source
	*sqlitestore.Store
}

func (s stored) Network(context.Context) (string, error) { return "mainnet", nil }

func (s stored) Bodies(ctx context.Context) ([]store.Body, error) { return s.Store.Bodies(ctx) }

func (s stored) Revision() uint64 { return s.Store.Revision() }

func (s stored) Years(ctx context.Context, zone *time.Location) ([]store.YearCount, error) {
	return s.Store.Years(ctx, zone, true)
}

func (s stored) Meetings(ctx context.Context, q store.MeetingQuery) ([]store.Meeting, error) {
	return s.Store.Meetings(ctx, q)
}

func (s stored) Meeting(ctx context.Context, id string) (store.Meeting, error) {
	return s.Store.Meeting(ctx, id)
}

func (s stored) Entries(ctx context.Context, q store.EntryQuery) ([]store.Entry, error) {
	return s.Store.Entries(ctx, q)
}

func (s stored) CountEntries(ctx context.Context, q store.EntryQuery) (int, error) {
	return s.Store.CountEntries(ctx, q)
}

// Proofs makes most proofs complete.
func (s stored) Proofs(ctx context.Context, ds []store.Digest) ([]store.Proof, error) {
	list, err := s.Store.Proofs(ctx, ds)
	for i := range list {
		list[i].State, list[i].Height, list[i].BlockTime, list[i].BlockHash = store.Complete, 900_000+int32(list[i].Digest[0]), pagetest.Epoch, list[i].Digest.String()
	}
	return list, err
}

// OTS returns as many bytes as a proof has.
func (s stored) OTS(_ context.Context, d store.Digest) ([]byte, error) {
	b := make([]byte, 700)
	for i := range b {
		b[i] = d[i%32] ^ byte(i)
	}
	return b, nil
}

// largeRegister opens the register of 100,000 documents in 2,000 meetings that the benchmark of
// sqlitestore has left in the directory ANCRE_BENCH_REGISTER.
func largeRegister(b *testing.B) stored {
	dir := os.Getenv("ANCRE_BENCH_REGISTER")
	if _, err := os.Stat(filepath.Join(dir, sqlitestore.File)); dir == "" || err != nil {
		b.Skip("ANCRE_BENCH_REGISTER names no register: make one with the benchmark of sqlitestore")
	}
	s, err := sqlitestore.Open(dir, sqlitestore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return stored{pagetest.Generate(0, 0), s}
}

// served serves a handler until the benchmark ends.
func served(b *testing.B, h http.Handler) (url string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- httpserve.Serve(ctx, ln, h, httpserve.Limits{
			Connections: 100, HeaderBytes: 8 << 10, ReadHeader: time.Minute, Read: time.Minute, Write: time.Minute, Idle: time.Minute, Grace: time.Second,
		}, slog.New(slog.DiscardHandler))
	}()
	b.Cleanup(func() { cancel(); <-done })
	return "http://" + ln.Addr().String()
}

// visitors is how many visitors ask at once.
const visitors = 8

// load asks for paths, and returns how long each answer took and how many came in a second.
func load(b *testing.B, url string, paths []string, requests int, gzip bool) (took []time.Duration, perSecond float64) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: visitors, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun := time.Now()
	for v := range visitors {
		wg.Go(func() {
			var own []time.Duration
			for i := v; i < requests; i += visitors {
				r, err := http.NewRequest(http.MethodGet, url+paths[i%len(paths)], nil)
				if err != nil {
					b.Error(err)
					return
				}
				if gzip {
					r.Header.Set("Accept-Encoding", "gzip")
				}
				start := time.Now()
				answer, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				own = append(own, time.Since(start))
				if err != nil || answer.StatusCode != http.StatusOK {
					b.Errorf("%s: %s, %v", r.URL, answer.Status, err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	wg.Wait()
	return took, float64(len(took)) / time.Since(begun).Seconds()
}

func percentile(all []time.Duration, p float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))].Microseconds()) / 1000
}

// BenchmarkServe asks for pages that are kept, beside a bare handler of net/http that answers the
// same bytes in the same run; for pages that are not; and searches.
func BenchmarkServe(b *testing.B) {
	s := largeRegister(b)
	p, err := page.New(page.Config{Source: s, URL: base, Authority: page.Authority{Name: "Ville de Saint-Exemple"}})
	if err != nil {
		b.Fatal(err)
	}
	url := served(b, p)
	meetings, err := s.Meetings(b.Context(), store.MeetingQuery{PublishedOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	entries, err := s.Entries(b.Context(), store.EntryQuery{PublishedOnly: true, Order: store.ByDigest, Limit: 20_000})
	if err != nil {
		b.Fatal(err)
	}
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	kept := []struct{ name, path string }{
		{"home", "/fr/"}, {"meeting", "/fr/seances/" + meetings[len(meetings)/2].ID}, {"document", "/fr/documents/" + entries[0].Digest.String()},
		{"digests of a byte", "/empreintes/ab.json"}, {"year", "/fr/seances/2010"}, {"style sheet", "/page.css"},
	}
	for _, k := range kept {
		for _, gzip := range []bool{true, false} {
			b.Run(fmt.Sprintf("kept/%s/gzip=%t", k.name, gzip), func(b *testing.B) { benchKept(b, url, k.path, gzip) })
		}
	}
	var all, documents []string
	for _, m := range meetings {
		all = append(all, "/fr/seances/"+m.ID, "/en/meetings/"+m.ID)
	}
	for _, e := range entries {
		documents = append(documents, "/fr/documents/"+e.Digest.String())
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	benchPaths(b, "made/meeting", url, all, 300)
	benchPaths(b, "made/document", url, documents, 600)
	var digests []string
	for i := range 256 {
		digests = append(digests, fmt.Sprintf("/empreintes/%02x.json", i))
	}
	benchPaths(b, "made/digests of a byte", url, digests, 64)
	benchPaths(b, "search/rare word", url, []string{"/fr/recherche?q=2010-4242", "/fr/recherche?q=2012-5151", "/fr/recherche?q=note-77777"}, 120)
	benchPaths(b, "search/two words", url, []string{"/fr/recherche?q=budget+Gestel", "/fr/recherche?q=cantine+Guidel", "/fr/recherche?q=emprunt+Lanester"}, 40)
	benchPaths(b, "search/common word", url, []string{"/fr/recherche?q=approbation", "/en/search?q=budget", "/fr/recherche?q=voirie&kind=deliberation"}, 120)
	benchPaths(b, "data/registre.json", url, []string{"/registre.json"}, visitors)
	benchPaths(b, "data/registre.json again", url, []string{"/registre.json"}, visitors)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.Logf("%d MB are in use", m.HeapAlloc>>20)
}

// benchKept measures an answer that is kept. The reference answers the same bytes.
func benchKept(b *testing.B, url, path string, gzip bool) {
	r, err := http.NewRequest(http.MethodGet, url+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	if gzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	answer, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		b.Fatal(err)
	}
	bare := served(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	const requests = 4000
	var ours, theirs []float64
	var times []time.Duration
	for b.Loop() {
		for range 3 { // in turn, so that what else the machine does meets both
			_, reference := load(b, bare, []string{"/"}, requests, gzip)
			took, own := load(b, url, []string{path}, requests, gzip)
			ours, theirs, times = append(ours, own), append(theirs, reference), append(times, took...)
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	b.ReportMetric(ours[len(ours)/2]/theirs[len(theirs)/2], "of-bare")
	b.ReportMetric(ours[len(ours)/2], "answers/s")
	b.ReportMetric(percentile(times, 0.99), "p99-ms")
	b.ReportMetric(float64(len(body)), "bytes")
	b.ReportMetric(0, "ns/op")
}

func benchPaths(b *testing.B, name, url string, paths []string, requests int) {
	b.Run(name, func(b *testing.B) {
		var times []time.Duration
		var perSecond float64
		before, answers := processorTime(b), 0
		for b.Loop() {
			times, perSecond = load(b, url, paths, requests, true)
			answers += len(times)
		}
		// The visitors' share is in it, too. Unlike the other figures, it hardly depends on what
		// else the machine does.
		b.ReportMetric((processorTime(b)-before).Seconds()*1000/float64(answers), "cpu-ms/answer")
		b.ReportMetric(perSecond, "answers/s")
		b.ReportMetric(percentile(times, 0.5), "p50-ms")
		b.ReportMetric(percentile(times, 0.99), "p99-ms")
		b.ReportMetric(0, "ns/op")
	})
}

// processorTime is how long this process has computed.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
