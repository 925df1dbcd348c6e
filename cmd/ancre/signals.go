package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ancre/internal/atomicfile"
)

// errReaderGone ends a command whose results nobody reads any more, as in "ancre stamp -r DIR |
// head".
var errReaderGone = errors.New("nobody reads the results any more")

// untilSignal returns a context that ends with the first signal that asks for an end. A second one
// ends the program at once.
//
// A pipe that nobody reads is an error of the write, not a signal that kills: files in the making
// are removed in each case.
func untilSignal() context.Context {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	asked := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // by nohup, or by a shell that started this in the background
			signal.Notify(asked, s)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	// It ends with the program, which waits for nothing of it.
	go func() {
		<-asked
		cancel()
		s := <-asked
		atomicfile.RemoveUnfinished()
		const killed = 128 // and the signal's number: what shells say of a program that a signal killed
		if n, ok := s.(syscall.Signal); ok {
			os.Exit(killed + int(n))
		}
		os.Exit(exitFailed)
	}()
	return ctx
}

// interruptReader reads from a pipe or a terminal, which may never say anything, and gives up when
// ctx ends. The read that is left behind then ends with the program, which is what an interrupt is
// for.
type interruptReader struct {
	ctx     context.Context
	r       io.Reader
	buffer  [64 << 10]byte  // as much as a pipe holds on Linux
	waiting chan readResult // nil: no read is going on
	left    []byte          // was read and not yet asked for
	err     error
}

type readResult struct {
	n   int
	err error
}

// Read implements [io.Reader]. Only one goroutine at a time may call it.
func (i *interruptReader) Read(p []byte) (int, error) {
	if len(i.left) == 0 && i.err == nil {
		if i.waiting == nil {
			i.waiting = make(chan readResult, 1)
			go func(answer chan<- readResult) {
				n, err := i.r.Read(i.buffer[:])
				answer <- readResult{n, err}
			}(i.waiting)
		}
		select {
		case got := <-i.waiting:
			i.waiting, i.left, i.err = nil, i.buffer[:got.n], got.err
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
	}
	n := copy(p, i.left)
	i.left = i.left[n:]
	if len(i.left) > 0 {
		return n, nil
	}
	return n, i.err
}
