package datadir

import (
	"os"
	"path/filepath"
)

// Nearest returns the directory nearest to path that this user can look at: path, or one above it.
func Nearest(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}
