// Package budget shares a fixed amount of memory, or of places, among the callers of a server.
//
// The promise: the shares together never exceed the size by more than GrowTo and Take add. A caller
// who keeps the server waiting (a body that does not arrive, an answer that is not read) loses its
// share when others need it. One user cannot crowd out another: what becomes free goes to the user
// who holds least.
package budget

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// ErrFull says that nothing became free within the longest wait, or that too many callers of the
// same user are waiting already.
var ErrFull = errors.New("the budget is used up")

const (
	// Grace is how long a holder may keep the server waiting before another caller may displace it.
	Grace = 2 * time.Second

	// MinRate is how fast a transfer must be after the grace, while others wait. A slower transfer
	// continues as long as no caller needs its share.
	MinRate = 512 << 10 // bytes a second

	// MaxWaiting is how many callers of one user may wait at once; more are refused. Each waiting
	// caller occupies a connection.
	MaxWaiting = 128

	// look is how often a waiting caller looks for holders to displace.
	look = 100 * time.Millisecond
)

// Budget is the amount that is shared. It may be used by many goroutines.
type Budget struct {
	size    int64
	maxWait time.Duration
	now     func() time.Time // tests replace it

	mu      sync.Mutex
	free    int64 // below zero after GrowTo and Take
	holds   map[*Hold]struct{}
	held    map[string]int64 // by user; only users who hold something
	last    map[string]int64 // the number of each user's last grant; users are few, as configured
	grants  int64
	waiting []*waiter // in the order in which they came
}

// waiter is a caller who waits for a share.
type waiter struct {
	hold    *Hold
	granted chan struct{} // closed when hold has its share
}

// Hold is the share of one caller. The lock of the budget guards its fields.
type Hold struct {
	budget *Budget
	user   string
	n      int64
	cut    func() // aborts the transfer that the server waits for; it must not call the budget

	since  time.Time     // when the server began to wait for the caller; zero: it is not waiting
	waited time.Duration // how long it waited before that
	moved  int64         // bytes transferred while it waited
	wasCut bool
}

// New returns a budget. A caller waits for its share no longer than maxWait.
func New(size int64, maxWait time.Duration) *Budget {
	return &Budget{
		size:    size,
		maxWait: maxWait,
		now:     time.Now,
		free:    size,
		holds:   make(map[*Hold]struct{}),
		held:    make(map[string]int64),
		last:    make(map[string]int64),
	}
}

// Acquire takes n for a user, and waits if necessary. If n exceeds the size, it takes the size. The
// budget calls cut, at most once, when the holder keeps the server waiting and others need the
// share. The holder must call Release in any case. Acquire fails with ErrFull, or with the
// context's error.
func (b *Budget) Acquire(ctx context.Context, user string, n int64, cut func()) (*Hold, error) {
	h := &Hold{budget: b, user: user, n: min(n, b.size), cut: cut}
	b.mu.Lock()
	if len(b.waiting) == 0 && h.n <= b.free {
		b.grant(h)
		b.mu.Unlock()
		return h, nil
	}
	if b.crowded(user) {
		b.mu.Unlock()
		return nil, ErrFull
	}
	w := &waiter{hold: h, granted: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.share()
	b.mu.Unlock()

	timeout := time.NewTimer(b.maxWait)
	defer timeout.Stop()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-w.granted:
			return h, nil
		case <-ticker.C:
			b.displace()
		case <-timeout.C:
			return b.leave(w, ErrFull)
		case <-ctx.Done():
			return b.leave(w, ctx.Err())
		}
	}
}

// crowded reports whether as many callers of a user are waiting as may.
func (b *Budget) crowded(user string) bool {
	n := 0
	for _, w := range b.waiting {
		if w.hold.user == user {
			n++
		}
	}
	return n >= MaxWaiting
}

// leave ends a wait. If the share was granted a moment ago, leave gives it back.
func (b *Budget) leave(w *waiter, err error) (*Hold, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.waiting {
		if b.waiting[i] == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.share()
			return nil, err
		}
	}
	b.drop(w.hold)
	return nil, err
}

// Take takes n at once, even if that exceeds the size. It is for what is in memory already.
func (b *Budget) Take(user string, n int64, cut func()) *Hold {
	h := &Hold{budget: b, user: user, n: n, cut: cut}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grant(h)
	return h
}

// GrowTo makes a share at least n at once, even if that exceeds the size.
func (h *Hold) GrowTo(n int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if n -= h.n; n <= 0 {
		return
	}
	h.n += n
	b.free -= n
	b.held[h.user] += n
}

// Waits says that the server now waits for the caller, until Works or Release is called.
func (h *Hold) Waits() {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.since.IsZero() {
		h.since = b.now()
	}
}

// Moved counts n bytes that the caller has sent or read.
func (h *Hold) Moved(n int) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	h.moved += int64(n)
}

// Works says that the server no longer waits for the caller.
func (h *Hold) Works() {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	h.pause(b.now())
}

func (h *Hold) pause(now time.Time) {
	if !h.since.IsZero() {
		h.waited += now.Sub(h.since)
		h.since = time.Time{}
	}
}

// Cut reports whether the budget has aborted the transfer.
func (h *Hold) Cut() bool {
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.wasCut
}

// Release gives the share back. A second call does nothing, nor does a call on a nil Hold.
func (h *Hold) Release() {
	if h == nil {
		return
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	h.budget.drop(h)
}

func (b *Budget) grant(h *Hold) {
	b.free -= h.n
	b.held[h.user] += h.n
	b.holds[h] = struct{}{}
	b.grants++
	b.last[h.user] = b.grants
}

func (b *Budget) drop(h *Hold) {
	if _, ok := b.holds[h]; !ok {
		return
	}
	delete(b.holds, h)
	b.free += h.n
	if b.held[h.user] -= h.n; b.held[h.user] == 0 {
		delete(b.held, h.user)
	}
	b.share()
}

// share grants shares to waiting callers: first to the user who holds least, and among equals to
// the one whose last grant is oldest. No caller overtakes another whose share is not free yet:
// otherwise a large share would never become free.
func (b *Budget) share() {
	for len(b.waiting) > 0 {
		next, least, turn := 0, int64(math.MaxInt64), int64(0)
		for i, w := range b.waiting {
			held, last := b.held[w.hold.user], b.last[w.hold.user]
			if held < least || held == least && last < turn {
				next, least, turn = i, held, last
			}
		}
		w := b.waiting[next]
		if w.hold.n > b.free {
			return
		}
		b.waiting = append(b.waiting[:next], b.waiting[next+1:]...)
		b.grant(w.hold)
		close(w.granted)
	}
}

// displace aborts the transfer of the holder who has kept the server waiting longest beyond what
// its transferred bytes allow. If no holder is late, it does nothing.
func (b *Budget) displace() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return
	}
	now := b.now()
	var worst *Hold
	var most time.Duration
	for h := range b.holds {
		if late := h.late(now); late > most && !h.wasCut && h.cut != nil {
			worst, most = h, late
		}
	}
	if worst != nil {
		worst.wasCut = true
		worst.cut()
	}
}

// late is how much longer than allowed the server has waited for the holder. It is negative if the
// holder is not late. Only a holder for whom the server waits now can be late.
func (h *Hold) late(now time.Time) time.Duration {
	if h.since.IsZero() {
		return -1
	}
	allowed := Grace + time.Duration(h.moved)*time.Second/MinRate
	return h.waited + now.Sub(h.since) - allowed
}
