// Package interrupt lets a person stop a command. The first signal that asks for an end cancels the
// command's context, so that the command can clean up. The second ends the program at once.
package interrupt

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Context returns a context that ends with the first signal that asks for an end: SIGINT, SIGTERM
// or SIGHUP. At a second one the program calls atOnce, unless that is nil, and exits.
//
// A write to a pipe that nobody reads becomes an error of the write, instead of a signal that
// kills. So the command can remove unfinished files in each case.
func Context(atOnce func()) context.Context {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	asked := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // by nohup, or by a shell that started this in the background
			signal.Notify(asked, s)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	// This goroutine lasts as long as the program: nothing needs to wait for it.
	go func() {
		<-asked
		cancel()
		s := <-asked
		if atOnce != nil {
			atOnce()
		}
		const killed = 128 // and the signal's number: what shells say of a program that a signal killed
		if n, ok := s.(syscall.Signal); ok {
			os.Exit(killed + int(n))
		}
		os.Exit(1)
	}()
	return ctx
}
