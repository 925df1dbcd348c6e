//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// withoutWaiting opens a named pipe without waiting for its other end, and no terminal becomes
	// ours.
	withoutWaiting = syscall.O_NONBLOCK | syscall.O_NOCTTY

	canSyncDir = true
)

// isOwn reports whether something belongs to the user that this process runs as, or to root.
func isOwn(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}

// giveTo gives a file the owner and the group of another one. It reports whether it has that group.
func giveTo(f *os.File, from fs.FileInfo) bool {
	want, ok := from.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	have, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if have.Uid != want.Uid && f.Chown(int(want.Uid), int(want.Gid)) == nil {
		return true
	}
	return have.Gid == want.Gid || f.Chown(-1, int(want.Gid)) == nil
}

func chmod(f *os.File, mode fs.FileMode) error { return f.Chmod(mode) }

// isDescriptor reports whether a path means a file that this process has open.
func isDescriptor(path string) bool {
	path = filepath.Clean(path)
	if path == "/dev/stdin" {
		return true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if n, ok := strings.CutPrefix(path, dir); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return true
		}
	}
	return false
}
