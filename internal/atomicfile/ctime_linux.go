package atomicfile

import (
	"io/fs"
	"syscall"
)

// changeTime returns when a file's content or description last changed, in nanoseconds. Unlike the
// time of the last change of the content, no program can set it.
func changeTime(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim.Nano()
	}
	return 0
}

// inode returns the number of a file in its file system.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
