package diskspace

import (
	"path/filepath"
	"testing"
)

func TestADiskHasSomeSpace(t *testing.T) {
	dir := t.TempDir()
	if n, ok := Free(dir); !ok || n == 0 || n > 1<<60 {
		t.Errorf("%d bytes, %v", n, ok)
	}
	if _, ok := Free(filepath.Join(dir, "missing")); ok {
		t.Error("a directory that does not exist has space")
	}
}
