package sqlitestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

// largeMeetings and largeEntries are the size of a register that the guides promise to serve.
const (
	largeMeetings = 2_000
	largeEntries  = 100_000
)

// What documents of a council are called.
var (
	largeVerbs  = []string{"Approbation", "Adoption", "Modification", "Autorisation", "Attribution", "Désignation", "Création", "Cession"}
	largeThings = []string{"du budget primitif", "d’une subvention à l’école", "du plan local d’urbanisme", "d’un marché de travaux", "des tarifs de la cantine",
		"du procès-verbal", "d’une convention avec la communauté de communes", "du règlement intérieur", "d’un emprunt", "de la voirie"}
	largePlaces = []string{"Kerfeunteun", "Lanester", "Plœmeur", "Guidel", "Quéven", "Larmor", "Gâvres", "Inzinzac", "Cléguer", "Gestel", "Hennebont"}
)

// largeEntry is document n of a large register, in the meeting whose turn it is.
func largeEntry(n int, meetings []store.Meeting) store.Entry {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	m := meetings[n*len(meetings)/largeEntries]
	pick := func(words []string) string { return words[r.IntN(len(words))] }
	kind := store.Kinds[r.IntN(len(store.Kinds))]
	e := storetest.Document(n, m.ID)
	e.Kind, e.Title = kind, fmt.Sprintf("%s %s à %s", pick(largeVerbs), pick(largeThings), pick(largePlaces))
	e.Number = fmt.Sprintf("%d-%d", m.Start.Year(), n)
	e.FileName = fmt.Sprintf("%s-%d.pdf", kind, n)
	e.AddedAt = m.Start.Add(-time.Duration(r.IntN(1_000_000)) * time.Second)
	e.Published, e.Download = n%50 != 0, true
	return e
}

// lastAdded is how many entries are added one by one, into a register that has all others.
const lastAdded = 5_000

// fillLarge makes a large register, and returns how long each of the last calls of AddEntry took.
func fillLarge(b *testing.B, s *Store) (took []time.Duration) {
	ctx := b.Context()
	must(b, s.PutBodies(ctx, storetest.Bodies))
	var meetings []store.Meeting
	for i := range largeMeetings {
		m := storetest.Session("2000-01-03")
		m.Start, m.Published, m.Title = m.Start.AddDate(0, 0, 5*i), i%100 != 99, fmt.Sprintf("Séance %d", i)
		m.Body = storetest.Bodies[i%2].ID
		stored, _, err := s.AddMeeting(ctx, m)
		must(b, err)
		meetings = append(meetings, stored)
	}
	for n := 0; n < largeEntries-lastAdded; n += 1000 {
		must(b, s.update(ctx, func(t tx) (bool, error) {
			for i := n; i < n+1000; i++ {
				e := largeEntry(i, meetings)
				e.OnlineSince = e.AddedAt
				if err := insertEntry(t, &e); err != nil {
					return false, err
				}
			}
			return true, nil
		}))
	}
	for n := largeEntries - lastAdded; n < largeEntries; n++ {
		e := largeEntry(n, meetings)
		begun := time.Now()
		_, _, err := s.AddEntry(ctx, e)
		took = append(took, time.Since(begun))
		must(b, err)
	}
	return took
}

// floor writes and syncs as many bytes as an entry has, n times, and returns how long each took.
func floor(b *testing.B, dir string, n int) (took []time.Duration) {
	f, err := os.Create(filepath.Join(dir, "floor"))
	must(b, err)
	defer f.Close()
	row := make([]byte, 300)
	for range n {
		begun := time.Now()
		_, err := f.Write(row)
		must(b, err)
		must(b, f.Sync())
		took = append(took, time.Since(begun))
	}
	return took
}

func sum(all []time.Duration) (total time.Duration) {
	for _, d := range all {
		total += d
	}
	return total
}

func percentile(all []time.Duration, p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// largeDir makes the large register once, in a directory that the environment can name to keep it.
func largeDir(b *testing.B) (dir string, exists bool) {
	if dir = os.Getenv("ANCRE_BENCH_REGISTER"); dir == "" {
		return b.TempDir(), false
	}
	_, err := os.Stat(filepath.Join(dir, File))
	return dir, err == nil
}

// BenchmarkLarge fills a register, beside a file that is written and synced as often in the same
// run, and asks what the page asks.
func BenchmarkLarge(b *testing.B) {
	dir, exists := largeDir(b)
	s, err := Open(dir, Options{})
	must(b, err)
	defer s.Close()
	if !exists {
		b.Run("add", func(b *testing.B) {
			took := fillLarge(b, s)
			ground := sum(floor(b, dir, lastAdded)) / lastAdded
			each := sum(took) / lastAdded
			b.ReportMetric(float64(time.Second)/float64(each), "entries/s")
			b.ReportMetric(float64(each)/float64(ground), "times-write+fsync")
			b.ReportMetric(float64(percentile(took, 0.5).Microseconds()), "p50-µs")
			b.ReportMetric(float64(percentile(took, 0.99).Microseconds()), "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
	info, err := os.Stat(filepath.Join(dir, File))
	must(b, err)
	b.Logf("the database has %d bytes", info.Size())
	for _, q := range pageQuestions(b, s) {
		b.Run(q.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				must(b, q.ask(b.Context()))
				took = append(took, time.Since(begun))
			}
			b.ReportMetric(float64(percentile(took, 0.5).Microseconds()), "p50-µs")
			b.ReportMetric(float64(percentile(took, 0.99).Microseconds()), "p99-µs")
		})
	}
}

type question struct {
	name string
	ask  func(ctx context.Context) error
}

// pageQuestions are what the public page asks.
func pageQuestions(b *testing.B, s *Store) []question {
	all, err := s.Meetings(b.Context(), store.MeetingQuery{PublishedOnly: true})
	must(b, err)
	some, err := s.Entries(b.Context(), store.EntryQuery{PublishedOnly: true, Order: store.ByDigest, Limit: 5000})
	must(b, err)
	meeting := func() store.Meeting { return all[rand.IntN(len(all))] }
	entry := func() store.Entry { return some[rand.IntN(len(some))] }
	entries := func(q func() store.EntryQuery) func(context.Context) error {
		return func(ctx context.Context) error {
			q := q()
			q.PublishedOnly, q.WasPublished = true, true
			_, err := s.Entries(ctx, q)
			return err
		}
	}
	count := func(q func() store.EntryQuery) func(context.Context) error {
		return func(ctx context.Context) error {
			q := q()
			q.PublishedOnly = true
			s.counted = counts{} // as if something had changed
			_, err := s.CountEntries(ctx, q)
			return err
		}
	}
	return append([]question{
		{"home: last meetings", func(ctx context.Context) error {
			_, err := s.Meetings(ctx, store.MeetingQuery{PublishedOnly: true, Limit: 6})
			return err
		}},
		{"years", func(ctx context.Context) error { _, err := s.Years(ctx, time.UTC, true); return err }},
		{"meetings of a year", func(ctx context.Context) error {
			y := meeting().Start.Year()
			_, err := s.Meetings(ctx, store.MeetingQuery{PublishedOnly: true, From: time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(y+1, 1, 1, 0, 0, 0, 0, time.UTC)})
			return err
		}},
		{"documents of a meeting", entries(func() store.EntryQuery {
			id := meeting().ID
			return store.EntryQuery{Meeting: &id, Order: store.ByMeeting}
		})},
		{"a document by digest", entries(func() store.EntryQuery { d := entry().Digest; return store.EntryQuery{Digest: &d} })},
		{"proofs of 50 digests", func(ctx context.Context) error {
			var ds []store.Digest
			for range 50 {
				ds = append(ds, entry().Digest)
			}
			_, err := s.Proofs(ctx, ds)
			return err
		}},
		{"digests of a first byte", entries(func() store.EntryQuery {
			first := byte(rand.IntN(256))
			return store.EntryQuery{FirstByte: &first, Order: store.ByDigest}
		})},
		{"newest documents", entries(func() store.EntryQuery { return store.EntryQuery{Order: store.ByMeeting, Limit: 25} })},
		{"documents of a kind", entries(func() store.EntryQuery {
			return store.EntryQuery{Kind: store.Kinds[rand.IntN(8)], Order: store.ByMeeting, Limit: 25}
		})},
		{"documents of a kind, page 100", entries(func() store.EntryQuery {
			return store.EntryQuery{Kind: store.Annex, Order: store.ByMeeting, Limit: 25, Offset: 2500}
		})},
		{"count: all", count(func() store.EntryQuery { return store.EntryQuery{} })},
		{"count: a kind", count(func() store.EntryQuery { return store.EntryQuery{Kind: store.Act} })},
		{"count: rare word", count(search("2016-83716"))},
		{"count: common word", count(search("budget"))},
		{"count: word of all", count(search("seance"))},
		{"counts", func(ctx context.Context) error { _, err := s.Counts(ctx); return err }},
	}, searchQuestions(entries)...)
}

func search(text string) func() store.EntryQuery {
	return func() store.EntryQuery { return store.EntryQuery{Text: text, Order: store.ByMeeting, Limit: 25} }
}

func searchQuestions(entries func(func() store.EntryQuery) func(context.Context) error) []question {
	return []question{
		{"search: rare word", entries(search("2016-83716"))},
		{"search: two words", entries(search("emprunt Plœmeur"))},
		{"search: common word", entries(search("budget"))},
		{"search: word of all", entries(search("seance"))},
		{"search: one letter", entries(search("a"))},
		{"search: common word, a kind", entries(func() store.EntryQuery { q := search("budget")(); q.Kind = store.Annex; return q })},
		{"search: common word, a year", entries(func() store.EntryQuery {
			q := search("budget")()
			q.From = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
			q.To = q.From.AddDate(1, 0, 0)
			return q
		})},
	}
}
