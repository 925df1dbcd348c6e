package sqlitestore

import (
	"regexp"
	"strings"
	"testing"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

// plan returns what SQLite does for a statement, one step a line.
func plan(t *testing.T, s *Store, text string, args []any) string {
	t.Helper()
	rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	steps, err := collect(rows, err, func(step *planStep) []any { return []any{new(int), new(int), new(int), &step.detail} })
	must(t, err)
	var lines []string
	for _, step := range steps {
		lines = append(lines, step.detail)
	}
	return strings.Join(lines, "\n")
}

type planStep struct{ detail string }

var (
	wholeTable = regexp.MustCompile(`(?m)^SCAN (e|entries|meetings|proofs)( USING (COVERING )?INDEX entries_\w+)?$`)
	sorts      = regexp.MustCompile(`USE TEMP B-TREE`)
)

func exampleStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	example(t, s)
	return s
}

// TestNoQueryOfThePageReadsAWholeTable asks SQLite how it would answer what the page asks. It must
// search an index. An index may be read in its order, from its beginning, by a query that has a
// limit.
func TestNoQueryOfThePageReadsAWholeTable(t *testing.T) {
	s := exampleStore(t)
	meeting, digest, first := "2026-12-15", storetest.Digest(1), byte(7)
	from := storetest.At("2026-01-01T00:00:00Z")
	for name, q := range map[string]store.EntryQuery{
		"documents of a meeting":       {Meeting: &meeting, Order: store.ByMeeting},
		"documents of no meeting":      {Meeting: new(string), Order: store.ByMeeting, Limit: 25},
		"a document":                   {Digest: &digest},
		"a document of a meeting":      {Digest: &digest, Meeting: &meeting},
		"digests of a first byte":      {FirstByte: &first, Order: store.ByDigest},
		"the newest documents":         {Order: store.ByMeeting, Limit: 25},
		"the next page":                {Order: store.ByMeeting, Limit: 25, Offset: 25},
		"documents of a kind":          {Kind: store.Annex, Order: store.ByMeeting, Limit: 25},
		"documents of a year":          {From: from, To: from.AddDate(1, 0, 0), Order: store.ByMeeting, Limit: 25},
		"documents of a kind and year": {Kind: store.Annex, From: from, To: from.AddDate(1, 0, 0), Order: store.ByMeeting},
		"all documents, page by page":  {After: 5, Limit: 1000},
		"all digests, page by page":    {Order: store.ByDigest, Limit: 1000},
	} {
		for _, public := range []string{"all", "online", "was online"} {
			q.PublishedOnly, q.WasPublished = public != "all", public == "was online"
			text, args := chosen(q, nil, false).page(q)
			got := plan(t, s, text, args)
			if q.Offset > 0 { // a page is sorted again when its rows are read
				got, _, _ = strings.Cut(got, "\nSEARCH e USING INTEGER PRIMARY KEY")
				got, _ = strings.CutPrefix(got, "CO-ROUTINE (subquery-1)\n")
				got, _, _ = strings.Cut(got, "\nSCAN (subquery-1)")
			}
			limited := q.Limit > 0 && q.Meeting == nil && !sorts.MatchString(got) && strings.Contains(got, "INDEX")
			if (wholeTable.MatchString(got) || strings.Contains(got, "SCAN")) && !limited || q.Order != store.ByID && sorts.MatchString(got) {
				t.Errorf("%s, %s:\n%s\n%s", name, public, got, text)
			}
			if strings.Contains(got, "AUTOMATIC") {
				t.Errorf("%s, %s makes an index:\n%s", name, public, got)
			}
		}
	}
}

func TestPlansOfSearches(t *testing.T) {
	s := exampleStore(t)
	words := store.EntryQuery{PublishedOnly: true, Order: store.ByMeeting, Limit: 25}
	text, args := chosen(words, []string{"budget"}, true).page(words)
	if got := plan(t, s, text, args); !strings.HasPrefix(got, "SCAN search VIRTUAL TABLE INDEX 0:M") || !strings.Contains(got, "SEARCH e USING INTEGER PRIMARY KEY") {
		t.Errorf("rare words:\n%s", got)
	}
	text, args = chosen(words, []string{"budget"}, false).page(words)
	if got := plan(t, s, text, args); !strings.Contains(got, "shown_by_meeting") || sorts.MatchString(got) {
		t.Errorf("common words:\n%s", got)
	}
}

func TestPlansOfMeetingsAndProofs(t *testing.T) {
	s := exampleStore(t)
	from := storetest.At("2026-01-01T00:00:00Z")
	for name, q := range map[string]store.MeetingQuery{
		"the last meetings": {Limit: 5}, "the next meetings": {From: from, OldestFirst: true, Limit: 5},
		"a year": {From: from, To: from.AddDate(1, 0, 0)}, "a year of a body": {Body: "ccas", From: from, To: from.AddDate(1, 0, 0)},
	} {
		for _, public := range []bool{false, true} {
			q.PublishedOnly = public
			text, args := meetingQuery(q)
			if got := plan(t, s, text, args); strings.Contains(got, "SCAN") && q.Limit == 0 || sorts.MatchString(got) {
				t.Errorf("%s, %v:\n%s\n%s", name, public, got, text)
			}
		}
	}
	for _, text := range []string{
		waitingQuery, proofsOfBatchQuery, proofsAfterQuery, proofQuery, yearsQuery, yearsQuery + " AND published",
	} {
		args := make([]any, strings.Count(text, "?"))
		for i := range args {
			args[i] = from.UnixMilli()
		}
		if got := plan(t, s, text, args); strings.Contains(got, "SCAN") && !strings.Contains(got, "proofs_waiting") || sorts.MatchString(got) {
			t.Errorf("%s\n%s", got, text)
		}
	}
}
