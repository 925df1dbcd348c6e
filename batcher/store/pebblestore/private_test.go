package pebblestore

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"
)

// TestFilesOfTheStoreAreTheirOwnersAlone holds those that Pebble makes as well, and those that an
// older version made.
func TestFilesOfTheStoreAreTheirOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes on Windows")
	}
	dir := filepath.Join(t.TempDir(), "store")
	work := func() {
		t.Helper()
		s := openSmall(t, dir, nil)
		first, err := s.NumLeaves(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			appendAll(t, s, storetest.Leaves(1, 0, 9*testTableLeaves), leavesPerGroup)
		} else if _, err := s.Find(t.Context(), []store.Leaf{storetest.Leaf(1, 1)}); err != nil {
			t.Fatal(err)
		}
		settle(t, s)
		closeStore(t, s)
	}
	each := func(visit func(path string, mode fs.FileMode)) (n int) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			n++
			visit(path, info.Mode())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	closed := func(path string, mode fs.FileMode) {
		if mode.Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, mode)
		}
	}
	work()
	if n := each(closed); n < 8 {
		t.Errorf("only %d files", n)
	}
	each(func(path string, mode fs.FileMode) {
		if mode.IsRegular() {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
	work()
	each(closed)
}
