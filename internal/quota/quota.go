// Package quota limits how many digests are accepted in an interval, from each user and from all
// together. The RPC and the calendar both use it. A full batch is paid for before its time, so a
// caller who submits digests without end spends the operator's money.
package quota

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits are the numbers of digests that are accepted in an interval. 0: no limit.
type Limits struct {
	All      int
	EachUser int
	Interval time.Duration

	// The configuration keys of the two limits, for messages.
	AllKey, EachUserKey string
}

// usedUpFor is how long the warning stays after the last refusal.
const usedUpFor = 10 * time.Minute

// Quota counts digests. It may be used by many goroutines. A nil Quota allows everything.
type Quota struct {
	limits Limits
	now    func() time.Time // tests replace it

	mu      sync.Mutex
	all     bucket
	users   map[string]*bucket // there are as many as are configured
	refused map[string]time.Time
	count   uint64
}

// bucket holds how many digests may still come. It fills evenly, within one interval.
type bucket struct {
	size  float64 // 0: no limit
	left  float64
	since time.Time
}

// Refusal says that a limit is reached.
type Refusal struct {
	Key   string        // the configuration key of the limit
	Limit int           // its value
	After time.Duration // when to try again; 0: never, because the call has more digests than the limit
	User  string        // the user who has reached the limit; empty: the limit is that of all

	every time.Duration
}

// Error says what the caller should do.
func (r *Refusal) Error() string {
	whose := "all users together have"
	if r.User != "" {
		whose = "the user " + r.User + " has"
	}
	text := fmt.Sprintf("%s submitted as many new digests as %s = %d allows in %s", whose, r.Key, r.Limit, r.every)
	if r.After == 0 {
		return fmt.Sprintf("more new digests at once than %s = %d allows in %s: submit fewer", r.Key, r.Limit, r.every)
	}
	return fmt.Sprintf("%s: try again in %s", text, r.After)
}

// New returns a quota, or nil if there is no limit.
func New(limits Limits) *Quota {
	if limits.All == 0 && limits.EachUser == 0 {
		return nil
	}
	q := &Quota{limits: limits, now: time.Now, users: make(map[string]*bucket), refused: make(map[string]time.Time)}
	q.all = q.bucket(limits.All)
	return q
}

func (q *Quota) bucket(size int) bucket {
	return bucket{size: float64(size), left: float64(size), since: q.now()}
}

// Take counts n new digests of a user, all or none.
func (q *Quota) Take(user string, n int) *Refusal {
	if q == nil || n == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	one := q.user(user)
	for _, limit := range []struct {
		*bucket
		key, user string
	}{{one, q.limits.EachUserKey, user}, {&q.all, q.limits.AllKey, ""}} {
		limit.fill(now, q.limits.Interval)
		if limit.size == 0 || limit.left >= float64(n) {
			continue
		}
		q.refused[limit.user] = now
		q.count++
		r := &Refusal{Key: limit.key, Limit: int(limit.size), User: limit.user, every: q.limits.Interval}
		if float64(n) <= limit.size {
			seconds := (float64(n) - limit.left) / limit.size * q.limits.Interval.Seconds()
			r.After = time.Duration(max(1, math.Ceil(seconds))) * time.Second
		}
		return r
	}
	one.left -= float64(n)
	q.all.left -= float64(n)
	return nil
}

// Return gives back what was taken for digests that were not new or were not accepted.
func (q *Quota) Return(user string, n int) {
	if q == nil || n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range []*bucket{q.user(user), &q.all} {
		b.left = min(b.left+float64(n), b.size)
	}
}

// Left returns how many new digests of a user would be accepted now.
func (q *Quota) Left(user string) int {
	if q == nil {
		return math.MaxInt
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	left, now := math.MaxInt, q.now()
	for _, b := range []*bucket{q.user(user), &q.all} {
		if b.fill(now, q.limits.Interval); b.size > 0 {
			left = min(left, int(b.left))
		}
	}
	return left
}

// Refused returns how often Take has refused.
func (q *Quota) Refused() uint64 {
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// Warning says that a limit was reached in the last minutes. It is empty if none was.
func (q *Quota) Warning() string {
	if q == nil {
		return ""
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var users []string
	all := false
	for user, at := range q.refused {
		switch {
		case q.now().Sub(at) >= usedUpFor:
			delete(q.refused, user)
		case user == "":
			all = true
		default:
			users = append(users, user)
		}
	}
	slices.Sort(users)
	switch {
	case all:
		return fmt.Sprintf("ancred refuses digests: as many new ones arrived as %s = %d allows in one batch.interval. Find out who sends them, or raise it",
			q.limits.AllKey, q.limits.All)
	case len(users) > 0:
		return fmt.Sprintf("ancred refuses digests of %s: as many new ones arrived as %s = %d allows each user in one batch.interval. Find out why, or raise it",
			strings.Join(users, ", "), q.limits.EachUserKey, q.limits.EachUser)
	}
	return ""
}

func (q *Quota) user(name string) *bucket {
	b := q.users[name]
	if b == nil {
		made := q.bucket(q.limits.EachUser)
		b = &made
		q.users[name] = b
	}
	return b
}

// fill adds what has become free since the last call.
func (b *bucket) fill(now time.Time, interval time.Duration) {
	if passed := now.Sub(b.since); passed > 0 {
		b.left = min(b.left+b.size*passed.Seconds()/interval.Seconds(), b.size)
		b.since = now
	}
}
