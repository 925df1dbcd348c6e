package files

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

func TestAFullDiskRefusesAndGoesOn(t *testing.T) {
	dir := filepath.Join(storetest.SmallDisk(t, "4m", 0), "files")
	d := opened(t, dir)
	first := put(t, d, "the first")
	_, _, err := d.Put(t.Context(), io.LimitReader(rand.Reader, 8<<20))
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "free some space") {
		t.Fatalf("%v, want ErrFull and a remedy", err)
	}
	if got := listing(t, dir); len(got) != 1 {
		t.Errorf("%v, want the first one alone", got)
	}
	fill := filepath.Join(filepath.Dir(dir), "fill")
	_ = os.WriteFile(fill, make([]byte, 4<<20), 0o600) // as far as it goes
	if _, _, err = d.Put(t.Context(), strings.NewReader(strings.Repeat("x", 10_000))); !errors.Is(err, store.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if err := d.PutOTS(first, make([]byte, 10_000)); !errors.Is(err, store.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if got := read(t, d, first); got != "the first" {
		t.Errorf("reading goes wrong: %q", got)
	}
	must(t, os.Remove(fill))
	put(t, d, "the second")
}

func TestSomeSpaceStaysFree(t *testing.T) {
	d, err := Open(filepath.Join(storetest.SmallDisk(t, "4m", 0), "files"), Options{Reserve: 3 << 20})
	must(t, err)
	defer d.Close()
	put(t, d, strings.Repeat("x", 1_500_000))
	if _, _, err = d.Put(t.Context(), strings.NewReader("more")); !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "stay free") {
		t.Errorf("%v, want ErrFull that names the reserve", err)
	}
}

func TestAReadOnlyDiskIsToldOf(t *testing.T) {
	dir := storetest.SmallDisk(t, "4m", syscall.MS_RDONLY)
	if _, err := Open(filepath.Join(dir, "files"), Options{}); err == nil || !strings.Contains(err.Error(), "not mounted read-only") {
		t.Errorf("%v, want a remedy", err)
	}
}
