package main

import (
	"os"
	"syscall"
)

// syncData syncs like the daemon's store does on this system: without what the file's metadata do not need.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
