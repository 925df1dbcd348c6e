//go:build unix

package main

import "syscall"

// keepPrivate lets each file that this process makes be its owner's alone, whatever a library asks
// for. The socket of the verbs is made under it, too.
func keepPrivate() { syscall.Umask(0o077) }
