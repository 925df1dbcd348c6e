package itest

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// mountSmallDisk mounts a file system of a size on dir, until the test ends. It returns an error if
// that is not allowed.
func mountSmallDisk(_ context.Context, t *testing.T, dir string, size int) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("only root can mount a small disk to fill")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		return fmt.Errorf("mounting a small disk to fill is not allowed here: %w", err)
	}
	t.Cleanup(func() {
		// Detached at once, and gone when the last file in it is closed.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return nil
}
