package main

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"

	"ancre/internal/atomicfile"

	"golang.org/x/sync/errgroup"
)

// hashBuffer is how much of a file is in memory, for each file that is being hashed.
const hashBuffer = 256 << 10

// hashBuffers are used again. A new one for each of ten thousand small files costs more than
// hashing them: the garbage collector would run all the time.
var hashBuffers = sync.Pool{New: func() any { return new([hashBuffer]byte) }}

var errNotRegular = errors.New("is not a regular file: pipe its content to \"ancre stamp -\"")

// errChanging means that the hash would be of content that the file never had.
var errChanging = errors.New("changes while ancre reads it: wait until nothing writes to it, or stamp a copy")

// clockTick is the longest time between two writes that leave the same time of the last change: the
// coarsest tick of Linux, with CONFIG_HZ=100.
const clockTick = 10 * time.Millisecond

// hashFile hashes a file that the user named, and calls read with the number of bytes as it goes
// on.
func hashFile(ctx context.Context, path string, newHash func() hash.Hash, read func(int64)) ([]byte, error) {
	return (*tree)(nil).hashFile(ctx, path, newHash, read)
}

// hashFile hashes a file, and calls read with the number of bytes as it goes on. A file that
// changes meanwhile is hashed once more, and refused if it changes again.
func (t *tree) hashFile(ctx context.Context, path string, newHash func() hash.Hash, read func(int64)) ([]byte, error) {
	sum, _, err := t.hashIdentified(ctx, path, newHash, read)
	return sum, err
}

// hashIdentified is hashFile, and also returns which file it was.
func (t *tree) hashIdentified(ctx context.Context, path string, newHash func() hash.Hash, read func(int64)) ([]byte, atomicfile.Identity, error) {
	var last []byte // the hash of a pass that shows no change, but might hide one
	for changes := 0; ; {
		sum, id, state, err := t.hashOnce(ctx, path, newHash(), read)
		switch {
		case err != nil:
			return nil, id, err
		case state == quiet, state == fresh && bytes.Equal(sum, last):
			return sum, id, nil
		case state == fresh && last == nil:
			last = sum
			continue
		}
		if changes++; changes > 1 {
			return nil, id, errChanging
		}
		last = nil
	}
}

// changeState is what a file's times say about changes while it was hashed.
type changeState int

const (
	quiet   changeState = iota // nothing changed
	fresh                      // it was written to just before: one more write might have left the same time
	changed                    // something changed
)

// hashOnce hashes a file once.
func (t *tree) hashOnce(ctx context.Context, path string, h hash.Hash, read func(int64)) (sum []byte, id atomicfile.Identity, state changeState, err error) {
	file, err := t.open(path)
	var kind *atomicfile.KindError
	switch {
	case errors.As(err, &kind) && kind.Mode.IsDir():
		return nil, id, 0, errDirectory
	case errors.As(err, &kind):
		return nil, id, 0, errNotRegular
	case err != nil:
		return nil, id, 0, plainError(err)
	}
	defer file.Close()
	if !file.info.Mode().IsRegular() {
		return nil, id, 0, errNotRegular // a pipe of this process can be read once, and this may be the second time
	}
	isFresh := time.Since(file.info.ModTime()) < clockTick
	id = atomicfile.Identify(file.info)
	size := file.info.Size()
	sum, n, err := hashUpTo(ctx, file, h, size, read)
	if err != nil {
		return nil, id, 0, plainError(err)
	}
	whileHashing()
	after, err := file.Stat()
	if err != nil {
		return nil, id, 0, plainError(err)
	}
	named, err := file.again()
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, id, 0, plainError(err)
	// Files of /proc have content and no size.
	case err != nil, n > size && size > 0, !atomicfile.Unchanged(file.info, after), !os.SameFile(after, named):
		return sum, id, changed, nil
	case isFresh:
		return sum, id, fresh, nil
	}
	return sum, id, quiet, nil
}

// whileHashing is called after a file was read and before it is looked at again. Only tests set it.
var whileHashing = func() {}

// hashUpTo hashes a file of the given size, and stops if the file is longer: a file that grows
// faster than it is read has no end.
func hashUpTo(ctx context.Context, file io.Reader, h hash.Hash, size int64, read func(int64)) ([]byte, int64, error) {
	var n int64
	if size > 0 {
		file = io.LimitReader(file, size+1)
	}
	sum, err := hashReader(ctx, file, h, func(more int64) {
		n += more
		read(more)
	})
	return sum, n, err
}

// hashReader hashes everything that r gives.
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

// window is how many elements, for each worker of inOrder, may be done before the first of them. So
// small files are hashed while a large one before them is still being hashed.
const window = 32

// inOrder calls do for each element, several at a time, and yields the results in the order of the
// elements. It waits for all calls that it started, even if the caller stops early.
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

// gather collects elements in a goroutine of its own, and yields them in slices of up to n, while
// the caller works on the slice before. A fast caller gets small slices at once, a slow caller gets
// large ones. At most 2n elements exist at a time.
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
