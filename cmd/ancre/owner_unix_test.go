//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Root restores for a service that runs under a user of its own: the daemon could not open what is
// root's.
func TestRestoreByRootIsOfTheDirectorysOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const nobody = 65534
	r := newRig(t)
	r.stored()
	file := r.path("a.backup")
	r.ancre("backup", file).is(t, exitDone)
	data := t.TempDir()
	r.must(os.Chown(data, nobody, nobody))
	r.must(os.Chmod(filepath.Dir(data), 0o711)) // as any directory above one that a daemon uses
	r.restore(data, "restore", file).is(t, exitDone)
	r.must(filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil {
			if info, err := d.Info(); err != nil || info.Sys().(*syscall.Stat_t).Uid != nobody {
				t.Errorf("%s is root's (%v)", path, err)
			}
		}
		return err
	}))
}
