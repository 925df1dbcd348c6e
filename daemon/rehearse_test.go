package daemon

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/batcher/store/storetest"
)

// exampleBackup is the backup of a store with a sealed batch and an open one.
func exampleBackup(t *testing.T) []byte {
	t.Helper()
	s, err := pebblestore.Open(t.TempDir(), pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = storetest.FillExample(t.Context(), s, well().now)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := backup.Write(t.Context(), &b, n, "regtest", well().now); err != nil || n.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestARehearsalRestoresAndLeavesNothing(t *testing.T) {
	dir, data := t.TempDir(), exampleBackup(t)
	s, err := Rehearse(t.Context(), dir, Backup{Name: "a", Content: bytes.NewReader(data)})
	if err != nil || s.Digests != storetest.ExampleDigests || s.Batches != 2 || s.Bytes != int64(len(data)) {
		t.Errorf("%+v, %v", s, err)
	}
	wantEmpty(t, dir)
	for name, bad := range map[string][]byte{"cut": data[:len(data)-9], "changed": bytes.Replace(data, []byte("regtest"), []byte("regtesT"), 1)} {
		if _, err := Rehearse(t.Context(), dir, Backup{Name: "a", Content: bytes.NewReader(bad)}); !errors.Is(err, backup.ErrTruncated) && !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		wantEmpty(t, dir)
	}
	_, err = Rehearse(t.Context(), dir+"/missing", Backup{Name: "a", Content: bytes.NewReader(data)})
	if err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("no directory: %v", err)
	}
}

func TestARehearsalThatCannotFitSaysSo(t *testing.T) {
	err := fitsRehearsal(t.TempDir(), 1<<50)
	if err == nil || !strings.Contains(err.Error(), "only ") || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v", err)
	}
}

// A store that is not what the backup says does not pass, whatever the difference is.
func TestARehearsalComparesTheStore(t *testing.T) {
	dir, data := t.TempDir(), exampleBackup(t)
	r, err := Backup{Name: "a", Content: bytes.NewReader(data)}.open()
	if err != nil {
		t.Fatal(err)
	}
	s, err := fillStore(t.Context(), dir, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := tryStore(t.Context(), dir, r.Header(), s); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(h *backup.Header, s *backup.Summary){
		"another key than":      func(h *backup.Header, _ *backup.Summary) { h.Key[0] ^= 1 },
		"302 digests":           func(_ *backup.Header, s *backup.Summary) { s.Digests++ },
		"0 anchors":             func(_ *backup.Header, s *backup.Summary) { s.Anchors++ },
		"batch 3: ":             func(_ *backup.Header, s *backup.Summary) { s.Batches++ },
		"not end at block 1235": func(_ *backup.Header, s *backup.Summary) { s.Followed.Height++ },
	} {
		h, other := r.Header(), s
		change(&h, &other)
		if err := tryStore(t.Context(), dir, h, other); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}
