package storetest

import (
	"syscall"
	"testing"
)

// SmallDisk mounts a disk of a size such as "4m" until the test ends, and returns its directory.
// flags are those of mount(2). It skips the test for who may not mount.
func SmallDisk(t testing.TB, size string, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
		t.Skip("only root can mount a small disk:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
