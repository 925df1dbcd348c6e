package main

import (
	"fmt"
	"os"
	"syscall"
)

// syncData syncs like the daemon's store does on this system: without what the file's metadata do
// not need.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// reserve asks for room in a file, from an offset on. A file system that cannot do it does without.
func reserve(f *os.File, from, length int64) error {
	if err := syscall.Fallocate(int(f.Fd()), 0, from, length); err != nil && err != syscall.EOPNOTSUPP {
		return err
	}
	return nil
}

// freeBytes is how much room a directory's disk has for us.
func freeBytes(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// resetPeak has the kernel forget the most that a process held, so that what comes now is seen
// (proc(5), clear_refs).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
