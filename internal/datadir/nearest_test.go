package datadir

import (
	"path/filepath"
	"testing"
)

func TestTheNearestDirectoryIsFound(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                           dir,
		filepath.Join(dir, "a"):       dir,
		filepath.Join(dir, "a/b/c/d"): dir,
		"/":                           "/",
		"nowhere/at/all":              ".",
	} {
		if got := Nearest(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
