//go:build !linux && !darwin && !freebsd && !netbsd

package atomicfile

import "io/fs"

// changeTime: these systems do not tell, or in another way.
func changeTime(fs.FileInfo) int64 { return 0 }

// inode: as changeTime.
func inode(fs.FileInfo) uint64 { return 0 }
