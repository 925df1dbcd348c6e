//go:build unix

package main

import "syscall"

// keepPrivate lets each file that this process makes be its owner's alone, whatever a library asks
// for.
func keepPrivate() { syscall.Umask(0o077) }
