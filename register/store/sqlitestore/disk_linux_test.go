package sqlitestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

// TestAFullDiskRefusesAndGoesOn fills the disk beside the store, and gives it space again, three
// times. What is refused leaves nothing half.
func TestAFullDiskRefusesAndGoesOn(t *testing.T) {
	dir := storetest.SmallDisk(t, "3m", 0)
	s, err := Open(filepath.Join(dir, "register"), Options{})
	must(t, err)
	ctx, n := t.Context(), 0
	fill := filepath.Join(dir, "fill")
	for range 3 {
		for range 10 {
			_, _, err := s.AddEntry(ctx, storetest.Document(n, ""))
			must(t, err)
			n++
		}
		_ = os.WriteFile(fill, make([]byte, 4<<20), 0o600) // as far as it goes
		refusals := 0
		for i := 0; i < 2000 && refusals < 5; i++ {
			before := s.Revision()
			_, _, err := s.AddEntry(ctx, storetest.Document(n, ""))
			if err == nil {
				n++ // the log has some room left
				continue
			}
			refusals++
			if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "free some space") {
				t.Fatalf("%v, want ErrFull and a remedy", err)
			}
			must(t, s.Check(ctx))
			if s.Revision() != before {
				t.Error("a refused write made the revision grow")
			}
		}
		if refusals == 0 {
			t.Fatal("the disk never was full")
		}
		if got, err := s.CountEntries(ctx, store.EntryQuery{Text: "deliberation"}); err != nil || got != n {
			t.Fatalf("%d entries, %v, want %d", got, err, n)
		}
		must(t, os.Remove(fill))
	}
	_, _, err = s.AddEntry(ctx, storetest.Document(n, ""))
	must(t, err)
	must(t, s.Check(ctx))
	must(t, s.Close())
	s, err = Open(filepath.Join(dir, "register"), Options{})
	must(t, err)
	defer s.Close()
	if got, err := s.CountEntries(ctx, store.EntryQuery{}); err != nil || got != n+1 {
		t.Fatalf("%d entries, %v, want %d", got, err, n+1)
	}
}

// The store starts, and is read, on a disk that is full.
func TestAFullDiskIsRead(t *testing.T) {
	dir := storetest.SmallDisk(t, "3m", 0)
	s, err := Open(dir, Options{})
	must(t, err)
	_, _, err = s.AddEntry(t.Context(), storetest.Document(1, ""))
	must(t, err)
	must(t, s.Close())
	_ = os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 4<<20), 0o600)
	s, err = Open(dir, Options{})
	if errors.Is(err, store.ErrFull) {
		return // there is no room for SQLite's index of the log: the page cannot start, and says why
	}
	must(t, err)
	defer s.Close()
	if got, err := s.CountEntries(t.Context(), store.EntryQuery{}); err != nil || got != 1 {
		t.Errorf("%d entries, %v, want 1", got, err)
	}
}

func TestAReadOnlyDiskIsToldOf(t *testing.T) {
	dir := storetest.SmallDisk(t, "3m", 0)
	s, err := Open(dir, Options{})
	must(t, err)
	must(t, s.Close())
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "not mounted read-only") {
		t.Errorf("%v, want a remedy", err)
	}
}
