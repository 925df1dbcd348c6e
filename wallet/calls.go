package wallet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"ancre/internal/boltfile"
)

// calls counts the calls that are running in btcwallet, so that its file is not closed under them.
type calls struct {
	mu      sync.Mutex
	running int
	closed  bool
	idle    chan struct{} // closed once closed is set and no call is running
}

func (c *calls) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.running++
	return nil
}

// another counts one more call of a caller that is counted already.
func (c *calls) another() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if c.closed && c.running == 0 {
		close(c.idle)
	}
}

// close refuses further calls, and waits for the running ones.
func (c *calls) close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.closed = true
	if c.running == 0 {
		close(c.idle)
	}
	running := c.running
	c.mu.Unlock()

	select {
	case <-c.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls have not ended", running)
	}
}

// withTimeout runs fn, and returns when it has ended or the time is over. btcwallet takes no
// contexts, keeps database transactions open while it waits for peers, and may hang. A call whose
// time is over goes on in the background: the wallet owns it, and Close waits for it.
func withTimeout[T any](ctx context.Context, w *Wallet, what string, fn func() (T, error)) (T, error) {
	var zero T
	if err := w.calls.begin(); err != nil {
		return zero, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()

	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer w.calls.end()
		var r result
		err := boltfile.Protect(func() error {
			r.value, r.err = fn()
			return nil
		})
		if err != nil {
			w.markUnusable(err)
			_, r.err = w.current()
		}
		done <- r
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return zero, fmt.Errorf("%s: the wallet is busy, try again: %w", what, ctx.Err())
		}
		return zero, fmt.Errorf("%s: %w", what, ctx.Err())
	}
}

// doWithTimeout is withTimeout for a function that returns only an error.
func doWithTimeout(ctx context.Context, w *Wallet, what string, fn func() error) error {
	_, err := withTimeout(ctx, w, what, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

// semaphore is a mutex whose acquire takes a context.
type semaphore chan struct{}

func (s semaphore) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s semaphore) release() { <-s }
