//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package leafindex

import (
	"syscall"
)

// allocate returns memory that is all zero and not of Go's heap.
func allocate(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func deallocate(b []byte) { _ = syscall.Munmap(b) }
