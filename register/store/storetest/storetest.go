// Package storetest is the suite that every engine of [store.Store] must pass. It tests what the
// contract says, and nothing of how an engine does it.
package storetest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"ancre/register/store"
)

// Open opens the store in dir, making it if there is none, and fails the test if it cannot. It does
// not close it. now is the clock of the store.
type Open func(t testing.TB, dir string, now func() time.Time) store.Store

// Run runs the suite against an engine.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*fixture)
	}{
		{"a new store is empty", testEmpty},
		{"the network is claimed once", testClaim},
		{"bodies are those of the configuration, in its order", testBodies},
		{"the ID of a meeting is its date and body", testMeetingIDs},
		{"a meeting changes and keeps its ID", testUpdateMeeting},
		{"meetings are listed by start", testMeetings},
		{"meetings are counted by year", testYears},
		{"an entry comes back as it was", testAddEntry},
		{"an entry replaces the one with its name", testReplace},
		{"an entry is published and withdrawn", testPublish},
		{"proofs are followed", testFollow},
		{"words are found whatever their case and accents", testSearch},
		{"entries are chosen by the time of their meeting", testEntriesInTime},
		{"any sequence of changes is answered as the contract says", testModel},
		{"what cannot be an entry is refused and leaves no trace", testInvalidEntries},
		{"many write and read at once", testConcurrent},
		{"a context that has ended begins nothing", testContext},
		{"a backup is one moment", testBackup},
		{"a closed store answers with errors", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(newFixture(t, open)) })
	}
}

// fixture is a store under test that can be closed and opened again. Its methods fail the test on
// any error.
type fixture struct {
	store.Store
	*testing.T
	dir  string
	open Open
	now  time.Time // what the store's clock says
}

func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir(), open: open, now: At("2026-11-30T10:00:00Z")}
	f.Store = open(t, f.dir, func() time.Time { return f.now })
	t.Cleanup(func() { f.ok(f.Store.Close()) })
	return f
}

func (f *fixture) reopen() {
	f.Helper()
	f.ok(f.Store.Close())
	f.Store = f.open(f.T, f.dir, func() time.Time { return f.now })
}

// twice checks what is stored now, and again after opening anew.
func (f *fixture) twice(check func()) {
	f.Helper()
	check()
	f.reopen()
	check()
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// refused fails the test unless err wraps want.
func (f *fixture) refused(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: error %v, want one that wraps %q", what, err, want)
	}
}

// equal fails the test unless both are the same.
func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// must returns what a method returned, and fails the test on an error.
func must[T any](f *fixture) func(T, error) T {
	return func(v T, err error) T {
		f.Helper()
		f.ok(err)
		return v
	}
}

// silent fails the test if do changes the revision.
func (f *fixture) silent(what string, do func()) {
	f.Helper()
	before := f.Revision()
	if do(); f.Revision() != before {
		f.Errorf("%s changed nothing, and the revision grew", what)
	}
}

// noticed fails the test unless do makes the revision grow.
func (f *fixture) noticed(what string, do func()) {
	f.Helper()
	before := f.Revision()
	if do(); f.Revision() <= before {
		f.Errorf("%s changed something, and the revision went from %d to %d", what, before, f.Revision())
	}
}

// At reads a time.
func At(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// Digest is the digest that the suite gives to document n: every one another.
func Digest(n int) store.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("document"), uint64(n)))
}

// Document is an entry of a meeting, with every field that a new one can have.
func Document(n int, meeting string) store.Entry {
	return store.Entry{
		Digest: Digest(n), Meeting: meeting, Kind: store.Deliberation, Title: fmt.Sprintf("Délibération %d", n), Number: fmt.Sprintf("2026-%d", n),
		FileName: fmt.Sprintf("délibération %d.pdf", n), MediaType: "application/pdf", Size: int64(1000 + n),
		AddedAt: At("2026-11-30T10:00:00.123Z").Add(time.Duration(n) * time.Second),
	}
}

// Bodies are those that the suite configures.
var Bodies = []store.Body{
	{ID: "conseil", Name: "Conseil municipal", NameEN: "Town council", ClearDays: 5},
	{ID: "ccas", Name: "Conseil d’administration du CCAS", ClearDays: 3},
}

// Session is a meeting of the first body, at 18:30 in Paris.
func Session(day string) store.Meeting {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		panic(err)
	}
	start, err := time.ParseInLocation("2006-01-02 15:04", day+" 18:30", paris)
	if err != nil {
		panic(err)
	}
	return store.Meeting{Body: "conseil", Start: start.UTC(), Zone: "Europe/Paris", Place: "Hôtel de ville", State: store.Planned}
}

func (f *fixture) meeting(m store.Meeting) store.Meeting {
	f.Helper()
	stored, added, err := f.AddMeeting(f.Context(), m)
	f.ok(err)
	if !added {
		f.Fatalf("the meeting of %v is there already: %s", m.Start, stored.ID)
	}
	return stored
}

// session adds a published meeting.
func (f *fixture) session(day string) store.Meeting {
	f.Helper()
	m := Session(day)
	m.Published = true
	return f.meeting(m)
}

func (f *fixture) entry(e store.Entry) store.Entry {
	f.Helper()
	stored, added, err := f.AddEntry(f.Context(), e)
	f.ok(err)
	if !added {
		f.Fatalf("the entry %q is there already: %d", e.FileName, stored.ID)
	}
	return stored
}

// configured makes the bodies known.
func (f *fixture) configured() *fixture {
	f.Helper()
	f.ok(f.PutBodies(f.Context(), Bodies))
	return f
}

func ptr[T any](v T) *T { return &v }
