//go:build linux || darwin || freebsd

package doctor

import "syscall"

// diskAt returns the room on the file system of a directory.
func diskAt(dir string) Fact[Disk] {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Missing[Disk](dir + ": " + err.Error())
	}
	return Known(Disk{Path: dir, FreeBytes: uint64(st.Bavail) * uint64(st.Bsize), Inodes: uint64(st.Files), FreeInodes: uint64(st.Ffree)})
}
