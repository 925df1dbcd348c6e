//go:build linux || darwin || freebsd

package diskspace

import "syscall"

func free(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(max(st.Bavail, 0)) * uint64(st.Bsize), true // FreeBSD counts below what is reserved for root
}
