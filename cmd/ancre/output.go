package main

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// output is one of the streams that a command prints to. It remembers the first write that failed,
// so that no verb has to look at the error of each line it prints: run looks once, at the end, and
// the program ends with 1 when something could not be written.
//
// It is safe for concurrent use, as progress is drawn beside results.
type output struct {
	w    io.Writer
	gone func() // called when nobody reads any more, if it is not nil

	mu  sync.Mutex
	err error // of the first write that failed; later writes are tried nevertheless
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
		if isReaderGone(err) && o.gone != nil {
			o.gone()
		}
	}
	return n, err
}

// finish returns the first error of the stream. It closes the stream where it can be closed: some
// file systems report a failed write only then. Nothing may be printed afterwards.
func (o *output) finish() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.w.(io.Closer); ok {
		if err := c.Close(); err != nil && o.err == nil {
			o.err = err
		}
	}
	return o.err
}

// isReaderGone reports whether a write failed because nobody reads any more, as in "ancre info |
// head". Whoever closed the pipe wants no words about it.
func isReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }
