package main

import (
	"context"
	"errors"
	"hash"
	"io"
	"iter"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"
)

// hashBuffer is how much of a file is in memory, for each file that is being hashed.
const hashBuffer = 256 << 10

// hashBuffers are used again: a new one for each of ten thousand small files costs more than hashing them, for the garbage collector runs all the time.
var hashBuffers = sync.Pool{New: func() any { return new([hashBuffer]byte) }}

var errNotRegular = errors.New("is not a regular file: pipe its content to \"ancre stamp -\"")

// hashFile hashes a file's content and tells read of its progress.
func hashFile(ctx context.Context, path string, h hash.Hash, read func(int64)) ([]byte, error) {
	// Opening a named pipe would wait for somebody to write into it.
	if info, err := os.Stat(path); err != nil {
		return nil, plainError(err)
	} else if info.IsDir() {
		return nil, errDirectory
	} else if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, plainError(err)
	}
	defer file.Close()
	sum, err := hashReader(ctx, file, h, read)
	return sum, plainError(err)
}

// hashReader hashes all that comes.
func hashReader(ctx context.Context, r io.Reader, h hash.Hash, read func(int64)) ([]byte, error) {
	buffer := hashBuffers.Get().(*[hashBuffer]byte)
	defer hashBuffers.Put(buffer)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.Read(buffer[:])
		h.Write(buffer[:n])
		read(int64(n))
		if err == io.EOF {
			return h.Sum(nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// window is how many elements, for each worker of inOrder, may be done before the first of them: while a large file is being hashed,
// the small ones after it are.
const window = 32

// inOrder does do for each element, several at a time, and yields the results in the order of the elements. It waits for all that
// it started, also when the caller stops early.
func inOrder[T, R any](ctx context.Context, workers int, elements iter.Seq[T], do func(context.Context, T) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		ctx, cancel := context.WithCancel(ctx)
		// Each element's result has a channel of its own; pending holds these channels in order.
		pending := make(chan chan R, window*workers)
		var group errgroup.Group
		group.Go(func() error {
			defer close(pending)
			var work errgroup.Group
			work.SetLimit(workers)
			for e := range elements {
				result := make(chan R, 1)
				select {
				case pending <- result:
				case <-ctx.Done():
					work.Wait()
					return nil
				}
				work.Go(func() error {
					result <- do(ctx, e)
					return nil
				})
			}
			return work.Wait()
		})
		defer group.Wait()
		defer cancel()
		for result := range pending {
			if !yield(<-result) {
				return
			}
		}
	}
}

// gather collects elements, in a goroutine of its own, while what was yielded last is being dealt with, and yields them in slices of up to n. Whoever is
// fast gets small ones at once, whoever is slow gets large ones. No more than 2n elements exist at a time.
func gather[T any](elements iter.Seq[T], n int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		collected := make(chan T, n)
		enough := make(chan struct{})
		var collecting sync.WaitGroup
		collecting.Go(func() {
			defer close(collected)
			for e := range elements {
				select {
				case collected <- e:
				case <-enough:
					return
				}
			}
		})
		defer collecting.Wait()
		defer close(enough)
		for first := range collected {
			group := []T{first}
			for len(group) < n && len(collected) > 0 { // nobody else takes from it
				group = append(group, <-collected)
			}
			if !yield(group) {
				return
			}
		}
	}
}
