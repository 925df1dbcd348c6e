package export

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncAll brings everything that was written to the file system of f to the disk: one wait instead
// of one for each of some hundred thousand files (syncfs(2)).
func syncAll(f *os.File) error { return unix.Syncfs(int(f.Fd())) }
