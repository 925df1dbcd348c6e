// Package diskspace tells how much of a disk is free.
package diskspace

// Free returns how many bytes this process may still write to the disk under a directory. ok is
// false if the system does not tell.
func Free(dir string) (bytes uint64, ok bool) { return free(dir) }
