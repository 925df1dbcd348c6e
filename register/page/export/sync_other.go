//go:build !linux

package export

import "os"

// syncAll brings f to the disk. Elsewhere than on Linux no call does that for a whole file system:
// after a loss of power, the next export writes again what is not as it should be.
func syncAll(f *os.File) error { return f.Sync() }
