package failfs

import (
	"errors"
	"time"

	"ancre/batcher/store"
)

// Retry is for a job in the background that may fail for a while.
type Retry struct {
	fs      *FS
	closing <-chan struct{}
	text    string
	failed  bool // the last try did
}

// NewRetry returns a Retry that logs text, once for each row of failures, and ends with closing.
func (g *FS) NewRetry(closing <-chan struct{}, text string) *Retry {
	return &Retry{fs: g, closing: closing, text: text}
}

// Pause waits after a failure. It returns false when there is nothing to try again: the store has
// failed, is closed, or is damaged.
func (r *Retry) Pause(err error, pause time.Duration) bool {
	if r.fs.Failure() != nil || errors.Is(err, store.ErrClosed) { // nothing new
		return false
	}
	if !r.failed {
		r.failed = true
		r.fs.log.Warn(r.text, "err", err)
	}
	if errors.Is(err, store.ErrDamaged) {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.fs.failed:
	case <-r.closing:
	}
	return false
}

// Succeeded ends a row of failures, and says whether there was one.
func (r *Retry) Succeeded() (failed bool) {
	failed, r.failed = r.failed, false
	return failed
}
