package interrupt

import (
	"context"
	"io"
)

// Reader reads from a pipe or a terminal, on which nothing may ever come. It gives up when its
// context ends. The read that is left behind ends with the program.
type Reader struct {
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

// NewReader returns a Reader of r that gives up when ctx ends, with the cause of that as its error.
func NewReader(ctx context.Context, r io.Reader) *Reader { return &Reader{ctx: ctx, r: r} }

// Read implements [io.Reader]. Only one goroutine at a time may call it.
func (i *Reader) Read(p []byte) (int, error) {
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
