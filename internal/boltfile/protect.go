package boltfile

import (
	"fmt"
	"runtime/debug"
)

// Protect runs f, which reads an open database. A panic of bbolt, and a fault where its mapped file
// cannot be read, become an error that wraps [ErrDamaged]. This works for the calling goroutine
// alone. Only [Check] protects the goroutines of a library.
func Protect(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damagedf("reading it failed with %q", fmt.Sprint(r))
		}
	}()
	return f()
}
