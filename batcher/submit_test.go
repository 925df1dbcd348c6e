package batcher

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"ancre/batcher/store"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// Submit is SubmitEach for tests: it returns the statuses.
func (b *Batcher) Submit(ctx context.Context, digests [][32]byte) ([]Status, error) {
	out := make([]Status, 0, len(digests))
	if err := b.SubmitEach(ctx, digests, func(st *Status) { out = append(out, *st) }); err != nil {
		return nil, err
	}
	return out, nil
}

// await waits for an effect of other goroutines.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// A caller that gives up while its digests wait leaves them to the committer. If their memory went
// to the next caller, it would be overwritten. Digests would be lost, and others would be
// acknowledged that were never written.
func TestDigestsThatWereGivenUpAreWrittenAsTheyCame(t *testing.T) {
	h := newHouse(t)
	h.submit("to fill the pool")
	h.faults.mu.Lock() // the disk takes its time
	var g errgroup.Group
	submit := func(ctx context.Context, name string) {
		g.Go(func() error {
			_, err := h.b.Submit(ctx, digests(name))
			return err
		})
	}
	submit(context.Background(), "being written")
	await(t, "the first write", func() bool { return h.b.Counts().Queue == 1 && h.b.busy[committing].Load() != 0 })
	names := []string{"being written"}
	for i := range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		given := make(chan error)
		up, next := fmt.Sprint("given up ", i), fmt.Sprint("next ", i)
		go func() {
			_, err := h.b.Submit(ctx, digests(up))
			given <- err
		}()
		await(t, "a digest in the queue", func() bool { return h.b.Counts().Queue == 2*i+2 })
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Fatalf("whoever gives up is told %v", err)
		}
		submit(context.Background(), next)
		await(t, "the next digest in the queue", func() bool { return h.b.Counts().Queue == 2*i+3 })
		names = append(names, up, next)
	}
	h.faults.mu.Unlock()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	h.crash()
	for _, name := range names {
		h.wants(name, Open)
	}
	if n, err := h.store.NumLeaves(context.Background()); err != nil || n != uint64(1+len(names)) {
		t.Errorf("%d leaves are stored of %d digests (%v)", n, 1+len(names), err)
	}
}

// A call with one digest gets its position. So does a call with many, known and new ones mixed, and
// so does the next group.
func TestEveryDigestOfACallIsAnsweredInItsPlace(t *testing.T) {
	h := newHouse(t)
	h.submit("old")
	h.sealNow()
	h.submit("open")
	call := digests("new", "old", "open", "new", "other")
	for range 2 {
		sts, err := h.b.Submit(context.Background(), call)
		if err != nil {
			t.Fatal(err)
		}
		want := []store.Position{{Batch: 2, Index: 1}, {Batch: 1, Index: 0}, {Batch: 2, Index: 0}, {Batch: 2, Index: 1}, {Batch: 2, Index: 2}}
		for i, st := range sts {
			state := Open
			if want[i].Batch == 1 {
				state = Sealed
			}
			if st.Digest != call[i] || st.Position != want[i] || st.Progress.State != state {
				t.Errorf("digest %d of the call: %x is %s at %v, want %x %s at %v", i, st.Digest, st.Progress.State, st.Position, call[i], state, want[i])
			}
			st.New = false // Status does not know; see TestADigestIsNewOnce
			if again, err := h.b.Status(context.Background(), call[i]); err != nil || again != st {
				t.Errorf("digest %d of the call: answered with %+v, Status says %+v (%v)", i, st, again, err)
			}
		}
	}
}

// The memory of one large call must not be kept, neither by the committer nor by later callers.
func TestMemoryOfLargeCallsIsGivenBack(t *testing.T) {
	h := newHouse(t)
	h.policy.MaxDigests = 1 << 20
	h.crash()
	large := make([][32]byte, keepGroup+1)
	for i := range large {
		binary.LittleEndian.PutUint64(large[i][:], uint64(i))
	}
	if _, err := h.b.Submit(context.Background(), large); err != nil {
		t.Fatal(err)
	}
	h.stop() // the group is the committer's before
	c := h.b.committer
	if leaves, slots := cap(c.group.leaves), cap(c.group.set.slots); leaves > keepGroup || slots > 4*keepGroup {
		t.Errorf("room for %d leaves and %d slots is kept, want at most %d and %d", leaves, slots, keepGroup, 4*keepGroup)
	}
	for range 10 {
		if s := c.submission(); cap(s.leaves) > keepLeaves || cap(s.nonces) > keepLeaves {
			t.Errorf("a new call begins with room for %d leaves and %d nonces, want at most %d", cap(s.leaves), cap(s.nonces), keepLeaves)
		}
	}
}

// leafSet must find what a map finds, even if many leaves begin alike, and with memory that was
// used before.
func TestTwinsAreFound(t *testing.T) {
	var tw leafSet
	rapid.Check(t, func(t *rapid.T) {
		starts := rapid.SliceOfN(rapid.Uint64Range(0, 9), 0, 300).Draw(t, "starts")
		leaves := make([]store.Leaf, len(starts))
		for i, start := range starts {
			binary.LittleEndian.PutUint64(leaves[i][:], start<<60|start)
			leaves[i][31] = byte(rapid.IntRange(0, 3).Draw(t, "end"))
		}
		seen := make(map[store.Leaf]int)
		tw.reset(len(leaves))
		for i, leaf := range leaves {
			want, ok := seen[leaf]
			if !ok {
				want, seen[leaf] = i, i
			}
			if got := tw.first(leaves, i); got != want {
				t.Fatalf("leaf %d is the same as leaf %d, want %d", i, got, want)
			}
		}
	})
}

// A digest is new once. When it is submitted again it is not, whatever the state of its batch.
func TestADigestIsNewOnce(t *testing.T) {
	h := newHouse(t)
	isNew := func(names ...string) (out []bool) {
		t.Helper()
		var all [][32]byte
		for _, name := range names {
			all = append(all, digests(name)...)
		}
		states, err := h.b.Submit(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range states {
			out = append(out, st.New)
		}
		return out
	}
	want := func(got []bool, want ...bool) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("new are %v, want %v", got, want)
		}
	}
	want(isNew("a", "b"), true, true)
	want(isNew("b", "c", "a"), false, true, false)
	h.sealNow()
	want(isNew("a", "d", "c"), false, true, false)
	want(isNew("d"), false)
}
