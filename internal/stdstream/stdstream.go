// Package stdstream has the standard output and the standard error of a command: no write to them
// fails unseen.
package stdstream

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// Stream is one of the streams that a command prints to. It remembers the first write that failed,
// so that no verb has to look at the error of each line it prints: the program looks once, at the
// end, and ends with 1 when something could not be written.
//
// It is safe for concurrent use, as progress is drawn beside results.
type Stream struct {
	w    io.Writer
	gone func() // called when nobody reads any more, if it is not nil

	mu  sync.Mutex
	err error // of the first write that failed; later writes are tried nevertheless
}

// New returns a stream that writes to w. It calls gone when nobody reads w any more, unless gone is
// nil.
func New(w io.Writer, gone func()) *Stream { return &Stream{w: w, gone: gone} }

// Write implements [io.Writer].
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.w.Write(p)
	if err != nil && s.err == nil {
		s.err = err
		if IsReaderGone(err) && s.gone != nil {
			s.gone()
		}
	}
	return n, err
}

// Finish returns the first error of the stream. It closes the stream where it can be closed: some
// file systems report a failed write only then. Nothing may be printed afterwards.
func (s *Stream) Finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.w.(io.Closer); ok {
		if err := c.Close(); err != nil && s.err == nil {
			s.err = err
		}
	}
	return s.err
}

// IsReaderGone reports whether a write failed because nobody reads any more, as in "ancre info |
// head". Whoever closed the pipe wants no words about it.
func IsReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }
