package main

import (
	"fmt"
	"os"
	"syscall"
)

// syncData syncs as the daemon's store does on this system: without the metadata that reading the
// file does not need.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// reserve reserves space in a file, from an offset on. On a file system that cannot, it does
// nothing.
func reserve(f *os.File, from, length int64) error {
	if err := syscall.Fallocate(int(f.Fd()), 0, from, length); err != nil && err != syscall.EOPNOTSUPP {
		return err
	}
	return nil
}

// freeBytes returns the free space of a directory's disk.
func freeBytes(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// resetPeak has the kernel begin a new measurement of the most memory that a process holds
// (proc(5), clear_refs).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
