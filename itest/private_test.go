//go:build unix

package itest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesOfTheDataDirectoryAreTheirOwnersAlone checks the files that the daemon and its libraries
// make, and files that an older version left readable to others.
func TestFilesOfTheDataDirectoryAreTheirOwnersAlone(t *testing.T) {
	w := newLonelyWorld(t)
	all := func(visit func(path string, info fs.FileInfo)) {
		w.Helper()
		w.must(filepath.WalkDir(w.daemon.NetDir(), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				visit(path, info)
			}
			return nil // a table may be gone meanwhile
		}))
	}
	want := func(when string) {
		w.Helper()
		n := 0
		all(func(path string, info fs.FileInfo) {
			n++
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %s is %v", when, path, info.Mode())
			}
		})
		if n < 12 {
			t.Errorf("%s: only %d files", when, n)
		}
	}
	w.start()
	w.must(w.daemon.Call(w.ctx, nil, "submit", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
	want("a new directory")
	w.must(w.daemon.Stop())
	want("after a stop")
	all(func(path string, info fs.FileInfo) {
		if info.Mode().IsRegular() && filepath.Dir(path) != w.daemon.NetDir() {
			w.must(os.Chmod(path, 0o644))
		}
	})
	w.start()
	want("a directory of an older version")
}
