package itest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore"
	"ancre/itest/harness"
	"ancre/proof"
	"ancre/rpc"

	"golang.org/x/sync/errgroup"
)

// flood is full load. Each client submits as fast as it is answered, whether the daemon runs or
// not, and submits again what was not answered. There are so many digests that flood stores
// numbers, and computes each digest from its number.
type flood struct {
	*world
	seed  uint64
	group *errgroup.Group
	stop  context.CancelFunc
	next  atomic.Uint64 // number of the next digest

	mu    sync.Mutex
	book  []stretch // what was acknowledged, in that order
	acks  uint64    // digests in it
	fault error     // the first promise that was broken, as clients see it
}

// stretch is a run of digests with consecutive numbers at consecutive places.
type stretch struct {
	first, n     uint64
	batch, index uint64 // of the first; batch 0: acknowledged by the calendar, which does not tell
}

const (
	floodBatch     = 1000 // digests of one submitbatch
	floodBatches   = 2    // clients that hand in so many
	floodSingles   = 2    // that submit one at a time
	floodMessages  = 2    // that post to the calendar
	floodNewest    = 2000 // digests acknowledged last that are looked for after a kill: the last groups before it, which it could tear
	floodSample    = 200  // and of all others
	floodRestPause = 20 * time.Millisecond
)

// startFlood starts the clients. They end with halt.
func (w *world) startFlood(seed uint64) *flood {
	ctx, stop := context.WithCancel(w.ctx)
	f := &flood{world: w, seed: seed, group: new(errgroup.Group), stop: stop}
	for range floodBatches {
		f.client(ctx, floodBatch, f.submitBatch)
	}
	for range floodSingles {
		f.client(ctx, 1, f.submitBatch)
	}
	for range floodMessages {
		f.client(ctx, 1, f.post)
	}
	return f
}

// digest returns the digest of a number.
func (f *flood) digest(n uint64) [32]byte { return sha256.Sum256(fmt.Append(nil, f.seed, n)) }

func (f *flood) digests(first, n uint64) [][32]byte {
	all := make([][32]byte, n)
	for i := range all {
		all[i] = f.digest(first + uint64(i))
	}
	return all
}

// connection belongs to one client, for as long as the daemon lives.
type connection struct {
	rpc  *rpc.Client
	http http.Client
}

// client submits n new digests at a time, again and again. A call may fail because the daemon is
// dead or has just started.
func (f *flood) client(ctx context.Context, n uint64, handIn func(context.Context, *connection, uint64, uint64) ([]stretch, error)) {
	f.group.Go(func() error {
		c := &connection{http: http.Client{Transport: new(http.Transport), Timeout: time.Minute}}
		defer c.http.CloseIdleConnections()
		first := f.next.Add(n) - n
		for ctx.Err() == nil {
			got, err := handIn(ctx, c, first, n)
			if err != nil {
				c.http.CloseIdleConnections()
				c.rpc = nil // the next daemon has another cookie
				f.failed(err)
				pause(ctx, floodRestPause)
				continue
			}
			f.acknowledged(got)
			first = f.next.Add(n) - n
		}
		return nil
	})
}

// errRefused is an answer of the calendar that refuses a digest though it could have taken it.
var errRefused = errors.New("the calendar refused a digest")

func (f *flood) failed(err error) {
	var refused *rpc.Error
	if !errors.Is(err, errRefused) && (!errors.As(err, &refused) || refused.Code == warmingUp || refused.Code == unauthorized) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil {
		f.fault = err
	}
}

// submitBatch submits digests with submit or submitbatch, and returns their places.
func (f *flood) submitBatch(ctx context.Context, c *connection, first, n uint64) ([]stretch, error) {
	if c.rpc == nil {
		user, password, err := f.daemon.Credentials()
		if err != nil {
			return nil, err
		}
		if c.rpc, err = rpc.NewClient(f.daemon.Addr(), user, password); err != nil {
			return nil, err
		}
	}
	digests := f.digests(first, n)
	if n == 1 {
		e, err := c.rpc.Submit(ctx, digests[0])
		return f.stretches(first, digests, []rpc.Entry{e}, err)
	}
	entries, err := c.rpc.SubmitBatch(ctx, digests)
	return f.stretches(first, digests, entries, err)
}

// stretches returns the places of the digests from first on.
func (f *flood) stretches(first uint64, digests [][32]byte, entries []rpc.Entry, err error) (all []stretch, _ error) {
	if err != nil {
		return nil, err
	}
	if len(entries) != len(digests) {
		return nil, fmt.Errorf("%d digests were answered with %d places", len(digests), len(entries))
	}
	for i, e := range entries {
		if e.Digest != hex.EncodeToString(digests[i][:]) || e.Batch == 0 {
			return nil, fmt.Errorf("digest %x was answered with %s", digests[i], describe(e))
		}
		if n := len(all); n > 0 && all[n-1].batch == e.Batch && all[n-1].index+all[n-1].n == e.Index {
			all[n-1].n++
		} else {
			all = append(all, stretch{first + uint64(i), 1, e.Batch, e.Index})
		}
	}
	return all, nil
}

// post submits one digest to the calendar.
func (f *flood) post(ctx context.Context, c *connection, first, _ uint64) ([]stretch, error) {
	digest := f.digest(first)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.daemon.CalendarAddr()+"/digest", bytes.NewReader(digest[:]))
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return nil, err
	case answer.StatusCode == http.StatusServiceUnavailable: // it starts
		return nil, errors.New(answer.Status)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %s: %.200q", errRefused, answer.Status, body)
	}
	return []stretch{{first: first, n: 1}}, nil
}

func (f *flood) acknowledged(got []stretch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range got {
		f.acks += s.n
	}
	f.book = append(f.book, got...)
}

// promised returns the number of stretches that were acknowledged so far.
func (f *flood) promised() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.book)
}

// halt ends the clients.
func (f *flood) halt() {
	f.Helper()
	f.stop()
	f.must(f.group.Wait())
}

// wantKept asks the daemon for digests of the oldest stretches, up to a number: the newest of them,
// and a sample of all.
func (f *flood) wantKept(promised int, dice *rand.Rand) {
	f.Helper()
	f.mu.Lock()
	fault, book := f.fault, f.book[:promised]
	f.mu.Unlock()
	f.must(fault)
	var check []stretch // of one digest each
	one := func(s stretch, i uint64) { check = append(check, stretch{s.first + i, 1, s.batch, s.index + i}) }
	for i := len(book) - 1; i >= 0 && len(check) < floodNewest; i-- {
		for at := range book[i].n {
			one(book[i], at)
		}
	}
	for range min(floodSample, len(book)) {
		s := book[dice.IntN(len(book))]
		one(s, dice.Uint64N(s.n))
	}
	for part := range slices.Chunk(check, floodBatch) {
		requests := make([]harness.Request, len(part))
		for i, s := range part {
			digest := f.digest(s.first)
			requests[i] = harness.Request{Method: "getstatus", Params: []any{hex.EncodeToString(digest[:])}}
		}
		answers, err := f.daemon.CallMany(f.ctx, requests)
		f.must(err)
		for i, a := range answers {
			if a.Err != nil {
				f.Fatalf("lost: digest %s was acknowledged (%+v), and now getstatus says: %v", requests[i].Params[0], part[i], a.Err)
			}
			var now rpc.Entry
			f.must(json.Unmarshal(a.Result, &now))
			if s := part[i]; s.batch != 0 && (now.Batch != s.batch || now.Index != s.index) {
				f.Fatalf("lost: digest %s was acknowledged in batch %d at %d, and now is %s", requests[i].Params[0], s.batch, s.index, a.Result)
			}
		}
	}
}

// wantAllStored looks for every digest in the store of a daemon that has ended: it is in a final
// batch, where it was acknowledged, and alone there.
func (f *flood) wantAllStored() {
	f.Helper()
	f.must(f.fault)
	engine, err := pebblestore.Open(filepath.Join(f.daemon.NetDir(), "store"), pebblestore.Options{})
	f.must(err)
	defer engine.Close()
	nonces := proof.NewNoncer(engine.Key())
	final := make(map[uint64]bool)
	places := make([]stretch, 0, len(f.book))
	for part := range slices.Chunk(f.book, 10) { // of a thousand each at most
		var leaves []store.Leaf
		for _, s := range part {
			for i := range s.n {
				digest := f.digest(s.first + i)
				leaves = append(leaves, proof.Leaf(digest[:], nonces.Nonce(digest[:])))
			}
		}
		at, err := engine.Find(f.ctx, leaves)
		f.must(err)
		for _, s := range part {
			if s.batch == 0 {
				s.batch, s.index = at[0].Batch, at[0].Index
			}
			for i := range s.n {
				if want := (store.Position{Batch: s.batch, Index: s.index + i}); s.batch == 0 || at[i] != want {
					f.Fatalf("lost: digest %x was acknowledged at %v, and is stored at %v", f.digest(s.first+i), want, at[i])
				}
			}
			at = at[s.n:]
			if !final[s.batch] {
				b, err := engine.Batch(f.ctx, s.batch)
				f.must(err)
				a, err := engine.Anchor(f.ctx, b.Anchor)
				f.must(err)
				if a.State != store.Final {
					f.Fatalf("in the end anchor %d of batch %d is %s, want it final", a.ID, b.ID, a.State)
				}
				final[s.batch] = true
			}
			places = append(places, s)
		}
	}
	slices.SortFunc(places, func(a, b stretch) int { return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.index, b.index)) })
	for i := 1; i < len(places); i++ {
		if a, b := places[i-1], places[i]; a.batch == b.batch && a.index+a.n > b.index {
			f.Fatalf("digests %+v and %+v are at one place", a, b)
		}
	}
}
