package itest

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// load is a crowd of clients that submit digests, whether the daemon runs or not, and the book of
// the acknowledgements that they got.
type load struct {
	*world
	group *errgroup.Group
	stop  context.CancelFunc
	acks  chan struct{} // has a value when something was acknowledged since the last receive

	mu    sync.Mutex
	book  []rpc.Entry       // what was acknowledged, in that order; proofs left out
	place map[string]int    // of a digest, in book
	roots map[uint64]string // of the batches that were seen sealed
	fault error             // the first promise that was broken, as clients see it
}

const (
	singleClients = 3
	singleRate    = 60 // a second, of each
	batchRate     = 8  // a second
	batchMost     = 150
	closeRate     = 1.5 // closebatch a second
)

// startLoad starts the clients. They end with halt.
func (w *world) startLoad(seed uint64) *load {
	l := &load{world: w, acks: make(chan struct{}, 1), place: make(map[string]int), roots: make(map[uint64]string)}
	ctx, stop := context.WithCancel(w.ctx)
	l.group, l.stop = new(errgroup.Group), stop
	for i := range singleClients {
		dice := rand.New(rand.NewPCG(seed, uint64(100+i)))
		digest := randomDigest()
		l.client(ctx, singleRate, func() error {
			err := l.submitOne(ctx, digest)
			if err == nil { // else the client's rule: it is handed in again
				digest = l.next(dice)
			}
			return err
		})
	}
	dice := rand.New(rand.NewPCG(seed, 200))
	l.client(ctx, batchRate, func() error { return l.submitMany(ctx, dice) })
	l.client(ctx, closeRate, func() error { return l.daemon.Call(ctx, nil, "closebatch") })
	return l
}

// Answers of a daemon that has just started: it is not ready, or it has a new cookie since we read
// the old one.
const (
	warmingUp    = -28
	unauthorized = -2
)

// client makes one kind of call again and again, at a rate. A call may fail because the daemon is
// dead or starts.
func (l *load) client(ctx context.Context, perSecond float64, do func() error) {
	pace := rate.NewLimiter(rate.Limit(perSecond), 1)
	l.group.Go(func() error {
		for pace.Wait(ctx) == nil {
			var refused *harness.RPCError
			if err := do(); errors.As(err, &refused) && refused.Code != warmingUp && refused.Code != unauthorized {
				l.mu.Lock()
				if l.fault == nil {
					l.fault = err
				}
				l.mu.Unlock()
			}
		}
		return nil
	})
}

// halt ends the clients.
func (l *load) halt() {
	l.Helper()
	l.stop()
	l.must(l.group.Wait())
}

func (l *load) submitOne(ctx context.Context, digest string) error {
	var e rpc.Entry
	if err := l.daemon.Call(ctx, &e, "submit", digest); err != nil {
		return err
	}
	l.acknowledged(e)
	return nil
}

// next returns a new digest, or now and then one that was acknowledged before.
func (l *load) next(dice *rand.Rand) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.book); n > 0 && dice.IntN(20) == 0 {
		return l.book[dice.IntN(n)].Digest
	}
	return randomDigest()
}

func (l *load) submitMany(ctx context.Context, dice *rand.Rand) error {
	digests := make([]string, 1+dice.IntN(batchMost))
	for i := range digests {
		digests[i] = randomDigest()
	}
	var entries []rpc.Entry
	if err := l.daemon.Call(ctx, &entries, "submitbatch", digests); err != nil {
		return err
	}
	l.acknowledged(entries...)
	return nil
}

// acknowledged writes acknowledgements into the book.
func (l *load) acknowledged(entries ...rpc.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		e.Proof = ""
		if i, known := l.place[e.Digest]; known {
			if was := l.book[i]; (was.Batch != e.Batch || was.Index != e.Index) && l.fault == nil {
				l.fault = errors.New("submitted again, " + describe(e) + "; it was acknowledged in " + describe(was))
			}
			continue
		}
		l.place[e.Digest] = len(l.book)
		l.book = append(l.book, e)
	}
	select {
	case l.acks <- struct{}{}:
	default:
	}
}

func describe(e rpc.Entry) string {
	text, _ := json.Marshal(e)
	return string(text)
}

// acked returns the number of digests that were acknowledged so far.
func (l *load) acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.book)
}

// wantKept asks the daemon for acknowledged digests: a range of the book, and a sample of the
// digests before it.
func (l *load) wantKept(from, to, sample int, dice *rand.Rand) {
	l.Helper()
	l.mu.Lock()
	fault := l.fault
	check := append([]rpc.Entry(nil), l.book[from:to]...)
	for range min(sample, from) {
		check = append(check, l.book[dice.IntN(from)])
	}
	l.mu.Unlock()
	l.must(fault)
	l.states(check, func(was, now rpc.Entry) {
		if now.Batch != was.Batch || now.Index != was.Index {
			l.Fatalf("lost: %s was acknowledged, and now is %s", describe(was), describe(now))
		}
	})
}

// states asks where digests are, many at a time.
func (l *load) states(entries []rpc.Entry, see func(was, now rpc.Entry)) {
	l.Helper()
	const most = 1000
	for len(entries) > 0 {
		part := entries[:min(most, len(entries))]
		entries = entries[len(part):]
		requests := make([]harness.Request, len(part))
		for i, e := range part {
			requests[i] = harness.Request{Method: "getstatus", Params: []any{e.Digest}}
		}
		answers, err := l.daemon.CallMany(l.ctx, requests)
		l.must(err)
		for i, a := range answers {
			if a.Err != nil {
				l.Fatalf("lost: %s was acknowledged, and now getstatus says: %v", describe(part[i]), a.Err)
			}
			var now rpc.Entry
			l.must(json.Unmarshal(a.Result, &now))
			see(part[i], now)
		}
	}
}

// wantSealedForEver compares the newest batches with what they were.
func (l *load) wantSealedForEver() {
	l.Helper()
	var batches []rpc.Batch
	l.call(&batches, "listbatches")
	for _, b := range batches {
		if was := l.roots[b.ID]; was != "" && b.Root != was {
			l.Fatalf("batch %d was sealed with root %s, and now has %q", b.ID, was, b.Root)
		}
		if b.Root != "" {
			l.roots[b.ID] = b.Root
		}
	}
}

// This part of the harness is tested here because only load uses it.
func TestManyCallsAreAnsweredInTheirOrder(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	e := w.submit(randomDigest())
	answers, err := w.daemon.CallMany(w.ctx, []harness.Request{
		{Method: "getstatus", Params: []any{e.Digest}}, {Method: "getstatus", Params: []any{randomDigest()}}, {Method: "uptime"},
	})
	w.must(err)
	if len(answers) != 3 || !strings.Contains(string(answers[0].Result), e.Digest) || answers[1].Err == nil || answers[2].Err != nil {
		t.Errorf("got %+v, want a status, an error and an uptime", answers)
	}
}

// pause waits as a part of a scenario: something else goes on for that long.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
